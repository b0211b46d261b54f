"""Promises, extensions and instalment plans: dated agreements. They change what is due when, never the history.

Interest keeps running from the original due date unless the agreement says it is waived; whether it was
is a question for a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class PromiseState(StrEnum):
    """Where a promise stands."""

    OPEN = "open"
    KEPT = "kept"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Promise:
    """The customer said: `minor` by `pay_by`. Both days are included."""

    made: date
    pay_by: date
    minor: int
    by: str = ""


@dataclass(frozen=True, slots=True)
class Extension:
    """From `agreed` on the term is due on `until`; `waives_interest` for the days between, if so agreed."""

    agreed: date
    until: date
    waives_interest: bool = False


@dataclass(frozen=True, slots=True)
class Instalment:
    """A part of a plan."""

    due: date
    minor: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A sum paid in parts. `default_clause`: one part late and the rest is due at once (民法典 634 for sales)."""

    agreed: date
    instalments: tuple[Instalment, ...]
    default_clause: bool = False

    @property
    def total(self) -> int:
        """The sum of the parts."""
        return sum(i.minor for i in self.instalments)


Paid = tuple[date, int]  # money that really came, by day


def paid_between(paid: Iterable[Paid], first: date, last: date) -> int:
    """Money that came from `first` to `last`, both included."""
    return sum(minor for day, minor in paid if first <= day <= last)


def promise_state(promise: Promise, paid: Sequence[Paid], as_of: date) -> PromiseState:
    """Kept by money that came after it was made and in time; broken from the day after `pay_by`."""
    if paid_between(paid, promise.made, min(promise.pay_by, as_of)) >= promise.minor:
        return PromiseState.KEPT
    return PromiseState.BROKEN if as_of > promise.pay_by else PromiseState.OPEN


def latest(promises: Iterable[Promise], as_of: date) -> Promise | None:
    """The promise that stands on a day: the last one made."""
    made = [p for p in promises if p.made <= as_of]
    return max(made, key=lambda p: (p.made, p.pay_by)) if made else None


def effective_due(due: date, extensions: Iterable[Extension], as_of: date) -> date:
    """The due date as agreed by `as_of`; an agreement never moves it forward."""
    agreed = [e for e in extensions if e.agreed <= as_of]
    return max(due, max(agreed, key=lambda e: (e.agreed, e.until)).until) if agreed else due


def plan_open(plan: Plan, paid: Sequence[Paid], as_of: date) -> tuple[tuple[Instalment, int], ...]:
    """Each instalment with what is open of it: money fills the earliest first."""
    left = paid_between(paid, plan.agreed, as_of)
    out = []
    for part in sorted(plan.instalments, key=lambda i: i.due):
        used = min(left, part.minor)
        left -= used
        out.append((part, part.minor - used))
    return tuple(out)


def plan_broken(plan: Plan, paid: Sequence[Paid], as_of: date) -> bool:
    """Is an instalment open whose day has passed?"""
    return any(open_ > 0 and part.due < as_of for part, open_ in plan_open(plan, paid, as_of))


def plan_due(plan: Plan, paid: Sequence[Paid], as_of: date) -> int:
    """What is overdue under a plan: open instalments past their day, or all of it after a default."""
    parts = plan_open(plan, paid, as_of)
    if plan.default_clause and plan_broken(plan, paid, as_of):
        return sum(open_ for _, open_ in parts)
    return sum(open_ for part, open_ in parts if part.due < as_of)
