"""The workbook, read back by another library."""

from __future__ import annotations

import csv
import io
import subprocess
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import openpyxl
import pytest
from openpyxl.worksheet.worksheet import Worksheet

from connectors.reports.excel import xlsx_bytes
from connectors.reports.excel_ready import AT, FIRST_ROW, HEADER_ROW, INPUTS, KEYS, header_keys
from connectors.reports.excel_sheets import ROWS_MAX
from connectors.reports.phrases import status_word
from connectors.reports.text import grouped, safe_url
from connectors.reports.totals import totals
from models.domain.money import amount_text, minor_digits
from models.domain.ready import NightReport, RecordStatus
from tests.unit.reports import nights

TOP = FIRST_ROW + 1  # openpyxl counts from 1


def book(report: NightReport, language: str) -> openpyxl.Workbook:
    return openpyxl.load_workbook(io.BytesIO(xlsx_bytes(report, language)))


def column(sheet: Worksheet, key: str, count: int) -> list[object]:
    return [sheet.cell(TOP + n, AT[key] + 1).value for n in range(count)]


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_every_amount_is_the_number_it_was(language: str) -> None:
    """What finance adds up is the ledger's minor units, not something near them."""
    report = nights.usual(count=40)
    sheet = book(report, language).worksheets[0]
    for key in ("gross", "net", "tax"):
        read = [Decimal(repr(value)) for value in column(sheet, key, 40)]
        assert read == [Decimal(amount_text(getattr(x, key), minor_digits(x.currency))) for x in report.ready]


def test_formats_have_the_currencys_code_and_digits() -> None:
    """Yen have no cents and dinars have three digits."""
    sheet = book(nights.usual(), "en").worksheets[0]
    formats = {
        sheet.cell(TOP + n, AT["currency"] + 1).value: sheet.cell(TOP + n, AT["gross"] + 1).number_format
        for n in range(12)
    }
    assert {code: text.split(";")[0] for code, text in formats.items()} == {
        "CNY": "[$CNY]\\ #,##0.00",
        "JPY": "[$JPY]\\ #,##0",
        "KWD": "[$KWD]\\ #,##0.000",
        "USD": "[$USD]\\ #,##0.00",
    }


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_the_list_can_be_filtered_scrolled_and_printed(language: str) -> None:
    """Frozen heading, filter over exactly the rows, one page wide, heading on each page, run and page numbers."""
    sheet = book(nights.usual(), language).worksheets[0]
    last = FIRST_ROW + 12
    assert sheet.freeze_panes == "D4"
    assert sheet.auto_filter.ref == f"A{HEADER_ROW + 1}:U{last}"
    setup = sheet.page_setup
    assert (setup.orientation, setup.fitToWidth or 1, setup.fitToHeight) == ("landscape", 1, 0)  # 1 is the default
    assert sheet.sheet_properties.pageSetUpPr.fitToPage
    assert sheet.print_title_rows == "$3:$3"
    assert nights.RUN in (sheet.oddFooter.left.text or "")
    assert "&P" in (sheet.oddFooter.right.text or "")
    assert all(s.freeze_panes for s in book(nights.usual(), language).worksheets[:-1])


def test_both_languages_name_their_sheets_and_columns() -> None:
    chinese, english = book(nights.usual(), "zh-CN"), book(nights.usual(), "en")
    assert chinese.sheetnames == [
        "可开票",
        "未就绪",
        "需处理",
        "已撤回",
        "预测",
        "按周预测",
        "变动",
        "无日期",
        "账龄",
        "逾期天数",
        "本次运行",
    ]
    assert english.sheetnames == [
        "Ready to invoice",
        "Blocked",
        "Attention",
        "Withdrawn",
        "Forecast",
        "Forecast by week",
        "What moved",
        "Without a date",
        "Ageing",
        "Days late",
        "This run",
    ]
    for workbook in (chinese, english):
        headings = [c.value for c in workbook.worksheets[0][HEADER_ROW + 1]]
        assert [header_keys()[str(h)] for h in headings] == list(KEYS)


