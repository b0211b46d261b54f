"""OpenProject's rows (HAL) as observations.

A work package names its status by link only; whether that counts as done is a property of the status. When
and by whom it got there stands in its activities alone, as sentences in the reader's language.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from html import unescape
from itertools import pairwise
from typing import Any

from connectors.http.fields import BadRow, day, instant, need_mapping, need_text, unknown_fields, wrong_type
from connectors.http.source import Project
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Observation, Provenance, StateChange

Row = dict[str, Any]

VERSION_STATES = ("open", "locked", "closed")
KNOWN_VERSION = frozenset("_type _links _embedded id name description startDate endDate status sharing createdAt updatedAt".split())  # fmt: skip
KNOWN_WORK_PACKAGE = frozenset(
    "_type _links _embedded _meta id displayId lockVersion subject description scheduleManually readonly startDate dueDate date "
    "derivedStartDate derivedDueDate duration estimatedTime derivedEstimatedTime remainingTime derivedRemainingTime "
    "ignoreNonWorkingDays position spentTime storyPoints percentageDone derivedPercentageDone createdAt updatedAt "
    "laborCosts materialCosts overallCosts".split()
)
_SENTENCE_MAX = 2000  # characters; a change of status is far shorter
_CUSTOM = re.compile(r"customField\d+")
_LABEL = re.compile(r"<strong>(.*?)</strong>", re.DOTALL)
_VALUE = re.compile(r"<i\b[^>]*>(.*?)</i>", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


@dataclass(frozen=True, slots=True)
class States:
    """The statuses of an instance by id, and which of them mean done or accepted."""

    names: Mapping[str, str]
    done: frozenset[str]
    accepted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Past:
    """What the activities tell of one work package: its changes of status, and the people by id."""

    activities: Sequence[Row] = ()
    people: Mapping[str, str] = field(default_factory=dict)


def link_id(row: Mapping[str, Any], name: str) -> str:
    """The id at the end of a link. Raises BadRow where the link is missing or another thing."""
    link = need_mapping(need_mapping(row, "_links"), name)
    href = link.get("href")
    if href is None:
        raise BadRow("PROOF_FIELD_MISSING", field=f"_links.{name}")
    if not isinstance(href, str) or not href.rpartition("/")[2].isdigit():
        raise wrong_type(f"_links.{name}", href, "a link that ends in an id")
    return href.rpartition("/")[2]


def status_of(row: Mapping[str, Any], states: States) -> str:
    """The id of a work package's status. Raises BadRow for one that the instance does not list."""
    found = link_id(row, "status")
    if found not in states.names:
        raise BadRow("STATE_UNKNOWN", field="status", found=found, expected=", ".join(states.names.values()))
    return found


def work_package(connection: str, row: Row, project: Project, states: States, past: Past, url: str) -> Observation:
    """A work package as a milestone. Raises BadRow where a proof field is missing or of another type."""
    status = status_of(row, states)
    history = changes(past, states, status)
    done, accepted = status in states.done, status in states.accepted
    reached = _since(history, states.done, states) if done else None
    taken = _since(history, states.accepted, states) if accepted else None
    percent = _percent(row)
    return Observation(
        connection=connection,
        project_id=project.id,
        project_key=project.key,
        project_name=project.name,
        milestone_id=f"work_package:{need_text(row, 'id')}",
        kind="work_package",
        name=need_text(row, "subject"),
        state=states.names[status],
        done=done,
        accepted=accepted,
        accepted_at=taken.at if taken else None,
        accepted_by=taken.by if taken else None,
        percent_bp=percent,
        done_at=_done_at(reached, row) if done else None,
        done_by=reached.by if reached else None,
        planned_on=day(row, "date") or day(row, "dueDate"),
        updated_at=instant(row, "updatedAt"),
        url=f"{url}/work_packages/{row['id']}",
        grade=EvidenceGrade.HISTORY if reached else EvidenceGrade.STATE,
        date_provenance=_provenance(done=done, found=reached is not None),
        person_provenance=Provenance.HISTORY if reached and reached.by else Provenance.ABSENT,
        percent_provenance=Provenance.ABSENT if percent is None else Provenance.NATIVE,
        history=history,
        extra=_unknown(row, KNOWN_WORK_PACKAGE),
    )


