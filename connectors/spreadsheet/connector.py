"""Excel and CSV files as a source: a row is a milestone, the configuration says which column is which."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from connectors.errors import SourceConfig
from connectors.files.field_map import FIELD_NAMES, FIELD_OPTIONS, FieldMap, Mapped
from connectors.files.sheets import ERROR, UNSAVED
from connectors.files.source import Bad, FileSource, Item, fingerprint
from connectors.http.fields import BadRow
from connectors.registry import ConnectorInfo, Option, checked_options
from connectors.spreadsheet.table import ERRORS, WIDE, Table, table_of
from models.domain.observations import Rejected
from models.records.reading import closest

#: Between the texts of a row that waits; no decoder lets it into a text.
_BETWEEN = "\ud800"


class Kept(NamedTuple):
    """A row that waits until the ids of all are known: one text takes a tenth of the memory of twenty."""

    number: int
    texts: str
    faults: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Line:
    """One row: its values under their headings, what is wrong with those that are mapped, and where it stands."""

    record: dict[str, str | None]
    faults: Mapping[str, str]
    place: str  # plan.xlsx Sheet1:12

    def sure_of(self, field: str) -> bool:
        """Is what stands in a field its own? In a row that has shifted nothing is."""
        return field not in self.faults and WIDE not in self.faults.values()


class Spreadsheet(FileSource):
    """Tables in files."""

    def __init__(self, name: str, paths: Sequence[str], sheet: str, header_row: int, fields: FieldMap) -> None:
        super().__init__(name, paths, fingerprint([sheet, header_row, repr(fields)]))
        self.sheet, self.header_row = sheet, header_row
        self.mapped = Mapped(name, fields, "row")

    def read(self, file: Path) -> Iterator[Item]:
        """The milestones of one file; rows that share an id are put aside, all of them."""
        with table_of(self.name, file, self.sheet, self.header_row) as table:
            self._check_columns(table.heads, file)
            kept, ids = self._kept(table)
        where = f"{file.name} {table.title}" if table.title else file.name
        while kept:
            yield self._item(_line(kept.popleft(), table.heads, where), file, ids)
        if not self.mapped.fields.project_field:
            yield self.mapped.fields.project_name or file.stem

    def _kept(self, table: Table) -> tuple[deque[Kept], Counter[str]]:
        """The rows that are milestones, or too odd to say, and how often each id comes."""
        heads, fields = table.heads, self.mapped.fields
        mapped = {at for at, head in enumerate(heads) if head in fields.fields()}
        identity = heads.index(fields.id_field)
        kept: deque[Kept] = deque()
        ids: Counter[str] = Counter()
        for row in table.rows:
            faults = {at: ERROR for at in mapped if row.texts[at] in ERRORS}
            faults |= {at: kind for at, kind in row.faults.items() if at in mapped or kind == WIDE}
            if not (faults or any(row.texts)):  # nothing but formulas that are not ours
                continue
            if faults or not fields.only or self.mapped.is_milestone(_record(heads, row.texts)):
                kept.append(Kept(row.number, _BETWEEN.join(row.texts), faults))
                ids[row.texts[identity]] += 1
        return kept, ids

    def _item(self, line: Line, file: Path, ids: Mapping[str, int]) -> Item:
        identity = line.record[self.mapped.fields.id_field]
        try:
            _check_faults(line)
            if identity and ids[identity] > 1:
                raise BadRow("KEY_NOT_UNIQUE", found=f"{identity} ({line.place})")  # noqa: TRY301 - put aside below, as all others
            return self.mapped.observe(line.record, file.stem)
        except BadRow as problem:
            return self._bad(line, problem, file)

    def _bad(self, line: Line, problem: BadRow, file: Path) -> Bad:
        """With its place: people look for the row. An id or project that is not sure to be the row's own is none."""
        field, found = problem.params.get("field"), problem.params.get("found")
        params = dict(problem.params) | {"row": line.place}
        if field is not None:
            params["field"] = f"{field} ({line.place})"
        elif found is not None and line.place not in str(found):
            params["found"] = f"{found} ({line.place})"
        raw = orjson.dumps({"row": line.place, **line.record}).decode()[:8000]
        fields = self.mapped.fields
        key = line.record[fields.id_field] if line.sure_of(fields.id_field) else None
        project = self.mapped.project(line.record, file.stem) if line.sure_of(fields.project_field) else None
        return Bad(Rejected(self.name, key, problem.code, params, raw), project)

    def _check_columns(self, heads: Sequence[str], file: Path) -> None:
        """Every column that the mapping names is there, once. Raises SourceConfig."""
        for field in self.mapped.fields.fields():
            if heads.count(field) != 1:
                near = closest(field, [h for h in heads if h]) or ", ".join(h for h in heads if h)
                code = "column_twice" if field in heads else "column_absent"
                raise SourceConfig(code, connection=self.name, file=file.name, column=field, near=near)


def _record(heads: Sequence[str], texts: Sequence[str]) -> dict[str, str | None]:
    return {head: text or None for head, text in zip(heads, texts, strict=True) if head}


def _line(kept: Kept, heads: Sequence[str], where: str) -> Line:
    faults = {heads[at] if kind != WIDE else "": kind for at, kind in kept.faults.items()}
    return Line(_record(heads, kept.texts.split(_BETWEEN)), faults, f"{where}:{kept.number}")


def _check_faults(line: Line) -> None:
    """What a cell holds that is not its value, or not all of it, decides nothing. Raises BadRow."""
    for field, kind in line.faults.items():
        found = line.record.get(field) or ""
        if kind == WIDE:
            raise BadRow("ROW_TOO_WIDE", headings=len(line.record))
        if kind == ERROR:
            raise BadRow("CELL_IN_ERROR", field=field, found=found[:40])
        if kind == UNSAVED:
            raise BadRow("FORMULA_UNSAVED", field=field)
        raise BadRow("PROOF_FIELD_TYPE", field=field, found=found[:40], expected="text")


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
