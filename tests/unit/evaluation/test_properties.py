"""The rule book as properties: columns agree with a slow, obvious reading of the rules, and money adds up."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.calendars import calendar_specs
from flows.steps.evaluation.amounts import ratio
from flows.steps.evaluation.columns import NEVER, day_number
from flows.steps.evaluation.days import Calendars, add_months, calendar_table
from flows.steps.evaluation.gather import gather
from flows.steps.evaluation.run import evaluate
from models.domain import conditions as c
from models.domain import contracts as m
from models.domain.money import round_half_up

SPECS = calendar_specs(["CN", "WEEKEND_ONLY"])
START = date(2026, 1, 1)
EVENTS = [f"e{i}" for i in range(5)]

days = st.integers(0, 330).map(lambda n: START + timedelta(days=n))
histories = st.dictionaries(st.sampled_from(EVENTS), st.lists(st.tuples(days, st.booleans()), min_size=1, max_size=4))
leaves = st.sampled_from(EVENTS).map(c.Event) | days.map(c.OnDate)


def _inner(parts):
    several = st.lists(parts, min_size=1, max_size=3).map(tuple)
    return (
        several.map(c.All)
        | several.map(c.AnyOf)
        | several.flatmap(lambda p: st.integers(1, len(p)).map(lambda n: c.AtLeast(n, p)))
        | st.tuples(parts, st.integers(0, 40)).map(lambda x: c.Elapsed(x[0], days=x[1]))
        | st.tuples(parts, st.integers(0, 5)).map(lambda x: c.Elapsed(x[0], months=x[1]))
        | st.tuples(parts, st.integers(0, 15)).map(lambda x: c.Elapsed(x[0], business_days=x[1]))
    )


silence = st.tuples(st.sampled_from(EVENTS), st.sampled_from(EVENTS), st.sampled_from(EVENTS), st.integers(1, 20)).map(
    lambda x: c.Deemed(x[0], x[1], x[2], business_days=x[3])
)
conditions = st.recursive(leaves | silence, _inner, max_leaves=8)


# --- a slow and obvious reading of the rules ---------------------------------------------------------


def _since(history: list[tuple[date, bool]], as_of: date) -> date | None:
    begin = None
    for day, value in sorted(history, key=lambda change: change[0]):
        if day <= as_of:
            begin = (begin or day) if value else None
    return begin


def _works(day: date) -> bool:
    spec = SPECS["CN"]
    return (day.weekday() < 5 and day not in spec.weekdays_off) or day in spec.weekend_on


def _business(day: date, n: int) -> date | None:
    while n:
        day += timedelta(days=1)
        if day > SPECS["CN"].horizon:
            return None
        n -= _works(day)
    return day


def _months(day: date, n: int) -> date:
    first = (day.year * 12 + day.month - 1 + n + 1) // 12, (day.month - 1 + n + 1) % 12 + 1
    last = date(*first, 1) - timedelta(days=1)
    return last.replace(day=min(day.day, last.day))


Both = tuple[date, date] | None


def slowly(node: c.Condition, facts: dict, as_of: date) -> Both:
    """(legal, known) of a node, straight from the rules."""
    match node:
        case c.Event(name=name):
            since = _since(facts.get(name, []), as_of)
            return None if since is None else (since, since)
        case c.OnDate(day):
            return day, day
        case c.All(parts):
            found = [slowly(p, facts, as_of) for p in parts]
            return None if None in found else (max(f[0] for f in found), max(f[1] for f in found))
        case c.AnyOf(parts):
            return _nth([slowly(p, facts, as_of) for p in parts], 1)
        case c.AtLeast(n, parts):
            return _nth([slowly(p, facts, as_of) for p in parts], n)
        case c.Elapsed(after=after):
            return _elapsed(node, slowly(after, facts, as_of))
        case c.Deemed():
            return _deemed(node, facts, as_of)
    raise AssertionError(node)


def _nth(found: list[Both], n: int) -> Both:
    met = [f for f in found if f is not None]
    return None if len(met) < n else (sorted(f[0] for f in met)[n - 1], sorted(f[1] for f in met)[n - 1])


def _elapsed(node: c.Elapsed, child: Both) -> Both:
    if child is None:
        return None
    if node.months is not None:
        legal = _months(child[0], node.months)
    else:
        legal = (
            child[0] + timedelta(days=node.days)
            if node.days is not None
            else _business(child[0], node.business_days or 0)
        )
    return None if legal is None else (legal, max(legal, child[1]))


def _deemed(node: c.Deemed, facts: dict, as_of: date) -> Both:
    submitted, accepted, rejected = (
        _since(facts.get(n, []), as_of) for n in (node.submitted, node.accepted, node.rejected)
    )
    silent = None if submitted is None else _business(submitted, node.business_days or 0)
    if silent is not None and submitted is not None and rejected is not None and submitted <= rejected <= silent:
        silent = None
    if accepted is not None and (silent is None or accepted <= silent):
        return accepted, accepted
    return None if silent is None else (silent, silent + timedelta(days=1))


# --- contracts around them ---------------------------------------------------------------------------


def contract_of(terms: list[m.Term], lines: list[int], **more) -> m.Contract:
    return m.Contract(
        number="P", title="", customer=m.Party("a"), supplier=m.Party("b"), currency="CNY", digits=2, timezone="Asia/Shanghai", calendar="CN",
        price_basis=more.pop("basis", m.PriceBasis.TAX_INCLUSIVE), lines=tuple(m.Line(str(i), a, Fraction(6, 100)) for i, a in enumerate(lines)), terms=tuple(terms), **more,
    )  # fmt: skip


def _facts(histories) -> m.Facts:
    return m.Facts(events={k: tuple(m.EventChange(d, v) for d, v in h) for k, h in histories.items()})


def _evaluated(contract: m.Contract, facts: m.Facts, as_of: date):
    batch, columns = gather([contract], [facts])
    return evaluate(batch, columns, Calendars.named(batch.calendars, SPECS), day_number(as_of))


@settings(max_examples=300, deadline=None)
@given(st.lists(conditions, min_size=1, max_size=4), histories, days)
def test_columns_agree_with_the_slow_reading(whens, history, as_of) -> None:
    terms = [m.Term(f"T{i}", "", m.Percent(Fraction(1, len(whens))), w) for i, w in enumerate(whens)]
    out = _evaluated(contract_of(terms, [100]), _facts(history), as_of)
    for index, when in enumerate(whens):
        both = slowly(when, history, as_of)
        expected = (NEVER, NEVER) if both is None else tuple(day_number(d) for d in both)
        assert (int(out.legal[index]), int(out.known[index])) == expected


rules = st.lists(
    st.integers(1, 400).map(lambda n: m.Percent(Fraction(n, 10_000))) | st.tuples(st.integers(1, 3), st.integers(20, 60)).map(lambda x: m.Share(*x)),
    min_size=1, max_size=12,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    rules,
    st.lists(st.integers(1, 10**12), min_size=1, max_size=4),
    st.integers(0, 12),
    st.sampled_from(list(m.PriceBasis)),
)
def test_parts_add_up_to_the_price_whatever_the_rounding(amounts, lines, at, basis) -> None:
    """M2: with a remaining term, every line's parts are the line, to the cent; M3: net and tax are the gross."""
    terms = [m.Term(f"T{i}", "", a, c.OnDate(START)) for i, a in enumerate(amounts)]
    terms.insert(min(at, len(terms)), m.Term("REST", "", m.Remaining(), c.OnDate(START)))
    out = _evaluated(contract_of(terms, lines, basis=basis), m.Facts(), START)
    assert int(out.amounts.base.sum()) == sum(lines)
    assert (out.amounts.term_gross == out.amounts.term_net + out.amounts.term_tax).all()
    assert not out.amounts.overflow.any()
    if basis is m.PriceBasis.TAX_INCLUSIVE:
        assert int(out.amounts.term_gross.sum()) == sum(lines)


