"""What can go wrong with the store, in words for the operator, in both languages.

Driver errors are told apart by their codes (SQLite's result code, PostgreSQL's SQLSTATE): a server speaks
its own language, its texts are read only where a failed connection has no code. The driver's text never
gets into ours, since it may carry data or an address.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from models.domain.words import catalogue, say


class StoreError(Exception):
    """The store cannot do what was asked; `advice` says what helps.

    With a `code`, both come from the words of the store (`store.CODE.what` and `.todo`) with `params` in
    their slots; str() is the English one.
    """

    def __init__(self, message: str = "", advice: str = "", *, code: str = "", **params: object) -> None:
        self.code, self.params = code, params
        self._message, self._advice = message, advice
        super().__init__(self.text("en"))

    def text(self, language: str) -> str:
        """What went wrong."""
        return say(f"store.{self.code}.what", language, **self.params) if self.code else self._message

    def help(self, language: str) -> str:
        """What to do about it."""
        key = f"store.{self.code}.todo"
        return say(key, language, **self.params) if self.code and key in catalogue(language) else self._advice

    @property
    def advice(self) -> str:
        """What to do about it, in English."""
        return self.help("en")


class StoreBusy(StoreError):
    """Somebody else holds the database or the run."""


class StoreNewer(StoreError):
    """The database has a schema this version does not know."""


class StoreFull(StoreError):
    """No room left to write."""


#: https://www.sqlite.org/rescode.html, primary result codes.
_SQLITE: dict[int, tuple[type[StoreError], str]] = {
    sqlite3.SQLITE_PERM: (StoreError, "READ_ONLY"),
    sqlite3.SQLITE_BUSY: (StoreBusy, "LOCKED"),
    sqlite3.SQLITE_LOCKED: (StoreBusy, "LOCKED"),
    sqlite3.SQLITE_READONLY: (StoreError, "READ_ONLY"),
    sqlite3.SQLITE_IOERR: (StoreError, "DISK"),
    sqlite3.SQLITE_CORRUPT: (StoreError, "BROKEN_FILE"),
    sqlite3.SQLITE_FULL: (StoreFull, "FULL"),
    sqlite3.SQLITE_CANTOPEN: (StoreError, "CANNOT_OPEN"),
    sqlite3.SQLITE_NOTADB: (StoreError, "BROKEN_FILE"),
}

#: https://www.postgresql.org/docs/15/errcodes-appendix.html; a whole class by its two first characters.
_POSTGRES: dict[str, tuple[type[StoreError], str]] = {
    "08": (StoreError, "CONNECTION_LOST"),
    "25006": (StoreError, "READ_ONLY"),
    "28": (StoreError, "PASSWORD"),
    "3D000": (StoreError, "NO_SUCH_DATABASE"),
    "40001": (StoreBusy, "LOCKED"),
    "40P01": (StoreBusy, "LOCKED"),
    "42501": (StoreError, "NO_RIGHT"),
    "53100": (StoreFull, "FULL"),
    "53300": (StoreBusy, "SERVER_BUSY"),
    "55P03": (StoreBusy, "LOCKED"),
    "57P01": (StoreError, "CONNECTION_LOST"),
    "57P02": (StoreError, "CONNECTION_LOST"),
    "57P03": (StoreBusy, "SERVER_BUSY"),
}

#: A connection that never came to be has no SQLSTATE; the first sign found decides.
_CONNECTING: tuple[tuple[str, type[StoreError], str], ...] = (
    ("password", StoreError, "PASSWORD"),
    ("does not exist", StoreError, "NO_SUCH_DATABASE"),
    ("too many", StoreBusy, "SERVER_BUSY"),
    ("starting up", StoreBusy, "SERVER_BUSY"),
    ("shutting down", StoreBusy, "SERVER_BUSY"),
    ("closed the connection", StoreError, "CONNECTION_LOST"),
    ("connection is lost", StoreError, "CONNECTION_LOST"),
    ("connection is closed", StoreError, "CONNECTION_LOST"),
    ("consuming input failed", StoreError, "CONNECTION_LOST"),
    ("connection", StoreError, "UNREACHABLE"),
)


def as_store_error(problem: BaseException) -> StoreError | None:
    """The store error that a driver's error (or SQLAlchemy's around it) means; None for one without a meaning."""
    driver = getattr(problem, "orig", None) or problem
    if isinstance(driver, sqlite3.Error):
        found = _SQLITE.get((getattr(driver, "sqlite_errorcode", None) or 0) & 0xFF)
    elif type(driver).__module__.partition(".")[0] == "psycopg":
        found = _of_postgres(driver)
    else:
        return None
    return None if found is None else found[0](code=found[1])


def _of_postgres(driver: BaseException) -> tuple[type[StoreError], str] | None:
    state = getattr(driver, "sqlstate", None)
    if state:
        return _POSTGRES.get(state) or _POSTGRES.get(state[:2])
    if "OperationalError" not in {kind.__name__ for kind in type(driver).__mro__}:
        return None
    text = str(driver)
    return next(((kind, code) for sign, kind, code in _CONNECTING if sign in text), None)


@contextmanager
def store_errors() -> Iterator[None]:
    """Driver errors with a known meaning become store errors; all others stay as they are."""
    try:
        yield
    except StoreError:
        raise
    except Exception as problem:
        known = as_store_error(problem)
        if known is None:
            raise
        raise known from problem
