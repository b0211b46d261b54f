"""Planner's requests and answers against Microsoft's own metadata of Graph v1.0 (CSDL)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.errors import SourceRefused
from connectors.kit.conformance import Bench
from connectors.kit.fakes import ScriptedVendor
from connectors.ms_planner.fake import PlannerFake
from connectors.registry import connector
from models.ports import PullRequest
from tests.contract.csdl import Csdl, Described

pytestmark = pytest.mark.shared


@pytest.fixture
def csdl(shared_dir: Path) -> Csdl:
    return Csdl(shared_dir / "specs" / "msgraph_planner.csdl.xml")


class Held:
    """The connector on its fake, with a description between them."""

    def __init__(self, csdl: Csdl, **options: object) -> None:
        self.bench = Bench(connector("ms_planner"), PlannerFake())
        self.vendor: ScriptedVendor = self.bench.vendor
        self.described = Described(self.vendor, csdl, "planner")
        self.options = {**self.vendor.options(), **options}

    def run(self) -> list[str]:
        """Check and a full pull; what broke the agreement."""
        asyncio.run(self._run())
        return self.described.violations

    async def _run(self) -> None:
        clock = self.bench.clock
        build: Callable[..., Any] = self.bench.info.build
        async with build("c", self.options, clock=clock.now, transport=self.described, sleep=clock.sleep) as source:
            await source.check()
            async for _ in source.pull(PullRequest((), None, full=True, now=clock.now())):
                pass


def test_every_path_and_every_property_is_in_the_description(csdl: Csdl) -> None:
    held = Held(csdl, buckets=["里程碑"])
    for number in range(150):
        item = held.vendor.add(f"M{number}", number % 2)
        if number % 3 == 0:
            held.vendor.finish(item)
    assert held.run() == []
    assert held.described.checked >= 8  # plans, buckets and tasks of two plans, check and pull


def test_a_wrong_property_in_an_answer_is_caught(csdl: Csdl) -> None:
    held = Held(csdl)
    held.vendor.add("M").unknown = {"lastModifiedDateTime": "2026-11-20T00:00:00Z"}  # beta only
    assert any("lastModifiedDateTime: not a property of plannerTask" in v for v in held.run())


@pytest.mark.parametrize(
    "changes",
    [
        {"percentComplete": "100"},
        {"title": None},
        {"dueDateTime": "2026-12-20"},
        {"completedBy": {"user": {"displayName": 5}}},
    ],
)
def test_a_property_of_another_type_is_caught(csdl: Csdl, changes: dict[str, object]) -> None:
    held = Held(csdl)
    held.vendor.add("M").unknown = changes
    assert held.run()


class Crooked(httpx.AsyncBaseTransport):
    """Sends a request on with another path or parameter."""

    def __init__(self, inner: httpx.AsyncBaseTransport, change: Callable[[httpx.URL], httpx.URL]) -> None:
        self.inner, self.change = inner, change

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = self.change(request.url)
        return await self.inner.handle_async_request(request)


@pytest.mark.parametrize(
    "change",
    [
        lambda url: url.copy_with(path=url.path.replace("/tasks", "/milestones")),
        lambda url: url.copy_set_param("$select", "title,lastModifiedDateTime") if url.path.endswith("/tasks") else url,
    ],
)
def test_a_wrong_path_and_a_wrong_parameter_are_caught(csdl: Csdl, change: Callable[[httpx.URL], httpx.URL]) -> None:
    held = Held(csdl)
    held.vendor.add("M")
    build, clock = held.bench.info.build, held.bench.clock

    async def pull() -> None:
        transport = Crooked(held.described, change)
        async with build("c", held.options, clock=clock.now, transport=transport, sleep=clock.sleep) as source:
            async for _ in source.pull(PullRequest((), None, full=True, now=clock.now())):  # type: ignore[attr-defined]
                pass

    with contextlib.suppress(SourceRefused):
        asyncio.run(pull())
    assert held.described.violations
