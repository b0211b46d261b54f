"""The sheets beside the list: what is blocked, what a person must look at, what was withdrawn, the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from connectors.reports.excel_book import AMBER, GREEN, LINE, PALE, RED, Book, Sheet
from connectors.reports.phrases import Attention, attention, blocker_lines, contacts, evidence_lines, first_url
from connectors.reports.text import fits_excel, is_currency_code, safe_relative, word
from models.domain.outlook import ExpectedLine
from models.domain.ready import BlockedLine, ConnectionLine, ReadyLine

#: Beyond this a sheet of waiting terms helps nobody; the JSON file has them all.
ROWS_MAX = 5_000
FIRST_ROW = 3
EVERYTHING = "ready-to-invoice.json"

_BLOCKED = (
    "contract", "term", "name", "customer", "currency", "gross", "expected_on", "blocked_by", "contact", "link",
    "project_manager",
)  # fmt: skip
_BLOCKED_WIDTHS = (
    (11, 20),
    (6, 10),
    (10, 26),
    (14, 30),
    (7, 9),
    (12, 26),
    (11, 12),
    (40, 70),
    (12, 34),
    (8, 12),
    (10, 20),
)
_ATTENTION = ("kind", "contract", "term", "code", "text", "place", "opened_on", "closed_on")
_ATTENTION_WIDTHS = ((10, 18), (11, 20), (6, 10), (16, 34), (40, 90), (12, 40), (11, 12), (11, 12))
_WITHDRAWN = (
    "contract", "term", "name", "customer", "currency", "gross", "net", "tax", "ready_on", "withdrawn_on", "evidence",
    "record_id",
)  # fmt: skip
_WITHDRAWN_WIDTHS = (
    (11, 20), (6, 10), (10, 24), (14, 30), (7, 9), (12, 26), (12, 26), (10, 26), (11, 12), (11, 12), (30, 60), (38, 38),
)  # fmt: skip
_CONNECTIONS = ("connection", "system", "state", "seen", "changed", "quarantined", "message")
_CONNECTION_WIDTHS = ((16, 30), (12, 50), (12, 22), (10, 12), (10, 12), (12, 14), (30, 80))
_KIND_COLOURS = {"exception": RED, "error": RED, "warning": AMBER, "closed": PALE}
_STATE_COLOURS = {"done": GREEN, "failed": RED, "stopped": AMBER}
ROW: dict[str, object] = {"bottom": 1, "bottom_color": LINE}
WRAPPED: dict[str, object] = {**ROW, "text_wrap": True}


Line = TypeVar("Line")


def write_blocked(book: Book) -> None:
    """Terms that are not ready, and by what."""
    sheet, lines = opened(book, "blocked", _BLOCKED, book.report.blocked, book.say("nothing_blocked"))
    for row, line in enumerate(lines, start=FIRST_ROW):
        _blocked(sheet, row, line)
    closed(sheet, _BLOCKED, _BLOCKED_WIDTHS, rows=len(lines), freeze=2, printed="contact")


def _blocked(sheet: Sheet, row: int, line: BlockedLine) -> None:
    book = sheet.book
    _naming(sheet, row, line)
    sheet.money(row, 5, line.gross, line.currency, **ROW)
    sheet.day(row, 6, line.expected_on, **ROW)
    reasons = blocker_lines(line, book.language, book.report.as_of)
    sheet.text(row, 7, "\n".join(reasons), **WRAPPED)
    sheet.text(row, 8, "\n".join(contacts(line)), **WRAPPED)
    sheet.link(row, 9, first_url(line.blockers), book.say("evidence_link"), **ROW)
    sheet.text(row, 10, line.project_manager, **WRAPPED)


def _naming(sheet: Sheet, row: int, line: BlockedLine | ReadyLine) -> None:
    sheet.text(row, 0, line.contract, bold=True, **WRAPPED)
    for column, value in enumerate((line.term, line.name, line.customer), start=1):
        sheet.text(row, column, value, **WRAPPED)
    sheet.text(row, 4, line.currency, align="center", **ROW)


def write_attention(book: Book) -> None:
    """Exceptions and findings in one list that can be filtered."""
    found = attention(book.report, book.language)
    sheet, lines = opened(book, "attention", _ATTENTION, found, book.say("nothing_attention"))
    for row, line in enumerate(lines, start=FIRST_ROW):
        _attention(sheet, row, line)
    closed(sheet, _ATTENTION, _ATTENTION_WIDTHS, rows=len(lines), freeze=0, printed="closed_on")


def _attention(sheet: Sheet, row: int, line: Attention) -> None:
    kind = sheet.book.say(f"attention.{line.kind}")
    sheet.text(row, 0, kind, bold=True, font_color=_KIND_COLOURS[line.kind], **WRAPPED)
    for column, value in enumerate((line.contract, line.term, line.code, line.text, line.place), start=1):
        sheet.text(row, column, value, **WRAPPED)
    sheet.day(row, 6, line.opened_on, **ROW)
    sheet.day(row, 7, line.closed_on, **ROW)


def write_withdrawn(book: Book) -> None:
    """Records taken back before their invoice; no sheet where there are none."""
    if not book.report.withdrawn:
        return
    sheet, lines = opened(book, "withdrawn", _WITHDRAWN, book.report.withdrawn, "")
    for row, line in enumerate(lines, start=FIRST_ROW):
        _naming(sheet, row, line)
        for column, minor in enumerate((line.gross, line.net, line.tax), start=5):
            sheet.money(row, column, minor, line.currency, **ROW)
        sheet.day(row, 8, line.ready_on, **ROW)
        sheet.day(row, 9, line.withdrawn_on, **ROW)
        sheet.text(row, 10, "\n".join(evidence_lines(line, book.language)), **WRAPPED)
        sheet.text(row, 11, line.record_id, font_color=PALE, font_size=9, **ROW)
    closed(sheet, _WITHDRAWN, _WITHDRAWN_WIDTHS, rows=len(lines), freeze=2, printed="evidence")


def add_charts(sheet: Sheet, lines: Sequence[ExpectedLine]) -> None:
    """A chart for each currency beside the list."""
    currencies = dict.fromkeys(x.currency for x in lines)
    for place, currency in enumerate(currencies):
        rows = [row for row, x in enumerate(lines, start=FIRST_ROW) if x.currency == currency]
        if is_currency_code(currency) and all(fits_excel(lines[r - FIRST_ROW].gross) for r in rows):
            chart = _chart(sheet.book, currency, rows[0], rows[-1])
            sheet.page.insert_chart(FIRST_ROW - 1 + place * 15, 6, chart, {"x_offset": 8, "y_offset": 2})


def _chart(book: Book, currency: str, first: int, last: int) -> object:
    chart = book.file.add_chart({"type": "column"})
    name = book.say("sheet.forecast")
    chart.add_series(
        {
            "name": currency,
            "categories": [name, first, 1, last, 1],
            "values": [name, first, 2, last, 2],
            "fill": {"color": "#0F7C84"},
            "gap": 60,
        }
    )
    chart.set_title(
        {"name": f"{book.say('heading.forecast')} · {currency}", "name_font": {"size": 11}, "overlay": False}
    )
    chart.set_legend({"none": True})
    chart.set_y_axis({"num_format": "#,##0", "major_gridlines": {"visible": True, "line": {"color": LINE}}, "min": 0})
    chart.set_size({"width": 620, "height": 280})
    return chart


def write_run(book: Book) -> None:
    """Which run this is, and how its connections did."""
    report = book.report
    sheet = book.sheet("run", tab=PALE)
    sheet.title(book.say("heading.run"), book.say("generated"))
    facts = [
        (book.say("run"), report.run_id),
        (book.say("as_of"), report.as_of.isoformat()),
        *([(book.say("data_docs"), docs)] if (docs := safe_relative(report.data_docs)) else []),
    ]
    for row, (item, value) in enumerate(facts, start=2):
        sheet.text(row, 0, item, bold=True, font_color=PALE)
        sheet.loose(row, 1, value)
    header = 3 + len(facts)
    sheet.header(header, _CONNECTIONS)
    for row, line in enumerate(report.connections, start=header + 1):
        _connection(sheet, row, line)
    if not report.connections:
        sheet.loose(header + 1, 0, book.say("nothing_connections"))
    sheet.fit(dict(enumerate(_CONNECTION_WIDTHS)))


def _connection(sheet: Sheet, row: int, line: ConnectionLine) -> None:
    state = word(f"report.connection.{line.state}", sheet.book.language, line.state)
    sheet.text(row, 0, line.name, bold=True, **WRAPPED)
    sheet.text(row, 1, line.system, **WRAPPED)
    sheet.text(row, 2, state, bold=True, font_color=_STATE_COLOURS.get(line.state, PALE), **WRAPPED)
    for column, value in enumerate((line.seen, line.changed, line.quarantined), start=3):
        sheet.count(row, column, value, **ROW)
    sheet.text(row, 6, line.message(sheet.book.language), **WRAPPED)


def opened(
    book: Book, name: str, keys: Sequence[str], lines: Sequence[Line], nothing: str
) -> tuple[Sheet, Sequence[Line]]:
    """A sheet with its title and heading, and the lines that fit on it."""
    sheet = book.sheet(name)
    told = book.say("subtitle", as_of=book.report.as_of.isoformat(), run=book.report.run_id)
    shown = lines[:ROWS_MAX]
    if len(lines) > len(shown):
        told = f"{told} · {book.say('too_many_rows', n=len(lines) - len(shown), file=EVERYTHING)}"
    sheet.title(book.say(f"heading.{name}"), told)
    sheet.header(FIRST_ROW - 1, keys)
    if not lines:
        sheet.loose(FIRST_ROW, 0, nothing, font_size=12, valign="vcenter")
        sheet.page.set_row(FIRST_ROW, 34)
    return sheet, shown


def closed(
    sheet: Sheet, keys: Sequence[str], widths: Sequence[tuple[int, int]], *, rows: int, freeze: int, printed: str | None
) -> None:
    """Widths, frozen heading, filter, print area up to the column `printed`."""
    sheet.fit(dict(enumerate(widths)))
    sheet.page.freeze_panes(FIRST_ROW, freeze)
    sheet.page.repeat_rows(FIRST_ROW - 1)
    last = FIRST_ROW + max(rows, 1) - 1
    if printed:
        sheet.page.print_area(0, 0, last, keys.index(printed))
    if rows:
        sheet.page.autofilter(FIRST_ROW - 1, 0, last, len(keys) - 1)
