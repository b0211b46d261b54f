"""Whatever comes in, in whatever order: no cent is paid twice or lost, and importing again changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from connectors.store.bulk import fetch
from flows.steps.receivables.bank_money import confirm, returned, set_aside, undo, waiting_money
from flows.steps.receivables.claims import term_claims
from flows.steps.receivables.invoices import import_invoices
from flows.steps.receivables.payments import import_payments
from flows.steps.receivables.reading import Refused
from tests.fakes.company import company
from tests.integration.receivables.conftest import TODAY, Desk
from tests.integration.receivables.test_imports import HEAD

TERMS = ("C-1/T1", "C-2/T1")


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Two contracts of one customer, 400.00 ready of each."""
    folder = tmp_path_factory.mktemp("office")
    with company(folder) as firm:
        firm.contract("C-1")
        firm.contract("C-2")
        firm.world.move(firm.world.find("M1"), "已完成", firm.at(date(2026, 11, 18)), "Li")
        firm.night()
        yield Desk(firm, folder, count(1))


class _Undone(Exception):
    """Ends a transaction without a trace."""


@contextmanager
def scratch(desk: Desk) -> Iterator[Connection]:
    """A store to write in; afterwards it is as it was."""
    with pytest.raises(_Undone), desk.firm.store.begin() as connection:
        yield connection
        raise _Undone


def cents(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"


sums = st.integers(1, 50_000)
billed = st.tuples(st.just("bill"), st.sampled_from(TERMS), st.sampled_from(["INV-A", "INV-B", "INV-C"]), sums)
credited = st.tuples(st.just("credit"), st.sampled_from(TERMS), st.sampled_from(["INV-A", "INV-B", "INV-C"]), sums)
paid = st.tuples(st.just("pay"), st.sampled_from(["INV-A", *TERMS, "rent"]), st.sampled_from(["CNY", "USD"]), sums)  # fmt: skip
stated = st.tuples(st.just("state"), st.sampled_from(TERMS), st.sampled_from(["CNY", "USD"]), sums)
words = st.tuples(st.sampled_from(["confirm", "aside", "undo", "returned"]), st.integers(1, 6), st.sampled_from(TERMS), sums)  # fmt: skip


@dataclass
class Clerk:
    """Does one thing after the other, and every file twice."""

    connection: Connection
    desk: Desk

    def do(self, number: int, kind: str, one: object, two: object, minor: int) -> None:
        if kind in ("bill", "credit"):
            contract, term = str(one).split("/")
            row = f"{contract},{term},{two},2026-11-19,2026-11-19,{cents(minor)}"
            credit = f"{contract},{term},RED-{number},2026-11-20,,{cents(minor)},{two}"
            head = HEAD if kind == "bill" else HEAD.replace("\n", ",red_of\n")
            self.twice(number, head + (row if kind == "bill" else credit) + "\n", invoices=True)
        elif kind == "pay":
            self.twice(number, f"date,amount,currency,reference\n2026-11-20,{cents(minor)},{two},{one} {number}\n")
        elif kind == "state":
            contract, term = str(one).split("/")
            self.twice(
                number, f"date,amount,currency,contract,term\n2026-11-20,{cents(minor)},{two},{contract},{term}\n"
            )
        else:
            self.word(kind, int(str(one)), str(two), minor)

    def twice(self, number: int, content: str, *, invoices: bool = False) -> None:
        path: Path = self.desk.file(f"f{number}.csv", content)
        self.take(path, invoices=invoices)
        before = self.books()
        assert self.take(path, invoices=invoices) == 0
        assert self.books() == before

    def take(self, path: Path, *, invoices: bool) -> int:
        take = import_invoices if invoices else import_payments
        return take(self.connection, path, TODAY, 1, "run").new

    def books(self) -> list[object]:
        names = (
            "invoices",
            "credits",
            "bank_lines",
            "receipts",
            "allocations",
            "line_notes",
            "quarantine",
            "withdrawals",
        )
        return [fetch(self.connection, f"SELECT * FROM {n} ORDER BY 1") for n in names]

    def confirm(self, line: int, which: str, minor: int) -> None:
        currency = fetch(self.connection, "SELECT currency FROM bank_lines WHERE id = :b", {"b": line})
        counts = minor if currency == [("USD",)] else None
        confirm(self.connection, line, which, minor if minor % 2 else None, "Wang", 1, counts)

    def word(self, kind: str, at: int, which: str, minor: int) -> None:
        lines = [r[0] for r in fetch(self.connection, "SELECT id FROM bank_lines ORDER BY id")]
        line = lines[at % len(lines)] if lines else at
        try:
            if kind == "confirm":
                self.confirm(line, which, minor)
            elif kind == "aside":
                set_aside(self.connection, line, "rent", "Wang", 1)
            elif kind == "undo":
                undo(self.connection, line, "wrong", "Wang", 1)
            else:
                returned(self.connection, line, TODAY, "", "Wang", 1)
        except Refused:
            pass  # a person is told; the books below must hold all the same


def the_books_hold(connection: Connection) -> None:
    used = "COALESCE(SUM(COALESCE(a.minor, r.gross)), 0)"
    tied = "FROM bank_lines b LEFT JOIN allocations a ON a.bank_line_id = b.id LEFT JOIN receipts r ON r.id = a.receipt_id GROUP BY b.id, b.minor"
    for line, minor, sum_ in fetch(connection, f"SELECT b.id, b.minor, {used} {tied}"):
        assert 0 <= sum_ <= minor, line
    waiting = {w.line_id: w.minor for w in waiting_money(connection)}
    for line, left in waiting.items():
        ((minor, sum_),) = fetch(connection, f"SELECT b.minor, {used} {tied} HAVING b.id = :b", {"b": line})
        assert left == minor - sum_ > 0
    invoiced = dict(fetch(connection, "SELECT term_id, SUM(gross) FROM invoices GROUP BY term_id"))
    for claim in term_claims(connection).values():
        asked = max(int(invoiced.get(claim.term_id, 0)), claim.ready_gross or 0)
        assert 0 <= claim.paid <= asked
        assert claim.open == max(0, claim.claimed - claim.paid)
    assert (
        fetch(connection, "SELECT 1 FROM receipts r JOIN receipts x ON x.reverses = r.id WHERE r.gross <> -x.gross")
        == []
    )


@settings(max_examples=40, deadline=None)
@given(happened=st.lists(st.one_of(billed, credited, paid, paid, stated, words, words, words), min_size=5, max_size=16))
def test_no_cent_is_paid_twice_or_lost_and_importing_again_changes_nothing(office: Desk, happened) -> None:
    with scratch(office) as connection:
        clerk = Clerk(connection, office)
        for number, (kind, one, two, minor) in enumerate(happened):
            clerk.do(number, kind, one, two, minor)
            the_books_hold(connection)
