"""The nightly flow in Prefect: the order of `flows.night`, each coarse step a task.

Retries belong to the sources (the HTTP client) and to the outbox; a task that failed half-way is not
repeated blindly, since posting is safe to repeat only as a whole run - which the next night is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from flows.environment import be_quiet

be_quiet()  # a worker imports this file first, not the command line

import numpy as np  # noqa: E402
from prefect import flow, task  # noqa: E402
from prefect.artifacts import (  # noqa: E402
    acreate_link_artifact,
    acreate_markdown_artifact,
    acreate_table_artifact,
)
from prefect.cache_policies import NO_CACHE  # noqa: E402
from prefect.client.schemas.objects import State  # noqa: E402
from prefect.states import Completed  # noqa: E402

from connectors.calendars import calendar_specs  # noqa: E402
from flows import wiring  # noqa: E402
from flows.night import Judge, Night, NightOutcome, run_night  # noqa: E402
from flows.settings import SettingsError, load_settings  # noqa: E402
from flows.steps.decide import Plan, judge  # noqa: E402
from flows.steps.match import Matched  # noqa: E402
from models.domain.findings import Finding, Place  # noqa: E402
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


async def _beside_workers(name: str, step: Callable[..., Awaitable[T]], *args: Any) -> T:
    """The same where Dask judges: there each shard is a task, and the step around them is none."""
    return await (step(*args) if name == "match and post" else as_task(name, step, *args))


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


@task(name="judge", persist_result=False, cache_policy=NO_CACHE)
def judge_shard(config: str, shard: Any, day: int, known_at: int | None) -> tuple[Matched, Plan]:
    """Judge a shard of contracts on a worker. It only reads, so Dask may lose a worker and ask another one."""
    store = wiring.the_store(load_settings(Path(config)))
    try:
        with store.read() as connection:
            return judge(connection, shard.tolist(), day, calendar_specs, known_at)
    finally:
        store.dispose()


def on_dask(address: str, config: str) -> Judge:
    """Judge shards on Dask workers; what they decide is checked and posted here, under the lease.

    `config` is the path of the configuration as the workers see it: a URL with a password is never sent.
    """

    async def spread(night: Night, shards: Sequence[Sequence[int]]) -> AsyncIterator[tuple[Matched, Plan]]:
        if not shards:
            return
        from prefect_dask import DaskTaskRunner  # takes a second to import, and few need it

        with DaskTaskRunner(address=address) as runner:
            asked = [runner.submit(judge_shard, _parameters(night, config, shard)) for shard in shards]
            for future in asked:
                yield await asyncio.to_thread(future.result)

    return spread


def _parameters(night: Night, config: str, shard: Sequence[int]) -> dict[str, Any]:
    """An array, not a list: Prefect walks through lists, one number after the other."""
    return {"config": config, "shard": np.asarray(shard), "day": night.day, "known_at": night.known_at}


def _spread(night: Night) -> Night:
    """The night on its Dask cluster, where one is configured. Raises SettingsError for a store no worker can reach."""
    if not night.dask:
        return night
    if night.store.is_sqlite:
        place = Place(file=night.config, path="run.dask")
        raise SettingsError([Finding("DASK_NEEDS_POSTGRES", place=place)])
    return replace(night, judge=on_dask(night.dask, night.config))


async def _flow(night: Night) -> tuple[NightOutcome, State[Any]]:
    """The night, its artifacts, and the state that tells how it went. What raises ends as Failed."""
    outcome = await run_night(_spread(night), _beside_workers if night.dask else as_task)
    await _artifacts(outcome)
    message = f"{outcome.posted.records} new, {outcome.posted.withdrawn} withdrawn"
    return outcome, Completed(name=state_name(outcome), message=message)


def state_name(outcome: NightOutcome) -> str:
    """Done; done, and something waits for a person; in part - as the exit codes 0, 1 and 3 say it."""
    return {0: "Done", 1: "Done, something waits", 3: "In part"}[outcome.exit_code]


def run_with_prefect(night: Night) -> NightOutcome:
    """Run a wired night as a flow, on the configured server or a temporary one."""
    tonight = _Tonight(night)
    before = _tonight.set(tonight)
    try:
        asyncio.run(huikuan_nightly())
    finally:
        _tonight.reset(before)
    assert tonight.outcome is not None
    return tonight.outcome


@dataclass(slots=True)
class _Tonight:
    """The night that the flow below runs, and how it ended."""

    night: Night
    outcome: NightOutcome | None = None


#: Neither a closure nor named by the flow: Dask sends the flow to its workers, and a night does not travel.
_tonight: ContextVar[_Tonight] = ContextVar("tonight")


@flow(name="huikuan-nightly", log_prints=False, persist_result=False)
async def huikuan_nightly() -> State[Any]:
    """A wired night as a flow."""
    return await _run_tonight()


async def _run_tonight() -> State[Any]:
    tonight = _tonight.get()
    tonight.outcome, state = await _flow(tonight.night)
    return state


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
