"""The same posting on PostgreSQL, beside raw COPY of the same rows into the same tables."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench.post import plan_of
from bench.shapes import AS_OF
from connectors.store.engine import open_unchecked, upgrade
from flows.steps.post import post

ROOT = Path(__file__).parents[1]
TABLES = ("ready_records", "decisions", "standing")


@contextmanager
def server() -> Iterator[int]:
    """The port of a PostgreSQL of its own. Raises OSError where none is installed."""
    with tempfile.TemporaryDirectory() as place, socket.socket() as probe:
        Path(place).chmod(0o755)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        script = ["bash", str(ROOT / "tests/servers/postgres_start.sh"), f"{place}/pg", str(port)]
        started = subprocess.run(script, capture_output=True, text=True, check=False)
        if started.returncode:
            raise OSError(started.stderr[-200:])
        try:
            yield port
        finally:
            os.kill(int(started.stdout.split()[-1]), signal.SIGINT)
            time.sleep(1)


def measure(port: int, records: int, name: str) -> tuple[float, float]:
    """(seconds ours, seconds raw), in two databases of their own."""
    dsn = f"host=127.0.0.1 port={port} user=postgres password=pg"
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}_a")
        admin.execute(f"CREATE DATABASE {name}_b")
    stores = [open_unchecked(f"postgresql+psycopg://postgres:pg@127.0.0.1:{port}/{name}_{x}") for x in "ab"]
    for store in stores:
        upgrade(store)
    for x in "ab":
        with psycopg.connect(f"{dsn} dbname={name}_{x}") as connection:
            _contracts(connection, records // 4)
    plan = plan_of(records)
    begin = time.perf_counter()
    assert post(stores[0], plan, "run", AS_OF, 1).records == records
    mine = time.perf_counter() - begin
    for store in stores:
        store.dispose()
    return mine, _raw(f"{dsn} dbname={name}_a", f"{dsn} dbname={name}_b")


def _contracts(connection: psycopg.Connection, count: int) -> None:
    connection.execute(
        "INSERT INTO contracts (id, number, title, customer, currency, timezone, file, active) "
        "SELECT n, 'C' || n - 1, '', '', 'CNY', 'UTC', '', true FROM generate_series(1, %s) n",
        (count,),
    )
    connection.execute(
        "INSERT INTO terms (id, contract_id, code, name, position) "
        "SELECT 4 * (n - 1) + t + 1, n, 'T' || t, '', t FROM generate_series(1, %s) n, generate_series(0, 3) t",
        (count,),
    )


def _raw(filled: str, empty: str) -> float:
    with psycopg.connect(filled) as source:
        rows = {t: source.execute(f"SELECT * FROM {t}").fetchall() for t in TABLES}
    with psycopg.connect(empty) as target:
        begin = time.perf_counter()
        for table in TABLES:
            with target.cursor().copy(f"COPY {table} FROM STDIN") as copy:
                for row in rows[table]:
                    copy.write_row(row)
        target.commit()
        return time.perf_counter() - begin
