"""Conditions and due rules as people write them: the long form, and the short forms that expand to it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from fractions import Fraction

from models.domain import conditions as c
from models.domain.contracts import DueAdd, DueRule, DueStart, Roll
from models.domain.money import amount_text
from models.records.reading import Unreadable, Value, closest

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}$")


def condition(value: Value, digits: int) -> c.Condition:
    """One condition. Raises Unreadable once its findings are written."""
    if not value.is_mapping:
        text = value.text()
        return c.OnDate(value.day()) if _DATE.match(text) else c.Event(text)
    entries = dict(value.items())
    kinds = [k for k in entries if k in _KINDS]
    if len(kinds) != 1:
        known = ", ".join(_KINDS)
        wrong = next((k for k in entries if k not in _KINDS), "")
        raise value.wrong(
            "UNKNOWN_CONDITION", found=", ".join(entries) or "nothing", closest=closest(wrong, _KINDS) or known
        )
    extra = [k for k in entries if k not in (kinds[0], "tag")]
    for name in extra:
        entries[name].report.add(
            "UNKNOWN_KEY", entries[name].line, entries[name].path, key=name, closest=closest(name, ("tag",)) or "tag"
        )
    tag = entries["tag"].text() if "tag" in entries else None
    return _KINDS[kinds[0]](entries[kinds[0]], digits, tag)


def _event(value: Value, _digits: int, tag: str | None) -> c.Condition:
    return c.Event(value.text(), tag)


def _parts(value: Value, digits: int) -> tuple[c.Condition, ...]:
    found, broken = [], False
    for part in value.list():
        try:
            found.append(condition(part, digits))
        except Unreadable:
            broken = True
    if broken:
        raise Unreadable
    if not found:
        raise value.wrong("WRONG_TYPE", found="an empty list", expected="at least one condition")
    return tuple(found)


def _all(value: Value, digits: int, _tag: str | None) -> c.Condition:
    return c.All(_parts(value, digits))


def _any(value: Value, digits: int, _tag: str | None) -> c.Condition:
    return c.AnyOf(_parts(value, digits))


def _at_least(value: Value, digits: int, _tag: str | None) -> c.Condition:
    fields = value.fields(("n", "of"), ("n", "of"))
    if len(fields) < 2:
        raise Unreadable
    n, parts = fields["n"].whole(1), _parts(fields["of"], digits)
    if n > len(parts):
        raise fields["n"].wrong("NUMBER_RANGE", found=n, least=1, most=len(parts))
    return c.AtLeast(n, parts)


def _elapsed(value: Value, digits: int, _tag: str | None) -> c.Condition:
    fields = value.fields(("after", "months", "days", "business_days"), ("after",))
    given = [k for k in ("months", "days", "business_days") if k in fields]
    if len(given) != 1:
        raise value.wrong("ONE_OF", expected="months, days, business_days", found=", ".join(given) or "none")
    if "after" not in fields:
        raise Unreadable
    after, n = condition(fields["after"], digits), fields[given[0]].whole()
    return c.Elapsed(after, **{given[0]: n})


def _progress(value: Value, _digits: int, _tag: str | None) -> c.Condition:
    fields = value.fields(("of", "gte", "at_least"), ("of",))
    bound = fields.get("gte") or fields.get("at_least")
    if "of" not in fields or bound is None:
        if bound is None:
            value.report.add("MISSING_KEY", value.line, value.path, key="gte")
        raise Unreadable
    return c.Progress(fields["of"].text(), bound.percent())


def _deemed(value: Value, _digits: int, _tag: str | None) -> c.Condition:
    fields = value.fields(("submitted", "accepted", "rejected", "business_days", "days"), ("submitted",))
    given = [k for k in ("days", "business_days") if k in fields]
    if len(given) != 1:
        raise value.wrong("ONE_OF", expected="days, business_days", found=", ".join(given) or "none")
    names = {k: fields[k].text() for k in ("submitted", "accepted", "rejected") if k in fields}
    if "submitted" not in names:
        raise Unreadable
    return c.Deemed(**names, **{given[0]: fields[given[0]].whole()})  # type: ignore[arg-type]


def _guarantee(value: Value, digits: int, _tag: str | None) -> c.Condition:
    if not value.is_mapping:
        return c.GuaranteeInForce(value.text())
    fields = value.fields(("id", "min_amount"), ("id",))
    if "id" not in fields:
        raise Unreadable
    return c.GuaranteeInForce(
        fields["id"].text(), fields["min_amount"].amount(digits) if "min_amount" in fields else None
    )


def _approved(value: Value, _digits: int, _tag: str | None) -> c.Condition:
    if not value.is_mapping:
        return c.Approved(value.text())
    fields = value.fields(("role",), ("role",))
    if not fields:
        raise Unreadable
    return c.Approved(fields["role"].text())


def _date(value: Value, _digits: int, _tag: str | None) -> c.Condition:
    return c.OnDate(value.day())


_KINDS: dict[str, Callable[[Value, int, str | None], c.Condition]] = {
    "event": _event,
    "all": _all,
    "any": _any,
    "at_least": _at_least,
    "elapsed": _elapsed,
    "progress": _progress,
    "deemed": _deemed,
    "guarantee": _guarantee,
    "term_ready": lambda v, _d, _t: c.TermReady(v.text()),
    "term_invoiced": lambda v, _d, _t: c.TermInvoiced(v.text()),
    "term_paid": lambda v, _d, _t: c.TermPaid(v.text()),
    "date": _date,
    "approved": _approved,
}
CONDITION_KEYS = tuple(_KINDS)


def percent_text(share: Fraction) -> str:
    """A fraction of one as an exact percentage: 3/5 -> "60%"."""
    hundred = share * 100
    return f"{Decimal(hundred.numerator) / Decimal(hundred.denominator):f}%"


def long_condition(node: c.Condition, digits: int) -> object:
    """The long form of a condition, as JSON holds it."""
    match node:
        case c.Event(name, tag):
            return {"event": name} | ({"tag": tag} if tag else {})
        case c.All(parts):
            return {"all": [long_condition(p, digits) for p in parts]}
        case c.AnyOf(parts):
            return {"any": [long_condition(p, digits) for p in parts]}
        case c.AtLeast(n, parts):
            return {"at_least": {"n": n, "of": [long_condition(p, digits) for p in parts]}}
        case c.Elapsed(after, months, days, business_days):
            period = {"months": months, "days": days, "business_days": business_days}
            return {
                "elapsed": {"after": long_condition(after, digits)} | {k: v for k, v in period.items() if v is not None}
            }
        case c.OnDate(day):
            return {"date": day.isoformat()}
        case _:
            return _long_leaf(node, digits)


def _long_leaf(node: c.Condition, digits: int) -> object:
    match node:
        case c.Progress(of, gte):
            return {"progress": {"of": of, "gte": percent_text(gte)}}
        case c.Deemed(submitted, accepted, rejected, business_days, days):
            body = {
                "submitted": submitted,
                "accepted": accepted,
                "rejected": rejected,
                "business_days": business_days,
                "days": days,
            }
            return {"deemed": {k: v for k, v in body.items() if v is not None}}
        case c.GuaranteeInForce(id=guarantee, min_amount=minimum):
            return {
                "guarantee": {"id": guarantee}
                | ({"min_amount": amount_text(minimum, digits)} if minimum is not None else {})
            }
        case c.TermReady(term):
            return {"term_ready": term}
        case c.TermInvoiced(term):
            return {"term_invoiced": term}
        case c.TermPaid(term):
            return {"term_paid": term}
        case c.Approved(role):
            return {"approved": {"role": role}}
    raise AssertionError(node)


# --- due rules ---------------------------------------------------------------------------------------

_SPOKEN = re.compile(
    r"(?P<n>\d+)\s*(?P<business>working|business)?\s*(?P<unit>days?|months?)\s+after\s+"
    r"(?P<start>ready|invoice_date|invoice_received)(?:\s*,?\s*(?P<roll>none|following|preceding))?$"
)
_CHINESE = re.compile(r"(?P<start>收到发票|开票|就绪|验收)后\s*(?P<n>\d+)\s*(?P<unit>个工作日|日|天|个月)(?:内)?$")
_CHINESE_START = {"收到发票": "invoice_received", "开票": "invoice_date", "就绪": "ready", "验收": "ready"}


def due_rule(value: Value, calendar: str) -> DueRule:
    """A due rule, long or short. The default roll is the law's: following in China, none elsewhere."""
    default = Roll.FOLLOWING if calendar == "CN" else Roll.NONE
    if not value.is_mapping:
        return _spoken(value, default)
    fields = value.fields(("start", "add", "roll"), ("start", "add"))
    if len(fields.keys() & {"start", "add"}) < 2:
        raise Unreadable
    start = DueStart(fields["start"].choice(DueStart))
    roll = Roll(fields["roll"].choice(Roll)) if "roll" in fields else default
    add, n = _added(fields["add"])
    return DueRule(start, add, n, roll)


