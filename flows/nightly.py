"""The nightly flow in Prefect: the order of `flows.night`, each coarse step a task.

Retries belong to the sources (the HTTP client) and to the outbox; a task that failed half-way is not
repeated blindly, since posting is safe to repeat only as a whole run - which the next night is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from flows.environment import be_quiet

be_quiet()  # a worker imports this file first, not the command line

from prefect import flow, task  # noqa: E402
from prefect.artifacts import (  # noqa: E402
    acreate_link_artifact,
    acreate_markdown_artifact,
    acreate_table_artifact,
)
from prefect.client.schemas.objects import State  # noqa: E402
from prefect.states import Completed  # noqa: E402

from flows import wiring  # noqa: E402
from flows.night import Night, NightOutcome, run_night  # noqa: E402
from flows.settings import load_settings  # noqa: E402
from models.domain.money import amount_text, minor_digits  # noqa: E402
from models.domain.ready import NightReport  # noqa: E402
from models.domain.words import say  # noqa: E402

T = TypeVar("T")

#: Rows that an artifact shows; the whole list is in the reports.
SHOWN = 500
#: The files that deserve a link of their own in the UI.
LINKED = (".html", ".xlsx")


async def as_task(name: str, step: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Carry a step out as a Prefect task. It takes no parameters: Prefect would walk through a whole night's rows."""

    async def carry_out() -> T:
        return await step(*args)

    run = task(carry_out, name=name, persist_result=False, cache_policy=None)  # type: ignore[call-overload]
    result: T = await run()
    return result


# --- what the run shows in the Prefect UI ------------------------------------------------------------


def ready_rows(report: NightReport) -> list[dict[str, str]]:
    """The list, as a table."""
    language = report.language
    heads = [say(f"cli.column.{k}", language) for k in ("contract", "term", "customer", "gross", "ready_on", "status")]
    rows = [
        (
            r.contract, r.term, r.customer, f"{r.currency} {amount_text(r.gross, minor_digits(r.currency))}",
            r.ready_on.isoformat(), say(f"status.{r.status}", language),
        )
        for r in report.ready
    ]  # fmt: skip
    return _table(heads, rows)


def blocked_rows(report: NightReport) -> list[dict[str, str]]:
    """What waits, and for which events."""
    heads = [say(f"cli.column.{k}", report.language) for k in ("contract", "term", "event")]
    return _table(heads, [(b.contract, b.term, ", ".join(x.event for x in b.blockers)) for b in report.blocked])


def connection_rows(report: NightReport) -> list[dict[str, str]]:
    """How each connection did."""
    language = report.language
    keys = ("connection", "state", "seen", "changed", "quarantined", "message")
    rows = [
        (c.name, say(f"cli.pull.{c.state}", language), c.seen, c.changed, c.quarantined, c.message(language))
        for c in report.connections
    ]
    return _table([say(f"cli.column.{k}", language) for k in keys], rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> list[dict[str, str]]:
    shown = [dict(zip(heads, map(str, row), strict=True)) for row in rows[:SHOWN]]
    if len(rows) > SHOWN:
        shown.append({heads[0]: f"… + {len(rows) - SHOWN}"})
    return shown or [{heads[0]: "-"}]


def summary(outcome: NightOutcome) -> str:
    """The run in a few lines of Markdown. Text from outside stays text."""
    language, posted = outcome.report.language, outcome.posted
    counts = {"new": posted.records, "withdrawn": posted.withdrawn, "evaluated": outcome.evaluated}
    lines = [f"# {outcome.report.as_of}", "", say(f"cli.done.{outcome.state}", language, **counts), ""]
    found = outcome.report.findings
    lines += [f"- **{f.code}** {_inert(str(f.place))}: {_inert(f.text(language))}" for f in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(f"- … + {len(found) - SHOWN}")
    return "\n".join([*lines, "", *(f"- {_inert(p.name)}" for p in outcome.files)])


def _inert(text: str) -> str:
    """No link, no tag, no list: what a milestone is called does not format the page."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>()#|!" else " " if c in "\r\n" else c for c in text)


async def _artifacts(outcome: NightOutcome) -> None:
    report = outcome.report
    await acreate_table_artifact(key="ready-to-invoice", table=ready_rows(report))
    await acreate_table_artifact(key="blocked", table=blocked_rows(report))
    await acreate_table_artifact(key="connections", table=connection_rows(report))
    await acreate_markdown_artifact(key="night", markdown=summary(outcome))
    for path in outcome.files:
        if path.suffix in LINKED:
            key = path.name.lower().replace(".", "-")
            await acreate_link_artifact(key=key, link=path.resolve().as_uri(), link_text=path.name)


# --- the flow ----------------------------------------------------------------------------------------


async def _flow(night: Night) -> tuple[NightOutcome, State[Any]]:
    """The night, its artifacts, and the state that tells how it went. What raises ends as Failed."""
    outcome = await run_night(night, as_task)
    await _artifacts(outcome)
    message = f"{outcome.posted.records} new, {outcome.posted.withdrawn} withdrawn"
    return outcome, Completed(name=state_name(outcome), message=message)


def state_name(outcome: NightOutcome) -> str:
    """Done; done, and something waits for a person; in part - as the exit codes 0, 1 and 3 say it."""
    return {0: "Done", 1: "Done, something waits", 3: "In part"}[outcome.exit_code]


def run_with_prefect(night: Night) -> NightOutcome:
    """Run a wired night as a flow, on the configured server or a temporary one."""
    outcomes: list[NightOutcome] = []

    @flow(name="huikuan-nightly", log_prints=False, persist_result=False)
    async def huikuan_nightly() -> State[Any]:
        outcome, state = await _flow(night)
        outcomes.append(outcome)
        return state

    asyncio.run(huikuan_nightly())
    return outcomes[0]


@flow(name="huikuan-nightly", persist_result=False)
async def nightly(config: str = "huikuan.toml") -> State[Any]:
    """The nightly run of one configuration; what a deployment schedules."""
    loaded = load_settings(Path(config))
    store = wiring.the_store(loaded, create=True)
    try:
        _, state = await _flow(wiring.the_night(loaded, store))
    finally:
        store.dispose()
    return state
