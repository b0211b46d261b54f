"""Answers of another shape, before any row: told with the request and the field, and never as an error of Python's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest

from connectors.errors import BadPayload, SourceError
from connectors.http.client import ApiKey, Http
from connectors.http.fields import need_text, need_whole
from connectors.http.paging import Row
from connectors.http.source import Listing, Project, RestSource
from connectors.kit.conformance import Bench
from connectors.registry import connector, systems
from models.domain.observations import Page
from models.ports import PullRequest

NOW = datetime(2026, 11, 20, 4, tzinfo=UTC)


class Tool(RestSource):
    """Reads as the page on adding a connector shows it."""

    async def account(self) -> str:
        return need_text(await self.http.get("/me"), "login")

    async def prepare(self) -> None:
        need_whole(await self.http.get("/states"), "count")

    async def projects(self) -> list[Project]:
        rows: list[Row] = (await self.http.get("/boards"))["rows"]
        return [Project(need_text(r, "id"), need_text(r, "key"), "") for r in rows]

    def listings(self, project: Project) -> list[Listing]:
        del project
        return []


GOOD: dict[str, Any] = {"/me": {"login": "robot"}, "/states": {"count": 1}, "/boards": {"rows": []}}


def _tool(answers: dict[str, Any]) -> Tool:
    def answer(request: httpx.Request) -> httpx.Response:
        body = orjson.dumps({**GOOD, **answers}[request.url.path])
        return httpx.Response(200, headers={"content-type": "application/json"}, content=body)

    key = ApiKey("X-Key", "secret-93Kd2")
    http = Http("https://tool.example", key, clock=lambda: NOW, transport=httpx.MockTransport(answer), secrets=("secret-93Kd2",))  # fmt: skip
    return Tool("c", http)


async def _check(tool: Tool) -> object:
    async with tool:
        return await tool.check()


async def _pull(tool: Tool) -> list[Page]:
    async with tool:
        pages: AsyncIterator[Page] = tool.pull(PullRequest((), None, full=False, now=NOW))
        return [p async for p in pages]


@pytest.mark.parametrize("what", [_check, _pull])
@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({"/me": {"name": "x"}}, "GET /me: the answer has no login"),
        ({"/me": [1]}, "GET /me: the answer is not of the shape"),
        ({"/states": {"count": "3"}}, "GET /states: the answer is not as agreed: count is '3'"),
        ({"/boards": {"total": 1}}, "GET /boards: the answer has no rows"),
        ({"/boards": {"rows": [{"id": "1"}]}}, "GET /boards: the answer has no key"),
        ({"/me": {"login": ["secret-93Kd2"]}}, "GET /me: the answer is not as agreed"),
    ],
)
def test_what_cannot_be_read_is_told_with_request_and_field(what: Any, answers: dict[str, Any], told: str) -> None:
    with pytest.raises(BadPayload) as problem:
        asyncio.run(what(_tool(answers)))
    assert str(problem.value).startswith(told)
    assert problem.value.advice
    assert "secret-93Kd2" not in str(problem.value)


@pytest.mark.parametrize("system", [s for s in systems() if connector(s).reads == "api"])
@pytest.mark.parametrize("body", [[1], {}, "text", None])
def test_no_answer_of_another_shape_breaks_a_check_or_a_pull(system: str, body: object) -> None:
    """Each request in turn is answered with something else; it is a SourceError, or it does not matter."""
    info = connector(system)
    assert info.fake is not None
    fake: Any = info.fake()
    bench = Bench(info, fake)
    fake.finish(fake.add("初验"))
    bench.pull()
    paths = list(dict.fromkeys(r.url.path for r in fake.asked))
    honest = fake.answer
    for path in paths:

        def answer(request: httpx.Request, path: str = path) -> httpx.Response:
            told: httpx.Response = honest(request)
            if request.url.path != path:
                return told
            return httpx.Response(200, headers={"content-type": "application/json"}, content=orjson.dumps(body))

        fake.answer = answer
        for what in (bench.check, lambda: Bench(info, fake).pull()):
            with suppress(SourceError):
                what()
