"""The data path: pull, match, post - beside a bare loop, raw writes and dlt over the same pages."""

from __future__ import annotations

import asyncio
import gc
import itertools
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import orjson

PAGES, CONCURRENCY = 1000, 16


@contextmanager
def page_server(pages: int = PAGES, changed: int = 1, latency: int = 20) -> Iterator[str]:
    """The page server, in its own process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "bench.pages", str(pages), str(changed), str(latency), str(port)])
    try:
        for _ in range(600):
            try:
                httpx.get(f"http://127.0.0.1:{port}/x/projects", timeout=5, trust_env=False)
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


async def bare_loop(url: str, pages: int = PAGES) -> int:
    """What anyone would write: httpx, a semaphore, gather, orjson."""
    gate = asyncio.Semaphore(CONCURRENCY)
    limits = httpx.Limits(max_connections=CONCURRENCY, max_keepalive_connections=CONCURRENCY)
    async with httpx.AsyncClient(limits=limits, trust_env=False, timeout=30) as client:

        async def one(n: int) -> int:
            async with gate:
                answer = await client.get(f"{url}/v1/project/work_items", params={"page_index": n, "page_size": 100})
            return len(orjson.loads(answer.content)["values"])

        return sum(await asyncio.gather(*(one(n) for n in range(pages))))


async def our_pull(url: str) -> int:
    """The connector, observations and all."""
    from connectors.registry import connector
    from models.ports import PullRequest

    options = {
        "base_url": url,
        "client_id": "a",
        "client_secret": "bbbb",
        "api_flavour": "project",
        "per_minute": 0,
        "concurrency": CONCURRENCY,
    }
    source = connector("pingcode").build("rd", options, clock=lambda: datetime.now(UTC))
    seen = 0
    gc.disable()  # as the night does while it works
    async with source:
        async for page in source.pull(PullRequest((), None, False, datetime.now(UTC))):
            seen += len(page.observations)
    gc.enable()
    return seen


def timed(run, *arguments):
    """(seconds, result)."""
    begin = time.perf_counter()
    result = asyncio.run(run(*arguments))
    return time.perf_counter() - begin, result


CONFIG = """
[store]
url = "sqlite:///h.db"
[contracts]
paths = ["contracts/*.yaml"]
[connections.rd]
system = "pingcode"
base_url = "{url}"
client_id = "a"
client_secret = "bbbb"
api_flavour = "project"
per_minute = 0
concurrency = 16
"""

CONTRACT = """contract: C{n}
title: C{n}
customer: {{name: A}}
supplier: {{name: B}}
currency: CNY
timezone: Asia/Shanghai
calendar: CN
price_basis: tax_inclusive
lines: [{{id: L, amount: "{amount}.00", tax_rate: 6%}}]
events:
  signed: 2026-02-02
  m0: {{milestone: {{connection: rd, project: BENCH, name: M{a}}}}}
  m1: {{milestone: {{connection: rd, project: BENCH, name: M{b}}}}}
  m2: {{milestone: {{connection: rd, project: BENCH, name: M{c}}}}}
terms:
  - {{id: T0, amount: 30%, when: signed, due: 10 days after invoice_received}}
  - {{id: T1, amount: 30%, when: {{all: [m0, m1]}}, due: 10 days after invoice_received}}
  - {{id: T2, amount: 30%, when: m2, due: 10 days after invoice_received}}
  - {{id: T3, amount: remaining, when: {{elapsed: {{after: m2, months: 12}}}}, due: 30 days after ready}}
"""


def whole_run(url: str, items: int) -> dict[str, float]:
    """Cold, with nothing changed, and with 1 % changed; contracts are read before the clock starts."""
    from flows import wiring
    from flows.night import run_night
    from flows.settings import load_settings
    from flows.steps.contracts import load_contracts

    async def nothing(_report):
        return {}

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "contracts").mkdir()
        (folder / "huikuan.toml").write_text(CONFIG.format(url=url))
        count = items // 4
        text = "---\n".join(
            CONTRACT.format(n=n, amount=1000 + n, a=4 * n, b=4 * n + 1, c=4 * n + 2) for n in range(count)
        )
        (folder / "contracts" / "all.yaml").write_text(text)
        loaded = load_settings(folder / "huikuan.toml")
        store = wiring.the_store(loaded, create=True)
        found: dict[str, float] = {}
        begin = time.perf_counter()
        load_contracts(store, loaded.contract_files(), loaded.root, 1)
        found["read contracts"] = time.perf_counter() - begin
        for name in ("cold", "1 % changed", "nothing changed"):
            night = wiring.the_night(loaded, store, as_of=date(2026, 11, 20))
            stages: list[tuple[str, float]] = []
            mark = lambda step, seen=stages: seen.append((step, time.perf_counter()))  # noqa: E731
            # Checks are off here, so is the import of their library that a night starts beside its pull.
            night = replace(night, gate=None, out_check=None, on_news=lambda: None)
            night = replace(night, notify=nothing, write_reports=lambda _r: [], say=mark)
            outcome = asyncio.run(run_night(night))
            stages.append(("end", time.perf_counter()))
            for (step, begin), (_, end) in itertools.pairwise(stages):
                found[f"{name}: {step}"] = end - begin
            # From "follow" on what is open is read back for people: reminders, forecast, lists. All before is data work.
            followed = next(t for s, t in stages if s == "follow")
            found[f"{name}: data work"] = followed - stages[0][1]
            found[f"{name}: for people"] = stages[-1][1] - followed
            found[f"{name}: records"] = outcome.posted.records
            found[f"{name}: evaluated"] = outcome.evaluated
        store.dispose()
        return found


def dlt_run(url: str) -> float:
    """dlt loading the same pages into SQLite's nearest neighbour it supports, DuckDB."""
    import os

    os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL"}
    import dlt
    from dlt.sources.rest_api import rest_api_source

    with tempfile.TemporaryDirectory() as place:
        paginator = {
            "type": "page_number",
            "page_param": "page_index",
            "base_page": 0,
            "total_path": None,
            "stop_after_empty_page": True,
            "maximum_page": PAGES,
        }
        endpoint = {
            "path": "v1/project/work_items",
            "params": {"page_size": 100},
            "data_selector": "values",
            "paginator": paginator,
        }
        source = rest_api_source(
            {"client": {"base_url": url}, "resources": [{"name": "items", "primary_key": "id", "endpoint": endpoint}]}
        )
        pipeline = dlt.pipeline(
            "bench", pipelines_dir=place, destination=dlt.destinations.duckdb(f"{place}/x.duckdb"), dataset_name="d"
        )
        begin = time.perf_counter()
        pipeline.run(source)
        return time.perf_counter() - begin
