"""The contract file: YAML in, `Contract`s and findings out; the long form back.

A contract with an error is refused, the others of the file still load. Nothing is guessed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeVar
from zoneinfo import ZoneInfo

from models.domain import contracts as m
from models.domain.contract_checks import CALENDARS, contract_errors
from models.domain.findings import Finding
from models.domain.money import MINOR_DIGITS, amount_text, minor_digits
from models.domain.receivables.dunning import Tone
from models.records.conditions import condition, due_rule, literal_date, long_condition, long_due, percent_text
from models.records.reading import Report, Unreadable, Value, documents
from models.records.receivables import receivable_rules

T = TypeVar("T")

CONTRACT_KEYS = (
    "contract", "title", "customer", "supplier", "customer_size", "supplier_size", "currency", "minor_units",
    "timezone", "calendar", "price_basis", "tax_rounding", "lines", "terms", "events", "contacts", "guarantees",
    "progress", "retention", "not_to_exceed", "retainer", "amendments", "opening", "approval", "notify_customer",
    "late", "statutory", "bill_policy", "ladder", "ageing", "customer_class", "reminders", "invoice_gate",
)  # fmt: skip
#: What follows the money: kept as written, and read into `Contract.rules`.
RECEIVABLES_KEYS = (
    "late", "statutory", "bill_policy", "ladder", "ageing", "customer_class", "reminders", "invoice_gate",
)  # fmt: skip
SIZES = ("micro", "small", "medium", "sme", "large", "public")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a file gave: the contracts that can be used, and everything that was wrong."""

    contracts: tuple[m.Contract, ...]
    findings: tuple[Finding, ...]


def load_contract_text(text: str, file: str, calendars: frozenset[str] = frozenset()) -> Loaded:
    """Read the contracts of a YAML text: one, a list of them, or several documents."""
    report = Report(file)
    found = []
    for document in documents(text, report):
        for value in document.list() if document.is_list else [document]:
            contract = read_contract(value, report, calendars)
            if contract is not None:
                found.append(contract)
    return Loaded(tuple(found), tuple(report.findings))


def load_contract_bytes(data: bytes, file: str) -> Loaded:
    """Like `load_contract_text`, from the bytes of a file (UTF-8, with or without a BOM)."""
    try:
        return load_contract_text(data.decode("utf-8-sig"), file)
    except UnicodeDecodeError as problem:
        report = Report(file)
        report.add("ENCODING_BROKEN", data[: problem.start].count(b"\n") + 1, "", byte=problem.start)
        return Loaded((), tuple(report.findings))


