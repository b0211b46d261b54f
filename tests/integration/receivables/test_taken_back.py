"""Bookings that were taken back, money that came early and invoices for less: dossier, reminders and forecast agree."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from itertools import count
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors.calendars import calendar_specs
from connectors.reports.dossier.page import index_page
from connectors.store.bulk import fetch
from flows.cli import app
from flows.steps.evaluation.columns import day_number
from flows.steps.explain import explain
from flows.steps.receivables import bank_money
from flows.steps.receivables.agreements import add_extension, add_plan, find_term
from flows.steps.receivables.dossier import term_dossier
from flows.steps.receivables.outlook import look_ahead
from flows.steps.receivables.reminders import paused
from flows.steps.receivables.standing import open_terms
from models.domain.outlook import Outlook
from models.domain.receivables.forecast import Threshold
from tests.fakes.company import Company, company
from tests.integration.receivables.conftest import Desk

CONTRACT = """
contract: HT-1
customer: {name: 苏州恒拓}
supplier: {name: 杭州星澜}
currency: CNY
timezone: Asia/Shanghai
calendar: WEEKEND_ONLY
price_basis: tax_inclusive
lines: [{id: L, amount: "200000.00", tax_rate: 6%}]
late: {daily_rate: "0.0005"}
events: {s: 2026-01-05}
terms:
  - {id: A, amount: "100000.00", when: s, due: 10 days after invoice_date}
  - {id: B, amount: remaining, when: s, due: 10 days after invoice_date}
"""
BILLED = "contract,term,invoice_no,invoice_date,invoice_received,invoiced_amount\nHT-1,A,N1,2026-01-06,2026-01-06,100000.00\n"
BILL = "date,amount,currency,payer,reference,method,maturity\n2026-01-12,60000.00,CNY,苏州恒拓,HT-1/A,银行承兑汇票,2026-03-15\n"
DAY = date(2026, 2, 2)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """HT-1/A (100,000.00) was invoiced on 6 January and is due on the 16th; B, the same sum, is ready."""
    with company(tmp_path) as firm:
        firm.contract("HT-1", text=CONTRACT)
        firm.night(day=date(2026, 1, 6))
        made = Desk(firm, tmp_path, count(1))
        made.invoices(BILLED, today=DAY)
        yield made


def outlook(firm: Company, day: date = DAY) -> Outlook:
    with firm.store.read() as connection:
        return look_ahead(connection, day, calendar_specs, Threshold()).outlook


def months(found: Outlook) -> dict[str, int]:
    return {x.period: x.gross for x in found.months}


def bounce(desk: Desk, on: date) -> None:
    (line,) = [r[0] for r in desk.rows("SELECT id FROM bank_lines WHERE maturity_day IS NOT NULL")]
    with desk.firm.store.begin() as connection:
        assert bank_money.returned(connection, int(str(line)), on, "dishonoured", "Wang", desk.now()) == 1


def test_a_bill_that_bounced_was_never_given(desk: Desk) -> None:
    """100,000.00 for the 17 days from 17 January to 2 February: 850.00; nothing is in hand any more."""
    desk.payments(BILL, today=DAY)
    desk.firm.night(day=DAY)
    assert months(outlook(desk.firm)) == {"2026-02": 140_000_00, "2026-03": 60_000_00}
    bounce(desk, date(2026, 2, 1))
    desk.firm.night(day=DAY)
    with desk.firm.store.begin() as connection:
        (term,) = term_dossier(connection, "HT-1/A", DAY, calendar_specs).terms
        assert paused(connection, DAY) == []
        page = index_page(term_dossier(connection, "HT-1/A", DAY, calendar_specs), (), "zh-CN").decode()
    assert "银行承兑汇票 · 2026-02-01 拒付" in page
    assert "<td>退回</td>" in page
    assert "returned" not in page
    assert term.interest is not None
    assert (term.interest.total, term.open, term.pending) == (850_00, 100_000_00, 0)
    assert [m.minor for m in term.money] == [60_000_00, -60_000_00]  # what happened stays visible
    assert months(outlook(desk.firm)) == {"2026-02": 200_000_00}
    # On the day before it bounced it was in hand.
    assert months(outlook(desk.firm, date(2026, 1, 31)))["2026-03"] == 60_000_00


def paid(desk: Desk, term: str, amount: str, on: str, name: str) -> None:
    desk.payments(f"date,amount,currency,contract,term\n{on},{amount},CNY,HT-1,{term}\n", name, today=DAY)


def test_money_before_the_invoice_is_seen_at_once(desk: Desk) -> None:
    desk.firm.night(day=date(2026, 2, 1))
    paid(desk, "B", "70000.00", "2026-02-01", "early.csv")
    looked = desk.firm.night(day=DAY, write_reports=lambda _report: ()).report.outlook
    assert months(looked) == {"2026-02": 130_000_00}
    assert [(m.term, m.gross, m.end, m.why.code) for m in looked.moves] == [("B", 70_000_00, None, "paid")]
    desk.invoices(BILLED.replace("A,N1", "B,N2").replace("2026-01-06", "2026-02-02"), today=DAY)
    looked = desk.firm.night(day=date(2026, 2, 3), write_reports=lambda _report: ()).report.outlook
    assert (months(looked), looked.moves) == ({"2026-02": 130_000_00}, ())


def test_a_term_due_without_an_invoice_owes_what_was_not_paid_before(tmp_path: Path) -> None:
    with company(tmp_path) as firm:
        firm.contract("HT-1", text=CONTRACT.replace("after invoice_date", "after ready"))
        firm.night(day=date(2026, 1, 6))
        paid(Desk(firm, tmp_path, count(1)), "B", "70000.00", "2026-01-10", "early.csv")
        with firm.store.read() as connection:
            terms = open_terms(connection, day_number(DAY))
        assert dict(zip(terms.term.tolist(), terms.open.tolist(), strict=True)) == {"A": 100_000_00, "B": 30_000_00}


LATE = """
contract: HT-9
customer: {name: 苏州恒拓}
supplier: {name: 杭州星澜}
currency: CNY
timezone: Asia/Shanghai
calendar: WEEKEND_ONLY
price_basis: tax_inclusive
lines: [{id: L, amount: "300.00", tax_rate: 6%}]
events: {s: 2026-01-05}
opening:
  - {term: A, invoiced: "100.00", invoiced_on: 2026-01-06, paid: "100.00", paid_on: 2026-01-17}
  - {term: B, invoiced: "100.00", invoiced_on: 2026-01-06, paid: "100.00", paid_on: 2026-01-18}
