"""monday.com's rows as observations.

monday.com has no milestones: an item becomes one by what a board's columns mean. Whether it is done is said by
the label of its status column (`is_done`), since when by that value's `updated_at`, by whom by the board's log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson

from connectors.http.fields import BadRow, instant, need_text, text_or_none, wrong_type
from connectors.http.source import Project
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Observation, Provenance, StateChange

Row = dict[str, Any]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ITEM_STATES = ("active", "archived", "deleted", "all")


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of one board mean, by id; empty: there is none."""

    status: str
    planned: str = ""
    milestone: str = ""  # a timeline whose value must be of the kind "milestone"

    @property
    def ids(self) -> list[str]:
        """The columns to ask for."""
        return sorted({c for c in (self.status, self.planned, self.milestone) if c})


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels that mean done (none: those the board marks as done) and accepted."""

    done: frozenset[str] = frozenset()
    accepted: frozenset[str] = frozenset()

    def is_done(self, label: str | None, marked: object) -> bool:
        """Raises BadRow where the board does not say whether a label means done."""
        if self.done:
            return label in self.done
        if label is None and marked is None:
            return False  # an empty cell
        if marked is None:
            raise BadRow("PROOF_FIELD_MISSING", field="status.is_done")
        if not isinstance(marked, bool):
            raise wrong_type("status.is_done", marked, "true or false")
        return marked


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a status column as the board's log tells it."""

    at: datetime
    by: str | None
    label: str | None
    done: bool
    was_done: bool


def item(
    connection: str, row: Row, project: Project, columns: Columns, labels: Labels, log: Sequence[Change]
) -> Observation:
    """An item as a milestone. Raises BadRow where a proof field is missing or of another type."""
    cells = cells_of(row)
    status = status_cell(cells, columns)
    label = text_or_none(status, "label")
    done = labels.is_done(label, status.get("is_done"))
    reached = _since(log, label) if done else None
    at = reached.at if reached else instant(status, "updated_at") if done else None
    accepted = label is not None and label in labels.accepted
    state = need_text(row, "state")
    if state not in ITEM_STATES:
        raise BadRow("STATE_UNKNOWN", field="state", found=state, expected=", ".join(ITEM_STATES))
    return Observation(
        connection=connection,
        project_id=project.id,
        project_key=project.key,
        project_name=project.name,
        milestone_id=f"item:{need_text(row, 'id')}",
        kind="item",
        name=need_text(row, "name"),
        state=label or "",
        done=done,
        accepted=accepted,
        accepted_at=instant(status, "updated_at") if accepted else None,
        done_at=(at or instant(row, "updated_at")) if done else None,
        done_by=reached.by if reached else None,
        planned_on=_planned(cells.get(columns.planned)),
        updated_at=instant(row, "updated_at"),
        deleted=state == "deleted",
        archived=state == "archived",
        url=text_or_none(row, "url"),
        grade=EvidenceGrade.HISTORY if reached else EvidenceGrade.STATE,
        date_provenance=_provenance(done=done, logged=reached is not None, native=at is not None),
        person_provenance=Provenance.HISTORY if reached and reached.by else Provenance.ABSENT,
        history=tuple(StateChange(c.at, c.done, c.by, c.label) for c in log),
    )


def cells_of(row: Row) -> Mapping[str, Row]:
    """The values of a row by column."""
    found = row.get("column_values")
    if not isinstance(found, list):
        raise wrong_type("column_values", found, "a list")
    return {str(c.get("id")): c for c in found if isinstance(c, dict)}


def status_cell(cells: Mapping[str, Row], columns: Columns) -> Row:
    """The value of the status column. Raises BadRow where the row has none."""
    cell = cells.get(columns.status)
    if cell is None or "label" not in cell or "is_done" not in cell:
        raise BadRow("PROOF_FIELD_MISSING", field=f"column {columns.status}")
    if not isinstance(cell["label"], str | None):
        raise wrong_type(f"column {columns.status}", cell["label"], "a label")
    return cell


def is_milestone(row: Row, groups: frozenset[str], columns: Columns) -> bool:
    """Is the item in one of the groups, or marked as a milestone on its timeline? Without either, each is."""
    group = row.get("group")
    inside = isinstance(group, dict) and bool({str(group.get("id")), str(group.get("title"))} & groups)
    marked = (
        bool(columns.milestone) and cells_of(row).get(columns.milestone, {}).get("visualization_type") == "milestone"
    )
    return inside or marked or not (groups or columns.milestone)


def _provenance(*, done: bool, logged: bool, native: bool) -> Provenance:
    if not done:
        return Provenance.ABSENT
    if logged:
        return Provenance.HISTORY
    return Provenance.NATIVE if native else Provenance.FIRST_OBSERVED


def _planned(cell: Row | None) -> date | None:
    """A date, or the end of a timeline, which comes as an instant at midnight. Neither proves anything."""
    value = None if cell is None else cell.get("date") or cell.get("to")
    if not isinstance(value, str) or not value:
        return None
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        raise wrong_type("planned", value, "a date") from None


# --- the board's log ------------------------------------------------------------------------------------


def log_of(entries: Sequence[Row], people: Mapping[str, str], labels: Labels) -> dict[str, list[Change]]:
    """The changes of a status column by item, oldest first; entries that cannot be read prove nothing.

    `data` is a text of JSON whose form is not described; all that is known of it stands here.
    """
    found: dict[str, list[Change]] = {}
    for entry in entries:
        data = _data(entry)
        if entry.get("event") != "update_column_value" or data is None:
            continue
        now, before = _label(data.get("value")), _label(data.get("previous_value"))
        user = str(entry.get("user_id"))
        change = Change(_moment(entry.get("created_at")), people.get(user, f"users/{user}"), now[0],
                        _done(labels, now), _done(labels, before))  # fmt: skip
        found.setdefault(str(data.get("pulse_id")), []).append(change)
    return {i: sorted(changes, key=lambda c: c.at) for i, changes in found.items()}


def _data(entry: Row) -> Row | None:
    try:
        data = orjson.loads(str(entry.get("data")))
    except orjson.JSONDecodeError:
        return None
    return data if isinstance(data, dict) and data.get("pulse_id") is not None else None


def _label(value: object) -> tuple[str | None, object]:
    """Text and done mark of a status value."""
    label = value.get("label") if isinstance(value, dict) else None
    return (text_or_none(label, "text"), label.get("is_done")) if isinstance(label, dict) else (None, None)


def _done(labels: Labels, told: tuple[str | None, object]) -> bool:
    return told[0] in labels.done if labels.done else told[1] is True


def _moment(value: object) -> datetime:
    """17 digits: ten-millionths of a second since 1970 (the vendor's page on activity logs)."""
    text = str(value)
    if not (text.isdigit() and 16 <= len(text) <= 18):
        raise wrong_type("activity_logs.created_at", value, "17 digits")
    return EPOCH + timedelta(microseconds=int(text) // 10)


def _since(log: Sequence[Change], label: str | None) -> Change | None:
    """The first change of the last unbroken run of done labels, if the log reaches back to its beginning
    and ends at the label the item has."""
    if not log or log[-1].label != label:
        return None
    first = None
    for change in reversed(log):
        if not change.done:
            break
        first = change
    return None if first is None or first.was_done else first
