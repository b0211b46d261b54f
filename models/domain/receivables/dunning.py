"""The dunning ladder: which level an overdue term has reached, and what pauses the reminders.

A ladder is configuration: level n from so many days after the due date (negative: before it). The level
is a fact of the days; a pause stops reminders, it does not lower the level.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import pairwise


class PauseKind(StrEnum):
    """Why nobody is reminded for now."""

    PROMISE = "promise"
    DISPUTE = "dispute"
    CREDIT_NOTE = "credit_note"
    HOLD = "hold"
    BILL = "bill"  # a bank bill covers what is open


class DelayReason(StrEnum):
    """Why the customer does not pay, as far as somebody found out."""

    NO_MONEY = "no_money"
    DISPUTE = "dispute"
    PROCESS = "process"
    MISSING_DOCUMENT = "missing_document"
    RELATIONSHIP = "relationship"


class SuggestedAction(StrEnum):
    """What to do next; the words are in the catalogue."""

    PLAN_OR_SECURITY = "plan_or_security"
    SPLIT_UNDISPUTED = "split_undisputed"  # 条例 15: the undisputed part must be paid
    NOTE_NOT_A_LAWFUL_REASON = "note_not_a_lawful_reason"  # 条例 12, 14
    SEND_DOCUMENT = "send_document"
    RAISE_CONTACT = "raise_contact"


ACTION_FOR = {
    DelayReason.NO_MONEY: SuggestedAction.PLAN_OR_SECURITY,
    DelayReason.DISPUTE: SuggestedAction.SPLIT_UNDISPUTED,
    DelayReason.PROCESS: SuggestedAction.NOTE_NOT_A_LAWFUL_REASON,
    DelayReason.MISSING_DOCUMENT: SuggestedAction.SEND_DOCUMENT,
    DelayReason.RELATIONSHIP: SuggestedAction.RAISE_CONTACT,
}


class Tone(StrEnum):
    """How a reminder speaks. From `FORMAL_FROM` on every tone is formal: that is a demand, not a note."""

    FRIENDLY = "friendly"
    FORMAL = "formal"


FORMAL_FROM = 4


@dataclass(frozen=True, slots=True)
class Step:
    """Level `level` is reached `from_day` days after the due date. `tone` None: as usual at that level."""

    level: int
    from_day: int
    tone: Tone | None = None


#: Ladders by the class of the customer; `DEFAULT_CLASS` is for those without one.
Ladders = Mapping[str, Sequence[Step]]
DEFAULT_CLASS = "default"


@dataclass(frozen=True, slots=True)
class Pause:
    """No reminders from `first` to `until`, both included; `until` None: until somebody ends it."""

    kind: PauseKind
    first: date
    until: date | None = None


@dataclass(frozen=True, slots=True)
class DunningState:
    """Where a term stands; `paused` with its end, None where it has none."""

    level: int
    paused: Pause | None = None


STANDARD = (Step(1, 1), Step(2, 15), Step(3, 30), Step(4, 60), Step(5, 90))


def ladder_problems(ladder: Sequence[Step]) -> list[tuple[int, int]]:
    """Neighbouring (level, level) pairs that overlap: a higher level must begin later."""
    steps = sorted(ladder, key=lambda s: s.level)
    return [(a.level, b.level) for a, b in pairwise(steps) if a.level == b.level or a.from_day >= b.from_day]


def ladder_of(ladders: Ladders, customer_class: str) -> Sequence[Step]:
    """The ladder of a class; of the default where the class has none, else the standard one."""
    return ladders.get(customer_class) or ladders.get(DEFAULT_CLASS) or STANDARD


def tone_on(ladder: Iterable[Step], level: int) -> Tone | None:
    """The tone of a level."""
    return next((s.tone for s in ladder if s.level == level), None)


def level_on(ladder: Iterable[Step], days_after_due: int) -> int:
    """The level reached; 0: none yet."""
    return max((s.level for s in ladder if s.from_day <= days_after_due), default=0)


def dunning(ladder: Iterable[Step], due: date, pauses: Iterable[Pause], as_of: date) -> DunningState:
    """Level and pause of one open term on a day; of several pauses the one that lasts longest."""
    now = [p for p in pauses if p.first <= as_of and (p.until is None or as_of <= p.until)]
    longest = max(now, key=lambda p: p.until or date.max, default=None)
    return DunningState(level_on(ladder, (as_of - due).days), longest)


def reminder_due(state: DunningState, reminded_level: int) -> bool:
    """Is a reminder owed: a level reached that was not reminded of, and no pause?"""
    return state.paused is None and state.level > reminded_level
