"""What GitHub's row says of a milestone: state, date of closing and counts are its own; a person it has not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from connectors.http.fields import BadRow, instant, need_text, need_whole, text_or_none, unknown_fields
from connectors.http.paging import Row
from connectors.http.source import Project
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Observation, Provenance

STATES = ("open", "closed")
KNOWN = frozenset(
    {
        "url", "html_url", "labels_url", "id", "node_id", "number", "state", "title", "description", "creator",
        "open_issues", "closed_issues", "created_at", "updated_at", "closed_at", "due_on",
    }
)  # fmt: skip


def milestone(connection: str, project: Project, row: Row, by: str | None, rule: str) -> Observation:
    """A milestone; `by` closed the last of its issues. Raises BadRow where a proof field is missing or of another type.

    `rule` says what open issues of a closed milestone mean: allow, confirm (a person must), not_done.
    """
    state = need_text(row, "state")
    if state not in STATES:
        raise BadRow("STATE_UNKNOWN", field="state", found=state, expected=", ".join(STATES))
    left, closed = need_whole(row, "open_issues"), need_whole(row, "closed_issues")
    done = state == "closed" and not (left and rule == "not_done")
    own, updated = instant(row, "closed_at"), instant(row, "updated_at")
    return Observation(
        connection=connection,
        project_id=project.id,
        project_key=project.key,
        project_name=project.name,
        milestone_id=need_text(row, "id"),
        kind="milestone",
        name=need_text(row, "title"),
        state=state,
        done=done,
        percent_bp=closed * 10_000 // (left + closed) if left + closed else None,
        done_at=(own or updated) if done else None,
        done_by=by if done else None,
        planned_on=_due(row),
        updated_at=updated,
        archived=project.row.get("archived") is True,
        url=_link(row),
        grade=EvidenceGrade.STATE,
        date_provenance=_dated(own) if done else Provenance.ABSENT,
        person_provenance=Provenance.CHILDREN if done and by else Provenance.ABSENT,
        percent_provenance=Provenance.NATIVE if left + closed else Provenance.ABSENT,
        unproven=bool(done and left and rule == "confirm"),
        extra={**unknown_fields(row, KNOWN), **({"open_issues": left} if state == "closed" and left else {})},
    )


def _dated(own: datetime | None) -> Provenance:
    return Provenance.NATIVE if own is not None else Provenance.FIRST_OBSERVED


def _due(row: Row) -> date | None:
    """The planned day. GitHub keeps a day as an instant, midnight in UTC or on its own west coast: in UTC both are
    that day."""
    moment = instant(row, "due_on")
    return None if moment is None else moment.date()


def asks_for_person(row: Row) -> bool:
    """Is it closed with nothing left open? Only then does the last issue tell anything about the milestone."""
    return row.get("state") == "closed" and row.get("open_issues") == 0 and bool(row.get("closed_issues"))


def last_closed(issues: Sequence[Row], page: int) -> Row | None:
    """The issue that was closed last, from one page of closed ones, the last changed first.

    None where it may stand on a later page: what is not on this one changed, and so closed, no later than the
    last row here.
    """
    dated = [(at, i) for i in issues if (at := instant(i, "closed_at")) is not None]
    if not dated:
        return None
    newest, issue = max(dated, key=lambda found: found[0])
    changed = instant(issues[-1], "updated_at")
    certain = len(issues) < page or (changed is not None and newest >= changed)
    return issue if certain else None


def closer(issue: Row) -> str | None:
    """Who closed an issue: only an issue asked for by itself says so, in lists the field may be missing."""
    who = issue.get("closed_by")
    return text_or_none(who, "login") if isinstance(who, Mapping) else None


def _link(row: Row) -> str | None:
    """For the reader; only what a browser may follow safely."""
    url = text_or_none(row, "html_url")
    return url if url and url.startswith(("https://", "http://")) else None
