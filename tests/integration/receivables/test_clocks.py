"""Instalments that did not come, limitation periods, what has no due date, and sums that cannot be agreed on."""

from __future__ import annotations

from datetime import date

from tests.integration.receivables.conftest import Desk
from tests.integration.receivables.test_follow import as_json, command, later, owing
from tests.integration.receivables.test_imports import BILLED

__all__ = ["owing"]


def told(desk: Desk, day: date) -> list[str]:
    return [f.code for f in desk.firm.night(day=day).report.findings if f.code != "FORECAST_MOVED"]


def test_an_instalment_that_did_not_come_is_noticed_the_next_night(owing: Desk) -> None:
    parts = [f"{later(30).isoformat()}=100.00", f"{later(60).isoformat()}=300.00"]
    command(owing, "plan", "C-1/T1", *parts, "--by", "Wang", "--day", later(3).isoformat())
    assert told(owing, later(30)) == []
    assert told(owing, later(31)) == ["PLAN_BROKEN"]
    owing.payments("date,amount,currency,contract,term\n2027-01-02,60.00,CNY,C-1,T1\n", today=later(34))
    (finding,) = [f for f in owing.firm.night(day=later(34)).report.findings if f.code == "PLAN_BROKEN"]
    assert finding.params["amount"] == "CNY 40.00"
    owing.payments("date,amount,currency,contract,term\n2027-01-03,40.00,CNY,C-1,T1\n", today=later(35))
    assert told(owing, later(35)) == []
    assert told(owing, later(61)) == ["PLAN_BROKEN"]


def test_the_limitation_period_is_told_of_and_starts_again_with_proof_only(owing: Desk) -> None:
    """T1 was due on 30 November 2026: until 30 November 2029."""
    assert told(owing, date(2029, 6, 2)) == []
    assert told(owing, date(2029, 6, 3)) == ["LIMITATION_ENDS"]
    touch = ["remind", "C-1/T1", "--log", "demand", "--by", "Wang"]
    command(owing, *touch, "--day", "2029-07-01", "--as-of", "2029-07-01")
    assert told(owing, date(2029, 7, 2)) == ["LIMITATION_ENDS"]
    assert told(owing, date(2029, 12, 1)) == ["LIMITATION_OVER"]
    command(owing, *touch, "--day", "2029-08-01", "--proof", "EMS 1", "--as-of", "2029-08-01")
    assert told(owing, date(2029, 12, 2)) == []
    assert told(owing, date(2032, 7, 1)) == ["LIMITATION_ENDS"]


def test_what_has_no_due_date_is_in_the_ageing_all_the_same(desk: Desk) -> None:
    """Nobody wrote down when the invoice arrived: the buckets still add up to what is outstanding."""
    desk.invoices(BILLED.replace("2026-11-19,2026-11-19,", "2026-11-19,,"))
    desk.firm.night()
    assert as_json(desk, "ageing") == [
        {"customer": "Customer", "currency": "CNY", "bucket": "no_due_date", "open": "400.00", "terms": 1}
    ]
    assert "400.00" in command(desk, "ageing")


def test_sums_that_cannot_be_agreed_on(owing: Desk) -> None:
    at = ["--by", "Wang", "--day", later(1).isoformat()]
    for amount in ("0", "-5.00"):
        command(owing, "promise", "C-1/T1", later(9).isoformat(), *at, "--", amount, code=2)
    command(owing, "plan", "C-1/T1", f"{later(9).isoformat()}=-100.00", f"{later(9).isoformat()}=500.00", *at, code=2)
    paper = ["guarantees", "C-1", "G-1"]
    command(owing, *paper, "--kind", "bid", "--issued", "2026-11-01", "--amount=-9.00", code=2)
    command(owing, *paper, "--kind", "bid", "--issued", "2026-11-01", "--amount", "9.00")
    for sum_ in ("0", "-1.00", "9.01"):
        command(owing, *paper, f"--reduced={sum_}", *at, code=2)
    command(owing, *paper, "--extended", "2026-10-01", *at, code=2)
    command(owing, *paper, "--returned", "2026-12-02", "--by", "Wang")
    command(owing, *paper, "--returned", "2026-12-02", "--by", "Wang")
    command(owing, *paper, "--reduced", "1.00", "--by", "Wang", "--day", "2026-12-03", code=2)
    assert owing.rows("SELECT COUNT(*) FROM agreements") == [(0,)]
    assert len(owing.rows("SELECT 1 FROM guarantee_events")) == 1


def test_a_person_says_what_a_line_is_by_command(owing: Desk) -> None:
    owing.payments("date,amount,currency,reference\n2026-11-20,57.00,USD,x\n2026-11-20,9.00,CNY,rent\n")
    (dollars, rent) = (str(w["line"]) for w in as_json(owing, "allocate", code=1))
    command(owing, "allocate", rent, "--aside", "rent", code=2)  # nobody says who
    command(owing, "allocate", rent, "--aside", "rent", "--undo", "x", "--by", "Wang", code=2)
    command(owing, "allocate", rent, code=2)
    command(owing, "allocate", rent, "--aside", "rent", "--by", "Wang")
    command(owing, "allocate", dollars, "C-1/T1", "--by", "Wang", code=2)
    command(owing, "allocate", dollars, "C-1/T1", "--counts-as", "400.00", "--by", "Wang")
    assert as_json(owing, "allocate") == []
    assert "400.00" in command(owing, "ageing", "--as-of", "2026-11-25")
    owing.firm.night(day=date(2026, 11, 25))
    assert as_json(owing, "ageing", "--as-of", "2026-11-25") == []
    command(owing, "allocate", dollars, "--returned", "2026-11-24", "--reason", "recalled", "--by", "Wang")
    command(owing, "allocate", rent, "--undo", "it was a customer", "--by", "Wang")
    assert [str(w["line"]) for w in as_json(owing, "allocate", code=1)] == [rent]
