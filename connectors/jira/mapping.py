"""Jira's rows as observations.

An issue is done where its status is, and when and by whom stands in its changelog. A version says that it is
released, and neither when nor by whom: its release date is a plan that anybody may edit before and after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from connectors.http.fields import (
    BadRow,
    day,
    instant,
    need_mapping,
    need_text,
    need_whole,
    text_or_none,
    unknown_fields,
    wrong_type,
)
from connectors.http.paging import Row
from connectors.http.source import Project
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Observation, Provenance, StateChange

KNOWN_ISSUE = frozenset(
    "expand id self key fields changelog renderedFields names schema operations editmeta transitions properties "
    "versionedRepresentations fieldsToInclude".split()
)
KNOWN_VERSION = frozenset(
    "expand id self name description released archived overdue startDate releaseDate userStartDate userReleaseDate "
    "startDateSet releaseDateSet project projectId sequence approvers driver operations remotelinks moveUnfixedIssuesTo "
    "issuesStatusForFixVersion".split()
)
FIELDS = ("summary", "status", "resolution", "resolutiondate", "updated", "issuetype", "project")
_SECONDS_MAX = 100_000_000_000  # more than that is milliseconds


@dataclass(frozen=True, slots=True)
class States:
    """The statuses by id, and which of them mean done or accepted; resolutions that mean given up."""

    names: Mapping[str, str]
    done: frozenset[str]
    accepted: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()  # names of resolutions


@dataclass(frozen=True, slots=True)
class Counts:
    """Issues of a version; all is None where that is not told."""

    left: int
    all: int | None


@dataclass(frozen=True, slots=True)
class Rules:
    """What the connection's options say about fields: planned date, percentage, what a version's date is and its issues mean."""

    planned: str = "duedate"
    percent: str = ""
    open_issues: str = "confirm"
    released_then: bool = False  # a version's release date is the day it was released
    counted: bool = True  # a version's issues are counted; else nobody asks for them, and released is done

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of an issue that are asked for."""
        return (*FIELDS, self.planned, *((self.percent,) if self.percent else ()))


# --- issues ---------------------------------------------------------------------------------------------


def status_of(row: Row, states: States) -> str:
    """The id of an issue's status. Raises BadRow for one that the instance does not list."""
    status = need_mapping(need_mapping(row, "fields"), "status")
    found = need_text(status, "id", "status.id")
    if found not in states.names:
        name = text_or_none(status, "name") or found
        raise BadRow(
            "STATE_UNKNOWN", field="status", found=name, expected=", ".join(sorted(set(states.names.values())))
        )
    return found


def _resolution(fields: Mapping[str, Any]) -> str | None:
    found = fields.get("resolution")
    return text_or_none(found, "name") if isinstance(found, dict) else None


def issue(
    connection: str, row: Row, project: Project, states: States, log: Sequence[Row], rules: Rules, site: str
) -> Observation:
    """An issue as a milestone. Raises BadRow where a proof field is missing or of another type."""
    status, fields = status_of(row, states), need_mapping(row, "fields")
    done = status in states.done and _resolution(fields) not in states.dropped  # not resolved as given up
    history = changes(log, states)
    reached = _since(history, states.done, status) if done else None
    taken = _since(history, states.accepted, status) if done else None
    at, date_from = _done_at(reached, fields) if done else (None, Provenance.ABSENT)
    percent = _percent(fields, rules.percent)
    return Observation(
        connection=connection,
        project_id=project.id,
        project_key=project.key,
        project_name=project.name,
        milestone_id=f"issue:{need_text(row, 'id')}",
        kind="issue",
        name=need_text(fields, "summary"),
        state=states.names[status],
        done=done,
        accepted=done and status in states.accepted,
        accepted_at=taken[0].at if taken else None,
        accepted_by=taken[0].by if taken else None,
        percent_bp=percent,
        done_at=at,
        done_by=reached[0].by if reached else None,
        planned_on=day(fields, rules.planned),
        updated_at=instant(fields, "updated"),
        archived=project.row.get("archived") is True,
        url=f"{site}/browse/{need_text(row, 'key')}",
        grade=EvidenceGrade.HISTORY if reached else EvidenceGrade.STATE,
        date_provenance=date_from,
        person_provenance=Provenance.HISTORY if reached and reached[0].by else Provenance.ABSENT,
        percent_provenance=Provenance.ABSENT if percent is None else Provenance.NATIVE,
        history=tuple(change for change, _ in history),
        extra=unknown_fields(row, KNOWN_ISSUE),
    )


#: A change of status, and the id of the status it led to.
Change = tuple[StateChange, str]


def changes(log: Sequence[Row], states: States) -> tuple[Change, ...]:
    """The changes of status of a changelog, oldest first. Raises BadRow for an entry without its moment."""
    found = [_change(entry, item, states) for entry in log for item in _status_items(entry)]
    return tuple(sorted(found, key=lambda c: c[0].at))


