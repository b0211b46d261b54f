"""The forecast's rules: what moves adds up, the reason is the right one, quartiles are days that occurred."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.steps.receivables.behaviour import habit, spread
from models.domain.outlook import MoveLine
from models.domain.receivables.forecast import (
    MIN_HISTORY,
    PERIODS,
    UNDATED,
    Compared,
    Expectation,
    Leaf,
    Part,
    Threshold,
    Why,
    sums,
)
from models.domain.receivables.wording import span_text

BEFORE, AFTER = date(2026, 6, 1), date(2026, 6, 2)
BASES = ("planned", "ready", "invoiced", "bill", "promise", "instalment", "held", "no_plan")
days = st.dates(date(2026, 3, 1), date(2027, 3, 1))
parts = st.builds(Part, st.none() | days, st.integers(1, 10**15), st.sampled_from(BASES))
leaves = st.builds(Leaf, st.sampled_from(["a", "b", "T2"]), st.sampled_from(["milestone", "term"]), st.none() | days)
expectations = st.builds(
    Expectation,
    st.sampled_from(["not_ready", "ready", "invoiced", "part_paid", "paid", "waived"]),
    st.integers(0, 10**15), st.integers(0, 10**15), st.none() | days, st.none() | days, st.integers(-9, 90),
    st.lists(parts, max_size=4).map(tuple), st.lists(leaves, max_size=3).map(tuple),
)  # fmt: skip
forecasts = st.dictionaries(st.sampled_from(["T1", "T2", "T3", "T4"]), expectations)


@given(forecasts, forecasts, st.sampled_from(sorted(PERIODS)), st.sampled_from(["", "new", "gone", "changed"]))
def test_before_and_moves_are_after_to_the_minor_unit(was, now, unit, state) -> None:
    period = PERIODS[unit]
    compared = Compared(was, now, BEFORE, AFTER, state)
    books = Counter(sums(was.values(), BEFORE, period))
    for term in was.keys() | now.keys():
        for move in compared.moves(term, period):
            assert move.minor > 0
            assert move.start != move.end
            assert move.why.text("en")
            assert move.why.text("zh-CN")
            if move.start is not None:
                books[move.start] -= move.minor
            if move.end is not None:
                books[move.end] += move.minor
    assert {k: v for k, v in books.items() if v} == sums(now.values(), AFTER, period)


@given(forecasts)
def test_the_same_forecast_on_the_same_day_moves_nothing(terms) -> None:
    compared = Compared(terms, terms, BEFORE, BEFORE)
    assert [m for t in terms for m in compared.moves(t, PERIODS["week"])] == []


# --- reasons -------------------------------------------------------------------------------------------

JUNE, JULY = date(2026, 6, 10), date(2026, 7, 1)


def term(status: str = "not_ready", day: date | None = JUNE, **changes) -> Expectation:
    basis = {"not_ready": "planned", "ready": "ready"}.get(status, "invoiced")
    own = (Part(day, 100, basis if day else "no_plan"),)
    made = Expectation(status, 100, 0, day, day, 0, own, (Leaf("m", "milestone", day),))
    return replace(made, **changes)


def why(was: Expectation | None, now: Expectation | None, **more) -> Why:
    sides = [{"T1": x} if x else {} for x in (was, now)]
    (move,) = Compared(*sides, BEFORE, AFTER, **more).moves("T1", PERIODS["month"])
    return move.why


def moved(status: str = "not_ready", **changes) -> Expectation:
    return term(status, JULY, **changes)


@pytest.mark.parametrize(
    ("was", "now", "code"),
    [
        (term(), moved(), "plan"),
        (term(), term(day=None), "plan_gone"),
        (term(day=None), moved(), "plan_set"),
        (term(), moved(leaves=(Leaf("m", "milestone", JUNE),)), "ready"),
        (term(), moved("ready"), "became_ready"),
        (term("ready"), moved("invoiced"), "invoiced"),
        (term("ready"), moved("not_ready"), "fell_back"),
        (term("ready", ready=BEFORE), moved("ready", ready=BEFORE), "not_started"),
        (term(), term("paid", paid=100, parts=()), "paid"),
        (term("invoiced"), term("invoiced", gross=50, parts=(Part(JUNE, 50, "invoiced"),)), "amount"),
        (term("ready"), term("waived", parts=()), "waived"),
        (term("invoiced"), term("invoiced", parts=(Part(None, 100, "disputed"),)), "disputed"),
        (term("invoiced"), term("invoiced", parts=(Part(JULY, 100, "promise"),)), "promise"),
        (term("invoiced", parts=(Part(JULY, 100, "promise"),)), term("invoiced"), "promise_over"),
        (term("invoiced", ready=BEFORE), moved("invoiced", ready=BEFORE, due=JUNE, late=21), "behaviour"),
        (None, term(), "new_term"),
        (term(), None, "gone_term"),
    ],
)  # fmt: skip
def test_the_reason_is_what_changed(was, now, code) -> None:
    assert why(was, now).code == code


def test_the_milestone_of_another_term_that_is_waited_for_is_named() -> None:
    """Retention a year after acceptance: the acceptance slipped, and that is what people are told."""
    waits = (Leaf("T1", "term", None),)
    was = {"T1": term(), "T2": term(leaves=waits)}
    now = {"T1": moved(), "T2": moved(leaves=waits)}
    (move,) = Compared(was, now, BEFORE, AFTER).moves("T2", PERIODS["month"])
    assert (move.why.code, move.why.name, move.why.days) == ("plan", "m", 21)


def test_a_part_payment_leaves_and_the_rest_slips() -> None:
    now = term("part_paid", JULY, paid=30, parts=(Part(JULY, 70, "invoiced"),))
    found = Compared({"T1": term("invoiced")}, {"T1": now}, BEFORE, AFTER).moves("T1", PERIODS["month"])
    assert [(m.minor, m.start, m.end) for m in found] == [(30, "2026-06", None), (70, "2026-06", "2026-07")]
    assert found[0].why.code == "paid"


def test_what_should_have_come_moves_on_with_the_days() -> None:
    late = term("invoiced", date(2026, 5, 4))
    compared = Compared({"T1": late}, {"T1": late}, date(2026, 6, 30), date(2026, 7, 1))
    (move,) = compared.moves("T1", PERIODS["month"])
    assert (move.start, move.end, move.why.code) == ("2026-06", "2026-07", "time")


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        ("2026-06", "2026-07", "moves from June to July 2026"),
        ("2026-12", "2027-01", "moves from December 2026 to January 2027"),
        ("2026-W23", "2026-W26", "moves from 2026-W23 to 2026-W26"),
        ("2026-06", UNDATED, "leaves June 2026 and has no expected date any more"),
        ("2026-06", None, "leaves June 2026"),
        (None, UNDATED, "more without an expected date"),
    ],
)
def test_a_move_reads_as_a_sentence(start, end, text) -> None:
    line = MoveLine("C", "T", "X", "CNY", 515_555_55, start, end, Why("plan", "初验", "acceptance", 21))
    assert line.text("en") == f"Acceptance of 初验 slipped 3 weeks: 515,555.55 CNY {text}"
    assert line.text("zh-CN").startswith("“初验”验收推迟 3 周：")


def test_spans_are_weeks_where_they_are_whole() -> None:
    assert [span_text(d, "en") for d in (1, 7, 10, 21)] == ["1 day", "1 week", "10 days", "3 weeks"]


def test_the_threshold_is_a_share_or_the_sum_of_its_currency() -> None:
    limit = Threshold(10, {"CNY": 500})
    assert [limit.passed(m, "EUR", 1_000) for m in (99, 100)] == [False, True]
    assert [limit.passed(m, "CNY", 10**9) for m in (499, 500)] == [False, True]


# --- behaviour -----------------------------------------------------------------------------------------

history = st.lists(st.tuples(st.integers(0, 3), st.integers(-60, 400)), max_size=60)


@given(history)
def test_quartiles_are_days_that_occurred(rows) -> None:
    group, value = (np.array([r[k] for r in rows], dtype=np.int64) for k in (0, 1))
    found = spread(group, value, 4)
    for g in range(4):
        own = sorted(v for k, v in rows if k == g)
        assert found.count[g] == len(own)
        assert bool(found.enough[g]) == (len(own) >= MIN_HISTORY)
        if own:
            assert found.median[g] == statistics.median_high(own)
            assert found.low[g] in own
            assert found.low[g] <= found.median[g] <= found.high[g]
            below = sum(v < found.low[g] for v in own)
            assert below * 4 <= len(own)
            assert sum(v > found.high[g] for v in own) * 4 <= len(own)
        assert found.typical[g] == (found.median[g] if len(own) >= MIN_HISTORY else 0)


@given(history)
def test_a_habit_is_the_customers_own_else_everybodys_else_none(rows) -> None:
    group, value = (np.array([r[k] for r in rows], dtype=np.int64) for k in (0, 1))
    usual, source = habit(group, value, 4)
    for g in range(4):
        own, every = [v for k, v in rows if k == g], [v for _, v in rows]
        kind = 0 if len(own) >= MIN_HISTORY else 1 if len(every) >= MIN_HISTORY else 2
        assert source[g] == kind
        assert usual[g] == (statistics.median_high(own if kind == 0 else every) if kind < 2 else 0)


def test_a_week_belongs_to_its_iso_year() -> None:
    assert [PERIODS["week"](date(2026, 12, 31) + timedelta(days=n)) for n in (0, 4)] == ["2026-W53", "2027-W01"]
