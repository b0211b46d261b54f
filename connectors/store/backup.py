"""Backup and restore: SQLite by its own online backup, PostgreSQL by its own tools."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import sqlalchemy as sa

from connectors.store.engine import Store, check_schema, open_unchecked, parsed_url
from connectors.store.errors import StoreError, store_errors


def backup(store: Store, target: Path) -> None:
    """Write the whole store to a new file. Raises StoreError where the file exists or cannot be written."""
    if target.exists():
        raise StoreError(f"{target.name} exists already", "name a new file; a backup never overwrites")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        with store_errors():
            _sqlite_copy(store, part) if store.is_sqlite else _pg_dump(store.engine.url, part)
        part.replace(target)
    except sqlite3.Error as problem:
        raise StoreError(f"the backup failed: {problem}", "check the free space") from problem
    finally:
        part.unlink(missing_ok=True)


def _sqlite_copy(store: Store, part: Path) -> None:
    with store.engine.connect() as connection, sqlite3.connect(part) as copy:
        source = connection.connection.driver_connection
        assert isinstance(source, sqlite3.Connection)
        source.backup(copy)
    copy.close()


def restore(url: str, source: Path, *, overwrite: bool) -> None:
    """Put a backup in the place of the store; an existing one only with `overwrite`."""
    if not source.is_file():
        raise StoreError(f"there is no backup {source.name}", "check the path")
    parsed = parsed_url(url)
    if parsed.get_backend_name() == "sqlite":
        _sqlite_restore(Path(str(parsed.database)), source, overwrite=overwrite)
    else:
        _pg_restore(parsed, source, overwrite=overwrite)
    store = open_unchecked(url)
    check_schema(store)
    store.dispose()


def _sqlite_restore(target: Path, source: Path, *, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        raise StoreError(f"the database {target.name} exists", "add --overwrite to replace it")
    check = sqlite3.connect(f"file:{source}?mode=ro", uri=True)
    try:
        sound = check.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    except sqlite3.DatabaseError:
        sound = False
    finally:
        check.close()
    if not sound:
        raise StoreError(f"{source.name} is not a sound backup", "choose another one; nothing was changed")
    fresh = target.with_name(target.name + ".restoring")
    shutil.copyfile(source, fresh)
    for suffix in ("-wal", "-shm"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
    fresh.replace(target)


def _pg(tool: str, url: sa.URL, *arguments: str) -> None:
    found = shutil.which(tool)
    if found is None:
        raise StoreError(f"{tool} is not installed here", "install PostgreSQL's client tools")
    where = ["--host", url.host or "", "--port", str(url.port or 5432), "--username", url.username or ""]
    environment = {**os.environ, "PGPASSWORD": str(url.password or "")}  # noqa: TID251 - the tool takes its password there
    done = subprocess.run([found, *where, *arguments], env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise StoreError(
            f"{tool} failed: {done.stderr.strip().splitlines()[-1][:200] if done.stderr else done.returncode}",
            "see the server's log",
        )


def _pg_dump(url: sa.URL, part: Path) -> None:
    _pg("pg_dump", url, "--format=custom", "--no-owner", "--file", str(part), str(url.database))


def _pg_restore(url: sa.URL, source: Path, *, overwrite: bool) -> None:
    store = open_unchecked(url.render_as_string(hide_password=False))
    with store.read() as connection:
        filled = sa.inspect(connection).has_table("alembic_version")
    store.dispose()
    if filled and not overwrite:
        raise StoreError("the database is not empty", "add --overwrite to replace it")
    _pg(
        "pg_restore",
        url,
        "--clean",
        "--if-exists",
        "--no-owner",
        "--single-transaction",
        "--dbname",
        str(url.database),
        str(source),
    )
