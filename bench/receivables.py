"""Ageing and reminders due over many open terms, out of the store and in memory, beside the same query in DuckDB."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Iterator

import numpy as np
import orjson

from bench.shapes import AS_OF
from connectors.store import open_store
from flows.steps.receivables.columns import NOT_PAUSED, OpenTerms, ageing_table, reminders_due
from flows.steps.receivables.standing import open_terms
from models.domain.receivables import ageing, dunning

CUSTOMERS, CURRENCIES, MANAGERS = 5_000, ("CNY", "EUR", "USD"), 200


def bodies(contracts: int, seed: int = 1) -> Iterator[tuple[int, bytes]]:
    """Four open terms a contract, due from two years ago to three months ahead."""
    dice = np.random.default_rng(seed)
    due = dice.integers(AS_OF - 730, AS_OF + 90, (contracts, 4)).tolist()
    open_ = dice.integers(1, 1_000_000_000, (contracts, 4)).tolist()
    for n in range(contracts):
        terms = [[f"T{t}", "invoiced", 1, 1, 1, open_[n][t], due[n][t], open_[n][t], []] for t in range(4)]
        yield n + 1, orjson.dumps(terms)


def fill(url: str, terms: int) -> None:
    """A store with so many open terms; one in fifty has a promise, one in ten was reminded of."""
    store = open_store(url, create=True)
    count = terms // 4
    with store.begin() as connection:
        raw = connection.connection.cursor()
        raw.executemany(
            "INSERT INTO contracts (id, number, title, customer, currency, timezone, project_manager, file, active) VALUES (?, ?, '', ?, ?, 'UTC', ?, '', 1)",
            (
                (n + 1, f"C{n}", f"Customer {n % CUSTOMERS}", CURRENCIES[n % 3], f"M{n % MANAGERS}")
                for n in range(count)
            ),
        )
        raw.executemany(
            "INSERT INTO terms (id, contract_id, code, name, position) VALUES (?, ?, ?, '', ?)",
            ((4 * n + t + 1, n + 1, f"T{t}", t) for n in range(count) for t in range(4)),
        )
        raw.executemany(
            "INSERT INTO decisions (contract_id, version_id, run_id, as_of, rule_version, content_hash, body, recorded_at) VALUES (?, 1, '', ?, 1, '', ?, 1)",
            ((n, AS_OF, body.decode()) for n, body in bodies(count)),
        )
        raw.executemany(
            "INSERT INTO standing (contract_id, version_id, content_hash, as_of, next_look, evaluated_at) VALUES (?, 1, '', ?, 1, 1)",
            ((n + 1, AS_OF) for n in range(count)),
        )
        raw.executemany(
            "INSERT INTO agreements (key, contract_id, term_id, kind, made_day, until_day, gross, default_clause, \"by\", recorded_at) VALUES (?, ?, ?, 'promise', ?, ?, 1000000000, 0, 'x', 1)",
            ((f"a{n}", n + 1, 4 * n + 1, AS_OF - 10, AS_OF - 5 + n % 10) for n in range(0, count, 13)),
        )
        raw.executemany(
            "INSERT INTO reminders (key, contract_id, term_id, kind, level, day, channel, \"by\", recorded_at) VALUES (?, ?, ?, 'reminder', ?, ?, 'mail', 'x', 1)",
            ((f"r{n}", n + 1, 4 * n + 2, 1 + n % 5, AS_OF - 3) for n in range(0, count, 3)),
        )  # fmt: skip
    store.dispose()


def ours(terms: OpenTerms) -> tuple[float, int, int]:
    """(seconds, sum of all ageing cells, reminders due), in memory."""
    begin = time.perf_counter()
    table = ageing_table(terms, AS_OF)
    due, _ = reminders_due(terms, AS_OF)
    return time.perf_counter() - begin, int(table["open"].sum()), int(due.sum())


def theirs(terms: OpenTerms) -> tuple[float, int, int, list[tuple[object, ...]]]:
    """The same in DuckDB over the same columns."""
    import duckdb
    import pandas as pd

    frame = pd.DataFrame(
        {n: getattr(terms, n) for n in ("customer", "currency", "due", "open", "covered", "paused", "reminded")}
    )
    base = duckdb.connect()
    base.register("frame", frame)
    base.execute("CREATE TABLE t AS SELECT * FROM frame")
    begin = time.perf_counter()
    edges = [b.first for b in ageing.STANDARD]
    bucket = " ".join(f"WHEN {AS_OF} - due >= {edge} THEN {n}" for n, edge in reversed(list(enumerate(edges, 1))))
    level = " ".join(f"WHEN {AS_OF} - due >= {s.from_day} THEN {s.level}" for s in reversed(dunning.STANDARD))
    cells = base.execute(
        f"SELECT customer, currency, CASE {bucket} ELSE 0 END b, SUM(open)::BIGINT, COUNT(*) FROM t GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    due = base.execute(
        f"SELECT COUNT(*) FROM t WHERE open > covered AND paused < {AS_OF} AND CASE {level} ELSE 0 END > reminded"
    ).fetchall()[0][0]
    return time.perf_counter() - begin, sum(c[3] for c in cells), due, cells


def cells(terms: OpenTerms) -> list[tuple[int, int, int, int, int]]:
    """Our ageing with codes, to compare cell by cell."""
    import pandas as pd

    from flows.steps.receivables.columns import bucket_codes

    frame = pd.DataFrame({"c": terms.customer, "k": terms.currency, "b": bucket_codes(terms, AS_OF), "o": terms.open})
    found = frame.groupby(["c", "k", "b"])["o"].agg(["sum", "size"]).reset_index()
    return sorted(map(tuple, found.to_numpy().tolist()))


def measure(count: int) -> dict[str, float]:
    """Seconds: out of the store, in memory, DuckDB; MiB at the peak. Stops where DuckDB disagrees."""
    with tempfile.TemporaryDirectory() as place:
        url = f"sqlite:///{place}/a.db"
        fill(url, count)
        store = open_store(url)
        begin = time.perf_counter()
        with store.read() as connection:
            terms = open_terms(connection, AS_OF)
        loaded = time.perf_counter() - begin
        mine, sum_, due = ours(terms)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        other, other_sum, other_due, other_cells = theirs(terms)
        store.dispose()
    assert len(terms) == count
    assert (sum_, due) == (other_sum, other_due), "DuckDB disagrees"
    assert cells(terms) == sorted(map(tuple, other_cells)), "DuckDB disagrees on a cell"
    assert (terms.paused > NOT_PAUSED).any()
    return {"load": loaded, "ours": mine, "duckdb": other, "peak": peak, "due": due}


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print({k: round(v, 2) for k, v in measure(wanted).items()})
