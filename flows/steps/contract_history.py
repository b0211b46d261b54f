"""What an edited contract file may not change any more, and what was invoiced before the contract came to us.

An invoice rests on the price and on the terms as they stood. A file that says something else now would shift the
other parts without a word; such a change belongs into an amendment, which has a date.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import uuid5

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from connectors.store.bulk import bulk_insert, fetch, wanted_ids
from flows.steps.evaluation.columns import as_date, day_number
from models.domain import contracts as m
from models.domain.findings import Finding, Place, Severity
from models.domain.ready import NAMESPACE
from models.records.contract_file import load_contract_text
from models.tables import invoices, receipts

OPENING = "opening"  # stands for the number of an invoice of before our time


# --- what may not change any more --------------------------------------------------------------------


def refused_edits(connection: Connection, edited: Mapping[int, m.Contract]) -> list[Finding]:
    """Findings against contracts (by id) whose new content contradicts an invoice that stands; they keep their version."""
    if not edited:
        return []
    billed = _billed(connection, list(edited))
    before = _standing_versions(connection, list(billed))
    return [f for i, old in before.items() for f in _contradictions(old, edited[i], billed[i])]


def _standing_versions(connection: Connection, ids: Sequence[int]) -> dict[int, m.Contract]:
    table = wanted_ids(connection, ids)
    found = {}
    for contract, text, file in fetch(
        connection,
        f"SELECT c.id, v.long_form, c.file FROM contracts c JOIN {table} w ON w.id = c.id "
        "JOIN contract_versions v ON v.id = c.version_id ORDER BY c.id",
    ):
        read = load_contract_text(text, file).contracts
        if read:
            found[contract] = read[0]
    return found


@dataclass(slots=True)
class _Billed:
    """The terms of a contract with an invoice that stands, and the day of the last one."""

    terms: set[str] = field(default_factory=set)
    until: int = 0


def _billed(connection: Connection, ids: Sequence[int]) -> dict[int, _Billed]:
    """By contract: invoices that were neither cancelled nor taken back entirely."""
    table = wanted_ids(connection, ids)
    found: dict[int, _Billed] = {}
    for contract, term, day in fetch(
        connection,
        f"SELECT i.contract_id, t.code, i.issued_day FROM invoices i JOIN {table} w ON w.id = i.contract_id JOIN terms t ON t.id = i.term_id "
        "WHERE i.cancelled_day IS NULL AND COALESCE(i.number, '') <> :opening AND (i.gross IS NULL OR i.gross > "
        "(SELECT COALESCE(SUM(k.gross), 0) FROM credits k WHERE k.invoice_id = i.id))",
        {"opening": OPENING},
    ):
        own = found.setdefault(contract, _Billed())
        own.terms.add(term)
        own.until = max(own.until, day)
    return found


def _contradictions(old: m.Contract, new: m.Contract, invoices_: _Billed) -> Iterator[Finding]:
    billed = invoices_.terms
    terms = {t.id: t for t in new.terms}
    was = {t.id: t for t in old.terms}
    gone = sorted(code for code in billed if code in was and code not in terms)
    if gone:
        yield _finding("INVOICED_TERM_REMOVED", new, terms=", ".join(gone))
    reworded = sorted(
        code for code in billed if code in was and code in terms and was[code].amount != terms[code].amount
    )
    if reworded:
        yield _finding("INVOICED_TERM_CHANGED", new, terms=", ".join(reworded))
    if _price(old, invoices_.until) != _price(new, invoices_.until):
        day = as_date(invoices_.until)
        yield _finding("PRICE_CHANGED_AFTER_INVOICE", new, terms=", ".join(sorted(billed)), day=day)


def _price(contract: m.Contract, until: int) -> tuple[object, ...]:
    """What the price was on a day: an amendment that is dated back rewrites it, too."""
    amended = tuple(a for a in contract.amendments if day_number(a.effective) <= until)
    return contract.currency, contract.price_basis, contract.tax_rounding, contract.lines, amended


def _finding(code: str, contract: m.Contract, **params: object) -> Finding:
    place = Place(file=contract.file, line=contract.line, contract=contract.number)
    return Finding(code, Severity.ERROR, place, {"contract": contract.number, **params})


# --- what was before our time ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Brought:
    """What a term brings along, in minor units and day numbers."""

    day: int
    invoiced: int
    paid: int
    paid_day: int


def write_openings(
    connection: Connection, saved: Sequence[tuple[m.Contract, int]], known: Collection[int], recorded_at: int
) -> None:
    """What was invoiced and paid before the contract came to us, as facts like any other.

    One that is corrected in the file, or no longer in it, is cancelled and its receipt reversed; nothing is deleted.
    """
    touched = [(c, i) for c, i in saved if c.opening or i in known]
    if not touched:
        return
    books = _Openings(connection, [i for _, i in touched])
    for contract, contract_id in touched:
        books.bring(contract, contract_id, recorded_at)
    books.write()


class _Openings:
    """The openings of some contracts: those in force, and what a new version changes of them."""

    def __init__(self, connection: Connection, ids: Sequence[int]) -> None:
        self._connection = connection
        table = wanted_ids(connection, ids)
        self._terms = {
            (c, code): t
            for t, c, code in fetch(
                connection, f"SELECT t.id, t.contract_id, t.code FROM terms t JOIN {table} w ON w.id = t.contract_id"
            )
        }
        self._ever: dict[int, int] = {}  # by term: how many there were
        self._bills: dict[int, tuple[int, int, int]] = {}  # by term, in force: invoice id, day, gross
        for row in fetch(
            connection,
            f"SELECT i.term_id, i.id, i.issued_day, i.gross, i.cancelled_day FROM invoices i JOIN {table} w ON w.id = i.contract_id "
            "WHERE i.number = :opening",
            {"opening": OPENING},
        ):
            self._ever[row[0]] = self._ever.get(row[0], 0) + 1
            if row[4] is None:
                self._bills[row[0]] = row[1:4]
        self._paid: dict[int, tuple[int, int, int]] = {}  # by term, not reversed: receipt id, day, gross
        for term, key, day, gross in fetch(
            connection,
            f"SELECT r.term_id, r.id, r.day, r.gross FROM receipts r JOIN {table} w ON w.id = r.contract_id "
            "WHERE r.method = :opening AND r.reverses IS NULL AND NOT EXISTS (SELECT 1 FROM receipts b WHERE b.reverses = r.id)",
            {"opening": OPENING},
        ):
            self._paid[term] = (key, day, gross)
        self._billed: list[tuple[object, ...]] = []
        self._received: list[tuple[object, ...]] = []
        self._cancelled: list[dict[str, int]] = []

    def bring(self, contract: m.Contract, contract_id: int, recorded_at: int) -> None:
        """What the contract's file says now takes the place of what it said before."""
        wanted = {self._terms[contract_id, o.term]: (o.term, _brought(o)) for o in contract.opening}
        own = {t for (c, _), t in self._terms.items() if c == contract_id}
        for term in own & (self._bills.keys() | wanted.keys()):
            code, brought = wanted.get(term, ("", None))
            if brought == self._standing(term):
                continue
            self._take_back(contract_id, term, recorded_at)
            if brought is not None:
                self._add(contract, contract_id, term, code, brought, recorded_at)

    def _standing(self, term: int) -> _Brought | None:
        bill = self._bills.get(term)
        if bill is None:
            return None
        _, paid_day, paid = self._paid.get(term, (0, bill[1], 0))
        return _Brought(bill[1], bill[2], paid, paid_day)

    def _take_back(self, contract_id: int, term: int, recorded_at: int) -> None:
        if term in self._bills:
            key, day, _ = self._bills[term]
            self._cancelled.append({"id": key, "day": day, "at": recorded_at})
        if term in self._paid:
            key, day, gross = self._paid[term]
            name = str(uuid5(NAMESPACE, f"opening-back\x1f{key}"))
            self._received.append((name, contract_id, term, day, -gross, OPENING, key, recorded_at))

    def _add(
        self, contract: m.Contract, contract_id: int, term: int, code: str, brought: _Brought, recorded_at: int
    ) -> None:
        before = self._ever.get(term, 0)
        said = f"opening\x1f{contract.number}\x1f{code}" + (f"\x1f{before}" if before else "")
        key = str(uuid5(NAMESPACE, said))
        self._billed.append((key, contract_id, term, OPENING, brought.day, brought.day, brought.invoiced, recorded_at))
        if brought.paid:
            self._received.append((key, contract_id, term, brought.paid_day, brought.paid, OPENING, None, recorded_at))

    def write(self) -> None:
        """All of it."""
        if self._cancelled:
            change = sa.text("UPDATE invoices SET cancelled_day = :day, recorded_at = :at WHERE id = :id")
            self._connection.execute(change, self._cancelled)
        bill = ("key", "contract_id", "term_id", "number", "issued_day", "received_day", "gross", "recorded_at")
        bulk_insert(self._connection, invoices, bill, self._billed, ignore=True)
        paid = ("key", "contract_id", "term_id", "day", "gross", "method", "reverses", "recorded_at")
        bulk_insert(self._connection, receipts, paid, self._received, ignore=True)


def _brought(opening: m.Opening) -> _Brought:
    day = 0 if opening.invoiced_on is None else day_number(opening.invoiced_on)
    paid_day = day if opening.paid_on is None or not opening.paid else day_number(opening.paid_on)
    return _Brought(day, opening.invoiced, opening.paid, paid_day)
