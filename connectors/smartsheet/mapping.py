"""What a row of a sheet says, by the columns that matter; and what the history of a cell says.

Columns are found by their tags (those of a project sheet) or by title or id. Done is a ticked box, a percentage of
exactly 1, or one of the named values. What a cell shows is no proof: 0.996 shows as 100%.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from connectors.http.fields import BadRow, day_of, instant, need_text, text_or_none, unknown_fields, wrong_type
from connectors.http.paging import Row
from connectors.http.source import Project
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Observation, Provenance, StateChange

KIND = "row"
ZERO_DURATION, BY_COLUMN = "zero_duration", "column:"
DURATION, PERCENT, FINISH = "GANTT_DURATION", "GANTT_PERCENT_COMPLETE", "GANTT_END_DATE"
KNOWN = frozenset(
    "id sheetId siblingId parentId accessLevel attachments cells columns conditionalFormat createdAt createdBy discussions proofs "
    "expanded filteredOut format inCriticalPath locked lockedForUser modifiedAt modifiedBy permaLink permalink rowNumber version".split()
)
#: What a formula that failed leaves in its cell: "#REF", "#NO MATCH", "#UNPARSEABLE".
_FAILED = re.compile(r"#[A-Z]{3,}[A-Z !/]*")
_ZERO = re.compile(r"~?0+([.,]0+)?\s*[a-z]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says of columns; titles or ids."""

    milestones: tuple[str, ...]
    done_column: str
    done_values: tuple[str, ...]
    planned_column: str


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one sheet that matter, each None where the sheet has none."""

    rules: Rules
    primary: Row | None
    duration: Row | None
    percent: Row | None
    done: Row | None
    planned: Row | None
    named: Mapping[str, Row]  # by title and by id

    @classmethod
    def of(cls, rows: Sequence[Row], rules: Rules) -> Columns:
        """From a sheet's columns."""
        named = {str(r.get("id")): r for r in rows} | {str(r.get("title")): r for r in rows}
        tagged = {tag: r for r in rows for tag in _tags(r)}
        return cls(
            rules=rules,
            primary=next((r for r in rows if r.get("primary") is True), None),
            duration=tagged.get(DURATION),
            percent=tagged.get(PERCENT),
            done=named.get(rules.done_column) if rules.done_column else tagged.get(PERCENT),
            planned=named.get(rules.planned_column) if rules.planned_column else tagged.get(FINISH),
            named=named,
        )

    def is_milestone(self, row: Row) -> bool:
        """Is the row one by the configuration? Raises BadRow for a row without cells."""
        return any(self._fits(row, rule) for rule in self.rules.milestones)

    @property
    def any_decides(self) -> bool:
        """Has the sheet a column by which rows are milestones? One without says nothing about them, nor who is gone."""
        return any(self._decides(rule)[0] is not None for rule in self.rules.milestones)

    def _decides(self, rule: str) -> tuple[Row | None, str]:
        """The column of a rule, and the value that it wants there."""
        if rule == ZERO_DURATION:
            return self.duration, ""
        title, _, wanted = rule.removeprefix(BY_COLUMN).partition("=")
        return self.named.get(title.strip()), wanted.strip()

    def _fits(self, row: Row, rule: str) -> bool:
        column, wanted = self._decides(rule)
        found = _text(cell(row, column).get("value"))
        if _FAILED.fullmatch(found):
            raise wrong_type(str((column or {}).get("title")), found, "a value")
        return _ZERO.fullmatch(found) is not None if rule == ZERO_DURATION else found == wanted

    def is_done(self, value: object) -> bool:
        """What a value of the done column means. Raises BadRow for what cannot be read."""
        title = str((self.done or {}).get("title", "done_column"))
        if value is None or value == "":
            return False
        if isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            return _share(title, value) == 1
        if not isinstance(value, str) or _FAILED.fullmatch(value) or self.done is self.percent:
            raise wrong_type(title, value, "a ticked box, a percentage or a value")
        return value.strip() in self.rules.done_values


def cell(row: Row, column: Row | None) -> Row:
    """The cell of a row in a column, empty where there is none. Raises BadRow for a row without cells."""
    cells = row.get("cells")
    if cells is None:
        raise BadRow("PROOF_FIELD_MISSING", field="cells")
    if not isinstance(cells, list) or not all(isinstance(c, dict) for c in cells):
        raise wrong_type("cells", cells, "a list of cells")
    if column is None:
        return {}
    return next((c for c in cells if c.get("columnId") == column.get("id")), {})


