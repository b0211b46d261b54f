"""Every request to Asana, and every answer of its fake, against the vendor's own OpenAPI description."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_core import OpenAPI

from connectors.asana.connector import CONNECTOR, Asana
from connectors.asana.fake import AsanaFake, completed, task
from connectors.errors import SourceRefused
from connectors.kit.conformance import Bench
from connectors.kit.described import Described, suite_broken
from connectors.kit.fakes import START
from models.ports import Source

# openapi-core's word about the vendor's own description, not about us
pytestmark = [pytest.mark.shared, pytest.mark.filterwarnings("ignore:Use of allowEmptyValue:DeprecationWarning")]
BASE = "https://app.asana.example/api/1.0"


@cache
def _description(file: Path) -> OpenAPI:
    """Lists are described with compact records; with `opt_fields` they carry the fields of the whole ones. A nullable
    `allOf` of an object is not nullable by the rules of OpenAPI 3.0, though it is meant to be."""
    spec = json.loads(file.read_text(encoding="utf-8"))
    listed = spec["paths"]["/tasks"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
    assert listed["data"]["items"] == {"$ref": "#/components/schemas/TaskCompact"}
    listed["data"]["items"] = {"$ref": "#/components/schemas/TaskResponse"}
    schemas = spec["components"]["schemas"]
    spec["paths"]["/projects/{project_gid}/sections"] = _SECTIONS
    schemas["TaskBase"]["allOf"][1]["properties"]["completed_by"] = {**schemas["UserCompact"], "nullable": True}
    return OpenAPI.from_dict({**spec, "servers": [{"url": BASE}]})


#: Not in our excerpt of the description; by hand, from the documentation (getSectionsForProject).
_QUERY = [{"name": n, "in": "query", "schema": {"type": "string"}} for n in ("limit", "offset", "opt_fields")]
_SECTIONS = {
    "get": {
        "parameters": [{"name": "project_gid", "in": "path", "required": True, "schema": {"type": "string"}}, *_QUERY],
        "responses": {"200": {"description": "the sections of a project"}},
    }
}


def _referee(shared_dir: Path, inner: httpx.AsyncBaseTransport) -> Described:
    return Described(inner, _description(shared_dir / "specs" / "asana.trim.json"), BASE)


def _bench(shared_dir: Path) -> tuple[Bench, Described]:
    bench = Bench(CONNECTOR, AsanaFake())
    referee = _referee(shared_dir, bench.vendor)
    given = bench.vendor.options(milestones=["milestone", "approval", "section:To do"])

    def source(options: Mapping[str, object] | None = None) -> Source:
        return CONNECTOR.build("c", options or given, clock=bench.clock.now, transport=referee, sleep=bench.clock.sleep)

    bench.source = source  # type: ignore[method-assign]
    return bench, referee


def test_a_whole_life_is_as_described(shared_dir: Path) -> None:
    bench, referee = _bench(shared_dir)
    vendor = bench.vendor
    assert isinstance(vendor, AsanaFake)
    items = [vendor.add(f"M{n}") for n in range(130)]
    vendor.finish(items[0])
    vendor.tasks = [
        (1, task(7, [1], resource_subtype="approval", approval_status="rejected", **completed(START))),
        (1, task(8, [1], resource_subtype="custom", custom_type={"gid": "1", "resource_type": "custom_type", "name": "Bug"})),
    ]  # fmt: skip
    bench.pull()
    bench.at(86_400)
    bench.pull()
    assert len(bench.known.milestones) == 132
    assert referee.broken == []
    paths = {r.split("/api/1.0")[1] for r in vendor.requests}
    assert paths == {"/users/me", "/workspaces", "/projects", "/tasks", "/projects/500/task_counts",
                     "/projects/500/sections", "/projects/501/sections"}  # fmt: skip


def test_the_whole_suite_is_as_described(shared_dir: Path) -> None:
    """It calls no field required, so a missing one is none of its business."""
    assert set(suite_broken(CONNECTOR, partial(_referee, shared_dir))) == {"proof_field_missing"}


@pytest.mark.parametrize(
    ("path", "params", "why"),
    [
        ("/tasks", {"project": "500", "limit": 500}, "maximum"),
        ("/tasks", {"project": "500", "limit": 10, "opt_fields": "name,done_by"}, "not one of"),
        ("/tasks", {"project": "500", "limit": 10, "modified_after": "2026-11-01T00:00:00Z"}, "not in the description"),
        ("/tasks", {"project": "500", "limit": 10, "modified_since": "yesterday"}, "not a 'date-time'"),
        ("/projects", {"workspace": "15793206719", "limit": 0}, "minimum"),
        ("/users/7/tasks", {}, "not in the description"),
    ],
)
async def test_a_wrong_question_is_caught(shared_dir: Path, path: str, params: dict[str, Any], why: str) -> None:
    bench, referee = _bench(shared_dir)
    source = bench.source()
    assert isinstance(source, Asana)
    async with source:
        with suppress(SourceRefused):
            await source.http.get(path, params)
    assert len(referee.broken) == 1
    assert why in referee.broken[0]


def test_a_wrong_answer_is_caught(shared_dir: Path) -> None:
    bench, referee = _bench(shared_dir)
    bench.vendor.add("初验").unknown = {"resource_subtype": 7}
    bench.pull()
    assert any("resource_subtype" in b for b in referee.broken)