def test_totals_are_formulas_with_their_results_in_the_file() -> None:
    """A viewer that does not calculate shows the same sums as one that does."""
    report = nights.usual(count=30)
    content = xlsx_bytes(report, "en")
    formulas = openpyxl.load_workbook(io.BytesIO(content)).worksheets[0]
    results = openpyxl.load_workbook(io.BytesIO(content), data_only=True).worksheets[0]
    row = TOP + 30 + 2
    expected = sum(x.gross for x in report.ready if x.currency == "CNY" and x.status is RecordStatus.READY)
    formula = formulas.cell(row, AT["gross"] + 1).value
    assert str(formula) == "=ROUND(SUMIFS($G$4:$G$33,$F$4:$F$33,$F36,$M$4:$M$33,$B36),2)"
    assert results.cell(row, AT["currency"] + 1).value == "CNY"
    assert Decimal(repr(results.cell(row, AT["gross"] + 1).value)) == Decimal(expected).scaleb(-2)


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_another_program_calculates_the_same_totals(language: str, soffice: str, tmp_path: Path) -> None:
    """LibreOffice, given the formulas without their results, comes to what the ledger says."""
    report = nights.usual(count=300)
    book(report, language).save(tmp_path / "list.xlsx")  # openpyxl drops the stored results
    csv_of_the_first_sheet = "csv:Text - txt - csv (StarCalc):44,34,76,1"
    profile = f"-env:UserInstallation=file://{tmp_path}/profile"
    command = [soffice, profile, "--headless", "--convert-to", csv_of_the_first_sheet, "--outdir", str(tmp_path)]
    subprocess.run([*command, str(tmp_path / "list.xlsx")], check=True, timeout=110, capture_output=True)
    rows = list(csv.reader((tmp_path / "list.csv").read_text(encoding="utf-8").splitlines()))
    wanted = totals(report.ready)
    assert len(wanted) == 5
    for total, row in zip(wanted, rows[-len(wanted) :], strict=True):
        shown = [row[AT[key]] for key in ("contract", "currency", "gross", "net", "tax")]
        amounts = [f"{total.currency} {grouped(x, total.currency)}" for x in (total.gross, total.net, total.tax)]
        assert shown == [status_word(total.status, language), total.currency, *amounts]
        assert row[AT["customer"]].startswith(f"{total.count} ")


def test_new_records_are_marked() -> None:
    sheet = book(nights.usual(), "zh-CN").worksheets[0]
    assert [str(v or "") for v in column(sheet, "new", 12)] == ["新"] * 3 + [""] * 9


def test_what_finance_fills_in_is_empty_unlocked_and_checked() -> None:
    """The round trip: the four columns are open, the rest is locked without a password, ids are there."""
    report = nights.usual()
    workbook = book(report, "en")
    sheet = workbook.worksheets[0]
    assert column(sheet, "record_id", 12) == [x.record_id for x in report.ready]
    for key in INPUTS:
        cell = sheet.cell(TOP, AT[key] + 1)
        assert (cell.value, cell.protection.locked) == (None, False)
    assert sheet.cell(TOP, AT["gross"] + 1).protection.locked
    assert sheet.cell(TOP, AT["invoice_no"] + 1).number_format == "@"
    assert sheet.protection.sheet
    assert not sheet.protection.password
    assert not sheet.protection.autoFilter
    assert [v.type for v in sheet.data_validations.dataValidation] == ["textLength", "date", "date", "decimal"]
    assert all(len(v.prompt) <= 255 and len(v.promptTitle) <= 32 for v in sheet.data_validations.dataValidation)
    assert "huikuan_ready" in workbook.defined_names


def test_amounts_beyond_fifteen_digits_stay_exact_as_text() -> None:
    """Excel would turn the last digits into zeros without a word."""
    big = 10**15
    fits = nights.line(1, gross=big - 1, net=big - 1, tax=0)
    over = nights.line(2, gross=big, net=big, tax=0)
    report = replace(nights.empty(), ready=(fits, over))
    sheet = book(report, "en").worksheets[0]
    assert sheet.cell(TOP, AT["gross"] + 1).value == 9_999_999_999_999.99
    cell = sheet.cell(TOP + 1, AT["gross"] + 1)
    assert cell.value == "10,000,000,000,000.00"
    assert "10000000000000.00" in cell.comment.text
    total = sheet.cell(TOP + 4, AT["gross"] + 1)
    assert total.value == "19,999,999,999,999.99"
    assert total.comment is not None