def done(row: Row, columns: Columns) -> bool:
    """Is the row done? Raises BadRow where no column says it, or the cell cannot be read."""
    if columns.done is None:
        raise BadRow("PROOF_FIELD_MISSING", field=columns.rules.done_column or PERCENT)
    return columns.is_done(cell(row, columns.done).get("value"))


def milestone(connection: str, row: Row, project: Project, columns: Columns, history: Sequence[Row]) -> Observation:
    """A row that is a milestone, with the history of its done cell. Raises BadRow."""
    finished, changes = done(row, columns), moves(history, columns)
    last = changes[-1] if finished and changes and changes[-1].done else None
    percent = _percent(row, columns)
    return Observation(
        connection=connection,
        project_id=project.id,
        project_key=project.key,
        project_name=project.name,
        milestone_id=f"{KIND}:{need_text(row, 'id')}",
        kind=KIND,
        name=_name(row, columns),
        state=_shown(cell(row, columns.done)) or "-",
        done=finished,
        percent_bp=percent,
        done_at=last.at if last else None,
        done_by=last.by if last else None,
        planned_on=_planned(row, columns),
        updated_at=instant(row, "modifiedAt"),
        url=_link(row, project),
        grade=EvidenceGrade.HISTORY if last and last.by else EvidenceGrade.STATE,
        date_provenance=Provenance.HISTORY if last else Provenance.ABSENT,
        person_provenance=Provenance.HISTORY if last and last.by else Provenance.ABSENT,
        percent_provenance=Provenance.ABSENT if percent is None else Provenance.NATIVE,
        history=changes,
        extra=unknown_fields(row, KNOWN),
    )


def moves(history: Sequence[Row], columns: Columns) -> tuple[StateChange, ...]:
    """Done and undone again, oldest first, from the first time it was done; as a cell's history tells it."""
    dated = []
    for entry in history:
        at = instant(entry, "modifiedAt")
        if at is None:
            raise BadRow("PROOF_FIELD_MISSING", field="history.modifiedAt")
        dated.append((at, entry))
    found: list[StateChange] = []
    for at, entry in sorted(dated, key=lambda d: d[0]):
        is_done = _was_done(entry, columns)
        if is_done != (found[-1].done if found else False):
            found.append(StateChange(at, is_done, _person(entry), _shown(entry) or "-"))
    return tuple(found)


def _was_done(entry: Row, columns: Columns) -> bool:
    """A value of the past that cannot be read was not done."""
    try:
        return columns.is_done(entry.get("value"))
    except BadRow:
        return False


def _person(entry: Row) -> str | None:
    who = entry.get("modifiedBy")
    return text_or_none(who, "name") or text_or_none(who, "email") if isinstance(who, dict) else None


def _tags(column: Row) -> Sequence[str]:
    tags = column.get("tags")
    return [t for t in tags if isinstance(t, str)] if isinstance(tags, list) else []


def _share(title: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise BadRow("PERCENT_RANGE", field=title, found=str(value)[:40])
    return value


def _percent(row: Row, columns: Columns) -> int | None:
    """In basis points, rounded down: what is not whole is not 100 %."""
    value = cell(row, columns.percent).get("value")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(Decimal(str(_share(PERCENT, value))) * 10_000)


def _planned(row: Row, columns: Columns) -> date | None:
    """A day; the time that a project sheet adds has no zone and is left out."""
    return day_of({"planned": cell(row, columns.planned).get("value")}, "planned")


def _name(row: Row, columns: Columns) -> str:
    inside = cell(row, columns.primary)
    name = _text(inside.get("value")) or text_or_none(inside, "displayValue")
    if not name:
        raise BadRow("PROOF_FIELD_MISSING", field=str((columns.primary or {}).get("title", "primary column")))
    return name


def _text(value: object) -> str:
    """A value as people write it: true, 5, Milestone."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value).strip()


def _shown(inside: Row) -> str:
    return text_or_none(inside, "displayValue") or _text(inside.get("value"))


def _link(row: Row, project: Project) -> str | None:
    """To the row, else to its sheet; only what a browser may follow safely."""
    url = text_or_none(row, "permalink") or text_or_none(row, "permaLink") or text_or_none(project.row, "permalink")
    return url if url and url.startswith("https://") else None