def _spoken(value: Value, default: Roll) -> DueRule:
    text = value.text()
    match = _SPOKEN.match(text)
    if match:
        months = match["unit"].startswith("month")
        add = DueAdd.BUSINESS_DAYS if match["business"] else DueAdd.MONTHS if months else DueAdd.DAYS
        roll = Roll(match["roll"]) if match["roll"] else Roll.NONE if add is DueAdd.BUSINESS_DAYS else default
        return DueRule(DueStart(match["start"]), add, value.bounded(match["n"]), roll)
    chinese = _CHINESE.match(text)
    if chinese is None:
        raise value.wrong("DUE_UNREADABLE", found=text)
    add = {"个工作日": DueAdd.BUSINESS_DAYS, "个月": DueAdd.MONTHS}.get(chinese["unit"], DueAdd.DAYS)
    roll = Roll.NONE if add is DueAdd.BUSINESS_DAYS else default
    return DueRule(DueStart(_CHINESE_START[chinese["start"]]), add, value.bounded(chinese["n"]), roll)


_PLAIN_ADDS = ("days", "business_days", "months", "end_of_month_then_days", "day_of_next_month")


def _added(value: Value) -> tuple[DueAdd, int]:
    fields = value.fields((*_PLAIN_ADDS, "then", "end_of_next_month"))
    if "end_of_next_month" in fields:
        fields["end_of_next_month"].true()
        if len(fields) > 1:
            raise value.wrong(
                "ONE_OF", expected=", ".join((*_PLAIN_ADDS, "end_of_next_month")), found=", ".join(fields)
            )
        return DueAdd.END_OF_NEXT_MONTH, 0
    given = [k for k in _PLAIN_ADDS if k in fields]
    if len(given) != 1:
        raise value.wrong(
            "ONE_OF", expected=", ".join((*_PLAIN_ADDS, "end_of_next_month")), found=", ".join(given) or "none"
        )
    n = fields[given[0]].whole()
    if "then" in fields:
        if given[0] != "days":
            raise fields["then"].wrong("ONE_OF", expected="days + then: end_of_month", found=f"{given[0]} + then")
        fields["then"].choice(("end_of_month",))
        return DueAdd.DAYS_THEN_END_OF_MONTH, n
    return DueAdd(given[0]), n


def long_due(rule: DueRule) -> dict[str, object]:
    """The long form of a due rule."""
    add: dict[str, object] = {rule.add.value: rule.n}
    if rule.add is DueAdd.DAYS_THEN_END_OF_MONTH:
        add = {"days": rule.n, "then": "end_of_month"}
    elif rule.add is DueAdd.END_OF_NEXT_MONTH:
        add = {"end_of_next_month": True}
    return {"start": rule.start.value, "add": add, "roll": rule.roll.value}


def literal_date(value: Value) -> date | None:
    """The date a scalar holds, if it is one."""
    if value.is_mapping or value.is_list or value.is_null:
        return None
    return value.day() if _DATE.match(value.text()) else None
