"""Guarantees and deposits: in force, reducing, expiring, to be returned; and whether one ends too early."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

#: Days before the end on which people are told.
EXPIRY_ALERTS = (60, 30, 7)


class GuaranteeKind(StrEnum):
    """投标, 预付款, 履约, 质量/维修, 付款; whatever else a contract file calls its own."""

    BID = "bid"
    ADVANCE = "advance"
    PERFORMANCE = "performance"
    QUALITY = "quality"
    PAYMENT = "payment"
    OTHER = "other"


class GuaranteeForm(StrEnum):
    """A bank's paper, or cash put down (保证金)."""

    BANK = "bank"
    CASH = "cash"


class GuaranteeState(StrEnum):
    """Where it stands on a day."""

    PENDING = "pending"
    IN_FORCE = "in_force"
    EXPIRED = "expired"
    RETURN_DUE = "return_due"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True)
class GuaranteePaper:
    """One guarantee. `given` by us (our money is bound) or to us; `obligation_ends`: how long it must hold.

    `issued` None: the contract names it, and nobody says that it was given.
    """

    id: str
    kind: GuaranteeKind
    minor: int
    currency: str
    issued: date | None
    expires: date | None = None
    form: GuaranteeForm = GuaranteeForm.BANK
    given: bool = True
    on_demand: bool = True
    issuer: str = ""
    original_at: str = ""  # where the paper lies
    obligation_ends: date | None = None
    return_due: date | None = None
    returned: date | None = None


@dataclass(frozen=True, slots=True)
class Decrease:
    """From `on` it secures `minor` less."""

    guarantee: str
    on: date
    minor: int


def amount_on(paper: GuaranteePaper, reductions: Iterable[Decrease], as_of: date) -> int:
    """What it secures on a day; never below nothing."""
    gone = sum(r.minor for r in reductions if r.guarantee == paper.id and r.on <= as_of)
    return max(0, paper.minor - gone)


def guarantee_state(paper: GuaranteePaper, as_of: date) -> GuaranteeState:
    """Its state; the last day still counts."""
    if paper.returned is not None and paper.returned <= as_of:
        return GuaranteeState.RETURNED
    if paper.return_due is not None and paper.return_due <= as_of:
        return GuaranteeState.RETURN_DUE
    if paper.issued is None or paper.issued > as_of:
        return GuaranteeState.PENDING
    if paper.expires is not None and paper.expires < as_of:
        return GuaranteeState.EXPIRED
    return GuaranteeState.IN_FORCE


def expiry_alerts(paper: GuaranteePaper, told_until: date, as_of: date) -> tuple[int, ...]:
    """Which alerts (days before its end) fell due after `told_until` and up to `as_of`."""
    if paper.expires is None or (paper.returned is not None and paper.returned <= as_of):
        return ()
    ends = paper.expires
    return tuple(n for n in EXPIRY_ALERTS if told_until < ends - timedelta(days=n) <= as_of)


def ends_too_early(paper: GuaranteePaper) -> bool:
    """Does it run out before what it secures?"""
    return paper.expires is not None and paper.obligation_ends is not None and paper.expires < paper.obligation_ends
