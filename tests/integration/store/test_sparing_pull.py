"""Nights of a connector that leaves out what did not change, through to the store's rows."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa

from connectors.kit.conformance import Bench
from connectors.kit.fakes import START
from connectors.registry import connector
from connectors.store import Store
from flows.steps.pull import PullOutcome, pull_connection
from models.ports import PullRequest
from models.tables import cursors, milestones, observations

DAY = 86_400


def _night(bench: Bench, store: Store, day: int) -> PullOutcome:
    bench.at(day * DAY)
    with store.read() as reader:
        cursor = reader.execute(sa.select(cursors.c.value).where(cursors.c.connection == "c")).scalar()
    request = PullRequest((), cursor, False, bench.clock.now())

    async def pull() -> PullOutcome:
        async with bench.source() as source:
            return await pull_connection(source, store, request, f"run {day}", (START + day * DAY) * 1_000_000)

    return asyncio.run(pull())


def _rows(store: Store) -> dict[str, bool]:
    with store.read() as reader:
        return {i: bool(d) for i, d in reader.execute(sa.select(milestones.c.vendor_id, milestones.c.deleted))}


def _told(store: Store) -> int:
    with store.read() as reader:
        return int(reader.execute(sa.select(sa.func.count()).select_from(observations)).scalar() or 0)


@pytest.mark.parametrize("system", ["linear", "monday", "openproject"])
def test_quiet_nights_write_nothing_and_lose_nothing(system: str, store: Store) -> None:
    info = connector(system)
    bench = Bench(info, info.fake())
    items = [bench.vendor.add(f"M{n}", n % 2) for n in range(30)]
    for item in items[:10]:
        bench.vendor.finish(item)
    ids = {bench.vendor.milestone_id(i) for i in items}
    assert _night(bench, store, 1).state == "done"
    assert _rows(store) == dict.fromkeys(ids, False)
    told = _told(store)
    for day in (2, 3, 9):
        assert _night(bench, store, day).state == "done"
        assert (_told(store), _rows(store)) == (told, dict.fromkeys(ids, False))
    gone = bench.vendor.milestone_id(items[4])
    bench.vendor.remove(items[4])
    bench.vendor.reopen(items[5], at=START + 9 * DAY + 60)
    assert _night(bench, store, 10).state == "done"
    assert _rows(store) == {i: i == gone for i in ids}
    assert _told(store) == told + 2
