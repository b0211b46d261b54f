"""Import invoices: finance's own list, or the ready list handed back. All or nothing, harmless to repeat.

A red invoice (红字发票) or credit note lowers what is owed; where nothing is left the term opens again: its ready
record is withdrawn, and the next night issues the next occurrence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from uuid import uuid5

from sqlalchemy.engine import Connection

from connectors.files.money_lists import read_invoice_list
from connectors.files.sheets import Row
from connectors.store.bulk import bulk_insert, fetch
from flows.steps.evaluation.columns import day_number
from flows.steps.receivables.claims import TermClaim, term_claims
from flows.steps.receivables.reading import Refused, read_amount, read_day, row_place, texts
from models.domain.findings import Finding, Severity
from models.domain.money import Money
from models.domain.ready import NAMESPACE
from models.records.reading import closest
from models.tables import credits_, invoices, withdrawals


@dataclass(frozen=True, slots=True)
class InvoicesImported:
    """What a file gave; with errors nothing was taken."""

    rows: int
    new: int
    findings: tuple[Finding, ...]

    @property
    def refused(self) -> bool:
        """Was the file refused?"""
        return any(f.severity is Severity.ERROR for f in self.findings)


@dataclass(frozen=True, slots=True)
class _Known:
    """An invoice in the store."""

    id: int
    term_id: int
    issued: int
    gross: int
    credited: int


@dataclass(slots=True)
class _Book:
    """What the file adds, on top of what the store has."""

    claims: Mapping[int, TermClaim]
    by_code: Mapping[tuple[str, str], int]
    by_record: Mapping[str, tuple[int, bool]]  # record id -> term id, withdrawn
    known: dict[tuple[int, str], _Known]
    credited: set[str]  # keys of credits that are there
    invoices: list[tuple[object, ...]] = field(default_factory=list)
    credits: list[tuple[object, ...]] = field(default_factory=list)
    reopened: list[tuple[str, int]] = field(default_factory=list)  # record id, day
    warnings: list[Finding] = field(default_factory=list)


def import_invoices(connection: Connection, path: Path, today: date, recorded_at: int, run_id: str) -> InvoicesImported:
    """Take a list of invoices in, or refuse it with every row's problem."""
    read = read_invoice_list(path.read_bytes(), path.name)
    book, findings = _book(connection), list(read.findings)
    for row in read.rows:
        try:
            _row(book, row, path.name, today, recorded_at)
        except Refused as problem:
            cells = texts(row)
            findings.append(problem.finding(row_place(row, path.name, cells.get("contract"), cells.get("term"))))
    if any(f.severity is Severity.ERROR for f in findings):
        return InvoicesImported(len(read.rows), 0, tuple(findings))
    new = _write(connection, book, recorded_at, run_id)
    return InvoicesImported(len(read.rows), new, (*findings, *book.warnings))


def _book(connection: Connection) -> _Book:
    claims = term_claims(connection)
    known = {
        (term, number): _Known(id_, term, day, gross, int(credit))
        for id_, term, number, day, gross, credit in fetch(
            connection,
            "SELECT i.id, i.term_id, i.number, i.issued_day, COALESCE(i.gross, 0), COALESCE(SUM(k.gross), 0) FROM invoices i "
            "LEFT JOIN credits k ON k.invoice_id = i.id WHERE i.number IS NOT NULL "
            "GROUP BY i.id, i.term_id, i.number, i.issued_day, i.gross",
        )
    }
    records = {
        record: (term, withdrawn is not None)
        for record, term, withdrawn in fetch(
            connection,
            "SELECT r.record_id, r.term_id, w.record_id FROM ready_records r "
            "LEFT JOIN withdrawals w ON w.record_id = r.record_id",
        )
    }
    credited = {key for (key,) in fetch(connection, "SELECT key FROM credits")}
    return _Book(claims, {(c.contract, c.term): t for t, c in claims.items()}, records, known, credited)


def _row(book: _Book, row: Row, file: str, today: date, recorded_at: int) -> None:
    cells = texts(row)
    missing = [k for k in ("invoice_no", "invoice_date") if not cells.get(k)]
    if missing or not (cells.get("record_id") or (cells.get("contract") and cells.get("term"))):
        raise Refused("ROW_INCOMPLETE", missing=", ".join(missing) or "record_id, contract + term")
    claim = _claim(book, cells)
    if cells.get("currency") and cells["currency"] != claim.currency:
        raise Refused("ROW_CURRENCY", found=cells["currency"], expected=claim.currency)
    issued = day_number(read_day(cells["invoice_date"], today))
    if cells.get("red_of"):
        _credit(book, cells, claim, issued, recorded_at)
    else:
        received = day_number(read_day(cells["invoice_received"], today)) if cells.get("invoice_received") else None
        _invoice(book, row, file, claim, (issued, received), recorded_at)


