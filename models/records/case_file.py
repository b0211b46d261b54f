"""Case files (`golden/`): contracts with their facts, and what is expected of them day by day."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from models.domain import contracts as m
from models.domain.calendars_spec import CalendarSpec
from models.domain.findings import Finding
from models.domain.receivables.agreements import Promise
from models.domain.receivables.limitation import Interruption, InterruptionKind
from models.records.contract_file import guarantee, read_contract
from models.records.reading import Report, Unreadable, Value, documents


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is expected as of a day; None: not stated."""

    as_of: date
    extra_events: Mapping[str, tuple[m.EventChange, ...]]
    terms: Mapping[str, Mapping[str, object]]
    exceptions: tuple[str, ...] | None
    warnings: tuple[str, ...] | None
    holds: tuple[str, ...] | None
    totals: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class Case:
    """One contract, its facts, its snapshots."""

    id: str
    title: str
    contract: m.Contract
    facts: m.Facts
    snapshots: tuple[Snapshot, ...]


@dataclass(frozen=True, slots=True)
class InvalidContract:
    """A sketch of a contract that must be refused with the code `error`."""

    id: str
    error: str
    findings: tuple[Finding, ...]
    due_probe: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class CaseFile:
    """All of a case file, and what could not be read."""

    calendars: Mapping[str, CalendarSpec]
    cases: tuple[Case, ...]
    invalid: tuple[InvalidContract, ...]
    findings: tuple[Finding, ...]


def load_cases(text: str, file: str) -> CaseFile:
    """Read a case file. A case that cannot be read is a finding; the others go on."""
    report = Report(file)
    calendars: dict[str, CalendarSpec] = {}
    cases: list[Case] = []
    invalid: list[InvalidContract] = []
    for document in documents(text, report):
        try:
            fields = document.fields(("calendars", "cases", "invalid_contracts"))
            for name, value in fields["calendars"].items() if "calendars" in fields else ():
                calendars[name] = _calendar(name, value)
            names = frozenset(calendars)
            for value in fields["cases"].list() if "cases" in fields else ():
                case = _soft_case(value, report, names)
                cases += [case] if case else []
            sketches = fields["invalid_contracts"].list() if "invalid_contracts" in fields else []
            invalid += [found for value in sketches if (found := _soft_invalid(value, file))]
        except Unreadable:
            continue
    return CaseFile(calendars, tuple(cases), tuple(invalid), tuple(report.findings))


def _calendar(name: str, value: Value) -> CalendarSpec:
    fields = value.fields(("horizon", "weekdays_off", "weekend_on"), ("horizon",))
    if "horizon" not in fields:
        raise Unreadable
    off, on = (tuple(v.day() for v in fields[k].list()) if k in fields else () for k in ("weekdays_off", "weekend_on"))
    return CalendarSpec(name, fields["horizon"].day(), off, on)


def _soft_case(value: Value, report: Report, calendars: frozenset[str]) -> Case | None:
    try:
        fields = value.fields(("id", "title", "contract", "facts", "snapshots"), ("id", "contract"))
        if not {"id", "contract"} <= fields.keys():
            return None
        case_id = fields["id"].text()
        contract = read_contract(fields["contract"], report, calendars, number=case_id)
        if contract is None:
            return None
        facts = _facts(fields["facts"], contract) if "facts" in fields else m.Facts()
        snapshots = tuple(_snapshot(v) for v in fields["snapshots"].list()) if "snapshots" in fields else ()
        title = fields["title"].text() if "title" in fields else ""
        return Case(case_id, title, contract, facts, snapshots)
    except Unreadable:
        return None


FACT_KEYS = (
    "events",
    "progress",
    "guarantees",
    "invoices",
    "payments",
    "promises",
    "limitation_interruptions",
    "planned",
    "opening",
)


def _facts(value: Value, contract: m.Contract) -> m.Facts:
    fields = value.fields(FACT_KEYS)
    digits = contract.digits

    def each(key: str) -> list[Value]:
        return fields[key].list() if key in fields and not fields[key].is_null else []

    def named(key: str) -> list[tuple[str, Value]]:
        return list(fields[key].items()) if key in fields and not fields[key].is_null else []

    return m.Facts(
        events={name: _changes(v) for name, v in named("events")},
        progress={name: tuple(_reading(r) for r in v.list()) for name, v in named("progress")},
        guarantees=tuple(guarantee(v, digits) for v in each("guarantees")),
        invoices=tuple(_invoice(v, digits) for v in each("invoices")),
        payments=tuple(_payment(v, digits) for v in each("payments")),
        planned={name: v.day() for name, v in named("planned")},
        promises=tuple(_promise(v, digits) for v in each("promises")),
        interruptions=tuple(_interruption(v) for v in each("limitation_interruptions")),
    )


def _changes(value: Value) -> tuple[m.EventChange, ...]:
    if not value.is_list:
        return (m.EventChange(value.moment()),)
    changes = []
    for entry in value.list():
        fields = entry.fields(("date", "value"), ("date",))
        if "date" not in fields:
            raise Unreadable
        changes.append(m.EventChange(fields["date"].moment(), fields["value"].flag() if "value" in fields else True))
    return tuple(changes)


def _reading(value: Value) -> tuple[date, Fraction]:
    fields = value.fields(("date", "pct"), ("date", "pct"))
    if len(fields) < 2:
        raise Unreadable
    return fields["date"].day(), fields["pct"].percent()


