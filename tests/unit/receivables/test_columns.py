"""The columns say what the rules say, row by row, and lose nothing."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flows.steps.evaluation.columns import NEVER, day_number
from flows.steps.receivables.columns import NOT_PAUSED, OpenTerms, ageing_table, bucket_codes, levels, reminders_due
from models.domain.receivables import ageing, dunning

AS_OF = date(2026, 11, 20)
TODAY = day_number(AS_OF)
LADDERS = (dunning.STANDARD, (dunning.Step(1, -7), dunning.Step(2, 0), dunning.Step(4, 45)))
SETS = (ageing.STANDARD, ageing.buckets(("1-15", "16-")))

rows = st.lists(
    st.tuples(
        st.integers(-400, 800),  # days after the due date
        st.integers(1, 10**15),
        st.integers(0, 1),
        st.integers(0, 1),
        st.sampled_from([NOT_PAUSED, TODAY - 1, TODAY, NEVER]),
        st.integers(0, 5),
        st.integers(0, 3),
        st.booleans(),  # covered by a bill
    ),
    max_size=30,
)


def terms_of(given_rows) -> OpenTerms:
    days, open_, ladder, sets, paused, reminded, customer, covered = (
        list(c) for c in (zip(*given_rows, strict=True) if given_rows else [[]] * 8)
    )

    def small(values: list[int]) -> np.ndarray:
        return np.array(values, np.int32)

    money = np.array(open_, np.int64)
    return OpenTerms(
        np.arange(len(days), dtype=np.int64), np.array(["T"] * len(days), object), small(customer), small([c % 2 for c in customer]),
        small(customer), small([TODAY - d for d in days]), money, np.where(covered, money, 0) if len(days) else money,
        small(ladder), small(sets), small(paused), small(reminded),
        ("A", "B", "C", "D"), ("CNY", "EUR"), ("", "x", "y", "z"), LADDERS, SETS,
    )  # fmt: skip


@given(rows)
def test_buckets_and_levels_are_those_of_the_rules(given_rows) -> None:
    terms = terms_of(given_rows)
    codes, reached = bucket_codes(terms, TODAY), levels(terms, TODAY)
    due, _ = reminders_due(terms, TODAY)
    for i, (days, _, ladder, which, paused, reminded, _, covered) in enumerate(given_rows):
        label = ageing.NOT_DUE if codes[i] == 0 else SETS[which][codes[i] - 1].label
        assert label == ageing.bucket_of(days, SETS[which])
        pauses = [] if paused == NOT_PAUSED else [_pause(paused)]
        state = dunning.dunning(LADDERS[ladder], AS_OF - timedelta(days=days), pauses, AS_OF)
        assert reached[i] == state.level
        assert due[i] == (dunning.reminder_due(state, reminded) and not covered)


def _pause(until: int) -> dunning.Pause:
    end = None if until == NEVER else AS_OF + timedelta(days=until - TODAY)
    return dunning.Pause(dunning.PauseKind.HOLD, date(2020, 1, 1), end)


@given(rows)
def test_ageing_adds_up_by_currency_and_mixes_none(given_rows) -> None:
    terms = terms_of(given_rows)
    for by in (("customer",), ("manager", "currency"), ("contract",), ()):
        table = ageing_table(terms, TODAY, by)
        for code, name in enumerate(("CNY", "EUR")):
            wanted = sum(r[1] for r in given_rows if r[6] % 2 == code)
            assert int(table.loc[table["currency"] == name, "open"].sum()) == wanted
        assert int(table["terms"].sum()) == len(given_rows)
