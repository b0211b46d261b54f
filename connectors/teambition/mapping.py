"""Teambition's sprints and tasks as observations.

Neither says who completed it. A sprint's states are future, active and complete, with the instant it was completed;
a task is done or not, with its own instant. All times are UTC texts.
Source: open.teambition.com/docs (sprint search, project task query) as two recorded clients show the answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from connectors.http.fields import BadRow, instant, need_text, unknown_fields, wrong_type
from connectors.http.source import Project
from models.domain.observations import Observation, Provenance

Row = dict[str, Any]

KNOWN_SPRINT = frozenset(
    "id name projectId executorId description status startDate dueDate accomplished created updated creatorId isDeleted payload "
    "labels storyPoint plannedStoryPoint actualStoryPoint sprintId customfields planToDo".split()
)
KNOWN_TASK = frozenset(
    "id taskId content note projectId creatorId executorId involveMembers isArchived isDone accomplishTime ancestorIds parentTaskId "
    "created updated startDate dueDate customfields isDeleted priority recurrence sfcId sprintId stageId storyPoint tagIds tasklistId tfsId "
    "uniqueId visible progress organizationId isTop rating labels source workTime recurrences tfsUpdateTime reminder divisions".split()
)
SPRINT_STATES = ("future", "active", "complete")
#: Built so by a client and seen in links that people share; not in the documentation.
LINKS = {
    "sprint": "https://www.teambition.com/project/{project}/sprint/section/{id}",
    "task": "https://www.teambition.com/project/{project}/tasks/{id}",
}


def sprint(connection: str, row: Mapping[str, Any], project: Project) -> Observation:
    """A sprint. Raises BadRow where a proof field is missing or of another type."""
    state = need_text(row, "status")
    if state not in SPRINT_STATES:
        raise BadRow("STATE_UNKNOWN", field="status", found=state, expected=", ".join(SPRINT_STATES))
    name, done = need_text(row, "name"), state == "complete"
    return _seen(connection, row, project, "sprint", name, state, instant(row, "accomplished"), KNOWN_SPRINT, done=done)


def task(connection: str, row: Mapping[str, Any], project: Project) -> Observation:
    """A task. Raises BadRow."""
    done = row.get("isDone")
    if done is None:
        raise BadRow("PROOF_FIELD_MISSING", field="isDone")
    if not isinstance(done, bool):
        raise wrong_type("isDone", done, "true or false")
    name, state = need_text(row, "content"), "done" if done else "open"
    return _seen(connection, row, project, "task", name, state, instant(row, "accomplishTime"), KNOWN_TASK, done=done)


def _seen(
    connection: str,
    row: Mapping[str, Any],
    project: Project,
    kind: str,
    name: str,
    state: str,
    at: datetime | None,
    known: frozenset[str],
    *,
    done: bool,
) -> Observation:
    identity, updated = need_text(row, "id"), instant(row, "updated")
    found = Provenance.NATIVE if at else Provenance.FIRST_OBSERVED
    return Observation(
        connection=connection,
        project_id=project.id,
        project_key=project.key,
        project_name=project.name,
        milestone_id=f"{kind}:{identity}",
        kind=kind,
        name=name,
        state=state,
        done=done,
        done_at=(at or updated) if done else None,
        planned_at=instant(row, "dueDate"),
        updated_at=updated,
        deleted=row.get("isDeleted") is True,
        archived=row.get("isArchived") is True,
        url=LINKS[kind].format(project=project.id, id=identity),
        date_provenance=found if done else Provenance.ABSENT,
        extra=unknown_fields(dict(row), known),
    )
