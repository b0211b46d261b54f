"""Every request of the GitLab connector, and every answer of its fake, against the description of GitLab's API.

The description in ../shared/specs is written by hand from GitLab's documentation and source; the few paths it
lacks (who we are, what we see, a group's issues) are described below, from the same pages.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_core import OpenAPI

from connectors.errors import SourceRefused
from connectors.gitlab.connector import GitLab
from connectors.gitlab.fake import GitLabFake
from connectors.kit.conformance import Bench
from connectors.kit.described import Described, suite_broken
from connectors.kit.fakes import START, ScriptedVendor
from connectors.registry import ConnectorInfo, connector

pytestmark = pytest.mark.shared
BASE = "https://gitlab.example/api/v4"


def _query(**types: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "schema": schema} for name, schema in types.items()]


PAGING = _query(page={"type": "integer", "minimum": 1}, per_page={"type": "integer", "minimum": 1, "maximum": 100})
ORDER = _query(order_by={"type": "string"}, sort={"type": "string", "enum": ["asc", "desc"]})
GROUP = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]


def _get(parameters: list[dict[str, Any]], schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "get": {
            "parameters": parameters,
            "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": schema}}}},
        }
    }


def _object(*required: str, **types: str) -> dict[str, Any]:
    known = {name: {"type": kind} for name, kind in types.items()}
    return {"type": "object", "required": [*required], "properties": known}


def _listed(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": schema}


#: docs: api/users, api/personal_access_tokens, api/projects, api/groups, api/issues (list group issues)
MORE = {
    "/user": _get([], _object("id", "username", id="integer", username="string", name="string")),
    "/personal_access_tokens/self": _get([], _object("id", "scopes", id="integer", scopes="array", active="boolean")),
    "/projects": _get(
        [*_query(membership={"type": "boolean"}), *ORDER, *PAGING],
        _listed(_object("id", "path_with_namespace", id="integer", path_with_namespace="string", archived="boolean",
                        issues_enabled="boolean", merge_requests_enabled="boolean")),
    ),
    "/groups": _get([*ORDER, *PAGING], _listed(_object("id", "full_path", id="integer", full_path="string", full_name="string"))),
    "/groups/{id}/issues": _get(
        [
            *GROUP,
            *_query(
                milestone={"type": "string"},
                state={"type": "string", "enum": ["opened", "closed", "all"]},
                updated_after={"type": "string", "format": "date-time"},
                non_archived={"type": "boolean"},
            ),
            *ORDER,
            *PAGING,
        ],
        _listed({"$ref": "#/components/schemas/Issue"}),
    ),
}  # fmt: skip


@pytest.fixture
def openapi(shared_dir: Path) -> OpenAPI:
    spec = json.loads((shared_dir / "specs" / "gitlab.trim.json").read_text(encoding="utf-8"))
    assert not set(MORE) & set(spec["paths"]), "described there too: take that"
    # A nullable `allOf` of an object is not nullable by the rules of OpenAPI 3.0, though it is meant to be.
    schemas = spec["components"]["schemas"]
    schemas["Issue"]["properties"] |= {
        "closed_by": {**schemas["User"], "nullable": True},
        "milestone": {**schemas["Milestone"], "nullable": True},
    }
    return OpenAPI.from_dict({**spec, "servers": [{"url": BASE}], "paths": {**spec["paths"], **MORE}})


def described(openapi: OpenAPI) -> tuple[Bench, Described]:
    """A bench whose every request passes the referee."""
    vendor = GitLabFake()
    referee = Described(vendor, openapi, BASE)
    found = connector("gitlab")

    def build(name: str, options: dict[str, object], **given: Any) -> Any:
        return found.build(name, options, **{**given, "transport": referee})

    return Bench(ConnectorInfo(found.system, found.title, found.options, build), vendor), referee


def _world(vendor: ScriptedVendor) -> None:
    """Milestones of a project and of a group; closed, reopened, with issues open and closed."""
    assert isinstance(vendor, GitLabFake)
    own, other, shared = vendor.add("初验"), vendor.add("终验"), vendor.add("M3 & more?")
    vendor.in_group.add(shared.id)
    for item in (own, shared):
        vendor.issue(item, closed_at=START - 86_400)
        vendor.issue(item)
        vendor.finish(item)
    vendor.finish(other)
    vendor.reopen(other)
    vendor.issue(None)
    for n in range(120):
        vendor.add(f"M{n:03d}")


def test_a_whole_life_is_as_described(openapi: OpenAPI) -> None:
    on, referee = described(openapi)
    _world(on.vendor)
    on.check()
    on.pull()
    on.at(86_400)
    on.vendor.finish(next(iter(on.vendor.items.values())))
    on.pull()
    on.pull(full=True)
    assert referee.broken == []
    paths = {r.split("/api/v4")[1] for r in on.vendor.requests}
    for wanted in (
        "/user",
        "/projects/11/milestones",
        "/groups/5/milestones",
        "/projects/11/issues",
        "/groups/5/issues",
    ):
        assert wanted in paths
    assert "/projects/11/events" in paths
    assert referee.checked == len(on.vendor.requests) > 150


@pytest.mark.parametrize(
    ("path", "params", "why"),
    [
        ("/projects/11/milestones", {"state": "open"}, "not one of"),
        ("/projects/11/milestones", {"per_page": 500}, "maximum"),
        ("/projects/11/milestones", {"updated_since": "2026-11-01T00:00:00Z"}, "not in the description"),
        ("/projects/11/events", {"target_type": "milestones"}, "not one of"),
        ("/groups/5/issues", {"state": "done"}, "not one of"),
        ("/projects/11/sprints", {}, "not in the description"),
    ],
)
async def test_a_wrong_question_is_caught(openapi: OpenAPI, path: str, params: dict[str, Any], why: str) -> None:
    on, referee = described(openapi)
    source = on.source()
    assert isinstance(source, GitLab)
    async with source:
        with suppress(SourceRefused):  # the fake does not know a path that does not exist either
            await source.http.get(path, params)
    assert len(referee.broken) == 1
    assert why in referee.broken[0]


def test_an_answer_of_another_shape_is_caught(openapi: OpenAPI) -> None:
    on, referee = described(openapi)
    on.vendor.add("M").unknown = {"state": "open"}
    on.pull()
    assert any("state" in broken for broken in referee.broken)


async def test_a_request_without_its_token_is_caught(openapi: OpenAPI) -> None:
    _, referee = described(openapi)
    async with httpx.AsyncClient(transport=referee) as client:
        await client.get(f"{BASE}/projects/11/milestones")
    assert len(referee.broken) == 1


def test_the_whole_suite_is_as_described(openapi: OpenAPI) -> None:
    assert suite_broken(connector("gitlab"), lambda inner: Described(inner, openapi, BASE)) == {}
