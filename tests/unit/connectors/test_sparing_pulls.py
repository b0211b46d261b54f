"""Pulls that leave out what did not change know, after any script, what a fresh reading of everything knows."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.kit.conformance import Bench
from connectors.registry import connector

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "finish", "reopen", "rename", "relocate", "remove", "spoil", "rest"]),
        st.integers(0, 5),
        st.sampled_from([1, 700, 3600, 86_400, 8 * 86_400]),
    ),
    min_size=3,
    max_size=14,
)


def _act(bench: Bench, what: str, which: int, count: int) -> None:
    vendor = bench.vendor
    alive = [i for i in vendor.items.values() if not i.removed]
    if what == "add" or not alive:
        vendor.add(f"M{count}", count % 2)
    elif what == "finish":
        vendor.finish(alive[which % len(alive)], by=f"P{count}")
    elif what == "reopen":
        item = alive[which % len(alive)]
        if item.done:
            vendor.reopen(item)
    elif what == "rename":
        vendor.rename(alive[which % len(alive)], f"N{count}")
    elif what == "relocate":
        item = alive[which % len(alive)]
        vendor.relocate(item, 1 - item.project)
    elif what == "remove":
        vendor.remove(alive[which % len(alive)])
    elif what == "spoil":
        vendor.spoil(alive[which % len(alive)], "missing")


@pytest.mark.parametrize("system", ["linear", "monday", "openproject"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_incremental_equals_full(system: str, steps: list[tuple[str, int, int]]) -> None:
    info = connector(system)
    bench = Bench(info, info.fake())
    now = 0
    for count, (what, which, wait) in enumerate(steps):
        now += wait
        bench.at(now)
        _act(bench, what, which, count)
        bench.pull()
    bench.pull()  # a move is settled by the pull after the one that saw it
    if any(what == "spoil" for what, _, _ in steps):  # and one of a row that nobody could read, by a whole reading
        bench.at(now + 8 * 86_400)
        bench.pull()
    known = {k: o for k, o in bench.known.milestones.items() if not o.deleted}
    fresh = Bench(info, bench.vendor)
    fresh.clock = bench.clock
    seen = dict(fresh.pull(full=True).milestones)
    spoiled = {k for k in known if k not in seen}
    assert spoiled <= set(fresh.known.rejected)  # of these the last good word stands
    assert {k: o for k, o in known.items() if k not in spoiled} == seen