def version(connection: str, row: Row, project: Project, url: str) -> Observation:
    """A version as a milestone: who closed it and when is not told. Raises BadRow."""
    status = need_text(row, "status")
    if status not in VERSION_STATES:
        raise BadRow("STATE_UNKNOWN", field="status", found=status, expected=", ".join(VERSION_STATES))
    done = status == "closed"
    return Observation(
        connection=connection,
        project_id=project.id,
        project_key=project.key,
        project_name=project.name,
        milestone_id=f"version:{need_text(row, 'id')}",
        kind="version",
        name=need_text(row, "name"),
        state=status,
        done=done,
        done_at=instant(row, "updatedAt") if done else None,
        planned_on=day(row, "endDate"),
        updated_at=instant(row, "updatedAt"),
        url=f"{url}/versions/{row['id']}",
        date_provenance=_provenance(done=done, found=False),
        extra=_unknown(row, KNOWN_VERSION),
    )


def _done_at(reached: StateChange | None, row: Row) -> datetime | None:
    return reached.at if reached else instant(row, "updatedAt")


def _provenance(*, done: bool, found: bool) -> Provenance:
    if not done:
        return Provenance.ABSENT
    return Provenance.HISTORY if found else Provenance.FIRST_OBSERVED


def _percent(row: Row) -> int | None:
    value = row.get("percentageDone")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type("percentageDone", value, "a whole number")
    if not 0 <= value <= 100:
        raise BadRow("PERCENT_RANGE", field="percentageDone", found=value)
    return value * 100


def _unknown(row: Row, known: frozenset[str]) -> Mapping[str, Any]:
    left = unknown_fields(row, known)
    return {k: v for k, v in left.items() if not _CUSTOM.fullmatch(k)}


# --- activities -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Move:
    """One sentence of an activity that may be a change of status: values are names of statuses."""

    at: datetime
    by: str | None
    before: str | None
    after: str


def changes(past: Past, states: States, status: str) -> tuple[StateChange, ...]:
    """The changes of status, oldest first; empty where the activities do not tell them for certain.

    An activity is a sentence in the account's language ("Status changed from New to Closed"), with the values
    in <i> and the attribute in <strong>. Which attribute is the status is found without knowing the language:
    all its values are names of statuses, each change begins where the one before ended, and the last ends at
    the status the work package has. Where several attributes, or none, fit, nothing is claimed.
    """
    threads: dict[str, list[_Move]] = {}
    for activity in past.activities:
        for label, move in _sentences(activity, past, states):
            threads.setdefault(label, []).append(move)
    fitting = [moves for moves in threads.values() if _unbroken(moves, states.names[status])]
    if len(fitting) != 1:
        return ()
    ids = {name: i for i, name in states.names.items()}
    return tuple(StateChange(m.at, ids[m.after] in states.done, m.by, m.after) for m in fitting[0])


def _sentences(activity: Row, past: Past, states: States) -> list[tuple[str, _Move]]:
    """The sentences whose values are all names of statuses, with the attribute's name."""
    details, found = activity.get("details"), []
    for detail in details if isinstance(details, list) else []:
        html = detail.get("html") if isinstance(detail, dict) else None
        if not isinstance(html, str) or len(html) > _SENTENCE_MAX:
            continue
        label, values = _LABEL.search(html), [_text(v) for v in _VALUE.findall(html)]
        if label is None or len(values) not in (1, 2) or not set(values) <= set(states.names.values()):
            continue
        found.append((_text(label[1]), _move(activity, past, values)))
    return found


def _move(activity: Row, past: Past, values: list[str]) -> _Move:
    at = instant(activity, "createdAt")
    if at is None:
        raise BadRow("PROOF_FIELD_MISSING", field="activity.createdAt")
    user = user_of(activity)
    return _Move(at, past.people.get(user) if user else None, values[0] if len(values) == 2 else None, values[-1])


def _text(html: str) -> str:
    return unescape(_TAG.sub("", html)).strip()


def user_of(activity: Row) -> str | None:
    """The id of who made an activity."""
    try:
        return link_id(activity, "user")
    except BadRow:
        return None


def _unbroken(moves: list[_Move], last: str) -> bool:
    """Does each change begin where the one before ended, and the last end at the present status?"""
    pairs = pairwise(moves)
    return moves[-1].after == last and all(b.before == a.after and a.at <= b.at for a, b in pairs)


def _since(history: Sequence[StateChange], wanted: frozenset[str], states: States) -> StateChange | None:
    """The first of the last unbroken run of wanted states."""
    names = {states.names[i] for i in wanted}
    found = None
    for change in reversed(history):
        if change.state not in names:
            break
        found = change
    return found
