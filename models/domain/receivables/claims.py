"""Invoices, receipts and allocations as data, and what they add up to. Nothing is edited, only added."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class InvoiceKind(StrEnum):
    """专票, 普票, or an invoice of another country."""

    SPECIAL = "special"
    GENERAL = "general"
    OTHER = "other"


class BillState(StrEnum):
    """A bill is pending money until its maturity."""

    PENDING = "pending"
    CLEARED = "cleared"
    DISHONOURED = "dishonoured"


_DIGITAL = re.compile(r"\d{20}", re.ASCII)


#: What finance and the tax bureau write, in one spelling; a digital invoice (数电) is told by its number too.
_KINDS = {
    "special": InvoiceKind.SPECIAL, "专票": InvoiceKind.SPECIAL, "专用发票": InvoiceKind.SPECIAL,
    "增值税专用发票": InvoiceKind.SPECIAL, "2": InvoiceKind.SPECIAL,
    "general": InvoiceKind.GENERAL, "普票": InvoiceKind.GENERAL, "普通发票": InvoiceKind.GENERAL,
    "增值税普通发票": InvoiceKind.GENERAL, "1": InvoiceKind.GENERAL,
    "other": InvoiceKind.OTHER,
}  # fmt: skip
_DIGITAL_WORDS = ("数电票", "数电", "全电", "电子发票", "digital")


def invoice_kind(text: str) -> tuple[InvoiceKind, bool] | None:
    """The kind, and whether the text says it is fully digital; None: not known. 数电票（增值税专用发票） is (special, True)."""
    plain = re.sub(r"[\s()（）_-]+", "", text).lower()
    digital = next((w for w in _DIGITAL_WORDS if plain.startswith(w)), "")
    rest = plain.removeprefix(digital)
    if digital and not rest:
        return InvoiceKind.OTHER, True
    found = _KINDS.get(rest)
    return None if found is None else (found, bool(digital))


def is_digital_number(number: str) -> bool:
    """Is it the number of a fully digital invoice (数电票): 20 digits?"""
    return bool(_DIGITAL.fullmatch(number))


@dataclass(frozen=True, slots=True)
class Invoice:
    """A claim in writing for one term; gross minor units."""

    key: str
    contract: str
    term: str
    number: str
    issued: date
    gross: int
    currency: str
    received: date | None = None
    kind: InvoiceKind = InvoiceKind.OTHER


@dataclass(frozen=True, slots=True)
class Credit:
    """A red invoice or credit note: `minor` less is owed on `invoice`; all of it: the invoice falls away."""

    key: str
    invoice: str  # key
    number: str
    on: date
    minor: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Money that came, as the bank or the till saw it; or a bill, which is money only at `maturity`."""

    key: str
    on: date
    minor: int
    currency: str
    payer: str = ""
    reference: str = ""
    method: str = ""
    maturity: date | None = None
    dishonoured: date | None = None


@dataclass(frozen=True, slots=True)
class Allocation:
    """A part of a receipt for a part of a claim."""

    receipt: str
    claim: str
    minor: int


def bill_state(receipt: Receipt, as_of: date) -> BillState | None:
    """None for cash. A bill clears on its maturity day unless it was dishonoured."""
    if receipt.maturity is None:
        return None
    if receipt.dishonoured is not None and receipt.dishonoured <= as_of:
        return BillState.DISHONOURED
    return BillState.CLEARED if receipt.maturity <= as_of else BillState.PENDING


def open_claims(
    invoices: Iterable[Invoice], credits_: Iterable[Credit], allocations: Iterable[Allocation]
) -> dict[str, int]:
    """What is open of each invoice by key."""
    left = {i.key: i.gross for i in invoices}
    for credit in credits_:
        left[credit.invoice] -= credit.minor
    for allocation in allocations:
        left[allocation.claim] -= allocation.minor
    return left


def unallocated(receipts: Iterable[Receipt], allocations: Iterable[Allocation]) -> dict[str, int]:
    """What is left of each receipt by key."""
    left = {r.key: r.minor for r in receipts}
    for allocation in allocations:
        left[allocation.receipt] -= allocation.minor
    return left


def allocation_problems(
    receipts: Mapping[str, tuple[int, str]], claims: Mapping[str, tuple[int, str]], allocations: Iterable[Allocation]
) -> list[tuple[str, Allocation]]:
    """Allocations that may not be booked, each with its code; `receipts` and `claims` by key: (open, currency)."""
    used: dict[str, int] = defaultdict(int)
    met: dict[str, int] = defaultdict(int)
    problems: list[tuple[str, Allocation]] = []
    for a in allocations:
        code = _problem(a, receipts, claims, used, met)
        if code:
            problems.append((code, a))
            continue
        used[a.receipt] += a.minor
        met[a.claim] += a.minor
    return problems


def _problem(
    a: Allocation,
    receipts: Mapping[str, tuple[int, str]],
    claims: Mapping[str, tuple[int, str]],
    used: Mapping[str, int],
    met: Mapping[str, int],
) -> str | None:
    if a.receipt not in receipts or a.claim not in claims:
        return "ALLOCATION_UNKNOWN"
    if receipts[a.receipt][1] != claims[a.claim][1]:
        return "ALLOCATION_CURRENCY"
    if a.minor <= 0:
        return "AMOUNT_NOT_POSITIVE"
    if used[a.receipt] + a.minor > receipts[a.receipt][0]:
        return "ALLOCATION_OVER_RECEIPT"
    if met[a.claim] + a.minor > claims[a.claim][0]:
        return "ALLOCATION_OVER_CLAIM"
    return None
