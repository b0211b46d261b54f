"""The table in a file: its headings, and its rows one by one, each with what is wrong with its cells."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from connectors.errors import BadPayload, SourceConfig
from connectors.files.csv_rows import csv_rows
from connectors.files.sheets import EXCEL, ROWS_MAX, UNREADABLE
from models.records.reading import closest

BYTES_MAX = 100_000_000
UNPACKED_MAX = 1_000_000_000  # a small archive may unpack to something huge
#: What may be wrong with a cell, beside what `workbook` knows; and with a row that has more cells than headings.
INEXACT, WIDE = "inexact", "wide"
_SOUND: Mapping[int, str] = {}
#: What a spreadsheet shows where a formula has no result; in a CSV file it is a text like any other.
ERRORS = frozenset(
    "#N/A #REF! #VALUE! #DIV/0! #NAME? #NUM! #NULL! #SPILL! #CALC! #GETTING_DATA #FIELD! #BLOCKED! #CONNECT! #BUSY! #UNKNOWN!".split()
)


class Row(NamedTuple):
    """One filled row: a text for each heading, and what is wrong, by column from 0."""

    number: int  # from 1, as the spreadsheet shows it
    texts: list[str]
    faults: Mapping[int, str] = _SOUND


@dataclass(frozen=True, slots=True)
class Table:
    """The headings, where they stand, and the rows below them."""

    title: str  # the sheet, "" in a CSV file
    heads: list[str]
    rows: Iterator[Row]


@contextmanager
def table_of(connection: str, file: Path, sheet: str, header_row: int) -> Iterator[Table]:
    """The table while its file is open. `header_row` 0: the first filled one. Raises SourceError, also while rows are read."""
    if file.stat().st_size > BYTES_MAX:
        raise BadPayload("file_too_large", file=file.name, limit=BYTES_MAX // 1_000_000)
    reading = _excel(connection, file, sheet) if file.name.lower().endswith(EXCEL) else _csv(file)
    with reading as (title, rows):
        bounded = _bounded(rows, file)
        heads = _heads(bounded, header_row, file)
        yield Table(title, heads, _below(bounded, len(heads), surplus=not title))


def _bounded(rows: Iterator[Row], file: Path) -> Iterator[Row]:
    """The filled rows. One beyond the limit is an error: left out, it would count as deleted."""
    for row in rows:
        if any(row.texts) or row.faults:
            if row.number > ROWS_MAX:
                raise BadPayload("table_too_long", file=file.name, rows=ROWS_MAX)
            yield row


def _heads(rows: Iterator[Row], header_row: int, file: Path) -> list[str]:
    for row in rows:
        if row.number >= header_row:
            heads = row.texts if header_row in (0, row.number) else []
            while heads and not heads[-1]:
                heads.pop()
            return heads
    raise BadPayload("table_empty", file=file.name)


def _below(rows: Iterator[Row], width: int, *, surplus: bool) -> Iterator[Row]:
    """The rows, as wide as the headings. `surplus`: does a filled cell beyond them mean that the row has shifted?

    In a sheet it is a note at the margin; in a CSV file a delimiter inside a text that nobody quoted.
    """
    for number, texts, faults in rows:
        if len(texts) == width:
            yield Row(number, texts, faults)
        else:
            wide = surplus and any(texts[width:])
            whole = texts[:width] + [""] * (width - len(texts))
            yield Row(number, whole, {width: WIDE} if wide else faults)


# --- the two kinds of file -----------------------------------------------------------------------------


@contextmanager
def _csv(file: Path) -> Iterator[tuple[str, Iterator[Row]]]:
    with file.open("rb") as stream:
        yield (
            "",
            _told(
                (Row(n, [t.strip() for t in texts]) for n, texts in enumerate(csv_rows(stream), 1)),
                file,
                (ValueError, csv.Error),  # what the system says against reading is told apart, by the caller
            ),
        )


@contextmanager
def _excel(connection: str, file: Path, sheet: str) -> Iterator[tuple[str, Iterator[Row]]]:
    from connectors.files.workbook import opened

    data = file.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(i.file_size for i in archive.infolist())
        if unpacked > UNPACKED_MAX:
            raise BadPayload("file_too_large", file=file.name, limit=UNPACKED_MAX // 1_000_000)
        book = opened(data)
    except UNREADABLE as problem:
        raise _unreadable(file, problem) from None
    try:
        titles = [s.title for s in book.worksheets]
        title = sheet or next(iter(titles), "")
        if title not in titles:
            near = closest(title, titles) or ", ".join(titles)
            raise SourceConfig("sheet_absent", connection=connection, file=file.name, sheet=title, near=near)
        yield title, _told(_sheet(book, title), file, UNREADABLE)
    finally:
        book.close()


def _sheet(book: object, title: str) -> Iterator[Row]:
    from connectors.files.workbook import sheet_rows

    for number, found in sheet_rows(book, title):
        texts = [""] * max(cell.column for cell in found)
        faults = {}
        for cell in found:
            texts[cell.column - 1] = cell.text
            if cell.fault or not cell.exact:
                faults[cell.column - 1] = cell.fault or INEXACT
        yield Row(number, texts, faults or _SOUND)


def _told(rows: Iterator[Row], file: Path, unreadable: tuple[type[Exception], ...]) -> Iterator[Row]:
    """The rows; what the libraries raise over a broken file as a BadPayload."""
    try:
        yield from rows
    except unreadable as problem:
        raise _unreadable(file, problem) from None


def _unreadable(file: Path, problem: Exception) -> BadPayload:
    return BadPayload("table_unreadable", file=file.name, why=str(problem)[:120] or type(problem).__name__)
