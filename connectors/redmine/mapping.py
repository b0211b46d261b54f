"""Redmine's rows as observations.

A version carries neither a percentage nor a date of closing: both come from its issues. Only
`status.is_closed` tells an open issue from a closed one - a reopened issue keeps its `closed_on`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from connectors.http.fields import BadRow, day, instant, need_mapping, need_text, unknown_fields, wrong_type
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Observation, Provenance, StateChange

Row = dict[str, Any]

STATUSES = ("open", "locked", "closed")
KNOWN_VERSION = frozenset(
    "id project name description status due_date sharing wiki_page_title wiki_page_id estimated_hours spent_hours custom_fields "
    "created_on updated_on".split()
)
KNOWN_ISSUE = frozenset(
    "id project tracker status priority author assigned_to category fixed_version parent subject description start_date due_date "
    "done_ratio is_private estimated_hours total_estimated_hours spent_hours total_spent_hours custom_fields created_on updated_on "
    "closed_on journals relations children attachments watchers changesets allowed_statuses".split()
)


def is_closed(issue: Mapping[str, Any], closed_ids: frozenset[str]) -> bool:
    """By the issue's own flag; where an older Redmine sends none, by the list of statuses."""
    status = need_mapping(issue, "status")
    told = status.get("is_closed")
    if told is None:
        return need_text(status, "id", "status.id") in closed_ids
    if not isinstance(told, bool):
        raise wrong_type("status.is_closed", told, "true or false")
    return told


def percent(issues: Sequence[Row], closed_ids: frozenset[str]) -> int:
    """Completed share in basis points as Redmine's Version model has it: closed issues whole, open ones by
    their done_ratio, weighted by estimated hours; those without an estimate weigh the average."""
    if not issues:
        return 0
    given = [h for i in issues if (h := _hours(i)) > 0]
    average = sum(given, Fraction(0)) / len(given) if given else Fraction(1)
    done = whole = Fraction(0)
    for issue in issues:
        weight = _hours(issue) or average
        ratio = 100 if is_closed(issue, closed_ids) else _ratio(issue) or 0
        done += weight * Fraction(ratio, 100)
        whole += weight
    return int(done / whole * 10_000)


def _hours(issue: Row) -> Fraction:
    value = issue.get("estimated_hours")
    usable = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    return Fraction(Decimal(str(value))) if usable else Fraction(0)


def _ratio(issue: Row) -> int | None:
    value = issue.get("done_ratio")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type("done_ratio", value, "a whole number")
    if not 0 <= value <= 100:
        raise BadRow("PERCENT_RANGE", field="done_ratio", found=value)
    return value


def last_closed(issues: Sequence[Row], closed_ids: frozenset[str]) -> Row | None:
    """The issue that was closed last, where all are closed."""
    if not issues or not all(is_closed(i, closed_ids) for i in issues):
        return None
    dated = [(at, str(i.get("id")), i) for i in issues if (at := instant(i, "closed_on")) is not None]
    return max(dated, key=lambda found: found[:2])[2] if dated else None


def version(
    connection: str,
    row: Row,
    project: Row,
    issues: Sequence[Row],
    closed_ids: frozenset[str],
    rule: str,
    by: str | None,
    url: str,
) -> Observation:
    """A version as a milestone. Raises BadRow where a proof field is missing or of another type."""
    status = need_text(row, "status")
    if status not in STATUSES:
        raise BadRow("STATE_UNKNOWN", field="status", found=status, expected=", ".join(STATUSES))
    newest = last_closed(issues, closed_ids)
    all_closed = bool(issues) and all(is_closed(i, closed_ids) for i in issues)
    done = all_closed if rule == "all_issues_closed" else status == "closed"
    at = instant(newest, "closed_on") if newest is not None else None
    return Observation(
        connection=connection,
        **_project(project),
        milestone_id=f"version:{need_text(row, 'id')}",
        kind="version",
        name=need_text(row, "name"),
        state=status,
        done=done,
        percent_bp=percent(issues, closed_ids),
        done_at=(at or instant(row, "updated_on")) if done else None,
        done_by=by if done else None,
        planned_on=day(row, "due_date"),
        updated_at=instant(row, "updated_on"),
        url=f"{url}/versions/{row['id']}",
        grade=EvidenceGrade.STATE,
        date_provenance=_date_from(done=done, found=at is not None, source=Provenance.CHILDREN),
        person_provenance=Provenance.CHILDREN if done and by else Provenance.ABSENT,
        percent_provenance=Provenance.CHILDREN,
        extra=unknown_fields(row, KNOWN_VERSION),
    )


