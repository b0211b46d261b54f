"""Odoo's rows: false for nothing, a day without a time, a last writer who proves nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.http.fields import BadRow
from connectors.http.source import Project
from connectors.odoo import mapping
from models.domain.observations import Observation, Provenance

PROJECT = Project("3", "ALPHA", "ALPHA", {"active": True})
ROW = {
    "id": 7, "name": "初验", "project_id": [3, "ALPHA"], "deadline": "2026-12-20", "is_reached": True,
    "reached_date": "2026-11-20", "task_count": 3, "done_task_count": 1, "write_date": "2026-11-21 23:59:59",
    "create_date": "2026-01-01 00:00:00", "write_uid": [9, "somebody"],
}  # fmt: skip


def _seen(**changes: object) -> Observation:
    return mapping.milestone("c", {**ROW, **changes}, PROJECT, "https://odoo.example")


def test_reached_is_a_day_without_a_time_and_nobody_is_named() -> None:
    seen = _seen()
    assert (seen.done, seen.done_on, seen.done_at, seen.done_by) == (True, date(2026, 11, 20), None, None)
    assert (seen.date_provenance, seen.person_provenance) == (Provenance.NATIVE, Provenance.ABSENT)
    assert seen.milestone_id == "milestone:7"


def test_the_date_of_the_last_writing_is_utc_without_saying_so() -> None:
    assert _seen().updated_at == datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC)


def test_unticked_keeps_no_date_even_where_one_is_left() -> None:
    seen = _seen(is_reached=False)
    assert (seen.done, seen.done_on, seen.date_provenance) == (False, None, Provenance.ABSENT)


def test_reached_without_a_day_has_only_the_moment_it_was_seen() -> None:
    assert _seen(reached_date=False).date_provenance is Provenance.FIRST_OBSERVED


def test_false_is_nothing_not_a_date() -> None:
    seen = _seen(deadline=False, reached_date=False, is_reached=False)
    assert (seen.planned_on, seen.done_on) == (None, None)


@pytest.mark.parametrize(
    ("whole", "closed", "percent"), [(3, 1, 3333), (2, 2, 10_000), (0, 0, None), (False, False, None), (3, None, None)]
)
def test_the_percentage_counts_the_closed_tasks(whole: object, closed: object, percent: int | None) -> None:
    seen = _seen(task_count=whole, done_task_count=closed)
    assert seen.percent_bp == percent
    assert (seen.percent_provenance is Provenance.CHILDREN) == (percent is not None)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"is_reached": None}, "PROOF_FIELD_MISSING"),
        ({"is_reached": "yes"}, "PROOF_FIELD_TYPE"),
        ({"is_reached": 1}, "PROOF_FIELD_TYPE"),
        ({"name": False}, "PROOF_FIELD_TYPE"),
        ({"done_task_count": 4}, "PERCENT_RANGE"),
        ({"reached_date": "20/11/2026"}, "PROOF_FIELD_TYPE"),
        ({"write_date": 5}, "PROOF_FIELD_TYPE"),
    ],
)
def test_a_row_that_cannot_be_trusted_is_put_aside(changes: dict[str, object], code: str) -> None:
    with pytest.raises(BadRow) as problem:
        _seen(**changes)
    assert problem.value.code == code


def test_a_milestone_without_its_project_is_put_aside() -> None:
    with pytest.raises(BadRow):
        mapping.project_of({**ROW, "project_id": False})
    assert mapping.project_of(ROW) == "3"


@given(
    st.sampled_from(sorted(ROW)),
    st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.floats(), st.lists, max_leaves=3),
)
def test_no_value_makes_more_than_a_row_put_aside(field: str, value: object) -> None:
    try:
        _seen(**{field: value})
    except BadRow:
        return
