"""Import documents and sign-offs: rows of contract, event or document, date, by. All or nothing, repeatable."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from uuid import uuid5

from sqlalchemy.engine import Connection

from connectors.store.bulk import bulk_insert, fetch
from flows.steps.evaluation.columns import day_number
from models.domain.findings import Finding, Place
from models.domain.ready import NAMESPACE
from models.tables import facts

#: Headings that are understood, in both languages.
HEADINGS = {
    "contract": "contract", "合同": "contract", "合同编号": "contract", "event": "event", "document": "event", "事件": "event",
    "文件": "event", "date": "date", "日期": "date", "by": "by", "经手人": "by", "签认人": "by",
}  # fmt: skip
REQUIRED = ("contract", "event", "date", "by")


@dataclass(frozen=True, slots=True)
class Imported:
    """What a file gave; with findings nothing was taken."""

    rows: int
    new: int
    findings: tuple[Finding, ...]


def import_documents(connection: Connection, path: Path, recorded_at: int) -> Imported:
    """Take the rows of a file in, or refuse the file with every row's problem."""
    known = _known_events(connection)
    rows, findings = [], []
    count = 0
    for line, row in _rows(path):
        count += 1
        problem = _problem(row, known)
        if problem is not None:
            findings.append(Finding(problem[0], place=Place(file=path.name, line=line), params=problem[1]))
            continue
        contract_id, event = known[row["contract"]][0], known[row["contract"]][1][row["event"]]
        day = day_number(date.fromisoformat(row["date"]))
        key = str(uuid5(NAMESPACE, f"fact\x1f{row['contract']}\x1f{event}\x1f{day}\x1fTrue"))
        rows.append((key, contract_id, event, day, True, row["by"], "document", recorded_at))
    if findings:
        return Imported(count, 0, tuple(findings))
    columns = ("key", "contract_id", "event", "day", "value", "by", "source", "recorded_at")
    return Imported(count, bulk_insert(connection, facts, columns, rows, ignore=True), ())


def _problem(row: Mapping[str, str], known: Mapping[str, tuple[int, Mapping[str, str]]]) -> tuple[str, dict[str, object]] | None:
    missing = [k for k in REQUIRED if not row.get(k)]
    if missing:
        return "ROW_INCOMPLETE", {"missing": ", ".join(missing)}
    if row["contract"] not in known:
        return "ROW_CONTRACT_UNKNOWN", {"contract": row["contract"]}
    events = known[row["contract"]][1]
    if row["event"] not in events:
        return "ROW_EVENT_UNKNOWN", {"event": row["event"], "known": ", ".join(sorted(events)) or "-"}
    try:
        date.fromisoformat(row["date"])
    except ValueError:
        return "DATE_UNREADABLE", {"found": row["date"]}
    return None


def _known_events(connection: Connection) -> dict[str, tuple[int, dict[str, str]]]:
    """By contract number: its id, and what may be written in the event column -> the event."""
    known: dict[str, tuple[int, dict[str, str]]] = {}
    for number, contract_id, event, kind, name in fetch(
        connection, "SELECT c.number, c.id, b.event, b.kind, b.name FROM contracts c LEFT JOIN bindings b ON b.contract_id = c.id WHERE c.active"
    ):
        events = known.setdefault(number, (contract_id, {}))[1]
        if kind in ("document", "sign_off"):
            events[event] = event
            events[name] = event
    return known


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, row) of a CSV (UTF-8 or GB18030) or Excel file, headings in either language."""
    table = _excel(path) if path.suffix.lower() in (".xlsx", ".xlsm") else _csv(path.read_bytes())
    head: list[str] = []
    for line, cells in enumerate(table, start=1):
        if not any(cells):
            continue
        if not head:
            head = [HEADINGS.get(c.strip().lower(), c.strip()) for c in cells]
            continue
        yield line, {k: v.strip() for k, v in zip(head, cells, strict=False)}


def _csv(data: bytes) -> Iterator[list[str]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("gb18030", errors="strict")
    yield from csv.reader(io.StringIO(text))


def _excel(path: Path) -> Iterator[list[str]]:
    import openpyxl

    sheet = openpyxl.load_workbook(path, read_only=True, data_only=True).worksheets[0]
    for row in sheet.iter_rows(values_only=True):
        yield [_text(cell) for cell in row]


def _text(cell: object) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.date().isoformat()
    return str(cell)