def issue(
    connection: str,
    row: Row,
    project: Row,
    history: tuple[StateChange, ...],
    closed_ids: frozenset[str],
    url: str,
) -> Observation:
    """An issue of a chosen tracker as a milestone. Raises BadRow."""
    done, ratio = is_closed(row, closed_ids), _ratio(row)
    reached = _since(history) if done else None
    own, updated = instant(row, "closed_on"), instant(row, "updated_on")
    by = reached.by if reached else None
    return Observation(
        connection=connection,
        **_project(project),
        milestone_id=f"issue:{need_text(row, 'id')}",
        kind="issue",
        name=need_text(row, "subject"),
        state=need_text(need_mapping(row, "status"), "name", "status.name"),
        done=done,
        percent_bp=None if ratio is None else ratio * 100,
        done_at=_done_at(own, reached, updated) if done else None,
        done_by=by,
        planned_on=day(row, "due_date"),
        updated_at=updated,
        url=f"{url}/issues/{row['id']}",
        grade=EvidenceGrade.HISTORY if by else EvidenceGrade.STATE,
        date_provenance=_date_from(done=done, found=bool(own or reached), source=Provenance.NATIVE if own else Provenance.HISTORY),
        person_provenance=Provenance.HISTORY if by else Provenance.ABSENT,
        percent_provenance=Provenance.ABSENT if ratio is None else Provenance.NATIVE,
        history=history,
        extra=unknown_fields(row, KNOWN_ISSUE),
    )  # fmt: skip


def _since(history: Sequence[StateChange]) -> StateChange | None:
    """The first of the last unbroken run of closed states."""
    found = None
    for change in reversed(history):
        if not change.done:
            break
        found = change
    return found


def _done_at(own: datetime | None, reached: StateChange | None, updated: datetime | None) -> datetime | None:
    """`closed_on` is the last closing; a move from one closed status to another does not touch it."""
    return own or (reached.at if reached else updated)


def _date_from(*, done: bool, found: bool, source: Provenance) -> Provenance:
    if not done:
        return Provenance.ABSENT
    return source if found else Provenance.FIRST_OBSERVED


def _project(project: Row) -> dict[str, Any]:
    return {
        "project_id": str(project["id"]),
        "project_key": str(project.get("identifier") or project["id"]),
        "project_name": str(project.get("name", "")),
    }


def changes(journals: object, closed_ids: frozenset[str]) -> tuple[StateChange, ...]:
    """Changes of status with person and date; a journal names statuses by id."""
    found = []
    for entry in journals if isinstance(journals, list) else []:
        if not isinstance(entry, dict):
            raise wrong_type("journals[]", entry, "an object")
        details = entry.get("details")
        moves = [d for d in details if _is_move(d)] if isinstance(details, list) else []
        at = instant(entry, "created_on")
        if moves and at is None:
            raise BadRow("PROOF_FIELD_MISSING", field="journal.created_on")
        if moves and at is not None:
            user, to = entry.get("user"), str(moves[-1].get("new_value"))
            name = user.get("name") if isinstance(user, dict) else None
            found.append(StateChange(at, to in closed_ids, name if isinstance(name, str) else None, to))
    return tuple(sorted(found, key=lambda c: c.at))


def _is_move(detail: object) -> bool:
    return isinstance(detail, dict) and detail.get("property") == "attr" and detail.get("name") == "status_id"
