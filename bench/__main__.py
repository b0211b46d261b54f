"""`python -m bench [--quick] [NAME …]`: every measurement in one run, as ratios; prints the table of docs/performance.md."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

QUICK = "--quick" in sys.argv
ROOT = Path(__file__).parents[1]


def line(what: str, ours: str, other: str, ratio: str, target: str) -> None:
    print(f"| {what} | {ours} | {other} | {ratio} | {target} |", flush=True)


def pull_rows() -> None:
    from bench.night import bare_loop, our_pull, page_server, timed

    with page_server() as url:
        pairs = [(timed(our_pull, url)[0], timed(bare_loop, url)[0]) for _ in range(3)]
    ratio = statistics.median(a / b for a, b in pairs)
    mine, bare = (statistics.median(x) for x in zip(*pairs, strict=True))
    line(
        "pull 1,000 pages of 100, 16 at once, 20 ms",
        f"{mine:.1f} s",
        f"bare httpx loop {bare:.1f} s",
        f"{ratio:.2f}",
        "≤ 1.3",
    )


def evaluate_rows() -> None:
    from bench.evaluate import measure

    for terms in (100_000,) if QUICK else (100_000, 1_000_000):
        mine, theirs, nodes, differing = measure(terms)
        assert differing == 0, "DuckDB disagrees"
        line(
            f"evaluate {terms:,} terms ({nodes:,} nodes)",
            f"{mine:.2f} s",
            f"DuckDB {theirs:.2f} s",
            f"{mine / theirs:.2f}",
            "≤ 1",
        )


def memory_row() -> None:
    code = "from bench.shapes import columns; from bench.evaluate import ours; import resource; b, f = columns(1_000_000); ours(b, f); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    line("peak memory, 1,000,000 terms", f"{done.stdout.strip()} MiB", "", "", "≤ 2048 MiB")


def receivable_rows() -> None:
    from bench.receivables import measure

    count = 100_000 if QUICK else 1_000_000
    found = measure(count)
    line(
        f"ageing and reminders due, {count:,} open terms, in memory",
        f"{found['ours']:.2f} s",
        f"DuckDB {found['duckdb']:.2f} s",
        f"{found['ours'] / found['duckdb']:.2f}",
        "",
    )
    line(
        "the same, read out of the store (SQLite)",
        f"{found['load'] + found['ours']:.1f} s, {found['peak']:.0f} MiB",
        "",
        "",
        "≤ 20 s, ≤ 2048 MiB",
    )


def post_row() -> None:
    from bench.post import measure

    pairs = [measure(100_000) for _ in range(3)]
    mine, raw = (statistics.median(x) for x in zip(*pairs, strict=True))
    line(
        "post 100,000 records (SQLite)",
        f"{mine:.2f} s",
        f"raw executemany {raw:.2f} s",
        f"{statistics.median(a / b for a, b in pairs):.2f}",
        "≤ 1.5",
    )


def post_postgres_row() -> None:
    from bench.post_postgres import measure, server

    try:
        with server() as port:
            pairs = [measure(port, 100_000, f"bench{n}") for n in range(3)]
    except OSError as problem:
        line("post 100,000 records (PostgreSQL)", "not measured", f"no server here: {problem}", "", "≤ 1.5")
        return
    mine, raw = (statistics.median(x) for x in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    line("post 100,000 records (PostgreSQL)", f"{mine:.2f} s", f"raw COPY {raw:.2f} s", f"{ratio:.2f}", "≤ 1.5")


def night_rows() -> None:
    from bench.night import dlt_run, page_server, whole_run

    items = 20_000 if QUICK else 100_000
    with page_server(items // 100) as url:
        found = whole_run(url, items)
        other = dlt_run(url) if not QUICK else 0.0
    cold, changed = found["cold: data work"], found["1 % changed: data work"]
    line(f"1 % of {items:,} changed", f"{changed:.2f} s", f"cold {cold:.1f} s", f"{changed / cold:.3f}", "≤ 0.10")
    line(
        f"forecast, reminders and lists of {items:,} terms, every night",
        f"{found['1 % changed: for people']:.1f} s",
        "",
        "",
        "",
    )
    if other:
        loaded = found["cold: pull"]
        told = f"dlt into DuckDB {other:.0f} s"
        line("pull and load, as dlt does", f"{loaded:.1f} s", told, f"{other / loaded:.1f} × faster", "≥ 10 ×")
        line(
            "the same, then bind, match, decide, post", f"{cold:.1f} s", told, f"{other / cold:.1f} × faster", "≥ 10 ×"
        )


def connector_rows() -> None:
    from bench.connectors import api_systems, measure, memory
    from connectors.registry import connector

    pages, many = (2_000, 5_000) if QUICK else (5_000, 10_000)
    for system in api_systems():
        found, held = measure(connector(system), pages), memory(system, many)
        line(
            f"{system}: pull {pages:,} milestones, {found.requests} requests, {found.at_once} at once",
            f"{found.ours:.2f} s; a quiet night {found.quiet} requests, {found.quiet_more} for a project more",
            f"bare httpx loop {found.bare:.2f} s",
            f"{found.ratio:.2f}; {held} MiB for {many:,}",
            "≤ 1.3; ≤ 300 MiB for 100,000",
        )


def process_rows() -> None:
    def run(*arguments: str) -> float:
        begin = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "flows.cli", *arguments],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        return time.perf_counter() - begin

    line("`huikuan --help`", f"{statistics.median(run('--help') for _ in range(5)):.2f} s", "", "", "≤ 0.3 s")
    from datetime import date
    from tempfile import TemporaryDirectory

    from tests.fakes.company import company

    with TemporaryDirectory() as place, company(Path(place)) as firm:
        firm.contract("C-1")
        firm.night(day=date(2026, 11, 20))
        seconds = statistics.median(run("sync", "--config", str(firm.folder / "huikuan.toml")) for _ in range(3))
    line("`huikuan sync`, nothing changed, no server", f"{seconds:.1f} s", "", "", "≤ 10 s")


ROWS = {
    "evaluate": evaluate_rows,
    "memory": memory_row,
    "receivables": receivable_rows,
    "post": post_row,
    "postgres": post_postgres_row,
    "pull": pull_rows,
    "connectors": connector_rows,
    "night": night_rows,
    "process": process_rows,
}


if __name__ == "__main__":
    if "--help" in sys.argv or "-h" in sys.argv:
        print(f"{__doc__}\n\nOnly some of it: python -m bench {' '.join(ROWS)}")
        sys.exit()
    print("| what | Huikuan | beside it | ratio | target |\n|---|---|---|---|---|")
    wanted = [a for a in sys.argv[1:] if not a.startswith("-")]
    for name, rows in ROWS.items():
        if not wanted or name in wanted:
            rows()
