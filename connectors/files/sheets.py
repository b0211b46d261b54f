"""Tables out of Excel and CSV files: every cell as exact text with its place, every problem a finding."""

from __future__ import annotations

import csv
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from connectors.files.csv_rows import csv_rows
from models.domain.findings import Finding, Place, Severity
from models.records.reading import closest

ROWS_MAX = 100_000
EXCEL = (".xlsx", ".xlsm")
#: What may be wrong with a cell of a workbook: #N/A and its like, and a formula whose value was not saved.
ERROR, UNSAVED = "error", "unsaved"


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
    except UNREADABLE as problem:
        return {}, [unreadable(file, problem)]


def unreadable(file: str, problem: BaseException) -> Finding:
    """The file cannot be read; with what a library said of it, in short."""
    why = str(problem)[:120] or type(problem).__name__
    return Finding("SHEET_UNREADABLE", Severity.ERROR, Place(file=file), {"why": why})


#: What broken, locked or foreign files make the libraries raise: openpyxl checks little of what it reads, and the
#: archive below it has errors of its own (of a stream that does not inflate, of a password).
UNREADABLE = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, OSError, RuntimeError, SyntaxError, TypeError,
    ValueError, csv.Error, lzma.LZMAError, struct.error, zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error,
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
    rows = csv_rows(io.BytesIO(data))
    return [[Cell(c.strip(), "", i, j) if c.strip() else None for j, c in enumerate(r, 1)] for i, r in _bounded(rows)]


def _bounded(rows: Iterable[Sequence[str]]) -> Iterable[tuple[int, Sequence[str]]]:
    for number, row in enumerate(rows, 1):
        if number > ROWS_MAX:
            raise ValueError(f"more than {ROWS_MAX} rows")
        yield number, row


def _excel(data: bytes) -> dict[str, Grid]:
    from connectors.files.workbook import opened

    with closing(opened(data)) as book:
        return {sheet.title: _grid(book, sheet.title) for sheet in book.worksheets}


def _grid(book: Any, title: str) -> Grid:
    from connectors.files.workbook import sheet_rows

    grid: list[list[Cell | None]] = []
    for number, found in sheet_rows(book, title):
        if number > ROWS_MAX:
            raise ValueError(f"more than {ROWS_MAX} rows")
        grid += [[] for _ in range(number - 1 - len(grid))]  # rows that are empty
        row: list[Cell | None] = [None] * max(cell.column for cell in found)
        for cell in found:
            if cell.fault != UNSAVED:
                row[cell.column - 1] = Cell(cell.text, title, number, cell.column, cell.exact)
        grid.append(row)
    while grid and not any(grid[-1]):
        grid.pop()
    return grid
