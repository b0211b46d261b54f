"""Rows out of an Excel file, one by one, with what their cells really say.

openpyxl cuts a sheet to the size that the file notes of itself, which other writers leave stale, and reads a formula
nobody has computed as an empty cell. So its reader of a sheet is driven here, cell by cell, without both.

Excel keeps numbers as binary fractions. A number is taken as the 15 digits Excel shows and stores exactly;
one with more digits is refused, never rounded.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, NamedTuple

from openpyxl import load_workbook
from openpyxl.cell.read_only import ReadOnlyCell
from openpyxl.worksheet._reader import FORMULA_TAG, WorkSheetParser

from connectors.files.sheets import ERROR, UNSAVED

#: Excel has no more: a file that numbers a row higher is broken.
EXCEL_ROWS = 1_048_576


class Found(NamedTuple):
    """One filled cell of a row."""

    column: int  # from 1
    text: str
    exact: bool = True
    fault: str = ""


def opened(data: bytes) -> Any:
    """The workbook, to be closed; whatever is wrong with it raises something of `UNREADABLE` (see sheets)."""
    return load_workbook(io.BytesIO(data), read_only=True, data_only=True)


def sheet_rows(book: Any, title: str) -> Iterator[tuple[int, list[Found]]]:
    """The filled rows of a sheet with their numbers from 1, ascending, whatever size the file notes. Raises as `opened` does."""
    sheet = book[title]
    with sheet._get_source() as source:  # noqa: SLF001 - see above
        parser = _Cells(
            source, sheet._shared_strings, data_only=True, epoch=book.epoch, date_formats=book._date_formats,  # noqa: SLF001
            timedelta_formats=book._timedelta_formats,  # noqa: SLF001
        )  # fmt: skip
        last = 0
        for number, cells in parser.parse():
            if not last < number <= EXCEL_ROWS:
                raise ValueError(f"row {number} after row {last}")
            last = number
            found = [f for cell in cells if (f := _found(sheet, cell)) is not None]
            if found:
                yield number, found


class _Cells(WorkSheetParser):
    """The library's reader, told to tell a formula without a saved value from an empty cell."""

    def parse_cell(self, element: Any) -> dict[str, Any]:
        """A cell as the library gives it."""
        cell: dict[str, Any] = super().parse_cell(element)
        # A text that a formula computed may be empty: it bears the type of a text.
        if cell["value"] is None and cell["data_type"] != "str" and element.find(FORMULA_TAG) is not None:
            cell |= {"data_type": UNSAVED, "value": "="}
        return cell


def _found(sheet: Any, cell: dict[str, Any]) -> Found | None:
    value, kind = cell["value"], cell["data_type"]
    if kind == UNSAVED:
        return Found(cell["column"], "", fault=UNSAVED)
    if type(value) is str:  # nearly always
        text = value.strip()
        return Found(cell["column"], text, fault=ERROR if kind == "e" else "") if text else None
    if value is None:
        return None
    shown_as = ReadOnlyCell(sheet, **cell).number_format if isinstance(value, int | float) else "General"
    return Found(cell["column"], *cell_text(value, str(shown_as or "")))


def cell_text(value: object, number_format: str = "General") -> tuple[str, bool]:
    """A cell's value as exact text, and whether that is all of it. 0.3 shown as 30% is "30%"."""
    if isinstance(value, bool):
        return ("true" if value else "false"), True
    if isinstance(value, datetime):
        return (value.date().isoformat() if value.time() == time.min else value.isoformat()), True
    if isinstance(value, date):
        return value.isoformat(), True
    if not isinstance(value, int | float):
        return str(value).strip(), True
    shown = format(Decimal(format(value, ".15g")), "f")  # the digits Excel itself keeps
    exact = type(value)(shown) == value
    if "%" in number_format:
        shown = format((Decimal(shown) * 100).normalize(), "f") + "%"
    return shown, exact
