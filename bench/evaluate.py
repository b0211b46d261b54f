"""Evaluate columns of terms, beside the same logic in DuckDB SQL over the same columns."""

from __future__ import annotations

import time

import duckdb
import numpy as np
import pandas as pd

from bench.shapes import AS_OF, columns
from connectors.calendars import calendar_specs
from flows.steps.evaluation.batch import Batch
from flows.steps.evaluation.columns import NEVER, Op
from flows.steps.evaluation.days import Calendars, calendar_table
from flows.steps.evaluation.facts import Facts
from flows.steps.evaluation.run import Evaluation, evaluate

SPECS = calendar_specs(["CN"])


def ours(batch: Batch, facts: Facts) -> Evaluation:
    """The product's evaluator: conditions, amounts, tax, due dates, statuses."""
    return evaluate(batch, facts, Calendars.named(batch.calendars, SPECS), AS_OF)


def tables(batch: Batch, facts: Facts) -> dict[str, pd.DataFrame]:
    """The same columns as DuckDB tables."""
    nodes = batch.nodes
    node = np.arange(len(nodes))
    inner = nodes["op"] >= Op.ALL
    counts = nodes["count"][inner]
    first = nodes["first"][inner].astype(np.int64)
    child = np.repeat(first - np.r_[0, np.cumsum(counts)[:-1]], counts) + np.arange(counts.sum())
    owner = batch.term_contract()
    table = calendar_table(SPECS["CN"])
    return {
        "nodes": pd.DataFrame(
            {"node": node, "op": nodes["op"], "height": nodes["height"], "arg": nodes["arg"], "n": nodes["n"]}
        ),
        "edges": pd.DataFrame({"parent": np.repeat(node[inner], counts), "child": child}),
        "facts": pd.DataFrame(
            {"slot": np.repeat(np.arange(batch.slots), np.diff(facts.changes.at)), "day": facts.changes.day}
        ),
        "terms": pd.DataFrame(
            {
                "term": np.arange(len(batch.terms)),
                "contract": owner,
                "root": batch.terms["root"],
                "kind": batch.terms["kind"],
                "num": batch.terms["num"],
                "den": batch.terms["den"],
                "n": batch.terms["n"],
                "amount": batch.lines["amount"][owner],
            }
        ),
        "business": pd.DataFrame({"day": table.business, "i": np.arange(len(table.business))}),
        "calendar": pd.DataFrame(
            {"day": np.arange(len(table.until)) + table.business[0] - (table.until == 0).sum(), "upto": table.until}
        ),
    }


def in_duckdb(frames: dict[str, pd.DataFrame], heights: int) -> pd.DataFrame:
    """Level by level, as the evaluator does, then amounts, tax and due dates."""
    db = duckdb.connect()
    db.execute("SET threads = 2")
    for name, frame in frames.items():
        db.register(f"{name}_in", frame)
        db.execute(f"CREATE TABLE {name} AS SELECT * FROM {name}_in")
    begin = time.perf_counter()
    db.execute(
        f"CREATE TABLE v AS SELECT n.node, COALESCE(CASE WHEN f.day <= {AS_OF} THEN f.day END, {NEVER}) AS day FROM nodes n LEFT JOIN facts f ON f.slot = n.arg WHERE n.op = {int(Op.SLOT)}"
    )
    for height in range(1, heights + 1):
        db.execute(f"""
            INSERT INTO v SELECT node, CASE
                WHEN op = {int(Op.ALL)} THEN latest WHEN op = {int(Op.ANY)} THEN earliest
                WHEN latest >= {NEVER} THEN {NEVER}
                WHEN op = {int(Op.ELAPSED_MONTHS)} THEN date_diff('day', DATE '1970-01-01', CAST(DATE '1970-01-01' + CAST(latest AS INTEGER) + to_months(CAST(n AS INTEGER)) AS DATE))
                ELSE COALESCE(b.day, {NEVER}) END
            FROM (SELECT n.node, n.op, n.n, MAX(v.day) AS latest, MIN(v.day) AS earliest
                  FROM nodes n JOIN edges e ON e.parent = n.node JOIN v ON v.node = e.child WHERE n.height = {height} GROUP BY ALL) x
            LEFT JOIN calendar c ON x.op = {int(Op.ELAPSED_BUSINESS_DAYS)} AND c.day = x.latest
            LEFT JOIN business b ON b.i = c.upto + x.n - 1""")
    out = db.execute(f"""
        WITH parts AS (SELECT t.*, v.day AS ready, CASE WHEN kind = 0 THEN (2 * amount * num + den) // (2 * den) ELSE 0 END AS part FROM terms t JOIN v ON v.node = t.root),
        summed AS (SELECT *, CASE WHEN kind = 2 THEN amount - SUM(part) OVER (PARTITION BY contract) ELSE part END AS gross FROM parts)
        SELECT s.term, ready, gross, (2 * gross * 50 + 53) // (2 * 53) AS net, CASE WHEN ready <= {AS_OF} THEN b.day END AS due,
               CASE WHEN ready <= {AS_OF} THEN 'ready' ELSE 'not_ready' END AS status, GREATEST(0, {AS_OF} - COALESCE(b.day, {AS_OF})) AS overdue
        FROM summed s LEFT JOIN calendar c ON c.day = s.ready LEFT JOIN business b ON b.i = c.upto + s.n - 1 ORDER BY s.term""").df()
    out.attrs["seconds"] = time.perf_counter() - begin
    return out


def measure(terms: int, rounds: int = 3) -> tuple[float, float, int, int]:
    """(seconds ours, seconds DuckDB, nodes, differing rows), medians of interleaved rounds."""
    batch, facts = columns(terms)
    frames = tables(batch, facts)
    heights = int(batch.nodes["height"].max())
    mine, theirs, differing = [], [], 0
    for _ in range(rounds):
        begin = time.perf_counter()
        out = ours(batch, facts)
        mine.append(time.perf_counter() - begin)
        frame = in_duckdb(frames, heights)
        theirs.append(frame.attrs["seconds"])
        differing = int(
            (frame["ready"].to_numpy() != out.known).sum()
            + (frame["gross"].to_numpy() != out.amounts.term_gross).sum()
            + (frame["net"].to_numpy() != out.amounts.term_net).sum()
        )
        differing += int((frame["due"].fillna(NEVER).to_numpy() != out.due).sum())
    return float(np.median(mine)), float(np.median(theirs)), len(batch.nodes), differing
