"""Records of any kind as milestones, by configuration alone: which field is which, which values mean done.

One mapping for spreadsheets, dlt resources and Singer streams. A field is named as it stands in the record;
`a.b` is the field b of an object a.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any

from connectors.errors import SourceConfig
from connectors.files.moments import moment, parted, zone_of
from connectors.http.fields import BadRow, wrong_type
from connectors.registry import Option
from models.domain.observations import Observation, Provenance

Record = Mapping[str, Any]

FIELD_OPTIONS = (
    Option("id_field", required=True, help="the field that identifies a milestone for ever"),
    Option("name_field", required=True, help="the field with its name"),
    Option("project_field", default="", help="the field with its project; none: all belong to project_name"),
    Option("project_name", default="", help="the project of records that name none; without it and project_field: the file's or stream's name"),
    Option("done_field", default="", help="the field that says whether it is done; none: done where date_field is filled"),
    Option("done_values", default=(), help='the values of done_field that mean done, e.g. ["已完成", "true"]'),
    Option("open_values", default=(), help="the values that mean not done; with them any other value is put aside"),
    Option("date_field", default="", help="the field with the day or moment of completion"),
    Option("date_format", default="", help="unix, unix_ms or a strptime pattern; none: ISO, year first"),
    Option("timezone", default="Asia/Shanghai", help="the zone of times that bear none"),
    Option("person_field", default="", help="the field with who completed it"),
    Option("percent_field", default="", help="the field with the percentage"),
    Option("percent_of", default=100, help="what full is in percent_field: 100 or 1; a value with % needs none"),
    Option("planned_field", default="", help="the field with the planned date"),
    Option("updated_field", default="", help="the field with the last change"),
    Option("url_field", default="", help="the field with the address for the reader"),
    Option("deleted_field", default="", help="the field that is filled where the record was deleted"),
    Option("only", default=(), help='only records with these values: ["type=milestone"]'),
)  # fmt: skip
FIELD_NAMES = frozenset(o.name for o in FIELD_OPTIONS)
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class FieldMap:
    """Which field is which. Empty: the records do not say it."""

    id_field: str
    name_field: str
    project_field: str = ""
    project_name: str = ""
    done_field: str = ""
    done_values: tuple[str, ...] = ()
    open_values: tuple[str, ...] = ()
    date_field: str = ""
    date_format: str = ""
    timezone: str = "Asia/Shanghai"
    person_field: str = ""
    percent_field: str = ""
    percent_of: int = 100
    planned_field: str = ""
    updated_field: str = ""
    url_field: str = ""
    deleted_field: str = ""
    only: tuple[str, ...] = ()

    def fields(self) -> list[str]:
        """The fields that the mapping names, `only` among them."""
        named = [getattr(self, n) for n in sorted(FIELD_NAMES) if n.endswith("_field")]
        return [f for f in (*named, *(c.partition("=")[0] for c in self.only)) if f]


class Mapped:
    """A field map at work for one connection. Raises SourceConfig where it cannot prove anything."""

    def __init__(self, connection: str, fields: FieldMap, kind: str) -> None:
        self.connection, self.fields, self.kind = connection, fields, kind
        self.zone: tzinfo = zone_of(connection, fields.timezone)
        if not (fields.done_field or fields.date_field):
            raise SourceConfig("done_unsaid", connection=connection)
        if fields.done_field and not fields.done_values:
            raise SourceConfig("done_values_unsaid", connection=connection, field=fields.done_field)
        if fields.percent_of not in (1, 100):
            raise SourceConfig("percent_of", connection=connection, found=fields.percent_of)
        self._done = frozenset(map(plain, fields.done_values))
        self._open = frozenset(map(plain, fields.open_values))
        self._only = _conditions(connection, fields.only)

    def is_milestone(self, record: Record) -> bool:
        """Does every condition of `only` hold?"""
        return all(plain(value_of(record, field)) in wanted for field, wanted in self._only.items())

    def observe(self, record: Record, project: str) -> Observation:
        """A record as an observation; `project` where no field is mapped to name it. Raises BadRow."""
        m = self.fields
        state, done = self._state(record)
        done_at, done_on = parted(self._moment(record, m.date_field)) if done else (None, None)
        dated = done_at is not None or done_on is not None
        planned_at, planned_on = parted(self._moment(record, m.planned_field))
        by = text(record, m.person_field) if done else None
        percent = self._percent(record)
        key = self._project(record, project)
        return Observation(
            connection=self.connection, project_id=key, project_key=key, project_name=key,
            milestone_id=self.identity(record), kind=self.kind, name=_needed(record, m.name_field),
            state=state, done=done, percent_bp=percent, done_at=done_at, done_on=done_on, done_by=by,
            planned_at=planned_at, planned_on=planned_on, updated_at=parted(self._moment(record, m.updated_field))[0],
            deleted=bool(m.deleted_field and plain(value_of(record, m.deleted_field)) not in _NOTHING),
            url=address(text(record, m.url_field)),
            date_provenance=Provenance.NATIVE if dated or not done else Provenance.FIRST_OBSERVED,
            person_provenance=Provenance.NATIVE if by else Provenance.ABSENT,
            percent_provenance=Provenance.ABSENT if percent is None else Provenance.NATIVE,
            unproven=done and bool(m.date_field) and not dated,
        )  # fmt: skip

    def identity(self, record: Record) -> str:
        """The record's id. Raises BadRow where it has none."""
        return _needed(record, self.fields.id_field)

    def project(self, record: Record, otherwise: str) -> str | None:
        """The project of a record that may be spoiled; None where it should name one and does not."""
        field = self.fields.project_field
        found = value_of(record, field) if field else None
        if isinstance(found, str | int) and shown(found):
            return shown(found)
        return self.fields.project_name or (None if field else otherwise)

    def _project(self, record: Record, otherwise: str) -> str:
        """The project; `otherwise` only where no field is said to name it: a blank is no project of its own."""
        m = self.fields
        found = text(record, m.project_field) or m.project_name or (None if m.project_field else otherwise)
        if found is None:
            raise BadRow("PROOF_FIELD_MISSING", field=m.project_field)
        return found

    def _state(self, record: Record) -> tuple[str, bool]:
        """The state's own name, and whether it means done."""
        m = self.fields
        if not m.done_field:
            done = self._moment(record, m.date_field) is not None
            return ("done" if done else "open"), done
        value = value_of(record, m.done_field, _ABSENT)
        if value is _ABSENT:
            raise BadRow("PROOF_FIELD_MISSING", field=m.done_field)
        if isinstance(value, dict | list | tuple):
            raise wrong_type(m.done_field, value, "text")
        found = plain(value)
        if self._open and not found:
            raise BadRow("PROOF_FIELD_MISSING", field=m.done_field)
        if self._open and found not in self._done | self._open:
            known = ", ".join((*m.done_values, *m.open_values))
            raise BadRow("STATE_UNKNOWN", field=m.done_field, found=str(value)[:40], expected=known)
        return shown(value), found in self._done

    def _moment(self, record: Record, field: str) -> Any:
        return moment(value_of(record, field), self.zone, self.fields.date_format, field) if field else None

    def _percent(self, record: Record) -> int | None:
        field = self.fields.percent_field
        value = value_of(record, field) if field else None
        return None if value is None or value == "" else basis_points(value, field, full=self.fields.percent_of)


