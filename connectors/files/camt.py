"""CAMT.053 and .052: the entries of every statement of the file, with sums that are the account's own.

Read here and not by a library: pycamt takes the first sum it finds below a detail, which may be the instructed sum
in another currency, or a charge, and keeps the currency of the entry. An entry counts with its own booked sum;
a batch is split only where its details carry sums in the account's currency that add up to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any

from connectors.files.statement_lines import Batch, Direction, Entry, Statement, StatementBroken

#: Sums of a detail, the first one present counts; an instructed sum (InstdAmt) is in the payer's currency.
_SUMS = ("Amt", "AmtDtls/TxAmt/Amt")
_NOT_SAID = ("", "NOTPROVIDED", "NONREF")


def read_camt(data: bytes) -> list[Statement]:
    """All statements or reports of a file. Raises StatementBroken."""
    from lxml import etree

    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(data, parser=parser)
    except etree.XMLSyntaxError as problem:
        raise StatementBroken(str(problem)[:120]) from None
    if b"<!DOCTYPE" in data[:4000]:
        raise StatementBroken("a DOCTYPE, which no bank sends")
    found = [e for e in root.iter() if _name(e) in ("Stmt", "Rpt")]
    if not found:
        raise StatementBroken("no statement in it")
    return [_statement(e) for e in found]


def _name(element: Any) -> str:
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _all(element: Any, path: str) -> list[Any]:
    """The elements on a path of plain names, of whatever version's namespace."""
    found = [element]
    for name in path.split("/"):
        found = [child for e in found for child in e if _name(child) == name]
    return found


def _text(element: Any, *paths: str) -> str:
    """The first text on one of the paths."""
    texts = ((e.text or "").strip() for path in paths for e in _all(element, path))
    return next((t for t in texts if t), "")


def _statement(element: Any) -> Statement:
    account = _text(element, "Acct/Id/IBAN", "Acct/Id/Othr/Id")
    balances = {_text(b, "Tp/CdOrPrtry/Cd"): _balance(b) for b in _all(element, "Bal")}
    return Statement(
        name=_text(element, "Id") or account,
        opening=balances.get("OPBD", balances.get("PRCD")),
        closing=balances.get("CLBD"),
        entries=tuple(_entry(e, account) for e in _all(element, "Ntry")),
    )


def _balance(element: Any) -> Decimal:
    sum_ = _decimal(_text(element, "Amt"))
    return -sum_ if _text(element, "CdtDbtInd") == "DBIT" else sum_


def _decimal(text: str) -> Decimal:
    try:
        found = Decimal(text)
    except InvalidOperation:
        raise StatementBroken(f"{text[:40]!r} is not a sum") from None
    if not found.is_finite():
        raise StatementBroken(f"{text[:40]!r} is not a sum")
    return found


def _entry(element: Any, account: str) -> Entry:
    details = _all(element, "NtryDtls/TxDtls")
    whole = Entry(
        direction=_direction(element),
        booked=_text(element, "Sts/Cd", "Sts") in ("", "BOOK"),
        day=(_text(element, "BookgDt/Dt", "BookgDt/DtTm", "ValDt/Dt", "ValDt/DtTm"))[:10],
        amount=_text(element, "Amt"),
        currency=_currency(element, "Amt"),
        payer="",
        reference=_text(element, "AddtlNtryInf"),
        account=account,
        bank_id=_text(element, "AcctSvcrRef") or _text(element, "NtryRef"),
    )
    if len(details) <= 1:
        return _said(whole, details[0]) if details else whole
    return replace(whole, batch=_batch(whole, details))


def _currency(element: Any, path: str) -> str:
    return next((str(e.get("Ccy") or "") for e in _all(element, path)), "")


def _direction(element: Any) -> Direction:
    credit = _text(element, "CdtDbtInd") == "CRDT"
    if _text(element, "RvslInd") in ("true", "1"):
        return Direction.DEBIT_REVERSED if credit else Direction.CREDIT_REVERSED
    return Direction.CREDIT if credit else Direction.DEBIT


def _batch(whole: Entry, details: list[Any]) -> Batch:
    """The parts, if their own sums add up to the entry; else none of them, to be asked about."""
    parts = [_said(replace(whole, amount=_own_sum(whole, d)), d) for d in details]
    added = sum((_signed(p) for p in parts), Decimal(0))
    return Batch(len(details), tuple(parts) if all(p.amount for p in parts) and added == _decimal(whole.amount) else ())


def _signed(part: Entry) -> Decimal:
    """A part that goes the other way (charges within the batch) lowers the sum."""
    sum_ = _decimal(part.amount or "0")
    return -sum_ if part.against else sum_


def _own_sum(whole: Entry, detail: Any) -> str:
    return next(
        (_text(detail, path) for path in _SUMS if _text(detail, path) and _currency(detail, path) == whole.currency), ""
    )


def _said(entry: Entry, detail: Any) -> Entry:
    """With what one detail says: who paid, for what, and what was instructed or charged."""
    ustrd = " ".join(t for t in ((e.text or "").strip() for e in _all(detail, "RmtInf/Ustrd")) if t)
    end_to_end = _text(detail, "Refs/EndToEndId")
    words = (ustrd, _text(detail, "RmtInf/Strd/CdtrRefInf/Ref"), _text(detail, "RmtInf/Strd/RfrdDocInf/Nb"), _text(detail, "RmtInf/Strd/AddtlRmtInf"), end_to_end, entry.reference)  # fmt: skip
    own = _text(detail, "Refs/AcctSvcrRef") or entry.bank_id
    return replace(
        entry,
        payer=_text(detail, "RltdPties/Dbtr/Nm", "RltdPties/Dbtr/Pty/Nm"),
        reference=" ".join(dict.fromkeys(w for w in words if w not in _NOT_SAID)),
        bank_id=":".join(w for w in (own, end_to_end) if w not in _NOT_SAID),
        note=" ".join(_asides(entry, detail)),
        against=_against(entry, detail),
    )


def _against(entry: Entry, detail: Any) -> bool:
    """Does the detail go the other way than its entry?"""
    own = _text(detail, "CdtDbtInd")
    return bool(own) and (own == "CRDT") != (entry.direction in (Direction.CREDIT, Direction.DEBIT_REVERSED))


def _asides(entry: Entry, detail: Any) -> Iterator[str]:
    """What was instructed in another currency, and what was kept on the way: for the person who allocates."""
    currency = _currency(detail, "AmtDtls/InstdAmt/Amt")
    if currency and currency != entry.currency:
        yield f"[{currency} {_text(detail, 'AmtDtls/InstdAmt/Amt')}]"
    for charge in (*_all(detail, "Chrgs/Amt"), *_all(detail, "Chrgs/Rcrd/Amt")):
        yield f"[charges {charge.get('Ccy') or ''} {(charge.text or '').strip()}]"
