"""Excel and CSV files as a source: a row is a milestone, the configuration says which column is which."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from connectors.errors import BadPayload, SourceConfig
from connectors.files.field_map import FIELD_NAMES, FIELD_OPTIONS, FieldMap, Mapped
from connectors.files.sheets import EXCEL, ROWS_MAX, Cell, Grid, read_grids
from connectors.files.source import Bad, FileSource, Item, fingerprint
from connectors.http.fields import BadRow
from connectors.registry import ConnectorInfo, Option, checked_options
from models.domain.observations import Rejected
from models.records.reading import closest

BYTES_MAX = 100_000_000
UNPACKED_MAX = 1_000_000_000  # a small archive may unpack to something huge


@dataclass(frozen=True, slots=True)
class Line:
    """One row: its values under their headings, and where it stands."""

    record: dict[str, str | None]
    cells: Mapping[str, Cell]
    place: str  # plan.xlsx Sheet1:12


class Spreadsheet(FileSource):
    """Tables in files."""

    def __init__(self, name: str, paths: Sequence[str], sheet: str, header_row: int, fields: FieldMap) -> None:
        super().__init__(name, paths, fingerprint([sheet, header_row, repr(fields)]))
        self.sheet, self.header_row = sheet, header_row
        self.mapped = Mapped(name, fields, "row")

    def read(self, file: Path) -> Iterator[Item]:
        """The milestones of one file; rows that share an id are put aside, all of them."""
        lines = [line for line in self._lines(file) if self.mapped.is_milestone(line.record)]
        ids = Counter(self._id(line) for line in lines)
        for line in lines:
            yield self._item(line, file, ids)
        if not self.mapped.fields.project_field:
            yield self.mapped.fields.project_name or file.stem

    def _id(self, line: Line) -> str:
        return line.record.get(self.mapped.fields.id_field) or ""

    def _item(self, line: Line, file: Path, ids: Mapping[str, int]) -> Item:
        identity = self._id(line)
        try:
            self._check_exact(line)
            if identity and ids[identity] > 1:
                raise BadRow("KEY_NOT_UNIQUE", found=f"{identity} ({line.place})")  # noqa: TRY301 - put aside below, as all others
            return self.mapped.observe(line.record, file.stem)
        except BadRow as problem:
            return self._bad(line, problem, file)

    def _bad(self, line: Line, problem: BadRow, file: Path) -> Bad:
        """With its place: people look for the row."""
        field, found = problem.params.get("field"), problem.params.get("found")
        params = dict(problem.params) | {"row": line.place}
        if field is not None:
            params["field"] = f"{field} ({line.place})"
        elif found is not None and line.place not in str(found):
            params["found"] = f"{found} ({line.place})"
        raw = orjson.dumps({"row": line.place, **line.record}).decode()[:8000]
        project = self.mapped.project(line.record, file.stem)
        return Bad(Rejected(self.name, self._id(line) or None, problem.code, params, raw), project)

    def _check_exact(self, line: Line) -> None:
        """A number of more digits than the sheet keeps is no id, and no percentage."""
        for field in self.mapped.fields.fields():
            cell = line.cells.get(field)
            if cell is not None and not cell.exact:
                raise BadRow("PROOF_FIELD_TYPE", field=field, found=cell.text[:40], expected="text")

    # --- the table ---

    def _lines(self, file: Path) -> Iterator[Line]:
        title, grid = self._grid(file)
        at = self.header_row - 1 if self.header_row else next((i for i, row in enumerate(grid) if any(row)), None)
        if at is None or at >= len(grid):
            raise BadPayload("table_empty", file=file.name)
        heads = [cell.text.strip() if cell else "" for cell in grid[at]]
        self._check_columns(heads, file)
        for offset, row in enumerate(grid[at + 1 :], at + 2):
            cells = {h: c for h, c in zip(heads, row, strict=False) if h and c}
            if cells:
                record = {h: cells[h].text if h in cells else None for h in heads if h}
                yield Line(record, cells, f"{file.name} {title}:{offset}" if title else f"{file.name}:{offset}")

    def _grid(self, file: Path) -> tuple[str, Grid]:
        data = _bytes_of(file)
        grids, findings = read_grids(data, file.name)
        if findings:
            raise BadPayload("table_unreadable", file=file.name, why=str(findings[0].params.get("why", "")))
        title = self.sheet or next(iter(grids), "")
        if title not in grids:
            known = closest(title, list(grids)) or ", ".join(grids)
            raise SourceConfig("sheet_absent", connection=self.name, file=file.name, sheet=title, near=known)
        if len(grids[title]) >= ROWS_MAX:
            raise BadPayload("table_too_long", file=file.name, rows=ROWS_MAX)
        return title, grids[title]

    def _check_columns(self, heads: Sequence[str], file: Path) -> None:
        """Every column that the mapping names is there, once. Raises SourceConfig."""
        for field in self.mapped.fields.fields():
            if heads.count(field) != 1:
                near = closest(field, [h for h in heads if h]) or ", ".join(h for h in heads if h)
                code = "column_twice" if field in heads else "column_absent"
                raise SourceConfig(code, connection=self.name, file=file.name, column=field, near=near)


def _bytes_of(file: Path) -> bytes:
    """A file that is not larger than a spreadsheet may be, packed or unpacked. Raises BadPayload."""
    if file.stat().st_size > BYTES_MAX:
        raise BadPayload("file_too_large", file=file.name, limit=BYTES_MAX // 1_000_000)
    data = file.read_bytes()
    if file.name.lower().endswith(EXCEL):
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                unpacked = sum(i.file_size for i in archive.infolist())
        except zipfile.BadZipFile as problem:
            raise BadPayload("table_unreadable", file=file.name, why=str(problem)) from None
        if unpacked > UNPACKED_MAX:
            raise BadPayload("file_too_large", file=file.name, limit=UNPACKED_MAX // 1_000_000)
    return data


def build(
    name: str, options: Mapping[str, object], *, clock: Callable[[], datetime], transport: Any = None, sleep: Any = None
) -> Spreadsheet:
    """A source of tables from checked options."""
    del clock, transport, sleep  # nothing is asked over a network
    values = checked_options(name, CONNECTOR, options)
    fields = FieldMap(**{k: v for k, v in values.items() if k in FIELD_NAMES})
    return Spreadsheet(name, values["path"], values.get("sheet", "").strip(), int(values.get("header_row", 0)), fields)


def _fake() -> object:
    from connectors.spreadsheet.fake import SpreadsheetFake

    return SpreadsheetFake()


CONNECTOR = ConnectorInfo(
    system="table",
    title="Excel / CSV",
    options=(
        Option("path", required=True, default=(), help='files, with globs: ["progress/*.xlsx"]', path=True),
        Option("sheet", default="", help="the sheet; none: the first"),
        Option("header_row", default=0, help="the row with the headings; 0: the first that is filled"),
        *FIELD_OPTIONS,
    ),
    build=build,
    fake=_fake,
    reads="files",
)
