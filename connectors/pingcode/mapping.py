"""PingCode's rows as observations. Times are unix seconds; `completed` is done, `closed` is given up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from connectors.http.fields import BadRow, need_mapping, need_text, seconds
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Observation, Provenance, StateChange

Row = dict[str, Any]
Build = Callable[[str, Row, Row], Observation]

STATE_TYPES = ("pending", "in_progress", "completed", "closed")
KNOWN = frozenset(
    "id url project identifier short_id html_url title type state assignee priority start_at end_at completed_at parent_id parent "
    "phase sprint version versions board entry swimlane description story_points estimated_workload remaining_workload properties "
    "tags participants created_at created_by updated_at updated_by is_archived is_deleted phase_id public_image_token".split()
)


def _person(value: object) -> str | None:
    return str(value.get("display_name") or value.get("name") or value.get("id")) if isinstance(value, dict) else None


def _state(row: Mapping[str, Any], done_states: Sequence[str]) -> tuple[str, bool]:
    state = need_mapping(row, "state")
    kind, name = need_text(state, "type"), need_text(state, "name")
    if kind not in STATE_TYPES:
        raise BadRow("STATE_UNKNOWN", field="state.type", found=kind, expected=", ".join(STATE_TYPES))
    return name, name in done_states if done_states else kind == "completed"


def work_item(
    connection: str,
    row: Row,
    kinds: Mapping[str, str],
    projects: Mapping[str, Row],
    history: Sequence[Row],
    done_states: Sequence[str],
    accepted_states: Sequence[str],
) -> Observation:
    """A milestone or phase. Raises BadRow where a proof field is missing or of another type."""
    identity, title = need_text(row, "id"), need_text(row, "title")
    state, done = _state(row, done_states)
    own = need_mapping(row, "project")
    project = projects.get(need_text(own, "id"), own)
    changes = tuple(_change(h, done_states) for h in sorted(history, key=lambda h: h.get("created_at", 0)))
    reached = next((c for c in reversed(changes) if c.done), None) if done and changes and changes[-1].done else None
    completed = seconds(row, "completed_at")
    by = reached.by if reached else None
    return Observation(
        connection=connection,
        project_id=str(project["id"]),
        project_key=str(project.get("identifier") or project["id"]),
        project_name=str(project.get("name", "")),
        milestone_id=identity,
        kind=kinds.get(str(row.get("type")), "milestone"),
        name=title,
        state=state,
        done=done,
        accepted=state in accepted_states,
        done_at=(completed or (reached.at if reached else seconds(row, "updated_at"))) if done else None,
        done_by=by,
        planned_at=seconds(row, "end_at"),
        updated_at=seconds(row, "updated_at"),
        deleted=bool(row.get("is_deleted")),
        archived=bool(row.get("is_archived")),
        url=row.get("html_url") if isinstance(row.get("html_url"), str) else None,
        grade=EvidenceGrade.HISTORY if reached and by else EvidenceGrade.STATE,
        date_provenance=_date_from(done=done, completed=completed is not None, reached=reached is not None),
        person_provenance=Provenance.HISTORY if by else Provenance.ABSENT,
        history=changes,
        unproven=done and reached is None,
        extra={k: v for k, v in row.items() if k not in KNOWN},
    )


def _date_from(*, done: bool, completed: bool, reached: bool) -> Provenance:
    if not done:
        return Provenance.ABSENT
    if completed:
        return Provenance.NATIVE
    return Provenance.HISTORY if reached else Provenance.FIRST_OBSERVED


def _change(row: Row, done_states: Sequence[str]) -> StateChange:
    to = need_mapping(row, "to_state")
    at = seconds(row, "created_at")
    if at is None:
        raise BadRow("PROOF_FIELD_MISSING", field="transition.created_at")
    name = str(to.get("name", ""))
    return StateChange(
        at, name in done_states if done_states else to.get("type") == "completed", _person(row.get("created_by")), name
    )


def _plan(connection: str, row: Row, project: Row, kind: str, state: str, **proof: Any) -> Observation:
    return Observation(
        connection=connection,
        project_id=str(project["id"]),
        project_key=str(project.get("identifier") or project["id"]),
        project_name=str(project.get("name", "")),
        milestone_id=need_text(row, "id"),
        kind=kind,
        name=need_text(row, "name"),
        state=state,
        updated_at=seconds(row, "updated_at"),
        url=row.get("html_url") if isinstance(row.get("html_url"), str) else None,
        **proof,
    )


def sprint(connection: str, row: Row, project: Row) -> Observation:
    """A sprint; one that was completed by a script has no completion date and is unproven."""
    status = need_text(row, "status")
    if status not in ("pending", "in_progress", "completed"):
        raise BadRow("STATE_UNKNOWN", field="status", found=status, expected="pending, in_progress, completed")
    done, completed = status == "completed", seconds(row, "completed_at")
    return _plan(
        connection, row, project, "sprint", status,
        done=done,
        done_at=(completed or seconds(row, "updated_at")) if done else None,
        planned_at=seconds(row, "end_at"),
        unproven=done and completed is None,
        date_provenance=_date_from(done=done, completed=completed is not None, reached=False),
    )  # fmt: skip


def release(connection: str, row: Row, project: Row) -> Observation:
    """A release is done in a stage of type `published`; the stage's date is typed in by a person."""
    stage = need_mapping(row, "stage")
    done = need_text(stage, "type") == "published"
    reached = seconds(row, "operate_at")
    share = row.get("progress")
    return _plan(
        connection, row, project, "release", str(stage.get("name", "")),
        done=done,
        done_at=(reached or seconds(row, "updated_at")) if done else None,
        planned_at=seconds(row, "end_at"),
        percent_bp=_basis_points(share) if share is not None else None,
        percent_provenance=Provenance.CHILDREN if share is not None else Provenance.ABSENT,
        date_provenance=_date_from(done=done, completed=reached is not None, reached=False),
    )  # fmt: skip


def _basis_points(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise BadRow("PERCENT_RANGE", field="progress", found=repr(value)[:40])
    return int(value * 100)


def progress(connection: str, project: Row, answer: Any) -> Observation:
    """The share of completed work items of a project, as a milestone of kind `project`."""
    counts = need_mapping(answer if isinstance(answer, dict) else {}, "work_item")
    total, done = counts.get("total"), counts.get("completed_count")
    if not isinstance(total, int) or not isinstance(done, int):
        raise BadRow("PROOF_FIELD_TYPE", field="work_item", found=repr(counts)[:60], expected="counts")
    if not 0 <= done <= total:
        raise BadRow("PERCENT_RANGE", field="completed_count", found=f"{done} of {total}")
    share = done * 10_000 // total if total else 0
    return Observation(
        connection=connection,
        project_id=str(project["id"]),
        project_key=str(project.get("identifier") or project["id"]),
        project_name=str(project.get("name", "")),
        milestone_id=f"project:{project['id']}",
        kind="project",
        name=str(project.get("name", "")),
        state=f"{done}/{total}",
        done=total > 0 and done == total,
        percent_bp=share,
        updated_at=seconds(project, "updated_at"),
        grade=EvidenceGrade.NUMBER,
        date_provenance=Provenance.FIRST_OBSERVED,
        percent_provenance=Provenance.CHILDREN,
    )
