"""A part invoice takes the whole record off the list: the rest is told every night, until it is asked for."""

from __future__ import annotations

from datetime import date, timedelta

from models.domain.findings import Severity
from tests.integration.receivables.conftest import TODAY, Desk

HEAD = "contract,term,invoice_no,invoice_date,invoice_received,invoiced_amount,red_of\n"


def _told(desk: Desk, day: date) -> list[tuple[str, str]]:
    found = [f for f in desk.firm.night(day=day).report.findings if f.code == "INVOICED_BELOW_READY"]
    assert all(f.severity is Severity.WARNING and "不在清单上" in f.text("zh-CN") for f in found)
    return [(f"{f.place.contract}/{f.place.term}", str(f.params["left"])) for f in found]


def _row(number: str, amount: str, red_of: str = "") -> str:
    return f"C-1,T1,{number},2026-11-20,,{amount},{red_of}\n"


def test_what_is_left_of_a_part_invoice_is_told_until_it_is_invoiced(desk: Desk) -> None:
    days = [TODAY + timedelta(days=n) for n in range(5)]
    assert _told(desk, days[0]) == []
    assert desk.invoices(HEAD + _row("A1", "100.00")).findings == ()
    assert [_told(desk, d) for d in days[:2]] == [[("C-1/T1", "CNY 300.00")]] * 2
    assert desk.invoices(HEAD + _row("A2", "250.00")).findings == ()
    assert _told(desk, days[2]) == [("C-1/T1", "CNY 50.00")]
    assert desk.invoices(HEAD + _row("A3", "50.00")).findings == ()
    assert _told(desk, days[3]) == []


def test_what_was_asked_for_and_credited_in_part_is_not_told(desk: Desk) -> None:
    assert desk.invoices(HEAD + _row("A1", "400.00")).findings == ()
    assert desk.invoices(HEAD + _row("R1", "300.00", "A1")).findings == ()
    assert _told(desk, TODAY) == []


def test_a_part_invoice_that_was_taken_back_puts_the_whole_on_the_list_again(desk: Desk) -> None:
    assert desk.invoices(HEAD + _row("A1", "100.00")).findings == ()
    assert _told(desk, TODAY) == [("C-1/T1", "CNY 300.00")]
    assert desk.invoices(HEAD + _row("R1", "100.00", "A1")).findings == ()
    assert _told(desk, TODAY + timedelta(days=1)) == []
    assert desk.firm.records()[-1] == ("C-1", "T1", 2, "ready")
