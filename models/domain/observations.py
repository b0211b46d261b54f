"""What a project-management system said about one milestone at one moment; never edited, only added.

Every connector turns its vendor's rows into `Observation`s; nothing else leaves a connector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

from models.domain.contracts import EvidenceGrade


class Provenance(StrEnum):
    """Where a proof field comes from."""

    NATIVE = "native"  # a field of the record itself
    HISTORY = "history"  # from the vendor's change history
    CHILDREN = "children"  # computed from the items below
    FIRST_OBSERVED = "first_observed"  # the vendor has no date: when we first saw it
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class StateChange:
    """One change of a milestone's state, as the vendor's history tells it (UTC instant)."""

    at: datetime
    done: bool
    by: str | None = None
    state: str | None = None


_NOTHING: Mapping[str, object] = {}


class Observation(NamedTuple):
    """One milestone as seen in one answer. Instants are aware and in UTC; dates have no zone.

    Identity is (connection, milestone_id): the vendor's id, never the name. A named tuple, since a hundred
    thousand of them are made in a night: a frozen dataclass of so many fields takes four times as long.
    """

    connection: str
    project_id: str
    project_key: str  # identifier people use in bindings (ZHYQ); equal to project_id where there is none
    project_name: str
    milestone_id: str
    kind: str  # milestone, phase, version, sprint, release, task, issue, project …
    name: str
    state: str  # the vendor's own name of the state
    done: bool
    accepted: bool = False  # a formal acceptance was recorded, where the vendor has one
    accepted_at: datetime | None = None  # since when, where it differs from done_at
    percent_bp: int | None = None  # basis points, 0 … 10000
    done_at: datetime | None = None
    done_on: date | None = None  # where the vendor gives a day without a zone
    done_by: str | None = None
    planned_at: datetime | None = None
    planned_on: date | None = None
    updated_at: datetime | None = None
    deleted: bool = False
    archived: bool = False
    url: str | None = None
    grade: EvidenceGrade = EvidenceGrade.STATE
    date_provenance: Provenance = Provenance.NATIVE
    person_provenance: Provenance = Provenance.ABSENT
    percent_provenance: Provenance = Provenance.ABSENT
    history: tuple[StateChange, ...] = ()
    unproven: bool = False  # done, but the vendor's history does not show it: a person must look
    extra: Mapping[str, object] = _NOTHING  # unknown fields: kept and reported
    accepted_by: str | None = None  # who accepted it, where `accepted_at` differs from `done_at`


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that cannot be trusted: kept whole with the reason, the good ones go on."""

    connection: str
    milestone_id: str | None
    code: str  # finding code: PROOF_FIELD_MISSING, PROOF_FIELD_TYPE, PERCENT_RANGE, DATE_IN_FUTURE …
    params: Mapping[str, object]
    raw: str  # the row as JSON text, secrets masked


@dataclass(frozen=True, slots=True)
class Page:
    """One step of a pull.

    `snapshot_of` names projects of which, with this page, every milestone has been seen: what the store
    knows beyond those is gone at the vendor. `cursor` is set on the last page only and is committed with
    the data; None keeps the old one. `seen` counts raw rows before mapping. `alive` with `project_id` names
    the only milestones of their kind (the part of the id before the colon) that a project still has. `projects`,
    on the last page of a pull of all of them, are those that the account sees; `torn` are projects of which a list
    could not be read whole, though it was tried again.
    """

    observations: tuple[Observation, ...]
    rejected: tuple[Rejected, ...] = ()
    project_id: str | None = None
    snapshot_of: tuple[str, ...] = ()
    cursor: str | None = None
    seen: int = 0
    last: bool = False
    alive: tuple[str, ...] | None = None
    projects: tuple[str, ...] | None = None
    torn: tuple[str, ...] = ()
