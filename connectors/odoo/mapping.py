"""Odoo's `project.milestone` rows as observations.

An unset value comes as `false`, whatever the field's type. `reached_date` is stored when `is_reached` is ticked: the
day in the ticking user's zone, nothing more. `write_uid` is whoever wrote last, for whatever reason, and `is_reached`
is not a tracked field: nobody can be named for the completion.
Source: odoo/odoo addons/project/models/project_milestone.py, 17 to 19.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from connectors.http.fields import BadRow, day, need_text, unknown_fields, wrong_type
from connectors.http.source import Project
from models.domain.observations import Observation, Provenance

Row = dict[str, Any]

#: What is asked for; a version that lacks one of the latter does without (`fields_get` tells).
NEEDED = ("name", "project_id", "is_reached", "write_date")
WISHED = ("deadline", "reached_date", "task_count", "done_task_count", "create_date", "write_uid")
KNOWN = frozenset(("id", *NEEDED, *WISHED))


def milestone(connection: str, row: Mapping[str, Any], project: Project, url: str) -> Observation:
    """One milestone; `url` is Odoo's root. Raises BadRow where a proof field is missing or of another type."""
    identity, done = need_text(row, "id"), _truth(row, "is_reached")
    reached, percent = _day(row, "reached_date") if done else None, _percent(row)
    return Observation(
        connection=connection,
        project_id=project.id,
        project_key=project.key,
        project_name=project.name,
        milestone_id=f"milestone:{identity}",
        kind="milestone",
        name=need_text(row, "name"),
        state="reached" if done else "open",
        done=done,
        percent_bp=percent,
        done_on=reached,
        planned_on=_day(row, "deadline"),
        updated_at=utc_text(row, "write_date"),
        archived=project.row.get("active") is False,
        url=f"{url}/odoo/project.milestone/{identity}",
        date_provenance=_date_from(done=done, reached=reached),
        percent_provenance=Provenance.ABSENT if percent is None else Provenance.CHILDREN,
        extra=unknown_fields(dict(row), KNOWN),
    )


def project_of(row: Mapping[str, Any]) -> str:
    """The id of a milestone's project: [id, name] in every answer. Raises BadRow."""
    value = row.get("project_id")
    if value is None or value is False:
        raise BadRow("PROOF_FIELD_MISSING", field="project_id")
    if not isinstance(value, list) or not value:
        raise wrong_type("project_id", value, "[id, name]")
    return str(value[0])


def utc_text(row: Mapping[str, Any], name: str) -> datetime | None:
    """`2026-11-20 04:00:00`: UTC without saying so, or nothing."""
    value = row.get(name)
    if value is None or value is False:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise wrong_type(name, value, "YYYY-MM-DD HH:MM:SS") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _truth(row: Mapping[str, Any], name: str) -> bool:
    value = row.get(name)
    if value is None:
        raise BadRow("PROOF_FIELD_MISSING", field=name)
    if not isinstance(value, bool):
        raise wrong_type(name, value, "true or false")
    return value


def _day(row: Mapping[str, Any], name: str) -> date | None:
    return None if row.get(name) is False else day(row, name)


def _percent(row: Mapping[str, Any]) -> int | None:
    """Closed tasks among all of the milestone's, in basis points; nothing where it has none or they are not told."""
    whole, done = row.get("task_count"), row.get("done_task_count")
    counts = [n for n in (whole, done) if isinstance(n, int) and not isinstance(n, bool)]
    if len(counts) < 2 or not counts[0]:
        return None
    if not 0 <= counts[1] <= counts[0]:
        raise BadRow("PERCENT_RANGE", field="done_task_count", found=counts[1])
    return counts[1] * 10_000 // counts[0]


def _date_from(*, done: bool, reached: date | None) -> Provenance:
    if not done:
        return Provenance.ABSENT
    return Provenance.NATIVE if reached else Provenance.FIRST_OBSERVED
