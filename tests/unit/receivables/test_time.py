"""Promises, extensions, plans, the ladder, the limitation clock, guarantees, capitals."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.receivables import dunning
from models.domain.receivables.agreements import (
    Extension,
    Instalment,
    Plan,
    Promise,
    PromiseState,
    effective_due,
    latest,
    plan_broken,
    plan_due,
    plan_open,
    promise_state,
)
from models.domain.receivables.capitals import capitals
from models.domain.receivables.dunning import Pause, PauseKind, Step, ladder_problems, reminder_due
from models.domain.receivables.dunning import dunning as state_of
from models.domain.receivables.guarantees import (
    Decrease,
    GuaranteeKind,
    GuaranteePaper,
    GuaranteeState,
    amount_on,
    ends_too_early,
    expiry_alerts,
    guarantee_state,
)
from models.domain.receivables.limitation import Interruption, InterruptionKind, alert_days, limitation_expires
from models.domain.receivables.periods import add_months

DUE = date(2026, 3, 31)


def day(n: int) -> date:
    return DUE + timedelta(days=n)


# --- agreements ---


def test_a_promise_is_kept_by_money_after_it_and_in_time() -> None:
    promise = Promise(date(2026, 5, 20), date(2026, 6, 30), 100)
    assert promise_state(promise, [], date(2026, 6, 30)) is PromiseState.OPEN
    assert promise_state(promise, [], date(2026, 7, 1)) is PromiseState.BROKEN
    assert promise_state(promise, [(date(2026, 5, 19), 100)], date(2026, 7, 1)) is PromiseState.BROKEN
    assert promise_state(promise, [(date(2026, 6, 30), 100)], date(2026, 7, 1)) is PromiseState.KEPT
    assert promise_state(promise, [(date(2026, 7, 1), 100)], date(2026, 7, 1)) is PromiseState.BROKEN


def test_the_last_promise_stands() -> None:
    first, second = Promise(day(1), day(10), 5), Promise(day(5), day(20), 5)
    assert latest([second, first], day(3)) == first
    assert latest([second, first], day(5)) == second
    assert latest([second, first], day(0)) is None


def test_an_extension_moves_the_date_from_its_own_day_on() -> None:
    extension = Extension(day(10), day(40))
    assert effective_due(DUE, [extension], day(9)) == DUE
    assert effective_due(DUE, [extension], day(10)) == day(40)
    assert effective_due(DUE, [Extension(day(10), day(-5))], day(10)) == DUE


PLAN = Plan(day(10), (Instalment(day(30), 100), Instalment(day(60), 100), Instalment(day(90), 50)))


def test_a_plan_is_filled_from_its_first_part() -> None:
    assert [o for _, o in plan_open(PLAN, [(day(20), 120)], day(30))] == [0, 80, 50]
    assert [o for _, o in plan_open(PLAN, [(day(9), 120)], day(30))] == [100, 100, 50]  # came before the plan
    assert not plan_broken(PLAN, [], day(30))
    assert plan_broken(PLAN, [], day(31))
    assert plan_due(PLAN, [], day(31)) == 100
    assert plan_due(Plan(PLAN.agreed, PLAN.instalments, default_clause=True), [], day(31)) == 250


@given(
    st.lists(st.tuples(st.integers(10, 100).map(day), st.integers(0, 300)), max_size=5), st.integers(10, 120).map(day)
)
def test_a_plan_never_asks_for_more_than_is_left(paid: list[tuple[date, int]], as_of: date) -> None:
    came = sum(m for d, m in paid if d <= as_of)
    assert sum(o for _, o in plan_open(PLAN, paid, as_of)) == max(0, PLAN.total - came)
    assert 0 <= plan_due(PLAN, paid, as_of) <= max(0, PLAN.total - came)


# --- ladder ---

LADDER = (Step(1, 1), Step(2, 15), Step(3, 30), Step(4, 60), Step(5, 90))


@pytest.mark.parametrize(("n", "level"), [(-9, 0), (0, 0), (1, 1), (14, 1), (15, 2), (76, 4), (101, 5)])
def test_levels(n: int, level: int) -> None:
    assert state_of(LADDER, DUE, [], day(n)).level == level


def test_steps_before_the_due_date() -> None:
    assert dunning.level_on((Step(1, -7), Step(2, 0)), -7) == 1


def test_a_pause_stops_reminders_and_keeps_the_level() -> None:
    promise, dispute = Pause(PauseKind.PROMISE, day(40), day(90)), Pause(PauseKind.DISPUTE, day(50))
    state = state_of(LADDER, DUE, [promise], day(76))
    assert (state.level, state.paused) == (4, promise)
    assert not reminder_due(state, 0)
    assert state_of(LADDER, DUE, [promise], day(91)).paused is None
    assert state_of(LADDER, DUE, [promise, dispute], day(76)).paused == dispute
    assert reminder_due(state_of(LADDER, DUE, [], day(76)), 3)
    assert not reminder_due(state_of(LADDER, DUE, [], day(76)), 4)


def test_overlapping_steps_are_noticed() -> None:
    assert ladder_problems(LADDER) == []
    assert ladder_problems((Step(1, 1), Step(2, 1))) == [(1, 2)]
    assert ladder_problems((Step(1, 10), Step(2, 5))) == [(1, 2)]
    assert ladder_problems((Step(2, 10), Step(2, 15))) == [(2, 2)]


@given(st.integers(-400, 400), st.integers(-400, 400))
def test_the_level_never_falls_with_time(a: int, b: int) -> None:
    assert dunning.level_on(LADDER, min(a, b)) <= dunning.level_on(LADDER, max(a, b))


# --- limitation ---


def demand(on: date) -> Interruption:
    return Interruption(InterruptionKind.DEMAND, on, "EMS")


def test_the_clock_restarts_with_each_event_known() -> None:
    events = [demand(date(2026, 4, 2)), Interruption(InterruptionKind.PROMISE, date(2026, 5, 20))]
    assert limitation_expires(DUE, events, date(2026, 4, 1)) == date(2029, 3, 31)
    assert limitation_expires(DUE, events, date(2026, 4, 10)) == date(2029, 4, 2)
    assert limitation_expires(DUE, events, date(2026, 7, 10)) == date(2029, 5, 20)


def test_what_had_run_out_is_not_revived() -> None:
    assert limitation_expires(DUE, [demand(date(2029, 3, 31))], date(2031, 1, 1)) == date(2032, 3, 31)
    assert limitation_expires(DUE, [demand(date(2029, 4, 1))], date(2031, 1, 1)) == date(2029, 3, 31)


def test_a_demand_before_the_due_date_restarts_nothing() -> None:
    assert limitation_expires(DUE, [demand(date(2026, 3, 1))], date(2026, 5, 1)) == date(2029, 3, 31)


def test_alerts_once_each() -> None:
    ends = date(2029, 3, 31)
    assert alert_days(ends, ends - timedelta(days=181), ends - timedelta(days=180)) == (180,)
    assert alert_days(ends, ends - timedelta(days=180), ends - timedelta(days=179)) == ()
    assert alert_days(ends, ends - timedelta(days=200), ends) == (180, 90, 30)


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [((2024, 2, 29), 36, (2027, 2, 28)), ((2026, 8, 31), 6, (2027, 2, 28)), ((2026, 1, 15), 12, (2027, 1, 15))],
)
def test_months(start: tuple[int, int, int], months: int, end: tuple[int, int, int]) -> None:
    assert add_months(date(*start), months) == date(*end)


# --- guarantees ---

PAPER = GuaranteePaper("G", GuaranteeKind.PERFORMANCE, 1000, "CNY", day(0), day(100), obligation_ends=day(120))


def test_guarantee_states() -> None:
    assert guarantee_state(PAPER, day(-1)) is GuaranteeState.PENDING
    assert guarantee_state(PAPER, day(100)) is GuaranteeState.IN_FORCE
    assert guarantee_state(PAPER, day(101)) is GuaranteeState.EXPIRED
    deposit = GuaranteePaper("D", GuaranteeKind.BID, 1000, "CNY", day(0), return_due=day(30), returned=day(45))
    states = [guarantee_state(deposit, day(n)) for n in (29, 30, 44, 45)]
    assert states == [
        GuaranteeState.IN_FORCE,
        GuaranteeState.RETURN_DUE,
        GuaranteeState.RETURN_DUE,
        GuaranteeState.RETURNED,
    ]


def test_guarantees_reduce_alert_and_end_too_early() -> None:
    assert amount_on(PAPER, [Decrease("G", day(10), 400), Decrease("X", day(1), 999)], day(10)) == 600
    assert amount_on(PAPER, [Decrease("G", day(10), 4000)], day(10)) == 0
    assert expiry_alerts(PAPER, day(39), day(40)) == (60,)
    assert expiry_alerts(PAPER, day(40), day(93)) == (30, 7)
    assert ends_too_early(PAPER)


# --- capitals: examples of the rule itself (支付结算办法 附一) ---


@pytest.mark.parametrize(
    ("minor", "text"),
    [
        (140950, "壹仟肆佰零玖元伍角整"),
        (600714, "陆仟零柒元壹角肆分"),
        (168032, "壹仟陆佰捌拾元零叁角贰分"),
        (10700053, "壹拾万柒仟元零伍角叁分"),
        (1640902, "壹万陆仟肆佰零玖元零贰分"),
        (32504, "叁佰贰拾伍元零肆分"),
        (0, "零元整"),
        (5, "伍分"),
        (50, "伍角整"),
        (100000000, "壹佰万元整"),
        (1_0000_0001_00, "壹亿零壹元整"),
        (1_0001_0001_00, "壹亿零壹万零壹元整"),
        (51555555, "伍拾壹万伍仟伍佰伍拾伍元伍角伍分"),
        (1_2345_0000_0000_00, "壹万贰仟叁佰肆拾伍亿元整"),
        (-100, "负壹元整"),
    ],
)
def test_capitals(minor: int, text: str) -> None:
    assert capitals(minor) == text


def test_capitals_without_small_units() -> None:
    assert capitals(10_000_001, 0) == "壹仟万零壹元整"
    with pytest.raises(ValueError, match="digits"):
        capitals(1, 3)


@given(st.integers(0, 10**17 - 1))
def test_capitals_say_the_amount_back(minor: int) -> None:
    """Reading the capitals gives the amount again."""
    assert _read(capitals(minor)) == minor


def _read(text: str) -> int:
    if text == "零元整":
        return 0
    whole, _, tail = text.removesuffix("整").rpartition("元")
    if "元" not in text:
        tail = text.removesuffix("整")
    minor = 0
    for sign, worth in (("角", 10), ("分", 1)):
        if sign in tail:
            minor += "零壹贰叁肆伍陆柒捌玖".index(tail[tail.index(sign) - 1]) * worth
    return _whole(whole) * 100 + minor


def _whole(text: str) -> int:
    for sign, worth in (("亿", 10**8), ("万", 10**4)):
        if sign in text:
            high, _, low = text.rpartition(sign) if sign == "亿" else text.partition(sign)
            return _whole(high) * worth + _whole(low)
    total, digit = 0, 0
    for letter in text:
        if letter in "拾佰仟":
            total += digit * {"拾": 10, "佰": 100, "仟": 1000}[letter]
            digit = 0
        else:
            digit = "零壹贰叁肆伍陆柒捌玖".index(letter)
    return total + digit
