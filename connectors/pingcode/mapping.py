"""PingCode's rows as observations. Times are unix seconds; `completed` is done, `closed` is given up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, NamedTuple

from connectors.http.fields import (
    BadRow,
    flag,
    need_mapping,
    need_text,
    need_whole,
    seconds,
    text_or_none,
    unknown_fields,
    wrong_type,
)
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Observation, Provenance, StateChange

Row = dict[str, Any]
Build = Callable[[str, Row, Row], Observation]

STATE_TYPES = ("pending", "in_progress", "completed", "closed")
#: The record's own completion date and the history agree where they are this close.
SAME_MOMENT = timedelta(minutes=2)
KNOWN = frozenset(
    "id url project identifier short_id html_url title type state assignee priority start_at end_at completed_at parent_id parent "
    "phase sprint version versions board entry swimlane description story_points estimated_workload remaining_workload properties "
    "tags participants created_at created_by updated_at updated_by is_archived is_deleted phase_id public_image_token".split()
)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a tenant's states mean, by name or id; nothing: `completed` is done and no state is an acceptance."""

    done: tuple[str, ...] = ()
    accepted: tuple[str, ...] = ()

    def is_accepted(self, state: Mapping[str, Any]) -> bool:
        """Does the customer's acceptance stand behind this state?"""
        return bool(self.accepted) and (state.get("name") in self.accepted or state.get("id") in self.accepted)

    def is_done(self, state: Mapping[str, Any]) -> bool:
        """An accepted milestone is a done one."""
        if self.is_accepted(state):
            return True
        if self.done:
            return state.get("name") in self.done or state.get("id") in self.done
        return state.get("type") == "completed"


@dataclass(frozen=True, slots=True)
class Review:
    """A completed formal review of a work item."""

    at: datetime
    by: str | None


@dataclass(frozen=True, slots=True)
class _Done:
    """Since when an item is done, by whom, and how we know."""

    at: datetime | None = None
    by: str | None = None
    date: Provenance = Provenance.ABSENT
    proven: bool = False
    accepted_at: datetime | None = None
    accepted_by: str | None = None


_ABSENT = Provenance.ABSENT  # looked up once: a member of an Enum costs as much as three fields of a row


def _person(value: object) -> str | None:
    if not isinstance(value, dict):
        return None
    name = value.get("display_name") or value.get("name") or value.get("id")
    return name if isinstance(name, str) else None


class State(NamedTuple):
    """What a row's state means."""

    name: str
    done: bool
    accepted: bool


class Items:
    """Work items as observations. A state's meaning is worked out once: most rows of a night differ in little."""

    def __init__(self, connection: str, meaning: Meaning) -> None:
        self._connection, self._meaning = connection, meaning
        self._states: dict[tuple[Any, Any, Any], State] = {}

    def state(self, row: Row) -> State:
        """What the row's state means. Raises BadRow where it is missing, unknown or of another type."""
        try:
            given = row["state"]
            return self._states[given["id"], given["name"], given["type"]]
        except (KeyError, TypeError):
            return self._learn(row)

    def _learn(self, row: Row) -> State:
        given = need_mapping(row, "state")
        kind = need_text(given, "type", "state.type")
        name = need_text(given, "name", "state.name")
        if kind not in STATE_TYPES:
            raise BadRow("STATE_UNKNOWN", field="state.type", found=kind, expected=", ".join(STATE_TYPES))
        found = State(name, self._meaning.is_done(given), self._meaning.is_accepted(given))
        if isinstance(given.get("id"), str):
            self._states[given["id"], given["name"], given["type"]] = found
        return found

    def open(self, row: Row, kind: str, project: Row, state: State) -> Observation:
        """A milestone or phase that is not done. Raises BadRow."""
        return Observation(
            connection=self._connection,
            project_id=project["id"],
            project_key=project.get("identifier") or project["id"],
            project_name=project.get("name") or "",
            milestone_id=need_text(row, "id"),
            kind=kind,
            name=need_text(row, "title"),
            state=state.name,
            done=False,
            planned_at=seconds(row, "end_at"),
            updated_at=seconds(row, "updated_at"),
            deleted=flag(row, "is_deleted"),
            archived=flag(row, "is_archived"),
            url=text_or_none(row, "html_url"),
            date_provenance=_ABSENT,
            extra=unknown_fields(row, KNOWN),
        )

    def done(
        self, row: Row, kind: str, project: Row, state: State, history: Sequence[Row], review: Review | None
    ) -> Observation:
        """One that is done, with what its history and its review say of it. Raises BadRow."""
        changes, steps = _history(history, self._meaning) if history else ((), [])
        how = _done(row, changes, steps, self._meaning)
        by = review.by if review and review.by else how.by
        seen = self.open(row, kind, project, state)
        return seen._replace(
            done=True,
            accepted=review is not None or state.accepted,
            accepted_at=review.at if review else how.accepted_at,
            accepted_by=review.by if review else how.accepted_by,
            done_at=how.at,
            done_by=by,
            grade=_grade(how, review),
            date_provenance=how.date,
            person_provenance=Provenance.NATIVE if review and review.by else Provenance.HISTORY if by else _ABSENT,
            history=changes,
            unproven=not how.proven and review is None and not seen.deleted,
        )


