"""The condition language: what a payment term waits for, as a tree of plain values.

Conditions are dates. Evaluated for a day, each node gives two dates or nothing: the legal one, which
starts periods, and the one from which it can be known, which makes a term ready. They differ only for
silence (rule S1). The evaluator (`flows.steps.evaluate`) works on the compiled form of these trees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Event:
    """The day a named fact happened."""

    name: str
    tag: str | None = None  # e.g. back_to_back


@dataclass(frozen=True, slots=True)
class All:
    """The latest of its parts."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """The earliest of its parts."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AtLeast:
    """The n-th earliest of its parts."""

    n: int
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Elapsed:
    """`after`, shifted by exactly one of months, days, business days (rules D1, D2)."""

    after: Condition
    months: int | None = None
    days: int | None = None
    business_days: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Since when the percentage of `of` has been at or above `gte` (a fraction: 60 % is 3/5)."""

    of: str
    gte: Fraction


@dataclass(frozen=True, slots=True)
class Deemed:
    """Silence is acceptance (rule S1). `submitted`, `accepted`, `rejected` name events."""

    submitted: str
    accepted: str | None = None
    rejected: str | None = None
    business_days: int | None = None
    days: int | None = None


@dataclass(frozen=True, slots=True)
class GuaranteeInForce:
    """The guarantee `id` is in force for at least `min_amount` minor units (None: any amount)."""

    id: str
    min_amount: int | None = None


@dataclass(frozen=True, slots=True)
class TermReady:
    """Another term's own ready date."""

    term: str


@dataclass(frozen=True, slots=True)
class TermInvoiced:
    """The day another term was invoiced."""

    term: str


@dataclass(frozen=True, slots=True)
class TermPaid:
    """The day another term was paid in full."""

    term: str


@dataclass(frozen=True, slots=True)
class OnDate:
    """The day itself."""

    day: date


@dataclass(frozen=True, slots=True)
class Approved:
    """A sign-off by the holder of a role."""

    role: str


Condition = (
    Event
    | All
    | AnyOf
    | AtLeast
    | Elapsed
    | Progress
    | Deemed
    | GuaranteeInForce
    | TermReady
    | TermInvoiced
    | TermPaid
    | OnDate
    | Approved
)


def children(node: Condition) -> tuple[Condition, ...]:
    """The direct parts of a node, in order."""
    match node:
        case All(parts) | AnyOf(parts) | AtLeast(_, parts):
            return parts
        case Elapsed(after=after):
            return (after,)
        case _:
            return ()


def walk(node: Condition) -> Iterator[Condition]:
    """A node and everything below it, parents first."""
    yield node
    for part in children(node):
        yield from walk(part)


def event_names(node: Condition) -> Iterator[str]:
    """The events a condition names, in reading order, repeats included."""
    for part in walk(node):
        match part:
            case Event(name=name):
                yield name
            case Deemed(submitted=submitted, accepted=accepted, rejected=rejected):
                yield from (n for n in (submitted, accepted, rejected) if n)
            case _:
                pass


def term_references(node: Condition) -> Iterator[str]:
    """Ids of the terms a condition waits for."""
    for part in walk(node):
        if isinstance(part, TermReady | TermInvoiced | TermPaid):
            yield part.term
