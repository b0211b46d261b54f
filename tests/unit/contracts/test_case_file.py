"""Case files: what they hold, and that no spoiled one makes the reader raise."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from fractions import Fraction

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.domain import contracts as m
from models.records.case_file import load_cases

TEXT = """
calendars:
  CN: {horizon: 2026-12-31, weekdays_off: [2026-10-01], weekend_on: [2026-10-10]}
cases:
  - id: K-1
    title: All kinds of facts
    contract:
      customer: A
      supplier: B
      currency: CNY
      timezone: Asia/Shanghai
      calendar: CN
      price_basis: tax_inclusive
      lines: [{id: L, amount: "1000.00", tax_rate: 6%}]
      terms: [{id: T1, amount: 100%, when: {all: [a, {progress: {of: build, gte: 60%}}, {guarantee: G}]}}]
    facts:
      events: {a: "2026-03-31T16:30:00Z", b: [{date: 2026-04-01, value: true}, {date: 2026-04-03, value: false}]}
      progress: {build: [{date: 2026-02-15, pct: "40"}]}
      guarantees: [{id: G, kind: performance, amount: "5.00", issued: 2026-01-01, expires: 2026-12-31}]
      invoices: [{term: T1, issued: 2026-05-01, received: 2026-05-02, amount: "1000.00", number: "44"}]
      payments: [{term: T1, date: 2026-05-09, amount: "7.50", method: bill, maturity: 2026-11-09}]
      promises: [{term: T1, made: 2026-05-20, pay_by: 2026-06-30, amount: "180.00"}]
      planned: {a: 2026-04-01}
    snapshots:
      - as_of: 2026-06-30
        extra_events: {c: 2026-06-01}
        exceptions: []
        warnings: ["X:Y"]
        holds: []
        expected: {T1: {status: paid, overdue_days: 3, due_on: null}}
        totals: {advance_unrecovered: "0.00"}
invalid_contracts:
  - {id: BAD-1, why: "95", terms: [{id: T1, percent: "30"}, {id: T2, percent: "65"}], error: PERCENT_SUM_NOT_100}
  - {id: BAD-2, why: late, terms: [{id: T1, percent: "100"}], due_probe: {start: 2026-12-25, business_days: 10, calendar: CN}, error: CALENDAR_HORIZON}
"""


def test_everything_a_case_file_says_arrives() -> None:
    cases = load_cases(TEXT, "k.yaml")
    assert cases.findings == ()
    assert (cases.calendars["CN"].horizon, cases.calendars["CN"].weekend_on) == (
        date(2026, 12, 31),
        (date(2026, 10, 10),),
    )
    (case,) = cases.cases
    assert (case.contract.number, case.title) == ("K-1", "All kinds of facts")
    facts = case.facts
    assert facts.events["a"] == (m.EventChange(datetime(2026, 3, 31, 16, 30, tzinfo=UTC)),)
    assert [c.value for c in facts.events["b"]] == [True, False]
    assert facts.progress == {"build": ((date(2026, 2, 15), Fraction(2, 5)),)}
    assert facts.invoices == (m.InvoiceFact("T1", date(2026, 5, 1), date(2026, 5, 2), 100000, "44"),)
    assert facts.payments == (m.PaymentFact("T1", date(2026, 5, 9), 750, "bill", date(2026, 11, 9)),)
    assert facts.planned == {"a": date(2026, 4, 1)}
    (snapshot,) = case.snapshots
    assert (snapshot.exceptions, snapshot.warnings, snapshot.totals) == ((), ("X:Y",), {"advance_unrecovered": "0.00"})
    assert snapshot.terms == {"T1": {"status": "paid", "overdue_days": 3, "due_on": None}}


def test_a_number_of_its_own_wins_over_the_case_id() -> None:
    assert (
        load_cases(TEXT.replace("customer: A", "customer: A\n      contract: OWN"), "k").cases[0].contract.number
        == "OWN"
    )


def test_sketches_are_refused_with_their_code_and_keep_their_probe() -> None:
    first, second = load_cases(TEXT, "k.yaml").invalid
    assert [f.code for f in first.findings] == ["PERCENT_SUM_NOT_100"]
    assert (second.findings, second.due_probe) == ((), {"start": "2026-12-25", "business_days": 10, "calendar": "CN"})


def test_a_bad_case_leaves_the_others() -> None:
    second = TEXT.partition("cases:\n")[2].partition("invalid_contracts")[0]
    text = TEXT.partition("invalid_contracts")[0] + second.replace("K-1", "K-2").replace(
        "currency: CNY", "currency: QQQ"
    )
    cases = load_cases(text, "k.yaml")
    assert [c.id for c in cases.cases] == ["K-1"]
    assert [f.code for f in cases.findings] == ["CURRENCY_UNKNOWN"]


def test_an_instant_without_its_offset_is_refused() -> None:
    cases = load_cases(TEXT.replace("16:30:00Z", "16:30:00"), "k.yaml")
    assert [f.code for f in cases.findings] == ["INSTANT_WITHOUT_OFFSET"]
    assert cases.cases == ()


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.data())
def test_no_text_makes_the_reader_raise(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(TEXT)))
    to = min(len(TEXT), at + data.draw(st.integers(0, 15)))
    token = data.draw(
        st.one_of(
            st.text(max_size=3), st.sampled_from(["{", "[", "- ", ": ", "\n", "null", "0x1F", "{}", "[]", "'", "---\n"])
        )
    )
    load_cases(TEXT[:at] + token + TEXT[to:], "spoiled")


def test_every_value_spoiled_in_turn() -> None:
    tree = json.loads(json.dumps(yaml.safe_load(TEXT), default=str))
    for spoiled in ("", None, [], {}, -1, "x", [1], {"a": 1}):
        for path in _paths(tree):
            copy = json.loads(json.dumps(tree))
            inner = copy
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = spoiled
            load_cases(json.dumps(copy), "spoiled")


def _paths(tree: object, here: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [p for k, v in inside for p in [(*here, k), *_paths(v, (*here, k))]]
