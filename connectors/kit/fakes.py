"""A scripted vendor: what every connector's fake has in common, for the conformance suite.

A fake speaks its vendor's wire format as an httpx transport, so the whole connector runs, without a socket.
The script adds, finishes, reopens, renames, moves and removes milestones, spoils rows, and puts faults in
the way. It lives beside the connector and is part of it: a connector without a fake cannot be tested by
others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, ClassVar

import httpx
import orjson

Row = dict[str, Any]

#: The projects every fake has: (identifier, name). The second is empty until something is moved there.
PROJECTS = (("ALPHA", "智慧园区 Alpha"), ("BETA", "Beta"))
START = 1_795_147_200  # 2026-11-20T04:00:00Z, the moment at which every script begins


@dataclass(slots=True)
class Item:
    """One milestone of the fake; times are unix seconds."""

    id: str
    name: str
    project: int = 0  # which of PROJECTS
    done: bool = False
    done_at: int | None = None  # of the last completion; stays when it is reopened
    updated_at: int = START
    removed: bool = False
    history: list[tuple[int, bool, str]] = field(default_factory=list)  # each change: when, done or reopened, by whom
    unknown: Row = field(default_factory=dict)  # fields to lay over the vendor's row
    spoiled: str = ""  # "", or how its proof field is spoiled: missing, retyped

    @property
    def by(self) -> str:
        """Who made the last change of its state; empty where there was none."""
        return self.history[-1][2] if self.history else ""


@dataclass(slots=True)
class Fault:
    """What the next `times` answers to paths that contain `path` are instead."""

    kind: str  # status, html, text, truncated, hang, down
    times: int = 1
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    path: str = ""


class ScriptedVendor(httpx.AsyncBaseTransport):
    """The part of a fake that is the same for all; a subclass answers in its vendor's format."""

    system: ClassVar[str]
    token_path: ClassVar[str] = ""  # part of the path of the token call; empty: there is none
    secrets: ClassVar[tuple[str, ...]]
    conditional: ClassVar[bool] = False  # milestones carry ETags, and the connector asks with If-None-Match
    #: Cases of the conformance suite that cannot apply, each with the reason.
    skips: ClassVar[Mapping[str, str]] = {}

    def __init__(self) -> None:
        self.now = START
        self.items: dict[str, Item] = {}
        self.faults: list[Fault] = []
        self.requests: list[str] = []  # method and path
        self.asked: list[httpx.Request] = []
        self.answered: list[int] = []  # the status of each answer; nothing for a connection that was lost
        self.tags = True  # are ETags sent, where the vendor has them
        self.after_first_page: Callable[[], object] | None = None
        self.refuse_data: int | None = None  # answer every data request with this status
        self.expired = False

    # --- what a subclass says ---

    def options(self, **changes: object) -> dict[str, object]:
        """The keys of a working [connections.NAME]."""
        raise NotImplementedError

    def bad_options(self) -> dict[str, object]:
        """The same with wrong credentials."""
        raise NotImplementedError

    def answer(self, request: httpx.Request) -> httpx.Response:
        """The vendor's answer to a request."""
        raise NotImplementedError

    def milestone_id(self, item: Item) -> str:
        """The id that the connector gives an item: override where `Listing.kind` or other ids come in."""
        return item.id

    def next_id(self) -> str:
        """The id of the next item."""
        return f"{0x64BB << 80 | (len(self.items) + 1):024x}"

    # --- the script ---

    def add(self, name: str, project: int = 0) -> Item:
        """A milestone that has not begun."""
        item = Item(self.next_id(), name, project, updated_at=self.now)
        self.items[item.id] = item
        return item

    def finish(self, item: Item, at: int | None = None, by: str = "李强") -> None:
        """Done, by somebody."""
        self._move(item, at, by, done=True)
        item.done_at = item.updated_at

    def reopen(self, item: Item, at: int | None = None, by: str = "赵倩") -> None:
        """Not done after all."""
        self._move(item, at, by, done=False)

    def _move(self, item: Item, at: int | None, by: str, *, done: bool) -> None:
        item.updated_at = self.now if at is None else at
        item.done = done
        item.history.append((item.updated_at, done, by))

    def rename(self, item: Item, name: str) -> None:
        """Another name, the same milestone."""
        item.name, item.updated_at = name, self.now

    def relocate(self, item: Item, project: int) -> None:
        """To another project."""
        item.project, item.updated_at = project, self.now

    def remove(self, item: Item) -> None:
        """Deleted."""
        item.removed, item.updated_at = True, self.now

    def spoil(self, item: Item, how: str) -> None:
        """The row's proof is `missing` or `retyped`; or `unknown`: it has a field nobody knows."""
        item.updated_at = self.now
        if how == "unknown":
            item.unknown = {"zz_custom_flag": {"a": 1}}
        else:
            item.spoiled = how

    def expire_tokens(self) -> None:
        """All tokens given so far are no good from now on."""
        self.expired = True

    # --- the transport ---

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """A fault if one is due, else the vendor's answer."""
        self.requests.append(f"{request.method} {request.url.path}")
        self.asked.append(request)
        answer = await self._answer_or_fault(request)
        self.answered.append(answer.status_code)
        return answer

    async def _answer_or_fault(self, request: httpx.Request) -> httpx.Response:
        fault = self._fault(request)
        if fault is None:
            return self._refused(request) or self.answer(request)
        if fault.kind == "hang":
            return await _hang(request)
        if fault.kind == "down":
            raise httpx.ConnectError("connection refused", request=request)
        return self._faulty(fault, request)

    def is_token_call(self, request: httpx.Request) -> bool:
        """Is it the call that fetches a token?"""
        return bool(self.token_path) and self.token_path in request.url.path

    def _fault(self, request: httpx.Request) -> Fault | None:
        for fault in self.faults:
            wanted = fault.path in request.url.path if fault.path else not self.is_token_call(request)
            if wanted and fault.times > 0:
                fault.times -= 1
                return fault
        return None

    def _refused(self, request: httpx.Request) -> httpx.Response | None:
        if self.refuse_data is None or self.is_token_call(request):
            return None
        return reply({}, self.refuse_data)

    def _faulty(self, fault: Fault, request: httpx.Request) -> httpx.Response:
        if fault.kind == "html":
            page = "<html><body>请登录 / please log in</body></html>"
            return httpx.Response(fault.status, headers={"content-type": "text/html", **fault.headers}, text=page)
        if fault.kind == "text":
            return httpx.Response(fault.status, headers={"content-type": "text/plain"}, text="it works!")
        if fault.kind == "truncated":
            whole = self.answer(request).content
            return httpx.Response(200, headers={"content-type": "application/json"}, content=whole[: len(whole) // 2])
        if fault.status == 304:
            return httpx.Response(304, headers=dict(fault.headers))
        return reply({}, fault.status, fault.headers)

    def tagged(self, request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        """The answer with its ETag; 304 without a body where the request has that tag already (RFC 9110, 13.1.2)."""
        if not self.tags:
            return answer
        answer.headers["etag"] = tag = f'W/"{blake2b(answer.content, digest_size=16).hexdigest()}"'
        if request.headers.get("if-none-match") != tag:
            return answer
        kept = {k: v for k, v in answer.headers.items() if k not in ("content-type", "content-length")}
        return httpx.Response(304, headers=kept)

    def living(self, project: int) -> list[Item]:
        """The milestones of a project that are not removed."""
        return [i for i in self.items.values() if i.project == project and not i.removed]

    def cut(self, rows: Sequence[Row], first: int, size: int) -> list[Row]:
        """One page of rows that were made; the script may change things after the first of several pages."""
        self.served(first == 0, first + size < len(rows))
        return list(rows[first : first + size])

    def served(self, first: bool, more: bool) -> None:  # noqa: FBT001 - two facts about a page
        """Call after a page of milestones was made (`cut` does): lets the script change things under way.

        `first`: it is the first page of its list; `more`: another one follows.
        """
        if first and more and self.after_first_page is not None:
            change, self.after_first_page = self.after_first_page, None
            change()


async def _hang(request: httpx.Request) -> httpx.Response:
    limit = request.extensions.get("timeout", {}).get("read")
    if limit is None:
        raise AssertionError(f"{request.method} {request.url.path} would wait for ever: it has no timeout")
    await asyncio.sleep(min(limit, 0.02))
    raise httpx.ReadTimeout("no answer", request=request)


def reply(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """A JSON answer."""
    return httpx.Response(
        status, headers={"content-type": "application/json", **(headers or {})}, content=orjson.dumps(body)
    )


def body_of(request: httpx.Request) -> Row:
    """The JSON body of a request."""
    found: Row = orjson.loads(request.content)
    return found
