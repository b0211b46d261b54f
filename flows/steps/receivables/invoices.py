"""Import invoices: finance's own list, or the ready list handed back. All or nothing, harmless to repeat.

A red invoice (红字发票) or credit note lowers what is owed; where nothing is left the term opens again: its ready
record is withdrawn, and the next night issues the next occurrence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path
from uuid import uuid5

import orjson
from sqlalchemy.engine import Connection

from connectors.files.money_lists import read_invoice_list
from connectors.files.sheets import Row
from connectors.store.bulk import bulk_insert, fetch
from flows.steps.evaluation.columns import as_date, day_number
from flows.steps.receivables.claims import OPENING, TermClaim, term_claims
from flows.steps.receivables.list_checks import missing_rows, total_findings
from flows.steps.receivables.reading import Refused, read_amount, read_day, row_place, texts
from flows.steps.receivables.standing import CODE, GROSS
from models.domain.findings import Finding, Place, Severity
from models.domain.money import Money
from models.domain.ready import NAMESPACE
from models.domain.receivables.claims import invoice_kind, is_digital_number
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
    """An invoice in the store, or in the file (id 0)."""

    id: int
    term_id: int
    issued: int
    gross: int
    credited: int
    kind: str | None = None


@dataclass(slots=True)
class _Book:
    """What the file adds, on top of what the store has."""

    claims: Mapping[int, TermClaim]
    by_code: Mapping[tuple[str, str], int]
    by_record: Mapping[str, tuple[int, bool]]  # record id -> term id, withdrawn
    known: dict[tuple[int, str], _Known]
    credited: set[str]  # keys of credits that are there
    withdrawn: Mapping[int, int]  # term id -> the day its last record was withdrawn, where none is alive
    decided: Callable[[int], Mapping[str, int]]  # contract id -> what its last decision has for each term
    invoices: list[tuple[object, ...]] = field(default_factory=list)
    credits: list[tuple[object, ...]] = field(default_factory=list)
    reopened: list[tuple[str, int]] = field(default_factory=list)  # record id, day
    warnings: list[Finding] = field(default_factory=list)


def import_invoices(connection: Connection, path: Path, today: date, recorded_at: int, run_id: str) -> InvoicesImported:
    """Take a list of invoices in, or refuse it with every row's problem."""
    read = read_invoice_list(path.read_bytes(), path.name)
    book, findings = _book(connection), list(read.findings)
    amounts: list[tuple[int, str] | None] = []
    for row in read.rows:
        try:
            amounts.append(_row(book, row, path.name, today, recorded_at))
        except Refused as problem:
            cells = texts(row)
            findings.append(problem.finding(row_place(row, path.name, cells.get("contract"), cells.get("term"))))
    stated = [a for a in amounts if a is not None]
    if len(stated) == len(read.rows):
        findings += total_findings(stated, read.totals, path.name)
    if any(f.severity is Severity.ERROR for f in findings):
        return InvoicesImported(len(read.rows), 0, tuple(findings))
    new = _write(connection, book, recorded_at, run_id)
    findings += missing_rows(connection, read.records, today, path.name)
    return InvoicesImported(len(read.rows), new, (*findings, *book.warnings))