def _history(rows: Sequence[Row], meaning: Meaning) -> tuple[tuple[StateChange, ...], list[Mapping[str, Any]]]:
    """State changes in their order, and the states they led to."""
    read = []
    for row in rows:
        to, at = need_mapping(row, "to_state"), seconds(row, "created_at", "transition.created_at")
        if at is None:
            raise BadRow("PROOF_FIELD_MISSING", field="transition.created_at")
        name = to.get("name")
        change = StateChange(
            at, meaning.is_done(to), _person(row.get("created_by")), None if name is None else str(name)
        )
        read.append((change, to))
    read.sort(key=lambda pair: pair[0].at)
    return tuple(c for c, _ in read), [to for _, to in read]


def _done(
    row: Mapping[str, Any], changes: Sequence[StateChange], steps: Sequence[Mapping[str, Any]], meaning: Meaning
) -> _Done:
    """The first of the last unbroken run of done states: since then it has been done.

    A bulk change leaves no history. Then the item is done by its own account only, and a person must look.
    """
    completed, updated = seconds(row, "completed_at"), seconds(row, "updated_at")
    run = _last_run(changes)
    if not run:
        date = Provenance.NATIVE if completed else Provenance.FIRST_OBSERVED
        return _Done(completed or updated, None, date)
    first = run[0]
    agrees = completed is not None and abs(completed - first.at) <= SAME_MOMENT
    signed = [c for c, to in zip(changes, steps, strict=True) if c in run and meaning.is_accepted(to)]
    return _Done(
        completed if agrees else first.at,
        first.by,
        Provenance.NATIVE if agrees else Provenance.HISTORY,
        proven=True,
        accepted_at=signed[0].at if signed and signed[0].at != first.at else None,
        accepted_by=signed[0].by if signed else None,
    )


def _last_run(changes: Sequence[StateChange]) -> list[StateChange]:
    run: list[StateChange] = []
    for change in reversed(changes):
        if not change.done:
            break
        run.insert(0, change)
    return run


def _grade(how: _Done, review: Review | None) -> EvidenceGrade:
    if review is not None and review.by:
        return EvidenceGrade.REVIEW
    return EvidenceGrade.HISTORY if how.proven and how.by else EvidenceGrade.STATE


def _plan(connection: str, row: Row, project: Row, kind: str, state: str, **proof: Any) -> Observation:
    return Observation(
        connection=connection,
        project_id=str(project["id"]),
        project_key=str(project.get("identifier") or project["id"]),
        project_name=str(project.get("name", "")),
        milestone_id=need_text(row, "id"),
        kind=kind,
        name=need_text(row, "name"),
        state=state,
        updated_at=seconds(row, "updated_at"),
        url=text_or_none(row, "html_url"),
        **proof,
    )


def _date_from(*, done: bool, stated: bool) -> Provenance:
    if not done:
        return Provenance.ABSENT
    return Provenance.NATIVE if stated else Provenance.FIRST_OBSERVED


