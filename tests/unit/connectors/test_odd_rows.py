"""Whatever a vendor puts into a field, a row is read or put aside: no crash, no row lost, the good ones go on."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.kit.conformance import Bench
from connectors.kit.fakes import ScriptedVendor
from connectors.pingcode import fake as pingcode
from connectors.redmine.fake import RedmineFake
from connectors.registry import connector
from connectors.worktile import fake as worktile

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
VENDORS: dict[str, type[ScriptedVendor]] = {
    "pingcode": pingcode.PingCodeFake,
    "worktile": worktile.WorktileFake,
    "redmine": RedmineFake,
}
FIELDS = {
    "pingcode": [
        "title",
        "state",
        "end_at",
        "completed_at",
        "updated_at",
        "is_deleted",
        "is_archived",
        "html_url",
        "properties",
    ],
    "worktile": [
        "title",
        "task_state",
        "state_type",
        "completed_at",
        "updated_at",
        "is_archived",
        "properties",
        "is_deleted",
    ],
    "redmine": ["subject", "status", "done_ratio", "due_date", "updated_on", "closed_on", "estimated_hours"],
}


@pytest.mark.parametrize("system", VENDORS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_odd_values(system: str, data: st.DataObject) -> None:
    vendor = VENDORS[system]()
    bench = Bench(connector(system), vendor)
    odd, good = vendor.add("odd"), vendor.add("good")
    vendor.finish(good)
    odd.unknown = {data.draw(st.sampled_from(FIELDS[system])): data.draw(JSON)}
    bench.pull()
    here = set(bench.known.milestones) | set(bench.known.rejected)
    assert {vendor.milestone_id(odd), vendor.milestone_id(good)} <= here
    assert bench.seen(good).done


@pytest.mark.parametrize("system", VENDORS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_odd_states(system: str, data: st.DataObject) -> None:
    """The object that proves it, with odd insides."""
    vendor = VENDORS[system]()
    bench = Bench(connector(system), vendor)
    odd, good = vendor.add("odd"), vendor.add("good")
    vendor.finish(good)
    name = {"pingcode": "state", "worktile": "task_state", "redmine": "status"}[system]
    keys = st.sampled_from(["id", "_id", "name", "type", "is_closed"])
    odd.unknown = {name: data.draw(st.dictionaries(keys, JSON, max_size=4))}
    bench.pull()
    assert {vendor.milestone_id(odd), vendor.milestone_id(good)} <= set(bench.known.milestones) | set(
        bench.known.rejected
    )