terms:
  - {id: A, amount: "100.00", when: s, due: 10 days after invoice_date}
  - {id: B, amount: "100.00", when: s, due: 10 days after invoice_date}
  - {id: C, amount: remaining, when: s, due: 10 days after invoice_date}
"""


def test_a_booking_that_was_undone_is_no_day_on_which_a_customer_paid(tmp_path: Path) -> None:
    """1 and 2 days late, and C: paid on its 3rd day after; what was booked by mistake on 1 February was not for it."""
    with company(tmp_path) as firm:
        firm.contract("HT-9", text=LATE)
        firm.night(day=date(2026, 1, 6))
        desk = Desk(firm, tmp_path, count(1))
        desk.invoices(BILLED.replace("HT-1,A,N1", "HT-9,C,N9").replace("100000.00", "100.00"), today=DAY)
        head = "date,amount,currency,contract,term\n"
        desk.payments(head + "2026-02-01,100.00,CNY,HT-9,C\n", "wrong.csv", today=DAY)
        with firm.store.begin() as connection:
            bank_money.undo(connection, 1, "for somebody else", "Wang", desk.now())
        desk.payments(head + "2026-01-19,100.00,CNY,HT-9,C\n", "right.csv", today=DAY)
        firm.night(day=DAY)
        (line,) = outlook(firm).behaviour
        assert (line.terms, line.early, line.median, line.late) == (3, 1, 2, 3)


def test_what_was_not_invoiced_of_a_ready_term_is_still_expected(desk: Desk) -> None:
    """60,000.00 of B are invoiced on 2 February; the other 40,000.00 may be at any day, and stay in the forecast."""
    desk.firm.night(day=date(2026, 2, 1))
    desk.invoices(
        BILLED.replace("A,N1", "B,N2").replace("2026-01-06", "2026-02-02").replace("100000", "60000"), today=DAY
    )
    told = desk.firm.night(day=DAY, write_reports=lambda _report: ()).report.outlook
    assert (months(told), told.moves) == ({"2026-02": 200_000_00}, ())
    paid(desk, "B", "60000.00", "2026-02-03", "all-of-it.csv")
    third = date(2026, 2, 3)
    told = desk.firm.night(day=third, write_reports=lambda _report: ()).report.outlook
    assert months(told) == {"2026-02": 140_000_00}
    assert [(m.term, m.gross, m.end, m.why.code) for m in told.moves] == [("B", 60_000_00, None, "paid")]
    with desk.firm.store.read() as connection:
        ((body,),) = fetch(connection, "SELECT body FROM forecasts ORDER BY id DESC LIMIT 1")
    status, parts = next((t[1], t[7]) for t in json.loads(body)[1:] if t[0] == "B")
    assert (status, parts) == ("part_paid", [[day_number(date(2026, 2, 13)), 40_000_00, "ready"]])
    # The second invoice asks for the rest: nothing leaves, nothing comes.
    more = BILLED.replace("A,N1", "B,N3").replace("2026-01-06", "2026-02-03").replace("100000", "40000")
    desk.invoices(more, today=third)
    told = desk.firm.night(day=date(2026, 2, 4), write_reports=lambda _report: ()).report.outlook
    assert (months(told), told.moves) == ({"2026-02": 140_000_00}, ())


def test_what_was_not_invoiced_of_a_held_term_has_no_day(desk: Desk) -> None:
    desk.invoices(
        BILLED.replace("A,N1", "B,N2").replace("2026-01-06", "2026-02-02").replace("100000", "60000"), today=DAY
    )
    with desk.firm.store.begin() as connection:
        connection.exec_driver_sql(
            'INSERT INTO interventions (key, contract_id, term_id, kind, day, reason, "by", recorded_at) '
            "SELECT 'k', contract_id, id, 'hold', 20000, 'merges', 'Wang', 1 FROM terms WHERE code = 'B'"
        )
    desk.firm.night(day=DAY)
    found = outlook(desk.firm)
    assert [(x.gross, x.reason) for x in found.undated] == [(60_000_00, "held"), (40_000_00, "held")]


def test_an_opening_without_an_invoice_date_has_no_due_date_and_is_told_so(tmp_path: Path) -> None:
    with company(tmp_path) as firm:
        opening = 'opening: [{term: A, invoiced: "100000.00"}]\nterms:'
        firm.contract("HT-1", text=CONTRACT.replace("terms:", opening).replace("WEEKEND_ONLY", "CN"))
        firm.night(day=DAY)
        assert [(x.term, x.reason) for x in outlook(firm).undated] == [("A", "no_invoice_date")]


def explained(desk: Desk, term: str) -> dict[str, object]:
    with desk.firm.store.begin() as connection:
        (one,) = explain(connection, "HT-1", term, day_number(DAY), calendar_specs) or ()
    return one.values


def test_an_agreed_date_stands_beside_that_of_the_contract(desk: Desk) -> None:
    """Due on 16 January and extended to 31 May: 17 days overdue by the contract, none as agreed, nothing asked for."""
    desk.firm.night(day=DAY)
    with desk.firm.store.begin() as connection:
        owner = find_term(connection, "HT-1/A")
        add_extension(connection, owner, DAY, date(2026, 5, 31), "Wang", None, desk.now())
        (term,) = term_dossier(connection, "HT-1/A", DAY, calendar_specs).terms
    values = explained(desk, "A")
    assert (values["due_on"], values["overdue_days"]) == ("2026-01-16", 17)
    assert (values["agreed_due_on"], values["agreed_overdue_days"]) == ("2026-05-31", 0)
    assert (term.open, term.asked, term.not_yet) == (100_000_00, 0, 100_000_00)
    shown = CliRunner().invoke(
        app, ["explain", "HT-1/A", "--config", str(desk.folder / "huikuan.toml"), "--as-of", "2026-02-02"]
    )
    assert "due on 2026-01-16 by the contract, on 2026-05-31 as agreed: 0 days overdue" in shown.output


def test_a_plan_is_explained_by_instalment(desk: Desk) -> None:
    desk.firm.night(day=DAY)
    parts = [(date(2026, 3, 2), 40_000_00), (date(2026, 4, 1), 60_000_00)]
    with desk.firm.store.begin() as connection:
        owner = find_term(connection, "HT-1/A")
        add_plan(connection, owner, DAY, parts, "Wang", desk.now(), default_clause=False)
    values = explained(desk, "A")
    assert values["agreed_due_on"] == "2026-03-02"
    assert values["instalments"] == [
        {"due_on": "2026-03-02", "open": "40000.00"},
        {"due_on": "2026-04-01", "open": "60000.00"},
    ]


def test_money_before_the_invoice_is_explained(desk: Desk) -> None:
    paid(desk, "B", "70000.00", "2026-02-01", "early.csv")
    values = explained(desk, "B")
    assert (values["status"], values["paid"], values["outstanding"]) == ("ready", "70000.00", "30000.00")
    assert "paid" not in explained(desk, "A")
