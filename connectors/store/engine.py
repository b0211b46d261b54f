"""Engine, unit of work, schema version, lease. Leaving a unit of work without commit rolls back."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url

from connectors.store.errors import StoreBusy, StoreError, StoreNewer, store_errors
from models.tables import leases

MIGRATIONS = Path(__file__).parents[2] / "models" / "migrations"


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
        """A transaction: committed at the end of the block, rolled back if it raises."""
        with store_errors(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to read from one consistent state."""
        with store_errors(), self.engine.connect() as connection:
            yield connection

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
                raise StoreBusy(
                    f"the hold on '{name}' was lost", "another run took over; this one stops before posting"
                )

        try:
            yield prolong
        finally:
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
        until = "" if other is None else f" by {other.holder} for at most {max(0, other.expires_at - now)} s more"
        raise StoreBusy(
            f"the run '{name}' is already held{until}", "wait for it to end; a dead run's hold expires by itself"
        )


def open_store(url: str, *, create: bool = False) -> Store:
    """Open the store at a SQLAlchemy URL. `create` makes an absent SQLite file (and its schema).

    Raises StoreError for a URL we do not serve or an absent database, StoreNewer for a schema of the future.
    """
    store, fresh = _engine(url, create=create)
    if fresh:
        upgrade(store)
    check_schema(store)
    return store


def open_unchecked(url: str) -> Store:
    """Open the store whatever its schema, made if absent; for `huikuan db upgrade`."""
    return _engine(url, create=True)[0]


def parsed_url(url: str) -> sa.URL:
    """The URL of a store. Raises StoreError for what is not one."""
    try:
        return make_url(url)
    except sa.exc.ArgumentError:
        advice = "e.g. sqlite:///huikuan.db or postgresql+psycopg://…"
        raise StoreError("[store] url is not a database URL", advice) from None


def _engine(url: str, *, create: bool) -> tuple[Store, bool]:
    """The store, and whether its file is new."""
    parsed = parsed_url(url)
    kind = parsed.get_backend_name()
    if kind == "sqlite":
        fresh = _sqlite_file(parsed.database, create=create)
        return Store(_sqlite(parsed)), fresh
    if kind == "postgresql":
        return Store(sa.create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)), False
    raise StoreError(f"[store] url names {kind!r}", "SQLite and PostgreSQL are served")


def _sqlite_file(database: str | None, *, create: bool) -> bool:
    """Whether the file is new. Raises StoreError where it is absent and not wanted."""
    if not database or database == ":memory:":
        return True
    path = Path(database)
    if path.exists():
        return False
    if not create:
        raise StoreError(f"there is no database {path.name}", "huikuan db upgrade (or huikuan sync) makes it")
    path.parent.mkdir(parents=True, exist_ok=True)
    return True


def _sqlite(url: sa.URL) -> Engine:
    engine = sa.create_engine(url, connect_args={"timeout": 15})

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection, _record):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        connection.isolation_level = None  # we begin ourselves: pysqlite would begin too late
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "cache_size=-65536",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


# --- schema ------------------------------------------------------------------------------------------


def _alembic(store: Store):  # type: ignore[no-untyped-def] # noqa: ANN202
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["engine"] = store.engine
    return config


def upgrade(store: Store) -> None:
    """Bring the schema to this version's."""
    from alembic import command

    with store_errors():
        current = schema_version(store)
        if current is not None and current not in known_versions():
            raise _newer(current)
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
    current, known = schema_version(store), known_versions()
    if current == known[-1]:
        return
    if current is None or current in known:
        raise StoreError("the database's schema is older than this version", "run: huikuan db upgrade")
    raise _newer(current)


def _newer(current: str) -> StoreNewer:
    return StoreNewer(
        f"the database has schema {current}, newer than this version of huikuan knows ({known_versions()[-1]})",
        "use the newer huikuan that wrote it, or restore an older backup",
    )
