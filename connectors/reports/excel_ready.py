"""The sheet finance works with: what may be invoiced, its totals, and four columns to fill in and hand back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from xlsxwriter.utility import xl_range_abs, xl_rowcol_to_cell

from connectors.reports.excel_book import (
    AMBER_PALE,
    BAND,
    GREEN,
    HEAD,
    LINE,
    PALE,
    RED,
    ROWS_MAX,
    Book,
    Sheet,
    money_format,
)
from connectors.reports.phrases import evidence_lines, first_url, status_word, summary
from connectors.reports.text import fits_excel, grouped, is_currency_code, plain_number
from connectors.reports.totals import Total, adds_up_in_doubles, totals
from models.domain.money import minor_digits
from models.domain.ready import ReadyLine, RecordStatus
from models.domain.words import LANGUAGES, say

KEYS = (
    "new", "contract", "term", "name", "customer", "currency", "gross", "net", "tax", "ready_on", "noticed_on",
    "due_on", "status", "evidence", "evidence_url", "project_manager", "record_id",
    "invoice_no", "invoice_date", "invoice_received", "invoiced_amount",
)  # fmt: skip
INPUTS = KEYS[-4:]
AT = {key: column for column, key in enumerate(KEYS)}
MONEY = ("gross", "net", "tax")
#: What is printed: the list up to its evidence; links, ids and empty columns stay on the screen.
LAST_PRINTED = AT["evidence"]
HEADER_ROW = 2
FIRST_ROW = 3
DEFINED_NAME = "huikuan_ready"

_LIMITS = {
    "new": (5, 7), "contract": (11, 20), "term": (6, 10), "name": (10, 20), "customer": (14, 26), "currency": (7, 9),
    "gross": (12, 26), "net": (12, 26), "tax": (10, 26), "ready_on": (11, 12), "noticed_on": (11, 12),
    "due_on": (11, 12), "status": (9, 11), "evidence": (34, 58), "evidence_url": (12, 14), "project_manager": (10, 20),
    "record_id": (38, 38), "invoice_no": (24, 24), "invoice_date": (14, 14), "invoice_received": (16, 16),
    "invoiced_amount": (18, 18),
}  # fmt: skip
_STATUS_COLOURS = {RecordStatus.READY: GREEN, RecordStatus.WITHDRAWN: RED}


def header_keys() -> dict[str, str]:
    """Heading of the ready list in either language -> key of its column, for whoever reads the file back."""
    return {say(f"report.column.{key}", language): key for language in LANGUAGES for key in KEYS}


def write_ready(book: Book) -> None:
    """The first sheet of the book."""
    sheet = book.sheet("ready")
    report = book.report
    lines = report.ready[:ROWS_MAX]
    told = " · ".join([_subtitle(book), *summary(report, book.language)])
    sheet.title(book.say("title"), told)
    sheet.header(HEADER_ROW, KEYS, amber=INPUTS)
    for row, line in enumerate(lines, start=FIRST_ROW):
        _line(sheet, row, line, is_new=line.record_id in report.new_records)
    end = _below(sheet, lines)
    sheet.fit({AT[key]: limits for key, limits in _LIMITS.items()})
    _arrange(sheet, rows=len(lines), end=end)


def _subtitle(book: Book) -> str:
    return book.say("subtitle", as_of=book.report.as_of.isoformat(), run=book.report.run_id)


def _line(sheet: Sheet, row: int, line: ReadyLine, *, is_new: bool) -> None:
    book = sheet.book
    look: dict[str, object] = {"bottom": 1, "bottom_color": LINE}
    wrapped = {**look, "text_wrap": True}
    mark = {"bold": True, "font_color": GREEN, "align": "center"}
    sheet.text(row, AT["new"], book.say("new") if is_new else "", **look, **mark)
    sheet.text(row, AT["contract"], line.contract, bold=True, **wrapped)
    for key, value in (("term", line.term), ("name", line.name), ("customer", line.customer)):
        sheet.text(row, AT[key], value, **wrapped)
    sheet.text(row, AT["currency"], line.currency, align="center", **look)
    for key, minor in zip(MONEY, (line.gross, line.net, line.tax), strict=True):
        sheet.money(row, AT[key], minor, line.currency, **{**look, "bold": key == "gross"})
    for key, day in _days(line):
        sheet.day(row, AT[key], day, **look)
    colour = _STATUS_COLOURS.get(line.status, PALE)
    sheet.text(row, AT["status"], status_word(line.status, book.language), font_color=colour, **wrapped)
    sheet.text(row, AT["evidence"], "\n".join(evidence_lines(line, book.language)), **wrapped)
    sheet.link(row, AT["evidence_url"], first_url(line.evidence), book.say("evidence_link"), **look)
    sheet.text(row, AT["project_manager"], line.project_manager, **wrapped)
    sheet.text(row, AT["record_id"], line.record_id, font_color=PALE, font_size=9, **look)
    _inputs(sheet, row, line.currency)


def _days(line: ReadyLine) -> Iterator[tuple[str, date | None]]:
    yield "ready_on", line.ready_on
    yield "noticed_on", line.noticed_on
    yield "due_on", line.due_on


def _inputs(sheet: Sheet, row: int, currency: str) -> None:
    # Invoice numbers have up to 20 digits: only as text does Excel keep them.
    formats = {"invoice_no": "@", "invoiced_amount": money_format(currency)}
    for key in INPUTS:
        style = sheet.book.style(
            locked=False,
            bg_color=AMBER_PALE,
            border=1,
            border_color="#EBD9AE",
            num_format=formats.get(key, "yyyy-mm-dd"),
        )
        sheet.page.write_blank(row, AT[key], None, style)


def _below(sheet: Sheet, lines: Sequence[ReadyLine]) -> int:
    """Totals, or in words that there is nothing; gives the last row used."""
    book = sheet.book
    if not lines:
        words = book.say("nothing_ready", as_of=book.report.as_of.isoformat())
        sheet.loose(FIRST_ROW, 0, words, font_size=12, valign="vcenter")
        sheet.page.set_row(FIRST_ROW, 34)
        return FIRST_ROW
    row = FIRST_ROW + len(lines) + 1
    for column in range(AT["contract"], AT["tax"] + 1):
        sheet.text(row, column, "", bottom=2, bottom_color=HEAD)
    sheet.loose(row, AT["contract"], book.say("totals_by_currency"), bold=True, bottom=2, bottom_color=HEAD)
    found = totals(book.report.ready)
    # A code that is not one could mean something else inside a formula's criterion.
    live = len(lines) == len(book.report.ready) and all(is_currency_code(t.currency) for t in found)
    for offset, total in enumerate(found, start=1):
        _total(sheet, row + offset, total, last=FIRST_ROW + len(lines) - 1, live=live)
    row += len(found)
    left_out = len(book.report.ready) - len(lines)
    if left_out:
        row += 1
        words = book.say("too_many_rows", n=left_out, file="ready-to-invoice.json")
        sheet.loose(row, AT["contract"], words, font_color=RED)
    return row


def _total(sheet: Sheet, row: int, total: Total, *, last: int, live: bool) -> None:
    book = sheet.book
    look: dict[str, object] = {"bold": total.status is RecordStatus.READY, "bg_color": BAND}
    for key in ("contract", "term", "name", "customer"):
        sheet.text(row, AT[key], "", **look)
    sheet.loose(row, AT["contract"], status_word(total.status, book.language), **look)
    sheet.text(row, AT["currency"], total.currency, align="center", **look)
    where = _criteria(row, last)
    count = book.style(num_format=book.say("count_format"), align="right", **look)
    if live:
        sheet.page.write_formula(row, AT["customer"], f"=COUNTIFS({where})", count, total.count)
    else:
        sheet.page.write_number(row, AT["customer"], total.count, count)
    for key, minor in zip(MONEY, (total.gross, total.net, total.tax), strict=True):
        if live and adds_up_in_doubles(total) and fits_excel(total.weight):
            _sum(sheet, row, AT[key], minor, total.currency, where, last, look)
        else:
            sheet.money_as_text(row, AT[key], minor, total.currency, book.say("sum_not_exact"), **look)


def _criteria(row: int, last: int) -> str:
    """Rows of this total's currency and status, both read from the total's own row."""
    pairs = (("currency", AT["currency"]), ("status", AT["contract"]))
    return ",".join(
        f"{xl_range_abs(FIRST_ROW, AT[key], last, AT[key])},{xl_rowcol_to_cell(row, cell, col_abs=True)}"
        for key, cell in pairs
    )


def _sum(
    sheet: Sheet, row: int, column: int, minor: int, currency: str, where: str, last: int, look: dict[str, object]
) -> None:
    summed = xl_range_abs(FIRST_ROW, column, last, column)
    # Rounded, because a spreadsheet adds in binary.
    formula = f"=ROUND(SUMIFS({summed},{where}),{minor_digits(currency)})"
    style = sheet.book.style(num_format=money_format(currency), **look)
    sheet.page.write_formula(row, column, formula, style, plain_number(minor, currency))
    sheet.measure(column, f"{currency} {grouped(minor, currency)}")


def _arrange(sheet: Sheet, *, rows: int, end: int) -> None:
    """Frozen heading, filter, print area, protection, checks of what is filled in."""
    page, last = sheet.page, FIRST_ROW + max(rows, 1) - 1
    page.freeze_panes(FIRST_ROW, AT["name"])
    page.repeat_rows(HEADER_ROW)
    page.print_area(0, 0, end, LAST_PRINTED)
    if not rows:
        return
    page.autofilter(HEADER_ROW, 0, last, len(KEYS) - 1)
    page.ignore_errors({"number_stored_as_text": xl_range_abs(FIRST_ROW, 0, last, len(KEYS) - 1).replace("$", "")})
    name = sheet.book.say("sheet.ready").replace("'", "''")
    sheet.book.file.define_name(DEFINED_NAME, f"='{name}'!{xl_range_abs(HEADER_ROW, 0, last, len(KEYS) - 1)}")
    _checks(sheet.book, page, last)
    words = sheet.book.say("fill_in")
    sheet.loose(1, AT["record_id"], words, font_color=RED)
    page.protect("", {"autofilter": True, "sort": True, "format_columns": True, "format_rows": True})


def _checks(book: Book, page: Any, last: int) -> None:
    date_rule = {"validate": "date", "criteria": ">=", "value": date(2000, 1, 1), "error": "wrong_date"}
    rules = {
        "invoice_no": {"validate": "length", "criteria": "<=", "value": 50, "error": "wrong_text"},
        "invoice_date": date_rule,
        "invoice_received": date_rule,
        # A red invoice is negative.
        "invoiced_amount": {
            "validate": "decimal",
            "criteria": "between",
            "minimum": -(10**13),
            "maximum": 10**13,
            "error": "wrong_amount",
        },
    }
    for key, rule in rules.items():
        told = {
            "input_title": book.say(f"column.{key}"),
            "input_message": book.say(f"input.{key}"),
            "error_title": book.say("input.wrong_title"),
            "error_message": book.say(f"input.{rule['error']}"),
        }
        kept = {k: v for k, v in rule.items() if k != "error"}
        page.data_validation(FIRST_ROW, AT[key], last, AT[key], {**kept, **told})
