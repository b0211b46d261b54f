"""The demo: contracts that can be read, a world that fits them, the same bytes twice, and what it promises to show."""

from __future__ import annotations

import asyncio
import csv
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.kit.demo import AS_OF, demo_world, write_demo
from connectors.kit.sandbox.app import build_app
from connectors.kit.sandbox.server import served
from flows import wiring
from flows.night import run_night
from flows.settings import load_settings
from flows.steps.report import board
from models.domain.findings import Severity
from models.records.contract_file import Loaded, load_contract_bytes
from tests.unit.sandbox.asking import Asker

NOON = datetime(AS_OF.year, AS_OF.month, AS_OF.day, 12, tzinfo=UTC)


def _loaded(folder: Path) -> list[Loaded]:
    write_demo(folder, "http://127.0.0.1:1")
    return [load_contract_bytes(f.read_bytes(), f.name) for f in sorted((folder / "contracts").iterdir())]


def test_every_contract_of_the_demo_is_accepted(tmp_path: Path) -> None:
    files = _loaded(tmp_path)
    assert [f for x in files for f in x.findings if f.severity is Severity.ERROR] == []
    numbers = [c.number for x in files for c in x.contracts]
    assert len(numbers) == len(set(numbers)) == 12
    assert {c.currency for x in files for c in x.contracts} == {"CNY", "EUR", "USD"}


def test_writing_the_demo_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    write_demo(tmp_path / "a", "http://127.0.0.1:1", "http://127.0.0.1:2")
    write_demo(tmp_path / "b", "http://127.0.0.1:1", "http://127.0.0.1:2")
    write_demo(tmp_path / "b", "http://127.0.0.1:1", "http://127.0.0.1:2")  # harmless to repeat
    files = [
        {f.relative_to(r): f.read_bytes() for f in r.rglob("*") if f.is_file()}
        for r in (tmp_path / "a", tmp_path / "b")
    ]
    assert files[0] == files[1]
    settings = load_settings(tmp_path / "a" / "huikuan.toml").settings
    assert [c.options["base_url"] for c in settings.connections.values()] == [
        "http://127.0.0.1:1",
        "http://127.0.0.1:2",
    ]


async def test_two_demo_worlds_answer_with_the_same_bytes() -> None:
    answers = []
    for _ in range(2):
        ask = await Asker(demo_world()).sign_in()
        paths = ("/v1/pjm/projects", "/v1/project/work_items", "/v1/pjm/work_items", "/v1/directory/users")
        answers.append([(await ask.get(p, page_size=100)).content for p in paths])
    assert answers[0] == answers[1]


def test_nothing_in_the_demos_world_happens_after_its_day() -> None:
    world = demo_world()
    for item in world.milestones.values():
        moments = [item.created_at, *(at for at, *_ in item.history)]
        assert moments == sorted(moments)
        assert max(item.updated_at, *moments) <= world.now
        assert item.completed_at is None or item.completed_at <= world.now


def test_the_world_moves_along_with_another_day() -> None:
    one, other = demo_world(), demo_world(AS_OF + timedelta(days=10))
    for key, item in one.milestones.items():
        assert other.milestones[key].planned == item.planned + 864_000
        assert [at + 864_000 for at, *_ in item.history] == [at for at, *_ in other.milestones[key].history]


def test_the_documents_name_contracts_and_documents_that_exist(tmp_path: Path) -> None:
    contracts = {c.number: c for x in _loaded(tmp_path) for c in x.contracts}
    with (tmp_path / "documents.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    for row in rows:
        documents = [getattr(b, "document", None) for b in contracts[row["合同编号"]].events.values()]
        assert row["事件"] in documents


@pytest.mark.parametrize("generations", [("project", "pjm"), ("project",)], ids=["both", "older only"])
def test_a_night_over_the_demo_shows_what_it_promises(tmp_path: Path, generations: tuple[str, ...]) -> None:
    world = demo_world()
    world.generations = generations
    with served(build_app(world)) as url:
        loaded = load_settings(write_demo(tmp_path, url))
        store = wiring.the_store(loaded, create=True)
        try:
            night = wiring.the_night(loaded, store, as_of=AS_OF, now=NOON)
            night = replace(night, gate=None, out_check=None, write_reports=lambda _report: ())
            outcome = asyncio.run(run_night(night))
            with store.read() as connection:
                lines = board(connection)
        finally:
            store.dispose()
    assert outcome.state == "done"
    assert {(r.contract, r.term): r.status.value for r in lines.ready} == {
        ("C-2026-007", "A"): "ready",
        ("C-2026-007", "B"): "ready",
        ("C-2026-015", "A"): "ready",  # a published release
        ("HT-2026-018", "T1"): "ready",
        ("HT-2026-018", "T2"): "ready",
        ("HT-2026-031", "A"): "ready",
        ("HT-2026-044", "T1"): "awaiting_approval",  # progress past the half
        ("HT-2026-052", "T1"): "ready",  # hostile text
        ("HT-2026-063", "T2"): "ready",
        ("HT-2026-063", "T3"): "ready",  # silence was acceptance
        ("HT-2026-071", "T1"): "ready",  # two of three
    }
    blocked = {(b.contract, b.term) for b in lines.blocked}
    waiting = {"HT-2026-018": {"T3", "T4"}, "HT-2026-031": {"B", "C", "D"}, "HT-2026-071": {"T2", "T3", "T4"}}
    assert {(c, t) for c, terms in waiting.items() for t in terms} <= blocked
    errors = [(f.code, f.place.contract) for f in outcome.report.findings if f.severity is Severity.ERROR]
    assert sorted(errors) == [("MILESTONE_AMBIGUOUS", "HT-2026-044"), ("MILESTONE_UNPROVEN", "HT-2026-044")]
