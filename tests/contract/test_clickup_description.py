"""Every request to ClickUp, and every answer of its fake, against the vendor's own OpenAPI description."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_core import OpenAPI

from connectors.clickup.connector import CONNECTOR, ClickUp
from connectors.clickup.fake import ClickUpFake, list_row, task
from connectors.errors import SourceRefused
from connectors.kit.conformance import Bench
from connectors.kit.described import Described
from connectors.kit.fakes import START
from models.ports import Source

pytestmark = pytest.mark.shared
BASE = "https://api.clickup.example/api"
#: The trimmed description has no users; from the vendor's reference (Get Authorized User).
USER = {
    "get": {
        "responses": {
            "200": {
                "description": "OK",
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": ["user"],
                            "properties": {"user": {"type": "object", "required": ["id", "username"]}},
                        }
                    }
                },
            }
        }
    }
}
TASKS = "/v2/list/{list_id}/task"
FOLDERS = "/v2/space/{space_id}/folder"


@cache
def _description(file: Path) -> OpenAPI:
    """Three slips of the vendor's are set right: parameters of several values are called `name[]`, as its own words on
    them show; folders are a list whose lists are objects, as its own example shows the folders; what a list's status
    may be is one of three, of which one is everything.
    """
    spec = json.loads(file.read_text(encoding="utf-8"))
    for parameter in spec["paths"][TASKS]["get"]["parameters"]:
        if f"?{parameter['name']}[]=" in parameter.get("description", ""):
            parameter["name"] += "[]"
    answer = spec["paths"][FOLDERS]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    folder = answer["properties"]["folders"]
    assert folder["type"] == "object"
    assert isinstance(answer["examples"][0]["folders"], list)
    folder["properties"]["lists"]["items"] = {"type": "object"}
    answer["properties"]["folders"] = {"type": "array", "items": folder}
    lists = spec["paths"]["/v2/space/{space_id}/list"]["get"]["responses"]["200"]["content"]["application/json"][
        "schema"
    ]
    for name in ("status", "priority"):
        one = lists["properties"]["lists"]["items"]["properties"][name]
        one["anyOf"] = one.pop("oneOf")
    assert "/v2/user" not in spec["paths"], "described there too: take that"
    spec["paths"]["/v2/user"] = USER
    return OpenAPI.from_dict({**spec, "servers": [{"url": BASE}]})


def _referee(shared_dir: Path, inner: httpx.AsyncBaseTransport) -> Described:
    return Described(inner, _description(shared_dir / "specs" / "clickup.trim.json"), BASE)


def _bench(shared_dir: Path) -> tuple[Bench, Described]:
    bench = Bench(CONNECTOR, ClickUpFake())
    referee = _referee(shared_dir, bench.vendor)
    given = bench.vendor.options(milestones=["milestone", "type:Acceptance", "list:Payments"])

    def source(options: Mapping[str, object] | None = None) -> Source:
        return CONNECTOR.build("c", options or given, clock=bench.clock.now, transport=referee, sleep=bench.clock.sleep)

    bench.source = source  # type: ignore[method-assign]
    return bench, referee


def test_a_whole_life_is_as_described(shared_dir: Path) -> None:
    bench, referee = _bench(shared_dir)
    vendor = bench.vendor
    assert isinstance(vendor, ClickUpFake)
    items = [vendor.add(f"M{n}") for n in range(130)]
    vendor.finish(items[0])
    vendor.loose = [list_row(910, "Payments")]
    vendor.tasks = [task("p1", 10, custom_item_id=None), task("a1", custom_item_id=1300, date_done=str(START * 1000))]
    vendor.archived = {items[5].id}
    bench.check()
    bench.pull()
    bench.at(86_400)
    vendor.reopen(items[0])
    vendor.finish(items[1])
    vendor.remove(items[2])
    bench.pull()
    bench.pull(full=True)
    assert len(bench.known.milestones) == 132
    assert referee.broken == []
    assert referee.checked > 20


@pytest.mark.parametrize(
    ("path", "params", "why"),
    [
        ("/v2/list/900/task", {"page": "first", "archived": False}, "integer"),
        ("/v2/list/900/task", {"page": 0, "archived": False, "custom_item": 1}, "not in the description"),
        ("/v2/list/900/task", {"page": 0, "archived": False, "custom_items[]": "milestone"}, "number"),
        ("/v2/list/x/task", {"page": 0, "archived": False}, "number"),
        ("/v2/list/900/tasks", {}, "not in the description"),
    ],
)
async def test_a_wrong_question_is_caught(shared_dir: Path, path: str, params: dict[str, Any], why: str) -> None:
    bench, referee = _bench(shared_dir)
    source = bench.source()
    assert isinstance(source, ClickUp)
    async with source:
        with suppress(SourceRefused):  # the fake does not understand it either
            await source.http.get(path, params)
    assert len(referee.broken) == 1
    assert why in referee.broken[0]


def test_a_wrong_answer_is_caught(shared_dir: Path) -> None:
    bench, referee = _bench(shared_dir)
    vendor = bench.vendor
    assert isinstance(vendor, ClickUpFake)
    vendor.loose = [list_row(910, "Payments")]
    vendor.add("初验").unknown = {"date_done": 1795147200}
    bench.pull()
    assert any("date_done" in b for b in referee.broken)