def read_contract(
    value: Value, report: Report, calendars: frozenset[str] = frozenset(), number: str | None = None
) -> m.Contract | None:
    """One contract mapping; None where it is refused. `number` stands in where the mapping has none."""
    report.contract, before = number, report.errors
    try:
        reader = _Reader(value, number, calendars)
        contract = reader.contract()
    except Unreadable:
        contract = None
    if contract is not None and report.errors == before:
        for finding in contract_errors(contract):
            at = reader.line_of(finding)
            report.findings.append(replace(finding, place=replace(finding.place, file=report.file, line=at)))
    report.contract = None
    if contract is None or report.errors > before:
        return None
    body = json.dumps(long_form(contract), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(body.encode()).hexdigest()
    return replace(contract, file=report.file, line=value.line, content_hash=digest)


class _Reader:
    """Reads one contract; every method writes its findings down and goes on where it can."""

    def __init__(self, value: Value, number: str | None, calendars: frozenset[str]) -> None:
        self.value, self.report, self.calendars = value, value.report, calendars
        required = ("currency", "timezone", "calendar", "price_basis", "lines", "terms", "customer", "supplier")
        self.fields = value.fields(CONTRACT_KEYS, required if number else ("contract", *required))
        given = self.fields.get("contract")
        self.number = (self.soft(given.text, "") if given else "") or number or ""
        self.report.contract = self.number or None
        self.lines_by_term: dict[str, int] = {}

    def line_of(self, finding: Finding) -> int:
        """The line a check's finding belongs to: its term's, else the contract's."""
        return self.lines_by_term.get(finding.place.term or "", self.value.line)

    def soft(self, read: Callable[[], T], default: T) -> T:
        """A value; `default` only lets the reading go on - the finding refuses the contract."""
        try:
            return read()
        except Unreadable:
            return default

    def each(self, key: str, read: Callable[[Value], T]) -> tuple[T, ...]:
        """All entries of a list that can be read."""
        if key not in self.fields or self.fields[key].is_null:
            return ()
        out = []
        entries: list[Value] = self.soft(self.fields[key].list, [])
        for entry in entries:
            try:
                out.append(read(entry))
            except Unreadable:
                continue
        return tuple(out)

    def optional(self, key: str, read: Callable[[Value], T]) -> T | None:
        """A part that may be absent."""
        if key not in self.fields or self.fields[key].is_null:
            return None
        try:
            return read(self.fields[key])
        except Unreadable:
            return None

    def contract(self) -> m.Contract:
        """The whole contract, or Unreadable where not even its frame can be read."""
        f = self.fields
        if {"currency", "timezone", "calendar", "price_basis", "lines", "terms"} - f.keys():
            raise Unreadable
        currency = self.soft(lambda: self._currency(f["currency"]), "CNY")
        self.digits = minor_digits(currency)
        if "minor_units" in f:
            self._minor_units(f["minor_units"])
        self.calendar_name = self.soft(lambda: self._calendar(f["calendar"]), "CN")
        return m.Contract(
            number=self.number,
            title=self.optional("title", Value.text) or "",
            customer=self.optional("customer", lambda v: self._party(v, "customer_size")) or m.Party(""),
            supplier=self.optional("supplier", lambda v: self._party(v, "supplier_size")) or m.Party(""),
            currency=currency,
            digits=self.digits,
            timezone=self.soft(lambda: self._timezone(f["timezone"]), "UTC"),
            calendar=self.calendar_name,
            price_basis=m.PriceBasis(self.soft(lambda: f["price_basis"].choice(m.PriceBasis), "tax_inclusive")),
            tax_rounding=m.TaxRounding(self.optional("tax_rounding", lambda v: v.choice(m.TaxRounding)) or "half_up"),
            lines=self.each("lines", self._line),
            terms=self.each("terms", self._term),
            events=self._events(),
            contacts=self.each("contacts", self._contact),
            guarantees=self.each("guarantees", lambda v: guarantee(v, self.digits)),
            progress=self.optional("progress", self._progress),
            retention=self.optional("retention", self._retention),
            not_to_exceed=self.optional("not_to_exceed", self._cap),
            retainer=self.optional("retainer", self._retainer),
            amendments=self.each("amendments", self._amendment),
            opening=self.each("opening", self._opening),
            approval_required=(self.optional("approval", lambda v: v.choice(("required", "none"))) == "required"),
            notify_customer=bool(self.optional("notify_customer", Value.flag)),
            receivables=self._receivables(),
            rules=receivable_rules(self.fields, self.digits),
        )

    def _receivables(self) -> dict[str, object]:
        kept = {k: self.optional(k, Value.plain) for k in RECEIVABLES_KEYS}
        return {k: v for k, v in kept.items() if v not in (None, "", [], {})}

    # --- the frame ---

    def _currency(self, value: Value) -> str:
        code = value.text()
        if not (len(code) == 3 and code.isascii() and code.isupper()) or code not in KNOWN_CURRENCIES:
            raise value.wrong("CURRENCY_UNKNOWN", found=code)
        return code

    def _minor_units(self, value: Value) -> None:
        stated = self.soft(value.whole, self.digits)
        if stated != self.digits:
            value.wrong("MINOR_UNITS", found=stated, digits=self.digits)

    def _timezone(self, value: Value) -> str:
        name = value.text()
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise value.wrong("TIMEZONE_UNKNOWN", found=name) from None
        return name

    def _calendar(self, value: Value) -> str:
        name = value.text()
        if name not in self.calendars and name not in CALENDARS:
            raise value.wrong("CALENDAR_UNKNOWN", found=name)
        return name

    def _party(self, value: Value, size_key: str) -> m.Party:
        size = self.optional(size_key, lambda v: v.choice(SIZES))
        if not value.is_mapping:
            return m.Party(value.text(), None, size)
        fields = value.fields(("name", "tax_id", "size", "size_declared_on"), ("name",))
        if "name" not in fields:
            raise Unreadable
        tax_id = fields["tax_id"].text() if "tax_id" in fields else None
        return m.Party(fields["name"].text(), tax_id, fields["size"].choice(SIZES) if "size" in fields else size)

    def _line(self, value: Value) -> m.Line:
        fields = value.fields(("id", "name", "amount", "tax_rate"), ("id", "amount", "tax_rate"))
        if len(fields.keys() & {"id", "amount", "tax_rate"}) < 3:
            raise Unreadable
        rate = self.soft(fields["tax_rate"].fraction, Fraction(0))
        if not 0 <= rate < 1:
            fields["tax_rate"].wrong("TAX_RATE", found=fields["tax_rate"].text())
        return m.Line(fields["id"].text(), fields["amount"].amount(self.digits), rate)

    def _contact(self, value: Value) -> m.Contact:
        fields = value.fields(("role", "name", "email", "phone", "language", "tone"), ("role", "name"))
        if len(fields.keys() & {"role", "name"}) < 2:
            raise Unreadable
        role = fields["role"].choice(("finance", "project_manager", "customer_payer", "operator"))
        language = fields["language"].choice(("zh-CN", "en")) if "language" in fields else "zh-CN"
        email = fields["email"].text() if "email" in fields else None
        tone = Tone(fields["tone"].choice(Tone)) if "tone" in fields else None
        return m.Contact(role, fields["name"].text(), email, language, tone)

    # --- terms ---

    def _term(self, value: Value) -> m.Term:
        fields = value.fields(("id", "name", "amount", "when", "due", "approval"), ("id", "amount", "when"))
        term_id = self.soft(fields["id"].text, "") if "id" in fields else ""
        self.lines_by_term.setdefault(term_id, value.line)
        amount = self.soft(lambda: self._amount(fields["amount"]), None) if "amount" in fields else None
        when = self.soft(lambda: condition(fields["when"], self.digits), None) if "when" in fields else None
        due = None
        if "due" in fields and not fields["due"].is_null:
            due = self.soft(lambda: due_rule(fields["due"], self.calendar_name), None)
        if not term_id or amount is None or when is None:
            raise Unreadable
        approval = (
            "approval" in fields
            and self.soft(lambda: fields["approval"].choice(("required", "none")), "none") == "required"
        )
        name = self.soft(fields["name"].text, term_id) if "name" in fields else term_id
        return m.Term(term_id, name, amount, when, due, approval)

    def _amount(self, value: Value) -> m.AmountRule:
        if not value.is_mapping:
            text = value.text()
            if text == "remaining":
                return m.Remaining()
            return m.Percent(value.percent()) if text.endswith(("%", "％")) else m.Fixed(value.amount(self.digits))
        known = (
            "percent",
            "share",
            "fixed",
            "remaining",
            "cumulative_percent",
            "certificate",
            "valuation",
            "retention_release",
        )
        fields = value.fields((*known, "weight"))
        kinds = [k for k in known if k in fields]
        if len(kinds) != 1:
            raise value.wrong("ONE_OF", expected=", ".join(known), found=", ".join(kinds) or "none")
        if "weight" in fields and kinds[0] != "remaining":
            raise fields["weight"].wrong("WEIGHT_ALONE", found=kinds[0])
        return self._amount_of(kinds[0], fields[kinds[0]], fields)

    def _amount_of(self, kind: str, value: Value, fields: Mapping[str, Value]) -> m.AmountRule:
        sums: dict[str, Callable[[int], m.AmountRule]] = {
            "fixed": m.Fixed,
            "certificate": m.Certificate,
            "valuation": m.Valuation,
        }
        if kind in sums:
            return sums[kind](value.amount(self.digits))
        if kind == "percent":
            return m.Percent(over_percent(value))
        if kind == "cumulative_percent":
            return m.CumulativePercent(value.percent())
        if kind == "share":
            return _share(value)
        value.true()
        if kind == "retention_release":
            return m.RetentionRelease()
        return m.Remaining(fields["weight"].percent() if "weight" in fields else None)

    # --- rules of the whole contract ---

    def _progress(self, value: Value) -> m.ProgressRule:
        fields = value.fields(("pay_percent", "advance_term", "recover_percent", "invoice_basis"), ("pay_percent",))
        if "pay_percent" not in fields:
            raise Unreadable
        if "invoice_basis" in fields:
            fields["invoice_basis"].choice(("payable",))
        advance = fields["advance_term"].text() if "advance_term" in fields else None
        recover = fields["recover_percent"].percent() if "recover_percent" in fields else Fraction(0)
        return m.ProgressRule(fields["pay_percent"].percent(), advance, recover)

    def _retention(self, value: Value) -> m.RetentionRule:
        fields = value.fields(("percent", "releases"), ("percent", "releases"))
        if len(fields) < 2:
            raise Unreadable
        return m.RetentionRule(fields["percent"].percent(), tuple(_release(v) for v in fields["releases"].list()))

    def _cap(self, value: Value) -> m.Cap:
        fields = value.fields(("amount", "terms"), ("amount", "terms"))
        if len(fields) < 2:
            raise Unreadable
        return m.Cap(fields["amount"].amount(self.digits), tuple(v.text() for v in fields["terms"].list()))

    def _retainer(self, value: Value) -> m.Retainer:
        fields = value.fields(("term", "amount", "apply"), ("term", "amount"))
        if "term" not in fields or "amount" not in fields:
            raise Unreadable
        if "apply" in fields:
            fields["apply"].choice(("oldest_first",))
        return m.Retainer(fields["term"].text(), fields["amount"].amount(self.digits))

    def _amendment(self, value: Value) -> m.Amendment:
        fields = value.fields(("id", "effective", "new_total", "lines", "policy"), ("id", "effective"))
        if not {"id", "effective"} <= fields.keys():
            raise Unreadable
        policy = "freeze_invoiced_spread_remaining_by_weight"
        if "policy" in fields:
            fields["policy"].choice((policy,))
        return m.Amendment(fields["id"].text(), fields["effective"].day(), self._totals(value, fields), policy)

    def _totals(self, value: Value, fields: Mapping[str, Value]) -> dict[str, int]:
        entries: list[Value] = self.soft(self.fields["lines"].list, [])
        ids = [str(n.value) for e in entries if e.is_mapping for k, n in e.node.value if k.value == "id"]
        if "lines" in fields:
            known = fields["lines"].fields(ids)
            return {k: v.amount(self.digits) for k, v in known.items()}
        if "new_total" not in fields or len(ids) != 1:
            raise value.wrong("AMENDMENT_NEEDS_LINES", lines=", ".join(ids))
        return {ids[0]: fields["new_total"].amount(self.digits)}

    def _opening(self, value: Value) -> m.Opening:
        fields = value.fields(("term", "invoiced", "paid", "invoiced_on", "paid_on"), ("term", "invoiced"))
        if not {"term", "invoiced"} <= fields.keys():
            raise Unreadable
        paid = fields["paid"].amount(self.digits) if "paid" in fields else 0
        days = {k: fields[k].day() for k in ("invoiced_on", "paid_on") if k in fields}
        return m.Opening(fields["term"].text(), fields["invoiced"].amount(self.digits), paid, **days)

    # --- bindings ---

    def _events(self) -> dict[str, m.Binding]:
        if "events" not in self.fields or self.fields["events"].is_null:
            return {}
        found: dict[str, m.Binding] = {}
        entries: list[tuple[str, Value]] = self.soft(lambda: list(self.fields["events"].items()), [])
        for name, value in entries:
            try:
                found[name] = _binding(value)
            except Unreadable:
                continue
        return found


def over_percent(value: Value) -> Fraction:
    """A percentage of the price; above 100 it is left to the sums to refuse (NEGATIVE_REMAINING)."""
    text = value.text()
    share = value.fraction() if text.endswith(("%", "％")) else value.fraction() / 100
    if not 0 < share <= 10:
        raise value.wrong("PERCENT_RANGE", found=text)
    return share


def _share(value: Value) -> m.Share:
    parts = [v.whole(1) for v in value.list()]
    if len(parts) != 2 or parts[0] > parts[1]:
        raise value.wrong("WRONG_TYPE", found=value.shown(), expected="two whole numbers like [1, 3]")
    return m.Share(parts[0], parts[1])


def _release(value: Value) -> m.Release:
    fields = value.fields(("term", "share", "remaining"), ("term",))
    if "term" not in fields:
        raise Unreadable
    if len(fields.keys() & {"share", "remaining"}) != 1:
        raise value.wrong(
            "ONE_OF",
            expected="share, remaining",
            found=", ".join(sorted(fields.keys() & {"share", "remaining"})) or "none",
        )
    if "remaining" in fields:
        fields["remaining"].true()
    share = _share(fields["share"]) if "share" in fields else None
    return m.Release(fields["term"].text(), Fraction(share.numerator, share.denominator) if share else None)


def guarantee(value: Value, digits: int) -> m.Guarantee:
    """One guarantee of a contract or a case."""
    known = ("id", "kind", "amount", "issued", "expires", "issuer", "original_location", "on_demand", "reduces_with")
    fields = value.fields(known, ("id", "amount"))
    if not {"id", "amount"} <= fields.keys():
        raise Unreadable
    days = {k: fields[k].day() if k in fields and not fields[k].is_null else None for k in ("issued", "expires")}
    kind = fields["kind"].text() if "kind" in fields else ""
    return m.Guarantee(fields["id"].text(), kind, fields["amount"].amount(digits), **days)


_GRADES = {
    "number": m.EvidenceGrade.NUMBER,
    "state": m.EvidenceGrade.STATE,
    "history": m.EvidenceGrade.HISTORY,
    "review": m.EvidenceGrade.REVIEW,
}


def _binding(value: Value) -> m.Binding:
    day = literal_date(value)
    if day is not None:
        return m.DateBinding(day)
    if not value.is_mapping:
        raise value.wrong("BINDING_UNREADABLE", found=value.shown())
    fields = value.fields(("milestone", "progress", "document", "sign_off", "date", "state", "min_grade"))
    kinds = [k for k in ("milestone", "progress", "document", "sign_off", "date") if k in fields]
    if len(kinds) != 1:
        raise value.wrong("BINDING_UNREADABLE", found=", ".join(fields) or "nothing")
    inner = fields[kinds[0]]
    if kinds[0] == "document":
        return m.DocumentBinding(inner.text())
    if kinds[0] == "sign_off":
        return m.SignOffBinding(inner.text())
    if kinds[0] == "date":
        return m.DateBinding(inner.day())
    return _milestone(inner, fields) if kinds[0] == "milestone" else _measured(inner, fields)


def _grade(*places: Mapping[str, Value]) -> m.EvidenceGrade | None:
    found = next((p["min_grade"] for p in places if "min_grade" in p), None)
    return None if found is None else _GRADES[found.choice(_GRADES)]


def _milestone(value: Value, outer: Mapping[str, Value]) -> m.MilestoneBinding:
    fields = value.fields(("connection", "project", "id", "name", "state", "min_grade"), ("connection", "project"))
    if not {"connection", "project"} <= fields.keys():
        raise Unreadable
    if len(fields.keys() & {"id", "name"}) != 1:
        raise value.wrong(
            "ONE_OF", expected="id, name", found=", ".join(sorted(fields.keys() & {"id", "name"})) or "none"
        )
    state = fields.get("state") or outer.get("state")
    return m.MilestoneBinding(
        connection=fields["connection"].text(),
        project=fields["project"].text(),
        id=fields["id"].text() if "id" in fields else None,
        name=fields["name"].text() if "name" in fields else None,
        state=state.choice(("done", "accepted")) if state else "done",
        min_grade=_grade(fields, outer),
    )


def _measured(value: Value, outer: Mapping[str, Value]) -> m.ProgressBinding:
    fields = value.fields(("connection", "project", "at_least", "id", "name", "min_grade"), ("connection", "project"))
    if not {"connection", "project"} <= fields.keys():
        raise Unreadable
    return m.ProgressBinding(
        connection=fields["connection"].text(),
        project=fields["project"].text(),
        at_least=fields["at_least"].percent() if "at_least" in fields else None,
        id=fields["id"].text() if "id" in fields else None,
        name=fields["name"].text() if "name" in fields else None,
        min_grade=_grade(fields, outer),
    )


KNOWN_CURRENCIES = frozenset(MINOR_DIGITS) | frozenset(
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY "
    "COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS "
    "INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR "
    "MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD "
    "SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD YER ZAR ZMW ZWG".split()
)


# --- the long form back ------------------------------------------------------------------------------


def long_form(contract: m.Contract) -> dict[str, object]:
    """A contract as canonical long-form JSON; reading it gives the same contract again."""

    def money(minor: int) -> str:
        return amount_text(minor, contract.digits)

    body: dict[str, object] = {
        "contract": contract.number,
        "title": contract.title,
        "customer": _long_party(contract.customer),
        "supplier": _long_party(contract.supplier),
        "currency": contract.currency,
        "timezone": contract.timezone,
        "calendar": contract.calendar,
        "price_basis": contract.price_basis.value,
        "tax_rounding": contract.tax_rounding.value,
        "lines": [
            {"id": x.id, "amount": money(x.amount), "tax_rate": percent_text(x.tax_rate)} for x in contract.lines
        ],
        "terms": [_long_term(t, contract) for t in contract.terms],
        "approval": "required" if contract.approval_required else "none",
        "notify_customer": contract.notify_customer,
    }
    body |= _long_lists(contract, money) | _long_rules(contract, money)
    body |= contract.receivables
    return {k: v for k, v in body.items() if v not in ([], {}, "")}


def _long_lists(contract: m.Contract, money: Callable[[int], str]) -> dict[str, object]:
    return {
        "events": {name: _long_binding(b) for name, b in contract.events.items()},
        "contacts": [
            _without_none(
                {
                    "role": c.role,
                    "name": c.name,
                    "email": c.email,
                    "language": c.language,
                    "tone": c.tone and c.tone.value,
                }
            )
            for c in contract.contacts
        ],
        "guarantees": [
            _without_none(
                {
                    "id": g.id,
                    "kind": g.kind or None,
                    "amount": money(g.amount),
                    "issued": _iso(g.issued),
                    "expires": _iso(g.expires),
                }
            )
            for g in contract.guarantees
        ],
        "amendments": [
            {
                "id": a.id,
                "effective": a.effective.isoformat(),
                "lines": {k: money(v) for k, v in a.line_totals.items()},
                "policy": a.policy,
            }
            for a in contract.amendments
        ],
        "opening": [
            _without_none(
                {
                    "term": o.term,
                    "invoiced": money(o.invoiced),
                    "paid": money(o.paid),
                    "invoiced_on": _iso(o.invoiced_on),
                    "paid_on": _iso(o.paid_on),
                }
            )
            for o in contract.opening
        ],
    }


def _long_rules(contract: m.Contract, money: Callable[[int], str]) -> dict[str, object]:
    rules: dict[str, object] = {}
    if contract.progress:
        p = contract.progress
        rules["progress"] = _without_none(
            {
                "pay_percent": percent_text(p.pay),
                "advance_term": p.advance_term,
                "recover_percent": percent_text(p.recover),
            }
        )
    if contract.retention:
        releases = [
            {"term": r.term, "remaining": True}
            if r.share is None
            else {"term": r.term, "share": [r.share.numerator, r.share.denominator]}
            for r in contract.retention.releases
        ]
        rules["retention"] = {"percent": percent_text(contract.retention.percent), "releases": releases}
    if contract.not_to_exceed:
        rules["not_to_exceed"] = {
            "amount": money(contract.not_to_exceed.amount),
            "terms": list(contract.not_to_exceed.terms),
        }
    if contract.retainer:
        rules["retainer"] = {
            "term": contract.retainer.term,
            "amount": money(contract.retainer.amount),
            "apply": "oldest_first",
        }
    return rules


def _without_none(body: dict[str, object]) -> dict[str, object]:
    return {k: v for k, v in body.items() if v is not None}


def _iso(day: object) -> str | None:
    return None if day is None else day.isoformat()  # type: ignore[attr-defined]


def _long_party(party: m.Party) -> dict[str, object]:
    return _without_none({"name": party.name, "tax_id": party.tax_id, "size": party.size})


def _long_term(term: m.Term, contract: m.Contract) -> dict[str, object]:
    body: dict[str, object] = {"id": term.id, "name": term.name, "amount": _long_amount(term.amount, contract.digits)}
    body["when"] = long_condition(term.when, contract.digits)
    if term.due:
        body["due"] = long_due(term.due)
    if term.approval_required:
        body["approval"] = "required"
    return body


def _long_amount(rule: m.AmountRule, digits: int) -> dict[str, object]:
    match rule:
        case m.Percent(share):
            return {"percent": percent_text(share)}
        case m.CumulativePercent(share):
            return {"cumulative_percent": percent_text(share)}
        case m.Share(numerator, denominator):
            return {"share": [numerator, denominator]}
        case m.Fixed(amount) | m.Certificate(amount) | m.Valuation(amount):
            return {type(rule).__name__.lower(): amount_text(amount, digits)}
        case m.Remaining(weight):
            return {"remaining": True} | ({} if weight is None else {"weight": percent_text(weight)})
        case _:
            return {"retention_release": True}


def _long_binding(binding: m.Binding) -> object:
    grade = None if getattr(binding, "min_grade", None) is None else binding.min_grade.name.lower()  # type: ignore[union-attr]
    match binding:
        case m.DateBinding(on):
            return on.isoformat()
        case m.DocumentBinding(document):
            return {"document": document}
        case m.SignOffBinding(role):
            return {"sign_off": role}
        case m.MilestoneBinding(connection=connection, project=project, id=vendor_id, name=name, state=state):
            body: dict[str, object] = {
                "connection": connection,
                "project": project,
                "id": vendor_id,
                "name": name,
                "state": state,
            }
            return {"milestone": _without_none(body | {"min_grade": grade})}
        case m.ProgressBinding(connection=connection, project=project, at_least=at_least, id=vendor_id, name=name):
            bound = None if at_least is None else percent_text(at_least)
            body = {"connection": connection, "project": project, "id": vendor_id, "name": name, "at_least": bound}
            return {"progress": _without_none(body | {"min_grade": grade})}
