"""The store: one engine, one unit of work, bulk writes for SQLite and PostgreSQL."""

from connectors.store.engine import Store, StoreError, open_store

__all__ = ["Store", "StoreError", "open_store"]
