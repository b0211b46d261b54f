"""What goes out: a contract with one bad record is held back whole, the others are posted."""

from __future__ import annotations

import pandas as pd
import pytest

from flows.night import OutResult
from flows.steps.checks import Checks
from models.domain.words import LANGUAGES
from tests.unit.checks.rows import TODAY, records

NUMBERS = {1: "HT-1", 2: "HT-2", 3: "HT-3"}


def look(checks: Checks, frame: pd.DataFrame) -> OutResult:
    return checks.look_out(frame, TODAY, NUMBERS)


def test_sound_records_go_out(checks: Checks) -> None:
    assert look(checks, records()) == OutResult()


@pytest.mark.parametrize(
    ("spoilt", "code"),
    [
        ({"gross": 0}, "AMOUNT_NOT_POSITIVE"),
        ({"gross": -5}, "AMOUNT_NOT_POSITIVE"),
        ({"currency": None}, "CURRENCY_MISSING"),
        ({"currency": ""}, "CURRENCY_MISSING"),
        ({"currency": "rmb"}, "CURRENCY_MISSING"),
        ({"ready_day": TODAY + 1}, "READY_IN_FUTURE"),
        ({"evidence_count": 0}, "EVIDENCE_MISSING"),
        ({"over_price": 1}, "PRICE_EXCEEDED"),
    ],
)
def test_a_bad_record_holds_its_contract_back(checks: Checks, spoilt: dict, code: str) -> None:
    result = look(checks, records(**spoilt))
    assert result.held_back == {2}
    (finding,) = result.findings
    assert (finding.code, finding.place.contract) == (code, "HT-2")
    assert all("HT-2" in finding.text(language) for language in LANGUAGES)


def test_one_record_twice_holds_both_contracts_back(checks: Checks) -> None:
    result = look(checks, records(record_id="r1"))
    assert result.held_back == {1, 2}
    assert {f.code for f in result.findings} == {"RECORD_NOT_UNIQUE"}


def test_the_largest_sum_that_a_record_holds_is_read_exactly(checks: Checks) -> None:
    assert look(checks, records(gross=2**63 - 1)) == OutResult()
    result = look(checks, records(over_price=2**53 + 1))
    assert result.findings[0].params["found"] == str(2**53 + 1)


def test_a_check_that_could_not_run_holds_everything_back(checks: Checks) -> None:
    result = look(checks, records().drop(columns="evidence_count"))
    assert result.held_back == {1, 2, 3}
    assert {f.code for f in result.findings} == {"CHECK_NOT_RUN"}


def test_of_many_chunks_the_last_and_the_failing_ones_are_kept(checks: Checks) -> None:
    for spoilt in ({}, {"gross": 0}, {}, {"gross": -1}, {}):
        look(checks, records(**spoilt))
    assert [r.success for r in checks.results.values()].count(False) == 2
    assert checks.results["out"].success
    assert len(checks.results) == 3