def _invoice(value: Value, digits: int) -> m.InvoiceFact:
    fields = value.fields(("term", "issued", "received", "amount", "number"), ("term", "issued"))
    if not {"term", "issued"} <= fields.keys():
        raise Unreadable
    return m.InvoiceFact(
        term=fields["term"].text(),
        issued=fields["issued"].day(),
        received=fields["received"].day() if "received" in fields and not fields["received"].is_null else None,
        amount=fields["amount"].amount(digits) if "amount" in fields else None,
        number=fields["number"].text() if "number" in fields else None,
    )


def _payment(value: Value, digits: int) -> m.PaymentFact:
    known = ("term", "date", "amount", "method", "maturity", "dishonoured")
    fields = value.fields(known, ("term", "date", "amount"))
    if not {"term", "date", "amount"} <= fields.keys():
        raise Unreadable
    return m.PaymentFact(
        term=fields["term"].text(),
        on=fields["date"].day(),
        amount=fields["amount"].amount(digits),
        method=fields["method"].text() if "method" in fields else "",
        maturity=fields["maturity"].day() if "maturity" in fields else None,
        dishonoured=fields["dishonoured"].day() if "dishonoured" in fields else None,
    )


def _promise(value: Value, digits: int) -> m.PromiseFact:
    needed = ("term", "made", "pay_by", "amount")
    fields = value.fields((*needed, "by"), needed)
    if not set(needed) <= fields.keys():
        raise Unreadable
    by = fields["by"].text() if "by" in fields else ""
    made = Promise(fields["made"].day(), fields["pay_by"].day(), fields["amount"].amount(digits), by)
    return m.PromiseFact(fields["term"].text(), made)


def _interruption(value: Value) -> Interruption:
    """A bare date is a demand that demonstrably arrived."""
    if not value.is_mapping:
        return Interruption(InterruptionKind.DEMAND, value.day())
    fields = value.fields(("kind", "date", "proof"), ("kind", "date"))
    if not {"kind", "date"} <= fields.keys():
        raise Unreadable
    kind = InterruptionKind(fields["kind"].choice(InterruptionKind))
    return Interruption(kind, fields["date"].day(), fields["proof"].text() if "proof" in fields else "")


def _snapshot(value: Value) -> Snapshot:
    fields = value.fields(
        ("as_of", "extra_events", "expected", "exceptions", "warnings", "holds", "totals"), ("as_of",)
    )
    if "as_of" not in fields:
        raise Unreadable

    def words(key: str) -> tuple[str, ...] | None:
        return tuple(v.text() for v in fields[key].list()) if key in fields else None

    expected = dict(fields["expected"].items()) if "expected" in fields and not fields["expected"].is_null else {}
    terms = {name: {k: x.plain() for k, x in v.items()} for name, v in expected.items()}
    extra = fields["extra_events"].items() if "extra_events" in fields else ()
    totals = fields["totals"].plain() if "totals" in fields else None
    return Snapshot(
        as_of=fields["as_of"].day(),
        extra_events={name: _changes(v) for name, v in extra},
        terms=terms,
        exceptions=words("exceptions"),
        warnings=words("warnings"),
        holds=words("holds"),
        totals=totals if isinstance(totals, dict) else None,
    )


# --- sketches that must be refused -------------------------------------------------------------------

_FRAME: dict[str, object] = {
    "customer": "x",
    "supplier": "y",
    "currency": "CNY",
    "timezone": "Asia/Shanghai",
    "calendar": "CN",
    "price_basis": "tax_inclusive",
    "lines": [{"id": "L", "amount": "1000.00", "tax_rate": "0.06"}],
}


def _soft_invalid(value: Value, file: str) -> InvalidContract | None:
    try:
        return _invalid(value, file)
    except Unreadable:
        return None


def _invalid(value: Value, file: str) -> InvalidContract:
    fields = value.fields(("id", "why", "terms", "error", "due_probe"), ("id", "error"))
    if not {"id", "error"} <= fields.keys():
        raise Unreadable
    sketch_id = fields["id"].text()
    terms = [_sketched(term) for term in (fields["terms"].list() if "terms" in fields else ())]
    report = Report(f"{file}#{sketch_id}")
    # JSON is YAML: quoting is its business, so that a sketch cannot write keys of its own.
    for document in documents(json.dumps(_FRAME | {"contract": sketch_id, "terms": terms}), report):
        read_contract(document, report)
    probe = fields["due_probe"].plain() if "due_probe" in fields else None
    return InvalidContract(
        sketch_id, fields["error"].text(), tuple(report.findings), probe if isinstance(probe, dict) else None
    )


def _sketched(term: Value) -> dict[str, object]:
    keys = term.fields(("id", "percent", "remaining", "fixed", "after_term"), ("id",))
    kinds = [k for k in ("percent", "remaining", "fixed") if k in keys]
    if "id" not in keys or len(kinds) != 1:
        raise term.wrong("ONE_OF", expected="percent, remaining, fixed", found=", ".join(kinds) or "none")
    when = {"term_ready": keys["after_term"].text()} if "after_term" in keys else {"event": "signed"}
    return {"id": keys["id"].text(), "amount": {kinds[0]: keys[kinds[0]].plain()}, "when": when}
