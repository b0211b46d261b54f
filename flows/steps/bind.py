"""Bindings to milestones: by the vendor's id or by exact name; never by likeness.

Once bound, a milestone stays bound by its identity, however it is renamed or moved. No match, or several,
is a finding with the closest candidates; a person may confirm one (`huikuan bind`).
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection

from connectors.store.bulk import bulk_update, fetch
from flows.steps.pull import name_key
from models.domain.contracts import Contract, MilestoneBinding, ProgressBinding
from models.domain.findings import Finding, Place
from models.records.reading import closest
from models.tables import bindings


@dataclass(frozen=True, slots=True)
class Candidate:
    """A milestone that may be meant."""

    id: int
    vendor_id: str
    name: str
    project: str
    url: str | None


@dataclass(frozen=True, slots=True)
class Unbound:
    """A binding without its milestone, with the closest candidates."""

    binding_id: int
    contract: str
    event: str
    connection: str
    project: str
    wanted: str
    finding: Finding
    candidates: tuple[Candidate, ...]


#: id, connection, vendor_id, project_id, project_key, kind, name, name_key, url
_Row = tuple[Any, ...]
_NAME = 6


class _Directory:
    """The living milestones of the store, by project and name."""

    def __init__(self, rows: Sequence[_Row]) -> None:
        self.by_id: dict[tuple[str, str], _Row] = {}
        self.projects: dict[tuple[str, str], _Row] = {}
        self._inside: dict[tuple[str, str], dict[str, list[_Row]]] = {}  # (connection, project) -> name key -> rows
        for row in rows:
            _, connection, vendor_id, project_id, project_key, kind, _, key_name, _ = row
            self.by_id[connection, vendor_id] = row
            if ":" in vendor_id:
                self.by_id.setdefault((connection, vendor_id.rpartition(":")[2]), row)
            for project in (project_id,) if project_id == project_key else (project_id, project_key):
                if kind == "project":
                    self.projects[connection, project] = row
                    continue
                names = self._inside.get((connection, project))
                if names is None:
                    names = self._inside[connection, project] = {}
                names.setdefault(key_name, []).append(row)

    def matches(self, connection: str, project: str, vendor_id: str | None, name: str | None) -> list[_Row]:
        """The milestones that a binding names exactly."""
        if vendor_id is not None:
            found = self.by_id.get((connection, vendor_id))
            return [found] if found else []
        if name is None:
            whole = self.projects.get((connection, project))
            return [whole] if whole else []
        return self._inside.get((connection, project), {}).get(name_key(name), [])

    def near(self, connection: str, project: str, wanted: str) -> list[_Row]:
        """The milestones of the project whose names are most like what was written."""
        known = [row for rows in self._inside.get((connection, project), {}).values() for row in rows]
        names = difflib.get_close_matches(wanted, [r[_NAME] for r in known], n=3, cutoff=0.3)
        return [r for name in names for r in known if r[_NAME] == name][:5]


def _candidate(row: _Row) -> Candidate:
    key, _, vendor_id, _, project_key, _, name, _, url = row
    return Candidate(key, vendor_id, name, project_key, url)


class _Wanted(NamedTuple):
    """A binding that names a milestone, and where it is written."""

    contract: str
    event: str
    connection: str
    project: str
    vendor_id: str | None
    name: str | None
    file: str | None


def _directory(connection: Connection) -> _Directory:
    return _Directory(
        fetch(
            connection,
            "SELECT id, connection, vendor_id, project_id, project_key, kind, name, name_key, url FROM milestones WHERE NOT deleted",
        )
    )


def resolve(connection: Connection, recorded_at: int, *, write: bool = True) -> list[Unbound]:
    """Bind what can be bound; return the rest."""
    waiting = fetch(
        connection,
        "SELECT b.id, c.number, b.event, b.connection, b.project, b.vendor_id, b.name, c.file "
        "FROM bindings b JOIN contracts c ON c.id = b.contract_id "
        "WHERE b.milestone_id IS NULL AND b.connection IS NOT NULL AND c.active ORDER BY c.number, b.event",
    )
    if not waiting:
        return []
    directory = _directory(connection)
    bound: list[tuple[int, int, int]] = []
    rest = []
    for binding_id, *written in waiting:
        wanted = _Wanted(*written)
        found = directory.matches(wanted.connection, wanted.project, wanted.vendor_id, wanted.name)
        if len(found) == 1:
            bound.append((binding_id, found[0][0], recorded_at))
        else:
            rest.append(_unbound(directory, binding_id, wanted, found))
    if write:
        bulk_update(connection, bindings, "id", ("milestone_id", "recorded_at"), bound)
    return rest


def _unbound(directory: _Directory, binding_id: int, wanted: _Wanted, found: Sequence[_Row]) -> Unbound:
    """None, or several: a finding with the candidates."""
    contract, event, source, project, vendor_id, name, file = wanted
    text = vendor_id or name or project
    near = tuple(_candidate(row) for row in found or directory.near(source, project, text))
    code = "MILESTONE_AMBIGUOUS" if found else "MILESTONE_UNKNOWN"
    shown = ", ".join(f"{c.name} ({c.vendor_id})" for c in near) or "-"
    place = Place(file=file, contract=contract, connection=source, path=f"events.{event}")
    params = {"event": event, "project": project, "wanted": text, "candidates": shown}
    return Unbound(binding_id, contract, event, source, project, text, Finding(code, place=place, params=params), near)


# --- contract files that no night has read yet -------------------------------------------------------


def _written(found: Iterable[Contract]) -> Iterator[tuple[_Wanted, str]]:
    """The bindings of contract files to milestones, each with its spelling."""
    for contract in found:
        for event, binding in contract.events.items():
            if isinstance(binding, MilestoneBinding | ProgressBinding):
                yield (
                    _Wanted(
                        contract.number,
                        event,
                        binding.connection,
                        binding.project,
                        binding.id,
                        binding.name,
                        contract.file,
                    ),
                    repr(binding),
                )


def foresee(connection: Connection, found: Iterable[Contract]) -> list[Finding]:
    """What a night would say of the bindings of contract files, by the milestones of the last pulls; writes nothing.

    Of a connection that was not pulled yet nothing is said, nor of what is bound already.
    """
    pulled = {c for (c,) in fetch(connection, "SELECT connection FROM milestones UNION SELECT connection FROM cursors")}
    bound = set(
        fetch(
            connection,
            "SELECT c.number, b.event, b.spec FROM bindings b JOIN contracts c ON c.id = b.contract_id WHERE b.milestone_id IS NOT NULL",
        )
    )
    directory = _directory(connection)
    told = []
    for wanted, spelled in _written(found):
        if wanted.connection not in pulled or (wanted.contract, wanted.event, spelled) in bound:
            continue
        matches = directory.matches(wanted.connection, wanted.project, wanted.vendor_id, wanted.name)
        if len(matches) != 1:
            told.append(_unbound(directory, 0, wanted, matches).finding)
    return told


def unknown_in_files(found: Iterable[Contract], configured: Collection[str]) -> list[Finding]:
    """Bindings of contract files to connections that are not configured."""
    return _unknown(((w.contract, w.event, w.connection, w.file) for w, _ in _written(found)), configured)


def unknown_connections(connection: Connection, configured: Collection[str]) -> list[Finding]:
    """Bindings of the store's contracts to connections that are not configured, bound before or not."""
    names = fetch(connection, "SELECT DISTINCT connection FROM bindings WHERE connection IS NOT NULL")
    if all(name in configured for (name,) in names):  # as nearly always: a night has many bindings
        return []
    rows = fetch(
        connection,
        "SELECT c.number, b.event, b.connection, c.file FROM bindings b JOIN contracts c ON c.id = b.contract_id "
        "WHERE b.connection IS NOT NULL AND c.active ORDER BY c.number, b.event",
    )
    return _unknown(rows, configured)


