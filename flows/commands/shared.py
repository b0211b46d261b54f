"""What all commands share: settings with errors in words, the store, printing, dates."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from datetime import date, datetime
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from connectors.errors import SourceError
from connectors.store.errors import StoreError
from flows.settings import Loaded, SettingsError, load_settings
from models.domain.findings import Finding, Severity
from models.domain.words import say

F = TypeVar("F", bound=Callable[..., int])

out = Console(highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False)


class Stop(Exception):
    """The command cannot run; the message says what to do."""


def command(run: F) -> F:
    """Turn the errors a user can do something about into sentences and exit code 2."""

    @wraps(run)
    def wrapped(*args: Any, **kwargs: Any) -> int:
        language = kwargs.get("language") or next((a for a in reversed(args) if a in ("zh-CN", "en")), "en")
        try:
            return run(*args, **kwargs)
        except SettingsError as problem:
            print_findings(problem.findings, language, err)
        except StoreError as problem:
            complain(problem.text(language), problem.help(language), language)
        except SourceError as problem:
            complain(problem.trouble.text(language), problem.trouble.advice(language), language)
        except Stop as problem:
            complain(str(problem), "", language)
        except OSError as problem:
            complain(f"{problem.strerror or problem}: {problem.filename or ''}", "", language)
        return 2

    return wrapped  # type: ignore[return-value]


def complain(message: str, advice: str, language: str) -> None:
    """One error: what, and what to do."""
    err.print(Text(say("cli.error", language, message=message), style="bold red"))
    if advice:
        err.print(Text(say("cli.advice", language, advice=advice)))


def settings(config: Path) -> Loaded:
    """The configuration. Raises SettingsError."""
    return load_settings(config)


def day_of(text: str | None, default: date) -> date:
    """A date argument."""
    if text is None:
        return default
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Stop(f"{text!r}: YYYY-MM-DD") from None


def moment_of(text: str | None) -> datetime | None:
    """An instant argument with its offset."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Stop(f"{text!r}: 2026-11-20T02:30:00+08:00") from None
    if moment.tzinfo is None:
        raise Stop(f"{text!r}: the offset from UTC is missing, e.g. +08:00")
    return moment


def print_json(body: object) -> None:
    """JSON, and nothing else, on standard output."""
    sys.stdout.write(orjson.dumps(body, option=orjson.OPT_INDENT_2).decode() + "\n")


def print_findings(findings: Iterable[Finding], language: str, console: Console = out) -> None:
    """Each finding: severity, place, sentence."""
    for finding in findings:
        style = "red" if finding.severity is Severity.ERROR else "yellow"
        line = Text(say(f"cli.severity.{finding.severity}", language), style=style)
        line.append(f" {finding.code} ", style="bold")
        line.append(f"{finding.place}\n  ", style="dim")
        line.append(finding.text(language), style="default")
        console.print(line)


def table(
    title: str, columns: Iterable[tuple[str, str]], rows: Iterable[Iterable[object]], console: Console = out
) -> None:
    """A table; columns are (heading, justify). Cells are plain text: markup from outside stays inert."""
    grid = Table(title=title, title_justify="left", header_style="bold")
    for heading, justify in columns:
        grid.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        grid.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console.print(grid)
