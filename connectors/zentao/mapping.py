"""ZenTao's executions (stages of a waterfall project, sprints, kanbans) as observations.

A stage carries the flag `milestone`; closing it records the closer and the moment, which nobody can edit, while the
actual end (`realEnd`) is typed by hand. Types are loose: ids and flags come as numbers or texts, people as an account
name or an object. Times are UTC (the API's default format), dates have no zone.
Source: easysoft/zentaopms api/v1/entries/executions.php and framework/api/entry.class.php, 18 to 21.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from connectors.http.fields import BadRow, day, instant, need_text, unknown_fields, wrong_type
from connectors.http.source import Project
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Observation, Provenance

Row = dict[str, Any]

#: Of the list's fields these come only when asked for; older versions ignore the wish and send all.
WISHED = (
    "milestone",
    "attribute",
    "percent",
    "closedBy",
    "closedDate",
    "realBegan",
    "realEnd",
    "lastEditedDate",
    "deleted",
)
KNOWN = frozenset((
    *WISHED,
    *(
        "id project name code type parent begin end status openedBy openedDate progress children delay model grade path lifetime "
        "budget budgetUnit output auth subStatus pri desc version parentVersion planDuration realDuration openedVersion days "
        "lastEditedBy canceledBy canceledDate suspendedDate PO PM QD RD team acl whitelist order vision division hasProduct "
        "multiple isTpl parallel enabled colWidth minColWidth maxColWidth fluidBoard displayCards tplAcl tplWhiteList estimate left "
        "consumed teamCount market storyType totalHours totalEstimate totalConsumed totalLeft hours burns projectName productName "
        "category stageBy taskDateLimit linkType charter firstEnd projectModel isParent nameCol"
    ).split(),
))  # fmt: skip
STATES = ("wait", "doing", "suspended", "closed")


def execution(connection: str, row: Mapping[str, Any], project: Project, url: str, date_from: str) -> Observation:
    """One execution; `date_from` is closed or real_end. Raises BadRow where a proof field is missing or another."""
    state = need_text(row, "status")
    if state not in STATES:
        raise BadRow("STATE_UNKNOWN", field="status", found=state, expected=", ".join(STATES))
    done, percent = state == "closed", _percent(row)
    at, typed = instant(row, "closedDate"), day(row, "realEnd")
    by = person(row.get("closedBy")) if done else None
    on = typed if done and date_from == "real_end" else None
    at = at if done and on is None else None
    return Observation(
        connection=connection,
        project_id=project.id,
        project_key=project.key,
        project_name=project.name,
        milestone_id=need_text(row, "id"),
        kind=str(row.get("type") or "execution"),
        name=need_text(row, "name"),
        state=state,
        done=done,
        percent_bp=percent,
        done_at=at,
        done_on=on,
        done_by=by,
        planned_on=day(row, "end"),
        updated_at=instant(row, "lastEditedDate"),
        deleted=row.get("deleted") in (True, "1", 1),
        url=f"{url}/execution-view-{row['id']}.html",
        grade=EvidenceGrade.HISTORY if by and (at or on) else EvidenceGrade.STATE,
        date_provenance=_date_from(done=done, found=at is not None or on is not None),
        person_provenance=Provenance.NATIVE if by else Provenance.ABSENT,
        percent_provenance=Provenance.ABSENT if percent is None else Provenance.NATIVE,
        extra=unknown_fields(dict(row), KNOWN),
    )


def is_milestone(row: Mapping[str, Any]) -> bool:
    """Does the stage carry the flag? Raises BadRow where the answer does not say."""
    value = row.get("milestone")
    if value is None:
        raise BadRow("PROOF_FIELD_MISSING", field="milestone")
    if str(value) not in ("0", "1"):
        raise wrong_type("milestone", value, "0 or 1")
    return str(value) == "1"


def flat(rows: object) -> Iterator[Row]:
    """Stages and the stages below them; `children` is a list, or an object by id."""
    found = list(rows.values()) if isinstance(rows, dict) else rows
    for row in found if isinstance(found, list) else []:
        if isinstance(row, dict):
            yield row
            yield from flat(row.get("children"))


def person(value: object) -> str | None:
    """The name of a person, given as an object, else the account."""
    if isinstance(value, dict):
        named = [v for v in (value.get("realname"), value.get("account")) if isinstance(v, str) and v]
        return named[0] if named else None
    return value if isinstance(value, str) and value else None


def _percent(row: Mapping[str, Any]) -> int | None:
    """`progress`, a number or text of 0 to 100, in basis points."""
    value = row.get("progress")
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise wrong_type("progress", value, "a number")
    try:
        found = Decimal(str(value).rstrip("%"))
    except InvalidOperation:
        raise wrong_type("progress", value, "a number") from None
    if not found.is_finite() or not 0 <= found <= 100:
        raise BadRow("PERCENT_RANGE", field="progress", found=str(value))
    return int(found * 100)


def _date_from(*, done: bool, found: bool) -> Provenance:
    if not done:
        return Provenance.ABSENT
    return Provenance.NATIVE if found else Provenance.FIRST_OBSERVED
