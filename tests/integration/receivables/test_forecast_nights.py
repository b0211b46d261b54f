"""The forecast over nights: a milestone slips, money comes, people say things - and every month adds up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import count
from pathlib import Path

import pytest

from connectors.calendars import calendar_specs
from connectors.store.bulk import fetch
from flows.steps.receivables.agreements import Touch, add_extension, add_plan, add_promise, add_touch, find_term
from flows.steps.receivables.outlook import Looked, look_ahead
from models.domain.outlook import Outlook
from models.domain.receivables.agreements import Promise
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
lines: [{id: L, amount: "100000.00", tax_rate: 6%}]
events:
  signed: 2026-01-05
  accepted: {milestone: {connection: rd, project: RD, name: M1}}
  report: {document: 报告}
opening:
  - {term: P1, invoiced: "10000.00", invoiced_on: 2026-02-02, paid: "10000.00", paid_on: 2026-03-24}
  - {term: P2, invoiced: "10000.00", invoiced_on: 2026-04-01, paid: "10000.00", paid_on: 2026-05-11}
  - {term: P3, invoiced: "10000.00", invoiced_on: 2026-06-01, paid: "10000.00", paid_on: 2026-07-15}
  - {term: P4, invoiced: "10000.00", invoiced_on: 2026-11-02}
contacts: [{role: project_manager, name: 李雷, email: li@example.com}]
terms:
  - {id: P1, amount: 10%, when: signed, due: 30 days after invoice_date}
  - {id: P2, amount: 10%, when: signed, due: 30 days after invoice_date}
  - {id: P3, amount: 10%, when: signed, due: 30 days after invoice_date}
  - {id: P4, amount: 10%, when: signed, due: 30 days after invoice_date}
  - {id: T1, amount: 40%, when: accepted, due: 30 days after invoice_date}
  - {id: T2, amount: remaining, when: {all: [accepted, report]}, due: 30 days after invoice_date}
"""
NOTIFY = """
[[notify]]
role = "finance"
on = ["forecast"]
url = "json://127.0.0.1:9/x"
"""
FIRST, SECOND, THIRD = date(2026, 11, 20), date(2026, 11, 21), date(2026, 11, 22)


@pytest.fixture
def firm(tmp_path: Path) -> Iterator[Company]:
    with company(tmp_path, more=NOTIFY) as it:
        it.contract("HT-1", text=CONTRACT)
        yield it


def slip(firm: Company, to: datetime, on: date) -> None:
    item = firm.world.find("M1")
    item.planned, item.updated_at = int(to.timestamp()), int(firm.at(on, 9).timestamp())


def night(firm: Company, day: date) -> Outlook:
    return firm.night(day=day, write_reports=lambda _report: ()).report.outlook


def books(outlook: Outlook) -> Counter[str]:
    found = Counter({x.period: x.gross for x in outlook.months})
    found[""] += sum(x.gross for x in outlook.undated)
    return +found


def adds_up(before: Outlook, after: Outlook) -> None:
    told = books(before)
    for m in after.moves:
        if m.start is not None:
            told[m.start] -= m.gross
        if m.end is not None:
            told[m.end] += m.gross
    assert +told == books(after)
    assert min(told.values(), default=0) >= 0


def look(firm: Company, day: date) -> Looked:
    with firm.store.read() as connection:
        return look_ahead(connection, day, calendar_specs, Threshold())


def test_a_slip_is_told_with_its_reason_once_and_the_months_add_up(firm: Company) -> None:
    """Median 20, 10 and 14 days late: 14. 1 December + 30 + 14 is 14 January; three weeks later, February."""
    with firm.store.begin() as connection:
        connection.exec_driver_sql("INSERT INTO settings (key, value) VALUES ('go_live', '1')")
    first = night(firm, FIRST)
    assert first.compared_with is None
    assert [(b.customer, b.terms, b.early, b.median, b.late) for b in first.behaviour] == [("苏州恒拓", 3, 10, 14, 20)]
    assert books(first) == {"2026-12": 1_000_000, "2027-01": 4_000_000, "": 2_000_000}
    slip(firm, datetime(2026, 12, 22, tzinfo=UTC), SECOND)
    outcome = firm.night(day=SECOND, write_reports=lambda _report: ())
    second = outcome.report.outlook
    adds_up(first, second)
    assert [m.text("en") for m in second.moves] == [
        "Completion of M1 slipped 3 weeks: 40,000.00 CNY moves from January to February 2027"
    ]
    assert [f.text("zh-CN") for f in outcome.report.findings if f.code == "FORECAST_MOVED"] == [
        "“M1”完成推迟 3 周：40,000.00 CNY 从 2027 年 1 月移到 2 月。"
    ]
    with firm.store.read() as connection:
        kept = fetch(connection, "SELECT as_of, body FROM forecasts ORDER BY id")
    again = night(firm, SECOND)  # the same night once more: the same words, nothing written, nobody told twice
    assert again == second
    with firm.store.read() as connection:
        assert fetch(connection, "SELECT as_of, body FROM forecasts ORDER BY id") == kept
        assert fetch(connection, "SELECT COUNT(*) FROM outbox WHERE kind = 'forecast'") == [(1,)]
    third = night(firm, THIRD)
    assert (third.compared_with, third.moves, third.alerts) == (SECOND, (), ())
    assert look(firm, FIRST).outlook == first  # as it was known then
    assert look(firm, SECOND).outlook == second


