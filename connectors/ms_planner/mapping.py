"""Planner's tasks as observations.

A task is done at `percentComplete` 100, and only then do `completedDateTime` and `completedBy` count. Planner has no
milestone flag and no date of change: a plan, or named buckets of it, must be kept for milestones.
Source: the Graph metadata (EntityType plannerTask) and learn.microsoft.com, plannerTask resource.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from connectors.http.fields import BadRow, instant, need_text, unknown_fields, wrong_type
from connectors.http.source import Project
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Observation, Provenance

Row = dict[str, Any]

KNOWN = frozenset(
    "id title planId bucketId percentComplete completedDateTime completedBy dueDateTime startDateTime createdDateTime createdBy "
    "priority orderHint assigneePriority assignments appliedCategories hasDescription previewType referenceCount checklistItemCount "
    "activeChecklistItemCount conversationThreadId @odata.etag @odata.context".split()
)
#: From general knowledge, not from a description: the page that opens a task.
LINK = "https://tasks.office.com/{tenant}/Home/Task/{task}"
STATES = {0: "notStarted", 100: "completed"}


def task(connection: str, row: Mapping[str, Any], plan: Project, tenant: str) -> Observation:
    """One task of a plan. Raises BadRow where a proof field is missing or of another type."""
    percent = _percent(row)
    done = percent == 100
    at = instant(row, "completedDateTime") if done else None
    by = person(row.get("completedBy")) if done else None
    identity = need_text(row, "id")
    return Observation(
        connection=connection,
        project_id=plan.id,
        project_key=plan.key,
        project_name=plan.name,
        milestone_id=identity,
        kind="task",
        name=need_text(row, "title"),
        state=STATES.get(percent, "inProgress"),
        done=done,
        percent_bp=percent * 100,
        done_at=at,
        done_by=by,
        planned_at=instant(row, "dueDateTime"),
        url=LINK.format(tenant=quote(tenant, safe=""), task=quote(identity, safe="")),
        grade=EvidenceGrade.HISTORY if at and by else EvidenceGrade.STATE,
        date_provenance=Provenance.ABSENT if not done else Provenance.NATIVE if at else Provenance.FIRST_OBSERVED,
        person_provenance=Provenance.NATIVE if by else Provenance.ABSENT,
        percent_provenance=Provenance.NATIVE,
        extra=unknown_fields(dict(row), KNOWN),
    )


def person(identity_set: object) -> str | None:
    """Who, of an identitySet: the name where Graph gives one (Planner often leaves it empty), else the id."""
    who = identity_set.get("user") or identity_set.get("application") if isinstance(identity_set, dict) else None
    if not isinstance(who, dict):
        return None
    named = [v for v in (who.get("displayName"), who.get("id")) if isinstance(v, str) and v]
    return named[0] if named else None


def _percent(row: Mapping[str, Any]) -> int:
    value = row.get("percentComplete")
    if value is None:
        raise BadRow("PROOF_FIELD_MISSING", field="percentComplete")
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type("percentComplete", value, "a whole number")
    if not 0 <= value <= 100:
        raise BadRow("PERCENT_RANGE", field="percentComplete", found=value)
    return value
