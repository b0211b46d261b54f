"""Pictures of expected money, ageing and days late, drawn as SVG by Altair and vl-convert; one panel a currency.

Only months, labels of buckets and currency codes that look like such are drawn. Names of customers are put in
afterwards, escaped here: nothing else from outside gets into a picture.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from markupsafe import escape

from connectors.reports.text import display_width, grouped, is_currency_code, one_line
from models.domain.money import minor_digits
from models.domain.outlook import AgeingLine, BehaviourLine, ExpectedLine

#: Months side by side that still can be read.
MONTHS_MAX = 12
_LABELS_MAX = 12
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_WIDTH, _HEIGHT = 860, 130
#: Attributes that describe the drawing to a reader of the screen; the page does that better, with a table.
_ARIA = re.compile(r' (?:role|aria-[a-z]+)="[^"]*"')
_CLASSES = re.compile(r' class="[^"]*?\b(mark-(?:rect|text|rule|symbol)|background)[^"]*"')
_CLIP = re.compile(r"(?<=[\"#])clip\d+(?=[\")])")


def drawable(forecast: Sequence[ExpectedLine]) -> tuple[ExpectedLine, ...]:
    """The lines the picture shows: real months and codes, as many months as can be read."""
    sound = [x for x in forecast if _MONTH.fullmatch(x.period) and is_currency_code(x.currency)]
    first = min((_number(x.period) for x in sound), default=0)
    return tuple(x for x in sound if _number(x.period) < first + MONTHS_MAX)


def forecast_svg(forecast: Sequence[ExpectedLine]) -> str | None:
    """The picture without any words, the same for all languages; None where there is nothing to draw."""
    lines = drawable(forecast)
    if not lines:
        return None
    return _drawn(_bars([_point(x) for x in lines], _months(lines)), "forecast")


def ageing_svg(ageing: Sequence[AgeingLine]) -> str | None:
    """Open money by days overdue; None where nothing is open."""
    sound = [x for x in ageing if is_currency_code(x.currency) and (x.first == 0 or _BUCKET.fullmatch(x.label))]
    if not sound:
        return None
    sums: dict[tuple[str, int, str], int] = {}
    for x in sound:
        key = x.currency, x.first, "0" if x.first == 0 else x.label
        sums[key] = sums.get(key, 0) + x.gross
    order = [label for _, label in sorted({(first, label) for _, first, label in sums})]
    return _drawn(_bars([_bar(label, code, minor) for (code, _, label), minor in sums.items()], order), "ageing")


def behaviour_svg(behaviour: Sequence[BehaviourLine]) -> str | None:
    """Days late by customer: the middle half as a bar, the median as a dot; None where no history suffices."""
    known = [x for x in behaviour if x.median is not None][:CUSTOMERS_MAX]
    if not known:
        return None
    svg = _drawn(_spreads(known), "behaviour")
    names = {_stand_in(n): str(escape(_short(x.customer))) for n, x in enumerate(known)}
    return _STAND_IN.sub(lambda found: names[found[0]], svg)


#: Customers one below the other that still can be read.
CUSTOMERS_MAX = 25
_BUCKET = re.compile(r"[0-9]{1,4}\s?(?:[-–~]\s?[0-9]{0,4}|\+)")
_STAND_IN = re.compile(r"customer-\d{3}")
_NAME_WIDTH = 26


def _stand_in(number: int) -> str:
    """The place of a name: as wide for every machine, whatever fonts it has."""
    return f"customer-{number:03d}"


def _short(name: str) -> str:
    shown = one_line(name)
    while display_width(shown) > _NAME_WIDTH:
        shown = shown[:-2] + "…"
    return shown


def _drawn(specification: dict[str, Any], name: str) -> str:
    # Imported here: it takes half a second, and most commands draw nothing.
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(specification)
    return _renumbered(_CLASSES.sub(r' class="\1"', _ARIA.sub("", svg)), name)


def _renumbered(svg: str, name: str) -> str:
    """The renderer counts its clipping paths through the life of the process: the same picture, other ids."""
    names = {old: f"{name}-clip-{n}" for n, old in enumerate(dict.fromkeys(_CLIP.findall(svg)), start=1)}
    return _CLIP.sub(lambda found: names[found[0]], svg)


def _bars(points: Sequence[dict[str, object]], order: Sequence[str]) -> dict[str, Any]:
    import altair as alt

    labelled = len(order) <= _LABELS_MAX
    base = alt.Chart(alt.InlineData(values=list(points))).encode(
        x=alt.X("place:O", title=None, scale=alt.Scale(domain=list(order)), axis=alt.Axis(labelAngle=0)),
        y=alt.Y("amount:Q", title=None, axis=alt.Axis(format=",d", tickCount=4)),
    )
    bars = base.mark_bar(color="#0F7C84", cornerRadiusEnd=2, width={"band": 0.55})
    texts = base.mark_text(dy=-7, fontSize=10 if labelled else 0).encode(text="label:N")
    panels = (
        (bars + texts)
        .properties(width=_WIDTH, height=_HEIGHT)
        .facet(
            row=alt.Row(
                "currency:N", title=None, header=alt.Header(labelAngle=0, labelAlign="left", labelFontWeight="bold")
            ),
        )
    )
    return _quiet(panels.resolve_scale(y="independent"))


def _spreads(lines: Sequence[BehaviourLine]) -> dict[str, Any]:
    import altair as alt

    values = [
        {"customer": _stand_in(n), "early": x.early, "median": x.median, "late": x.late, "label": str(x.median)}
        for n, x in enumerate(lines)
    ]
    axis = alt.Axis(minExtent=190, maxExtent=190, labelLimit=400)
    base = alt.Chart(alt.InlineData(values=values)).encode(
        y=alt.Y("customer:O", title=None, sort=[str(v["customer"]) for v in values], axis=axis)
    )
    bars = base.mark_bar(color="#0F7C84", height=12, opacity=0.55).encode(
        x=alt.X("early:Q", title=None, axis=alt.Axis(format="d", tickMinStep=1)), x2="late:Q"
    )
    dots = base.mark_circle(size=90, opacity=1).encode(x="median:Q")
    texts = base.mark_text(dy=-11, fontSize=10).encode(x="median:Q", text="label:N")
    due = alt.Chart(alt.InlineData(values=[{"due": 0}])).mark_rule(strokeDash=[4, 3]).encode(x="due:Q")
    layers = (due + bars + dots + texts).properties(width=_WIDTH - 190, height=34 * len(values))
    return _quiet(layers)


def _quiet(panels: Any) -> dict[str, Any]:
    quiet = panels.configure(aria=False, background="transparent", font="sans-serif")
    chart: dict[str, Any] = quiet.configure_view(stroke=None).configure_axis(domain=False, ticks=False).to_dict()
    return chart


def _point(line: ExpectedLine) -> dict[str, object]:
    return _bar(line.period, line.currency, line.gross)


def _bar(place: str, currency: str, minor: int) -> dict[str, object]:
    # Whole units are exact enough for the height of a bar; the label has every digit.
    whole = minor // 10 ** minor_digits(currency)
    return {"place": place, "currency": currency, "amount": whole, "label": grouped(minor, currency)}


def _months(lines: Sequence[ExpectedLine]) -> list[str]:
    """Every month from the first to the last: a month without money is a gap that should be seen."""
    numbers = [_number(x.period) for x in lines]
    return [f"{n // 12:04d}-{n % 12 + 1:02d}" for n in range(min(numbers), max(numbers) + 1)]


def _number(month: str) -> int:
    year, _, number = month.partition("-")
    return int(year) * 12 + int(number) - 1
