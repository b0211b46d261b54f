"""A contract from signature to the last cent of retention over two simulated years, night by night: a late customer,
a broken promise, an amendment, a red invoice and a credit note, a bill, money without a name, a payment in two files.
After every night the books agree with a ledger that the test keeps by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count
from pathlib import Path

import orjson
import pytest

from connectors.store.bulk import fetch
from flows.steps.evaluation.columns import day_number
from flows.steps.receivables.agreements import add_promise, find_term
from flows.steps.receivables.bank_money import confirm, returned, set_aside, undo, waiting_money
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


@dataclass
class Ledger:
    """The accountant's own copy, kept by hand beside the system: what is asked, credited and paid by term."""

    asked: list[tuple[date, str, int]] = field(default_factory=list)  # below zero: credits
    paid: list[tuple[date, str, int]] = field(default_factory=list)  # from the day it counts
    came: int = 0  # through the bank, whatever it is for

    def open(self, day: date) -> dict[str, int]:
        """What is open of each term on a day."""
        return {
            t: sum(m for d, of, m in self.asked if of == t and d <= day) - sum(m for d, of, m in self.paid if of == t and d <= day)
            for t in ("T1", "T2", "T3")
        }  # fmt: skip


def happenings(desk: Desk, firm: Company, ledger: Ledger) -> dict[date, Callable[[], object]]:
    """What happens on which day, before the night."""

    def pay(day: str, amount: str, reference: str, term: str | None, rest: str = ",") -> None:
        on, minor = date.fromisoformat(day), round(float(amount) * 100)
        row = f"{day},{amount},CNY,苏州恒拓,{reference},{rest}\n"
        outcome = desk.payments(PAYMENT + row, f"bank-{day}.csv", today=on)
        assert (outcome.new, outcome.booked) == (1, 1 if term else 0), outcome.findings
        ledger.came += minor
        if term:
            counts = date.fromisoformat(rest.rpartition(",")[2]) if rest != "," else on
            ledger.paid.append((counts, term, minor))

    def bill(day: str, term: str, number: str, amount: str, red_of: str = "", *, takes: int | None = None) -> None:
        on = date.fromisoformat(day)
        row = f"HT-1,{term},{number},{day},{day},{amount},{red_of}\n"
        outcome = desk.invoices(INVOICE + row, today=on)
        assert (outcome.new, outcome.findings) == (1, ())
        ledger.asked.append((on, term, round(float(amount) * 100) if takes is None else -takes))

    def promise() -> None:
        with firm.store.begin() as connection:
            made = Promise(date(2025, 7, 21), date(2025, 8, 4), 30_000_00, "Wang")
            add_promise(connection, find_term(connection, "HT-1/T2"), made, None, desk.now())

    def say_what_it_was() -> None:
        with firm.store.begin() as connection:
            (one,) = waiting_money(connection)
            confirm(connection, one.line_id, "HT-1/T2", None, "Wang", desk.now())
        ledger.paid.append((date(2025, 10, 20), "T2", 30_000_00))

    def the_same_in_another_file() -> None:
        """The bank's statement repeats what the list had: it waits, and a person sets it aside."""
        row = f"2025-11-03;苏州恒拓;货款 {BLUE_3};2025-08-11;28000.00;CNY\n"
        content = "printed;payer;reference;date;amount;currency\n" + row
        outcome = desk.payments(content, "statement-2025-11.csv", today=date(2025, 11, 3))
        assert [f.code for f in outcome.findings] == ["BANK_LINE_SEEN"]
        with firm.store.begin() as connection:
            set_aside(connection, outcome.waiting[0].line_id, "the same payment", "Wang", desk.now())

    def accept() -> None:
        firm.world.move(firm.world.find("M1"), "已完成", firm.at(date(2025, 5, 26)), "Li")

    return {
        date(2025, 1, 13): lambda: bill("2025-01-13", "T1", BLUE, "30000.00"),
        date(2025, 2, 3): lambda: pay("2025-02-03", "30000.00", f"预付款 {BLUE}", "T1"),
        date(2025, 3, 3): lambda: firm.contract("HT-1", text=CONTRACT.replace("AMENDMENT", AMENDED)),
        date(2025, 5, 26): accept,
        date(2025, 6, 2): lambda: bill("2025-06-02", "T2", BLUE_2, "78000.00"),
        date(2025, 6, 9): lambda: bill("2025-06-09", "T2", "RED-2", "", BLUE_2, takes=78_000_00),  # wrong: taken back
        date(2025, 6, 16): lambda: bill("2025-06-16", "T2", BLUE_3, "78000.00"),
        date(2025, 7, 21): promise,
        date(2025, 8, 11): lambda: pay("2025-08-11", "28000.00", BLUE_3, "T2"),
        date(2025, 9, 1): lambda: pay("2025-09-01", "20000.00", BLUE_3, "T2", "银行承兑汇票,2026-03-02"),
        date(2025, 10, 6): lambda: pay("2025-10-06", "30000.00", "货款", None),
        date(2025, 10, 20): say_what_it_was,
        date(2025, 11, 3): the_same_in_another_file,
        date(2026, 6, 8): lambda: bill("2026-06-08", "T3", BLUE_4, "13000.00"),
        # An allowance for a defect: the credit note takes a part of the retention off.
        date(2026, 7, 6): lambda: bill("2026-07-06", "T3", "CN-4", "-500.00", BLUE_4),
        date(2026, 8, 3): lambda: pay("2026-08-03", "12499.99", BLUE_4, "T3"),
        date(2026, 8, 10): lambda: pay("2026-08-10", "0.01", BLUE_4, "T3"),
    }


