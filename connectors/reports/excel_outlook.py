"""The sheets about money to come: forecast by month and week, what moved, what has no date, ageing, days late."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.reports.excel_book import GREEN, PALE, RED, Book, Sheet
from connectors.reports.excel_sheets import FIRST_ROW, ROW, WRAPPED, add_charts, closed, opened
from connectors.reports.text import word
from models.domain.outlook import AgeingLine, BehaviourLine, ExpectedLine, MoveLine, UndatedLine
from models.domain.receivables.ageing import NOT_DUE
from models.domain.receivables.forecast import MIN_HISTORY, QUIET, UNDATED
from models.domain.words import say

_WEEKS = ("currency", "week", "expected", "overdue", "terms")
_MONTHS = ("currency", "month", "expected", "overdue", "terms")
_EXPECTED_WIDTHS = ((9, 12), (11, 14), (20, 30), (20, 30), (9, 12))
_MOVED = ("contract", "term", "customer", "currency", "move", "start", "end", "why")
_MOVED_WIDTHS = ((11, 20), (6, 10), (14, 30), (7, 9), (16, 28), (10, 14), (10, 14), (34, 70))
_UNDATED = ("contract", "term", "name", "customer", "currency", "open", "reason")
_UNDATED_WIDTHS = ((11, 20), (6, 10), (10, 26), (14, 30), (7, 9), (16, 28), (34, 60))
_AGEING = ("customer", "currency", "bucket", "open", "terms")
_AGEING_WIDTHS = ((16, 40), (9, 12), (14, 18), (20, 30), (9, 12))
_BEHAVIOUR = ("customer", "median", "early", "late", "paid_terms")
_BEHAVIOUR_WIDTHS = ((16, 40), (14, 22), (14, 18), (14, 18), (12, 14))


def write_forecast(book: Book) -> None:
    """Expected cash by month with a chart for each currency; no sheet where nothing is expected."""
    _expected(book, "forecast", _MONTHS, book.report.outlook.months, with_charts=True)


def write_weeks(book: Book) -> None:
    """The same by week."""
    _expected(book, "weeks", _WEEKS, book.report.outlook.weeks, with_charts=False)


def _expected(book: Book, name: str, keys: Sequence[str], found: Sequence[ExpectedLine], *, with_charts: bool) -> None:
    if not found:
        return
    sheet, lines = opened(book, name, keys, sorted(found, key=lambda x: (x.currency, x.period)), "")
    for row, line in enumerate(lines, start=FIRST_ROW):
        sheet.text(row, 0, line.currency, align="center", bold=True, **ROW)
        sheet.text(row, 1, line.period, align="center", **ROW)
        sheet.money(row, 2, line.gross, line.currency, **ROW)
        if line.overdue:
            sheet.money(row, 3, line.overdue, line.currency, **{**ROW, "font_color": RED})
        else:
            sheet.text(row, 3, "", **ROW)
        sheet.count(row, 4, line.terms, **ROW)
    end = FIRST_ROW + len(lines)
    sheet.loose(end + 1, 0, book.say("forecast_note"), font_color=PALE)
    if book.report.outlook.undated:
        sheet.loose(end + 2, 0, book.say("without_date", n=len(book.report.outlook.undated)), font_color=RED)
    if with_charts:
        add_charts(sheet, lines)
    closed(sheet, keys, _EXPECTED_WIDTHS, rows=len(lines), freeze=0, printed=None)


def write_moved(book: Book) -> None:
    """What moved since the last run, and why; no sheet before there was one."""
    outlook = book.report.outlook
    since = outlook.compared_with
    if since is None:
        return
    sheet, lines = opened(book, "moved", _MOVED, outlook.moves, book.say("nothing_moved", day=since.isoformat()))
    for row, line in enumerate(lines, start=FIRST_ROW):
        _moved(sheet, row, line)
    closed(sheet, _MOVED, _MOVED_WIDTHS, rows=len(lines), freeze=2, printed="why")


def _moved(sheet: Sheet, row: int, line: MoveLine) -> None:
    language = sheet.book.language
    sheet.text(row, 0, line.contract, bold=True, **WRAPPED)
    sheet.text(row, 1, line.term, **WRAPPED)
    sheet.text(row, 2, line.customer, **WRAPPED)
    sheet.text(row, 3, line.currency, align="center", **ROW)
    sheet.money(row, 4, line.gross, line.currency, **ROW)
    sheet.text(row, 5, period_cell(line.start, language), align="center", **ROW)
    sheet.text(row, 6, period_cell(line.end, language), align="center", **ROW)
    quiet = line.why.code in QUIET
    sheet.text(row, 7, line.why.text(language), **({**WRAPPED, "font_color": PALE} if quiet else WRAPPED))


def period_cell(period: str | None, language: str) -> str:
    """A month, no date, or outside of the forecast."""
    if period is None:
        return say("forecast.outside", language)
    return say("forecast.no_date", language) if period == UNDATED else period


def write_undated(book: Book) -> None:
    """Money that no date can be told for; no sheet where there is none."""
    if not book.report.outlook.undated:
        return
    sheet, lines = opened(book, "undated", _UNDATED, book.report.outlook.undated, "")
    for row, line in enumerate(lines, start=FIRST_ROW):
        _undated(sheet, row, line)
    closed(sheet, _UNDATED, _UNDATED_WIDTHS, rows=len(lines), freeze=2, printed="reason")


def _undated(sheet: Sheet, row: int, line: UndatedLine) -> None:
    sheet.text(row, 0, line.contract, bold=True, **WRAPPED)
    for column, value in enumerate((line.term, line.name, line.customer), start=1):
        sheet.text(row, column, value, **WRAPPED)
    sheet.text(row, 4, line.currency, align="center", **ROW)
    sheet.money(row, 5, line.gross, line.currency, **ROW)
    sheet.text(row, 6, word(f"forecast.undated.{line.reason}", sheet.book.language, line.reason), **WRAPPED)


def write_ageing(book: Book) -> None:
    """What is open by customer and days overdue; no sheet where nothing is open."""
    if not book.report.outlook.ageing:
        return
    sheet, lines = opened(book, "ageing", _AGEING, book.report.outlook.ageing, "")
    for row, line in enumerate(lines, start=FIRST_ROW):
        _aged(sheet, row, line)
    closed(sheet, _AGEING, _AGEING_WIDTHS, rows=len(lines), freeze=1, printed="terms")


def _aged(sheet: Sheet, row: int, line: AgeingLine) -> None:
    sheet.text(row, 0, line.customer, bold=True, **WRAPPED)
    sheet.text(row, 1, line.currency, align="center", **ROW)
    late = line.label != NOT_DUE
    shown = line.label if late else say("cli.not_due", sheet.book.language)
    sheet.text(row, 2, shown, align="center", font_color=RED if late else GREEN, **ROW)
    sheet.money(row, 3, line.gross, line.currency, **ROW)
    sheet.count(row, 4, line.terms, **ROW)


def write_behaviour(book: Book) -> None:
    """How late each customer pays; no sheet where nobody has paid a term in full."""
    if not book.report.outlook.behaviour:
        return
    sheet, lines = opened(book, "behaviour", _BEHAVIOUR, book.report.outlook.behaviour, "")
    for row, line in enumerate(lines, start=FIRST_ROW):
        _behaved(sheet, row, line)
    sheet.loose(FIRST_ROW + len(lines) + 1, 0, book.say("days_late_note", least=MIN_HISTORY), font_color=PALE)
    closed(sheet, _BEHAVIOUR, _BEHAVIOUR_WIDTHS, rows=len(lines), freeze=1, printed="paid_terms")


def _behaved(sheet: Sheet, row: int, line: BehaviourLine) -> None:
    sheet.text(row, 0, line.customer, bold=True, **WRAPPED)
    if line.median is None:
        sheet.text(row, 1, sheet.book.say("too_little_history"), font_color=PALE, **WRAPPED)
        sheet.text(row, 2, "", **ROW)
        sheet.text(row, 3, "", **ROW)
    else:
        for column, days in enumerate((line.median, line.early or 0, line.late or 0), start=1):
            sheet.count(row, column, days, **ROW)
    sheet.count(row, 4, line.terms, **ROW)