def _unknown(rows: Iterable[Sequence[Any]], configured: Collection[str]) -> list[Finding]:
    known = ", ".join(sorted(configured)) or "-"
    return [
        Finding(
            "CONNECTION_UNKNOWN",
            place=Place(file=file, contract=contract, connection=name, path=f"events.{event}"),
            params={"event": event, "name": name, "closest": closest(name, configured) or "-", "known": known},
        )
        for contract, event, name, file in rows
        if name not in configured
    ]


def unproven(connection: Connection) -> list[Finding]:
    """Bound milestones that are done without a trace of who did it and when: a person must confirm them."""
    rows = fetch(
        connection,
        "SELECT c.number, b.event, b.connection, m.name, c.file FROM bindings b JOIN contracts c ON c.id = b.contract_id AND c.active "
        "JOIN milestones m ON m.id = b.milestone_id "
        "JOIN observations o ON o.id = (SELECT MAX(x.id) FROM observations x WHERE x.milestone_id = m.id) "
        "WHERE o.unproven AND o.done AND NOT EXISTS (SELECT 1 FROM facts f WHERE f.contract_id = c.id AND f.event = b.event) "
        "ORDER BY c.number, b.event",
    )
    return [
        Finding(
            "MILESTONE_UNPROVEN",
            place=Place(file=file, contract=number, connection=source, path=f"events.{event}"),
            params={"event": event, "name": name, "contract": number},
        )
        for number, event, source, name, file in rows
    ]
