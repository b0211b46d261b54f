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
from models.domain.observations import Observation, Provenance

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
    """Where a milestone stands: the last change of each kind."""

    done: int = 0
    done_when: When | None = None
    accepted: int = 0
    accepted_when: When | None = None
    percent: int | None = None


def changes_of(current: Current, seen: Observation, observed_at: int) -> list[Change]:
    """The changes that an observation makes to where a milestone stands."""
    holds = seen.done and not seen.deleted and not seen.unproven
    out = list(_flips(DONE, current.done, current.done_when, seen, holds=holds, observed_at=observed_at))
    accepted = holds and seen.accepted
    signed = seen if seen.accepted_at is None else replace(seen, done_at=seen.accepted_at, done_on=None)
    out += _flips(ACCEPTED, current.accepted, current.accepted_when, signed, holds=accepted, observed_at=observed_at)
    percent = 0 if seen.deleted else seen.percent_bp
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


def _flips(
    what: int, value: int, when: When | None, seen: Observation, *, holds: bool, observed_at: int
) -> Iterator[Change]:
    if what == DONE:
        for change in _missed(value, when, seen):
            yield change
            value, when = change.value, change.when
    if holds and not value:
        yield _became(what, when, seen, observed_at)
    elif holds and when is not None:
        stated = _stated(seen)
        exact = seen.date_provenance is not Provenance.FIRST_OBSERVED
        if stated is not None and exact and stated != when:
            yield replace(_became(what, None, seen, observed_at), corrects=True)
    elif value and not holds:
        yield _ended(what, when, seen, observed_at)


def _missed(value: int, when: When | None, seen: Observation) -> Iterator[Change]:
    """Comings and goings in the vendor's history since the last change we know, the last state left out:
    the observation itself tells that."""
    after = -1 if when is None else when.order
    state = value
    for step in seen.history[:-1]:
        at = int(step.at.timestamp())
        if at > after and int(step.done) != state:
            state = int(step.done)
            yield Change(
                DONE,
                When(at),
                state,
                corrects=False,
                by=step.by,
                grade=int(seen.grade),
                provenance=Provenance.HISTORY.value,
            )


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
