"""Azure DevOps' rows as observations.

A state means what its category says; a work item says itself when and by whom it was closed, where its process
has the fields for it. An iteration is over when its last day is, which proves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from connectors.http.fields import BadRow, instant, need_mapping, need_text, unknown_fields, wrong_type
from connectors.http.paging import Row
from connectors.http.source import Project
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Observation, Provenance, StateChange

TITLE, STATE, TYPE, REASON, TEAM_PROJECT = "System.Title", "System.State", "System.WorkItemType", "System.Reason", "System.TeamProject"  # fmt: skip
CHANGED, CLOSED, CLOSER = "System.ChangedDate", "Microsoft.VSTS.Common.ClosedDate", "Microsoft.VSTS.Common.ClosedBy"
SINCE = "Microsoft.VSTS.Common.StateChangeDate"
FIELDS = (TITLE, STATE, TYPE, REASON, TEAM_PROJECT, CHANGED, CLOSED, CLOSER, SINCE)
KNOWN = frozenset("id rev fields url _links relations commentVersionRef multilineFieldsFormat".split())
KNOWN_NODE = frozenset("id identifier name structureType hasChildren children path attributes url _links".split())
DONE = "Completed"
KIND, ITERATION = "work_item", "iteration"


@dataclass(frozen=True, slots=True)
class States:
    """The category of each state by type of work item, and which states are meant by name."""

    categories: Mapping[str, Mapping[str, str]]
    done: frozenset[str] = frozenset()  # none: those of the category Completed
    accepted: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()  # reasons that mean given up

    def means_done(self, kind: str, state: str) -> bool:
        """Is it done, or accepted?"""
        if state in self.accepted:
            return True
        return state in self.done if self.done else self.categories.get(kind, {}).get(state) == DONE


@dataclass(frozen=True, slots=True)
class Fields:
    """Where the planned date and the percentage stand."""

    planned: str = "Microsoft.VSTS.Scheduling.TargetDate"
    percent: str = ""


def is_done(row: Row, states: States) -> bool:
    """Is it in a state that means done, and not closed as given up? Raises BadRow for an unknown state."""
    fields = need_mapping(row, "fields")
    kind, state = need_text(fields, TYPE), need_text(fields, STATE)
    known = states.categories.get(kind, {})
    if state not in known:
        raise BadRow("STATE_UNKNOWN", field=STATE, found=state, expected=", ".join(known))
    return states.means_done(kind, state) and fields.get(REASON) not in states.dropped


def needs_history(row: Row, states: States) -> bool:
    """Does only the history say when it was done?"""
    try:
        return is_done(row, states) and instant(row["fields"], CLOSED) is None
    except BadRow:
        return False  # the row goes to quarantine: its past does not matter


def work_item(
    connection: str, row: Row, project: Project, states: States, updates: Sequence[Row], where: Fields, url: str
) -> Observation:
    """A work item as a milestone. Raises BadRow where a proof field is missing or of another type."""
    done, fields = is_done(row, states), need_mapping(row, "fields")
    kind, state = need_text(fields, TYPE), need_text(fields, STATE)
    history = changes(updates, kind, states)
    at, by, source = _closing(fields, history) if done else (None, None, Provenance.ABSENT)
    accepted = done and state in states.accepted
    percent = _percent(fields, where.percent)
    return Observation(
        connection=connection,
        project_id=project.id,
        project_key=project.key,
        project_name=project.name,
        milestone_id=f"{KIND}:{need_text(row, 'id')}",
        kind=KIND,
        name=need_text(fields, TITLE),
        state=state,
        done=done,
        accepted=accepted,
        accepted_at=instant(fields, SINCE) if accepted else None,
        percent_bp=percent,
        done_at=at,
        done_by=by,
        planned_at=instant(fields, where.planned),
        updated_at=instant(fields, CHANGED),
        url=f"{url}/{quote(project.name, safe='')}/_workitems/edit/{row['id']}",
        grade=EvidenceGrade.HISTORY if by else EvidenceGrade.STATE,
        date_provenance=source,
        person_provenance=source if by else Provenance.ABSENT,
        percent_provenance=Provenance.ABSENT if percent is None else Provenance.NATIVE,
        history=history,
        extra=unknown_fields(row, KNOWN),
    )


def _closing(
    fields: Mapping[str, Any], history: tuple[StateChange, ...]
) -> tuple[datetime | None, str | None, Provenance]:
    """When, by whom, and where that is from."""
    closed = instant(fields, CLOSED)
    if closed is not None:
        return closed, person(fields.get(CLOSER)), Provenance.NATIVE
    reached = None
    for change in reversed(history):
        if not change.done:
            break
        reached = change
    if reached is not None:
        return reached.at, reached.by, Provenance.HISTORY
    return instant(fields, SINCE) or instant(fields, CHANGED), None, Provenance.FIRST_OBSERVED


def changes(updates: Sequence[Row], kind: str, states: States) -> tuple[StateChange, ...]:
    """The changes of state, oldest first. Raises BadRow for one without its moment."""
    return tuple(_changes(updates, kind, states))


def _changes(updates: Sequence[Row], kind: str, states: States) -> Iterator[StateChange]:
    for update in updates:
        fields = update.get("fields")
        told = fields.get(STATE) if isinstance(fields, dict) else None
        after = told.get("newValue") if isinstance(told, dict) else None
        if isinstance(fields, dict) and isinstance(after, str):
            done = states.means_done(kind, after)
            yield StateChange(_moment(fields), done, person(update.get("revisedBy")), after)


def _moment(fields: Mapping[str, Any]) -> datetime:
    """When an update was made. Its own `revisedDate` is when the *next* one came: the year 9999 for the last."""
    told = fields.get(CHANGED)
    found = instant(told, "newValue") if isinstance(told, dict) else None
    if found is None:
        raise BadRow("PROOF_FIELD_MISSING", field=f"updates.{CHANGED}")
    return found


def person(who: object) -> str | None:
    """The name of an identity; older servers give `Name <account>`."""
    if isinstance(who, dict):
        found = who.get("displayName") or who.get("name") or who.get("uniqueName")
        return found if isinstance(found, str) and found else None
    return who.partition(" <")[0] or None if isinstance(who, str) else None


def _percent(fields: Mapping[str, Any], name: str) -> int | None:
    value = fields.get(name) if name else None
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_type(name, value, "a number from 0 to 100")
    if not 0 <= value <= 100:
        raise BadRow("PERCENT_RANGE", field=name, found=value)
    return round(value * 100)


# --- iterations -----------------------------------------------------------------------------------------


def leaves(roots: Sequence[Row]) -> Iterator[Row]:
    """All iterations below the root, whatever their depth; the root is the project itself."""
    for node in roots:
        children = node.get("children")
        for child in children if isinstance(children, list) else ():
            if isinstance(child, dict):
                yield child
                yield from leaves([child])


def iteration(connection: str, row: Row, project: Project, now: datetime, url: str) -> Observation:
    """An iteration: over with its last day, and then a person has to say whether its work was done. Raises BadRow."""
    attributes = row.get("attributes")
    ends = instant(attributes, "finishDate") if isinstance(attributes, dict) else None
    last = ends.date() if ends else None
    over = last is not None and last < now.date()
    return Observation(
        connection=connection,
        project_id=project.id,
        project_key=project.key,
        project_name=project.name,
        milestone_id=f"{ITERATION}:{need_text(row, 'identifier')}",
        kind=ITERATION,
        name=need_text(row, "name"),
        state="past" if over else "open",
        done=over,
        done_on=last if over else None,
        planned_on=last,
        url=f"{url}/{quote(project.name, safe='')}/_settings/work-team?_a=iterations",
        date_provenance=Provenance.NATIVE if over else Provenance.ABSENT,
        unproven=over,
        extra=unknown_fields(row, KNOWN_NODE),
    )
