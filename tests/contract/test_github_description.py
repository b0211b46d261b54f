"""Every request of the GitHub connector, and every answer of its fake, against GitHub's own OpenAPI description.

The trimmed description lacks `GET /user`; it is described below from the same documentation. A renamed
repository is answered by an address (`/repositories/ID/…`) that the description does not have at all.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import httpx
import pytest
from openapi_core import OpenAPI

from connectors.errors import SourceRefused
from connectors.github.connector import GitHub
from connectors.github.fake import API, GitHubFake
from connectors.kit.conformance import Bench
from connectors.kit.described import Described, suite_broken
from connectors.registry import ConnectorInfo, connector

pytestmark = pytest.mark.shared

#: docs: REST API, users, get the authenticated user
MORE = {
    "/user": {
        "get": {
            "responses": {
                "200": {"description": "OK", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/simple-user"}}}}
            }
        }
    }
}  # fmt: skip


@pytest.fixture(scope="module")
def openapi(request: pytest.FixtureRequest) -> OpenAPI:
    spec = json.loads(
        (request.getfixturevalue("shared_dir") / "specs" / "github.trim.json").read_text(encoding="utf-8")
    )
    assert not set(MORE) & set(spec["paths"]), "described there too: take that"
    return OpenAPI.from_dict({**spec, "servers": [{"url": API}], "paths": {**spec["paths"], **MORE}})


SKIP = {"/repositories/": "where a renamed repository is; not described"}


def described(openapi: OpenAPI) -> tuple[Bench, Described]:
    """A bench whose every request passes the referee."""
    vendor = GitHubFake()
    referee = Described(vendor, openapi, API, skip=SKIP)
    found = connector("github")

    def build(name: str, options: dict[str, object], **given: Any) -> Any:
        return found.build(name, options, **{**given, "transport": referee})

    return Bench(ConnectorInfo(found.system, found.title, found.options, build), vendor), referee


def test_a_whole_life_is_as_described(openapi: OpenAPI) -> None:
    on, referee = described(openapi)
    first, second = on.vendor.add("初验"), on.vendor.add("终验")
    for n in range(120):
        on.vendor.add(f"M{n:03d}")
    on.vendor.finish(first, by="wang")
    on.vendor.finish(second)
    on.vendor.reopen(second)
    on.check()
    on.pull()
    on.at(86_400)
    on.vendor.finish(second)
    on.pull()
    on.at(2 * 86_400)
    on.pull()
    on.vendor.rename_repository(0, "alpha2")
    on.pull(full=True, projects=("acme/alpha", "acme/beta"))
    assert referee.broken == []
    paths = {r.removeprefix("GET ") for r in on.vendor.requests}
    assert {"/user", "/user/repos", "/repos/acme/alpha", "/repos/acme/alpha/milestones", "/repos/acme/alpha/issues", "/repos/acme/alpha/issues/1"} <= paths  # fmt: skip
    assert 304 in on.vendor.answered
    skipped = sum("/repositories/" in p for p in on.vendor.requests)
    assert referee.checked + skipped == len(on.vendor.requests) > 20


@pytest.mark.parametrize(
    ("path", "params", "why"),
    [
        ("/repos/acme/alpha/milestones", {"state": "active"}, "not one of"),
        ("/repos/acme/alpha/milestones", {"sort": "updated"}, "not one of"),
        ("/repos/acme/alpha/milestones", {"since": "2026-11-01T00:00:00Z"}, "not in the description"),
        ("/repos/acme/alpha/issues", {"milestone": "1", "state": "done"}, "not one of"),
        ("/repos/acme/alpha/milestone", {}, "not in the description"),
    ],
)
async def test_a_wrong_question_is_caught(openapi: OpenAPI, path: str, params: dict[str, Any], why: str) -> None:
    on, referee = described(openapi)
    source = on.source()
    assert isinstance(source, GitHub)
    async with source:
        with suppress(SourceRefused):  # the fake does not know a path that does not exist either
            await source.http.get(path, params)
    assert len(referee.broken) == 1
    assert why in referee.broken[0]


@pytest.mark.parametrize(
    ("field", "value"), [("state", "done"), ("closed_issues", "three"), ("number", None), ("due_on", "20 December")]
)
def test_an_answer_of_another_shape_is_caught(openapi: OpenAPI, field: str, value: object) -> None:
    on, referee = described(openapi)
    on.vendor.add("M").unknown = {field: value}
    on.pull()
    assert any(field in broken for broken in referee.broken)


async def test_the_referee_asks_for_what_the_description_requires_of_an_answer(openapi: OpenAPI) -> None:
    _, referee = described(openapi)
    vendor = referee.inner
    assert isinstance(vendor, GitHubFake)
    whole = vendor._repository(0)
    vendor._repository = lambda _: {k: v for k, v in whole.items() if k != "owner"}  # type: ignore[method-assign]
    async with httpx.AsyncClient(transport=referee, headers={"Authorization": "Bearer ghp_93Kd2FakeToken"}) as client:
        await client.get(f"{API}/user/repos")
    assert len(referee.broken) == 1


def test_the_whole_suite_is_as_described(openapi: OpenAPI) -> None:
    assert suite_broken(connector("github"), lambda inner: Described(inner, openapi, API, skip=SKIP)) == {}
