"""Contracts as people might write them, for property tests: mappings in long and short form."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import yaml
from hypothesis import strategies as st

NAMES = st.sampled_from(["signed", "m_final", "验收报告", "site 1", "doc_a", "go-live", "yes", "2 of 3"])
PLAIN = st.text(alphabet="abcxyz 合同,:#'\"é🙂%&*!|>-", min_size=1, max_size=12).map(lambda t: f"n{t}n")
DAYS = st.dates(date(1990, 1, 1), date(2200, 12, 31)).map(lambda d: d.isoformat())
PERIODS = st.sampled_from(["days", "business_days", "months"])
SMALL = st.integers(0, 400)
#: What is late, in each of its forms.
LATE = st.one_of(
    st.just({"daily_rate": "0.0005", "basis": "agreed"}),
    st.just({"lpr_pct": "3.00", "lpr_factor": "1.5", "fixed_sum": "40.00"}),
    st.just({"lpr_rates": [{"from": "2025-05-20", "to": "2026-05-19", "pct": "3.00"}], "lpr_factor": "1.3"}),
    DAYS.map(lambda day: {"rates": [{"from": day, "pct": 10.15}], "day_base": 360}),
)


def amounts(digits: int) -> st.SearchStrategy[str]:
    """Exact amounts with up to the currency's digits."""

    def written(minor: int) -> str:
        return f"{minor // 10**digits}.{minor % 10**digits:0{digits}d}" if digits else str(minor)

    return st.integers(0, 10**13).map(written)


def percents() -> st.SearchStrategy[str]:
    """Percentages with up to four digits after the point."""
    return st.integers(1, 999_999).map(lambda n: f"{n // 10_000}.{n % 10_000:04d}%")


def leaves(digits: int) -> st.SearchStrategy[object]:
    """Conditions without parts."""
    period = st.tuples(st.sampled_from(["days", "business_days"]), st.integers(0, 99))
    return st.one_of(
        NAMES,
        NAMES.map(lambda n: {"event": n}),
        NAMES.map(lambda n: {"event": n, "tag": "back_to_back"}),
        DAYS,
        DAYS.map(lambda d: {"date": d}),
        st.builds(lambda n, p: {"progress": {"of": n, "gte": p}}, NAMES, percents()),
        st.builds(lambda n, p: {"deemed": {"submitted": n, "rejected": f"{n}_no", p[0]: p[1]}}, NAMES, period),
        st.builds(lambda a: {"guarantee": {"id": "G", "min_amount": a}}, amounts(digits)),
        st.sampled_from([{"term_ready": "FREE"}, {"term_paid": "FREE"}, {"term_invoiced": "FREE"}]),
        NAMES.map(lambda n: {"approved": {"role": n}}),
        NAMES.map(lambda n: {"approved": n}),
    )


def conditions(digits: int) -> st.SearchStrategy[object]:
    """Whole condition trees."""

    def nested(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
        parts = st.lists(inner, min_size=1, max_size=3)
        return st.one_of(
            parts.map(lambda p: {"all": p}),
            parts.map(lambda p: {"any": p}),
            parts.flatmap(lambda p: st.integers(1, len(p)).map(lambda n: {"at_least": {"n": n, "of": p}})),
            st.builds(lambda i, p, n: {"elapsed": {"after": i, p: n}}, inner, PERIODS, SMALL),
        )

    return st.recursive(leaves(digits), nested, max_leaves=5)


DUES = st.one_of(
    st.builds(
        lambda n, unit, start: f"{n} {unit} after {start}",
        SMALL, st.sampled_from(["days", "working days", "business days", "months"]),
        st.sampled_from(["ready", "invoice_date", "invoice_received"]),
    ),
    st.builds(lambda n: f"收到发票后{n}个工作日", SMALL),
    st.builds(
        lambda start, add, roll: {"start": start, "add": add, "roll": roll},
        st.sampled_from(["ready", "invoice_date", "invoice_received"]),
        st.one_of(
            SMALL.map(lambda n: {"days": n, "then": "end_of_month"}),
            SMALL.map(lambda n: {"end_of_month_then_days": n}),
            st.integers(1, 31).map(lambda n: {"day_of_next_month": n}),
            st.just({"end_of_next_month": True}),
            SMALL.map(lambda n: {"business_days": n}),
        ),
        st.sampled_from(["none", "following", "preceding"]),
    ),
)  # fmt: skip

BINDINGS = st.one_of(
    DAYS,
    PLAIN.map(lambda d: {"document": d}),
    PLAIN.map(lambda r: {"sign_off": r}),
    st.builds(
        lambda p, k, n, s, g: {"milestone": {"connection": "rd", "project": p, k: n, "state": s, "min_grade": g}},
        PLAIN, st.sampled_from(["id", "name"]), PLAIN, st.sampled_from(["done", "accepted"]),
        st.sampled_from(["number", "state", "history", "review"]),
    ),
    st.builds(lambda p, a: {"progress": {"connection": "rd", "project": p, "at_least": a}}, PLAIN, percents()),
)  # fmt: skip


@st.composite
def contracts(draw: st.DrawFn) -> Mapping[str, object]:
    """A valid contract mapping."""
    currency, digits = draw(st.sampled_from([("CNY", 2), ("JPY", 0), ("KWD", 3)]))
    terms: list[dict[str, object]] = [{"id": "FREE", "amount": "remaining", "when": "signed"}]
    for i in range(draw(st.integers(0, 3))):
        amount = draw(st.sampled_from(["10%", {"percent": "12.5"}, {"share": [1, 8]}, {"cumulative_percent": "40%"}]))
        term = {"id": f"T{i}", "name": draw(PLAIN), "amount": amount, "when": draw(conditions(digits))}
        if draw(st.booleans()):
            term["due"] = draw(DUES)
        terms.append(term)
    return {
        "contract": draw(PLAIN),
        "title": draw(PLAIN),
        "customer": draw(st.one_of(PLAIN, PLAIN.map(lambda n: {"name": n, "size": "large", "tax_id": "9133"}))),
        "supplier": draw(PLAIN),
        "currency": currency,
        "timezone": draw(st.sampled_from(["Asia/Shanghai", "America/New_York"])),
        "calendar": draw(st.sampled_from(["CN", "DE", "WEEKEND_ONLY"])),
        "price_basis": draw(st.sampled_from(["tax_inclusive", "tax_exclusive"])),
        "lines": [{"id": f"L{i}", "amount": draw(amounts(digits)), "tax_rate": draw(percents())} for i in range(2)],
        "events": draw(st.dictionaries(NAMES, BINDINGS, max_size=3)),
        "guarantees": [{"id": "G", "kind": "履约保函", "amount": draw(amounts(digits)), "issued": draw(DAYS)}],
        "opening": [{"term": "FREE", "invoiced": draw(amounts(digits)), "invoiced_on": draw(DAYS)}],
        "late": draw(LATE),
        "terms": terms,
    }


class _Plain(yaml.SafeDumper):
    """Writes shared values out: contract files take no aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def as_yaml(tree: object, *, sort_keys: bool = True) -> str:
    """A tree as YAML text."""
    return yaml.dump(tree, Dumper=_Plain, allow_unicode=True, sort_keys=sort_keys)
