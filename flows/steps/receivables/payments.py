"""Import payments: bank statements (CAMT.053, MT940), banks' CSV, finance's own list.

Money is written down as the bank states it, then allocated: exactly where the reference names a claim and the
amount fits, or where the list itself says which term it pays; else it waits with proposals for a person. A row
that cannot be read waits in quarantine, the others go on; a row is booked whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from uuid import uuid5

import orjson
from sqlalchemy.engine import Connection

from connectors.files.bank_statements import StatementLine, read_statement, statement_format
from connectors.files.money_lists import read_payment_list
from connectors.files.sheets import Row
from connectors.store.bulk import bulk_insert, fetch
from flows.steps.evaluation.columns import as_date, day_number
from flows.steps.receivables.claims import TermClaim, open_claims, term_claims
from flows.steps.receivables.reading import Refused, read_amount, read_day, row_place, texts
from models.domain.findings import Finding, Place, Severity
from models.domain.ready import NAMESPACE
from models.domain.receivables.allocation import Matching, OpenClaim, Proposal, Why, match_receipt
from models.domain.receivables.claims import Allocation, Receipt
from models.records.contract_file import KNOWN_CURRENCIES
from models.tables import allocations, bank_lines, quarantine, receipts

#: What the connection column of the quarantine says for rows of payments.
QUARANTINE = "payments"


@dataclass(frozen=True, slots=True)
class Money:
    """One credit, read and checked, before anybody says what it is for."""

    key: str
    place: Place
    day: date
    minor: int
    currency: str
    payer: str
    reference: str
    account: str
    method: str = ""
    maturity: date | None = None
    pays: str = ""  # contract/term or invoice number that the list itself states


@dataclass(frozen=True, slots=True)
class Waiting:
    """Money that nobody has said the purpose of yet."""

    line_id: int
    day: date
    minor: int  # not allocated yet
    currency: str
    payer: str
    reference: str
    matching: Matching


@dataclass(frozen=True, slots=True)
class PaymentsImported:
    """What a file gave."""

    rows: int
    new: int
    booked: int  # allocations
    waiting: tuple[Waiting, ...]
    passed_over: int  # debits, reversals, not booked yet
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class _Read:
    money: list[Money] = field(default_factory=list)
    broken: list[tuple[Finding, str]] = field(default_factory=list)  # with the row as it came
    passed: int = 0
    rows: int = 0


def import_payments(
    connection: Connection, path: Path, today: date, recorded_at: int, run_id: str, currency: str | None = None
) -> PaymentsImported:
    """Take money in. `currency`: of a list that does not say one."""
    data = path.read_bytes()
    statement = statement_format(data, path.name) is not None
    read, findings = _statement(data, path.name, today) if statement else _list(data, path.name, today, currency)
    if any(f.severity is Severity.ERROR for f in findings):
        return PaymentsImported(read.rows, 0, 0, (), read.passed, tuple(findings))
    money, twice = _once(read.money)
    fresh = _fresh(connection, money)
    _quarantine(connection, [*read.broken, *twice], money, path.name, recorded_at, run_id)
    ids = _write(connection, fresh, path.name, recorded_at)
    booked, waiting, problems = _allocate(connection, fresh, ids, recorded_at)
    findings += [f for f, _ in (*read.broken, *twice)] + problems
    return PaymentsImported(read.rows, len(fresh), booked, tuple(waiting), read.passed, tuple(findings))


# --- reading -------------------------------------------------------------------------------------------


def _statement(data: bytes, file: str, today: date) -> tuple[_Read, list[Finding]]:
    found, read = read_statement(data, file), _Read()
    read.passed, read.rows = found.passed_over, len(found.lines)
    for line in found.lines:
        place = Place(file=file, line=line.number)
        try:
            read.money.append(_of_statement(line, place, today))
        except Refused as problem:
            read.broken.append((problem.finding(place), repr(line)))
    return read, list(found.findings)


def _of_statement(line: StatementLine, place: Place, today: date) -> Money:
    currency = _currency(line.currency)
    day, minor = read_day(line.day, today), read_amount(line.amount, currency)
    key = _key(line.account, line.bank_id, day, minor, currency, line.payer, line.reference)
    return Money(key, place, day, minor, currency, line.payer, line.reference, line.account)


def _list(data: bytes, file: str, today: date, currency: str | None) -> tuple[_Read, list[Finding]]:
    found, read = read_payment_list(data, file), _Read()
    unreadable = {f.place.line for f in found.findings if f.code in ("CELL_INEXACT", "CELL_FORMULA")}
    read.broken = [(f, "") for f in found.findings if f.place.line in unreadable]
    for row in found.rows:
        read.rows += 1
        place = row_place(row, file)
        if place.line in unreadable:
            continue
        if "amount" not in row and "date" in row:
            read.passed += 1  # a bank's own CSV has one column for debits and one for credits
            continue
        try:
            read.money.append(_of_row(row, place, today, currency))
        except Refused as problem:
            read.broken.append((problem.finding(place), orjson.dumps(dict(texts(row))).decode()))
    return read, [f for f in found.findings if f.place.line not in unreadable]


def _of_row(row: Row, place: Place, today: date, currency: str | None) -> Money:
    cells = texts(row)
    if not cells.get("date"):
        raise Refused("ROW_INCOMPLETE", missing="date")
    code = _currency(cells.get("currency") or currency or "")
    day, minor = read_day(cells["date"], today), read_amount(cells["amount"], code)
    maturity = _maturity(cells.get("maturity", ""))
    account, payer, reference = (cells.get(k, "") for k in ("account", "payer", "reference"))
    pays = (
        f"{cells['contract']}/{cells['term']}"
        if cells.get("contract") and cells.get("term")
        else cells.get("invoice_no", "")
    )
    key = _key(
        account, cells.get("bank_id", ""), day, minor, code, payer, f"{reference}\x1f{pays}" if pays else reference
    )
    return Money(key, place, day, minor, code, payer, reference, account, cells.get("method", ""), maturity, pays)


def _maturity(text: str) -> date | None:
    """The one date that lies in the future."""
    return read_day(text, date(2199, 1, 1)) if text else None


def _currency(code: str) -> str:
    code = {"RMB": "CNY", "人民币": "CNY", "美元": "USD", "欧元": "EUR"}.get(code.strip(), code.strip().upper())
    if code not in KNOWN_CURRENCIES:
        raise Refused("ROW_CURRENCY_UNKNOWN", found=code or "-")
    return code


def _key(*parts: object) -> str:
    """The identity of a credit is all the bank says of it: the same line in two overlapping statements is one."""
    return str(uuid5(NAMESPACE, "money\x1f" + "\x1f".join(str(p) for p in parts)))


def _once(money: Sequence[Money]) -> tuple[list[Money], list[tuple[Finding, str]]]:
    """A line that stands twice in one file: nobody but a person can say whether it was paid twice."""
    seen: dict[str, Money] = {}
    twice = []
    for one in money:
        if one.key in seen:
            params = {"first": seen[one.key].place.line, "reference": one.reference or "-"}
            twice.append((Finding("BANK_LINE_TWICE", place=one.place, params=params), repr(one)))
        else:
            seen[one.key] = one
    return list(seen.values()), twice


def _fresh(connection: Connection, money: Sequence[Money]) -> list[Money]:
    there = {k for (k,) in fetch(connection, "SELECT key FROM bank_lines")}
    return [m for m in money if m.key not in there]


# --- writing -------------------------------------------------------------------------------------------


def _quarantine(
    connection: Connection,
    broken: Iterable[tuple[Finding, str]],
    good: Sequence[Money],
    file: str,
    recorded_at: int,
    run_id: str,
) -> None:
    """Rows that cannot be read wait; one that was corrected in its file is cleared."""
    rows = []
    for finding, raw in broken:
        where = f"{file}:{finding.place.line}"
        key = str(uuid5(NAMESPACE, f"payments\x1f{where}\x1f{finding.code}\x1f{raw}"))
        params = orjson.dumps({k: str(v) for k, v in finding.params.items()}).decode()
        rows.append((key, run_id, QUARANTINE, where, finding.code, params, raw, recorded_at))
    columns = ("key", "run_id", "connection", "vendor_id", "code", "params", "raw", "recorded_at")
    bulk_insert(connection, quarantine, columns, rows, ignore=True)
    waiting = {r[3] for r in rows}
    for where in (f"{file}:{m.place.line}" for m in good):
        if where not in waiting:
            connection.execute(
                quarantine.update()
                .where(quarantine.c.connection == QUARANTINE, quarantine.c.vendor_id == where, quarantine.c.cleared_at.is_(None))
                .values(cleared_at=recorded_at)
            )  # fmt: skip


def _write(connection: Connection, fresh: Sequence[Money], file: str, recorded_at: int) -> dict[str, int]:
    columns = ("key", "currency", "minor", "day", "payer", "reference", "account", "method", "maturity_day", "source", "recorded_at")  # fmt: skip
    rows = [
        (
            m.key, m.currency, m.minor, day_number(m.day), m.payer, m.reference, m.account, m.method,
            None if m.maturity is None else day_number(m.maturity), f"{file}:{m.place.line}", recorded_at,
        )
        for m in fresh
    ]  # fmt: skip
    bulk_insert(connection, bank_lines, columns, rows, ignore=True)
    wanted = {m.key for m in fresh}
    return {key: id_ for key, id_ in fetch(connection, "SELECT key, id FROM bank_lines") if key in wanted}


def _allocate(
    connection: Connection, fresh: Sequence[Money], ids: dict[str, int], recorded_at: int
) -> tuple[int, list[Waiting], list[Finding]]:
    claims = term_claims(connection)
    booked, waiting, problems = 0, [], []
    for money in sorted(fresh, key=lambda m: (m.day, m.key)):
        matching, finding = _matched(money, claims)
        problems += [finding] if finding else []
        for allocation in matching.booked:
            why = matching.why.value if matching.why else "stated"
            _book(
                connection,
                money,
                ids[money.key],
                claims[int(allocation.claim)],
                allocation.minor,
                why,
                "import",
                recorded_at,
            )
            booked += 1
        rest = money.minor - sum(a.minor for a in matching.booked)
        if rest:
            waiting.append(
                Waiting(ids[money.key], money.day, rest, money.currency, money.payer, money.reference, matching)
            )
    return booked, waiting, problems


def _matched(money: Money, claims: dict[int, TermClaim]) -> tuple[Matching, Finding | None]:
    open_ = open_claims(claims.values())
    if not money.pays:
        return match_receipt(_receipt(money), open_), None
    named = [c for c in open_ if money.pays in c.names]
    fitting = [c for c in named if c.currency == money.currency]
    if len(fitting) != 1:
        code = "ROW_CURRENCY" if named and not fitting else "PAYS_NOTHING_OPEN"
        params = {"which": money.pays, "found": money.currency, "expected": named[0].currency if named else "-"}
        return Matching(), Finding(code, place=money.place, params=params)
    part = min(money.minor, fitting[0].minor)
    over = money.minor - part
    finding = Finding("OVERPAID", Severity.WARNING, money.place, {"which": money.pays}) if over else None
    return Matching((Allocation(money.key, fitting[0].key, part),)), finding


def _receipt(money: Money) -> Receipt:
    return Receipt(money.key, money.day, money.minor, money.currency, money.payer, money.reference, money.method)


def _book(
    connection: Connection, money: Money, line: int, claim: TermClaim, minor: int, why: str, by: str, recorded_at: int
) -> None:
    """One receipt of a term out of a bank line."""
    key = str(uuid5(NAMESPACE, f"receipt\x1f{money.key}\x1f{claim.term_id}\x1f{claim.paid}"))
    maturity = None if money.maturity is None else day_number(money.maturity)
    columns = ("key", "contract_id", "term_id", "day", "gross", "method", "maturity_day", "recorded_at")
    row = (
        key,
        claim.contract_id,
        claim.term_id,
        day_number(money.day),
        minor,
        money.method or why,
        maturity,
        recorded_at,
    )
    bulk_insert(connection, receipts, columns, [row])
    receipt = fetch(connection, "SELECT id FROM receipts WHERE key = :k", {"k": key})[0][0]
    tied = ("receipt_id", "bank_line_id", "why", "by", "recorded_at")
    bulk_insert(connection, allocations, tied, [(receipt, line, why, by, recorded_at)])
    claim.paid += minor


# --- what waits, and a person's word --------------------------------------------------------------------


_UNALLOCATED = """
SELECT b.id, b.key, b.day, b.minor - COALESCE(SUM(r.gross), 0), b.currency, b.payer, b.reference, b.account, b.method,
  b.maturity_day FROM bank_lines b LEFT JOIN allocations a ON a.bank_line_id = b.id LEFT JOIN receipts r ON r.id = a.receipt_id