def sprint(connection: str, row: Row, project: Row) -> Observation:
    """A sprint; one that was completed by a script has no completion date and is unproven."""
    status = need_text(row, "status")
    if status not in ("pending", "in_progress", "completed"):
        raise BadRow("STATE_UNKNOWN", field="status", found=status, expected="pending, in_progress, completed")
    done, completed = status == "completed", seconds(row, "completed_at")
    return _plan(
        connection, row, project, "sprint", status,
        done=done,
        done_at=(completed or seconds(row, "updated_at")) if done else None,
        planned_at=seconds(row, "end_at"),
        unproven=done and completed is None,
        date_provenance=_date_from(done=done, stated=completed is not None),
    )  # fmt: skip


def release(connection: str, row: Row, project: Row) -> Observation:
    """A release is done in a stage of type `published`; the stage's date is typed in by a person."""
    stage = need_mapping(row, "stage")
    kind = need_text(stage, "type", "stage.type")
    if kind not in ("pending", "in_progress", "published"):
        raise BadRow("STATE_UNKNOWN", field="stage.type", found=kind, expected="pending, in_progress, published")
    done, reached, share = kind == "published", seconds(row, "operate_at"), row.get("progress")
    return _plan(
        connection, row, project, "release", str(stage.get("name", "")),
        done=done,
        done_at=(reached or seconds(row, "updated_at")) if done else None,
        planned_at=seconds(row, "end_at"),
        percent_bp=None if share is None else _basis_points(share),
        percent_provenance=Provenance.ABSENT if share is None else Provenance.CHILDREN,
        date_provenance=_date_from(done=done, stated=reached is not None),
    )  # fmt: skip


def deliverable(connection: str, row: Row, project: Row) -> Observation:
    """A document that a milestone owes: done once it has content. Who put it there, and when, is not told:
    the last change of the row stands in for the day, and a later one moves nothing.
    """
    if "content" not in row:
        raise BadRow("PROOF_FIELD_MISSING", field="content")
    content = row["content"]
    if content is not None and not isinstance(content, dict):
        raise wrong_type("content", content, "an object or null")
    there = bool(content)
    seen = _plan(
        connection, row, project, "deliverable", text_or_none(row, "content_type") or "–",
        done=there,
        done_at=seconds(row, "updated_at") if there else None,
        date_provenance=_date_from(done=there, stated=False),
    )  # fmt: skip
    link = content.get("href") or content.get("url") if isinstance(content, dict) else None
    web = link if isinstance(link, str) and link.startswith(("https://", "http://")) else None
    return seen._replace(url=web, deleted=flag(row, "is_deleted"), archived=flag(row, "is_archived"))


def _basis_points(value: object) -> int:
    """Percent as the source wrote it, exactly; 33.33 is 3333."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise wrong_type("progress", value, "a number")
    if not 0 <= value <= 100:
        raise BadRow("PERCENT_RANGE", field="progress", found=repr(value)[:40])
    return int(Fraction(str(value)) * 100)


def progress(connection: str, project: Row, answer: Any) -> Observation:
    """The share of completed work items of a project, as a milestone of kind `project`."""
    counts = need_mapping(answer if isinstance(answer, dict) else {}, "work_item")
    total, done = need_whole(counts, "total"), need_whole(counts, "completed_count")
    if not 0 <= done <= total:
        raise BadRow("PERCENT_RANGE", field="completed_count", found=f"{done} of {total}")
    share = done * 10_000 // total if total else 0
    return Observation(
        connection=connection,
        project_id=str(project["id"]),
        project_key=str(project.get("identifier") or project["id"]),
        project_name=str(project.get("name", "")),
        milestone_id=f"project:{project['id']}",
        kind="project",
        name=str(project.get("name", "")),
        state=f"{done}/{total}",
        done=total > 0 and done == total,
        percent_bp=share,
        updated_at=seconds(project, "updated_at"),
        grade=EvidenceGrade.NUMBER,
        date_provenance=Provenance.FIRST_OBSERVED,
        percent_provenance=Provenance.CHILDREN,
    )
