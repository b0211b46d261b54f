"""Import documents and sign-offs: rows of contract, event or document, date, by. All or nothing, repeatable."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import uuid5

from sqlalchemy.engine import Connection

from connectors.files.sheets import Columns, Row, read_grids, read_rows
from connectors.store.bulk import bulk_insert, fetch
from flows.steps.contracts import stored_contract
from flows.steps.evaluation.columns import day_number
from models.domain.conditions import Approved, event_names, walk
from models.domain.contracts import DocumentBinding, SignOffBinding
from models.domain.findings import Finding, Place
from models.domain.ready import NAMESPACE
from models.records.reading import closest
from models.tables import facts

#: The columns, with the headings understood for them. A document and a sign-off each stand for their event.
COLUMNS = Columns(
    "documents",
    {
        "contract": ("合同", "合同编号"),
        "event": ("document", "sign_off", "role", "事件", "文件", "签字角色"),
        "date": ("日期",),
        "by": ("经手人", "签认人"),
        "note": ("备注",),
    },
    ("contract", "event", "date", "by"),
)
_DAY = re.compile(r"(?:19|20|21)\d\d-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class Imported:
    """What a file gave; with findings nothing was taken."""

    rows: int
    new: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _Awaited:
    """What one contract waits for: what may be written in the event column -> the events it fills."""

    contract_id: int
    names: Mapping[str, tuple[str, ...]]


def import_documents(connection: Connection, path: Path, recorded_at: int, today: date) -> Imported:
    """Take the rows of a file in, or refuse the file with every row's problem."""
    table, findings = _table(path)
    known = {n: _awaited(connection, n) for n in sorted({r["contract"].text for r in table if "contract" in r})}
    rows: list[tuple[object, ...]] = []
    for cells in table:
        row = {name: cell.text for name, cell in cells.items()}
        problem = _problem(connection, row, known, today)
        if problem is not None:
            place = Place(file=path.name, line=next(iter(cells.values())).row, contract=row.get("contract"))
            findings.append(Finding(problem[0], place=place, params=problem[1]))
            continue
        rows += _facts(row, known[row["contract"]], recorded_at)
    if findings:
        return Imported(len(table), 0, tuple(findings))
    columns = ("key", "contract_id", "event", "day", "value", "by", "source", "note", "recorded_at")
    return Imported(len(table), bulk_insert(connection, facts, columns, rows, ignore=True), ())


def _facts(row: Mapping[str, str], awaited: _Awaited | None, recorded_at: int) -> Iterator[tuple[object, ...]]:
    """One fact for each event the row fills; the key makes a second import harmless."""
    assert awaited is not None  # checked before
    day = day_number(date.fromisoformat(row["date"]))
    for event in awaited.names[row["event"]]:
        key = str(uuid5(NAMESPACE, f"fact\x1f{row['contract']}\x1f{event}\x1f{day}\x1fTrue"))
        yield key, awaited.contract_id, event, day, True, row["by"], "document", row.get("note"), recorded_at


def _problem(
    connection: Connection, row: Mapping[str, str], known: Mapping[str, _Awaited | None], today: date
) -> tuple[str, dict[str, object]] | None:
    missing = [k for k in COLUMNS.required if not row.get(k)]
    if missing:
        return "ROW_INCOMPLETE", {"missing": ", ".join(missing)}
    awaited = known[row["contract"]]
    if awaited is None:
        numbers = [n for (n,) in fetch(connection, "SELECT number FROM contracts WHERE active")]
        return "ROW_CONTRACT_UNKNOWN", {
            "contract": row["contract"],
            "closest": closest(row["contract"], numbers) or "-",
        }
    if row["event"] not in awaited.names:
        return "ROW_EVENT_UNKNOWN", {"event": row["event"], "known": ", ".join(sorted(awaited.names)) or "-"}
    return _day_problem(row["date"], today)


def _day_problem(text: str, today: date) -> tuple[str, dict[str, object]] | None:
    """A day that can be read and has come: what is only planned has not been received."""
    try:
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None  # 2026-02-30 has the form of a date
    if day is None:
        return "DATE_UNREADABLE", {"found": text}
    return ("ROW_DATE_FUTURE", {"found": text, "today": today}) if day > today else None


def _awaited(connection: Connection, number: str) -> _Awaited | None:
    """Events by name, documents and roles by what is bound to them; None: no such contract."""
    contract = stored_contract(connection, number)
    if contract is None:
        return None
    names: dict[str, list[str]] = {}
    for node in (n for t in contract.terms for n in walk(t.when)):
        if isinstance(node, Approved):
            names.setdefault(node.role, []).append(f"approved:{node.role}")
    for event in sorted({e for t in contract.terms for e in event_names(t.when)}):
        names.setdefault(event, []).append(event)
        binding = contract.events.get(event)
        if isinstance(binding, DocumentBinding):
            names.setdefault(binding.document, []).append(event)
        if isinstance(binding, SignOffBinding):
            names.setdefault(binding.role, []).append(event)
    contract_id = fetch(connection, "SELECT id FROM contracts WHERE number = :n", {"n": number})[0][0]
    return _Awaited(contract_id, {name: tuple(dict.fromkeys(events)) for name, events in names.items()})


def _table(path: Path) -> tuple[list[Row], list[Finding]]:
    """The rows of the first sheet of an Excel file, or of a CSV (UTF-8 or GB18030)."""
    grids, findings = read_grids(path.read_bytes(), path.name)
    if not grids:
        return [], findings or [Finding("EMPTY_FILE", place=Place(file=path.name))]
    return read_rows(next(iter(grids.values())), COLUMNS, path.name)
