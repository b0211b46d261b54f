"""A contract from signature to the last cent of retention over two simulated years: a late customer, a broken
promise, an amendment, a red invoice, a bill, money without a name. The books balance after every night.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import count
from pathlib import Path

import orjson
import pytest

from flows.steps.evaluation.columns import day_number
from flows.steps.receivables.agreements import add_promise, find_term
from flows.steps.receivables.bank_money import confirm, waiting_money
from flows.steps.receivables.columns import ageing_table
from flows.steps.receivables.standing import open_terms
from models.domain.receivables.agreements import Promise
from tests.fakes.company import Company, company
from tests.integration.receivables.conftest import Desk

CONTRACT = """
contract: HT-1
customer: {name: 苏州恒拓, size: large}
supplier: {name: 杭州星澜, size: sme}
currency: CNY
timezone: Asia/Shanghai
calendar: WEEKEND_ONLY
price_basis: tax_inclusive
lines: [{id: L, amount: "100000.00", tax_rate: 6%}]
late: {daily_rate: "0.0005"}
events:
  signed: 2025-01-06
  accepted: {milestone: {connection: rd, project: RD, name: M1}}
AMENDMENT
terms:
  - {id: T1, amount: 30%, when: signed, due: 10 days after invoice_received}
  - {id: T2, amount: 60%, when: accepted, due: 30 days after invoice_received}
  - {id: T3, amount: {remaining: true, weight: 10}, when: {elapsed: {after: accepted, months: 12}}, due: {start: ready, add: {days: 30}, roll: following}}
