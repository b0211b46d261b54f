"""Tasks of Project for the web (Planner premium) as observations: Dataverse rows of msdyn_projecttask.

`msdyn_progress` is a decimal from 0 to 1, `msdyn_actualend` is set by the scheduling engine at 1. The last modifier is
often that engine: nobody is named for the completion.
Source: MicrosoftDocs dynamics-365-project-operations, schedule API pages; column names of msdyn_projecttask.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from connectors.http.fields import BadRow, instant, need_text, unknown_fields, wrong_type
from connectors.http.source import Project
from models.domain.observations import Observation, Provenance

Row = dict[str, Any]

COLUMNS = (
    "msdyn_projecttaskid", "msdyn_subject", "msdyn_progress", "msdyn_ismilestone", "msdyn_summary", "msdyn_outlinelevel",
    "msdyn_start", "msdyn_finish", "msdyn_actualstart", "msdyn_actualend", "modifiedon", "_msdyn_project_value",
)  # fmt: skip
KNOWN = frozenset((*COLUMNS, "@odata.etag", "@odata.context"))


def task(connection: str, row: Mapping[str, Any], project: Project, url: str) -> Observation:
    """One task; `url` is the environment's root. Raises BadRow where a proof field is missing or of another type."""
    percent, identity = progress(row), need_text(row, "msdyn_projecttaskid")
    done, ended = percent == 10_000, instant(row, "msdyn_actualend")
    updated = instant(row, "modifiedon")
    return Observation(
        connection=connection,
        project_id=project.id,
        project_key=project.key,
        project_name=project.name,
        milestone_id=identity,
        kind="milestone" if row.get("msdyn_ismilestone") is True else "task",
        name=need_text(row, "msdyn_subject"),
        state="done" if done else "in progress" if percent else "not started",
        done=done,
        percent_bp=percent,
        done_at=(ended or updated) if done else None,
        planned_at=instant(row, "msdyn_finish"),
        updated_at=updated,
        url=f"{url}/main.aspx?pagetype=entityrecord&etn=msdyn_projecttask&id={identity}",
        date_provenance=_date_from(done=done, found=ended is not None),
        percent_provenance=Provenance.NATIVE,
        extra=unknown_fields(dict(row), KNOWN),
    )


def progress(row: Mapping[str, Any]) -> int:
    """0 … 1 as basis points, rounded down: 0.99999 is not done."""
    value = row.get("msdyn_progress")
    if value is None:
        raise BadRow("PROOF_FIELD_MISSING", field="msdyn_progress")
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise wrong_type("msdyn_progress", value, "a number from 0 to 1")
    share = Decimal(str(value))
    if not share.is_finite() or not 0 <= share <= 1:
        raise BadRow("PERCENT_RANGE", field="msdyn_progress", found=str(value))
    return int(share * 10_000)


def _date_from(*, done: bool, found: bool) -> Provenance:
    if not done:
        return Provenance.ABSENT
    return Provenance.NATIVE if found else Provenance.FIRST_OBSERVED