def _claim(book: _Book, cells: Mapping[str, str]) -> TermClaim:
    """The term a row means: by its record, which the names beside it must agree with, or by contract and term."""
    stated = (cells.get("contract", ""), cells.get("term", ""))
    if not cells.get("record_id"):
        if stated not in book.by_code:
            known = [f"{c}/{t}" for c, t in book.by_code]
            raise Refused("ROW_TERM_UNKNOWN", which="/".join(stated), closest=closest("/".join(stated), known) or "-")
        return book.claims[book.by_code[stated]]
    term, withdrawn = book.by_record.get(cells["record_id"], (0, False))
    claim = book.claims.get(term)
    if claim is None:
        raise Refused("ROW_RECORD_UNKNOWN", record=cells["record_id"])
    for said, real in zip(stated, (claim.contract, claim.term), strict=True):
        if said and said != real:
            raise Refused("ROW_RECORD_MISMATCH", record=cells["record_id"], found=said, expected=real)
    if withdrawn and not cells.get("red_of"):
        raise Refused("INVOICE_WITHDRAWN", record=cells["record_id"], which=f"{claim.contract}/{claim.term}")
    return claim


def _invoice(
    book: _Book, row: Row, file: str, claim: TermClaim, days: tuple[int, int | None], recorded_at: int
) -> None:
    cells = texts(row)
    number, which = cells["invoice_no"], f"{claim.contract}/{claim.term}"
    before = book.known.get((claim.term_id, number))
    left = (claim.ready_gross or 0) - claim.invoiced
    gross = read_amount(cells["invoiced_amount"], claim.currency) if cells.get("invoiced_amount") else None
    if before is not None:
        if (before.issued, before.gross) != (days[0], gross or before.gross):
            raise Refused("INVOICE_DIFFERS", number=number, which=which)
        return
    if gross is None and claim.ready_gross is None:
        raise Refused("ROW_INCOMPLETE", missing="invoiced_amount")
    gross = left if gross is None else gross
    if (claim.ready_gross is not None and gross > left) or gross <= 0:
        raise Refused(
            "INVOICE_ABOVE_READY",
            number=number,
            which=which,
            found=_said(gross, claim),
            left=_said(max(0, left), claim),
        )
    if claim.ready_gross is None:
        place = row_place(row, file, claim.contract, claim.term)
        book.warnings.append(Finding("INVOICE_NOT_READY", Severity.WARNING, place, {"which": which, "number": number}))
    key = str(uuid5(NAMESPACE, f"invoice\x1f{claim.contract}\x1f{claim.term}\x1f{number}"))
    book.invoices.append((key, claim.contract_id, claim.term_id, number, *days, gross, recorded_at))
    book.known[claim.term_id, number] = _Known(0, claim.term_id, days[0], gross, 0)
    claim.invoiced += gross


def _said(minor: int, claim: TermClaim) -> str:
    return f"{claim.currency} {Money(minor, claim.currency)}"


def _credit(book: _Book, cells: Mapping[str, str], claim: TermClaim, day: int, recorded_at: int) -> None:
    """A red invoice names the blue one; without an amount it takes back all that is left of it."""
    which = f"{claim.contract}/{claim.term}"
    blue = book.known.get((claim.term_id, cells["red_of"]))
    if blue is None or blue.id == 0:
        raise Refused("CREDIT_WITHOUT_INVOICE", number=cells["red_of"], which=which)
    key = str(uuid5(NAMESPACE, f"credit\x1f{which}\x1f{cells['red_of']}\x1f{cells['invoice_no']}"))
    if key in book.credited:
        return
    book.credited.add(key)
    left = blue.gross - blue.credited
    stated = cells.get("invoiced_amount", "").lstrip("-−(（").rstrip(")）")
    gross = read_amount(stated, claim.currency) if stated else left
    if not 0 < gross <= left:
        raise Refused(
            "CREDIT_ABOVE_INVOICE", number=cells["red_of"], found=_said(gross, claim), left=_said(left, claim)
        )
    book.known[claim.term_id, cells["red_of"]] = replace(blue, credited=blue.credited + gross)
    book.credits.append(
        (key, claim.contract_id, claim.term_id, blue.id, cells["invoice_no"], day, gross, "red", cells.get("reason", ""), recorded_at)
    )  # fmt: skip
    if gross >= left and claim.record_id is not None and claim.invoiced <= left:
        book.reopened.append((claim.record_id, day))


#: Columns in the order of the rows above.
_INVOICE = ("key", "contract_id", "term_id", "number", "issued_day", "received_day", "gross", "recorded_at")
_CREDIT = ("key", "contract_id", "term_id", "invoice_id", "number", "day", "gross", "kind", "reason", "recorded_at")


def _write(connection: Connection, book: _Book, recorded_at: int, run_id: str) -> int:
    new = bulk_insert(connection, invoices, _INVOICE, book.invoices, ignore=True)
    new += bulk_insert(connection, credits_, _CREDIT, book.credits, ignore=True)
    rows = [(record, day, "red_invoice", run_id, recorded_at) for record, day in book.reopened]
    columns = ("record_id", "withdrawn_day", "reason", "run_id", "recorded_at")
    bulk_insert(connection, withdrawals, columns, rows, ignore=True)
    return new