"""
AMENDED = 'amendments: [{id: AM1, effective: 2025-03-01, new_total: "121000.00"}]'
INVOICE = "contract,term,invoice_no,invoice_date,invoice_received,invoiced_amount,red_of\n"
PAYMENT = "date,amount,currency,payer,reference,method,maturity\n"
FIRST, LAST = date(2025, 1, 6), date(2027, 1, 4)
BLUE, BLUE_2, BLUE_3, BLUE_4 = (f"2511700000012345678{n}" for n in range(4))


def happenings(desk: Desk, firm: Company) -> dict[date, Callable[[], object]]:
    """What happens on which day, before the night."""

    def pay(day: str, amount: str, reference: str, rest: str = ",") -> object:
        row = f"{day},{amount},CNY,苏州恒拓,{reference},{rest}\n"
        return desk.payments(PAYMENT + row, f"bank-{day}.csv", today=date.fromisoformat(day))

    def bill(day: str, term: str, number: str, amount: str, red_of: str = "") -> object:
        outcome = desk.invoices(
            INVOICE + f"HT-1,{term},{number},{day},{day},{amount},{red_of}\n", today=date.fromisoformat(day)
        )
        assert outcome.new == 1, outcome.findings
        return outcome

    def promise() -> None:
        with firm.store.begin() as connection:
            made = Promise(date(2025, 7, 21), date(2025, 8, 4), 30_000_00, "Wang")
            add_promise(connection, find_term(connection, "HT-1/T2"), made, None, desk.now())

    def say_what_it_was() -> None:
        with firm.store.begin() as connection:
            (one,) = waiting_money(connection)
            confirm(connection, one.line_id, "HT-1/T2", None, "Wang", desk.now())

    def accept() -> None:
        firm.world.move(firm.world.find("M1"), "已完成", firm.at(date(2025, 5, 26)), "Li")

    return {
        date(2025, 1, 13): lambda: bill("2025-01-13", "T1", BLUE, "30000.00"),
        date(2025, 2, 3): lambda: pay("2025-02-03", "30000.00", f"预付款 {BLUE}"),
        date(2025, 3, 3): lambda: firm.contract("HT-1", text=CONTRACT.replace("AMENDMENT", AMENDED)),
        date(2025, 5, 26): accept,
        date(2025, 6, 2): lambda: bill("2025-06-02", "T2", BLUE_2, "78000.00"),
        date(2025, 6, 9): lambda: bill("2025-06-09", "T2", "RED-2", "", BLUE_2),  # wrong: taken back at once
        date(2025, 6, 16): lambda: bill("2025-06-16", "T2", BLUE_3, "78000.00"),
        date(2025, 7, 21): promise,
        date(2025, 8, 11): lambda: pay("2025-08-11", "28000.00", BLUE_3),
        date(2025, 9, 1): lambda: pay("2025-09-01", "20000.00", BLUE_3, "银行承兑汇票,2026-03-02"),
        date(2025, 10, 6): lambda: pay("2025-10-06", "30000.00", "货款"),
        date(2025, 10, 20): say_what_it_was,
        date(2026, 6, 8): lambda: bill("2026-06-08", "T3", BLUE_4, "13000.00"),
        date(2026, 8, 3): lambda: pay("2026-08-03", "12999.99", BLUE_4),
        date(2026, 8, 10): lambda: pay("2026-08-10", "0.01", BLUE_4),
    }


def nights() -> Iterator[date]:
    """Every Monday of two years."""
    yield from (FIRST + timedelta(days=7 * n) for n in range((LAST - FIRST).days // 7 + 1))


def books_balance(desk: Desk, day: date) -> int:
    """Everything adds up; what is open altogether, by the decisions."""
    rows = desk.rows(
        "SELECT t.code, (SELECT COALESCE(SUM(i.gross), 0) FROM invoices i WHERE i.term_id = t.id), "
        "(SELECT COALESCE(SUM(k.gross), 0) FROM credits k WHERE k.term_id = t.id), "
        f"(SELECT COALESCE(SUM(r.gross), 0) FROM receipts r WHERE r.term_id = t.id AND COALESCE(r.maturity_day, r.day) <= {day_number(day)}) FROM terms t"
    )
    claimed = {code: int(i - c) for code, i, c, _ in rows}
    body = {t[0]: t for t in orjson.loads(str(desk.rows("SELECT body FROM decisions ORDER BY id DESC LIMIT 1")[0][0]))}
    for code, _, _, paid in rows:
        if body[code][1] in ("invoiced", "part_paid", "paid"):
            assert body[code][7] == claimed[code] - paid, (day, code)
    assert sum(claimed.values()) <= (12_100_000 if day >= date(2025, 3, 3) else 10_000_000)
    over = "SELECT 1 FROM bank_lines b JOIN allocations a ON a.bank_line_id = b.id JOIN receipts r ON r.id = a.receipt_id GROUP BY b.id, b.minor HAVING SUM(r.gross) > b.minor"
    assert desk.rows(over) == []
    with desk.firm.store.read() as connection:
        terms = open_terms(connection, day_number(day))
    open_ = int(ageing_table(terms, day_number(day))["open"].sum()) if len(terms) else 0
    assert open_ == int(terms.open.sum())
    return open_


def play(desk: Desk, firm: Company) -> dict[date, tuple[int, tuple[str, ...]]]:
    """The two years; by night what was open, and what a person was told."""
    firm.contract("HT-1", text=CONTRACT.replace("AMENDMENT\n", ""))
    script, told = happenings(desk, firm), {}
    for day in nights():
        if day == date(2025, 1, 13):
            with firm.store.begin() as connection:
                connection.exec_driver_sql("INSERT INTO settings (key, value) VALUES ('go_live', '1')")
        script.pop(day, lambda: None)()
        outcome = firm.night(day=day, write_reports=lambda _report: ())
        told[day] = (books_balance(desk, day), tuple(f.code for f in outcome.report.findings))
    assert script == {}
    return told


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_years_of_one_contract(tmp_path: Path) -> None:
    with company(tmp_path) as firm:
        desk = Desk(firm, tmp_path, count(1))
        told = play(desk, firm)
        records = [r for r in firm.records() if r[0] == "HT-1"]
    assert records == [
        ("HT-1", "T1", 1, "paid"),
        ("HT-1", "T2", 1, "withdrawn"),
        ("HT-1", "T2", 2, "paid"),
        ("HT-1", "T3", 1, "paid"),
    ]
    assert told[date(2025, 7, 28)] == (7_800_000, ())
    assert told[date(2025, 8, 11)] == (5_000_000, ("PROMISE_BROKEN",))
    assert told[date(2025, 10, 13)][0] == 5_000_000  # money without a name is nobody's yet
    assert told[date(2025, 10, 20)][0] == 2_000_000  # what is left is a bill in hand
    assert told[date(2026, 3, 2)] == (0, ())  # it matured
    assert told[date(2026, 8, 3)][0] == 1
    assert told[LAST] == (0, ())


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_what_was_said_when(tmp_path: Path) -> None:
    """The reminders of the same two years: each level once, none while a promise or a bill holds."""
    with company(tmp_path) as firm:
        desk = Desk(firm, tmp_path, count(1))
        play(desk, firm)
        said = desk.rows(
            "SELECT t.code, r.level, r.day, r.gross FROM reminders r JOIN terms t ON t.id = r.term_id WHERE r.kind = 'reminder' ORDER BY r.id"
        )
        again = desk.rows(
            "SELECT level, due_day, term_id FROM reminders WHERE kind = 'reminder' GROUP BY level, due_day, term_id HAVING COUNT(*) > 1"
        )
    assert again == []
    shown = [(c, level, (date(1970, 1, 1) + timedelta(days=int(str(d)))).isoformat(), g) for c, level, d, g in said]
    # The promise of 21 July was made on the day the first reminder of T2 would have gone out.
    assert shown[:2] == [("T1", 1, "2025-01-27", 3_000_000), ("T2", 2, "2025-08-11", 5_000_000)]
    assert shown[-1] == ("T3", 3, "2026-07-27", 1_300_000)
    assert not [s for s in shown if "2025-07-21" < s[2] <= "2025-08-04"]
    assert all(s[3] > 0 for s in shown)


@pytest.mark.server
def test_the_money_is_the_same_on_postgresql(tmp_path: Path, url: str) -> None:
    """Invoices, payments, a promise and the ageing of both databases agree."""
    stories = []
    for name, address in (("pg", url), ("lite", "sqlite:///huikuan.db")):
        (tmp_path / name).mkdir()
        with company(tmp_path / name, address) as firm:
            desk = Desk(firm, tmp_path / name, count(1))
            firm.contract("HT-1", text=CONTRACT.replace("AMENDMENT\n", ""))
            firm.night(day=FIRST, write_reports=lambda _report: ())
            script = happenings(desk, firm)
            for day in (d for d in nights() if d <= date(2025, 10, 20) and d in script):
                script[day]()
                firm.night(day=day, write_reports=lambda _report: ())
            with firm.store.read() as connection:
                terms = open_terms(connection, day_number(date(2025, 10, 20)))
            stories.append(
                (
                    firm.records(),
                    terms.open.tolist(),
                    terms.due.tolist(),
                    desk.rows("SELECT term_id, gross, day FROM receipts ORDER BY id"),
                )
            )
    assert stories[0] == stories[1]
