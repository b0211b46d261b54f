"""`sinks`: what was pushed to where invoices are made; and what `check` says of sinks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.text import Text

from connectors.errors import SourceConfig, SourceError
from connectors.store import Store
from connectors.store.bulk import fetch
from flows import wiring
from flows.commands.shared import Stop, command, out, person, print_json, settings, table
from flows.settings import Loaded
from flows.steps.push import PushLine, before_go_live, owe, push_lines, revive, settle
from flows.steps.report import board
from models.domain.pushes import PushState
from models.domain.words import say

_SHOWN = 200
_PEOPLE = (PushState.DEAD, PushState.WAITS)


@command
def sinks(
    config: Path, *, retry: bool, backfill: bool, settled: str | None, by: str | None, as_json: bool, language: str
) -> int:
    """List the pushes; or owe dead ones again, owe what was there before go-live, write one down as done by hand."""
    loaded = settings(config)
    names = list(loaded.settings.sinks)
    store = wiring.the_store(loaded)
    done = _changed(store, names, language, retry=retry, backfill=backfill, settled=settled, by=by)
    with store.read() as connection:
        lines = push_lines(connection)
        live = bool(fetch(connection, "SELECT value FROM settings WHERE key = 'go_live'"))
        left = before_go_live(connection, names, board(connection).ready) if live and not backfill else 0
    if as_json:
        print_json([_as_json(x) for x in lines])
    else:
        for text in done:
            out.print(Text(text))
        _show(lines, language)
        if not names:
            out.print(say("cli.no_sinks", language))
        elif not live:
            out.print(say("cli.sinks_not_live", language))
        elif left:
            out.print(say("cli.sinks_backfill_left", language, n=left))
    return 1 if any(x.state in _PEOPLE for x in lines) else 0


def _changed(
    store: Store, names: list[str], language: str, *, retry: bool, backfill: bool, settled: str | None, by: str | None
) -> list[str]:
    """Do what was asked; what to say of it."""
    now, said = wiring.epoch_now(), []
    if retry:
        said.append(say("cli.sinks_retried", language, n=revive(store, now)))
    if backfill:
        with store.read() as connection:
            lines = board(connection)
        said.append(say("cli.sinks_backfilled", language, n=owe(store, names, lines, now, backfill=True)))
    if settled:
        by = person(by, language, "cli.sinks_who")
        count = settle(store, settled, f"{by}, {_utc(now)}", now)
        if not count:
            raise Stop(say("cli.sinks_settle_none", language, record=settled))
        said.append(say("cli.sinks_settled", language, n=count, record=settled, by=by))
    return said


def _as_json(line: PushLine) -> dict[str, Any]:
    """Stable keys; `error` in English."""
    return {
        "sink": line.sink,
        "record_id": line.record_id,
        "contract": line.contract,
        "term": line.term,
        "kind": line.kind.value,
        "state": line.state.value,
        "attempts": line.attempts,
        "reference": line.reference,
        "error": line.trouble.text("en") if line.trouble else None,
        "advice": line.trouble.advice("en") if line.trouble else None,
        "owed_at": _utc(line.created_at),
        "next_at": _utc(line.next_at) if line.state in (PushState.PENDING, PushState.RETRY, PushState.WAITS) else None,
    }


def _show(lines: list[PushLine], language: str) -> None:
    if not lines:
        out.print(say("cli.no_pushes", language))
        return
    columns = ("sink", "contract", "kind", "state", "attempts", "external")
    heads = [(say(f"cli.column.{k}", language), "right" if k == "attempts" else "left") for k in columns]
    rows = [
        (
            x.sink,
            f"{x.contract}/{x.term}",
            say(f"push_kind.{x.kind}", language),
            say(f"push_state.{x.state}", language),
            x.attempts,
            x.reference,
        )
        for x in lines[:_SHOWN]
    ]
    table(say("cli.title.pushes", language, n=len(lines)), heads, rows)
    for x in lines[:_SHOWN]:
        if x.trouble:
            out.print(Text(f"{x.sink} {x.contract}/{x.term} {x.record_id}", style="bold"))
            out.print(Text(f"  {x.trouble.text(language)}. {x.trouble.advice(language)}"))


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, wiring.utc_now().tzinfo).isoformat(timespec="seconds")


def counts_text(counts: Mapping[str, int], language: str, *, dry_run: bool) -> str:
    """What came of tonight's pushes by state; in a dry run how many each sink would get."""
    told = counts.items() if dry_run else ((say(f"push_state.{k}", language), n) for k, n in counts.items())
    return say(
        "cli.would_push_line" if dry_run else "cli.pushed_line", language, counts=", ".join(f"{k} {n}" for k, n in told)
    )


async def check_sinks(loaded: Loaded, language: str) -> list[dict[str, Any]]:
    """Is each sink what the configuration says? Nothing is sent."""
    return [await _check(s.name, s.kind, s.build, language) for s in wiring.sinks(loaded)]


async def _check(name: str, kind: str, build: Any, language: str) -> dict[str, Any]:
    line: dict[str, Any] = {"name": name, "kind": kind, "state": "ok"}
    try:
        async with build() as sink:
            return line | {"account": await sink.check()}
    except SourceError as problem:
        told = problem.trouble
        state = "invalid" if isinstance(problem, SourceConfig) else "failed"
        return line | {"state": state, "message": told.text(language), "advice": told.advice(language)}


def show_checks(lines: list[dict[str, Any]], language: str) -> None:
    """One line for each sink."""
    for line in lines:
        out.print(Text(say("cli.sink_ok" if line["state"] == "ok" else "cli.sink_failed", language, **line)))
