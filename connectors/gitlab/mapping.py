"""What GitLab's rows say of a milestone: its state, its issues, and the events of its project.

A milestone has no date of closing and no person. A project keeps an event for each closing and reopening of
its own milestones (lib: Milestones::CloseService); a group keeps none, there the issues have to speak.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from connectors.http.fields import BadRow, day, instant, need_text, text_or_none, unknown_fields
from connectors.http.paging import Row
from connectors.http.source import Project
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Observation, Provenance, StateChange

KIND = "milestone"
STATES = ("active", "closed")
KNOWN = frozenset(
    {
        "id", "iid", "project_id", "group_id", "title", "description", "state", "created_at", "updated_at",
        "due_date", "start_date", "expired", "web_url",
    }
)  # fmt: skip
#: Creation and reopening are both told as "opened" (app/models/event.rb action_name).
CLOSED, OPENED = "closed", ("opened", "reopened")


#: Closings and reopenings, oldest first; or why they cannot be read.
History = tuple[StateChange, ...] | BadRow


@dataclass(frozen=True, slots=True)
class Detail:
    """What a milestone's row does not say: its history, and its issues (None: not asked)."""

    history: History = ()
    issues: Sequence[Row] | None = None
    uncounted: bool = False  # they should have been asked for, and could not


@dataclass(frozen=True, slots=True)
class _Closing:
    """When it was closed and by whom, and where both come from."""

    at: datetime | None = None
    by: str | None = None
    provenance: Provenance = Provenance.ABSENT


def histories(events: Iterable[Row]) -> Mapping[str, History]:
    """The closings and reopenings of each milestone by its id."""
    own: dict[str, list[Row]] = {}
    for event in events:
        action = event.get("action_name")
        if event.get("target_id") is not None and (action == CLOSED or action in OPENED):
            own.setdefault(str(event["target_id"]), []).append(event)
    return {key: _history(rows) for key, rows in own.items()}


def _history(events: Iterable[Row]) -> History:
    dated = []
    try:
        for event in events:
            at, number, closed = instant(event, "created_at"), event.get("id"), event.get("action_name") == CLOSED
            if at is None:
                return BadRow("PROOF_FIELD_MISSING", field="event.created_at")
            change = StateChange(at, closed, _author(event), "closed" if closed else "active")
            dated.append((at, number if isinstance(number, int) else 0, change))
    except BadRow as problem:
        return problem
    return _moves(change for *_, change in sorted(dated, key=lambda d: d[:2]))


def _moves(changes: Iterable[StateChange]) -> tuple[StateChange, ...]:
    """From the first closing on, without repetitions."""
    out: list[StateChange] = []
    for change in changes:
        if change.done != (out[-1].done if out else False):
            out.append(change)
    return tuple(out)


def _author(event: Row) -> str | None:
    author = event.get("author")
    name = text_or_none(author, "name") if isinstance(author, dict) else None
    return name or text_or_none(event, "author_username")


def milestone(connection: str, project: Project, row: Row, detail: Detail, rule: str, *, group: bool) -> Observation:
    """A milestone with what is known of it. Raises BadRow where a proof field is missing or of another type.

    `rule` says what open issues of a closed milestone mean: allow, confirm (a person must), not_done. Issues that
    cannot be counted prove nothing: such a milestone is treated as one with open issues.
    """
    state = need_text(row, "state")
    if state not in STATES:
        raise BadRow("STATE_UNKNOWN", field="state", found=state, expected=", ".join(STATES))
    if isinstance(detail.history, BadRow):
        raise detail.history
    closed, left = state == "closed", _open(detail.issues)
    doubtful = bool(left) or detail.uncounted
    done = closed and not (doubtful and rule == "not_done")
    closing = _closing(row, detail.history, detail.issues if group else None) if done else _Closing()
    percent = percent_of(detail.issues)
    return Observation(
        connection=connection,
        project_id=project.id,
        project_key=project.key,
        project_name=project.name,
        milestone_id=f"{KIND}:{need_text(row, 'id')}",
        kind=KIND,
        name=need_text(row, "title"),
        state=state,
        done=done,
        percent_bp=percent,
        done_at=closing.at,
        done_by=closing.by,
        planned_on=day(row, "due_date"),
        updated_at=instant(row, "updated_at"),
        archived=project.row.get("archived") is True,
        url=_link(row),
        grade=EvidenceGrade.HISTORY if closing.provenance is Provenance.HISTORY and closing.by else EvidenceGrade.STATE,
        date_provenance=closing.provenance,
        person_provenance=closing.provenance if closing.by else Provenance.ABSENT,
        percent_provenance=Provenance.ABSENT if percent is None else Provenance.CHILDREN,
        history=detail.history,
        unproven=done and doubtful and rule == "confirm",
        extra={**unknown_fields(row, KNOWN), **({"open_issues": left} if closed and left else {})},
    )


def _closing(row: Row, history: tuple[StateChange, ...], issues: Sequence[Row] | None) -> _Closing:
    """From the project's events; for a group, from its last issue; else the day it was first seen closed.

    A project's milestone without an event never falls back on its issues: events are pruned after years, and
    the date of completion would change then.
    """
    if history and history[-1].done:
        return _Closing(history[-1].at, history[-1].by, Provenance.HISTORY)
    newest = last_closed(issues or ())
    if newest is not None:
        return _Closing(instant(newest, "closed_at"), closer(newest), Provenance.CHILDREN)
    return _Closing(instant(row, "updated_at"), None, Provenance.FIRST_OBSERVED)


def _is_closed(issue: Row) -> bool:
    state = need_text(issue, "state", "issue.state")
    if state not in ("opened", "closed"):
        raise BadRow("STATE_UNKNOWN", field="issue.state", found=state, expected="opened, closed")
    return state == "closed"


def _open(issues: Sequence[Row] | None) -> int:
    return sum(not _is_closed(i) for i in issues or ())


def percent_of(issues: Sequence[Row] | None) -> int | None:
    """Closed issues of all, in basis points; None where there are none or they were not asked for."""
    return (len(issues) - _open(issues)) * 10_000 // len(issues) if issues else None


def last_closed(issues: Sequence[Row]) -> Row | None:
    """The issue that was closed last, where all are closed and say when."""
    if not issues or _open(issues):
        return None
    dated = [(at, str(i.get("id")), i) for i in issues if (at := instant(i, "closed_at")) is not None]
    return max(dated, key=lambda found: found[:2])[2] if len(dated) == len(issues) else None


def closer(issue: Row) -> str | None:
    """Who closed an issue; not proof of anything, so what cannot be read is nobody."""
    who = issue.get("closed_by")
    return text_or_none(who, "name") or text_or_none(who, "username") if isinstance(who, dict) else None


def _link(row: Row) -> str | None:
    """For the reader; only what a browser may follow safely."""
    url = text_or_none(row, "web_url")
    return url if url and url.startswith(("https://", "http://")) else None
