"""What all commands share: settings with errors in words, the store, printing, dates."""

from __future__ import annotations

import codecs
import errno
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
from sqlalchemy.engine import Connection

from connectors.errors import SourceError
from connectors.store.bulk import fetch
from connectors.store.errors import StoreError
from flows.settings import Loaded, SettingsError, load_settings
from models.domain.findings import Finding, Severity
from models.domain.words import say
from models.records.reading import closest

F = TypeVar("F", bound=Callable[..., int])

CODE = 18  # characters: numbers, dates and amounts of a column that are shorter are never cut in two
out = Console(highlight=False, soft_wrap=False)
err = Console(stderr=True, highlight=False)


class Stop(Exception):
    """The command cannot run; the message, or the advice, says what to do."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


class Unreadable(Exception):
    """An argument that cannot be read; `kind` names the sentence that says what it should look like."""

    def __init__(self, kind: str, given: str) -> None:
        super().__init__(given)
        self.kind = kind


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
            complain(str(problem), problem.advice, language)
        except Unreadable as problem:
            given = say("cli.unreadable", language, given=str(problem))
            complain(given, say(f"cli.unreadable_{problem.kind}", language), language)
        except OSError as problem:
            complain(*_refused_by_system(problem, language), language)
        return 2

    return wrapped  # type: ignore[return-value]


#: What the operating system says, by its own number: the words are `cli.system.NAME` and `.NAME_todo`.
_SYSTEM = {
    errno.ENOENT: "absent",
    errno.EACCES: "no_right",
    errno.EPERM: "no_right",
    errno.EROFS: "no_right",
    errno.EISDIR: "folder",
    errno.ENOTDIR: "no_folder",
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
}


def _refused_by_system(problem: OSError, language: str) -> tuple[str, str]:
    """What went wrong with a file, and what to do: the system's own words are in no language of ours."""
    name = _SYSTEM.get(problem.errno or 0, "other")
    slots = {"file": problem.filename or "-", "code": errno.errorcode.get(problem.errno or 0, type(problem).__name__)}
    return say(f"cli.system.{name}", language, **slots), say(f"cli.system.{name}_todo", language, **slots)


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
        raise Unreadable("day", text) from None


def moment_of(text: str | None) -> datetime | None:
    """An instant argument with its offset."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Unreadable("moment", text) from None
    if moment.tzinfo is None:
        raise Unreadable("moment", text)
    return moment


def need_sheet(file: Path, language: str) -> None:
    """Raises Stop for what is neither a spreadsheet nor text in an encoding that a list may have."""
    data = file.read_bytes()
    if data.startswith(b"PK"):
        return
    wide = data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    for encoding in ("utf-16",) if wide else ("utf-8", "gb18030"):
        try:
            data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return
    raise Stop(say("cli.no_text", language, file=file.name), say("cli.no_text_todo", language))


def person(by: str | None, language: str, key: str = "cli.who") -> str:
    """Who says so. Raises Stop where nobody is named: what people say is kept with their names."""
    if by is None or not by.strip():
        raise Stop(say(key, language))
    return by.strip()


def grounds(reason: str, language: str) -> str:
    """Why. Raises Stop where nothing is said."""
    if not reason.strip():
        raise Stop(say("cli.why_missing", language))
    return reason.strip()


def named(connection: Connection, which: str) -> tuple[str, str]:
    """CONTRACT[/TERM] as a number and a term (empty: none). Numbers hold slashes: the whole text is tried as one first."""
    if "/" not in which or fetch(connection, "SELECT 1 FROM contracts WHERE number = :n", {"n": which}):
        return which, ""
    number, _, term = which.rpartition("/")
    return number, term


def no_such_term(connection: Connection, which: str, language: str) -> Stop:
    """What was named is not there; the closest names that are."""
    number, term = named(connection, which)
    rows = fetch(
        connection,
        "SELECT c.number, t.code FROM contracts c LEFT JOIN terms t ON t.contract_id = c.id WHERE c.active ORDER BY c.number, t.position",
    )
    numbers = list(dict.fromkeys(n for n, _ in rows))
    near = closest(number, numbers) or closest(which, numbers)
    if number in numbers and term:
        near = ", ".join(f"{n}/{code}" for n, code in rows if n == number)
    key = "cli.closest" if near else "cli.no_contracts" if not numbers else "cli.see_ready"
    return Stop(say("cli.no_such_contract", language, which=which), say(key, language, near=near))


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
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    for position, (heading, justify) in enumerate(columns):
        whole = all(len(row[position]) <= CODE and (justify == "right" or " " not in row[position]) for row in cells)
        grid.add_column(heading, justify=justify, overflow="fold", no_wrap=whole)  # type: ignore[arg-type]
    for row in cells:
        grid.add_row(*(Text(cell) for cell in row))
    console.print(grid)
