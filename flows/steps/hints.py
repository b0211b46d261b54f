"""Hints that webhooks leave: rows that stay until a pull has looked at what they are about.

A hint is kept once for each project of a connection. Another one renews its mark, so that one which comes while
a pull is on its way is still there afterwards.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from connectors.store import Store
from connectors.store.bulk import fetch
from models.tables import hook_deliveries, hook_hints

#: How long a hint waits after a pull that failed: doubling from the first to the last of these seconds.
FIRST_WAIT, LAST_WAIT = 30, 3600
#: So often a pull of the named project may fail before the whole connection is pulled instead: it may be gone.
NAMED_TRIES = 3


@dataclass(frozen=True, slots=True)
class Hint:
    """Something may have changed in a project, or (empty) somewhere in the connection."""

    connection: str
    project: str
    mark: str
    received_at: int
    attempts: int


def receive(
    store: Store, connection: str, keys: Sequence[str], project: str | None, now: int, remembered: int, wait: int
) -> bool:
    """Keep a hint, and that its delivery came. False: it came before, and nothing is kept.

    Both in one transaction: a delivery whose answer was never given is told again, and let in again.
    """
    with store.begin() as writer:
        if not all(_first(writer, key, now, now + remembered) for key in keys):
            writer.rollback()
            return False
        _keep(writer, connection, _known(writer, connection, project), now, wait)
    return True


def _first(writer: Connection, key: str, now: int, until: int) -> bool:
    statement = sa.text(
        "INSERT INTO hook_deliveries (key, until) VALUES (:key, :until) "
        "ON CONFLICT (key) DO UPDATE SET until = excluded.until WHERE hook_deliveries.until < :now"
    )
    return bool(writer.execute(statement, {"key": key, "until": until, "now": now}).rowcount)


def _known(writer: Connection, connection: str, project: str | None) -> str:
    """The id of a project that the store knows by this id or key; nothing else is asked of a vendor by name."""
    if project is None:
        return ""
    found = fetch(
        writer,
        "SELECT project_id FROM milestones WHERE connection = :c AND (project_id = :p OR project_key = :p) LIMIT 1",
        {"c": connection, "p": project},
    )
    return str(found[0][0]) if found else ""


def _keep(writer: Connection, connection: str, project: str, now: int, wait: int) -> None:
    """The pull waits a moment for more of the kind, but no longer than the first hint asked."""
    statement = sa.text(
        "INSERT INTO hook_hints (connection, project, mark, received_at, attempts, next_attempt_at) "
        "VALUES (:c, :p, :mark, :now, 0, :due) "
        "ON CONFLICT (connection, project) DO UPDATE SET mark = excluded.mark, received_at = excluded.received_at"
    )
    values = {"c": connection, "p": project, "mark": str(uuid.uuid4()), "now": now, "due": now + wait}
    writer.execute(statement, values)


def due(store: Store, connection: str, now: int) -> list[Hint]:
    """The hints of a connection, where at least one of them has waited long enough."""
    with store.read() as reader:
        rows = fetch(
            reader,
            "SELECT project, mark, received_at, attempts, next_attempt_at FROM hook_hints "
            "WHERE connection = :c ORDER BY project",
            {"c": connection},
        )
    return [Hint(connection, *r[:4]) for r in rows] if any(r[4] <= now for r in rows) else []


def projects_of(hints: Sequence[Hint]) -> tuple[str, ...]:
    """What to pull: these projects, or (none) the whole connection."""
    whole = any(not h.project or h.attempts >= NAMED_TRIES for h in hints)
    return () if whole else tuple(h.project for h in hints)


def within(store: Store, connection: str, part: Sequence[str], configured: Sequence[str]) -> tuple[str, ...]:
    """Of these projects, by id, those that the configuration names, by id or key."""
    with store.read() as reader:
        rows = fetch(
            reader, "SELECT DISTINCT project_id, project_key FROM milestones WHERE connection = :c", {"c": connection}
        )
    keys = dict(rows)
    return tuple(p for p in part if p in configured or keys.get(p) in configured)


def clear(store: Store, hints: Sequence[Hint]) -> None:
    """These were looked at; those renewed meanwhile were not."""
    with store.begin() as writer:
        for hint in hints:
            writer.execute(sa.delete(hook_hints).where(*_is(hint)))


def postpone(store: Store, hints: Sequence[Hint], now: int, *, failed: bool) -> None:
    """Look later: after a failure later and later; where only somebody else was at work, soon."""
    with store.begin() as writer:
        for hint in hints:
            tries = hint.attempts + failed
            wait = min(FIRST_WAIT * 2 ** max(0, tries - 1), LAST_WAIT) if failed else FIRST_WAIT // 2
            later = sa.update(hook_hints).where(*_is(hint))
            writer.execute(later.values(attempts=tries, next_attempt_at=now + wait))


def _is(hint: Hint) -> tuple[sa.ColumnElement[bool], ...]:
    table = hook_hints.c
    return table.connection == hint.connection, table.project == hint.project, table.mark == hint.mark


def pulled_since(store: Store, hints: Sequence[Hint]) -> bool:
    """Has a whole pull of the connection begun after all of them came? Then the night was sooner."""
    with store.read() as reader:
        found = fetch(reader, "SELECT recorded_at FROM cursors WHERE connection = :c", {"c": hints[0].connection})
    return bool(found) and int(found[0][0]) // 1_000_000 > max(h.received_at for h in hints)


def forget(store: Store, now: int) -> None:
    """Deliveries of long ago."""
    with store.begin() as writer:
        writer.execute(sa.delete(hook_deliveries).where(hook_deliveries.c.until < now))
