"""The nightly flow in Prefect: the order of `flows.night`, each coarse step a task.

Retries belong to the sources (the HTTP client) and to the outbox; a task that failed half-way is not
repeated blindly, since posting is safe to repeat only as a whole run - which the next night is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from prefect import flow, task
from prefect.artifacts import acreate_markdown_artifact, acreate_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows import wiring
from flows.night import Night, NightOutcome, run_night
from flows.settings import load_settings
from models.domain.money import amount_text, minor_digits

T = TypeVar("T")


async def as_task(name: str, step: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Carry a step out as a Prefect task; arguments are not persisted and not hashed."""
    run = task(step, name=name, persist_result=False, cache_policy=None)  # type: ignore[call-overload]
    result: T = await run(*args)
    return result


async def _artifacts(outcome: NightOutcome) -> None:
    """What the run shows in the Prefect UI."""
    report = outcome.report
    ready = [
        {
            "contract": r.contract,
            "term": r.term,
            "customer": r.customer,
            "amount": f"{r.currency} {amount_text(r.gross, minor_digits(r.currency))}",
            "ready on": r.ready_on.isoformat(),
            "status": r.status.value,
        }
        for r in report.ready
    ]
    blocked = [
        {"contract": b.contract, "term": b.term, "blocked by": ", ".join(x.event for x in b.blockers)}
        for b in report.blocked
    ]
    links = "\n".join(f"- [{p.name}]({p.resolve().as_uri()})" for p in outcome.files)
    lines = "\n".join(
        f"- {c.name}: {c.state}, {c.seen} seen, {c.changed} changed, {c.quarantined} quarantined"
        for c in report.connections
    )
    await acreate_table_artifact(key="ready-to-invoice", table=ready or [{"contract": "-"}])
    await acreate_table_artifact(key="blocked", table=blocked or [{"contract": "-"}])
    await acreate_markdown_artifact(key="night", markdown=f"# {report.as_of}: {outcome.state}\n\n{lines}\n\n{links}")


_outcome: dict[str, NightOutcome] = {}


async def _flow(night: Night) -> State[Any]:
    outcome = await run_night(night, as_task)
    _outcome[night.run_id] = outcome
    await _artifacts(outcome)
    names = {"done": "Done", "in_part": "In part"}
    waits = outcome.waits_for_a_person and outcome.state == "done"
    return Completed(
        name="Done, something waits" if waits else names[outcome.state], message=f"{outcome.posted.records} new records"
    )


def run_with_prefect(night: Night) -> NightOutcome:
    """Run a wired night as a flow, on the configured server or a temporary one."""

    @flow(name="huikuan-nightly", log_prints=False, persist_result=False)
    async def huikuan_nightly() -> State[Any]:
        return await _flow(night)

    asyncio.run(huikuan_nightly())
    return _outcome.pop(night.run_id)


@flow(name="huikuan-nightly", persist_result=False)
async def nightly(config: str = "huikuan.toml") -> State[Any]:
    """The nightly run of one configuration; what a deployment schedules."""
    loaded = load_settings(Path(config))
    store = wiring.the_store(loaded, create=True)
    try:
        return await _flow(wiring.the_night(loaded, store))
    finally:
        store.dispose()
