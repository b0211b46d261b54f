"""What Yunxiao says of a milestone: a status, whose name is all that tells that it is done, and the day it was.

`actualEndDate` can be set only as the status becomes 已完成, is a day, and people may choose it. `modifier` is whoever
changed anything last, so nobody is named. Which form a day has in answers is not documented: what is neither a day nor
an instant with its offset goes to quarantine.
Source: help.aliyun.com, ListMilestones and UpdateMilestone.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime

from connectors.http.fields import (
    BadRow,
    day,
    instant,
    need_mapping,
    need_text,
    text_or_none,
    unknown_fields,
    wrong_type,
)
from connectors.http.paging import Row
from connectors.http.source import Project
from models.domain.observations import Observation, Provenance

KIND = "milestone"
DAY = len("2026-11-30")
KNOWN = frozenset(
    "id subject description planEndDate actualEndDate status assignedTo creator modifier gmtCreate gmtModified".split()
)


def milestone(connection: str, row: Row, project: Project, done_states: Collection[str]) -> Observation:
    """A milestone. Raises BadRow where a proof field is missing or of another type."""
    status = need_mapping(row, "status")
    names = {n for key in ("displayName", "id", "name", "nameEn") if (n := text_or_none(status, key))}
    if not names:
        raise BadRow("PROOF_FIELD_MISSING", field="status.displayName")
    done = not names.isdisjoint(done_states)
    on, at = _moment(row, "actualEndDate") if done else (None, None)
    planned_on, planned_at = _moment(row, "planEndDate")
    return Observation(
        connection=connection,
        project_id=project.id,
        project_key=project.key,
        project_name=project.name,
        milestone_id=f"{KIND}:{need_text(row, 'id')}",
        kind=KIND,
        name=need_text(row, "subject"),
        state=text_or_none(status, "displayName") or min(names),
        done=done,
        done_at=at,
        done_on=on,
        planned_at=planned_at,
        planned_on=planned_on,
        updated_at=_moment(row, "gmtModified")[1],
        date_provenance=Provenance.NATIVE if on or at else Provenance.ABSENT,
        extra=unknown_fields(row, KNOWN),
    )


def _moment(row: Row, name: str) -> tuple[date | None, datetime | None]:
    """A day, or an instant with its offset; nothing is neither. Raises BadRow for anything else."""
    value = row.get(name)
    if value is None or value == "":
        return None, None
    if not isinstance(value, str):
        raise wrong_type(name, value, "a day or an instant with its offset")
    return (day(row, name), None) if len(value) == DAY else (None, instant(row, name))
