"""Every query to monday.com, and every answer of its fake, against the vendor's own schema."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.kit.conformance import Bench
from connectors.kit.described import DescribedGraphQL
from connectors.monday import queries
from connectors.monday.connector import CONNECTOR
from connectors.monday.fake import MondayFake

pytestmark = pytest.mark.shared
ASKED = {"Me", "Boards", "Events", "Items", "NextItems", "History", "Users"}


@pytest.fixture(scope="module")
def schema(shared_dir: Path):
    return DescribedGraphQL.of(MondayFake(), shared_dir / "specs" / "monday.graphql").schema


def _bench(schema) -> tuple[Bench, DescribedGraphQL]:
    bench = Bench(CONNECTOR, MondayFake())
    referee = DescribedGraphQL(bench.vendor, schema)

    def source(options=None):
        given = options or bench.vendor.options()
        return CONNECTOR.build("c", given, clock=bench.clock.now, transport=referee, sleep=bench.clock.sleep)

    bench.source = source  # type: ignore[method-assign]
    return bench, referee


def test_a_check_and_two_pulls_are_as_described(schema) -> None:
    bench, referee = _bench(schema)
    items = [bench.vendor.add(f"M{n}") for n in range(120)]
    bench.vendor.finish(items[3])
    bench.check()
    bench.pull()
    bench.at(7200)
    bench.vendor.finish(items[7], by="王敏")
    bench.pull()
    assert len(bench.known.milestones) == 120
    assert bench.seen(items[7]).done_by == "王敏"
    assert referee.broken == []
    assert set(bench.vendor.asked_for) == ASKED
    assert referee.checked == len(bench.vendor.asked_for)


def test_a_field_that_does_not_exist_is_caught(schema, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, referee = _bench(schema)
    bench.vendor.add("初验")
    monkeypatch.setattr(queries, "ITEMS", queries.ITEMS.replace("label is_done", "label done_at is_done"))
    bench.pull()
    assert any("done_at" in b for b in referee.broken)


def test_a_wrong_argument_is_caught(schema, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, referee = _bench(schema)
    bench.vendor.add("初验")
    monkeypatch.setattr(queries, "EVENTS", queries.EVENTS.replace("from: $since", "since: $since"))
    bench.pull()
    bench.at(7200)
    bench.pull()
    assert any("since" in b for b in referee.broken)


def test_an_answer_that_the_schema_could_not_give_is_caught(schema) -> None:
    bench, referee = _bench(schema)
    bench.vendor.spoil(bench.vendor.add("初验"), "retyped")
    bench.pull()
    assert any("is_done" in b for b in referee.broken)
