"""The list as one HTML page: no script, no request to anywhere, everything from outside escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from connectors.reports import chart
from connectors.reports.excel_outlook import period_cell
from connectors.reports.phrases import (
    PARTS_MAX,
    attention,
    blocker_text,
    contacts,
    evidence_text,
    status_word,
    summary,
)
from connectors.reports.text import clean, fitted, grouped, one_line, safe_relative, safe_url, word
from connectors.reports.totals import totals
from models.domain.ready import NightReport, RecordStatus
from models.domain.receivables.forecast import MIN_HISTORY
from models.domain.words import LANGUAGES, say

#: Rows a page shows before it says where the rest is.
READY_MAX = 1_000
OTHERS_MAX = 300
#: Characters of a name or note on the page; a text without end must not hide the rest.
TEXT_MAX = 240
_FOLDER = resources.files(__package__).joinpath("templates")


@dataclass(frozen=True, slots=True)
class Page:
    """Which page of a set this is: the file of each language, and the files beside it."""

    language: str
    siblings: tuple[tuple[str, str], ...]  # (language, file name) of every page, this one included
    workbook: str
    list_file: str
    everything: str


@dataclass(frozen=True, slots=True)
class Pictures:
    """The charts as SVG, made once for all languages; None where there is nothing to draw."""

    forecast: str | None = None
    ageing: str | None = None
    behaviour: str | None = None

    @classmethod
    def of(cls, report: NightReport) -> Pictures:
        """The charts of a report."""
        outlook = report.outlook
        return cls(
            chart.forecast_svg(outlook.months), chart.ageing_svg(outlook.ageing), chart.behaviour_svg(outlook.behaviour)
        )


def html_bytes(report: NightReport, page: Page, pictures: Pictures) -> bytes:
    """The page in its language."""
    text = _environment().get_template("page.html.j2").render(_view(report, page, pictures))
    return text.encode("utf-8", errors="replace")


@cache
def _environment() -> jinja2.Environment:
    source = jinja2.FunctionLoader(lambda name: _FOLDER.joinpath(name).read_text(encoding="utf-8"))
    environment = jinja2.Environment(
        loader=source, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"money": grouped, "url": safe_url, "brief": _brief}
    environment.finalize = _shown
    return environment


def _brief(text: str | None) -> str:
    return fitted(one_line(text or ""), TEXT_MAX)


def _shown(value: object) -> object:
    """Text from outside loses its control characters wherever it appears."""
    if isinstance(value, Markup):
        return value
    return "" if value is None else clean(value) if isinstance(value, str) else value


def _view(report: NightReport, page: Page, pictures: Pictures) -> dict[str, Any]:
    style = _FOLDER.joinpath("page.css").read_text(encoding="utf-8")
    problems = attention(report, page.language)
    failed = [x for x in report.connections if x.state != "done"]
    return {
        "report": report,
        "page": page,
        "style": Markup(style),  # noqa: S704 - our own file
        "style_hash": _hash(style),
        # Drawn from checked months, labels and codes; the names in them are escaped by the chart.
        **{f"{n}_picture": _markup(getattr(pictures, n)) for n in ("forecast", "ageing", "behaviour")},
        "picture_is_partial": len(chart.drawable(report.outlook.months)) < len(report.outlook.months),
        "customers_max": chart.CUSTOMERS_MAX,
        "least": MIN_HISTORY,
        "outlook": report.outlook,
        "months_max": chart.MONTHS_MAX,
        "summary": list(summary(report, page.language)),
        "totals": totals(report.ready),
        "headline": [t for t in totals(report.ready) if t.status is RecordStatus.READY],
        "attention": problems[:OTHERS_MAX],
        "attention_count": len(problems),
        "failed": failed,
        "ready_max": READY_MAX,
        "others_max": OTHERS_MAX,
        "parts_max": PARTS_MAX,
        "data_docs": safe_relative(report.data_docs),
        "languages": _languages(page),
        **_words(report, page.language),
    }


def _markup(svg: str | None) -> Markup | None:
    return Markup(svg) if svg else None  # noqa: S704 - our own drawing


def _hash(style: str) -> str:
    return base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def _languages(page: Page) -> Sequence[tuple[str, str, str]]:
    """(language, its own name, file) of each page."""
    named = {language: say("report.language_name", language) for language in LANGUAGES}
    return [(language, named.get(language, language), file) for language, file in page.siblings]


def _words(report: NightReport, language: str) -> dict[str, Any]:
    """The page's vocabulary, as functions of its language."""
    return {
        "t": lambda key, **slots: say(f"report.{key}", language, **slots),
        "status": lambda status: status_word(status, language),
        "proof": lambda evidence: _brief(evidence_text(evidence, language)),
        "blocker": lambda part: _brief(blocker_text(part, language, report.as_of, with_contact=False)),
        "period": lambda period: period_cell(period, language),
        "undated_why": lambda reason: word(f"forecast.undated.{reason}", language, reason),
        "not_due": say("cli.not_due", language),
        "contacts": contacts,
        "state": lambda name: word(f"report.connection.{name}", language, name),
    }