GROUP BY b.id, b.key, b.day, b.minor, b.currency, b.payer, b.reference, b.account, b.method, b.maturity_day
HAVING b.minor > COALESCE(SUM(r.gross), 0) ORDER BY b.day, b.id
"""


def waiting_money(connection: Connection) -> list[Waiting]:
    """Money without a purpose yet, with proposals; nothing is booked by looking."""
    open_: list[OpenClaim] = open_claims(term_claims(connection).values())
    found = []
    for line, money in _lines(connection).items():
        matching = match_receipt(_receipt(money), open_)
        if matching.booked:  # it fits now, e.g. the invoice came after the money: still for a person, as nobody asked
            matching = Matching(proposals=(Proposal(matching.why or Why.REFERENCE_PART, matching.booked),))
        found.append(Waiting(line, money.day, money.minor, money.currency, money.payer, money.reference, matching))
    return found


def _lines(connection: Connection) -> dict[int, Money]:
    found = {}
    for id_, key, day, left, currency, payer, reference, account, method, maturity in fetch(connection, _UNALLOCATED):
        on = as_date(day)
        assert on is not None
        due = None if maturity is None else as_date(maturity)
        found[id_] = Money(key, Place(), on, int(left), currency, payer, reference, account, method, due)
    return found


def confirm(connection: Connection, line: int, which: str, minor: int | None, by: str, recorded_at: int) -> int:
    """A person says what a bank line pays; how much was booked. Raises Refused."""
    money = _lines(connection).get(line)
    if money is None:
        raise Refused("LINE_NOT_WAITING", line=line)
    claims = term_claims(connection)
    claim = next((c for c in claims.values() if f"{c.contract}/{c.term}" == which), None)
    if claim is None or claim.open == 0:
        raise Refused("PAYS_NOTHING_OPEN", which=which)
    if claim.currency != money.currency:
        raise Refused("ROW_CURRENCY", found=money.currency, expected=claim.currency)
    part = min(money.minor, claim.open) if minor is None else minor
    if not 0 < part <= min(money.minor, claim.open):
        raise Refused("ALLOCATION_TOO_MUCH", which=which)
    _book(connection, money, line, claim, part, "confirmed", by, recorded_at)
    return part
