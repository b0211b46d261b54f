"""What an Excel sheet hides from whoever reads only its values: formulas, hidden rows, merged cells.

Streamed from the sheet's own XML, so that a large list costs no second copy in memory.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.files.sheets import EXCEL, UNREADABLE, unreadable
from models.domain.findings import Finding


@dataclass(frozen=True, slots=True)
class Merged:
    """A merged range, rows and columns from 1, both ends included."""

    name: str  # B2:C4
    first_row: int
    last_row: int
    first_column: int
    last_column: int


@dataclass(frozen=True, slots=True)
class Marks:
    """What is to be known of one sheet. `formulas`: by (row, column) as written, where a cell says it itself."""

    formulas: Mapping[tuple[int, int], str]
    hidden: frozenset[int]
    merged: tuple[Merged, ...]


NO_MARKS = Marks({}, frozenset(), ())


def sheet_marks(data: bytes, file: str, sheet: str) -> tuple[Marks, list[Finding]]:
    """The marks of one sheet of an Excel file; of other files none. What cannot be read is a finding."""
    if not file.lower().endswith(EXCEL):
        return NO_MARKS, []
    try:
        return _marks(data, sheet), []
    except UNREADABLE as problem:
        return NO_MARKS, [unreadable(file, problem)]


def _marks(data: bytes, sheet: str) -> Marks:
    import openpyxl
    from lxml import etree

    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True)
    page: Any = book[sheet]
    path = str(page._worksheet_path)  # noqa: SLF001 - openpyxl tells nothing of rows while streaming
    book.close()
    formulas: dict[tuple[int, int], str] = {}
    hidden: set[int] = set()
    merged: list[Merged] = []
    with zipfile.ZipFile(io.BytesIO(data)) as parts, parts.open(path) as part:
        for _, element in etree.iterparse(part, resolve_entities=False, no_network=True, load_dtd=False):
            name = element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
            if name == "row":
                _row(element, formulas, hidden)
                element.clear()
            elif name == "mergeCell":
                merged.append(_merged(element.get("ref")))
    return Marks(formulas, frozenset(hidden), tuple(merged))


def _row(row: Any, formulas: dict[tuple[int, int], str], hidden: set[int]) -> None:
    from openpyxl.utils.cell import coordinate_to_tuple

    if row.get("hidden") in ("1", "true"):
        hidden.add(int(row.get("r")))
    for cell in row:
        found = next((e for e in cell if e.tag.rpartition("}")[2] == "f"), None)
        if found is not None and cell.get("r"):
            at = coordinate_to_tuple(cell.get("r"))
            formulas[at] = "=" + (found.text or "…")


def _merged(reference: str) -> Merged:
    from openpyxl.utils.cell import range_boundaries

    left, top, right, bottom = (int(n or 1) for n in range_boundaries(reference))
    return Merged(reference, top, bottom, left, right)
