"""Every request to Jira Cloud, and every answer of its fake, against Atlassian's own description.

Data Center publishes none; what it is asked for is in `tests/unit/connectors/test_jira.py`.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_core import OpenAPI

from connectors.errors import SourceRefused
from connectors.jira.connector import CONNECTOR, Jira
from connectors.jira.fake import SITES, JiraFake
from connectors.kit.conformance import Bench
from connectors.kit.described import Described, suite_broken

pytestmark = pytest.mark.shared
BASE = SITES["cloud"]


@pytest.fixture
def openapi(shared_dir: Path) -> OpenAPI:
    spec = json.loads((shared_dir / "specs" / "jira_cloud.trim.json").read_text(encoding="utf-8"))
    for path in spec["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict) and "security" in operation:
                operation["security"] = [{"basicAuth": []}]  # neither OAuth, which it cannot judge, nor anonymously
    return OpenAPI.from_dict({**spec, "servers": [{"url": BASE}]})


def described(openapi: OpenAPI, **changes: object) -> tuple[Bench, Described]:
    vendor = JiraFake()
    referee = Described(vendor, openapi, BASE)

    def build(name: str, options: dict[str, object], **given: Any) -> Any:
        return CONNECTOR.build(name, {**options, **changes}, **{**given, "transport": referee})

    return Bench(replace(CONNECTOR, build=build), vendor), referee


def test_a_whole_life_is_as_described(openapi: OpenAPI) -> None:
    on, referee = described(openapi, milestones=["version", "type:Milestone"])
    assert isinstance(on.vendor, JiraFake)
    items = [on.vendor.add(f"M{n:03d}") for n in range(230)]
    on.vendor.version("1.0", released=True, counts=(1, 3))
    for n in range(120):
        on.vendor.version(f"2.{n}")
    for item in items[:5]:
        on.vendor.finish(item)
    assert on.check().milestones == 351
    on.pull()
    on.at(86_400)
    on.vendor.finish(items[7], by="王敏")
    on.pull()
    on.at(2 * 86_400)
    on.pull()
    on.pull(full=True)
    assert referee.broken == []
    paths = {r.split("/rest/api/3")[1] for r in on.vendor.requests}
    assert {"/myself", "/status", "/project/search", "/search/jql", "/search/approximate-count", "/changelog/bulkfetch",
            "/project/10000/version"} <= paths  # fmt: skip
    assert referee.checked == len(on.vendor.requests) > 30


def test_the_site_behind_oauth_is_asked_as_described(openapi: OpenAPI) -> None:
    """An application asks api.atlassian.com; links for a reader lead to the site."""
    vendor = JiraFake()
    vendor.api = "/ex/jira/11223344/rest/api/3/"
    vendor.site = "https://acme.atlassian.net"
    base = "https://api.atlassian.com/ex/jira/11223344"
    on = Bench(CONNECTOR, vendor)
    options = vendor.options(base_url=base)
    honest = on.source
    on.source = lambda _=None: honest(options)  # type: ignore[method-assign]
    item = on.item()
    assert on.seen(item).url == "https://acme.atlassian.net/browse/ALPHA-1"
    assert any(r.endswith("/serverInfo") for r in vendor.requests)


@pytest.mark.parametrize(
    ("method", "path", "params", "body", "why"),
    [
        ("GET", "/project/10000/version", {"orderBy": "newest"}, None, "not one of"),
        ("GET", "/project/10000/version", {"expand": "issuesstatus", "page": 2}, None, "not in the description"),
        ("POST", "/search/jql", None, {"jql": "project = 1", "startAt": 100}, "startAt"),
        ("POST", "/changelog/bulkfetch", None, {"issueIdsOrKeys": [], "fieldIds": ["status"]}, "issueIdsOrKeys"),
        ("POST", "/search", None, {"jql": "project = 1"}, "not in the description"),
    ],
)
async def test_a_wrong_question_is_caught(
    openapi: OpenAPI, method: str, path: str, params: Any, body: Any, why: str
) -> None:
    on, referee = described(openapi)
    source = on.source()
    assert isinstance(source, Jira)
    async with source:
        with suppress(SourceRefused):
            await source.http.ask(method, f"/rest/api/3{path}", params=params, body=body)
    assert len(referee.broken) == 1
    assert why in referee.broken[0]


def test_an_answer_of_another_shape_is_caught(openapi: OpenAPI) -> None:
    on, referee = described(openapi, milestones=["version"])
    assert isinstance(on.vendor, JiraFake)
    on.vendor.version("1.0", released="yes")
    on.pull()
    assert any("released" in broken for broken in referee.broken)


async def test_a_request_without_its_token_is_caught(openapi: OpenAPI) -> None:
    _, referee = described(openapi)
    async with httpx.AsyncClient(transport=referee) as client:
        await client.get(f"{BASE}/rest/api/3/myself")
    assert len(referee.broken) == 1


def test_the_whole_suite_is_as_described(openapi: OpenAPI) -> None:
    broken = suite_broken(CONNECTOR, lambda inner: Described(inner, openapi, BASE))
    assert set(broken) == {"proof_field_missing", "proof_field_of_another_type", "unknown_field_is_kept"}
    # An issue's fields are an open object to Atlassian, so what is spoiled inside it cannot be noticed; the issue
    # around them is a closed one, so a field of tomorrow is.
    assert broken["proof_field_missing"] == ["the referee did not notice a spoiled answer"]
    assert all("zz_custom_flag" in b for b in broken["unknown_field_is_kept"])
