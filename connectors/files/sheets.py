"""Tables out of Excel and CSV files: every cell as exact text with its place, every problem a finding.

Excel keeps numbers as binary fractions. A number is taken as the 15 digits Excel shows and stores exactly;
one with more digits is refused, never rounded.
"""

from __future__ import annotations

import codecs
import csv
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal

from models.domain.findings import Finding, Place, Severity
from models.records.reading import closest

ROWS_MAX = 100_000
EXCEL = (".xlsx", ".xlsm")


@dataclass(frozen=True, slots=True)
class Cell:
    """One filled cell: its text and where it stands."""

    text: str
    sheet: str
    row: int  # from 1, as the spreadsheet shows it
    column: int  # from 1
    exact: bool = True

    @property
    def reference(self) -> str:
        """The place as people write it: Terms!D5."""
        letters, n = "", self.column
        while n:
            n, rest = divmod(n - 1, 26)
            letters = chr(65 + rest) + letters
        return f"{self.sheet}!{letters}{self.row}" if self.sheet else f"{letters}{self.row}"


@dataclass(frozen=True, slots=True)
class Columns:
    """What a sheet may hold: canonical names with the headings understood for them."""

    sheet: str
    headings: Mapping[str, tuple[str, ...]]  # canonical -> the headings of both languages
    required: tuple[str, ...] = ()

    def named(self, heading: str) -> str | None:
        """The canonical name of a heading, in any language and case, with or without the mark * ."""
        plain = heading.strip().rstrip("*＊").strip().lower()
        return next(
            (name for name, known in self.headings.items() if plain in (name, *(k.lower() for k in known))), None
        )


Row = Mapping[str, Cell]
Grid = Sequence[Sequence[Cell | None]]


def read_grids(data: bytes, file: str) -> tuple[dict[str, Grid], list[Finding]]:
    """The sheets of an Excel file, or the one table of a CSV file under the name ""."""
    try:
        if file.lower().endswith(EXCEL):
            return _excel(data), []
        return {"": _csv(data)}, []
    except _UNREADABLE as problem:
        why = type(problem).__name__ if not str(problem) else str(problem)[:120]
        return {}, [Finding("SHEET_UNREADABLE", Severity.ERROR, Place(file=file), {"why": why})]


#: What broken, locked or foreign files make the libraries raise.
_UNREADABLE = (
    zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError, IndexError, OSError, EOFError, csv.Error, NotImplementedError, SyntaxError,
)  # fmt: skip


def read_rows(grid: Grid, columns: Columns, file: str) -> tuple[list[Row], list[Finding]]:
    """The rows below the headings. A problem with the headings gives findings and no rows."""
    findings: list[Finding] = []
    at = next((i for i, cells in enumerate(grid) if any(cells)), None)
    if at is None:
        return [], [_finding("EMPTY_FILE", file, None)]
    head = _head(grid[at], columns, file, findings)
    if findings:
        return [], findings
    rows: list[Row] = []
    for cells in grid[at + 1 :]:
        row = {name: cell for name, cell in zip(head, cells, strict=False) if name and cell}
        findings += [_finding("CELL_INEXACT", file, c, found=c.text, column=n) for n, c in row.items() if not c.exact]
        if row:
            rows.append(row)
    return rows, findings


def _head(cells: Sequence[Cell | None], columns: Columns, file: str, findings: list[Finding]) -> list[str | None]:
    head: list[str | None] = []
    for cell in cells:
        name = columns.named(cell.text) if cell else None
        if cell and name is None:
            known = [h for hs in columns.headings.values() for h in hs]
            findings.append(
                _finding("COLUMN_UNKNOWN", file, cell, sheet=columns.sheet, column=cell.text, closest=closest(cell.text, known) or ", ".join(columns.headings))
            )  # fmt: skip
        if cell and name in head:
            findings.append(_finding("COLUMN_TWICE", file, cell, sheet=columns.sheet, column=cell.text))
        head.append(name)
    missing = [" / ".join((name, *columns.headings[name])) for name in columns.required if name not in head]
    findings += [_finding("COLUMN_MISSING", file, None, sheet=columns.sheet, column=name) for name in missing]
    return head


def _finding(code: str, file: str, cell: Cell | None, **params: object) -> Finding:
    place = Place(file=file, line=cell.row if cell else None, path=cell.reference if cell else None)
    return Finding(code, Severity.ERROR, place, params)


# --- the two kinds of file -----------------------------------------------------------------------------


def _csv(data: bytes) -> Grid:
    try:
        # A BOM of UTF-16 is what Excel's "Unicode text" begins with.
        text = data.decode("utf-16" if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("gb18030")  # what a Chinese Excel writes
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    return [[Cell(c.strip(), "", i, j) if c.strip() else None for j, c in enumerate(r, 1)] for i, r in _bounded(rows)]


def _bounded(rows: Iterable[Sequence[str]]) -> Iterable[tuple[int, Sequence[str]]]:
    for number, row in enumerate(rows, 1):
        if number > ROWS_MAX:
            raise ValueError(f"more than {ROWS_MAX} rows")
        yield number, row


def _excel(data: bytes) -> dict[str, Grid]:
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    try:
        return {
            sheet.title: _grid(sheet.title, sheet.iter_rows(max_row=min(sheet.max_row or ROWS_MAX, ROWS_MAX)))
            for sheet in book.worksheets
        }
    finally:
        book.close()


def _grid(title: str, rows: Iterable[Sequence[object]]) -> Grid:
    grid: list[list[Cell | None]] = []
    for i, row in enumerate(rows, 1):
        grid.append([_cell(c, title, i, j) for j, c in enumerate(row, 1)])
    while grid and not any(grid[-1]):
        grid.pop()
    return grid


def _cell(cell: object, sheet: str, row: int, column: int) -> Cell | None:
    value: object = getattr(cell, "value", None)
    if value is None or not str(value).strip():
        return None
    text, exact = cell_text(value, str(getattr(cell, "number_format", "") or ""))
    return Cell(text, sheet, row, column, exact)


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
