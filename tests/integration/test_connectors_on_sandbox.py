"""The connectors against the sandbox over real HTTP: what the scripted fakes do not have."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from connectors.kit.sandbox.app import build_app
from connectors.kit.sandbox.server import served
from connectors.kit.sandbox.world import World
from connectors.registry import connector
from models.domain.observations import Observation
from models.ports import PullRequest

CASES = [("pingcode", {"api_flavour": "project"}), ("pingcode", {"api_flavour": "pjm"}), ("worktile", {})]


@pytest.fixture
def world() -> World:
    return World.generated(4, 130, seed=7)


@pytest.fixture
def url(world: World) -> Iterator[str]:
    with served(build_app(world)) as address:
        yield address


def _pull(
    url: str, world: World, system: str, cursor: str | None = None, **options
) -> tuple[dict[str, Observation], str | None]:
    given = {"base_url": url, "client_id": world.client_id, "client_secret": world.client_secret, "per_minute": 0}

    async def run() -> tuple[dict[str, Observation], str | None]:
        now, seen, last = datetime.fromtimestamp(world.now, UTC), {}, None
        async with connector(system).build("c", {**given, **options}, clock=lambda: now) as source:
            async for page in source.pull(PullRequest((), cursor, False, now)):
                assert page.rejected == ()
                seen |= {o.milestone_id: o for o in page.observations}
                last = page.cursor or last
        return seen, last

    return asyncio.run(run())


@pytest.mark.parametrize(("system", "options"), CASES)
def test_every_milestone_of_the_world_comes_as_it_is(url: str, world: World, system: str, options: dict) -> None:
    seen, _ = _pull(url, world, system, **options)
    assert {k: (o.name, o.done) for k, o in seen.items()} == {
        m.id: (m.title, m.state in ("已完成", "已验收")) for m in world.milestones.values()
    }
    assert all(
        o.done_at is not None and int(o.done_at.timestamp()) == world.milestones[k].completed_at
        for k, o in seen.items()
        if o.done
    )
    assert not any(o.extra for o in seen.values())


@pytest.mark.parametrize(("system", "options"), CASES)
def test_what_changes_is_seen_by_the_next_pull(url: str, world: World, system: str, options: dict) -> None:
    _, cursor = _pull(url, world, system, **options)
    world.now += 3 * 86_400
    first = next(m for m in world.milestones.values() if m.state == "未开始")
    world.move(first, "已完成", world.now - 60, "王敏")
    seen, _ = _pull(url, world, system, cursor, **options)
    assert seen[first.id].done
    assert seen[first.id].done_by == ("王敏" if system == "pingcode" else None)


def test_the_token_ends_in_the_middle_of_everything(url: str, world: World) -> None:
    world.token_requests = 7
    seen, _ = _pull(url, world, "pingcode", api_flavour="project", concurrency=4)
    assert len(seen) == 520


@pytest.mark.parametrize("flavour", ["project", "pjm"])
def test_a_deliverable_is_done_when_somebody_has_filled_it(url: str, world: World, flavour: str) -> None:
    owner = next(m for m in world.milestones.values() if world.projects[m.project].kind in ("waterfall", "hybrid"))
    report = world.add_deliverable(owner, "终验报告")
    options = {"api_flavour": flavour, "milestones": ["milestone", "deliverable"]}
    seen, cursor = _pull(url, world, "pingcode", **options)
    assert not seen[report.id].done
    world.now += 86_400
    world.deliver(report, "终验报告", "https://example.com/final", by="李强")
    seen, _ = _pull(url, world, "pingcode", cursor, **options)
    found = seen[report.id]
    assert (found.kind, found.done, found.url) == ("deliverable", True, "https://example.com/final")
    assert found.done_at == datetime.fromtimestamp(world.now, UTC)
