"""A task of a plan as an observation.

Traps: UID 0 is the plan itself and blank rows are tasks too; a task of another plan shows as an external one;
a milestone may last for weeks (the flag decides, not the duration); dates bear no zone; nobody is named.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo

from connectors.files.field_map import address, basis_points
from connectors.files.moments import moment, parted
from connectors.http.fields import BadRow, wrong_type
from connectors.msproject.reader import Task
from models.domain.observations import Observation, Provenance

NO_TIME = "PT0H0M0S"


@dataclass(slots=True)
class Outline:
    """The names of the tasks above, by the order of the file."""

    names: list[str] = field(default_factory=list)

    def enter(self, level: int, name: str) -> None:
        """A task stands at a level, from 0. A level that was left out (some writers do) stays empty."""
        del self.names[level:]
        self.names += [""] * (level - len(self.names)) + [name]

    @property
    def path(self) -> str:
        """Its name and those above it, without the plan's own."""
        return " / ".join(n for n in self.names[1:] if n)


@dataclass(frozen=True, slots=True)
class Reading:
    """How the tasks of a plan are to be read."""

    connection: str
    project: str
    zone: tzinfo
    kinds: tuple[str, ...]
    flags: tuple[frozenset[str], ...] = ()  # the field ids of each flag:NAME
    planned: str = "finish"
    done_signal: str = "percent"


def number(task: Task, name: str) -> int:
    """A whole number, 0 where there is none. Raises BadRow."""
    written = task.fields.get(name, "")
    if not written:
        return 0
    if not written.isascii() or not written.isdigit() or len(written) > 9:
        raise wrong_type(name, written, "a whole number")
    return int(written)


def yes(task: Task, name: str) -> bool:
    """A truth value as XML writes it. Raises BadRow."""
    return truth(task.fields.get(name, ""), name)


def truth(written: str, name: str) -> bool:
    """1, 0, true, false or nothing. Raises BadRow."""
    if written.lower() in ("1", "true"):
        return True
    if written.lower() in ("", "0", "false"):
        return False
    raise wrong_type(name, written, "0 or 1")


def is_row(task: Task) -> bool:
    """Is it a task of this plan? Blank rows, the plan itself and tasks of other plans are not."""
    return not (task.fields.get("UID") == "0" or yes(task, "IsNull") or yes(task, "ExternalTask"))


def kind_of(task: Task, reading: Reading) -> str | None:
    """As which kind of milestone it counts, None: as none. Raises BadRow."""
    flags = iter(reading.flags)
    for kind in reading.kinds:
        name, _, rest = kind.partition(":")
        if name == "milestone" and yes(task, "Milestone"):
            return "milestone"
        if name == "summary" and yes(task, "Summary") and number(task, "OutlineLevel") == int(rest):
            return "summary"
        if name == "zero_duration" and task.fields.get("Duration") == NO_TIME and not yes(task, "Summary"):
            return "milestone"
        if name == "flag":
            ids = next(flags)
            if any(truth(task.attributes.get(i, ""), rest) for i in sorted(ids)):
                return "flagged"
    return None


def observe(task: Task, kind: str, name: str, reading: Reading, saved: str) -> Observation:
    """A task as an observation. Raises BadRow."""
    if not name:
        raise BadRow("PROOF_FIELD_MISSING", field="Name")
    if "PercentComplete" not in task.fields:
        raise BadRow("PROOF_FIELD_MISSING", field="PercentComplete")
    percent = basis_points(task.fields["PercentComplete"], "PercentComplete")
    finished = date_of(task.fields.get("ActualFinish", ""), reading.zone, "ActualFinish")
    done = percent == 10_000 if reading.done_signal == "percent" else finished is not None
    done_at, done_on = parted(finished) if done else (None, None)
    planned_at, planned_on = _with_day(_planned(task, reading), reading.zone)
    dated = done and finished is not None
    return Observation(
        connection=reading.connection, project_id=reading.project, project_key=reading.project,
        project_name=reading.project, milestone_id=identity(task, reading), kind=kind, name=name,
        state=f"{percent // 100}%", done=done, percent_bp=percent,
        done_at=done_at, done_on=done_on, planned_at=planned_at, planned_on=planned_on,
        updated_at=parted(date_of(saved, reading.zone, "LastSaved"))[0],
        archived="Active" in task.fields and not yes(task, "Active"),
        url=address(task.fields.get("HyperlinkAddress")),
        date_provenance=Provenance.NATIVE if dated or not done else Provenance.FIRST_OBSERVED,
        percent_provenance=Provenance.NATIVE, unproven=done and not dated,
    )  # fmt: skip


def identity(task: Task, reading: Reading) -> str:
    """UIDs are unique within their plan only. Raises BadRow."""
    uid = task.fields.get("UID", "")
    if not uid:
        raise BadRow("PROOF_FIELD_MISSING", field="UID")
    return f"{reading.project}/{uid}"


def _planned(task: Task, reading: Reading) -> datetime | date | None:
    name, _, which = reading.planned.partition(":")
    written = task.fields.get("Finish", "") if name == "finish" else task.baselines.get(which or "0", "")
    return date_of(written, reading.zone, "Finish")


def _with_day(found: datetime | date | None, zone: tzinfo) -> tuple[datetime | None, date | None]:
    """The instant and its day in the plan's zone: in UTC, midnight in Shanghai is the day before."""
    if isinstance(found, datetime):
        return found, found.astimezone(zone).date()
    return None, found


def date_of(written: str, zone: tzinfo, name: str) -> datetime | date | None:
    """A date as the plan writes it, NA for none. Raises BadRow."""
    return None if written.upper() == "NA" else moment(written, zone, "", name)
