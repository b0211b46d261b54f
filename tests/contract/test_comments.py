"""Comments of every system that takes them: one suite, a small vendor each, and the vendors' own descriptions."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import graphql
import httpx
import pytest

from connectors.asana import comments as asana
from connectors.azure_devops import comments as azure_devops
from connectors.clickup import comments as clickup
from connectors.errors import SourceUnavailable
from connectors.http.client import ApiKey, Http, Missing
from connectors.jira import comments as jira
from connectors.linear import comments as linear
from connectors.monday import comments as monday
from connectors.registry import BUILT_IN, connector
from connectors.smartsheet import comments as smartsheet
from models.domain.comment_texts import About, comment_text, mark
from models.ports import Spot

NOW = datetime(2026, 11, 20, tzinfo=UTC)
RECORD = "3f0d2a9e-0000-5000-8000-000000000001"
HOSTILE = '<b>\n/close @all #1 {{macro}} [x](http://e) `c` *b* _i_ "q":http://e !img! & 里程碑'
TEXT = comment_text(About(RECORD, "C-1", "T1", HOSTILE), "ready", "en", "https://h.example/?a=1&b={term}")
MARK = mark(RECORD, "ready")


@dataclass
class Vendor(httpx.AsyncBaseTransport):
    """A system with one milestone; `kept` are the comments at each place."""

    answer: Callable[[Vendor, str, str, dict[str, Any], dict[str, str]], Any]
    kept: dict[str, list[str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    lose: bool = False  # the answer to the next comment

    def keep(self, place: str, text: str) -> None:
        self.kept.setdefault(place, []).append(text)

    def at(self, place: str) -> list[str]:
        return self.kept.get(place, [])

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else {}
        before = sum(map(len, self.kept.values()))
        self.asked.append(f"{request.method} {request.url.path}")
        found = self.answer(self, request.method, request.url.path, body, dict(request.url.params))
        if self.lose and sum(map(len, self.kept.values())) > before:
            raise httpx.ReadTimeout("lost", request=request)
        if found is None:
            return httpx.Response(404, json={"message": "Not Found", "code": "100317"}, request=request)
        return httpx.Response(
            204 if found == "" else 200, content=json.dumps(found) if found != "" else b"", request=request
        )


def _pages(rows: list[Any], given: dict[str, str], first: int = 1) -> list[Any]:
    page, size = (
        int(given.get("page", given.get("page_index", first))) - first,
        int(given.get("per_page", given.get("page_size", 30))),
    )
    return rows[page * size : (page + 1) * size]


def _pingcode(v: Vendor, method: str, path: str, body: dict[str, Any], given: dict[str, str]) -> Any:
    if path == "/v1/auth/token":
        return {"access_token": "t", "expires_in": 4_000_000_000}
    place = (body or given)["principal_id"]
    assert (body or given)["principal_type"] == "work_item"
    if method == "POST":
        v.keep(place, body["content"])
        return {"id": "1"}
    return {"values": _pages([{"content": t} for t in v.at(place)], given, 0)}


def _redmine(v: Vendor, method: str, path: str, body: dict[str, Any], given: dict[str, str]) -> Any:
    if path == "/issues.json":
        rows = [{"id": 4, "closed_on": "2026-11-02T00:00:00Z"}, {"id": 5, "closed_on": "2026-11-03T00:00:00Z"}]
        return {"issues": rows if given["fixed_version_id"] == "9" else [], "total_count": 2}
    place = re.fullmatch(r"/issues/(\d+)\.json", path)[1]  # type: ignore[index]
    if method == "PUT":
        v.keep(place, body["issue"]["notes"])
        return ""
    return {"issue": {"id": int(place), "journals": [{"id": n, "notes": t} for n, t in enumerate(v.at(place))]}}


def _gitlab(v: Vendor, method: str, path: str, body: dict[str, Any], given: dict[str, str]) -> Any:
    if path.endswith("/milestones/9/issues"):
        return [
            {"project_id": 7, "iid": 4, "closed_at": "2026-11-02T00:00:00Z"},
            {"project_id": 7, "iid": 5, "closed_at": None},
        ]
    if path.endswith("/issues"):
        return []
    if not re.fullmatch(r"/api/v4/projects/7/issues/\d+/notes", path):
        return None
    if method == "POST":
        v.keep("7/issues/" + path.split("/")[-2], body["body"])
        return {"id": 1}
    return _pages([{"body": t} for t in reversed(v.at("7/issues/" + path.split("/")[-2]))], given)


def _github(v: Vendor, method: str, path: str, body: dict[str, Any], given: dict[str, str]) -> Any:
    if path == "/repos/o/r/issues":
        rows = [
            {"number": 4, "closed_at": "2026-11-02T00:00:00Z"},
            {"number": 5, "closed_at": "2026-11-03T00:00:00Z", "pull_request": {}},
        ]
        return rows if given["milestone"] == "9" else []
    place = path.removeprefix("/repos/").removesuffix("/comments")
    if method == "POST":
        v.keep(place, body["body"])
        return {"id": 1}
    return _pages([{"body": t} for t in v.at(place)], given)


def _openproject(v: Vendor, method: str, path: str, body: dict[str, Any], given: dict[str, str]) -> Any:
    if method == "POST":
        v.keep(path, body["comment"]["raw"])
        return {"id": 1}
    rows = [{"_type": "Activity", "comment": {"format": "markdown", "raw": ""}}]
    rows += [{"_type": "Activity::Comment", "comment": {"raw": t}} for t in v.at(path)]
    return {"_embedded": {"elements": rows}}


def _linear(v: Vendor, method: str, path: str, body: dict[str, Any], given: dict[str, str]) -> Any:
    said = body["variables"]
    if body["query"] == linear.WRITE:
        kind = "issueId" if "issueId" in said["input"] else "projectId"
        v.keep(f"{kind[:-2]}:{said['input'][kind]}", said["input"]["body"])
        return {"data": {"commentCreate": {"success": True}}}
    kind = next(k for k, q in linear.WRITTEN.items() if q == body["query"])
    found = [t for t in v.at(f"{kind}:{said['id']}") if said["mark"] in t][:1]
    return {"data": {kind: {"comments": {"nodes": [{"body": t} for t in found]}}}}


def _monday(v: Vendor, method: str, path: str, body: dict[str, Any], given: dict[str, str]) -> Any:
    said = body["variables"]
    if body["query"] == monday.WRITE:
        v.keep(said["item"], said["body"])
        return {"data": {"create_update": {"id": "1"}}}
    rows = [{"body": t} for t in v.at(said["item"][0])]
    start = (said["page"] - 1) * said["limit"]
    return {"data": {"items": [{"updates": rows[start : start + said["limit"]]}]}}


def _odoo(v: Vendor, method: str, path: str, body: dict[str, Any], given: dict[str, str]) -> Any:
    if path == "/json/2/project.milestone/message_post":
        v.keep(str(body["ids"][0]), body["body"])
        return [1]
    assert path == "/json/2/mail.message/search_read"
    held = {k: x for k, _, x in body["domain"]}
    return [{"id": n} for n, t in enumerate(v.at(str(held["res_id"]))) if held["body"] in t][: body["limit"]]


def _jira(v: Vendor, method: str, path: str, body: dict[str, Any], given: dict[str, str]) -> Any:
    if method == "POST":
        v.keep(path, body["body"])
        return {"id": "1"}
    start, rows = int(given["startAt"]), [{"body": t.replace("-", "\\-")} for t in reversed(v.at(path))]
    return {"comments": rows[start : start + int(given["maxResults"])], "total": len(rows)}


def _azure(v: Vendor, method: str, path: str, body: dict[str, Any], given: dict[str, str]) -> Any:
    assert given["api-version"].startswith("7.1-preview")
    if method == "POST":
        v.keep(path, body["text"])
        return {"id": 1}
    start = int(given.get("continuationToken", 0))
    rows = [{"text": t} for t in v.at(path)][start : start + 50]
    return {"comments": rows, **({"continuationToken": str(start + 50)} if len(rows) == 50 else {})}


def _asana(v: Vendor, method: str, path: str, body: dict[str, Any], given: dict[str, str]) -> Any:
    if method == "POST":
        v.keep(path, body["data"]["text"])
        return {"data": {"gid": "1"}}
    start, size = int(given.get("offset", 0)), int(given["limit"])
    rows = [{"gid": str(n), "text": t} for n, t in enumerate(v.at(path))]
    more = {"offset": str(start + size)} if len(rows) > start + size else None
    return {"data": rows[start : start + size], "next_page": more}


def _clickup(v: Vendor, method: str, path: str, body: dict[str, Any], given: dict[str, str]) -> Any:
    if method == "POST":
        v.keep(path, body["comment_text"])
        return {"id": 1}
    rows = [{"id": str(n), "date": str(n), "comment_text": t} for n, t in enumerate(v.at(path))]
    older = [r for r in rows if int(r["id"]) < int(given.get("start_id", len(rows)))]
    return {"comments": older[::-1][:25]}


def _smartsheet(v: Vendor, method: str, path: str, body: dict[str, Any], given: dict[str, str]) -> Any:
    if method == "POST":
        v.keep(path, body["comment"]["text"])
        return {"resultCode": 0}
    return {"data": [{"id": n, "comments": [{"text": t}]} for n, t in enumerate(v.at(path))]}


@dataclass(frozen=True)
class Case:
    system: str
    answer: Callable[..., Any]
    options: dict[str, str]
    spot: Spot
    place: str
    nowhere: Spot | None = None


def _spot(identity: str, kind: str, project: str = "7", url: str | None = None) -> Spot:
    return Spot(identity, project, "o/r", kind, url)


WEB = "https://github.com/o/r/milestone/"
CASES = [
    Case("pingcode", _pingcode, {"base_url": "https://v.example", "client_id": "c", "client_secret": "s"}, _spot("w1", "milestone"), "w1", _spot("s1", "sprint")),
    Case("redmine", _redmine, {"base_url": "https://v.example", "api_key": "k"}, _spot("issue:3", "issue"), "3", _spot("version:8", "version")),
    Case("redmine", _redmine, {"base_url": "https://v.example", "api_key": "k"}, _spot("version:9", "version"), "5"),
    Case("gitlab", _gitlab, {"base_url": "https://v.example", "token": "k"}, _spot("milestone:9", "milestone"), "7/issues/4", _spot("milestone:8", "milestone")),
    Case("gitlab", _gitlab, {"base_url": "https://v.example", "token": "k"}, _spot("milestone:9", "milestone", "group:2"), "7/issues/4"),
    Case("github", _github, {"base_url": "https://v.example", "token": "k"}, _spot("77", "milestone", url=WEB + "9"), "o/r/issues/4", _spot("77", "milestone", url=WEB + "8")),
    Case("openproject", _openproject, {"base_url": "https://v.example", "api_key": "k"}, _spot("work_package:3", "work_package"), "/api/v3/work_packages/3/activities", _spot("version:3", "version")),
    Case("linear", _linear, {"base_url": "https://v.example", "api_key": "k"}, _spot("issue:i1", "issue"), "issue:i1"),
    Case("linear", _linear, {"base_url": "https://v.example", "api_key": "k"}, _spot("milestone:m1", "milestone", "p1"), "project:p1"),
    Case("monday", _monday, {"base_url": "https://v.example", "api_key": "k"}, _spot("item:12", "item"), "12"),
    Case("odoo", _odoo, {"base_url": "https://v.example", "api_key": "k", "database": "d"}, _spot("milestone:12", "milestone"), "12"),
]  # fmt: skip


#: Held to the same over a bare client: where the comments go does not depend on how their connector reads.
BARE = {
    "jira": jira.Comments, "azure_devops": azure_devops.Comments, "asana": asana.Comments, "clickup": clickup.Comments,
    "smartsheet": smartsheet.Comments,
}  # fmt: skip
CASES += [
    Case("jira", _jira, {}, _spot("issue:3", "issue"), "/rest/api/2/issue/3/comment", _spot("version:3", "version")),
    Case("azure_devops", _azure, {}, _spot("work_item:3", "work_item"), "/7/_apis/wit/workItems/3/comments", _spot("iteration:3", "iteration")),
    Case("asana", _asana, {}, _spot("task:3", "milestone"), "/tasks/3/stories"),
    Case("clickup", _clickup, {}, _spot("task:3", "task"), "/v2/task/3/comment"),
    Case("smartsheet", _smartsheet, {}, _spot("row:3", "row"), "/sheets/7/rows/3/discussions"),
]  # fmt: skip


def ids(case: Case) -> str:
    return f"{case.system}-{case.spot.milestone_id}"


def with_commenter(case: Case, transport: httpx.AsyncBaseTransport, use: Callable[[Any], Any]) -> Any:
    if case.system in BARE:
        return asyncio.run(_bare(case.system, transport, use))
    info = connector(case.system)
    known = {o.name for o in info.options}
    given = {k: v for k, v in case.options.items() if k in known}

    async def run() -> Any:
        async def no_sleep(_: float) -> None: ...

        source = info.build("c", given, clock=lambda: NOW, transport=transport, sleep=no_sleep)
        assert info.commenter is not None
        async with source:
            return await use(info.commenter(source))

    return asyncio.run(run())


async def _bare(system: str, transport: httpx.AsyncBaseTransport, use: Callable[[Any], Any]) -> Any:
    async with Http("https://v.example", ApiKey("k", "k"), clock=lambda: NOW, transport=transport) as http:
        return await use(BARE[system](http))


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_a_comment_is_found_once_it_is_there(case: Case) -> None:
    vendor = Vendor(case.answer)
    for other in range(130):  # more than a page of other people's
        vendor.keep(case.place, f"about huikuan-ready-{other}")

    async def use(commenter: Any) -> tuple[str, bool, bool]:
        place = await commenter.place(case.spot)
        before = await commenter.written(place, MARK)
        await commenter.write(place, TEXT)
        return place, before, await commenter.written(place, MARK)

    assert with_commenter(case, vendor, use) == (case.place, False, True)
    (ours,) = [t for t in vendor.kept[case.place] if MARK in t]
    assert "@all" not in ours
    assert "http://e" not in ours


@pytest.mark.parametrize("case", [c for c in CASES if c.nowhere], ids=ids)
def test_what_takes_no_comment_is_said(case: Case) -> None:
    assert with_commenter(case, Vendor(case.answer), lambda c: c.place(case.nowhere)) is None


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_a_comment_is_asked_for_once_and_a_lost_answer_is_an_error(case: Case) -> None:
    vendor = Vendor(case.answer, lose=True)
    with pytest.raises(SourceUnavailable):
        with_commenter(case, vendor, lambda c: c.write(case.place, TEXT))
    assert len(vendor.kept[case.place]) == 1
    vendor.lose = False
    assert with_commenter(case, vendor, lambda c: c.written(case.place, MARK))


def test_what_went_away_is_missing() -> None:
    case = next(c for c in CASES if c.system == "gitlab")
    with pytest.raises(Missing):
        with_commenter(case, Vendor(case.answer), lambda c: c.written("99/issues/1", MARK))


def test_which_systems_take_comments() -> None:
    assert {s for s in BUILT_IN if connector(s).commenter} == {c.system for c in CASES} & set(BUILT_IN)


# --- the vendors' own descriptions -------------------------------------------------------------------


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "documents"),
    [
        ("linear.graphql", [*linear.WRITTEN.values(), linear.WRITE]),
        ("monday.graphql", [monday.WRITTEN, monday.WRITE]),
    ],
)
def test_the_schemas_know_what_is_asked_and_written(shared_dir: Path, file: str, documents: list[str]) -> None:
    schema = graphql.build_schema((shared_dir / "specs" / file).read_text(encoding="utf-8"))
    for document in documents:
        assert graphql.validate(schema, graphql.parse(document)) == []
    if file.startswith("linear"):
        input_ = schema.type_map["CommentCreateInput"]
        for given in ({"body": "x", "issueId": "i", "doNotSubscribeToIssue": True}, {"body": "x", "projectId": "p"}):
            assert graphql.coerce_input_value(given, input_) == given  # type: ignore[arg-type]


@pytest.mark.shared
def test_pingcodes_description_has_these_requests(shared_dir: Path) -> None:
    records = json.loads((shared_dir / "specs" / "pingcode_api_data.json").read_text(encoding="utf-8"))["api"]
    (write,) = [r for r in records if r["type"].upper() == "POST" and r["url"] == "/v1/comments"]
    fields = {f["field"]: f for group in write["parameter"]["fields"].values() for f in group}
    assert {"principal_type", "principal_id", "content"} <= fields.keys()
    assert "work_item" in fields["principal_type"]["allowedValues"]
    assert [r for r in records if r["url"].startswith("/v1/comments?") and r["type"].upper() == "GET"]