@settings(max_examples=200, deadline=None)
@given(histories, days, days)
def test_what_is_invoiced_stays_as_it_was(history, invoiced, later) -> None:
    """S2: readiness and amount of an invoiced term do not depend on what happens after its invoice."""
    as_of = max(invoiced, later)
    terms = [
        m.Term("T1", "", m.Percent(Fraction(1, 3)), c.Event("e0")),
        m.Term("T2", "", m.Remaining(), c.TermReady("T1")),
    ]
    contract = contract_of(terms, [1001])
    early = {k: [(d, v) for d, v in h if d <= invoiced] for k, h in history.items()}
    invoice = (m.InvoiceFact("T1", invoiced, invoiced),)
    now, then = (
        _evaluated(contract, m.Facts(events=_facts(h).events, invoices=invoice), day)
        for h, day in ((history, as_of), (early, invoiced))
    )
    assert int(now.known[0]) == int(then.known[0])
    assert int(now.amounts.term_gross[0]) == int(then.amounts.term_gross[0])
    assert int(now.status[0]) == int(then.status[0]) >= 2


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(conditions, histories), min_size=1, max_size=5), days)
def test_a_batch_says_what_each_contract_says_alone(pairs, as_of) -> None:
    contracts = [
        contract_of(
            [m.Term("T", "", m.Percent(Fraction(1)), w), m.Term("U", "", m.Remaining(), c.TermReady("T"))], [50 + i]
        )
        for i, (w, _) in enumerate(pairs)
    ]
    facts = [_facts(h) for _, h in pairs]
    batch, columns = gather(contracts, facts)
    together = evaluate(batch, columns, Calendars.named(batch.calendars, SPECS), day_number(as_of))
    for i, (contract, known) in enumerate(zip(contracts, facts, strict=True)):
        alone = _evaluated(contract, known, as_of)
        own = slice(2 * i, 2 * i + 2)
        assert together.known[own].tolist() == alone.known.tolist()
        assert together.amounts.term_gross[own].tolist() == alone.amounts.term_gross.tolist()


