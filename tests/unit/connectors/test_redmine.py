"""Redmine beyond the conformance suite: what a version's issues say about it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kit.conformance import Bench
from connectors.kit.fakes import START
from connectors.redmine import mapping
from connectors.redmine.fake import RedmineFake
from connectors.registry import connector
from models.domain.observations import Provenance

OPEN, CLOSED = {"id": 1, "is_closed": False}, {"id": 5, "is_closed": True}
NONE: frozenset[str] = frozenset()


def _issue(status: dict = OPEN, ratio: int = 0, hours: float | None = None) -> dict:
    return {"status": status, "done_ratio": ratio, "estimated_hours": hours}


@pytest.mark.parametrize(
    ("issues", "percent"),
    [
        ([], 0),
        ([_issue(CLOSED)], 10_000),
        ([_issue(CLOSED), _issue(), _issue()], 3333),
        ([_issue(CLOSED, hours=30.0), _issue(hours=10.0)], 7500),
        (
            [_issue(CLOSED, hours=30.0), _issue(hours=10.0), _issue(CLOSED)],
            8333,
        ),  # without an estimate: the average, 20
        ([_issue(ratio=50), _issue(ratio=25)], 3750),
        ([_issue(CLOSED, ratio=10), _issue(ratio=100)], 10_000),
        ([_issue(CLOSED, hours=0.1), _issue(hours=0.2)], 3333),
    ],
)
def test_the_percentage_of_a_version(issues: list, percent: int) -> None:
    assert mapping.percent(issues, NONE) == percent


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 100), st.one_of(st.none(), st.floats(0.01, 9999))), max_size=30)
)
def test_the_percentage_stays_in_its_range_and_grows_with_every_closed_issue(rows: list) -> None:
    issues = [_issue(CLOSED if c else OPEN, r, h) for c, r, h in rows]
    before = mapping.percent(issues, NONE)
    assert 0 <= before <= 10_000
    for number, issue in enumerate(issues):
        better = [*issues[:number], {**issue, "status": CLOSED}, *issues[number + 1 :]]
        assert mapping.percent(better, NONE) >= before
    assert isinstance(Fraction(before, 10_000), Fraction)


def test_an_older_redmine_says_closed_by_the_list_of_statuses_only() -> None:
    assert mapping.is_closed({"status": {"id": 5, "name": "Closed"}}, frozenset({"5"}))
    assert not mapping.is_closed({"status": {"id": 1, "name": "New"}}, frozenset({"5"}))


def _versions(**options) -> Bench:
    vendor = RedmineFake()
    whole = vendor.options
    vendor.options = lambda **more: {**whole(), "milestones": ["version"], **options, **more}  # type: ignore[method-assign]
    bench = Bench(connector("redmine"), vendor)
    row = {
        "project": {"id": 1},
        "status": "open",
        "sharing": "none",
        "due_date": "2026-12-01",
        "updated_on": "2026-11-01T00:00:00Z",
    }
    vendor.versions = [{"id": 9, "name": "M1", **row}]
    for number in range(2):
        item = vendor.add(f"issue {number}")
        vendor.members[item.id] = 9
    return bench


def test_the_date_of_a_closed_version_is_that_of_its_last_issue() -> None:
    bench = _versions()
    first, second = bench.vendor.items.values()
    bench.vendor.finish(first, START + 10, "A")
    bench.vendor.finish(second, START + 20, "B")
    bench.vendor.versions[0]["status"] = "closed"
    seen = bench.pull().milestones["version:9"]
    assert (seen.done, seen.percent_bp, seen.done_by, seen.date_provenance) == (True, 10_000, "B", Provenance.CHILDREN)
    assert seen.done_at is not None
    assert seen.done_at.timestamp() == START + 20


def test_a_version_closed_with_an_open_issue_has_only_the_day_it_was_seen() -> None:
    bench = _versions()
    bench.vendor.versions[0]["status"] = "closed"
    seen = bench.pull().milestones["version:9"]
    assert (seen.done, seen.done_by, seen.date_provenance) == (True, None, Provenance.FIRST_OBSERVED)


def test_a_version_of_another_project_is_left_to_its_owner() -> None:
    bench = _versions()
    bench.vendor.versions[0]["project"] = {"id": 2}
    assert bench.pull().milestones == {}


def test_a_bad_issue_puts_its_version_aside_until_it_is_mended() -> None:
    bench = _versions()
    item = next(iter(bench.vendor.items.values()))
    bench.vendor.spoil(item, "missing")
    bench.pull()
    assert bench.known.rejected["version:9"].code == "PROOF_FIELD_MISSING"
    item.spoiled = ""
    assert "version:9" in bench.pull().milestones


@pytest.mark.parametrize("field", ["due_date", "updated_on", "status", "name"])
@pytest.mark.parametrize("value", [[], {}, 3.5, True, "not-a-date", None])
def test_a_version_with_a_field_of_another_type_is_put_aside_or_read_never_a_crash(field: str, value: object) -> None:
    bench = _versions()
    bench.vendor.versions[0][field] = value
    bench.pull()
    assert set(bench.known.milestones) | set(bench.known.rejected) == {"version:9"}
