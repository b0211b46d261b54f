"""To-dos and events of a calendar as observations (RFC 5545).

STATUS decides where it is given: a client that reopens a to-do may leave its COMPLETED behind, and a cancelled
one may bear 100 %. Who completed it is not told: ORGANIZER and ATTENDEE are who planned it.
"""

from __future__ import annotations

from datetime import date, datetime, tzinfo
from typing import Any

from connectors.files.field_map import address, basis_points
from connectors.files.moments import moment, parted
from connectors.http.fields import BadRow, wrong_type
from models.domain.observations import Observation, Provenance

STATES = ("NEEDS-ACTION", "IN-PROCESS", "COMPLETED", "CANCELLED")
_PROOF = ("STATUS", "COMPLETED", "PERCENT-COMPLETE", "DUE", "DTSTART", "UID", "RECURRENCE-ID")
#: All that is read here; other properties need not even be parsed.
PROPERTIES = frozenset((*_PROOF, "SUMMARY", "LAST-MODIFIED", "URL", "RRULE", "RDATE"))


def identity(component: Any) -> str | None:
    """The UID, and which recurrence of it; None where there is none, or where there are two."""
    uid, which = component.get("UID"), component.get("RECURRENCE-ID")
    plain = "" if isinstance(uid, list) else str(uid or "").strip()
    if not plain or isinstance(which, list):
        return None
    return plain if which is None else f"{plain}/{which.to_ical().decode()}"


def observe(component: Any, connection: str, project: str, zone: tzinfo) -> Observation:
    """A to-do or an event. Raises BadRow."""
    _check(component)
    todo = component.name == "VTODO"
    state, done = _state(component) if todo else (str(component.get("STATUS") or "CONFIRMED").upper(), False)
    finished = _when(component, "COMPLETED", zone)
    done_at, done_on = parted(finished) if done else (None, None)
    planned_at, planned_on = parted(_when(component, "DUE" if todo else "DTSTART", zone))
    percent = _percent(component) if todo else None
    return Observation(
        connection=connection, project_id=project, project_key=project, project_name=project,
        milestone_id=str(identity(component)), kind="todo" if todo else "event",
        name=str(component.get("SUMMARY") or "").strip(), state=state, done=done, percent_bp=percent,
        done_at=done_at, done_on=done_on, planned_at=planned_at, planned_on=planned_on,
        updated_at=_updated(component, zone), archived=state == "CANCELLED",
        url=address(str(component.get("URL") or "")),
        date_provenance=Provenance.NATIVE if finished is not None or not done else Provenance.FIRST_OBSERVED,
        percent_provenance=Provenance.ABSENT if percent is None else Provenance.NATIVE,
        unproven=done and finished is None,
    )  # fmt: skip


def _check(component: Any) -> None:
    """What makes a component unusable. Raises BadRow."""
    for name in (*_PROOF, "SUMMARY"):
        if isinstance(component.get(name), list):
            raise wrong_type(name, "twice", "one value")
    if identity(component) is None:
        raise BadRow("PROOF_FIELD_MISSING", field="UID")
    if not str(component.get("SUMMARY") or "").strip():
        raise BadRow("PROOF_FIELD_MISSING", field="SUMMARY")
    for name, why in component.errors:
        if name is None or str(name).upper() in _PROOF:  # a line that cannot be read may be any of them
            raise wrong_type(str(name or "-"), why, "RFC 5545")
    if component.get("RRULE") is not None or component.get("RDATE") is not None:
        raise wrong_type("RRULE", "a series", "one date")  # which of them would the payment wait for?


def _state(component: Any) -> tuple[str, bool]:
    state = str(component.get("STATUS") or "").strip().upper()
    if state and state not in STATES:
        raise BadRow("STATE_UNKNOWN", field="STATUS", found=state[:40], expected=", ".join(STATES))
    if state:
        return state, state == "COMPLETED"
    done = component.get("COMPLETED") is not None
    return ("COMPLETED" if done else "NEEDS-ACTION"), done


def _percent(component: Any) -> int | None:
    value = component.get("PERCENT-COMPLETE")
    return None if value is None else basis_points(int(value), "PERCENT-COMPLETE")


def _updated(component: Any, zone: tzinfo) -> datetime | None:
    """The last change, where it can be read: it proves nothing."""
    if any(str(name).upper() == "LAST-MODIFIED" for name, _why in component.errors):
        return None
    return parted(_when(component, "LAST-MODIFIED", zone))[0]


def _when(component: Any, name: str, zone: tzinfo) -> datetime | date | None:
    value = component.get(name)
    if isinstance(value, list):
        raise wrong_type(name, "twice", "one value")
    found = getattr(value, "dt", None)
    if value is not None and not isinstance(found, date):
        raise wrong_type(name, value, "a date or a moment")
    return moment(found, zone, "", name)
