"""Bulk writes through the driver: executemany on SQLite, COPY and a merge on PostgreSQL.

SQLAlchemy's own insert costs four to six times as much for large batches, so it is used for the schema
and for single rows only. Errors come out as the driver's own; the unit of work gives them words.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

# Without these SQLite stores a NumPy number as a BLOB of its bytes, and says nothing.
_WHOLE: Any = int
for _kind in (np.int64, np.int32, np.int16, np.int8, np.uint32, np.bool_):
    sqlite3.register_adapter(_kind, _WHOLE)


def bulk_insert(
    connection: Connection,
    table: sa.Table,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    ignore: bool = False,
) -> int:
    """Insert rows; with `ignore`, rows whose unique key is taken are left out. Returns how many went in."""
    rows = rows if isinstance(rows, list) else list(rows)
    if not rows:
        return 0
    if connection.dialect.name == "sqlite":
        # ON CONFLICT, not OR IGNORE: that would also drop rows with a NULL where none may be.
        tail = " ON CONFLICT DO NOTHING" if ignore else ""
        marks = ", ".join("?" * len(columns))
        return _executemany(connection, f"INSERT INTO {table.name} ({_names(columns)}) VALUES ({marks}){tail}", rows)
    with _cursor(connection) as cursor:
        if not ignore:
            _copy(cursor, table.name, columns, rows)
            return len(rows)
        if _copied_new(cursor, table.name, columns, rows):
            return len(rows)
        with _staged(cursor, table, columns, rows) as staged:
            names = _names(columns)
            cursor.execute(f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {staged} ON CONFLICT DO NOTHING")
            return int(cursor.rowcount)


def bulk_update(
    connection: Connection, table: sa.Table, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Set `columns` of the rows named by `key`; each row is (key, values…)."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        sets = ", ".join(f'"{c}" = ?' for c in columns)
        _executemany(connection, f'UPDATE {table.name} SET {sets} WHERE "{key}" = ?', [(*r[1:], r[0]) for r in rows])
        return
    with _cursor(connection) as cursor, _staged(cursor, table, (key, *columns), rows) as staged:
        sets = ", ".join(f'"{c}" = s."{c}"' for c in columns)
        cursor.execute(f'UPDATE {table.name} SET {sets} FROM {staged} s WHERE {table.name}."{key}" = s."{key}"')


def fetch(connection: Connection, statement: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
    """All rows of a query as plain tuples, through the driver."""
    return list(connection.execute(sa.text(statement), parameters or {}).cursor.fetchall())


def wanted_ids(connection: Connection, ids: Sequence[int], table: str = "_wanted") -> str:
    """A temporary table of ids to join with; its name. Replaces what the connection had in it."""
    rows = [(int(i),) for i in ids]
    connection.exec_driver_sql(f"CREATE TEMP TABLE IF NOT EXISTS {table} (id BIGINT PRIMARY KEY)")
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"DELETE FROM {table}")
        _executemany(connection, f"INSERT INTO {table} VALUES (?)", rows)
        return table
    with _cursor(connection) as cursor:
        cursor.execute(f"TRUNCATE {table}")
        _copy(cursor, table, ("id",), rows)
        cursor.execute(f"ANALYZE {table}")  # nothing else would tell the planner how few they are
    return table


# --- drivers -----------------------------------------------------------------------------------------


def _names(columns: Iterable[str]) -> str:
    return ", ".join(f'"{c}"' for c in columns)


@contextmanager
def _cursor(connection: Connection) -> Iterator[Any]:
    """A cursor of the driver, in the transaction of the connection."""
    cursor = connection.connection.cursor()
    try:
        yield cursor
    finally:
        cursor.close()


def _executemany(connection: Connection, statement: str, rows: list[Any]) -> int:
    with _cursor(connection) as cursor:
        cursor.executemany(statement, rows)
        return int(cursor.rowcount)


def _copy(cursor: Any, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with cursor.copy(f"COPY {table} ({_names(columns)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _copied_new(cursor: Any, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bool:
    """COPY straight into the table, as if no row were there yet, which is the rule; False, and nothing done, where one is."""
    import psycopg

    cursor.execute("SAVEPOINT bulk_new")
    try:
        _copy(cursor, table, columns, rows)
    except psycopg.errors.UniqueViolation:
        cursor.execute("ROLLBACK TO SAVEPOINT bulk_new")
        return False
    cursor.execute("RELEASE SAVEPOINT bulk_new")
    return True


@contextmanager
def _staged(cursor: Any, table: sa.Table, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Rows in a temporary table with the types of the real one; PostgreSQL."""
    name = f"_bulk_{table.name}"
    cursor.execute(
        f"CREATE TEMP TABLE {name} ON COMMIT DROP AS SELECT {_names(columns)} FROM {table.name} WITH NO DATA"
    )
    _copy(cursor, name, columns, rows)
    yield name
    cursor.execute(f"DROP TABLE {name}")
