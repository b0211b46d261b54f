"""What a new observation changes: done or not, accepted or not, the percentage.

Conditions read these changes, not the observations. A milestone that stays done with another date of
its own is a correction, which replaces the change before it; a date that only says when we first looked
never corrects one that is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime

from flows.steps.evaluation.columns import day_number
from models.domain.observations import Observation, Provenance, StateChange

DONE, ACCEPTED, PERCENT = 0, 1, 2


@dataclass(frozen=True, slots=True)
class When:
    """An instant (epoch seconds UTC) or a day without a zone; exactly one is set."""

    at: int | None = None
    day: int | None = None

    @property
    def order(self) -> int:
        """Comparable over both kinds, to the day."""
        return self.at if self.at is not None else (self.day or 0) * 86_400


@dataclass(frozen=True, slots=True)
class Change:
    """One row of milestone_changes, before it has its keys."""

    what: int
    when: When
    value: int
    corrects: bool
    by: str | None
    grade: int
    provenance: str


@dataclass(frozen=True, slots=True)
class Current:
    """Where a milestone stands: the last change of each kind, and the last reopening before it.

    `done_known` is when we learned of the last change of done (epoch seconds).
    """

    done: int = 0
    done_when: When | None = None
    done_ended: When | None = None
    done_known: int | None = None
    accepted: int = 0
    accepted_when: When | None = None
    accepted_ended: When | None = None
    percent: int | None = None

    def after(self, change: Change, observed_at: int) -> Current:
        """Where it stands after a change that was learned at an instant."""
        when, value = change.when, change.value
        if change.what == DONE:
            ended = self.done_ended if value else when
            return replace(self, done=value, done_when=when, done_ended=ended, done_known=observed_at)
        if change.what == ACCEPTED:
            ended = self.accepted_ended if value else when
            return replace(self, accepted=value, accepted_when=when, accepted_ended=ended)
        return replace(self, percent=value)


#: Where a milestone stands of which nothing is known.
UNKNOWN = Current()


def changes_of(current: Current, seen: Observation, observed_at: int) -> list[Change]:
    """The changes that an observation makes to where a milestone stands."""
    if current is UNKNOWN and not seen.done and not seen.history and seen.percent_bp is None:
        return []  # most milestones of a first night: open, and new to us
    holds = seen.done and not seen.deleted and not seen.unproven
    done = (current.done, current.done_when, current.done_ended)
    missed = list(_missed(current, seen))
    for change in missed:
        done = (change.value, change.when, done[2] if change.value else change.when)
    accepted = (current.accepted, current.accepted_when, current.accepted_ended)
    out = missed + list(_flips(DONE, done, seen, observed_at, holds=holds))
    signed = seen if seen.accepted_at is None else _signed(seen)
    out += _flips(ACCEPTED, accepted, signed, observed_at, holds=holds and seen.accepted)
    percent = seen.percent_bp if not seen.deleted else None if current.percent is None else 0
    if percent is not None and percent != current.percent:
        moment = _epoch(seen.updated_at) or observed_at
        out.append(
            Change(
                PERCENT,
                When(moment),
                percent,
                corrects=False,
                by=None,
                grade=int(seen.grade),
                provenance=seen.percent_provenance.value,
            )
        )
    return out


def _signed(seen: Observation) -> Observation:
    """The observation as one of the acceptance: its date, and its person, who need not be the one who did the work."""
    same = seen.accepted_at == seen.done_at
    return seen._replace(done_at=seen.accepted_at, done_on=None, done_by=seen.done_by if same else seen.accepted_by)


def _flips(
    what: int, stands: tuple[int, When | None, When | None], seen: Observation, observed_at: int, *, holds: bool
) -> Iterator[Change]:
    """From where it stands (value, since when, last reopening) to whether it holds now."""
    value, when, ended = stands
    if holds and not value:
        yield _became(what, when, seen, observed_at)
    elif holds and when is not None:
        stated = _stated(seen)
        exact = seen.date_provenance is not Provenance.FIRST_OBSERVED
        # A date not after the last reopening is still that of the completion before: it corrects nothing.
        newer = ended is None or (stated is not None and stated.order > ended.order)
        if stated is not None and exact and newer and stated != when:
            yield replace(_became(what, None, seen, observed_at), corrects=True)
    elif value and not holds:
        yield _ended(what, when, seen, observed_at)


def _missed(current: Current, seen: Observation) -> Iterator[Change]:
    """Comings and goings in the vendor's history since the last change we know, the last state left out:
    the observation itself tells that.

    A completion may bear an earlier date than the steps that led to it. Such a step is no reopening: it
    neither follows a completion in the history, nor happened after we learned of the one we know.
    """
    after = -1 if current.done_when is None else current.done_when.order
    state, completed = current.done, False
    for step in seen.history[:-1]:
        at = int(step.at.timestamp())
        completed |= step.done and at >= after
        led_to_it = not step.done and not completed and current.done_known is not None and at <= current.done_known
        if at > after and int(step.done) != state and not led_to_it:
            state = int(step.done)
            yield _told(step, at, seen)


def _told(step: StateChange, at: int, seen: Observation) -> Change:
    how = Provenance.HISTORY.value
    return Change(DONE, When(at), int(step.done), corrects=False, by=step.by, grade=int(seen.grade), provenance=how)


def _stated(seen: Observation) -> When | None:
    """The date of completion that the vendor gives."""
    if seen.done_at is not None:
        return When(at=_epoch(seen.done_at))
    return None if seen.done_on is None else When(day=_day(seen.done_on))


def _became(what: int, ended: When | None, seen: Observation, observed_at: int) -> Change:
    """Done (again). A date not after the last reopening cannot be the date of this completion."""
    when, provenance = _stated(seen), seen.date_provenance
    if when is None or (ended is not None and when.order <= ended.order):
        last = next((s.at for s in reversed(seen.history) if s.done), None) or seen.updated_at
        moment = _epoch(last)
        if moment is None or (ended is not None and moment <= ended.order):
            moment = observed_at
        when, provenance = When(at=moment), Provenance.FIRST_OBSERVED
    return Change(what, when, 1, corrects=False, by=seen.done_by, grade=int(seen.grade), provenance=provenance.value)


def _ended(what: int, began: When | None, seen: Observation, observed_at: int) -> Change:
    """Reopened, deleted, or no longer proven."""
    last = next((s for s in reversed(seen.history) if not s.done), None)
    moment = observed_at if seen.deleted else _epoch(last.at if last else seen.updated_at) or observed_at
    if began is not None and moment < began.order:
        moment = observed_at
    return Change(
        what,
        When(at=moment),
        0,
        corrects=False,
        by=last.by if last else None,
        grade=int(seen.grade),
        provenance=Provenance.HISTORY.value,
    )


def _epoch(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


def _day(day: date) -> int:
    return day_number(day)
