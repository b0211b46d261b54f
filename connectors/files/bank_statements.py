"""Bank statements: CAMT.053 (and .052) and MT940, read into plain rows of text.

Only money that came in; debits are passed over, and credits taken back are told apart. Amounts stay text until the
currency is known. A statement whose balances do not add up, and a batch whose details do not, is refused: a line
may be missing or changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation

from connectors.files.camt import read_camt
from connectors.files.statement_lines import Direction, Entry, Statement, StatementBroken
from models.domain.findings import Finding, Place, Severity

#: Larger files are not statements of one day or month.
BYTES_MAX = 50_000_000


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One credit as the bank states it. `bank_id`: the bank's own reference, where it gives one."""

    number: int  # from 1, in the file's order
    day: str  # ISO, booking date
    amount: str
    currency: str
    payer: str
    reference: str
    account: str
    bank_id: str = ""
    note: str = ""  # what was instructed in another currency, or charged on the way


@dataclass(frozen=True, slots=True)
class StatementRead:
    """The credits of a statement; `passed_over`: debits, reversed debits, entries not booked yet.

    `reversals`: credits that the bank took back.
    """

    lines: tuple[StatementLine, ...]
    passed_over: int
    findings: tuple[Finding, ...]
    reversals: tuple[StatementLine, ...] = ()


def statement_format(data: bytes, file: str) -> str | None:
    """camt, mt940, or None: something else."""
    head = data[:2000].lstrip(b"\xef\xbb\xbf \r\n\t")
    if head.startswith(b"<") and (b"camt.05" in data[:4000] or file.lower().endswith(".xml")):
        return "camt"
    return "mt940" if b":20:" in data[:4000] and b":25:" in data[:8000] else None


def read_statement(data: bytes, file: str) -> StatementRead:
    """The credits of a CAMT or MT940 file; a file that cannot be read or does not add up gives findings and no lines."""
    if len(data) > BYTES_MAX:
        return _refused([_unreadable(file, f"more than {BYTES_MAX} bytes")])
    kind = statement_format(data, file)
    if kind is None:
        return _refused([_unreadable(file, "neither CAMT.053 nor MT940")])
    try:
        statements = read_camt(data) if kind == "camt" else _mt940(data)
        findings = [f for s in statements for f in _problems(s, file)]
    except (StatementBroken, InvalidOperation) as problem:
        return _refused([_unreadable(file, str(problem)[:120] or "a sum that is none")])
    return _refused(findings) if findings else _lines(statements)


def _refused(findings: Sequence[Finding]) -> StatementRead:
    return StatementRead((), 0, tuple(findings))


def _unreadable(file: str, why: str) -> Finding:
    return Finding("STATEMENT_UNREADABLE", Severity.ERROR, Place(file=file), {"why": why})


def _problems(statement: Statement, file: str) -> Iterator[Finding]:
    expected = statement.expected_closing()
    if expected is not None and statement.closing is not None and expected != statement.closing:
        params = {"statement": statement.name, "expected": format(expected, "f"), "found": format(statement.closing, "f")}  # fmt: skip
        yield Finding("STATEMENT_BALANCE", Severity.ERROR, Place(file=file), params)
    for entry in statement.entries:
        if entry.batch is not None and entry.booked and entry.direction is Direction.CREDIT and not entry.batch.parts:
            params = {"reference": entry.bank_id or entry.reference or "-", "n": str(entry.batch.size)}
            yield Finding("STATEMENT_BATCH", Severity.ERROR, Place(file=file), params)


def _lines(statements: Sequence[Statement]) -> StatementRead:
    lines: list[StatementLine] = []
    back: list[StatementLine] = []
    passed = 0
    for number, entry in enumerate(_parts(statements), 1):
        if entry.booked and entry.direction is Direction.CREDIT and not entry.against:
            lines.append(_line(number, entry))
        elif entry.booked and entry.direction is Direction.CREDIT_REVERSED:
            back.append(_line(number, entry))
        else:
            passed += 1
    return StatementRead(tuple(lines), passed, (), tuple(back))


def _parts(statements: Sequence[Statement]) -> Iterator[Entry]:
    for statement in statements:
        for entry in statement.entries:
            yield from entry.batch.parts if entry.batch is not None and entry.batch.parts else (entry,)


def _line(number: int, e: Entry) -> StatementLine:
    return StatementLine(number, e.day, e.amount, e.currency, e.payer, e.reference, e.account, e.bank_id, e.note)


# --- MT940 -------------------------------------------------------------------------------------------

_MARKS = {
    "C": Direction.CREDIT, "D": Direction.DEBIT, "RC": Direction.CREDIT_REVERSED, "RD": Direction.DEBIT_REVERSED,
}  # fmt: skip


def _mt940(data: bytes) -> list[Statement]:
    import mt940

    try:
        found = mt940.parse_statements(_text(data), options=mt940.Options(reversal_sign=True))
        return [_mt940_statement(dict(s.data), [dict(t.data) for t in s]) for s in found]
    except (ValueError, RuntimeError, KeyError, AttributeError, TypeError, IndexError, InvalidOperation) as problem:
        raise StatementBroken(str(problem)[:120] or type(problem).__name__) from None


def _text(data: bytes) -> str:
    """SWIFT allows few letters; banks send UTF-8, GB18030 or Latin-1 in field 86."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def _mt940_statement(said: Mapping[str, object], entries: Sequence[Mapping[str, object]]) -> Statement:
    """Its own balances: a page of a longer statement has intermediate ones (60M, 62M)."""
    opening = said.get("final_opening_balance") or said.get("intermediate_opening_balance")
    closing = said.get("final_closing_balance") or said.get("intermediate_closing_balance")
    booked = tuple(_mt940_entry(said, e) for e in entries if e.get("amount") is not None)
    name = str(said.get("transaction_reference") or said.get("account_identification") or "")
    return Statement(name, _mt940_balance(opening), _mt940_balance(closing), booked)


def _mt940_balance(balance: object) -> Decimal | None:
    amount = getattr(balance, "amount", None)  # signed: a debit balance is below zero
    found = getattr(amount, "amount", None)
    return found if isinstance(found, Decimal) else None


def _mt940_entry(statement: Mapping[str, object], entry: Mapping[str, object]) -> Entry:
    day = entry.get("entry_date") or entry.get("date")
    words = [entry.get(k) for k in ("purpose", "transaction_details", "extra_details", "end_to_end_reference", "customer_reference")]  # fmt: skip
    said = list(dict.fromkeys(str(w).replace("\n", "") for w in words if w and str(w) != "NONREF"))
    amount = entry["amount"]
    mark = str(entry.get("status", "")).upper()
    if mark not in _MARKS:
        raise StatementBroken(f"an entry marked {mark!r}")
    return Entry(
        direction=_MARKS[mark],
        booked=True,
        day=date(day.year, day.month, day.day).isoformat() if isinstance(day, date) else "",
        amount=format(abs(getattr(amount, "amount", Decimal(0))), "f"),
        currency=str(getattr(amount, "currency", "") or ""),
        payer=str(entry.get("applicant_name") or "").strip(),
        reference=" ".join(said),
        account=str(statement.get("account_identification") or ""),
        bank_id=str(entry.get("bank_reference") or ""),
    )
