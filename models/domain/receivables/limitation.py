"""The limitation clock: 3 years from when the claim was due (民法典 188), from the start again on a demand,
on the debtor's agreement or part performance, on suit or arbitration (民法典 195).

A candidate date for a lawyer to confirm. An event counts only with proof.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from models.domain.receivables.periods import add_months

#: Days before the end on which people are told.
ALERT_DAYS = (180, 90, 30)


class InterruptionKind(StrEnum):
    """What restarts the clock."""

    DEMAND = "demand"  # a written demand that demonstrably arrived
    PROMISE = "promise"
    PART_PAYMENT = "part_payment"
    SUIT = "suit"
    ARBITRATION = "arbitration"


@dataclass(frozen=True, slots=True)
class Interruption:
    """One such event; `proof` says what shows it (delivery receipt, letter, bank line)."""

    kind: InterruptionKind
    on: date
    proof: str = ""


@dataclass(frozen=True, slots=True)
class ClockStep:
    """An event on the clock. `ends`: the last day after it; None where it did not restart the period."""

    event: Interruption
    ends: date | None


def limitation_steps(due: date, interruptions: Iterable[Interruption], as_of: date, years: int = 3) -> list[ClockStep]:
    """The events up to a day, the oldest first. One after the period had run out does not revive it."""
    ends = add_months(due, 12 * years)
    steps = []
    for event in sorted((e for e in interruptions if e.on <= as_of), key=lambda e: e.on):
        counts = due < event.on <= ends
        ends = add_months(event.on, 12 * years) if counts else ends
        steps.append(ClockStep(event, ends if counts else None))
    return steps


def limitation_expires(due: date, interruptions: Iterable[Interruption], as_of: date, years: int = 3) -> date:
    """The last day of the limitation period, as known on `as_of`."""
    ends = [s.ends for s in limitation_steps(due, interruptions, as_of, years) if s.ends is not None]
    return ends[-1] if ends else add_months(due, 12 * years)


def alert_days(ends: date, told_until: date, as_of: date) -> tuple[int, ...]:
    """Which of the alerts (days before the end) fell due after `told_until` and up to `as_of`."""
    return tuple(n for n in ALERT_DAYS if told_until < ends - timedelta(days=n) <= as_of)
