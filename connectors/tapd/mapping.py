"""TAPD's iterations and release reviews as observations.

Times are texts without a zone, in China's time; all values are texts or null. An iteration's status may be one of the
company's own making, so only `done` and the configured ones count. A release review (launch form) counts when it was
signed with a verdict that is known to agree: of the verdicts only `sign_agree` stands in the documentation, any other
must be named in the configuration before it means anything.
Source: open.tapd.cn/document/api-doc, pages iterations, iteration_changes, launch_forms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from connectors.http.fields import BadRow, need_text, text_or_none, wrong_type
from connectors.http.source import Project
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Observation, Provenance, StateChange

Row = dict[str, Any]

KNOWN_ITERATION = frozenset(
    "id name workspace_id startdate enddate status release_id description creator created modified completed lock_info locker "
    "workitem_type_id plan_app_id parent_id ancestor_id path level templated_id template_id entity_type label releaseid".split()
)
KNOWN_FORM = frozenset(
    "id title name creator created modified workspace_id status version_type baseline release_model roadmap_version release_type "
    "change_type signed_by archived_by cc change_notifier signed archived signer_result signer_comment release_result release_comment "
    "test_path created_path remark participator template_id iteration_id release_id flows".split()
)
#: Two independent clients build this address (one is Apache DevLake); of a review none is known.
LINK = "https://www.tapd.cn/{workspace}/prong/iterations/view/{id}"


def iteration(
    connection: str,
    row: Mapping[str, Any],
    project: Project,
    history: tuple[StateChange, ...],
    done_states: Sequence[str],
    zone: ZoneInfo,
) -> Observation:
    """An iteration. Raises BadRow where a proof field is missing or of another type."""
    state = need_text(row, "status")
    done, own = state in done_states, local(row, "completed", zone)
    reached = _since(history) if done else None
    at, by = own or (reached.at if reached else None), reached.by if reached else None
    return Observation(
        connection=connection,
        **_place(project),
        milestone_id=f"iteration:{need_text(row, 'id')}",
        kind="iteration",
        name=need_text(row, "name"),
        state=state,
        done=done,
        done_at=(at or local(row, "modified", zone)) if done else None,
        done_by=by,
        planned_on=_day(row, "enddate"),
        updated_at=local(row, "modified", zone),
        url=LINK.format(workspace=project.id, id=row["id"]),
        grade=EvidenceGrade.HISTORY if by else EvidenceGrade.STATE,
        date_provenance=_from(done, own, reached),
        person_provenance=Provenance.HISTORY if by else Provenance.ABSENT,
        history=history,
        extra=_unknown(row, KNOWN_ITERATION),
    )


def launch_form(
    connection: str,
    row: Mapping[str, Any],
    project: Project,
    agreed: Sequence[str],
    refused: Sequence[str],
    zone: ZoneInfo,
) -> Observation:
    """A release review; signed with consent it is done and accepted. Raises BadRow, also for an unknown verdict."""
    signed, verdict = local(row, "signed", zone), text_or_none(row, "signer_result")
    if signed and verdict not in (*agreed, *refused):
        expected = ", ".join((*agreed, *refused))
        raise BadRow("STATE_UNKNOWN", field="signer_result", found=verdict or "null", expected=expected)
    done = signed is not None and verdict in agreed
    by = text_or_none(row, "signed_by") if done else None
    return Observation(
        connection=connection,
        **_place(project),
        milestone_id=f"launch_form:{need_text(row, 'id')}",
        kind="launch_form",
        name=text_or_none(row, "title") or need_text(row, "name"),
        state=need_text(row, "status"),
        done=done,
        accepted=done,
        accepted_at=signed if done else None,
        done_at=signed if done else None,
        done_by=by,
        updated_at=local(row, "modified", zone),
        grade=EvidenceGrade.REVIEW if by else EvidenceGrade.STATE,
        date_provenance=Provenance.NATIVE if done else Provenance.ABSENT,
        person_provenance=Provenance.NATIVE if by else Provenance.ABSENT,
        extra=_unknown(row, KNOWN_FORM),
    )


def changes(rows: Sequence[Mapping[str, Any]], done_states: Sequence[str], zone: ZoneInfo) -> tuple[StateChange, ...]:
    """An iteration's changes of status, with person and date, oldest first. Raises BadRow."""
    found = []
    for row in rows:
        if row.get("field") != "status":
            continue
        at, state = local(row, "created", zone), text_or_none(row, "new_value")
        if at is None or state is None:
            raise BadRow("PROOF_FIELD_MISSING", field="iteration_changes.created")
        found.append(StateChange(at, state in done_states, text_or_none(row, "author"), state))
    return tuple(sorted(found, key=lambda c: c.at))


def local(row: Mapping[str, Any], name: str, zone: ZoneInfo) -> datetime | None:
    """`2026-11-20 12:00:00` in the zone, as an instant in UTC; nothing for null, empty and 0000-00-00."""
    value = row.get(name)
    if value is None or value == "" or (isinstance(value, str) and value.startswith("0000")):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise wrong_type(name, value, "YYYY-MM-DD HH:MM:SS") from None


def _day(row: Mapping[str, Any], name: str) -> date | None:
    value = row.get(name)
    if value is None or value == "" or (isinstance(value, str) and value.startswith("0000")):
        return None
    try:
        return date.fromisoformat(value[:10])
    except (TypeError, ValueError):
        raise wrong_type(name, value, "YYYY-MM-DD") from None


def _since(history: Sequence[StateChange]) -> StateChange | None:
    """The first of the last unbroken run of done states."""
    found = None
    for change in reversed(history):
        if not change.done:
            break
        found = change
    return found


def _from(done: bool, own: datetime | None, reached: StateChange | None) -> Provenance:  # noqa: FBT001 - a fact
    if not done:
        return Provenance.ABSENT
    return Provenance.NATIVE if own else Provenance.HISTORY if reached else Provenance.FIRST_OBSERVED


def _place(project: Project) -> dict[str, Any]:
    return {"project_id": project.id, "project_key": project.key, "project_name": project.name}


def _unknown(row: Mapping[str, Any], known: frozenset[str]) -> Mapping[str, Any]:
    """Fields nobody knows; a company's own fields (custom_field_…) are expected."""
    return {k: v for k, v in row.items() if k not in known and not k.startswith("custom_field_")}
