"""Linear's rows as observations.

A project milestone says that it is done, never when nor who: both come from the issue of it that was completed
last. A milestone whose issues were all cancelled is done for Linear too; then there is nothing that proves it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from connectors.http.fields import BadRow, day, instant, need_mapping, need_text, text_or_none, wrong_type
from connectors.http.source import Project
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Observation, Provenance, StateChange

Row = dict[str, Any]

MILESTONE_STATES = ("unstarted", "next", "overdue", "done")
PROJECT_STATES = ("backlog", "planned", "started", "paused", "completed", "canceled")
ISSUE_STATES = ("triage", "backlog", "unstarted", "started", "completed", "canceled", "duplicate")


@dataclass(frozen=True, slots=True)
class Completion:
    """When the last issue below was completed, and by whom; None: no issue was."""

    at: datetime | None = None
    by: str | None = None


def milestone(connection: str, row: Row, project: Project, completion: Completion) -> Observation:
    """A project milestone. Raises BadRow where a proof field is missing or of another type."""
    done = _state(need_text(row, "status"), MILESTONE_STATES) == "done"
    at = completion.at if done else None
    return _observation(
        connection,
        project,
        milestone_id=f"milestone:{need_text(row, 'id')}",
        kind="milestone",
        name=need_text(row, "name"),
        state=str(row["status"]),
        done=done,
        percent_bp=share(row, "progress"),
        done_at=(at or instant(row, "updatedAt")) if done else None,
        done_by=completion.by if done else None,
        planned_on=day(row, "targetDate"),
        updated_at=instant(row, "updatedAt"),
        archived=row.get("archivedAt") is not None,
        url=text_or_none(project.row, "url"),
        date_provenance=_provenance(done=done, found=at, source=Provenance.CHILDREN),
        person_provenance=Provenance.CHILDREN if done and completion.by else Provenance.ABSENT,
        percent_provenance=Provenance.CHILDREN,
        unproven=done and at is None,
    )


def whole_project(connection: str, row: Row, project: Project) -> Observation:
    """A project as a milestone; who completed it is not told. Raises BadRow."""
    status = need_mapping(row, "status")
    done = _state(need_text(status, "type", "status.type"), PROJECT_STATES) == "completed"
    at = instant(row, "completedAt") if done else None
    return _observation(
        connection,
        project,
        milestone_id=f"project:{need_text(row, 'id')}",
        kind="project",
        name=need_text(row, "name"),
        state=need_text(status, "name", "status.name"),
        done=done,
        percent_bp=share(row, "progress"),
        done_at=(at or instant(row, "updatedAt")) if done else None,
        planned_on=day(row, "targetDate"),
        updated_at=instant(row, "updatedAt"),
        archived=row.get("archivedAt") is not None,
        url=text_or_none(row, "url"),
        date_provenance=_provenance(done=done, found=at, source=Provenance.NATIVE),
        percent_provenance=Provenance.CHILDREN,
    )


def issue(connection: str, row: Row, project: Project, history: tuple[StateChange, ...]) -> Observation:
    """An issue with a chosen label. Cancelled and duplicate ones are closed, not done. Raises BadRow."""
    state = need_mapping(row, "state")
    done = _state(need_text(state, "type", "state.type"), ISSUE_STATES) == "completed"
    at, reached = instant(row, "completedAt") if done else None, last_done(history) if done else None
    by = reached.by if reached else None
    return _observation(
        connection,
        project,
        milestone_id=f"issue:{need_text(row, 'id')}",
        kind="issue",
        name=need_text(row, "title"),
        state=need_text(state, "name", "state.name"),
        done=done,
        done_at=(at or instant(row, "updatedAt")) if done else None,
        done_by=by,
        planned_on=day(row, "dueDate"),
        updated_at=instant(row, "updatedAt"),
        deleted=row.get("trashed") is True,
        archived=row.get("archivedAt") is not None,
        url=text_or_none(row, "url"),
        grade=EvidenceGrade.HISTORY if by else EvidenceGrade.STATE,
        date_provenance=_provenance(done=done, found=at, source=Provenance.NATIVE),
        person_provenance=Provenance.HISTORY if by else Provenance.ABSENT,
        history=history,
    )


def _observation(connection: str, project: Project, **said: Any) -> Observation:
    return Observation(
        connection=connection, project_id=project.id, project_key=project.key, project_name=project.name, **said
    )


def _state(found: str, known: tuple[str, ...]) -> str:
    if found not in known:
        raise BadRow("STATE_UNKNOWN", field="status", found=found, expected=", ".join(known))
    return found


def _provenance(*, done: bool, found: datetime | None, source: Provenance) -> Provenance:
    if not done:
        return Provenance.ABSENT
    return source if found else Provenance.FIRST_OBSERVED


def share(row: Mapping[str, Any], name: str) -> int:
    """A share of 1 in basis points, rounded down: what is not complete never looks as if it were."""
    value = row.get(name)
    if value is None:
        raise BadRow("PROOF_FIELD_MISSING", field=name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_type(name, value, "a number")
    if not 0 <= value <= 1:
        raise BadRow("PERCENT_RANGE", field=name, found=value)
    return int(Decimal(str(value)) * 10_000)


def changes(entries: Sequence[Row]) -> tuple[StateChange, ...]:
    """The changes of state of an issue, oldest first; by a person, or an integration where no person did it."""
    found = []
    for entry in entries:
        state = entry.get("toState")
        if not isinstance(state, dict):
            continue
        at = instant(entry, "createdAt")
        if at is None:
            raise BadRow("PROOF_FIELD_MISSING", field="history.createdAt")
        found.append(StateChange(at, state.get("type") == "completed", _actor(entry), text_or_none(state, "name")))
    return tuple(sorted(found, key=lambda c: c.at))


def _actor(entry: Row) -> str | None:
    for name in ("actor", "botActor"):
        who = entry.get(name)
        if isinstance(who, dict) and text_or_none(who, "name"):
            return str(who["name"])
    return None


def last_done(history: Sequence[StateChange]) -> StateChange | None:
    """The first of the last unbroken run of completed states."""
    found = None
    for change in reversed(history):
        if not change.done:
            break
        found = change
    return found


def latest(rows: Sequence[Row]) -> tuple[Row | None, bool]:
    """The issue that was completed last; the flag says that no issue on a later page can beat it.

    Pages come with the last change first, and no issue was completed after it last changed.
    """
    dated = [(at, r) for r in rows if (at := instant(r, "completedAt")) is not None]
    if not dated:
        return None, False
    at, row = max(dated, key=lambda d: (d[0], str(d[1].get("id"))))
    moments = [m for r in rows if (m := instant(r, "updatedAt")) is not None]
    ordered = moments == sorted(moments, reverse=True)
    return row, ordered and len(moments) == len(rows) and at >= moments[-1]


def at_rest(row: Row, since: datetime) -> bool:
    """Did nothing of a row, or of the issue below it that changed last, move since? A bad moment counts as moved."""
    below = row.get("issues")
    rows = [row, *(below.get("nodes") or [] if isinstance(below, dict) else [])]
    try:
        moments = [instant(r, name) for r in rows for name in ("updatedAt", "completedAt")]
    except BadRow:
        return False
    return all(m is None or m < since for m in moments)
