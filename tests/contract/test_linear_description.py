"""Every query to Linear, and every answer of its fake, against the vendor's own schema."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.kit.conformance import Bench
from connectors.kit.described import DescribedGraphQL
from connectors.linear import queries
from connectors.linear.connector import CONNECTOR
from connectors.linear.fake import LinearFake

pytestmark = pytest.mark.shared
ASKED = {"Viewer", "Projects", "Milestones", "CompletedIssues", "History", "LabelledIssues", "Labels"}


@pytest.fixture(scope="module")
def schema(shared_dir: Path):
    return DescribedGraphQL.of(LinearFake(), shared_dir / "specs" / "linear.graphql").schema


def _bench(schema) -> tuple[Bench, DescribedGraphQL]:
    bench = Bench(CONNECTOR, LinearFake())
    referee = DescribedGraphQL(bench.vendor, schema)

    def source(options=None):
        given = options or bench.vendor.options(milestones=["milestone", "project", "issue:Milestone"])
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
    assert len(bench.known.milestones) == 120 + 120 + 2
    assert bench.known.milestones[f"milestone:{items[7].id}"].done_by == "王敏"
    assert referee.broken == []
    assert set(bench.vendor.asked_for) == ASKED
    assert referee.checked == len(bench.vendor.asked_for)


def test_a_field_that_does_not_exist_is_caught(schema, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project milestone has no completedAt: that is why the date comes from its issues."""
    bench, referee = _bench(schema)
    bench.vendor.add("初验")
    monkeypatch.setattr(
        queries, "MILESTONES", queries.MILESTONES.replace("id name status", "id name completedAt status")
    )
    bench.pull()
    assert any("completedAt" in b for b in referee.broken)


def test_a_wrong_variable_is_caught(schema, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, referee = _bench(schema)
    bench.vendor.add("初验")
    monkeypatch.setattr(queries, "MILESTONES", queries.MILESTONES.replace("$first: Int!", "$first: String!"))
    bench.pull()
    assert any("first" in b for b in referee.broken)


def test_an_answer_that_the_schema_could_not_give_is_caught(schema) -> None:
    bench, referee = _bench(schema)
    bench.vendor.spoil(bench.vendor.add("初验"), "retyped")
    bench.pull()
    assert any("status" in b for b in referee.broken)
