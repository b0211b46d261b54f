"""What Asana's tasks say: completed or not, by whom, when, and for an approval what was decided.

`completed` is no proof by itself: an approval that was rejected, or sent back with changes, is completed too, and so
is a task of a custom type that ended in a status such as "Won't do".
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from connectors.http.fields import BadRow, day, instant, need_text, text_or_none, unknown_fields, wrong_type
from connectors.http.paging import Row
from connectors.http.source import Project
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Observation, Provenance

KIND = "task"
SUBTYPES = ("default_task", "milestone", "approval", "custom")
VERDICTS = ("pending", "approved", "rejected", "changes_requested")
KNOWN = frozenset(
    {
        "id", "gid", "resource_type", "resource_subtype", "name", "approval_status", "completed", "completed_at", "completed_by",
        "due_on", "due_at", "modified_at", "permalink_url", "projects", "memberships", "custom_type", "custom_type_status_option",
    }
)  # fmt: skip
#: What is asked for; without it an answer holds gid and name only.
FIELDS = (
    "name,resource_subtype,approval_status,completed,completed_at,completed_by.name,due_on,due_at,modified_at,permalink_url,"
    "projects,memberships.project,memberships.section.name,custom_type.name,custom_type_status_option.name"
)


def identity(row: Row, project: Project) -> str:
    """A task may be in several projects: the one with the lowest id is its home, in the others it has an id of its own."""
    gid, homes = str(row.get("gid")), row.get("projects")
    gids = [str(p.get("gid")) for p in homes if isinstance(p, dict)] if isinstance(homes, list) else []
    home = min(gids, key=lambda g: (len(g), g), default=project.id)
    return gid if home == project.id or project.id not in gids else f"{gid}@{project.id}"


def counts(row: Row, project: Project, wanted: Collection[str]) -> bool:
    """Is it one of the tasks that are milestones by the configuration? Raises BadRow for a row that does not say."""
    subtype = need_text(row, "resource_subtype")
    if subtype in wanted and subtype in ("milestone", "approval"):
        return True
    kind = _name(row, "custom_type") if subtype == "custom" else None
    return f"type:{kind}" in wanted or any(f"section:{s}" in wanted for s in _sections(row, project))


def _sections(row: Row, project: Project) -> list[str]:
    """The section of this project that the task stands in."""
    inside = row.get("memberships")
    own = [m for m in inside if isinstance(m, dict)] if isinstance(inside, list) else []
    return [name for m in own if _gid(m.get("project")) == project.id and (name := _name(m, "section"))]


def task(connection: str, row: Row, project: Project, dropped: Collection[str]) -> Observation:
    """A task that is a milestone. Raises BadRow where a proof field is missing or of another type."""
    completed, subtype = _completed(row), need_text(row, "resource_subtype")
    if subtype not in SUBTYPES:
        raise BadRow("STATE_UNKNOWN", field="resource_subtype", found=subtype, expected=", ".join(SUBTYPES))
    verdict = _verdict(row) if subtype == "approval" else None
    status = _name(row, "custom_type_status_option") if subtype == "custom" else None
    done = completed and verdict in (None, "approved") and status not in dropped
    at, by = _completion(row) if done else (None, None)
    updated, due = instant(row, "modified_at"), instant(row, "due_at")
    return Observation(
        connection=connection,
        project_id=project.id,
        project_key=project.key,
        project_name=project.name,
        milestone_id=f"{KIND}:{need_text(row, 'id')}",
        kind="milestone" if subtype == "milestone" else KIND,
        name=need_text(row, "name"),
        state=verdict or status or ("completed" if completed else "incomplete"),
        done=done,
        accepted=done and verdict == "approved",
        done_at=(at or updated) if done else None,
        done_by=by,
        planned_at=due,
        planned_on=None if due else day(row, "due_on"),
        updated_at=updated,
        archived=project.row.get("archived") is True,
        url=_link(row),
        grade=_grade(at, by, verdict),
        date_provenance=(Provenance.NATIVE if at else Provenance.FIRST_OBSERVED) if done else Provenance.ABSENT,
        person_provenance=Provenance.NATIVE if by else Provenance.ABSENT,
        extra=unknown_fields(row, KNOWN),
    )


def _completed(row: Row) -> bool:
    value = row.get("completed")
    if value is None:
        raise BadRow("PROOF_FIELD_MISSING", field="completed")
    if not isinstance(value, bool):
        raise wrong_type("completed", value, "true or false")
    return value


def _verdict(row: Row) -> str:
    verdict = need_text(row, "approval_status")
    if verdict not in VERDICTS:
        raise BadRow("STATE_UNKNOWN", field="approval_status", found=verdict, expected=", ".join(VERDICTS))
    return verdict


def _completion(row: Row) -> tuple[datetime | None, str | None]:
    return instant(row, "completed_at"), _name(row, "completed_by")


def _grade(at: datetime | None, by: str | None, verdict: str | None) -> EvidenceGrade:
    """The record itself names moment and person; an approval is a formal decision besides."""
    if not (at and by):
        return EvidenceGrade.STATE
    return EvidenceGrade.REVIEW if verdict == "approved" else EvidenceGrade.HISTORY


def _name(row: Row, field: str) -> str | None:
    """The name of a compact record; not proof of anything, so what cannot be read is none."""
    inner = row.get(field)
    return text_or_none(inner, "name") if isinstance(inner, dict) else None


def _gid(compact: object) -> str | None:
    return str(compact.get("gid")) if isinstance(compact, dict) else None


def _link(row: Row) -> str | None:
    """For the reader; only what a browser may follow safely."""
    url = text_or_none(row, "permalink_url")
    return url if url and url.startswith("https://") else None
