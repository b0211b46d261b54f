"""A world with something of everything, and somebody to ask it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connectors.kit.sandbox.world import World
from tests.unit.sandbox.asking import Asker

NOON = datetime(2026, 11, 20, 4, tzinfo=UTC)  # noon in China


@pytest.fixture
def world() -> World:
    world = World(tenant="unit", now=int(NOON.timestamp()))
    park = world.add_project("PARK", "智慧园区", hetongbianhao="HT-1")
    phase = world.add(park, "一期", kind="阶段")
    first = world.add(park, "初验", planned=world.now, parent=phase.id)
    last = world.add(park, "终验", planned=world.now + 90 * 86_400)
    last.assignee = "王敏"
    world.move(first, "进行中", world.now - 5 * 86_400, "李强")
    world.move(first, "已完成", world.now - 2 * 86_400, "李强")
    world.deliver(world.add_deliverable(first, "初验报告"), "初验报告", "https://example.com/1", by="李强")
    world.add_deliverable(last, "终验报告")
    world.complete_review(world.add_review([first], "初验评审"), by="陈总")
    agile = world.add_project("APP", "App", "hybrid")
    world.finish_sprint(world.add_sprint(agile, "Sprint 1", world.now - 20 * 86_400, world.now - 7 * 86_400))
    world.add_sprint(agile, "Sprint 2", world.now, world.now + 7 * 86_400)
    world.stage(world.add_release(agile, "1.0", world.now - 9 * 86_400, world.now), "已发布")
    return world


@pytest.fixture
async def ask(world: World) -> Asker:
    return await Asker(world).sign_in()
