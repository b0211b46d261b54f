"""What can go wrong with the store, in words for the operator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, OperationalError


class StoreError(Exception):
    """The store cannot do what was asked; `advice` says what helps."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


class StoreBusy(StoreError):
    """Somebody else holds the database or the run."""


class StoreNewer(StoreError):
    """The database has a schema this version does not know."""


class StoreFull(StoreError):
    """No room left to write."""


_SIGNS = (
    (("password authentication",), StoreError, "the database refuses the password", "check the user and password in [store] url"),
    (("database is locked", "database table is locked"), StoreBusy, "the database is locked", "another program is writing; try again"),
    (("disk is full", "No space left", "disk I/O error", "database or disk is full"), StoreFull, "the disk is full", "free some space; nothing was half-written"),
    (("readonly", "read-only", "permission denied"), StoreError, "the database cannot be written", "check the owner and mode of the file"),
    (("unable to open", "could not connect", "Connection refused", "connection failed", "could not translate host"), StoreError, "the database cannot be reached", "check [store] url and that the server runs"),
    (("not a database", "malformed"), StoreError, "the file is not a sound SQLite database", "restore a backup: huikuan db restore"),
)  # fmt: skip


def as_store_error(problem: DBAPIError) -> StoreError | None:
    """The store error a driver's error means, without its text (which may carry data or addresses)."""
    text = str(problem.orig)
    for signs, kind, message, advice in _SIGNS:
        if any(sign.lower() in text.lower() for sign in signs):
            return kind(message, advice)
    return None


@contextmanager
def store_errors() -> Iterator[None]:
    """Driver errors with a known meaning become store errors; others stay as they are."""
    try:
        yield
    except (OperationalError, DBAPIError) as problem:
        known = as_store_error(problem)
        if known is None:
            raise
        raise known from problem
