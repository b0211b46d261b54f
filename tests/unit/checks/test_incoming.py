"""What came in: one bad row waits with its reason, the others go on; a batch wrong as a whole stops its connection."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta

import pytest

from flows.steps.checks import Checks
from flows.steps.pull import Arrived, GateResult
from models.domain.findings import Finding, Severity
from models.domain.words import LANGUAGES
from tests.unit.checks.rows import NOW, batch, observed

YESTERDAY = int((NOW - timedelta(days=1)).timestamp())


def test_sound_rows_pass(checks: Checks) -> None:
    assert checks.gate(Arrived("rd", batch())) == GateResult()


def test_what_is_absent_is_not_wrong(checks: Checks) -> None:
    """Most systems have no percentage, and what is open has no date."""
    bare = {"percent_bp": None, "done": False, "done_at": None, "planned_on": None, "planned_at": None}
    assert checks.gate(Arrived("rd", [observed(k, **bare) for k in "abc"])) == GateResult()


@pytest.mark.parametrize(
    ("spoilt", "code", "found"),
    [
        ({"milestone_id": None}, "KEY_MISSING", "-"),
        ({"milestone_id": ""}, "KEY_MISSING", ""),
        ({"name": None}, "NAME_MISSING", "-"),
        ({"name": " \t"}, "NAME_MISSING", " \t"),
        ({"name": 7}, "PROOF_FIELD_TYPE", "7"),
        ({"state": ""}, "STATE_MISSING", ""),
        ({"state": None}, "STATE_MISSING", "-"),
        ({"percent_bp": -1}, "PERCENT_RANGE", "-1"),
        ({"percent_bp": 10_001}, "PERCENT_RANGE", "10001"),
        ({"percent_bp": 50.5}, "PROOF_FIELD_TYPE", "50.5"),
        ({"percent_bp": True}, "PROOF_FIELD_TYPE", "True"),
        ({"percent_bp": 2**70}, "PROOF_FIELD_TYPE", str(2**70)),
        ({"done_at": datetime(1999, 12, 31, tzinfo=UTC)}, "DATE_NOT_SANE", "1999-12-31"),
        ({"done_on": date(2026, 11, 22)}, "DATE_NOT_SANE", "2026-11-22"),
        ({"planned_on": date(1970, 1, 1)}, "DATE_NOT_SANE", "1970-01-01"),
        ({"planned_on": date(9999, 12, 31)}, "DATE_NOT_SANE", "9999-12-31"),
    ],
)
def test_a_bad_row_is_named_and_the_others_go_on(checks: Checks, spoilt: dict, code: str, found: str) -> None:
    result = checks.gate(Arrived("rd", batch(**spoilt)))
    assert result.stop is None
    ((row, said, params),) = result.bad_rows
    assert (row, said, params["found"]) == (1, code, found)
    for language in LANGUAGES:
        assert Finding(said, Severity.ERROR, params=params).text(language)


@pytest.mark.parametrize(
    "edge",
    [
        {"percent_bp": 0},
        {"done_at": datetime(2000, 1, 1, tzinfo=UTC)},
        {"done_on": date(2026, 11, 21)},  # a day without a zone has begun somewhere
        {"planned_on": date(2099, 12, 31)},
        {"name": "=cmd|' /C calc'!A0"},
        {"name": "初验 🚀"},
    ],
)
def test_the_edges_of_what_is_allowed_pass(checks: Checks, edge: dict) -> None:
    assert checks.gate(Arrived("rd", batch(**edge))) == GateResult()


def test_the_same_id_twice_is_both_rows_fault(checks: Checks) -> None:
    result = checks.gate(Arrived("rd", [observed("a"), observed("b"), observed("a")]))
    assert [(row, code) for row, code, _ in result.bad_rows] == [(0, "KEY_NOT_UNIQUE"), (2, "KEY_NOT_UNIQUE")]


def test_a_row_with_several_faults_is_named_once(checks: Checks) -> None:
    result = checks.gate(Arrived("rd", batch(name="", state="", percent_bp=-5)))
    assert [(row, code) for row, code, _ in result.bad_rows] == [(1, "NAME_MISSING")]


def test_all_rows_bad_is_a_batch_of_quarantine_not_a_crash(checks: Checks) -> None:
    result = checks.gate(Arrived("rd", [observed(k, name=None, state=None, percent_bp=-1) for k in "abc"]))
    assert [row for row, _, _ in result.bad_rows] == [0, 1, 2]


# --- the pull as a whole -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("in_view", "gone", "stops"),
    [
        (100, 50, False), (100, 51, True), (1000, 501, True), (1001, 501, True), (100, 100, True),
        (19, 18, False), (19, 19, True), (3, 3, True), (2, 2, False), (0, 0, False),
    ],
)  # fmt: skip
def test_too_much_missing_against_the_last_run_stops_the_connection(
    checks: Checks, in_view: int, gone: int, *, stops: bool
) -> None:
    result = checks.gate(Arrived("rd", (), in_view, gone, YESTERDAY))
    assert (result.stop is not None) is stops
    if result.stop is not None:
        assert (result.stop.code, result.stop.severity, result.stop.place.connection) == (
            "ROWS_DROPPED",
            Severity.ERROR,
            "rd",
        )
        assert result.stop.params == {"seen": in_view - gone, "before": in_view, "allowed": 50}


@pytest.mark.parametrize(("ratio", "stops"), [(1, True), (9, True), (10, False), (100, False)])
def test_how_much_may_be_missing_is_configured(ratio: int, *, stops: bool) -> None:
    result = Checks(NOW, drop_ratio=ratio).gate(Arrived("rd", (), 1000, 100, YESTERDAY))
    assert (result.stop is not None) is stops


def test_nothing_is_ever_too_little_when_everything_may_be_missing() -> None:
    assert Checks(NOW, drop_ratio=100).gate(Arrived("rd", (), 500, 500, YESTERDAY)).stop is None


def test_changes_older_than_the_last_pull_are_told_and_held_back_nothing(checks: Checks) -> None:
    old = [observed(k, updated_at=NOW - timedelta(days=40)) for k in "ab"]
    result = checks.gate(Arrived("rd", old, 2, 0, YESTERDAY))
    assert (result.stop, result.bad_rows) == (None, ())
    (told,) = result.findings
    assert (told.code, told.severity, told.params["found"]) == ("SOURCE_STALE", Severity.WARNING, "2026-10-11")


def test_age_says_nothing_on_the_first_pull_or_where_a_row_has_no_stamp(checks: Checks) -> None:
    old = [observed(k, updated_at=NOW - timedelta(days=400)) for k in "ab"]
    assert checks.gate(Arrived("rd", old)).findings == ()
    assert checks.gate(Arrived("rd", [*old, observed("c", updated_at=None)], 2, 0, YESTERDAY)).findings == ()


# --- the check itself --------------------------------------------------------------------------------


def test_a_check_that_could_not_run_stops_the_connection(checks: Checks, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column that is not there: no row can be named, so none may pass."""
    from flows.steps import checks as module

    whole = module.incoming_frame
    monkeypatch.setattr(module, "incoming_frame", lambda rows: whole(rows).drop(columns="percent_bp"))
    result = checks.gate(Arrived("rd", batch()))
    assert result.stop is not None
    assert (result.stop.code, result.stop.params["field"]) == ("CHECK_NOT_RUN", "percent_bp")
    assert "percent_bp" in str(result.stop.params["why"])


def test_two_connections_may_be_looked_at_at_once(checks: Checks) -> None:
    from concurrent.futures import ThreadPoolExecutor

    came = [Arrived(f"c{n}", batch(percent_bp=20_000 if n % 2 else 100)) for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(checks.gate, came))
    assert [len(f.bad_rows) for f in found] == [0, 1] * 3
    assert {f"in-c{n}" for n in range(6)} <= checks.results.keys()


def test_great_expectations_is_not_imported_before_there_is_something_to_look_at() -> None:
    code = (
        "import sys, flows.wiring, flows.steps.checks as c, models.expectations.incoming, models.expectations.outgoing\n"
        "from datetime import datetime, UTC\n"
        "c.Checks(datetime(2026, 11, 20, tzinfo=UTC)).write_docs(None)\n"
        "sys.exit(any(m.partition('.')[0] == 'great_expectations' for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
