"""Engine, unit of work, schema version, lease. Leaving a unit of work without commit rolls back."""

from __future__ import annotations

import re
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url

from connectors.store.errors import StoreBusy, StoreError, StoreNewer, store_errors
from models.tables import leases, metadata

MIGRATIONS = Path(__file__).parents[2] / "models" / "migrations"

#: How long a writer waits for another one before StoreBusy. A URL may say otherwise (?timeout=…).
BUSY_SECONDS = 15
CONNECT_SECONDS = 10

#: Marks a connection whose transaction will write. SQLite takes the write lock at its beginning: a
#: transaction that reads first and writes later fails at once, without waiting, when another wrote meanwhile.
WRITES = {"huikuan_writes": True}


@dataclass(frozen=True, slots=True)
class Store:
    """A database of ours."""

    engine: Engine

    @property
    def is_sqlite(self) -> bool:
        """SQLite rather than PostgreSQL?"""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that writes: committed at the end of the block, rolled back if it raises."""
        with store_errors(), self.engine.connect() as plain:
            connection = plain.execution_options(**WRITES)
            with connection.begin():
                yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to read from one consistent state; what it writes (temporary tables) is rolled back."""
        with store_errors(), self.engine.connect() as plain:
            yield plain if self.is_sqlite else plain.execution_options(isolation_level="REPEATABLE READ")

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def lease(
        self, name: str, holder: str, seconds: int, clock: Callable[[], int]
    ) -> Iterator[Callable[[Connection], None]]:
        """Hold `name` alone. Raises StoreBusy while somebody else holds it.

        Yields a function that prolongs it inside a transaction of the caller, or raises StoreBusy where it
        was lost: so nothing is committed by a run that somebody has taken over.

        A holder that died loses its lease when it runs out; `clock` gives epoch seconds.
        """
        token = str(uuid.uuid4())
        self._take_lease(name, holder, token, seconds, clock())

        def prolong(connection: Connection) -> None:
            mine = sa.update(leases).where(leases.c.name == name, leases.c.token == token)
            if not connection.execute(mine.values(expires_at=clock() + seconds)).rowcount:
                raise StoreBusy(code="HOLD_LOST", name=name)

        try:
            yield prolong
        except BaseException:
            with suppress(StoreError):  # what went wrong in the run matters more; the hold expires by itself
                self._release(name, token)
            raise
        self._release(name, token)

    def _release(self, name: str, token: str) -> None:
        with self.begin() as connection:
            connection.execute(sa.delete(leases).where(leases.c.name == name, leases.c.token == token))

    def _take_lease(self, name: str, holder: str, token: str, seconds: int, now: int) -> None:
        row = {"holder": holder, "token": token, "expires_at": now + seconds}
        with self.begin() as connection:
            expired = sa.update(leases).where(leases.c.name == name, leases.c.expires_at < now).values(**row)
            if connection.execute(expired).rowcount:
                return
            insert = sa.text(
                "INSERT INTO leases (name, holder, token, expires_at) VALUES (:name, :holder, :token, :expires_at) "
                "ON CONFLICT (name) DO NOTHING"
            )
            if connection.execute(insert, {"name": name, **row}).rowcount:
                return
            other = connection.execute(
                sa.select(leases.c.holder, leases.c.expires_at).where(leases.c.name == name)
            ).one_or_none()
        holder, until = (other.holder, other.expires_at) if other is not None else ("?", now)
        raise StoreBusy(code="HELD", name=name, holder=holder, seconds=max(0, until - now))


def open_store(url: str, *, create: bool = False) -> Store:
    """Open the store at a SQLAlchemy URL. `create` makes an absent or empty SQLite file (and its schema).

    Raises StoreError for a URL we do not serve, an absent or a stranger's database, StoreNewer for a schema
    of the future.
    """
    store = _engine(url, create=create)
    try:
        if create and store.is_sqlite and schema_version(store) is None:
            upgrade(store)
        check_schema(store)
    except BaseException:
        store.dispose()
        raise
    return store


