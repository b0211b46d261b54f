"""What ClickUp's tasks say: a status, whose type says whether it is over, and since when it is.

A status has one of a few types; `done` and `closed` are over. "Cancelled" is one of these, too: the type says over, not
delivered. Nothing says who moved it. All moments are texts of milliseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from connectors.http.fields import BadRow, millis, need_mapping, need_text, text_or_none, unknown_fields, wrong_type
from connectors.http.paging import Row
from connectors.http.source import Project
from models.domain.observations import Observation, Provenance

KIND = "task"
MILESTONE = 1  # custom_item_id; 0 or null is a plain task, others are the workspace's own types
OPEN = ("open", "unstarted", "custom")
OVER = ("done", "closed")
KNOWN = frozenset(
    "id custom_id custom_item_id name text_content description markdown_description status orderindex date_created date_updated "
    "date_closed date_done archived creator assignees group_assignees watchers checklists tags parent top_level_parent priority "
    "due_date start_date points time_estimate time_spent custom_fields dependencies linked_tasks locations team_id url sharing "
    "permission_level list project folder space subtasks attachments".split()
)


def type_of(row: Row) -> int:
    """The number of a task's type. Raises BadRow for a row that does not say."""
    if "custom_item_id" not in row:
        raise BadRow("PROOF_FIELD_MISSING", field="custom_item_id")
    number = row["custom_item_id"]
    if number is None:
        return 0
    if isinstance(number, bool) or not isinstance(number, int):
        raise wrong_type("custom_item_id", number, "a number")
    return number


def task(connection: str, row: Row, project: Project, dropped: Collection[str]) -> Observation:
    """A task that is a milestone. Raises BadRow where a proof field is missing or of another type."""
    status = need_mapping(row, "status")
    state, kind = need_text(status, "status", "status.status"), need_text(status, "type", "status.type")
    if kind not in OPEN and kind not in OVER:
        raise BadRow("STATE_UNKNOWN", field="status.type", found=kind, expected=", ".join((*OPEN, *OVER)))
    done = kind in OVER and state.casefold() not in dropped
    at, updated = since(row) if done else None, millis(row, "date_updated")
    return Observation(
        connection=connection,
        project_id=project.id,
        project_key=project.key,
        project_name=project.name,
        milestone_id=f"{KIND}:{need_text(row, 'id')}",
        kind="milestone" if type_of(row) == MILESTONE else KIND,
        name=need_text(row, "name"),
        state=state,
        done=done,
        done_at=(at or updated) if done else None,
        planned_at=millis(row, "due_date"),
        updated_at=updated,
        archived=row.get("archived") is True,
        url=_link(row),
        date_provenance=(Provenance.NATIVE if at else Provenance.FIRST_OBSERVED) if done else Provenance.ABSENT,
        extra=unknown_fields(row, KNOWN),
    )


def since(row: Row) -> datetime | None:
    """Since when it is over: when it came to a done status, else when it was closed."""
    return millis(row, "date_done") or millis(row, "date_closed")


def _link(row: Row) -> str | None:
    """For the reader; only what a browser may follow safely."""
    url = text_or_none(row, "url")
    return url if url and url.startswith("https://") else None