_NOTHING = ("", "0", "false")


def basis_points(value: object, label: str, *, full: int = 100) -> int:
    """A percentage ("50%", 50, or 0.5 where full is 1) in basis points, rounded down. Raises BadRow."""
    if isinstance(value, bool | dict | list):
        raise wrong_type(label, value, "a percentage")
    written = str(value).strip()
    try:
        number = Decimal(written.rstrip("%％").strip())
    except InvalidOperation:
        raise wrong_type(label, value, "a percentage") from None
    share = number / 100 if written.endswith(("%", "％")) else number / full
    if not share.is_finite() or not 0 <= share <= 1:
        raise BadRow("PERCENT_RANGE", found=f"{label} {written}"[:60])
    return int(share * 10_000)


def value_of(record: Record, field: str, otherwise: object = None) -> Any:
    """The value of a field: its own name first, else along the dots."""
    if field in record:
        return record[field]
    here: Any = record
    for part in field.split("."):
        if not isinstance(here, Mapping) or part not in here:
            return otherwise
        here = here[part]
    return here


def shown(value: object) -> str:
    """A value as a text: true and false as JSON writes them, nothing as an empty text."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def plain(value: object) -> str:
    """A value as configured values are compared with: without width, case and surrounding spaces."""
    return unicodedata.normalize("NFKC", shown(value)).strip().casefold()


def text(record: Record, field: str) -> str | None:
    """An optional text. Raises BadRow for an object where a text belongs."""
    value = value_of(record, field) if field else None
    if isinstance(value, dict | list):
        raise wrong_type(field, value, "text")
    return shown(value) or None


def address(found: str | None) -> str | None:
    """An address that a browser may open; anything else (javascript:, file:) is none."""
    return found if found and found.lower().startswith(("http://", "https://")) else None


def _needed(record: Record, field: str) -> str:
    found = text(record, field)
    if found is None:
        raise BadRow("PROOF_FIELD_MISSING", field=field)
    return found


def _conditions(connection: str, only: tuple[str, ...]) -> dict[str, set[str]]:
    """Field -> the values it may have; several conditions on one field are alternatives."""
    found: dict[str, set[str]] = {}
    for condition in only:
        field, sign, value = condition.partition("=")
        if not sign or not field.strip():
            raise SourceConfig("only_misfit", connection=connection, found=repr(condition))
        found.setdefault(field.strip(), set()).add(plain(value))
    return found
