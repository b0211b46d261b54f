"""Import payments: bank statements (CAMT.053, MT940), banks' CSV, finance's own list.

Money is written down as the bank states it, then allocated: exactly where the reference names a claim and the
amount fits, or where the list itself says which term it pays; else it waits with proposals for a person. A row
that cannot be read waits in quarantine, the others go on; a row is booked whole or not at all.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
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
from flows.steps.evaluation.columns import day_number
from flows.steps.pull import put_aside
from flows.steps.receivables.bank_money import Money, Waiting, book, receipt_of
from flows.steps.receivables.claims import TermClaim, claim_names, open_claims, term_claims
from flows.steps.receivables.directions import nothing, went_out
from flows.steps.receivables.doubts import seen_before, taken_back
from flows.steps.receivables.list_checks import total_findings
from flows.steps.receivables.reading import Refused, read_amount, read_day, row_place, texts
from models.domain.findings import Finding, Place, Severity
from models.domain.ready import NAMESPACE
from models.domain.receivables.allocation import Matching, match_receipt
from models.domain.receivables.claims import Allocation
from models.domain.receivables.references import Names
from models.records.contract_file import KNOWN_CURRENCIES
from models.tables import bank_lines, quarantine

#: What the connection column of the quarantine says for rows of payments.
QUARANTINE = "payments"


@dataclass(frozen=True, slots=True)
class PaymentsImported:
    """What a file gave."""

    rows: int
    new: int
    booked: int  # allocations
    waiting: tuple[Waiting, ...]
    passed_over: int  # went out, reversals, not booked yet
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class _Read:
    money: list[Money] = field(default_factory=list)
    broken: list[tuple[Finding, str]] = field(default_factory=list)  # with the row as it came
    reversals: Sequence[StatementLine] = ()
    passed: int = 0
    passed_at: list[str] = field(default_factory=list)  # rows whose money went out
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
    settled = [*(_where(m.place) for m in money), *read.passed_at]
    _quarantine(connection, [*read.broken, *twice], settled, recorded_at, run_id)
    doubtful = seen_before(connection, fresh, (m.key for m in money))
    ids = _write(connection, fresh, recorded_at)
    booked, waiting, problems = _allocate(connection, fresh, ids, doubtful, recorded_at)
    findings += [f for f, _ in (*read.broken, *twice)] + list(doubtful.values()) + problems
    findings += taken_back(connection, read.reversals, path.name, today)
    return PaymentsImported(read.rows, len(fresh), booked, tuple(waiting), read.passed, tuple(findings))


# --- reading -------------------------------------------------------------------------------------------


def _statement(data: bytes, file: str, today: date) -> tuple[_Read, list[Finding]]:
    found, read = read_statement(data, file), _Read()
    read.passed, read.rows, read.reversals = found.passed_over, len(found.lines), found.reversals
    for line in found.lines:
        place = Place(file=file, line=line.number)
        try:
            read.money.append(_of_statement(line, place, today))
        except Refused as problem:
            read.broken.append((problem.finding(place), repr(line)))
    return read, list(found.findings)


def _of_statement(line: StatementLine, place: Place, today: date) -> Money:
    currency = _currency(line.currency)
    day, minor = read_day(line.day, today), _amount(line.amount, currency)
    key = _key(line.account, line.bank_id, day, minor, currency, line.payer, line.reference)
    reference = " ".join(filter(None, (line.reference, line.note)))
    return Money(key, place, day, minor, currency, line.payer, reference, line.account, bank_id=line.bank_id)


#: What makes one row wait while the others go on.
_OF_A_ROW = frozenset({"CELL_INEXACT", "CELL_FORMULA", "ROW_HIDDEN", "ROW_MERGED"})


def _list(data: bytes, file: str, today: date, currency: str | None) -> tuple[_Read, list[Finding]]:
    found, read = read_payment_list(data, file), _Read()
    own = [f for f in found.findings if f.code in _OF_A_ROW]
    read.broken = [(f, "") for f in own]
    unreadable = {_where(f.place) for f in own}
    mixed = False  # one column holds what came and what went: nobody knows what a total below it means
    for row in found.rows:
        read.rows += 1
        place = row_place(row, file)
        if _where(place) in unreadable:
            continue
        try:
            if went_out(texts(row), debits=found.debits):
                read.passed += 1
                read.passed_at.append(_where(place))
                mixed = mixed or ("amount" in row and not nothing(row["amount"].text))
            else:
                read.money.append(_of_row(row, place, today, currency, directed=found.directed))
        except Refused as problem:
            read.broken.append((problem.finding(place), orjson.dumps(dict(texts(row))).decode()))
    findings = [f for f in found.findings if f.code not in _OF_A_ROW]
    if not read.broken and not mixed:
        findings += total_findings([(m.minor, m.currency) for m in read.money], found.totals, file)
    return read, findings


def _where(place: Place) -> str:
    """Where a row stands, as the quarantine and the lines say it: file:line, of Excel file:sheet!line."""
    sheet = (place.path or "").rpartition("!")[0]
    return f"{place.file}:{sheet}!{place.line}" if sheet else f"{place.file}:{place.line}"


def _of_row(row: Row, place: Place, today: date, currency: str | None, *, directed: bool) -> Money:
    cells = texts(row)
    missing = [k for k in ("date", "amount") if not cells.get(k)]
    missing += ["direction"] if directed and not cells.get("direction") else []
    if missing:
        raise Refused("ROW_INCOMPLETE", missing=", ".join(missing))
    code = _currency(cells.get("currency") or currency or "")
    day, minor = read_day(cells["date"], today), _amount(cells["amount"], code)
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
    method, bank_id = cells.get("method", ""), cells.get("bank_id", "")
    return Money(key, place, day, minor, code, payer, reference, account, method, maturity, pays, bank_id)


def _maturity(text: str) -> date | None:
    """The one date that lies in the future."""
    return read_day(text, date(2199, 1, 1)) if text else None


def _amount(text: str, currency: str) -> int:
    """A sum that came in. Raises Refused."""
    try:
        return read_amount(text, currency)
    except Refused as problem:
        if problem.code != "ROW_AMOUNT_NOT_POSITIVE":
            raise
        raise Refused("PAYMENT_NOT_POSITIVE", found=text) from None


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
    settled: Iterable[str],
    recorded_at: int,
    run_id: str,
) -> None:
    """Rows that cannot be read wait; one that was corrected in its file, or is none of ours, is cleared.

    `settled`: where such rows stand.
    """
    rows = []
    for finding, raw in broken:
        where = _where(finding.place)
        key = str(uuid5(NAMESPACE, f"payments\x1f{where}\x1f{finding.code}\x1f{raw}"))
        params = orjson.dumps({k: str(v) for k, v in finding.params.items()}).decode()
        rows.append((key, run_id, QUARANTINE, where, finding.code, params, raw, recorded_at))
    put_aside(connection, rows)
    waiting = {r[3] for r in rows}
    for where in settled:
        if where not in waiting:
            connection.execute(
                quarantine.update()
                .where(quarantine.c.connection == QUARANTINE, quarantine.c.vendor_id == where, quarantine.c.cleared_at.is_(None))
                .values(cleared_at=recorded_at)
            )  # fmt: skip


def _write(connection: Connection, fresh: Sequence[Money], recorded_at: int) -> dict[str, int]:
    columns = ("key", "currency", "minor", "day", "payer", "reference", "account", "method", "maturity_day", "source", "bank_id", "recorded_at")  # fmt: skip
    rows = [
        (
            m.key, m.currency, m.minor, day_number(m.day), m.payer, m.reference, m.account, m.method,
            None if m.maturity is None else day_number(m.maturity), _where(m.place), m.bank_id, recorded_at,
        )
        for m in fresh
    ]  # fmt: skip
    bulk_insert(connection, bank_lines, columns, rows, ignore=True)
    wanted = {m.key for m in fresh}
    return {key: id_ for key, id_ in fetch(connection, "SELECT key, id FROM bank_lines") if key in wanted}


def _allocate(
    connection: Connection, fresh: Sequence[Money], ids: dict[str, int], doubtful: Container[str], recorded_at: int
) -> tuple[int, list[Waiting], list[Finding]]:
    claims = term_claims(connection)
    names = claim_names(claims.values())
    booked, waiting, problems = 0, [], []
    for money in sorted(fresh, key=lambda m: (m.day, m.key)):
        matching, finding = _matched(money, claims, names, doubtful=money.key in doubtful)
        problems += [finding] if finding else []
        for allocation in matching.booked:
            why = matching.why.value if matching.why else "stated"
            line, claim = ids[money.key], claims[int(allocation.claim)]
            book(connection, money, line, claim, allocation.minor, (why, "import"), recorded_at)
            booked += 1
        rest = money.minor - sum(a.minor for a in matching.booked)
        if rest:
            waiting.append(
                Waiting(ids[money.key], money.day, rest, money.currency, money.payer, money.reference, matching)
            )
    return booked, waiting, problems


def _matched(
    money: Money, claims: dict[int, TermClaim], names: Names, *, doubtful: bool
) -> tuple[Matching, Finding | None]:
    open_ = open_claims(claims.values())
    if doubtful:  # it may be in the books already: a person looks first
        return Matching(), None
    if not money.pays:
        return match_receipt(receipt_of(money), open_, names), None
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
