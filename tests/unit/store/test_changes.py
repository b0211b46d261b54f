"""What a new observation changes: properties over any sequence of observations, and the rules by example."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from flows.steps.changes import ACCEPTED, DONE, PERCENT, Change, Current, When, changes_of
from flows.steps.evaluation.columns import day_number
from models.domain.observations import Observation, Provenance, StateChange

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(hours: int) -> datetime:
    return START + timedelta(hours=hours)


def seconds(hours: int) -> int:
    return int(at(hours).timestamp())


def seen(**fields: object) -> Observation:
    return Observation("rd", "P", "P", "P", "m1", "milestone", "M1", "open", **({"done": False} | fields))  # type: ignore[arg-type]


def fold(nights: list[tuple[int, Observation]]) -> tuple[Current, list[Change]]:
    """All changes that a sequence of (observed at, observation) makes, and where it leads."""
    state, out = Current(), []
    for observed, one in nights:
        for change in changes_of(state, one, observed):
            state = state.after(change, observed)
            out.append(change)
    return state, out


def effective(changes: list[Change], what: int = DONE) -> list[tuple[When, int]]:
    """The changes as conditions read them: one that corrects replaces the one before."""
    out: list[tuple[When, int]] = []
    for change in changes:
        if change.what == what:
            if change.corrects:
                out.pop()
            out.append((change.when, change.value))
    return out


# --- properties --------------------------------------------------------------------------------------

HOURS = st.integers(0, 2_000)


@st.composite
def observations(draw: st.DrawFn, now: int) -> Observation:
    """Anything a source may say at an hour: dates of its own, a history, or hardly anything."""
    before = st.integers(0, now)
    done = draw(st.booleans())
    steps = sorted(set(draw(st.lists(before, max_size=4))))
    history = tuple(StateChange(at(h), bool((len(steps) - n) % 2) == done, "Li") for n, h in enumerate(steps))
    exact = draw(st.sampled_from([Provenance.NATIVE, Provenance.FIRST_OBSERVED]))
    kind = draw(st.sampled_from(["instant", "day", "none"]))
    moment = draw(before)
    return seen(
        done=done,
        accepted=done and draw(st.booleans()),
        percent_bp=draw(st.none() | st.integers(0, 10_000)),
        done_at=at(moment) if done and kind == "instant" else None,
        done_on=at(moment).date() if done and kind == "day" else None,
        updated_at=draw(st.none() | before.map(at)),
        deleted=draw(st.integers(0, 9)) == 0,
        unproven=done and draw(st.integers(0, 9)) == 0,
        date_provenance=exact,
        history=history if draw(st.booleans()) else (),
    )


@st.composite
def nights(draw: st.DrawFn) -> list[tuple[int, Observation]]:
    hours = sorted(set(draw(st.lists(HOURS, min_size=1, max_size=8))))
    return [(seconds(h), draw(observations(h))) for h in hours]


def _holds(one: Observation) -> bool:
    return one.done and not one.deleted and not one.unproven


@settings(max_examples=200, deadline=None)
@given(nights())
def test_the_last_observation_says_where_a_milestone_stands(sequence: list[tuple[int, Observation]]) -> None:
    state, _ = fold(sequence)
    last = sequence[-1][1]
    assert bool(state.done) == _holds(last)
    assert bool(state.accepted) == (_holds(last) and last.accepted)


@settings(max_examples=200, deadline=None)
@given(nights())
def test_the_same_said_again_changes_nothing(sequence: list[tuple[int, Observation]]) -> None:
    """Whatever else of a milestone changes (its name, its plan), its dates stay."""
    state, _ = fold(sequence)
    observed, last = sequence[-1]
    assert changes_of(state, last._replace(name="renamed"), observed + 86_400) == []


@settings(max_examples=200, deadline=None)
@given(nights())
def test_comings_and_goings_alternate_and_begin_with_a_coming(sequence: list[tuple[int, Observation]]) -> None:
    _, changes = fold(sequence)
    for what in (DONE, ACCEPTED):
        values = [value for _, value in effective(changes, what)]
        assert values == [(n + 1) % 2 for n in range(len(values))]


@settings(max_examples=200, deadline=None)
@given(nights())
def test_a_completion_never_lies_before_the_reopening_that_it_ends(sequence: list[tuple[int, Observation]]) -> None:
    _, changes = fold(sequence)
    for what in (DONE, ACCEPTED):
        orders = [(when.order, value) for when, value in effective(changes, what)]
        for (ended, _), (began, value) in pairwise(orders):
            assert began > ended if value else began >= ended


@settings(max_examples=200, deadline=None)
@given(nights())
def test_nothing_happens_after_it_was_seen(sequence: list[tuple[int, Observation]]) -> None:
    """No change lies after the observation that tells it (a day without a zone: after its day)."""
    state = Current()
    for observed, one in sequence:
        for change in changes_of(state, one, observed):
            state = state.after(change, observed)
            assert change.when.order <= observed


# --- the rules by example ----------------------------------------------------------------------------


def test_done_with_its_own_date() -> None:
    _, changes = fold([(seconds(50), seen(done=True, done_at=at(10), done_by="Li"))])
    (change,) = changes
    assert (change.what, change.when, change.value, change.by) == (DONE, When(at=seconds(10)), 1, "Li")


def test_a_day_without_a_zone_stays_a_day() -> None:
    state, _ = fold([(seconds(50), seen(done=True, done_on=date(2026, 1, 2)))])
    assert state.done_when == When(day=day_number(date(2026, 1, 2)))


def test_a_corrected_date_replaces_the_one_before() -> None:
    _, changes = fold([(seconds(50), seen(done=True, done_at=at(10))), (seconds(74), seen(done=True, done_at=at(12)))])
    assert [c.corrects for c in changes] == [False, True]
    assert effective(changes) == [(When(at=seconds(12)), 1)]


def test_done_again_with_the_date_of_before_counts_from_when_it_was_seen() -> None:
    """Redmine keeps closed_on of the first time; a later rename must not bring that date back."""
    again = seen(done=True, done_at=at(10), updated_at=at(90))
    story = [
        (seconds(24), seen(done=True, done_at=at(10))),
        (seconds(72), seen(done=False, updated_at=at(60))),
        (seconds(96), again),
    ]
    _, changes = fold(story)
    wanted = [(When(at=seconds(10)), 1), (When(at=seconds(60)), 0), (When(at=seconds(90)), 1)]
    assert effective(changes) == wanted
    _, changes = fold([*story, (seconds(120), again._replace(name="renamed", updated_at=at(110)))])
    assert effective(changes) == wanted


def test_done_again_is_corrected_by_a_date_after_the_reopening() -> None:
    _, changes = fold(
        [
            (seconds(24), seen(done=True, done_at=at(10))),
            (seconds(72), seen(done=False, updated_at=at(60))),
            (seconds(96), seen(done=True, done_at=at(10), updated_at=at(90))),
            (seconds(120), seen(done=True, done_at=at(88), updated_at=at(110))),
        ]
    )
    assert effective(changes)[-1] == (When(at=seconds(88)), 1)


def test_what_was_missed_between_two_nights_comes_from_the_history() -> None:
    history = tuple(StateChange(at(h), d, "Li") for h, d in ((10, True), (30, False), (40, True)))
    _, changes = fold(
        [
            (seconds(24), seen(done=True, done_at=at(10), history=history[:1])),
            (seconds(48), seen(done=True, done_at=at(40), history=history)),
        ]
    )
    assert effective(changes) == [(When(at=seconds(h)), v) for h, v in ((10, 1), (30, 0), (40, 1))]


def test_steps_that_led_to_a_backdated_completion_are_no_reopening() -> None:
    """Somebody moves it on the sixth hour and writes: was done on the third. A later rename changes nothing."""
    history = (StateChange(at(5), done=False), StateChange(at(6), done=True))
    one = seen(done=True, done_at=at(3), history=history)
    _, changes = fold([(seconds(24), one), (seconds(48), one._replace(name="renamed"))])
    assert effective(changes) == [(When(at=seconds(3)), 1)]


def test_a_reopening_that_only_a_cut_history_shows_is_one() -> None:
    history = (StateChange(at(30), done=False), StateChange(at(40), done=True))
    story = [
        (seconds(24), seen(done=True, done_at=at(10))),
        (seconds(48), seen(done=True, done_at=at(10), history=history)),
    ]
    assert effective(fold(story)[1]) == [(When(at=seconds(h)), v) for h, v in ((10, 1), (30, 0), (40, 1))]


def test_a_date_of_first_sight_corrects_nothing_and_an_exact_one_corrects_it() -> None:
    first = seen(done=True, done_at=at(24), date_provenance=Provenance.FIRST_OBSERVED)
    later = first._replace(done_at=at(48))
    exact = first._replace(done_at=at(20), date_provenance=Provenance.NATIVE)
    assert effective(fold([(seconds(24), first), (seconds(48), later)])[1]) == [(When(at=seconds(24)), 1)]
    assert effective(fold([(seconds(24), first), (seconds(48), exact)])[1]) == [(When(at=seconds(20)), 1)]


def test_deleted_and_unproven_are_not_done() -> None:
    for gone in (seen(done=True, done_at=at(10), deleted=True), seen(done=True, done_at=at(10), unproven=True)):
        state, changes = fold([(seconds(24), seen(done=True, done_at=at(10))), (seconds(48), gone)])
        assert (state.done, len(changes)) == (0, 2)
        assert effective(changes)[-1][1] == 0


def test_a_percentage_moves_and_a_deleted_one_falls_to_nothing() -> None:
    _, changes = fold(
        [
            (seconds(24), seen(percent_bp=2_500, updated_at=at(20))),
            (seconds(48), seen(percent_bp=2_500, updated_at=at(40))),
            (seconds(72), seen(percent_bp=None)),
            (seconds(96), seen(percent_bp=5_000, deleted=True)),
        ]
    )
    assert [(c.what, c.when.at, c.value) for c in changes] == [
        (PERCENT, seconds(20), 2_500),
        (PERCENT, seconds(96), 0),
    ]