def open_unchecked(url: str) -> Store:
    """Open the store whatever its schema, made if absent; for `huikuan db upgrade`."""
    return _engine(url, create=True)


def parsed_url(url: str) -> sa.URL:
    """The URL of a store. Raises StoreError for what is not one."""
    try:
        return make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # ValueError: a port that is no number
        raise StoreError(code="BAD_URL") from None


def in_memory(url: sa.URL) -> bool:
    """A SQLite database that lives and dies with its connection?"""
    return url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}


def _engine(url: str, *, create: bool) -> Store:
    parsed = parsed_url(url)
    kind = parsed.get_backend_name()
    if kind == "sqlite":
        if not in_memory(parsed):
            _sqlite_file(Path(str(parsed.database)), create=create)
        return Store(_sqlite(parsed))
    if kind == "postgresql":
        return Store(_postgres(parsed))
    raise StoreError(code="UNKNOWN_KIND", kind=kind)


def _sqlite_file(path: Path, *, create: bool) -> None:
    """Raises StoreError where the file is absent and not wanted, or its folder cannot be made."""
    if path.exists():
        return
    if not create:
        raise StoreError(code="NO_DATABASE", name=path.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise StoreError(code="FOLDER", folder=path.parent, why=problem.strerror) from problem


def _sqlite(url: sa.URL) -> Engine:
    given = {} if "timeout" in url.query else {"timeout": BUSY_SECONDS}
    engine = sa.create_engine(url.set(drivername="sqlite"), connect_args=given, hide_parameters=True)

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # we begin ourselves: pysqlite would begin too late
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "cache_size=-65536",
            "wal_autocheckpoint=8192",  # 32 MiB: a night commits often, and each checkpoint waits for the disk
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("huikuan_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgres(url: sa.URL) -> Engine:
    given = {"connect_timeout": str(CONNECT_SECONDS), "application_name": "huikuan"}
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={k: v for k, v in given.items() if k not in url.query},
    )

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection, _record):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        connection.execute(f"SET lock_timeout = '{BUSY_SECONDS}s'")
        connection.commit()

    return engine


# --- schema ------------------------------------------------------------------------------------------


def _alembic(store: Store):  # type: ignore[no-untyped-def] # noqa: ANN202
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["engine"] = store.engine
    return config


def upgrade(store: Store) -> None:
    """Bring the schema to this version's, in one transaction; of two at once the second finds it done."""
    from alembic import command

    with store_errors():
        _refuse_strangers(store)
        command.upgrade(_alembic(store), "head")


def known_versions() -> Sequence[str]:
    """The schema versions this code knows, the oldest first."""
    return sorted(p.stem.split("_")[0] for p in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def schema_version(store: Store) -> str | None:
    """The version of the database's schema; None for an empty one."""
    with store.read() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
        return None if found is None else str(found)


def check_schema(store: Store) -> None:
    """Raise where the schema is not this version's."""
    current, known = _refuse_strangers(store), known_versions()
    if current is None:
        raise StoreError(code="NO_SCHEMA")
    if current != known[-1]:
        raise StoreError(code="OLDER", found=current, expected=known[-1])


def _refuse_strangers(store: Store) -> str | None:
    """The schema version, one of ours or None. Raises for one of the future, and for another program's tables."""
    with store.read() as connection:  # first: an upgrade that ends meanwhile brings both at once
        tables = metadata.tables.keys() & set(sa.inspect(connection).get_table_names())
    current = schema_version(store)
    if current is None:
        if tables:
            raise StoreError(code="FOREIGN")
        return None
    if current in known_versions():
        return current
    if not re.fullmatch(r"\d{4}", current):
        raise StoreError(code="FOREIGN")
    raise StoreNewer(code="NEWER", found=current, expected=known_versions()[-1])
