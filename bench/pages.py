"""A page server in a process of its own: the wire format of PingCode, pages made beforehand, a fixed latency.

`python -m bench.pages PAGES CHANGED LATENCY_MS` prints its address. The last CHANGED percent of rows are the ones
that an incremental request (updated_between) brings.
"""

from __future__ import annotations

import asyncio
import sys
import time

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PROJECT = {
    "id": "p" * 24,
    "url": "",
    "type": "waterfall",
    "identifier": "BENCH",
    "name": "Bench",
    "is_archived": 0,
    "is_deleted": 0,
    "updated_at": 1_763_000_000,
}
TYPE = {"id": "t" * 24, "url": "", "name": "里程碑", "group": "plan"}
SIZE = 100


def row(number: int, *, changed: bool) -> dict:
    """One milestone in progress (a finished one would cost a request for its history)."""
    return {
        "id": f"{number:024x}", "url": "", "project": PROJECT, "identifier": f"BENCH-{number}", "short_id": f"{number:x}", "html_url": f"https://pm.example/{number}",
        "title": f"M{number}", "type": TYPE["id"], "state": {"id": "s", "url": "", "name": "进行中", "type": "in_progress", "color": "#fff"}, "assignee": None,
        "priority": None, "start_at": None, "end_at": 1_770_000_000 + (86_400 if changed else 0), "completed_at": None, "parent_id": None, "parent": None, "phase": None,
        "sprint": None, "versions": [], "description": "x" * 60, "properties": {}, "tags": [], "participants": [], "created_at": 1_700_000_000,
        "updated_at": int(time.time()) if changed else 1_750_000_000, "is_archived": 0, "is_deleted": 0,
    }  # fmt: skip


def page(rows: list[dict], index: int, total: int) -> bytes:
    return orjson.dumps({"page_size": SIZE, "page_index": index, "total": total, "values": rows})


def build(pages: int, changed_percent: int, latency: float) -> Starlette:
    total = pages * SIZE
    first_changed = total - total * changed_percent // 100
    whole = [page([row(n, changed=False) for n in range(p * SIZE, (p + 1) * SIZE)], p, total) for p in range(pages)]
    moved = [row(n, changed=True) for n in range(first_changed, total)]
    news = [page(moved[i : i + SIZE], i // SIZE, len(moved)) for i in range(0, len(moved), SIZE)] or [page([], 0, 0)]

    async def answer(request: Request) -> Response:
        await asyncio.sleep(latency)
        path = request.url.path
        if path.endswith("/token"):
            body = orjson.dumps({"access_token": "t", "token_type": "Bearer", "expires_in": 4_000_000_000})
        elif path.endswith("/work_items"):
            source = news if "updated_between" in request.query_params else whole
            body = source[min(int(request.query_params.get("page_index", 0)), len(source) - 1)]
        else:
            body = page([PROJECT if path.endswith("/projects") else TYPE], 0, 1)
        return Response(body, media_type="application/json")

    return Starlette(routes=[Route("/{rest:path}", answer)])


if __name__ == "__main__":
    app = build(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) / 1000)
    config = uvicorn.Config(
        app, host="127.0.0.1", port=int(sys.argv[4]), log_level="error", access_log=False, lifespan="off"
    )
    uvicorn.Server(config).run()
