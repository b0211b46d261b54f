"""Every request to OpenProject, and every answer of its fake, against the vendor's own description."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from openapi_core import Config, OpenAPI

from connectors.kit.conformance import Bench
from connectors.kit.described import Described
from connectors.openproject.connector import CONNECTOR, OpenProject
from connectors.openproject.fake import OpenProjectFake, version_row

pytestmark = pytest.mark.shared
HAL = {"application/hal+json": json.loads}  # openapi-core would take HAL for bytes
NOT_IN_IT = {"/users/": "the trimmed description has no users; an activity names its user by link only"}


def _bench(shared_dir: Path) -> tuple[Bench, Described]:
    bench = Bench(CONNECTOR, OpenProjectFake())
    described = json.loads((shared_dir / "specs" / "openproject.trim.json").read_text(encoding="utf-8"))
    servers = {"servers": [{"url": "https://op.example"}]}
    openapi = OpenAPI.from_dict({**described, **servers}, Config(extra_media_type_deserializers=HAL))
    referee = Described(bench.vendor, openapi, "https://op.example", skip=NOT_IN_IT)

    def source(options=None):
        given = options or bench.vendor.options(milestones=["milestone", "version"])
        return CONNECTOR.build("c", given, clock=bench.clock.now, transport=referee, sleep=bench.clock.sleep)

    bench.source = source  # type: ignore[method-assign]
    return bench, referee


def test_a_check_and_two_pulls_are_as_described(shared_dir: Path) -> None:
    bench, referee = _bench(shared_dir)
    items = [bench.vendor.add(f"M{n}") for n in range(230)]
    bench.vendor.versions.append(version_row(5, "v1", "closed"))
    for item in items[:5]:
        bench.vendor.finish(item)
    bench.check()
    bench.pull()
    bench.at(7200)
    bench.vendor.finish(items[7], by="王敏")
    bench.pull()
    bench.at(9000)
    bench.pull()
    assert len(bench.known.milestones) == 231
    assert bench.known.milestones["work_package:8"].done_by == "王敏"
    assert referee.broken == []
    assert referee.checked > 20


def test_a_wrong_parameter_is_caught(shared_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, referee = _bench(shared_dir)
    bench.item()
    honest = OpenProject._elements

    async def misspelt(self, path):
        filters = [{"project": {"operator": "=", "values": ["1"]}}, {"type": {"operator": "=", "values": ["2"]}}]
        await self.http.get("/api/v3/work_packages", {"filters": json.dumps(filters), "pagesize": 5})
        return await honest(self, path)

    monkeypatch.setattr(OpenProject, "_elements", misspelt)
    bench.pull()
    assert any("pagesize" in b for b in referee.broken)


def test_a_wrong_answer_is_caught(shared_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, referee = _bench(shared_dir)
    item = bench.vendor.add("初验")
    item.unknown = {"percentageDone": 140}
    bench.pull()
    assert any("140" in b for b in referee.broken)
