"""Bank statements: CAMT.053 (and .052) and MT940, read by maintained libraries into plain rows of text.

Only money that came in: credits, less what was reversed. Amounts stay text until the currency is known; a
library that would sum or round is not asked to. A batch whose details do not add up to its entry is a finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from itertools import groupby

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


@dataclass(frozen=True, slots=True)
class StatementRead:
    """The credits of a statement; `passed_over`: debits, reversals, entries not booked yet."""

    lines: tuple[StatementLine, ...]
    passed_over: int
    findings: tuple[Finding, ...]


def statement_format(data: bytes, file: str) -> str | None:
    """camt, mt940, or None: something else."""
    head = data[:2000].lstrip(b"\xef\xbb\xbf \r\n\t")
    if head.startswith(b"<") and (b"camt.05" in data[:4000] or file.lower().endswith(".xml")):
        return "camt"
    return "mt940" if b":20:" in data[:4000] and b":25:" in data[:8000] else None


def read_statement(data: bytes, file: str) -> StatementRead:
    """The credits of a CAMT or MT940 file; a file that cannot be read gives one finding and no lines."""
    if len(data) > BYTES_MAX:
        return _unreadable(file, f"more than {BYTES_MAX} bytes")
    kind = statement_format(data, file)
    if kind == "camt":
        return _camt(data, file)
    if kind == "mt940":
        return _mt940(data, file)
    return _unreadable(file, "neither CAMT.053 nor MT940")


def _unreadable(file: str, why: str) -> StatementRead:
    return StatementRead((), 0, (Finding("STATEMENT_UNREADABLE", Severity.ERROR, Place(file=file), {"why": why}),))


# --- CAMT --------------------------------------------------------------------------------------------

Entry = Mapping[str, str | None]


def _camt(data: bytes, file: str) -> StatementRead:
    from lxml.etree import XMLSyntaxError
    from pycamt.parser import Camt053ParseError, Camt053Parser

    try:
        entries = Camt053Parser(data).get_transactions()
    except (Camt053ParseError, XMLSyntaxError, ValueError, AttributeError) as problem:
        return _unreadable(file, str(problem)[:120] or "no statement in it")
    lines: list[StatementLine] = []
    passed = 0
    for number, entry in enumerate(entries, 1):
        if not _is_credit(entry):
            passed += 1
            continue
        lines.append(_camt_line(number, entry))
    findings = [Finding("STATEMENT_BATCH", Severity.ERROR, Place(file=file), b) for b in _unsplit_batches(entries)]
    return StatementRead(tuple(lines) if not findings else (), passed, tuple(findings))


def _is_credit(entry: Entry) -> bool:
    """Booked money in. A reversal (RvslInd) of a debit is no payment of a customer either."""
    booked = entry.get("Status") in (None, "BOOK")
    return (
        booked and entry.get("CreditDebitIndicator") == "CRDT" and entry.get("ReversalIndicator") not in ("true", "1")
    )


def _camt_line(number: int, entry: Entry) -> StatementLine:
    words = [entry.get(k) for k in ("RemittanceInformationFull", "RemittanceInformation", "AdditionalRemittanceInformation", "EndToEndId", "AdditionalEntryInformation")]  # fmt: skip
    said = list(dict.fromkeys(w.strip() for w in words if w and w.strip() not in ("NOTPROVIDED", "")))
    return StatementLine(
        number=number,
        day=(entry.get("BookingDate") or entry.get("ValueDate") or "")[:10],
        amount=entry.get("Amount") or "",
        currency=entry.get("Currency") or "",
        payer=(entry.get("DebtorName") or "").strip(),
        reference=" ".join(said),
        account=entry.get("AccountIBAN") or "",
        bank_id=":".join(filter(None, (entry.get("TransactionID"), entry.get("EndToEndId")))),
    )


def _unsplit_batches(entries: Sequence[Entry]) -> Iterator[dict[str, object]]:
    """Details of one entry that carry no amount of their own would each count the whole entry."""
    keyed = [e for e in entries if e.get("TransactionID") and _is_credit(e)]
    for reference, group in groupby(keyed, key=lambda e: e["TransactionID"]):
        details = list(group)
        amounts = {(d.get("Amount"), d.get("EndToEndId"), d.get("RemittanceInformationFull")) for d in details}
        if len(details) > 1 and len(amounts) < len(details):
            yield {"reference": str(reference), "n": len(details)}


# --- MT940 -------------------------------------------------------------------------------------------


def _mt940(data: bytes, file: str) -> StatementRead:
    import mt940

    try:
        statements = mt940.parse_statements(_text(data), options=mt940.Options(reversal_sign=True))
        entries = [(s, t) for s in statements for t in s]
    except (ValueError, RuntimeError, KeyError, AttributeError, TypeError, IndexError, InvalidOperation) as problem:
        return _unreadable(file, str(problem)[:120] or type(problem).__name__)
    lines: list[StatementLine] = []
    passed = 0
    for number, (statement, entry) in enumerate(entries, 1):
        amount = entry.data.get("amount")
        if amount is None or amount.amount <= 0 or str(entry.data.get("status", "")).upper() != "C":
            passed += 1
            continue
        lines.append(
            _mt940_line(number, dict(statement.data), dict(entry.data), amount.amount, str(amount.currency or ""))
        )
    return StatementRead(tuple(lines), passed, ())


def _text(data: bytes) -> str:
    """SWIFT allows few letters; banks send UTF-8, GB18030 or Latin-1 in field 86."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def _mt940_line(
    number: int, statement: Mapping[str, object], entry: Mapping[str, object], amount: Decimal, currency: str
) -> StatementLine:
    day = entry.get("entry_date") or entry.get("date")
    words = [entry.get(k) for k in ("purpose", "transaction_details", "extra_details", "end_to_end_reference", "customer_reference")]  # fmt: skip
    said = list(dict.fromkeys(str(w).replace("\n", "") for w in words if w and str(w) != "NONREF"))
    return StatementLine(
        number=number,
        day=date(day.year, day.month, day.day).isoformat() if isinstance(day, date) else "",
        amount=format(amount, "f"),
        currency=currency,
        payer=str(entry.get("applicant_name") or "").strip(),
        reference=" ".join(said),
        account=str(statement.get("account_identification") or ""),
        bank_id=str(entry.get("bank_reference") or ""),
    )
