"""Whatever GitLab or GitHub put into a milestone, an issue or an event: read or put aside, and the good ones go on."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.github.fake import GitHubFake
from connectors.gitlab.fake import GitLabFake
from connectors.kit.conformance import Bench
from connectors.kit.fakes import START, Item, Row
from connectors.registry import connector
from tests.unit.connectors.test_odd_rows import JSON

FIELDS = {
    "gitlab": ["title", "state", "due_date", "updated_at", "web_url", "description", "project_id", "expired"],
    "github": [
        "title",
        "state",
        "due_on",
        "updated_at",
        "closed_at",
        "html_url",
        "number",
        "open_issues",
        "closed_issues",
    ],
}
ISSUE = {
    "gitlab": ["id", "state", "closed_at", "closed_by", "title"],
    "github": ["number", "state", "closed_at", "closed_by", "updated_at"],
}


def _bench(system: str) -> tuple[Bench, Item, Item]:
    """A finished milestone that is to be odd, and one that is as it should be; each with a closed issue."""
    vendor = GitLabFake() if system == "gitlab" else GitHubFake()
    odd, good = vendor.add("odd"), vendor.add("good")
    for item in (odd, good):
        vendor.finish(item, START - 60)
        if isinstance(vendor, GitLabFake):
            vendor.issue(item, closed_at=START - 120)
    return Bench(connector(system), vendor), odd, good


def _demand(bench: Bench, odd: Item, good: Item) -> None:
    bench.pull()
    here = set(bench.known.milestones) | set(bench.known.rejected)
    assert {bench.vendor.milestone_id(odd), bench.vendor.milestone_id(good)} <= here
    assert bench.seen(good).done
    assert bench.seen(good).percent_bp == 10_000


@pytest.mark.parametrize("system", FIELDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_odd_milestones(system: str, data: st.DataObject) -> None:
    bench, odd, good = _bench(system)
    odd.unknown = {data.draw(st.sampled_from(FIELDS[system])): data.draw(JSON)}
    _demand(bench, odd, good)


@pytest.mark.parametrize("system", ISSUE)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_odd_issues(system: str, data: st.DataObject) -> None:
    """An issue may spoil its own milestone, never another one's."""
    bench, odd, good = _bench(system)
    change = {data.draw(st.sampled_from(ISSUE[system])): data.draw(JSON)}
    vendor = bench.vendor
    whole = vendor._issue  # type: ignore[attr-defined]

    def spoiled(row: Row | Item, **more: bool) -> Row:
        mine = row.id == odd.id if isinstance(row, Item) else row["milestone"] is odd
        return {**whole(row, **more), **(change if mine else {})}

    vendor._issue = spoiled  # type: ignore[attr-defined]
    _demand(bench, odd, good)


@settings(max_examples=60, deadline=None)
@given(field=st.sampled_from(["id", "action_name", "target_id", "created_at", "author", "author_username"]), value=JSON)
def test_odd_events(field: str, value: object) -> None:
    bench, odd, good = _bench("gitlab")
    vendor = bench.vendor
    assert isinstance(vendor, GitLabFake)
    whole = vendor._events
    vendor._events = lambda item: [{**e, **({field: value} if item is odd else {})} for e in whole(item)]  # type: ignore[method-assign]
    _demand(bench, odd, good)
