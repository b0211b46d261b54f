"""Which claim does money pay? Exact first - the payer's reference names it and the amount fits - then proposals
for a person. Never a guess: without a name in the reference nothing is booked.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations, islice

from models.domain.receivables.claims import Allocation, Receipt

#: More claims than this are not searched for sums: a person sees the list instead.
SEARCHED_MAX = 14
PROPOSALS_MAX = 5
#: A shorter number turns up in references by accident.
NUMBER_MIN = 4
_GAPS = re.compile(r"[\s\-_/.:#]+")


class Why(StrEnum):
    """What speaks for an allocation; the words are in the catalogue."""

    REFERENCE_AND_AMOUNT = "reference_and_amount"
    REFERENCE_PART = "reference_part"  # named exactly, less than is open
    REFERENCE_MORE = "reference_more"  # named exactly, more than is open
    PAYER_AND_AMOUNT = "payer_and_amount"
    PAYER_SUM = "payer_sum"  # several claims of the payer add up to it
    PAYER_OLDEST = "payer_oldest"
    AMOUNT_ONLY = "amount_only"


@dataclass(frozen=True, slots=True)
class OpenClaim:
    """A claim that money may pay. `names`: what a payer may write: invoice number, contract number with term."""

    key: str
    minor: int
    currency: str
    customer: str
    due: int  # day number; the oldest first
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A way to allocate a receipt, for a person to confirm."""

    why: Why
    allocations: tuple[Allocation, ...]


@dataclass(frozen=True, slots=True)
class Matching:
    """`booked` needs nobody; else `proposals`, the best first; else the receipt waits as it is."""

    booked: tuple[Allocation, ...] = ()
    why: Why | None = None
    proposals: tuple[Proposal, ...] = ()


def plain(text: str) -> str:
    """A reference or name as it is compared: full-width forms, case, gaps and dashes do not count."""
    return _GAPS.sub("", unicodedata.normalize("NFKC", text).casefold())


def match_receipt(receipt: Receipt, claims: Iterable[OpenClaim]) -> Matching:
    """Allocate a receipt to open claims of its currency."""
    fitting = [c for c in claims if c.currency == receipt.currency and c.minor > 0]
    named = _named(receipt.reference, fitting)
    if named:
        return _by_reference(receipt, named)
    return Matching(proposals=tuple(islice(_proposals(receipt, fitting), PROPOSALS_MAX)))


def _named(reference: str, claims: Sequence[OpenClaim]) -> list[OpenClaim]:
    """The claims whose name stands in the reference; a name inside a longer one that also fits does not count."""
    text = plain(reference)
    hits = [
        (name, c)
        for c in claims
        for name in {plain(n) for n in c.names}
        if len(name) >= NUMBER_MIN and _stands(name, text)
    ]
    longest = [(n, c) for n, c in hits if not any(n != other and n in other for other, _ in hits)]
    return list({c.key: c for _, c in longest}.values())


def _stands(name: str, text: str) -> bool:
    """Does the name stand in the text, not as part of a longer number?"""
    pattern = ("(?<!\\d)" if name[0].isdigit() else "") + re.escape(name) + ("(?!\\d)" if name[-1].isdigit() else "")
    return re.search(pattern, text) is not None


def _by_reference(receipt: Receipt, named: Sequence[OpenClaim]) -> Matching:
    total = sum(c.minor for c in named)
    if total == receipt.minor:
        return Matching(_full(receipt, named), Why.REFERENCE_AND_AMOUNT)
    exact = [c for c in named if c.minor == receipt.minor]
    if len(exact) == 1:
        return Matching(_full(receipt, exact), Why.REFERENCE_AND_AMOUNT)
    if len(named) == 1 and receipt.minor < total:
        return Matching((Allocation(receipt.key, named[0].key, receipt.minor),), Why.REFERENCE_PART)
    if receipt.minor > total:
        return Matching(proposals=(Proposal(Why.REFERENCE_MORE, _full(receipt, named)),))
    return Matching(proposals=(Proposal(Why.REFERENCE_PART, _oldest_first(receipt, named)),))


def _full(receipt: Receipt, claims: Iterable[OpenClaim]) -> tuple[Allocation, ...]:
    return tuple(Allocation(receipt.key, c.key, c.minor) for c in claims)


def _oldest_first(receipt: Receipt, claims: Sequence[OpenClaim]) -> tuple[Allocation, ...]:
    left, out = receipt.minor, []
    for claim in sorted(claims, key=lambda c: (c.due, c.key)):
        part = min(left, claim.minor)
        if part:
            out.append(Allocation(receipt.key, claim.key, part))
        left -= part
    return tuple(out)


def _proposals(receipt: Receipt, claims: Sequence[OpenClaim]) -> Iterable[Proposal]:
    payer = plain(receipt.payer)
    own = sorted((c for c in claims if payer and plain(c.customer) == payer), key=lambda c: (c.due, c.key))
    yield from (Proposal(Why.PAYER_AND_AMOUNT, _full(receipt, [c])) for c in own if c.minor == receipt.minor)
    if len(own) <= SEARCHED_MAX:
        yield from (
            Proposal(Why.PAYER_SUM, _full(receipt, some))
            for n in range(2, len(own) + 1)
            for some in combinations(own, n)
            if sum(c.minor for c in some) == receipt.minor
        )
    if own:
        yield Proposal(Why.PAYER_OLDEST, _oldest_first(receipt, own))
        return
    yield from (Proposal(Why.AMOUNT_ONLY, _full(receipt, [c])) for c in claims if c.minor == receipt.minor)
