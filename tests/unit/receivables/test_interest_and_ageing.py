"""Interest exact by day, rate tables, ageing: worked figures, and properties that hold for any input."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.receivables import ageing
from models.domain.receivables.candidates import Statute, candidate, statute_table, uk_fixed_sum
from models.domain.receivables.interest import InterestRounding, Reduction, interest_lines, interest_total, open_spans
from models.domain.receivables.rates import RateGap, RatePeriod, RateTable, table_problems

DUE = date(2026, 3, 31)
days = st.integers(0, 900).map(lambda n: DUE + timedelta(days=n))
reductions = st.lists(st.builds(Reduction, days, st.integers(0, 10**12)), max_size=6)


def half_years(*pct: str) -> RateTable:
    """Rates that change on 1 January and 1 July, from 2026 on."""
    rows = []
    for n, one in enumerate(pct):
        year, half = 2026 + n // 2, n % 2
        first, last = (date(year, 1, 1), date(year, 6, 30)) if half == 0 else (date(year, 7, 1), date(year, 12, 31))
        rows.append((first, last, Fraction(one) / 100))
    return RateTable.yearly(rows)


TABLE = half_years("10.15", "10.40", "9.9", "9", "8", "8.25")


@given(st.integers(1, 10**15), reductions, st.integers(1, 800), st.integers(0, 800))
def test_interest_adds_up_over_any_split_of_the_period(
    minor: int, stops: list[Reduction], whole: int, cut: int
) -> None:
    """Counting to a day and on from it gives exactly what counting through gives."""
    until, split = DUE + timedelta(days=whole), DUE + timedelta(days=min(cut, whole))
    through = interest_lines(minor, stops, TABLE, DUE, until)
    first = interest_lines(minor, stops, TABLE, DUE, split)
    second = list(interest_lines(minor, stops, TABLE, split, until)) if split < until else []
    # The second part starts from what is open then: all reductions are known to it.
    assert sum((x.exact for x in through), Fraction(0)) == sum((x.exact for x in [*first, *second]), Fraction(0))


@given(st.integers(1, 10**12), reductions, st.integers(1, 400))
def test_interest_is_the_sum_of_its_days(minor: int, stops: list[Reduction], n: int) -> None:
    """The definition, day by day: what is open before the day's own payments, at the day's rate."""
    total = Fraction(0)
    for day in (DUE + timedelta(days=i) for i in range(1, n + 1)):
        left = minor - sum(r.minor for r in stops if r.on < day)
        total += max(0, left) * TABLE.on(day)
    assert total == sum(
        (x.exact for x in interest_lines(minor, stops, TABLE, DUE, DUE + timedelta(days=n))), Fraction(0)
    )


def test_part_payments_and_a_reset() -> None:
    # domain case CN-08: 480000 x 15 + 380000 x 23 + 180000 x 38 days at 4.5 %
    table = RateTable.yearly([(None, None, Fraction(45, 1000))])
    stops = [Reduction(date(2026, 4, 15), 10_000_000), Reduction(date(2026, 5, 8), 20_000_000)]
    lines = interest_lines(48_000_000, stops, table, DUE, date(2026, 6, 15))
    assert [(x.days, x.open) for x in lines] == [(15, 48_000_000), (23, 38_000_000), (38, 18_000_000)]
    assert interest_total(lines) == 280849


def test_rounding_each_day_is_a_setting() -> None:
    # gov.uk's own example: 1000 at 8.5 % is 23p a day, for 50 days 11.50; exact 11.64
    lines = interest_lines(
        100_000, [], RateTable.yearly([(None, None, Fraction(85, 1000))]), DUE, DUE + timedelta(days=50)
    )
    assert interest_total(lines) == 1164
    assert interest_total(lines, InterestRounding.PER_DAY) == 1150


def test_a_day_without_a_rate_is_never_guessed() -> None:
    with pytest.raises(RateGap) as gap:
        interest_lines(100, [], half_years("10"), DUE, date(2026, 7, 2))
    assert gap.value.day == date(2026, 7, 1)


def test_what_is_wrong_with_a_table() -> None:
    def period(first: int, last: int | None) -> RatePeriod:
        return RatePeriod(date(2026, 1, first), last and date(2026, 1, last), Fraction(1, 1000))

    assert table_problems([period(1, 10), period(11, None)]) == []
    assert table_problems([period(1, 10), period(12, 20)]) == [("gap", date(2026, 1, 11))]
    assert table_problems([period(1, 10), period(10, 20)]) == [("overlap", date(2026, 1, 10))]
    assert table_problems([period(1, None), period(10, 20)]) == [("overlap", date(2026, 1, 10))]
    assert table_problems([period(9, 2)]) == [("backwards", date(2026, 1, 9))]


def test_candidates_stand_side_by_side() -> None:
    due, as_of, lpr = date(2026, 6, 22), date(2026, 7, 31), [(None, None, Fraction(3, 100))]
    found = {
        s: candidate(s, 26_000_000, [], statute_table(s, lpr), due, as_of).interest
        for s in (Statute.BACK_TO_BACK_REPLY_2, Statute.SME_REGULATION_17, Statute.SALES_18_LOW, Statute.SALES_18_HIGH)
    }
    assert found == {
        Statute.BACK_TO_BACK_REPLY_2: 83342,
        Statute.SME_REGULATION_17: 507000,
        Statute.SALES_18_LOW: 108345,  # 260000 x 3.9 % x 39 / 365 = 1083.4521
        Statute.SALES_18_HIGH: 125014,  # 260000 x 4.5 % x 39 / 365 = 1250.1370
    }


def test_uk_and_eu_candidates() -> None:
    base = [(None, None, Fraction(375, 10_000))]
    uk = candidate(
        Statute.UK_1998, 10_893_332, [], statute_table(Statute.UK_1998, base), date(2026, 5, 11), date(2026, 7, 31)
    )
    assert (uk.interest, uk.fixed_sum) == (284047, 10_000)
    assert [uk_fixed_sum(x) for x in (99_999, 100_000, 999_999, 1_000_000)] == [4000, 7000, 7000, 10_000]
    ecb = [(None, None, Fraction(215, 10_000))]
    eu = candidate(
        Statute.EU_2011_7, 3_333_333, [], statute_table(Statute.EU_2011_7, ecb), date(2026, 2, 28), date(2026, 4, 15)
    )
    assert (eu.interest, eu.fixed_sum) == (42639, 4000)
    on_time = candidate(Statute.EU_2011_7, 3_333_333, [], statute_table(Statute.EU_2011_7, ecb), DUE, DUE)
    assert (on_time.interest, on_time.fixed_sum) == (0, 0)


@given(st.integers(1, 10**9), reductions, st.integers(1, 500))
def test_open_spans_cover_each_open_day_once(minor: int, stops: list[Reduction], n: int) -> None:
    last = DUE + timedelta(days=n)
    spans = list(open_spans(minor, stops, DUE, last))
    covered = [a + timedelta(days=i) for a, b, _ in spans for i in range((b - a).days + 1)]
    assert covered == sorted(set(covered))
    assert all(DUE <= d <= last for d in covered)


# --- ageing ---

labels = st.lists(st.integers(1, 90), min_size=1, max_size=6).map(
    lambda widths: [
        *(f"{sum(widths[:i]) + 1}-{sum(widths[: i + 1])}" for i in range(len(widths))),
        f"{sum(widths) + 1}-",
    ]
)


@given(labels, st.lists(st.tuples(st.integers(-400, 4000), st.integers(0, 10**14)), max_size=30))
def test_buckets_add_up_to_what_is_open(names: list[str], items: list[tuple[int, int]]) -> None:
    table = ageing.buckets(names)
    assert sum(ageing.spread(items, table).values()) == sum(minor for _, minor in items)
    assert set(ageing.spread(items, table)) == {ageing.NOT_DUE, *names}


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["1-30"],
        ["2-30", "31-"],
        ["1-30", "32-"],
        ["1-30", "30-"],
        ["1-", "31-"],
        ["30-1", "2-"],
        ["one"],
        ["0-30", "31-"],
    ],
)
def test_buckets_that_do_not_meet_are_refused(names: list[str]) -> None:
    with pytest.raises(ageing.BucketsBroken):
        ageing.buckets(names)


@pytest.mark.parametrize(
    ("n", "label"),
    [(-5, "not_due"), (0, "not_due"), (1, "1-30"), (30, "1-30"), (31, "31-60"), (101, "91-120"), (999, "181-")],
)
def test_bucket_edges(n: int, label: str) -> None:
    assert ageing.bucket_of(n) == label
