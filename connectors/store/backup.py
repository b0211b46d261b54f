"""Backup and restore: SQLite by its own online backup, PostgreSQL by its own tools.

Neither ever leaves less than there was: a backup appears under its name when it is whole, and a restore
checks what it is given before it touches what is there.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connectors.store.engine import (
    BUSY_SECONDS,
    Store,
    check_schema,
    in_memory,
    known_versions,
    open_unchecked,
    parsed_url,
    upgrade,
)
from connectors.store.errors import StoreError, StoreNewer, store_errors
from models.tables import metadata


def backup(store: Store, target: Path) -> None:
    """Write the whole store to a new file, while others go on reading and writing.

    Raises StoreError where the file exists or cannot be written.
    """
    if target.exists():
        raise StoreError(code="BACKUP_EXISTS", name=target.name)
    part = target.with_name(target.name + ".part")
    with _folder(target.parent), store_errors():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            _sqlite_copy(store, part) if store.is_sqlite else _pg_dump(store.engine.url, part)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """File errors in words."""
    try:
        yield
    except OSError as problem:
        raise StoreError(code="FOLDER", folder=folder, why=problem.strerror) from problem


def _sqlite_copy(store: Store, part: Path) -> None:
    if in_memory(store.engine.url):
        raise StoreError(code="IN_MEMORY")
    with store.engine.connect() as connection, closing(sqlite3.connect(part)) as copy:
        source = connection.connection.driver_connection
        assert isinstance(source, sqlite3.Connection)
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, whole by itself


def restore(url: str, source: Path, *, overwrite: bool) -> None:
    """Put a backup in the place of the store; one that is not empty only with `overwrite`.

    A backup of an older schema is upgraded. Raises StoreError before anything is changed where the backup is
    no sound one or of a schema of the future.
    """
    if not source.is_file():
        raise StoreError(code="NO_BACKUP", name=source.name)
    parsed = parsed_url(url)
    with _folder(source.parent), store_errors():
        if parsed.get_backend_name() == "sqlite":
            _sqlite_restore(parsed, source, overwrite=overwrite)
        else:
            _pg_restore(parsed, source, overwrite=overwrite)
    store = open_unchecked(url)
    try:
        upgrade(store)
        check_schema(store)
    finally:
        store.dispose()


# --- SQLite ------------------------------------------------------------------------------------------


def _sqlite_restore(url: sa.URL, source: Path, *, overwrite: bool) -> None:
    if in_memory(url):
        raise StoreError(code="IN_MEMORY")
    target = Path(str(url.database))
    if target.exists() and target.stat().st_size and not overwrite:
        raise StoreError(code="DATABASE_EXISTS", name=target.name)
    with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as copy:
        _check_sound(copy, source.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not _sound_file(target):
            _set_aside(target)
        with closing(sqlite3.connect(target, timeout=BUSY_SECONDS)) as database:
            database.execute("PRAGMA journal_mode=WAL")
            # Refuse while somebody writes: backup() would wait for ever. It is one transaction itself.
            database.execute("BEGIN IMMEDIATE")
            database.rollback()
            copy.backup(database)


def _check_sound(copy: sqlite3.Connection, name: str) -> None:
    try:
        sound = copy.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        tables = {r[0] for r in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.DatabaseError:
        sound, tables = False, set()
    if not sound:
        raise StoreError(code="BACKUP_UNSOUND", name=name)
    version = (
        copy.execute("SELECT version_num FROM alembic_version").fetchone() if "alembic_version" in tables else None
    )
    if version is None or not metadata.tables.keys() & tables:
        raise StoreError(code="BACKUP_FOREIGN", name=name)
    _check_version(version[0], name)


def _check_version(found: str, name: str) -> None:
    if found not in known_versions():
        raise StoreNewer(code="BACKUP_NEWER", name=name, found=found, expected=known_versions()[-1])


def _sound_file(target: Path) -> bool:
    """Absent, empty, or a SQLite database whose pages can be read."""
    with closing(sqlite3.connect(target, timeout=BUSY_SECONDS)) as database:
        try:
            return bool(database.execute("PRAGMA integrity_check").fetchone()[0] == "ok")
        except sqlite3.DatabaseError as problem:
            if problem.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
                return False
            raise


def _set_aside(target: Path) -> None:
    """Keep what cannot be read beside the new file: a person may still want to look into it."""
    number = 1 + sum(1 for _ in target.parent.glob(f"{target.name}.broken-*"))
    for suffix in ("-wal", "-shm", ""):
        part = target.with_name(target.name + suffix)
        if part.exists():
            part.rename(target.with_name(f"{target.name}.broken-{number}{suffix}"))


# --- PostgreSQL --------------------------------------------------------------------------------------


def _pg(tool: str, url: sa.URL | None, *arguments: str) -> str:
    """Run one of PostgreSQL's tools; what it printed. The password goes by the environment, not the arguments."""
    found = shutil.which(tool)
    if found is None:
        raise StoreError(code="NO_TOOL", tool=tool)
    where, environment = ([], {}) if url is None else _reach(url)
    done = subprocess.run(  # noqa: S603
        [found, *where, *arguments],
        env={**os.environ, **environment},  # noqa: TID251 - the tool takes the password there
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        why = next((line for line in done.stderr.splitlines() if "error:" in line), "").rpartition("error:")[2].strip()
        raise StoreError(code="TOOL_FAILED", tool=tool, why=why[:300] or f"exit code {done.returncode}")
    return done.stdout


def _reach(url: sa.URL) -> tuple[Sequence[str], dict[str, str]]:
    """How the tools reach the database of a URL, its socket and TLS options included."""
    import psycopg

    given: dict[str, Any] = {
        "host": url.host,
        "port": url.port,
        "user": url.username,
        "dbname": url.database,
        **url.query,
    }
    password = str(given.pop("password", None) or url.password or "")
    place = psycopg.conninfo.make_conninfo("", **{k: v for k, v in given.items() if v is not None})
    return ["--no-password", "--dbname", place], {"PGPASSWORD": password} if password else {}


def _pg_dump(url: sa.URL, part: Path) -> None:
    _pg("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", "--file", str(part))


def _pg_restore(url: sa.URL, source: Path, *, overwrite: bool) -> None:
    _check_archive(source)
    store = open_unchecked(url.render_as_string(hide_password=False))
    try:
        with store.read() as connection:
            filled = metadata.tables.keys() & set(sa.inspect(connection).get_table_names())
    finally:
        store.dispose()
    if filled and not overwrite:
        raise StoreError(code="DATABASE_EXISTS", name=url.database)
    how = ("--clean", "--if-exists", "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error")
    _pg("pg_restore", url, *how, str(source))


def _check_archive(source: Path) -> None:
    """Look into an archive before anything is touched."""
    try:
        listed = _pg("pg_restore", None, "--list", str(source))
        version = _pg("pg_restore", None, "--data-only", "--table=alembic_version", "--file=-", str(source))
    except StoreError as problem:
        if problem.code == "NO_TOOL":
            raise
        raise StoreError(code="BACKUP_UNSOUND", name=source.name) from problem
    copied = re.search(r"^COPY \S*alembic_version .*\n(.+)$", version, re.MULTILINE)
    if copied is None or " ready_records " not in listed:
        raise StoreError(code="BACKUP_FOREIGN", name=source.name)
    _check_version(copied[1].strip(), source.name)
