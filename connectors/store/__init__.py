"""The store: one engine, one unit of work, bulk writes for SQLite and PostgreSQL."""

from connectors.store.engine import Store, open_store
from connectors.store.errors import StoreError

__all__ = ["Store", "StoreError", "open_store"]