def _book(connection: Connection) -> _Book:
    claims = term_claims(connection)
    known = {
        (term, number): _Known(id_, term, day, gross, int(credit), kind)
        for id_, term, number, day, gross, credit, kind in fetch(
            connection,
            "SELECT i.id, i.term_id, i.number, i.issued_day, COALESCE(i.gross, 0), COALESCE(SUM(k.gross), 0), i.kind FROM invoices i "
            "LEFT JOIN credits k ON k.invoice_id = i.id WHERE i.number IS NOT NULL "
            "GROUP BY i.id, i.term_id, i.number, i.issued_day, i.gross, i.kind",
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
    by_code = {(c.contract, c.term): t for t, c in claims.items()}
    return _Book(claims, by_code, records, known, credited, _withdrawn(connection), partial(_decided, connection))


def _decided(connection: Connection, contract: int) -> Mapping[str, int]:
    """Term -> gross, as the last night decided; empty before the contract's first one."""
    rows = fetch(connection, "SELECT body FROM decisions WHERE contract_id = :c ORDER BY id DESC LIMIT 1", {"c": contract})  # fmt: skip
    return {line[CODE]: int(line[GROSS]) for line in orjson.loads(rows[0][0])} if rows else {}


def _withdrawn(connection: Connection) -> dict[int, int]:
    """A red invoice opens a term again at once; any other withdrawal means: not now."""
    rows = fetch(
        connection,
        "SELECT r.term_id, MAX(w.withdrawn_day) FROM ready_records r JOIN withdrawals w ON w.record_id = r.record_id "
        "WHERE w.reason <> 'red_invoice' AND NOT EXISTS (SELECT 1 FROM ready_records x WHERE x.term_id = r.term_id "
        "AND x.occurrence > r.occurrence) GROUP BY r.term_id",
    )
    return {int(term): int(day) for term, day in rows}


def _row(book: _Book, row: Row, file: str, today: date, recorded_at: int) -> tuple[int, str] | None:
    """Put one row into the book; the amount it states, if it is an invoice and states one. Raises Refused."""
    cells = texts(row)
    missing = [k for k in ("invoice_no", "invoice_date") if not cells.get(k)]
    if missing or not (cells.get("record_id") or (cells.get("contract") and cells.get("term"))):
        raise Refused("ROW_INCOMPLETE", missing=", ".join(missing) or "record_id, contract + term")
    claim = _claim(book, cells)
    if cells.get("currency") and cells["currency"] != claim.currency:
        raise Refused("ROW_CURRENCY", found=cells["currency"], expected=claim.currency)
    issued = day_number(read_day(cells["invoice_date"], today))
    if _cancelled(cells):
        _credit(book, cells, claim, issued, recorded_at, of=cells["invoice_no"])
    elif cells.get("red_of"):
        _credit(book, cells, claim, issued, recorded_at)
    else:
        received = day_number(read_day(cells["invoice_received"], today)) if cells.get("invoice_received") else None
        return _invoice(book, row, file, claim, (issued, received), recorded_at)
    return None


_STATUS = {"": False, "normal": False, "正常": False, "cancelled": True, "canceled": True, "void": True, "作废": True, "已作废": True}  # fmt: skip
#: A red invoice says so in the tax bureau's list; which one it corrects stands in red_of.
_RED = frozenset({"已红冲", "已红冲-全额", "已红冲-部分"})


def _cancelled(cells: Mapping[str, str]) -> bool:
    status = cells.get("invoice_status", "").strip().lower()
    if status not in _STATUS and status not in _RED:
        raise Refused("INVOICE_STATUS_UNKNOWN", found=cells["invoice_status"])
    return _STATUS.get(status, False)


def _kind(cells: Mapping[str, str]) -> str | None:
    """The kind as stated; a fully digital invoice has 20 digits. Raises Refused."""
    if not cells.get("kind"):
        return None
    found = invoice_kind(cells["kind"])
    if found is None:
        raise Refused("INVOICE_KIND_UNKNOWN", found=cells["kind"])
    kind, digital = found
    if digital:
        _twenty_digits(cells["invoice_no"])
    return kind.value


def _twenty_digits(number: str) -> None:
    """As the number of a digital invoice has them. Raises Refused."""
    if is_digital_number(number):
        return
    others = dict.fromkeys(c for c in number if not ("0" <= c <= "9"))
    if others:
        raise Refused("INVOICE_NUMBER_CHARACTERS", found=number, others=" ".join(others))
    raise Refused("INVOICE_NUMBER_DIGITS", found=number, n=len(number))


def _free(book: _Book, claim: TermClaim, number: str) -> None:
    """A number is one invoice: over several terms of one customer, never of two. Raises Refused."""
    for term, known in book.known:
        other = book.claims.get(term)
        if known == number and number != OPENING and other is not None and other.customer != claim.customer:
            raise Refused("INVOICE_NUMBER_TAKEN", number=number, other=f"{other.contract}/{other.term}")


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
) -> tuple[int, str] | None:
    cells = texts(row)
    number, which, kind = cells["invoice_no"], f"{claim.contract}/{claim.term}", _kind(cells)
    before = book.known.get((claim.term_id, number))
    stated = read_amount(cells["invoiced_amount"], claim.currency) if cells.get("invoiced_amount") else None
    said = None if stated is None else (stated, claim.currency)
    if before is not None:
        kinds = {kind, before.kind} - {None}
        if (before.issued, before.gross) != (days[0], stated or before.gross) or len(kinds) > 1:
            raise Refused("INVOICE_DIFFERS", number=number, which=which)
        return said
    _free(book, claim, number)
    gross = _gross(book, claim, number, days[0], stated)
    if claim.ready_gross is None:
        place = row_place(row, file, claim.contract, claim.term)
        book.warnings.append(Finding("INVOICE_NOT_READY", Severity.WARNING, place, {"which": which, "number": number}))
    key = str(uuid5(NAMESPACE, f"invoice\x1f{claim.contract}\x1f{claim.term}\x1f{number}"))
    book.invoices.append((key, claim.contract_id, claim.term_id, number, *days, gross, kind, recorded_at))
    book.known[claim.term_id, number] = _Known(0, claim.term_id, days[0], gross, 0, kind)
    claim.invoiced += gross
    return said


def _gross(book: _Book, claim: TermClaim, number: str, issued: int, stated: int | None) -> int:
    """What the invoice asks: as stated, else all that is ready; never more than is ready. Raises Refused."""
    which = f"{claim.contract}/{claim.term}"
    if claim.ready_gross is None:
        withdrawn = book.withdrawn.get(claim.term_id)
        if withdrawn is not None and issued >= withdrawn:
            raise Refused("TERM_WITHDRAWN", which=which, day=as_date(withdrawn), found=as_date(issued))
        if stated is None:
            raise Refused("ROW_INCOMPLETE", missing="invoiced_amount")
        _within_contract(book, claim, number, stated)
        return stated
    if any(record == claim.record_id for record, _ in book.reopened):
        raise Refused("INVOICE_AFTER_RED", which=which, number=number)
    left = claim.ready_gross - claim.invoiced
    gross = left if stated is None else stated
    if not 0 < gross <= left:
        left_said = _said(max(0, left), claim)
        raise Refused("INVOICE_ABOVE_READY", number=number, which=which, found=_said(gross, claim), left=left_said)
    return gross


def _within_contract(book: _Book, claim: TermClaim, number: str, gross: int) -> None:
    """What is invoiced before it is ready is at most what the term will be, and the contract. Raises Refused.

    A term whose amount is not known yet (0) is held to the contract's only.
    """
    decided = book.decided(claim.contract_id)
    term, price = decided.get(claim.term, 0), sum(g for g in decided.values() if g > 0)
    params = {"number": number, "which": f"{claim.contract}/{claim.term}", "found": _said(gross, claim)}
    if term > 0 and claim.invoiced + gross > term:
        left = _said(max(0, term - claim.invoiced), claim)
        raise Refused("INVOICE_ABOVE_TERM", **params, term=_said(term, claim), left=left)
    codes = ((claim.contract, code) for code in decided)
    there = sum(book.claims[book.by_code[code]].invoiced for code in codes if code in book.by_code)
    if price > 0 and there + gross > price:
        left = _said(max(0, price - there), claim)
        raise Refused("INVOICE_ABOVE_PRICE", **params, contract=claim.contract, price=_said(price, claim), left=left)


def _said(minor: int, claim: TermClaim) -> str:
    return f"{claim.currency} {Money(minor, claim.currency)}"


def _credit(
    book: _Book, cells: Mapping[str, str], claim: TermClaim, day: int, recorded_at: int, of: str | None = None
) -> None:
    """A red invoice names the blue one; without an amount it takes back all that is left of it. `of`: it is cancelled."""
    which, number = f"{claim.contract}/{claim.term}", of or cells["red_of"]
    blue = book.known.get((claim.term_id, number))
    if blue is None or blue.id == 0:
        raise Refused("CREDIT_WITHOUT_INVOICE", number=number, which=which)
    key = str(uuid5(NAMESPACE, f"credit\x1f{which}\x1f{number}\x1f{cells['invoice_no']}"))
    if key in book.credited:
        return
    if of is None:
        _kind(cells)
    book.credited.add(key)
    left = blue.gross - blue.credited
    stated = "" if of else cells.get("invoiced_amount", "").lstrip("-\u2212(\uff08").rstrip(")\uff09")
    gross = read_amount(stated, claim.currency) if stated else left
    if not 0 < gross <= left:
        raise Refused("CREDIT_ABOVE_INVOICE", number=number, found=_said(gross, claim), left=_said(left, claim))
    book.known[claim.term_id, number] = replace(blue, credited=blue.credited + gross)
    kind, reason = ("cancelled" if of else "red"), cells.get("reason", "")
    book.credits.append(
        (key, claim.contract_id, claim.term_id, blue.id, cells["invoice_no"], day, gross, kind, reason, recorded_at)
    )
    claim.invoiced -= gross
    if claim.paid > claim.invoiced:
        place = Place(contract=claim.contract, term=claim.term)
        params = {"which": which, "over": _said(claim.paid - claim.invoiced, claim)}
        book.warnings.append(Finding("INVOICE_PAID", Severity.WARNING, place, params))
    if claim.invoiced == 0 and claim.record_id is not None:
        book.reopened.append((claim.record_id, day))


#: Columns in the order of the rows above.
_INVOICE = ("key", "contract_id", "term_id", "number", "issued_day", "received_day", "gross", "kind", "recorded_at")
_CREDIT = ("key", "contract_id", "term_id", "invoice_id", "number", "day", "gross", "kind", "reason", "recorded_at")


def _write(connection: Connection, book: _Book, recorded_at: int, run_id: str) -> int:
    new = bulk_insert(connection, invoices, _INVOICE, book.invoices, ignore=True)
    new += bulk_insert(connection, credits_, _CREDIT, book.credits, ignore=True)
    rows = [(record, day, "red_invoice", run_id, recorded_at) for record, day in book.reopened]
    columns = ("record_id", "withdrawn_day", "reason", "run_id", "recorded_at")
    bulk_insert(connection, withdrawals, columns, rows, ignore=True)
    return new
