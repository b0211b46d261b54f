"""What a contract file says about the time after the invoice: late rates, statutory reference, ladder, buckets.

Every problem is a finding at its place; what cannot be read is left at its standard, and the finding refuses
the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import TypeVar

from models.domain.money import MoneyError, exact_fraction
from models.domain.receivables import ageing, dunning
from models.domain.receivables.interest import InterestRounding
from models.domain.receivables.rates import RateTable, table_problems
from models.domain.receivables.rules import BillPolicy, LateRule, ReceivableRules, StatutoryRule
from models.records.reading import Unreadable, Value

T = TypeVar("T")

#: One of these says the rate of `late`.
LATE_RATES = ("daily_rate", "annual_pct", "rates", "lpr_pct", "lpr_rates")
#: Of these, the ones that `lpr_factor` multiplies.
LPR_RATES = ("lpr_pct", "lpr_rates")
LATE_KEYS = (*LATE_RATES, "lpr_factor", "day_base", "fixed_sum", "basis", "rounding")
REMINDERS = ("draft", "send")
STATUTORY_KEYS = ("days", "from_event", "roll", "lpr_1y_pct", "daily_rate", "day_base")


def receivable_rules(fields: Mapping[str, Value], digits: int) -> ReceivableRules:
    """The rules of a contract mapping."""

    def part(key: str, read: Callable[[Value], T], standard: T) -> T:
        if key not in fields or fields[key].is_null:
            return standard
        try:
            return read(fields[key])
        except Unreadable:
            return standard

    known = ("late", "statutory", "bill_policy", "ladder", "ageing", "customer_class", "reminders")
    return ReceivableRules(
        late=part("late", lambda v: _late(v, digits), None),
        statutory=part("statutory", _statutory, None),
        ladder=part("ladder", _ladder, dunning.STANDARD),
        ageing=part("ageing", _buckets, ageing.STANDARD),
        bill_policy=part("bill_policy", lambda v: BillPolicy(v.choice(BillPolicy)), BillPolicy.SUSPENDS_UNTIL_MATURITY),
        customer_class=part("customer_class", _class, ""),
        sends=part("reminders", lambda v: v.choice(REMINDERS), "draft") == "send",
        stated=frozenset(k for k in known if k in fields and not fields[k].is_null),
    )


def _late(value: Value, digits: int) -> LateRule:
    fields = value.fields(LATE_KEYS)
    stated = [k for k in LATE_RATES if k in fields]
    if len(stated) != 1:
        raise value.wrong("ONE_OF", expected=", ".join(LATE_RATES), found=", ".join(stated) or "none")
    base = fields["day_base"].whole(1) if "day_base" in fields else 365
    table = _table(stated[0], fields, base)
    fixed = fields["fixed_sum"].amount(digits) if "fixed_sum" in fields and not fields["fixed_sum"].is_null else None
    rounding = fields["rounding"].choice(InterestRounding) if "rounding" in fields else "at_end"
    basis = fields["basis"].text() if "basis" in fields else ""
    return LateRule(table, fixed, basis, InterestRounding(rounding))


def _table(kind: str, fields: Mapping[str, Value], base: int) -> RateTable:
    value, factor = fields[kind], _factor(kind, fields)
    if kind == "daily_rate":
        return RateTable.constant(_not_negative(value, value.fraction()))
    if kind in ("annual_pct", "lpr_pct"):
        return RateTable.yearly([(None, None, _percent(value) * factor)], base)
    return _rates(value, base, factor)


def _factor(kind: str, fields: Mapping[str, Value]) -> Fraction:
    """What an LPR is multiplied by; beside another rate it would mean nothing, and is refused."""
    value = fields.get("lpr_factor")
    if value is None:
        return Fraction(1)
    if kind not in LPR_RATES:
        raise value.wrong("ONE_OF", expected=", ".join(LPR_RATES), found=kind)
    return _not_negative(value, value.fraction())


def _rates(value: Value, base: int, factor: Fraction) -> RateTable:
    rows = []
    for entry in value.list():
        fields = entry.fields(("from", "to", "pct"), ("from", "pct"))
        if not {"from", "pct"} <= fields.keys():
            raise Unreadable
        last = fields["to"].day() if "to" in fields and not fields["to"].is_null else None
        rows.append((fields["from"].day(), last, _percent(fields["pct"]) * factor))
    table = RateTable.yearly(rows, base)
    for problem, day in table_problems(table.periods):
        raise value.wrong("RATE_TABLE", problem=problem, day=day.isoformat())
    if not rows:
        raise value.wrong("WRONG_TYPE", found=value.shown(), expected="a list")
    return table


def _statutory(value: Value) -> StatutoryRule:
    fields = value.fields(STATUTORY_KEYS, ("days", "from_event"))
    if not {"days", "from_event"} <= fields.keys():
        raise Unreadable
    daily = fields.get("daily_rate")
    return StatutoryRule(
        days=fields["days"].whole(),
        from_event=fields["from_event"].text(),
        rolls=fields["roll"].choice(("following", "none")) == "following" if "roll" in fields else True,
        lpr_1y=_percent(fields["lpr_1y_pct"]) if "lpr_1y_pct" in fields else None,
        daily_rate=None if daily is None else _not_negative(daily, daily.fraction()),
        day_base=fields["day_base"].whole(1) if "day_base" in fields else 365,
    )


def _ladder(value: Value) -> tuple[dunning.Step, ...]:
    steps = []
    for entry in value.list():
        fields = entry.fields(("level", "from_day", "tone"), ("level", "from_day"))
        if not {"level", "from_day"} <= fields.keys():
            raise Unreadable
        tone = dunning.Tone(fields["tone"].choice(dunning.Tone)) if "tone" in fields else None
        steps.append(dunning.Step(fields["level"].whole(1), _day_offset(fields["from_day"]), tone))
    for one, other in dunning.ladder_problems(steps):
        raise value.wrong("LADDER_OVERLAPS", one=one, other=other)
    return tuple(sorted(steps, key=lambda s: s.level))


def _class(value: Value) -> str:
    """The name of a customer class, as `[ladders.NAME]` of the configuration has it."""
    return value.text().strip()


def _day_offset(value: Value) -> int:
    """Days after the due date; before it where negative."""
    text = value.text()
    return -value.bounded(text[1:]) if text.startswith("-") else value.bounded(text)


def _buckets(value: Value) -> tuple[ageing.Bucket, ...]:
    labels = [v.text() for v in value.list()]
    try:
        return ageing.buckets(labels)
    except ageing.BucketsBroken:
        raise value.wrong("AGEING_BUCKETS", found=", ".join(labels)) from None


def _percent(value: Value) -> Fraction:
    """A yearly percentage, "4.50" or "4.5%", as a fraction; it may exceed 100."""
    text = value.text().removesuffix("%").removesuffix("％").rstrip()
    try:
        return _not_negative(value, exact_fraction(text) / 100)
    except MoneyError:
        raise value.wrong("NUMBER_UNREADABLE", found=value.shown()) from None


def _not_negative(value: Value, number: Fraction) -> Fraction:
    if number < 0:
        raise value.wrong("RATE_NEGATIVE", found=value.shown())
    return number
