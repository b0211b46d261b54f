"""Whose money is followed: contracts in force, and those of which invoices stand, whatever became of their file."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from connectors.store.bulk import fetch

#: Of contracts `c`, in SQL.
FOLLOWED = "(c.active OR EXISTS (SELECT 1 FROM invoices f WHERE f.contract_id = c.id AND f.cancelled_day IS NULL))"


def followed(connection: Connection) -> list[int]:
    """The ids of these contracts."""
    return [r[0] for r in fetch(connection, f"SELECT c.id FROM contracts c WHERE {FOLLOWED} ORDER BY c.id")]
