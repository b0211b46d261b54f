"""How long a pull takes against a bare httpx loop over the same pages: `python -m bench.pull_pages [PAGES]`.

A server in another process answers each page of 100 work items after 20 ms. Both sides use the same number
of connections; runs alternate, medians are compared. Prints the ratio, and what mapping a page costs.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from urllib.parse import parse_qs

import httpx
import orjson

from connectors.pingcode.connector import CONNECTOR, _Pull
from connectors.pingcode.memory import Memory
from models.ports import PullRequest

ROWS = 100
LATENCY = 0.02
TYPE, PROJECT = "64bb000000000000000000ef", "64aa00000000000000000001"


def row(number: int) -> dict:
    reference = {"id": PROJECT, "url": "", "identifier": "ALPHA", "name": "Alpha", "type": "waterfall"}
    state = {"id": "s1", "url": "", "name": "未开始", "type": "pending", "color": "#fff"}
    return {
        "id": f"{number:024x}", "url": f"https://x/v1/project/work_items/{number:024x}", "identifier": f"ALPHA-{number}",
        "short_id": f"{number:08x}", "html_url": f"https://x/pjm/{number:08x}", "title": f"M{number} 初验", "type": TYPE,
        "project": reference, "state": state, "assignee": {"id": "0" * 32, "name": "wm", "display_name": "王敏"},
        "start_at": None, "end_at": 1_763_740_799, "completed_at": None, "parent_id": None, "description": "", "tags": [],
        "properties": {"hetongbianhao": "HT-2026-018"}, "participants": [], "versions": None, "created_at": 1_763_697_600,
        "updated_at": 1_763_697_600, "is_archived": 0, "is_deleted": 0,
    }  # fmt: skip


def page(values: list, total: int, index: int = 0) -> bytes:
    return orjson.dumps({"page_size": ROWS, "page_index": index, "total": total, "values": values})


def serve(port: int, pages: int) -> None:
    """In a process of its own."""
    import uvicorn

    made = [page([row(p * ROWS + n) for n in range(ROWS)], pages * ROWS, p) for p in range(pages)]
    project = {"id": PROJECT, "type": "waterfall", "identifier": "ALPHA", "name": "Alpha", "is_deleted": 0}
    fixed = {
        "token": orjson.dumps({"access_token": "t", "token_type": "Bearer", "expires_in": 4_000_000_000}),
        "projects": page([project], 1),
        "types": page([{"id": TYPE, "name": "里程碑", "group": "plan"}], 1),
    }

    async def app(scope, _receive, send) -> None:
        what = scope["path"].rpartition("/")[2]
        if what == "work_items":
            await asyncio.sleep(LATENCY)
            body = made[int(parse_qs(scope["query_string"].decode())["page_index"][0])]
        else:
            body = fixed[what]
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    uvicorn.run(app, port=port, log_level="error", lifespan="off", access_log=False)


async def bare(url: str, pages: int, connections: int) -> int:
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    gate = asyncio.Semaphore(connections)
    async with httpx.AsyncClient(limits=limits) as client:

        async def one(number: int) -> int:
            async with gate:
                query = {"page_index": number, "page_size": ROWS}
                answer = await client.get(
                    f"{url}/v1/project/work_items", params=query, headers={"Authorization": "Bearer t"}
                )
            return len(orjson.loads(answer.content)["values"])

        return sum(await asyncio.gather(*(one(n) for n in range(pages))))


async def ours(url: str, connections: int) -> int:
    options = {
        "base_url": url,
        "client_id": "bench",
        "client_secret": "bench",
        "api_flavour": "project",
        "per_minute": 0,
    }
    source = CONNECTOR.build("b", {**options, "concurrency": connections}, clock=lambda: datetime.now(UTC))
    found = 0
    gc.disable()  # as the night does while it works
    try:
        async with source:
            async for one in source.pull(PullRequest((), None, False, datetime.now(UTC))):
                found += len(one.observations)
    finally:
        gc.enable()
    return found


def mapping_ms() -> float:
    """Milliseconds to map a page that is already parsed."""
    source = CONNECTOR.build(
        "b",
        {"base_url": "http://x", "client_id": "b", "client_secret": "b", "api_flavour": "project"},
        clock=lambda: datetime.now(UTC),
    )
    work = _Pull(
        {PROJECT: {"id": PROJECT, "identifier": "ALPHA", "name": "Alpha"}},
        Memory(types={PROJECT: {TYPE: "milestone"}}),
        None,
    )
    rows = orjson.loads(page([row(n) for n in range(ROWS)], ROWS))["values"]

    async def run() -> float:
        times = []
        for _ in range(50):
            start = time.perf_counter()
            await source._observed(rows, [PROJECT], work)
            times.append(time.perf_counter() - start)
        return min(times) * 1000

    return asyncio.run(run())


def main() -> None:
    pages, port = int(sys.argv[1]) if len(sys.argv) > 1 else 1000, 18_999
    url = f"http://127.0.0.1:{port}"
    code = f"from bench.pull_pages import serve; serve({port}, {pages})"
    server = subprocess.Popen([sys.executable, "-c", code])
    try:
        for _ in range(100):
            try:
                httpx.get(f"{url}/projects")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        print(f"mapping one page of {ROWS}: {mapping_ms():.2f} ms")
        for connections in (8, 16):
            floor, mine = [], []
            for _ in range(5):
                start = time.perf_counter()
                assert asyncio.run(bare(url, pages, connections)) == pages * ROWS
                floor.append(time.perf_counter() - start)
                start = time.perf_counter()
                assert asyncio.run(ours(url, connections)) == pages * ROWS
                mine.append(time.perf_counter() - start)
            low, high = statistics.median(floor), statistics.median(mine)
            print(f"{connections} connections: bare {low:.2f} s, pull {high:.2f} s, ratio {high / low:.2f}")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