def nights(step: int = 1) -> Iterator[date]:
    """Every night of two years."""
    yield from (FIRST + timedelta(days=n) for n in range(0, (LAST - FIRST).days + 1, step))


#: The retention has its due date from the day it is ready, before anybody has invoiced it.
RETENTION_READY, RETENTION_INVOICED, RETENTION = date(2026, 5, 26), date(2026, 6, 8), 13_000_00


def books_balance(desk: Desk, day: date, ledger: Ledger) -> int:
    """The system's books against the accountant's own, every cent; what is open altogether."""
    expected = ledger.open(day)
    body = {t[0]: t for t in orjson.loads(str(desk.rows("SELECT body FROM decisions ORDER BY id DESC LIMIT 1")[0][0]))}
    for code, open_ in expected.items():
        owing = body[code][7] if body[code][1] in ("invoiced", "part_paid", "paid") else 0
        assert owing == open_, (day, code)
    with desk.firm.store.read() as connection:
        terms = open_terms(connection, day_number(day), undated=True)
        waiting = sum(w.minor for w in waiting_money(connection))
    aged = int(ageing_table(terms, day_number(day))["open"].sum()) if len(terms) else 0
    coming = RETENTION if RETENTION_READY <= day < RETENTION_INVOICED else 0
    assert aged == sum(expected.values()) + coming, day
    _nothing_is_lost(desk, day, ledger, waiting)
    return sum(expected.values())


def _nothing_is_lost(desk: Desk, day: date, ledger: Ledger, waiting: int) -> None:
    """Every cent that came is on a term or waits; none is there twice; no more is asked than the price."""
    assert int(str(desk.rows("SELECT COALESCE(SUM(gross), 0) FROM receipts")[0][0])) + waiting == ledger.came, day
    over = "SELECT 1 FROM bank_lines b JOIN allocations a ON a.bank_line_id = b.id JOIN receipts r ON r.id = a.receipt_id GROUP BY b.id, b.minor HAVING SUM(r.gross) > b.minor"
    assert desk.rows(over) == []
    price = 12_100_000 if day >= date(2025, 3, 3) else 10_000_000
    alive = "SELECT COALESCE(SUM(gross), 0) FROM ready_records r WHERE NOT EXISTS (SELECT 1 FROM withdrawals w WHERE w.record_id = r.record_id)"
    assert int(str(desk.rows(alive)[0][0])) <= price, day
    assert sum(m for d, _, m in ledger.asked if d <= day) <= price, day


