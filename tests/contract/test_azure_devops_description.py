"""Every request of the Azure DevOps connector, and every answer of its fake, against Microsoft's own description.

The trimmed description lacks who we are, the projects and the fields; these are described below, from the
documentation (Core: Projects - List; Work Item Tracking: Fields - List; the connection data has no page).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_core import OpenAPI

from connectors.azure_devops.connector import CONNECTOR, AzureDevOps
from connectors.azure_devops.fake import AzureDevOpsFake
from connectors.errors import SourceRefused
from connectors.kit.conformance import Bench
from connectors.kit.described import Described, suite_broken
from tests.contract.swagger import openapi_of

pytestmark = pytest.mark.shared
HOST = "https://dev.azure.com"
ALPHA = "00000000-0000-0000-0000-00000000a1fa"


def _get(schema: dict[str, Any], **query: dict[str, Any]) -> dict[str, Any]:
    version = {"name": "api-version", "in": "query", "required": True, "schema": {"type": "string"}}
    organization = {"name": "organization", "in": "path", "required": True, "schema": {"type": "string"}}
    given = [{"name": name.replace("top", "$top").replace("skip", "$skip"), "in": "query", "schema": s} for name, s in query.items()]  # fmt: skip
    content = {"application/json": {"schema": schema}}
    return {"get": {"parameters": [organization, version, *given], "responses": {"200": {"description": "OK", "content": content}}}}  # fmt: skip


def _listed(*required: str) -> dict[str, Any]:
    rows = {"type": "object", "required": [*required], "properties": {r: {"type": "string"} for r in required}}
    return {"type": "object", "required": ["count", "value"], "properties": {"count": {"type": "integer"}, "value": {"type": "array", "items": rows}}}  # fmt: skip


MORE = {
    "/{organization}/_apis/connectionData": _get({"type": "object", "required": ["authenticatedUser"]}),
    "/{organization}/_apis/projects": _get(
        _listed("id", "name", "state"), top={"type": "integer"}, skip={"type": "integer"},
        stateFilter={"type": "string", "enum": ["all", "createPending", "deleted", "deleting", "new", "unchanged", "wellFormed"]},
    ),
    "/{organization}/_apis/wit/fields": _get(_listed("name", "referenceName")),
}  # fmt: skip


@pytest.fixture
def openapi(shared_dir: Path) -> OpenAPI:
    spec = openapi_of(shared_dir / "specs" / "azure_devops_wit.trim.json")
    assert not set(MORE) & set(spec["paths"]), "described there too: take that"
    return OpenAPI.from_dict({**spec, "servers": [{"url": HOST}], "paths": {**spec["paths"], **MORE}})


def described(openapi: OpenAPI, **changes: object) -> tuple[Bench, Described]:
    vendor = AzureDevOpsFake()
    referee = Described(vendor, openapi, HOST)

    def build(name: str, options: dict[str, object], **given: Any) -> Any:
        return CONNECTOR.build(name, {**options, **changes}, **{**given, "transport": referee})

    return Bench(replace(CONNECTOR, build=build), vendor), referee


def test_a_whole_life_is_as_described(openapi: OpenAPI) -> None:
    on, referee = described(openapi, milestones=["type:Epic", "iteration"])
    assert isinstance(on.vendor, AzureDevOpsFake)
    items = [on.vendor.add(f"M{n:03d}") for n in range(230)]
    on.vendor.node("Release 1", None, [on.vendor.node("Sprint 1", "2026-11-13T00:00:00Z")])
    on.vendor.closing_fields = False
    for item in items[:5]:
        on.vendor.finish(item)
    assert on.check().milestones == 230
    on.pull()
    on.at(86_400)
    on.vendor.finish(items[7], by="王敏")
    on.vendor.remove(items[8])
    on.pull()
    on.pull(full=True)
    assert referee.broken == []
    paths = {r.split("/acme/")[1].replace(ALPHA, "ALPHA") for r in on.vendor.requests}
    assert {"_apis/connectionData", "_apis/projects", "_apis/wit/wiql", "ALPHA/_apis/wit/wiql", "ALPHA/_apis/wit/workitemsbatch",
            "ALPHA/_apis/wit/workItems/1/updates", "ALPHA/_apis/wit/workitemtypes/Epic/states",
            "ALPHA/_apis/wit/classificationnodes"} <= paths  # fmt: skip
    assert referee.checked == len(on.vendor.requests) > 30


@pytest.mark.parametrize(
    ("method", "path", "params", "body", "why"),
    [
        ("POST", f"/{ALPHA}/_apis/wit/wiql", {"top": 5}, {"query": "SELECT [System.Id] FROM WorkItems"}, "top"),
        (
            "POST",
            f"/{ALPHA}/_apis/wit/workitemsbatch",
            {},
            {"ids": [1], "fields": [], "errorPolicy": "ignore"},
            "ignore",
        ),
        (
            "POST",
            f"/{ALPHA}/_apis/wit/workitemsbatch",
            {},
            {"ids": ["one"], "fields": [], "errorPolicy": "omit"},
            "integer",
        ),
        ("GET", f"/{ALPHA}/_apis/wit/workItems/x1/updates", {}, None, "id"),
        ("GET", f"/{ALPHA}/_apis/wit/milestones", {}, None, "not in the description"),
    ],
)
async def test_a_wrong_question_is_caught(
    openapi: OpenAPI, method: str, path: str, params: dict[str, Any], body: Any, why: str
) -> None:
    on, referee = described(openapi)
    source = on.source()
    assert isinstance(source, AzureDevOps)
    async with source:
        with suppress(SourceRefused, KeyError):
            await source.http.ask(method, path, params={**params, "api-version": "7.1"}, body=body)
    assert len(referee.broken) == 1
    assert why in referee.broken[0]


async def test_a_call_without_its_version_or_token_is_caught(openapi: OpenAPI) -> None:
    on, referee = described(openapi)
    source = on.source()
    assert isinstance(source, AzureDevOps)
    async with source:
        with suppress(SourceRefused):
            await source.http.get(f"/{ALPHA}/_apis/wit/workitemtypes")
    async with httpx.AsyncClient(transport=referee) as client:
        await client.get(f"{HOST}/acme/{ALPHA}/_apis/wit/workitemtypes?api-version=7.1")
    assert ["api-version" in referee.broken[0], "ecurity" in referee.broken[1]] == [True, True]


def test_an_answer_of_another_shape_is_caught(openapi: OpenAPI) -> None:
    on, referee = described(openapi)
    on.vendor.add("M").unknown = {"rev": "three"}
    on.pull()
    assert any("three" in broken for broken in referee.broken)


def test_the_whole_suite_is_as_described(openapi: OpenAPI) -> None:
    broken = suite_broken(CONNECTOR, lambda inner: Described(inner, openapi, HOST))
    # A work item's fields are an open object to Microsoft: what is spoiled inside it cannot be noticed.
    unseen = ["the referee did not notice a spoiled answer"]
    assert broken == {"proof_field_missing": unseen, "proof_field_of_another_type": unseen}
