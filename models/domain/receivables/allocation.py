"""Which claim does money pay? Exact first - the payer's reference names it and the amount fits - then proposals
for a person. Never a guess: without a name in the reference nothing is booked, nor where it names what is paid
already, may mean several things, or where somebody else pays than the customer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations, islice

from models.domain.receivables.claims import Allocation, Receipt
from models.domain.receivables.references import Name, NameKind, Names, name_index, named, party, same_party

#: More claims than this are not searched for sums: a person sees the list instead.
SEARCHED_MAX = 14
PROPOSALS_MAX = 5


class Why(StrEnum):
    """What speaks for an allocation; the words are in the catalogue."""

    REFERENCE_AND_AMOUNT = "reference_and_amount"
    REFERENCE_PART = "reference_part"  # named exactly, less than is open
    REFERENCE_MORE = "reference_more"  # named exactly, more than is open
    OTHER_PAYER = "other_payer"  # named, but the payer is not the customer
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


def match_receipt(receipt: Receipt, claims: Iterable[OpenClaim], names: Names | None = None) -> Matching:
    """Allocate a receipt to open claims of its currency.

    `names`: of all claims, those that are paid too; left out, the names of the claims given.
    """
    claims = list(claims)
    fitting = [c for c in claims if c.currency == receipt.currency and c.minor > 0]
    found, clear = named(receipt.reference, names or _names(claims))
    if not found:
        return _proposed(_proposals(receipt, receipt.payer, fitting, anybody=True))
    open_ = {c.key: c for c in fitting}
    meant = list({key: open_[key] for name in found for key in name.keys if key in open_}.values())
    if not clear or not all(_means_one(name, open_) for name in found):
        return _in_doubt(receipt, found, meant, fitting)
    return _of_customer(receipt, _by_reference(receipt, meant), meant)


def _names(claims: Iterable[OpenClaim]) -> Names:
    return name_index(Name(text, NameKind.INVOICE, (c.key,), c.customer) for c in claims for text in set(c.names))


def _means_one(name: Name, open_: Mapping[str, OpenClaim]) -> bool:
    """Is what it names open? A contract's number alone says which claim only where one is open."""
    there = sum(key in open_ for key in name.keys)
    return there == 1 if name.kind is NameKind.CONTRACT else there > 0


def _of_customer(receipt: Receipt, found: Matching, claims: Sequence[OpenClaim]) -> Matching:
    """Whoever pays for somebody else may have mistaken the number: a person looks."""
    paid = {a.claim for a in found.booked}
    if not party(receipt.payer) or all(same_party(receipt.payer, c.customer) for c in claims if c.key in paid):
        return found
    return Matching(proposals=(Proposal(Why.OTHER_PAYER, found.booked),))


def _in_doubt(
    receipt: Receipt, found: Sequence[Name], meant: Sequence[OpenClaim], fitting: Sequence[OpenClaim]
) -> Matching:
    """Nothing is booked; proposed is what was named, then what is open of whoever pays, never a stranger's claim."""
    payer = receipt.payer or next((n.customer for n in found), "")
    exact = [Proposal(Why.REFERENCE_AND_AMOUNT, _full(receipt, [c])) for c in meant if c.minor == receipt.minor]
    why = Why.REFERENCE_MORE if receipt.minor > sum(c.minor for c in meant) else Why.REFERENCE_PART
    rest = [Proposal(why, _oldest_first(receipt, meant))] if meant else []
    ways = [*exact, *rest, *_proposals(receipt, payer, fitting, anybody=False)]
    return _proposed(_once(ways))


def _once(ways: Iterable[Proposal]) -> Iterable[Proposal]:
    """The same claims for two reasons are one proposal, for the first of them."""
    first: dict[tuple[Allocation, ...], Proposal] = {}
    for way in ways:
        first.setdefault(way.allocations, way)
    return first.values()


def _proposed(ways: Iterable[Proposal]) -> Matching:
    return Matching(proposals=tuple(islice(ways, PROPOSALS_MAX)))


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


def _proposals(receipt: Receipt, payer: str, claims: Sequence[OpenClaim], *, anybody: bool) -> Iterable[Proposal]:
    """Claims of the payer that fit, else, of `anybody`, those of this amount."""
    own = sorted((c for c in claims if party(payer) and same_party(c.customer, payer)), key=lambda c: (c.due, c.key))
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
    elif anybody:
        yield from (Proposal(Why.AMOUNT_ONLY, _full(receipt, [c])) for c in claims if c.minor == receipt.minor)
