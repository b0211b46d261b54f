"""The forecast as a picture: bars by month, one panel for each currency, drawn as SVG by Altair and vl-convert.

Only months and currency codes that look like such are drawn: nothing else from outside gets into the picture.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from connectors.reports.text import grouped, is_currency_code
from models.domain.money import minor_digits
from models.domain.ready import ForecastLine

#: Months side by side that still can be read.
MONTHS_MAX = 18
_LABELS_MAX = 12
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")
_WIDTH, _HEIGHT = 860, 130
#: Attributes that describe the drawing to a reader of the screen; the page does that better, with a table.
_ARIA = re.compile(r' (?:role|aria-[a-z]+)="[^"]*"')
_CLASSES = re.compile(r' class="[^"]*?\b(mark-(?:rect|text|rule)|background)[^"]*"')
_CLIP = re.compile(r"(?<=[\"#])clip\d+(?=[\")])")


def drawable(forecast: Sequence[ForecastLine]) -> tuple[ForecastLine, ...]:
    """The lines the picture shows: real months and codes, as many months as can be read."""
    sound = [x for x in forecast if _MONTH.fullmatch(x.month) and is_currency_code(x.currency)]
    first = min((_number(x.month) for x in sound), default=0)
    return tuple(x for x in sound if _number(x.month) < first + MONTHS_MAX)


def forecast_svg(forecast: Sequence[ForecastLine]) -> str | None:
    """The picture without any words, the same for all languages; None where there is nothing to draw."""
    lines = drawable(forecast)
    if not lines:
        return None
    # Imported here: it takes half a second, and most commands draw nothing.
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(_specification(lines))
    return _renumbered(_CLASSES.sub(r' class="\1"', _ARIA.sub("", svg)))


def _renumbered(svg: str) -> str:
    """The renderer counts its clipping paths through the life of the process: the same picture, other ids."""
    names = {old: f"chart-clip-{n}" for n, old in enumerate(dict.fromkeys(_CLIP.findall(svg)), start=1)}
    return _CLIP.sub(lambda found: names[found[0]], svg)


def _specification(lines: Sequence[ForecastLine]) -> dict[str, Any]:
    import altair as alt

    months = _months(lines)
    labelled = len(months) <= _LABELS_MAX
    base = alt.Chart(alt.InlineData(values=[_point(x) for x in lines])).encode(
        x=alt.X("month:O", title=None, scale=alt.Scale(domain=months), axis=alt.Axis(labelAngle=0)),
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
    quiet = panels.resolve_scale(y="independent").configure(aria=False, background="transparent", font="sans-serif")
    chart: dict[str, Any] = quiet.configure_view(stroke=None).configure_axis(domain=False, ticks=False).to_dict()
    return chart


def _point(line: ForecastLine) -> dict[str, object]:
    # Whole units are exact enough for the height of a bar; the label has every digit.
    whole = line.gross // 10 ** minor_digits(line.currency)
    return {
        "month": line.month,
        "currency": line.currency,
        "amount": whole,
        "label": grouped(line.gross, line.currency),
    }


def _months(lines: Sequence[ForecastLine]) -> list[str]:
    """Every month from the first to the last: a month without money is a gap that should be seen."""
    numbers = [_number(x.month) for x in lines]
    return [f"{n // 12:04d}-{n % 12 + 1:02d}" for n in range(min(numbers), max(numbers) + 1)]


def _number(month: str) -> int:
    year, _, number = month.partition("-")
    return int(year) * 12 + int(number) - 1
