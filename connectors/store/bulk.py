"""Bulk writes through the driver: executemany on SQLite, COPY and a merge on PostgreSQL.

SQLAlchemy's own insert costs four to six times as much for large batches, so it is used for the schema
and for single rows only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection


def bulk_insert(
    connection: Connection,
    table: sa.Table,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    ignore: bool = False,
) -> int:
    """Insert rows; with `ignore`, rows that break a unique key are left out. Returns how many went in."""
    rows = rows if isinstance(rows, list) else list(rows)
    if not rows:
        return 0
    if connection.dialect.name == "sqlite":
        return _sqlite(connection, table, columns, rows, ignore=ignore)
    return _postgres(connection, table, columns, rows, ignore=ignore)


def _driver_error(connection: Connection, problem: Exception) -> BaseException:
    """A driver's error as SQLAlchemy would raise it, without the rows."""
    base = getattr(connection.dialect.dbapi, "Error", Exception)
    return sa.exc.DBAPIError.instance("bulk write", None, problem, base, dialect=connection.dialect)


def _names(columns: Iterable[str]) -> str:
    return ", ".join(f'"{c}"' for c in columns)


def _sqlite(
    connection: Connection, table: sa.Table, columns: Sequence[str], rows: list[Sequence[Any]], *, ignore: bool
) -> int:
    how = "INSERT OR IGNORE" if ignore else "INSERT"
    statement = f"{how} INTO {table.name} ({_names(columns)}) VALUES ({', '.join('?' * len(columns))})"
    return _driver(connection, statement, rows)


def _driver(connection: Connection, statement: str, rows: list[Sequence[Any]]) -> int:
    """executemany on the driver's own cursor; its errors come out as SQLAlchemy's do."""
    cursor = connection.connection.cursor()
    try:
        cursor.executemany(statement, rows)
        return int(cursor.rowcount)
    except Exception as problem:
        raise _driver_error(connection, problem) from problem
    finally:
        cursor.close()


def _postgres(
    connection: Connection, table: sa.Table, columns: Sequence[str], rows: list[Sequence[Any]], *, ignore: bool
) -> int:
    target = table.name
    cursor = connection.connection.cursor()
    try:
        if ignore:
            target = f"_bulk_{table.name}"
            wanted = ", ".join(f'"{c}"' for c in columns)
            cursor.execute(
                f"CREATE TEMP TABLE {target} ON COMMIT DROP AS SELECT {wanted} FROM {table.name} WITH NO DATA"
            )
        with cursor.copy(f"COPY {target} ({_names(columns)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        count = len(rows)
        if ignore:
            cursor.execute(
                f"INSERT INTO {table.name} ({_names(columns)}) SELECT {_names(columns)} FROM {target} ON CONFLICT DO NOTHING"
            )
            count = cursor.rowcount
            cursor.execute(f"DROP TABLE {target}")
        return count
    except Exception as problem:
        raise _driver_error(connection, problem) from problem
    finally:
        cursor.close()


def bulk_update(
    connection: Connection, table: sa.Table, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Set `columns` of the rows named by `key`; each row is (key, values…)."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        sets = ", ".join(f'"{c}" = ?' for c in columns)
        _driver(connection, f'UPDATE {table.name} SET {sets} WHERE "{key}" = ?', [(*r[1:], r[0]) for r in rows])
        return
    temp = f"_bulk_{table.name}"
    names = _names((key, *columns))
    cursor = connection.connection.cursor()
    cursor.execute(f"CREATE TEMP TABLE {temp} ON COMMIT DROP AS SELECT {names} FROM {table.name} WITH NO DATA")
    with cursor.copy(f"COPY {temp} ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    sets = ", ".join(f'"{c}" = t."{c}"' for c in columns)
    cursor.execute(f'UPDATE {table.name} SET {sets} FROM {temp} t WHERE {table.name}."{key}" = t."{key}"')
    cursor.execute(f"DROP TABLE {temp}")
    cursor.close()


def fetch(connection: Connection, statement: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
    """All rows of a query as plain tuples, through the driver."""
    return [tuple(r) for r in connection.execute(sa.text(statement), parameters or {}).cursor.fetchall()]


def wanted_ids(connection: Connection, ids: Sequence[int]) -> str:
    """A temporary table of ids to join with; its name. Replaces the previous one."""
    connection.execute(sa.text("CREATE TEMP TABLE IF NOT EXISTS _wanted (id BIGINT PRIMARY KEY)"))
    connection.execute(sa.text("DELETE FROM _wanted"))
    cursor = connection.connection.cursor()
    if connection.dialect.name == "sqlite":
        cursor.executemany("INSERT INTO _wanted VALUES (?)", [(int(i),) for i in ids])
    else:
        with cursor.copy("COPY _wanted (id) FROM STDIN") as copy:
            for i in ids:
                copy.write_row((int(i),))
    cursor.close()
    return "_wanted"
