"""Feishu Project's (Meegle's) work items and workflow nodes as observations.

A work item is done in an archived state; the state itself says since when and by whom, and its history of states comes
with it. A node of a workflow is done at status 3 and can be rolled back; the flag `milestone` marks those that matter.
Times are milliseconds, people are user keys. Items that were terminated are not listed at all.
Source: larksuite/project-oapi-sdk-golang service/workitem, and the developer manual's data structures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from connectors.http.fields import BadRow, millis, need_mapping, need_text, unknown_fields, wrong_type
from connectors.http.source import Project
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Observation, Provenance, StateChange

Row = dict[str, Any]

KNOWN_ITEM = frozenset(
    "id name work_item_type_key project_key template_type template_id pattern sub_stage current_nodes created_by updated_by created_at "
    "updated_at deleted_by deleted_at fields work_item_status simple_name workflow_infos state_times multi_texts relation_fields_detail "
    "user_details sub_task_parent_info".split()
)
KNOWN_NODE = frozenset(
    "id state_key name status fields node_fields owners owner_usage_mode node_schedule schedules sub_tasks actual_begin_time "
    "actual_finish_time role_assignee different_schedule sub_status milestone participants finished_infos checker".split()
)
WAITING, RUNNING, PASSED = 1, 2, 3
NODE_STATES = {WAITING: "not started", RUNNING: "in progress", PASSED: "done"}
#: Seen in links that people share, not in the manual: the page of a work item.
LINK = "{base}/{space}/{type}/detail/{id}"


def item(
    connection: str,
    row: Mapping[str, Any],
    space: Project,
    base: str,
    done_states: Sequence[str],
    planned_field: str,
) -> Observation:
    """A work item. Raises BadRow where a proof field is missing or of another type."""
    status, people = need_mapping(row, "work_item_status"), names(row)
    state, done = need_text(status, "state_key", "work_item_status.state_key"), _is_done(status, done_states)
    history = _history(status, done_states, people)
    reached = _since(history) if done else None
    at = (reached.at if reached else None) or (millis(status, "updated_at") if done else None)
    by = reached.by if reached else None
    updated = millis(row, "updated_at")
    return Observation(
        connection=connection,
        **_place(space),
        milestone_id=f"item:{need_text(row, 'id')}",
        kind=str(row.get("work_item_type_key") or "item"),
        name=need_text(row, "name"),
        state=state,
        done=done,
        done_at=(at or updated) if done else None,
        done_by=by,
        planned_at=_planned(row, planned_field),
        updated_at=updated,
        deleted=bool(row.get("deleted_at")),
        url=link(base, space, row),
        grade=EvidenceGrade.HISTORY if by else EvidenceGrade.STATE,
        date_provenance=_from(done=done, at=at),
        person_provenance=Provenance.HISTORY if by else Provenance.ABSENT,
        history=history,
        extra=unknown_fields(dict(row), KNOWN_ITEM),
    )


def node(connection: str, row: Mapping[str, Any], parent: Mapping[str, Any], space: Project, base: str) -> Observation:
    """A node of a work item's flow, named after both. Raises BadRow."""
    status, people = _status(row), names(parent)
    done = status == PASSED
    finished = _finished(row) if done else None
    at, by = finished or (None, None)
    identity = f"{need_text(parent, 'id')}/{need_text(row, 'state_key')}"
    return Observation(
        connection=connection,
        **_place(space),
        milestone_id=f"node:{identity}",
        kind="node",
        name=f"{need_text(parent, 'name')} / {need_text(row, 'name')}",
        state=NODE_STATES[status],
        done=done,
        done_at=at or (millis(parent, "updated_at") if done else None),
        done_by=people.get(by, by) if by else None,
        planned_at=_node_planned(row),
        updated_at=millis(parent, "updated_at"),
        url=link(base, space, parent),
        grade=EvidenceGrade.HISTORY if at and by else EvidenceGrade.STATE,
        date_provenance=_from(done=done, at=at),
        person_provenance=Provenance.NATIVE if by else Provenance.ABSENT,
        extra=unknown_fields(dict(row), KNOWN_NODE),
    )


def is_milestone(row: Mapping[str, Any], wanted: Sequence[str]) -> bool:
    """A node that is flagged, or named in the configuration."""
    return row.get("milestone") is True or row.get("name") in wanted or row.get("state_key") in wanted


