"""The lines of an interest calculation add up to its sum, whatever the rates and payments."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from models.domain.receivables.dossier import totals
from models.domain.receivables.interest import InterestRounding, Reduction
from models.domain.receivables.late import late_interest
from models.domain.receivables.rates import RatePeriod, RateTable
from models.domain.receivables.rules import LateRule

DUE = date(2026, 3, 31)
days = st.integers(0, 900).map(lambda n: DUE + timedelta(days=n))
payments = st.lists(st.builds(Reduction, days, st.integers(1, 10**9)), max_size=6)
rates = st.fractions(0, Fraction(1, 100), max_denominator=10**6)


@given(st.integers(1, 10**12), payments, rates, rates, days, st.sampled_from(InterestRounding))
def test_the_lines_add_up(
    minor: int, paid: list[Reduction], first: Fraction, second: Fraction, until: date, rounding: InterestRounding
) -> None:
    change = date(2026, 7, 1)
    table = RateTable((RatePeriod(None, change - timedelta(days=1), first), RatePeriod(change, None, second)))
    found = late_interest(LateRule(table, rounding=rounding), minor, paid, DUE, until)
    assert sum(found.amounts) == found.total
    assert all(x >= 0 for x in found.amounts)
    assert found.unknown_from is None


def test_a_day_without_a_rate_ends_the_counting() -> None:
    table = RateTable((RatePeriod(None, date(2026, 4, 10), Fraction(1, 2000)),))
    found = late_interest(LateRule(table, fixed_sum=4000), 100_000, [], DUE, date(2026, 5, 1))
    assert (found.unknown_from, found.total, found.fixed_sum) == (date(2026, 4, 11), 500, 4000)


def test_nothing_has_no_totals() -> None:
    assert totals([]) == ()