@dataclass(frozen=True)
class Played:
    """The two years as they went: by night what was open and what a person was told; then what was left."""

    told: dict[date, tuple[int, tuple[str, ...]]]
    records: list[tuple[str, str, int, str]]
    said: list[tuple[str, int, str, int]]  # reminders: term, level, day, sum
    twice: list[tuple[object, ...]]
    again: bool  # did the last night, run again, change anything?
    received: int


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Two years, night by night."""
    folder = tmp_path_factory.mktemp("story")
    with company(folder) as firm:
        desk, ledger, told = Desk(firm, folder, count(1)), Ledger(), {}
        firm.contract("HT-1", text=CONTRACT.replace("AMENDMENT\n", ""))
        script = happenings(desk, firm, ledger)
        for day in nights():
            if day == date(2025, 1, 13):
                with firm.store.begin() as connection:
                    connection.exec_driver_sql("INSERT INTO settings (key, value) VALUES ('go_live', '1')")
            script.pop(day, lambda: None)()
            outcome = firm.night(day=day, only="rd", write_reports=lambda _report: ())
            told[day] = (
                books_balance(desk, day, ledger),
                tuple(f.code for f in outcome.report.findings if f.code != "FORECAST_MOVED"),
            )
        assert script == {}
        before = {**desk.everything(), "reminders": desk.rows("SELECT * FROM reminders")}
        firm.night(day=LAST, only="rd", write_reports=lambda _report: ())
        after = {**desk.everything(), "reminders": desk.rows("SELECT * FROM reminders")}
        said = desk.rows(
            "SELECT t.code, r.level, r.day, r.gross FROM reminders r JOIN terms t ON t.id = r.term_id WHERE r.kind = 'reminder' ORDER BY r.id"
        )
        twice = desk.rows(
            "SELECT level, due_day, term_id FROM reminders WHERE kind = 'reminder' GROUP BY level, due_day, term_id HAVING COUNT(*) > 1"
        )
        shown = [(c, n, (date(1970, 1, 1) + timedelta(days=int(str(d)))).isoformat(), g) for c, n, d, g in said]
        records = [r for r in firm.records() if r[0] == "HT-1"]
        received = int(str(desk.rows("SELECT SUM(gross) FROM receipts")[0][0]))
    return Played(told, records, shown, twice, before != after, received)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_years_of_one_contract(played: Played) -> None:
    told = played.told
    assert len(told) == 729
    assert played.records == [
        ("HT-1", "T1", 1, "paid"),
        ("HT-1", "T2", 1, "withdrawn"),
        ("HT-1", "T2", 2, "paid"),
        ("HT-1", "T3", 1, "paid"),
    ]
    assert played.received == 12_100_000 - 50_000  # the amended price, less the credit note, to the last cent
    assert not played.again
    assert told[date(2025, 8, 4)] == (7_800_000, ())  # the promise's own day is in time
    assert told[date(2025, 8, 5)] == (7_800_000, ("PROMISE_BROKEN",))
    assert told[date(2025, 8, 11)] == (5_000_000, ("PROMISE_BROKEN",))
    assert told[date(2025, 10, 19)][0] == 5_000_000  # money without a name is nobody's yet
    assert told[date(2025, 10, 20)][0] == 2_000_000  # what is left is a bill in hand
    assert told[date(2026, 3, 1)][0] == 2_000_000
    assert told[date(2026, 3, 2)] == (0, ())  # it matured
    assert told[date(2026, 7, 6)][0] == 1_250_000  # the credit note
    assert told[date(2026, 8, 3)][0] == 1
    assert told[LAST] == (0, ())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_was_said_when(played: Played) -> None:
    """The reminders of the same two years: each level once, none while a promise or a bill holds."""
    assert played.twice == []
    said = played.said
    assert said[0] == ("T1", 1, "2025-01-24", 3_000_000)
    assert [s for s in said if s[0] == "T2"][:2] == [
        ("T2", 1, "2025-07-17", 7_800_000),
        ("T2", 2, "2025-08-05", 7_800_000),  # on the day after the broken promise
    ]
    assert not [s for s in said if "2025-07-21" <= s[2] <= "2025-08-04"]
    assert not [s for s in said if "2025-10-20" < s[2] < "2026-06-01"]  # what is left is a bill in hand
    assert said[-1][:2] == ("T3", 3)
    assert said[-1][3] == 1_250_000  # less the credit note
    assert all(s[3] > 0 for s in said)


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
            script = happenings(desk, firm, Ledger())
            for day in (d for d in nights(7) if d <= date(2025, 10, 20) and d in script):
                script[day]()
                firm.night(day=day, write_reports=lambda _report: ())
            with firm.store.begin() as connection:  # a person's second thoughts: the bill bounced, the money was for T3
                lines = dict(fetch(connection, "SELECT reference || ' ' || method, id FROM bank_lines"))
                returned(connection, lines[f"{BLUE_3} 银行承兑汇票"], date(2025, 10, 20), "拒付", "Wang", desk.now())
                undo(connection, lines["货款 "], "not T2", "Wang", desk.now())
                set_aside(connection, lines["货款 "], "rent", "Wang", desk.now())
            firm.night(day=date(2025, 10, 21), write_reports=lambda _report: ())
            with firm.store.read() as connection:
                terms = open_terms(connection, day_number(date(2025, 10, 21)))
            stories.append(
                (
                    firm.records(),
                    terms.open.tolist(),
                    terms.due.tolist(),
                    desk.rows("SELECT term_id, gross, day FROM receipts ORDER BY id"),
                )
            )
    assert stories[0] == stories[1]
    assert stories[1][1] == [5_000_000]  # 20,000.00 bounced, 30,000.00 taken back