def names(row: Mapping[str, Any]) -> Mapping[str, str]:
    """User key -> name, where the answer has the people's details."""
    details = row.get("user_details")
    found: dict[str, str] = {}
    for who in details if isinstance(details, list) else []:
        key = who.get("user_key") if isinstance(who, dict) else None
        name = next((who[n] for n in ("name_cn", "name_en", "username") if who.get(n)), None) if key else None
        if isinstance(key, str) and isinstance(name, str):
            found[key] = name
    return found


def link(base: str, space: Project, row: Mapping[str, Any]) -> str:
    """The page of a work item."""
    return LINK.format(base=base, space=space.key, type=row.get("work_item_type_key"), id=row.get("id"))


def _is_done(status: Mapping[str, Any], done_states: Sequence[str]) -> bool:
    if done_states:
        return status.get("state_key") in done_states
    value = status.get("is_archived_state")
    if value is None:
        raise BadRow("PROOF_FIELD_MISSING", field="work_item_status.is_archived_state")
    if not isinstance(value, bool):
        raise wrong_type("work_item_status.is_archived_state", value, "true or false")
    return value


def _history(
    status: Mapping[str, Any], done_states: Sequence[str], people: Mapping[str, str]
) -> tuple[StateChange, ...]:
    """The states so far, oldest first; the present one may or may not be among them."""
    past = status.get("history")
    steps = {
        _step(s, done_states, people)
        for s in (*(past if isinstance(past, list) else ()), status)
        if isinstance(s, dict)
    }
    return tuple(sorted((s for s in steps if s is not None), key=lambda s: (s.at, s.state or "")))


def _step(status: Mapping[str, Any], done_states: Sequence[str], people: Mapping[str, str]) -> StateChange | None:
    at, by = millis(status, "updated_at"), status.get("updated_by")
    who = people.get(by, by) if isinstance(by, str) and by else None
    return None if at is None else StateChange(at, _is_done(status, done_states), who, str(status.get("state_key")))


def _since(history: Sequence[StateChange]) -> StateChange | None:
    """The first of the last unbroken run of done states."""
    found = None
    for change in reversed(history):
        if not change.done:
            break
        found = change
    return found


def _status(row: Mapping[str, Any]) -> int:
    value = row.get("status")
    if value is None:
        raise BadRow("PROOF_FIELD_MISSING", field="status")
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type("status", value, "1, 2 or 3")
    if value not in NODE_STATES:
        raise BadRow("STATE_UNKNOWN", field="status", found=str(value), expected="1, 2, 3")
    return value


def _finished(row: Mapping[str, Any]) -> tuple[datetime | None, str | None]:
    """When a node was passed, and by the last of those who confirmed it."""
    listed = row.get("sub_status")
    checks = [c for c in (listed if isinstance(listed, list) else ()) if isinstance(c, dict) and c.get("status") == 1]
    dated = sorted((at, str(c.get("owner") or "")) for c in checks if (at := millis(c, "checked_time")) is not None)
    own = millis(row, "actual_finish_time")
    return own or (dated[-1][0] if dated else None), (dated[-1][1] or None) if dated else None


def _planned(row: Mapping[str, Any], wanted: str) -> datetime | None:
    """The date in the field that the configuration names: milliseconds, or a period with its end."""
    fields = row.get("fields")
    for pair in fields if wanted and isinstance(fields, list) else []:
        if isinstance(pair, dict) and wanted in (pair.get("field_key"), pair.get("field_alias")):
            value = pair.get("field_value")
            inner = value if isinstance(value, dict) else {"end": value}
            return millis(inner, "end_time" if "end_time" in inner else "end")
    return None


def _node_planned(row: Mapping[str, Any]) -> datetime | None:
    schedule = row.get("node_schedule")
    return millis(schedule, "estimate_end_date") if isinstance(schedule, dict) else None


def _from(*, done: bool, at: datetime | None) -> Provenance:
    if not done:
        return Provenance.ABSENT
    return Provenance.NATIVE if at else Provenance.FIRST_OBSERVED


def _place(space: Project) -> dict[str, Any]:
    return {"project_id": space.id, "project_key": space.key, "project_name": space.name}
