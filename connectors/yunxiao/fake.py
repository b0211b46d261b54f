"""A scripted Yunxiao for the conformance suite: pages counted in headers; a milestone is done on a day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import httpx

from connectors.kit.fakes import PROJECTS, START, Item, Row, ScriptedVendor, body_of, reply

MONTH = 30 * 86_400
TOKEN = "pt-0fh3fakefake0fbG_35affake0484"  # noqa: S105 - invented
ORG = "5ebbc0228123212b59fake01"
A_DAY = "actualEndDate is a day without a time; the tests of yunxiao look at the day"


class YunxiaoFake(ScriptedVendor):
    """One organisation with two projects."""

    system = "yunxiao"
    secrets: ClassVar[tuple[str, ...]] = (TOKEN,)
    skips: ClassVar[Mapping[str, str]] = {
        "done_is_seen": A_DAY,
        "zone_edge": A_DAY,
        "done_again": A_DAY,
        "done_by": "the read interface does not say who moved a task to its end state",
        "token_call_hangs": "there is no token call: the key is sent with every request",
        "token_expires_in_mid_pull": "a key has no end and cannot be renewed",
        "many_requests_share_one_new_token": "there is no token call: the key is sent with every request",
    }

    def __init__(self) -> None:
        super().__init__()
        self.changes: dict[str, Row] = {}  # by item: what its row says instead
        self.totals = True  # do the headers say how many rows there are
        self.cap = 100  # the most rows a page
        self.readable = True  # may the token read milestones
        self.dedicated = False

    def options(self, **changes: object) -> dict[str, object]:
        return {"base_url": "https://yunxiao.example", "token": TOKEN, "organization_id": ORG, "per_minute": 0, "timeout": 0.05, **changes}  # fmt: skip

    def bad_options(self) -> dict[str, object]:
        return self.options(token="pt-wrong")  # noqa: S106 - invented

    def next_id(self) -> str:
        return f"{0x8A40 << 64 | (len(self.items) + 1):020x}"

    def milestone_id(self, item: Item) -> str:
        return f"milestone:{item.id}"

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.headers.get("x-yunxiao-token") != TOKEN:
            return problem(401, "InvalidToken", "invalid token")
        path = request.url.path.removeprefix("/oapi/v1")
        if path == "/platform/user":
            return reply({"id": "99d1fake6124", "name": "机器人", "username": "robot", "email": "robot@acme.example"})
        root = "/projex" if self.dedicated else f"/projex/organizations/{ORG}"
        if path == f"{root}/projects:search" and request.method == "POST":
            asked = body_of(request)
            return self._page([_project(n) for n in range(len(PROJECTS))], asked["page"], asked["perPage"])
        steps = path.removeprefix(f"{root}/").split("/")
        if not path.startswith(f"{root}/projects/") or steps[2:] != ["milestones"]:
            return problem(404, "NotFound", "not found")
        if not self.readable:
            return problem(403, "Forbidden", "no permission")
        own = [self._row(i) for i in self.items.values() if project_id(i.project) == steps[1] and not i.removed]
        given = request.url.params
        answer = self._page(own, int(given["page"]), int(given["perPage"]))
        self.served(given["page"] == "1", more=len(own) > self.cap)
        return answer

    def _page(self, rows: list[Row], number: int, size: int) -> httpx.Response:
        size = min(size, self.cap)
        told = {"x-page": str(number), "x-per-page": str(size), "x-total": str(len(rows))} if self.totals else {}
        return reply(rows[(number - 1) * size : number * size], headers=told)

    def _row(self, item: Item) -> Row:
        name = "已完成" if item.done else "进行中"
        row: Row = {
            "id": item.id, "subject": item.name, "description": "", "planEndDate": "2026-12-20",
            "actualEndDate": day(item.done_at) if item.done and item.done_at else None,
            "status": {"id": f"s-{name}", "displayName": name}, "assignedTo": {"id": "u1", "name": "李强"},
            "creator": {"id": "u1", "name": "李强"}, "modifier": {"id": "u2", "name": "赵倩"},
            "gmtCreate": iso(START - MONTH), "gmtModified": iso(item.updated_at), **item.unknown,
        }  # fmt: skip
        if item.spoiled == "missing":
            del row["status"]
        elif item.spoiled == "retyped":
            row["status"] = "已完成"
        return row | self.changes.get(item.id, {})


def _project(number: int) -> Row:
    key, name = PROJECTS[number]
    return {"id": project_id(number), "name": name, "customCode": key, "logicalStatus": "NORMAL", "scope": "private"}


def project_id(number: int) -> str:
    """The id of a project."""
    return f"{0x589C << 64 | (number + 1):020x}"


def problem(status: int, code: str, message: str) -> httpx.Response:
    """An error."""
    return reply({"errorCode": code, "errorMessage": message}, status)


def day(seconds: int) -> str:
    """The day in China."""
    return (datetime.fromtimestamp(seconds, UTC) + timedelta(hours=8)).strftime("%Y-%m-%d")


def iso(seconds: int) -> str:
    """As Yunxiao writes a moment."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
