"""Post many ready records with their decisions, beside raw executemany of the same rows."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from pathlib import Path

import orjson

from bench.shapes import AS_OF
from connectors.store import open_store
from flows.steps.decide import NewRecord, Plan
from flows.steps.post import post
from models.domain.ready import record_id


def plan_of(records: int) -> Plan:
    """A plan of `records` new records of four terms a contract."""
    plan = Plan()
    evidence = orjson.dumps(
        [
            {
                "event": "first",
                "date": "2026-11-18",
                "by": "Li",
                "source": "rd",
                "url": "https://pm.example/1",
                "provenance": "native",
                "grade": 3,
            }
        ]
    ).decode()
    for n in range(records // 4):
        for t in range(4):
            key = str(record_id(f"C{n}", f"T{t}", 1))
            plan.records.append(
                NewRecord(
                    key, n + 1, 4 * n + t + 1, 1, 40000, 37736, 2264, "[40000]", "CNY", AS_OF, AS_OF, evidence, n + 1, 0
                )
            )
        plan.decisions.append((n + 1, n + 1, f"{n:032x}", "[]"))
        plan.standing.append((n + 1, n + 1, f"{n:032x}", 100_000_000))
    return plan


def measure(records: int) -> tuple[float, float]:
    """(seconds ours, seconds raw)."""
    with tempfile.TemporaryDirectory() as place:
        store = open_store(f"sqlite:///{place}/a.db", create=True)
        _contracts(store, records // 4)
        plan = plan_of(records)
        begin = time.perf_counter()
        posted = post(store, plan, "run", AS_OF, 1)
        mine = time.perf_counter() - begin
        assert posted.records == records
        store.dispose()
        return mine, _raw(Path(place) / "a.db", Path(place) / "b.db")


def _contracts(store, count: int) -> None:
    with store.begin() as connection:
        raw = connection.connection.cursor()
        raw.executemany(
            "INSERT INTO contracts (id, number, title, customer, currency, timezone, file, active) VALUES (?, ?, '', '', 'CNY', 'UTC', '', 1)",
            [(n + 1, f"C{n}") for n in range(count)],
        )
        raw.executemany(
            "INSERT INTO terms (id, contract_id, code, name, position) VALUES (?, ?, ?, '', ?)",
            [(4 * n + t + 1, n + 1, f"T{t}", t) for n in range(count) for t in range(4)],
        )


def _raw(filled: Path, empty: Path) -> float:
    """The same rows into the same tables, one transaction, one executemany a table."""
    source = sqlite3.connect(filled)
    schema = [
        r[0] for r in source.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")
    ]
    rows = {
        t: source.execute(f"SELECT * FROM {t}").fetchall()
        for t in ("contracts", "terms", "ready_records", "decisions", "standing")
    }
    target = sqlite3.connect(empty, isolation_level=None)
    target.execute("PRAGMA journal_mode=WAL")
    target.execute("PRAGMA synchronous=NORMAL")
    for statement in schema:
        target.execute(statement)
    for table in ("contracts", "terms"):
        target.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(rows[table][0]))})", rows[table])
    begin = time.perf_counter()
    target.execute("BEGIN")
    for table in ("ready_records", "decisions", "standing"):
        target.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(rows[table][0]))})", rows[table])
    target.execute("COMMIT")
    return time.perf_counter() - begin