def test_a_hostile_night_makes_no_formula_and_no_bad_link() -> None:
    """Every text typed by a stranger is text, also after somebody edits the cell."""
    report = nights.hostile()
    workbook = book(report, "en")
    for sheet in workbook.worksheets:
        for cell in (c for row in sheet.iter_rows() for c in row):
            if cell.data_type == "f":
                pytest.fail(f"{sheet.title}!{cell.coordinate} became a formula: {cell.value!r}")
            if (
                isinstance(cell.value, str)
                and cell.value.lstrip().startswith(("=", "+", "-", "@"))
                and cell.alignment.horizontal != "right"
            ):
                assert cell.quotePrefix, cell.value
            if cell.hyperlink:
                assert safe_url(cell.hyperlink.target) == cell.hyperlink.target
    text = "".join(str(c.value or "") for s in workbook.worksheets for r in s.iter_rows() for c in r)
    assert not set(text) & {chr(n) for n in range(32) if n not in (9, 10)}
    assert "javascript:" not in text
    assert "\u202e" not in text


def test_an_empty_night_says_so_in_words() -> None:
    chinese, english = book(nights.empty(), "zh-CN"), book(nights.empty(), "en")
    assert chinese.worksheets[0].cell(TOP, 1).value == "截至 2026-07-31，没有可以开票的付款条件。"
    assert english.worksheets[0].cell(TOP, 1).value == "Nothing is ready to invoice as of 2026-07-31."
    assert english.worksheets[0].auto_filter.ref is None
    assert [s.cell(4, 1).value is not None for s in english.worksheets] == [True] * 4


def test_dates_are_dates_and_the_creation_date_is_the_reports() -> None:
    workbook = book(nights.usual(), "en")
    assert workbook.worksheets[0].cell(TOP, AT["ready_on"] + 1).value.date() == date(2026, 7, 31)
    assert workbook.properties.created.date() == nights.AS_OF
    assert workbook.properties.title == "Ready to invoice 2026-07-31"


def test_columns_are_wide_enough_for_chinese() -> None:
    """A Chinese character takes two columns; an amount that does not fit would be a row of hashes."""
    sheet = book(nights.usual(), "zh-CN").worksheets[0]
    assert sheet.column_dimensions["E"].width >= 26
    assert sheet.column_dimensions["G"].width >= len("CNY 3,645,352.74") + 2
    assert sheet.row_dimensions[TOP + 2].height >= 3 * 15


def test_a_sheet_that_leaves_rows_out_says_how_many() -> None:
    report = replace(nights.empty("en"), blocked=tuple(nights.waiting(n % 50) for n in range(ROWS_MAX + 3)))
    sheet = book(report, "en")["Blocked"]
    assert sheet.max_row == FIRST_ROW + ROWS_MAX
    assert "3 more rows did not fit here; they are all in ready-to-invoice.json." in sheet["A2"].value


@pytest.mark.parametrize(
    ("language", "why"), [("en", "Acceptance of 初验 slipped 3 weeks"), ("zh-CN", "“初验”验收推迟 3 周")]
)
def test_what_moved_says_why_with_amounts_as_numbers(language: str, why: str) -> None:
    workbook = book(nights.usual(language), language)
    moved = workbook.worksheets[6]
    assert [moved.cell(4, c).value for c in (1, 5, 6, 7, 8)] == ["HT-2026-011", 515_555.55, "2026-08", "2026-09", why]
    months = workbook.worksheets[4]
    assert sum(Decimal(repr(months.cell(4 + n, 3).value)) for n in range(7)) == Decimal("10164000.0")
    late = workbook.worksheets[9]
    assert [late.cell(4, c).value for c in (2, 3, 4, 5)] == [21, 12, 26, 4]
    assert late.cell(5, 2).value in ("too little history", "历史太少")