def _status_items(entry: Row) -> list[Row]:
    """What an entry says of the status; a field of that name that somebody added has another id."""
    items = entry.get("items")
    known = [i for i in items if isinstance(i, dict)] if isinstance(items, list) else []
    return [i for i in known if i.get("fieldId", i.get("field")) == "status" and i.get("fieldtype", "jira") == "jira"]


def _change(entry: Row, item: Row, states: States) -> Change:
    at, to = moment_of(entry), str(item.get("to") or "")
    name = states.names.get(to) or text_or_none(item, "toString")
    return StateChange(at, to in states.done, author(entry), name), to


def moment_of(entry: Row) -> datetime:
    """When an entry was made: as text, or (in bulk) as a number, in seconds or in milliseconds."""
    value = entry.get("created")
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return datetime.fromtimestamp(value / 1000 if value > _SECONDS_MAX else value, UTC)
    found = instant(entry, "created")
    if found is None:
        raise BadRow("PROOF_FIELD_MISSING", field="changelog.created")
    return found


def author(entry: Row) -> str | None:
    """Who made an entry: the name, where the person lets it be seen; nobody for what Jira did by itself."""
    who = entry.get("author")
    if not isinstance(who, dict):
        return None
    return text_or_none(who, "displayName") or text_or_none(who, "name") or text_or_none(who, "accountId")


def _since(history: Sequence[Change], wanted: frozenset[str], status: str) -> Change | None:
    """The first of the last unbroken run of wanted states, where the changelog ends at the present status."""
    if not history or history[-1][1] != status:
        return None
    found = None
    for change in reversed(history):
        if change[1] not in wanted:
            break
        found = change
    return found


def _done_at(reached: Change | None, fields: Mapping[str, Any]) -> tuple[datetime | None, Provenance]:
    if reached is not None:
        return reached[0].at, Provenance.HISTORY
    resolved = instant(fields, "resolutiondate")
    if resolved is not None:
        return resolved, Provenance.NATIVE
    return instant(fields, "updated"), Provenance.FIRST_OBSERVED


def _percent(fields: Mapping[str, Any], name: str) -> int | None:
    value = fields.get(name) if name else None
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_type(name, value, "a number from 0 to 100")
    if not 0 <= value <= 100:
        raise BadRow("PERCENT_RANGE", field=name, found=value)
    return round(value * 100)


# --- versions -------------------------------------------------------------------------------------------


def counts_of(row: Row) -> Counts | None:
    """The issues of a version by category of status, as Cloud tells them with the row. Raises BadRow."""
    told = row.get("issuesStatusForFixVersion")
    if told is None:
        return None
    if not isinstance(told, dict):
        raise wrong_type("issuesStatusForFixVersion", told, "object")
    left = sum(whole(told, name) for name in ("toDo", "inProgress", "unmapped"))
    return Counts(left, left + whole(told, "done"))


def whole(row: Mapping[str, Any], name: str) -> int:
    """A number of issues; absent is none."""
    return need_whole(row, name) if name in row else 0


def version(connection: str, row: Row, project: Project, counts: Counts | None, rules: Rules, site: str) -> Observation:
    """A version as a milestone. Raises BadRow where a proof field is missing or of another type.

    `rules.open_issues` says what a version means that was released with open issues: allow, confirm, not_done.
    Counts that should be there and are not prove nothing: such a version is treated as one with open issues.
    """
    released, archived = _truth(row, "released"), row.get("archived") is True
    left = counts.left if counts else 0
    doubtful = bool(left) or (counts is None and rules.counted)
    done = released and not (doubtful and rules.open_issues == "not_done")
    percent = (counts.all - left) * 10_000 // counts.all if counts and counts.all else None
    dated = day(row, "releaseDate")
    known = dated if done and rules.released_then else None
    return Observation(
        connection=connection,
        project_id=project.id,
        project_key=project.key,
        project_name=project.name,
        milestone_id=f"version:{need_text(row, 'id')}",
        kind="version",
        name=need_text(row, "name"),
        state="released" if released else "unreleased",
        done=done,
        percent_bp=percent,
        done_on=known,
        planned_on=None if rules.released_then and released else dated,
        archived=archived or project.row.get("archived") is True,
        url=f"{site}/projects/{project.key}/versions/{row['id']}",
        date_provenance=Provenance.ABSENT if not done else Provenance.NATIVE if known else Provenance.FIRST_OBSERVED,
        percent_provenance=Provenance.ABSENT if percent is None else Provenance.CHILDREN,
        unproven=done and doubtful and rules.open_issues == "confirm",
        extra={**unknown_fields(row, KNOWN_VERSION), **({"open_issues": left} if released and left else {})},
    )


def _truth(row: Row, name: str) -> bool:
    value = row.get(name)
    if value is None:
        raise BadRow("PROOF_FIELD_MISSING", field=name)
    if not isinstance(value, bool):
        raise wrong_type(name, value, "true or false")
    return value