@settings(max_examples=300, deadline=None)
@given(st.integers(-(10**13), 10**13), st.integers(0, 10**5), st.integers(1, 10**5))
def test_ratio_rounds_half_up_and_away_from_zero(amount, num, den) -> None:
    value, over = ratio(np.array([amount]), np.array([num]), np.array([den]))
    assert not over[0]
    assert int(value[0]) == round_half_up(Fraction(amount * num, den))


def test_an_overflow_is_marked_and_never_wraps() -> None:
    value, over = ratio(np.array([2**62, 5]), np.array([3, 1]), np.array([1, 2]))
    assert over.tolist() == [True, False]
    assert value[1] == 3
    contract = contract_of(
        [
            m.Term("T", "", m.Percent(Fraction(999_999_999, 10**9)), c.OnDate(START)),
            m.Term("R", "", m.Remaining(), c.OnDate(START)),
        ],
        [2**62],
    )
    assert _evaluated(contract, m.Facts(), START).amounts.overflow.tolist() == [True]


@settings(max_examples=300, deadline=None)
@given(st.dates(date(2000, 1, 1), date(2090, 1, 1)), st.integers(0, 60))
def test_months_end_on_the_same_day_or_the_last(day, n) -> None:
    """D2 (民法典 202)."""
    found = int(add_months(np.array([day_number(day)], dtype=np.int32), np.array([n], dtype=np.int32))[0])
    assert found == day_number(_months(day, n))


def test_the_horizon_is_visible() -> None:
    """2027's arrangement is not published: a date beyond it is marked, not guessed."""
    table = calendar_table(SPECS["CN"])
    calendars = Calendars((table,))
    start = np.array([day_number(date(2026, 12, 25))] * 2, dtype=np.int32)
    found, beyond = calendars.add_business(start, np.array([2, 10], dtype=np.int32), np.zeros(2, dtype=np.int64))
    assert beyond.tolist() == [False, True]
    assert found[1] == NEVER