def test_what_people_say_moves_money_and_says_so(firm: Company) -> None:
    """A promise, a plan, an extension, a dispute, a hold: each with its day or without one, and adding up."""
    before = night(firm, FIRST)
    desk = Desk(firm, firm.folder, count(1))
    made = date(2026, 11, 21)
    with firm.store.begin() as connection:
        add_promise(connection, find_term(connection, "HT-1/P4"), Promise(made, date(2027, 2, 1), 400_000, "Wang"), None, desk.now())  # fmt: skip
    after = night(firm, SECOND)
    adds_up(before, after)
    assert [(m.gross, m.start, m.end, m.why.code) for m in after.moves] == [(400_000, "2026-12", "2027-02", "promise")]
    with firm.store.begin() as connection:
        add_touch(connection, find_term(connection, "HT-1/P4"), Touch("dispute", THIRD, "mail", "Wang", None, None, 100_000), desk.now())  # fmt: skip
    told = night(firm, THIRD)
    adds_up(after, told)
    assert [(m.gross, m.end, m.why.code) for m in told.moves] == [(100_000, "", "disputed")]
    assert {(x.term, x.reason, x.gross) for x in told.undated} == {("T2", "no_plan", 2_000_000), ("P4", "disputed", 100_000)}  # fmt: skip


def test_plans_extensions_bills_and_payments(firm: Company) -> None:
    before = night(firm, FIRST)
    desk = Desk(firm, firm.folder, count(1))
    row = "date,amount,currency,payer,reference,method,maturity\n2026-11-20,2000.00,CNY,苏州恒拓,HT-1/P4,银行承兑汇票,2027-05-20\n"
    desk.payments(row, today=SECOND)
    after = night(firm, SECOND)
    adds_up(before, after)
    assert [(m.gross, m.end, m.why.code) for m in after.moves] == [(200_000, "2027-05", "bill")]
    with firm.store.begin() as connection:
        owner = find_term(connection, "HT-1/P4")
        parts = [(date(2027, 3, 1), 300_000), (date(2027, 4, 1), 500_000)]
        add_plan(connection, owner, THIRD, parts, "Wang", desk.now(), default_clause=False)
    told = night(firm, THIRD)
    adds_up(after, told)
    # Instalments are due dates: the customer's 14 days come on top. The bill pays its own part.
    assert books(told) == {"2027-01": 4_000_000, "2027-03": 300_000, "2027-04": 500_000, "2027-05": 200_000, "": 2_000_000}  # fmt: skip


def test_an_agreed_due_date_counts_and_a_contract_that_goes_takes_its_money_along(firm: Company) -> None:
    before = night(firm, FIRST)
    desk = Desk(firm, firm.folder, count(1))
    with firm.store.begin() as connection:
        add_extension(connection, find_term(connection, "HT-1/P4"), SECOND, date(2027, 1, 4), "Wang", None, desk.now())
    after = night(firm, SECOND)
    adds_up(before, after)
    assert [(m.end, m.why.code) for m in after.moves] == [("2027-01", "extension")]
    (firm.folder / "contracts" / "HT-1.yaml").unlink()
    firm.contract("HT-2")
    told = night(firm, THIRD)
    adds_up(after, told)
    assert {(m.contract, m.why.code) for m in told.moves} == {("HT-1", "gone_contract"), ("HT-2", "new_contract")}
    assert {a.why.code for a in told.alerts} == {"gone_contract"}
    # What was invoiced is owed, whatever became of the file; what was not is gone.
    assert {(m.contract, m.term) for m in told.moves if m.why.code == "gone_contract"} == {
        ("HT-1", "T1"),
        ("HT-1", "T2"),
    }
    assert books(told)["2027-01"] == 1_000_000


@pytest.mark.server
def test_the_forecast_is_the_same_on_postgresql(tmp_path: Path, url: str) -> None:
    stories = []
    for name, address in (("pg", url), ("lite", "sqlite:///huikuan.db")):
        (tmp_path / name).mkdir()
        with company(tmp_path / name, address) as firm:
            firm.contract("HT-1", text=CONTRACT)
            first = night(firm, FIRST)
            slip(firm, datetime(2026, 12, 22, tzinfo=UTC), SECOND)
            stories.append((first, night(firm, SECOND)))
    assert stories[0] == stories[1]
