"""Names of parts in the configuration: a typo, and a part that was renamed, never make milestones seem deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from connectors.errors import SourceConfig
from connectors.http.named import Named, Place
from connectors.kit.conformance import Bench
from connectors.registry import connector

DAY = 86_400
#: By system: options, the milestone's id after its kind, how the part is renamed in the first project or everywhere.
Renames = Callable[[Any], object]


def _planner(vendor: Any) -> None:
    vendor.buckets = ["付款节点", "To do"]


def _monday(vendor: Any) -> None:
    vendor.titles[0] = ["付款节点", "任务"]


def _asana(vendor: Any) -> None:
    vendor.sections[0] = ["Payments", "Milestones"]


def _linear(vendor: Any) -> None:
    vendor.labels[1] = ("ENG", "Bezahlt")


CASES: list[tuple[str, dict[str, object], Renames]] = [
    ("ms_planner", {"buckets": ("里程碑",)}, _planner),
    ("monday", {"milestones": ("group:Milestones",)}, _monday),
    ("asana", {"milestones": ("section:To do",)}, _asana),
    ("linear", {"milestones": ("issue:Payment",)}, _linear),
]
EACH = pytest.mark.parametrize(("system", "options", "rename"), CASES, ids=[c[0] for c in CASES])


def _bench(system: str, **options: object) -> Bench:
    fake = connector(system).fake
    assert fake is not None
    vendor: Any = fake()
    return Bench(connector(system), vendor, **options)


@EACH
def test_a_part_that_is_renamed_takes_nothing_back(system: str, options: dict[str, object], rename: Renames) -> None:
    bench = _bench(system, **options)
    bench.vendor.finish(bench.vendor.add("初验"))
    bench.pull()
    assert [m.done for m in bench.known.milestones.values()] == [True]
    rename(bench.vendor)
    bench.at(8 * DAY)  # also when everything is read anew
    problem = bench.fails(SourceConfig, bench.pull)
    assert problem.trouble.code == "name_gone"
    assert "--full" in problem.advice
    assert not any(m.deleted for m in bench.known.milestones.values())


@EACH
def test_a_name_that_is_nowhere_is_told(system: str, options: dict[str, object], rename: Renames) -> None:
    del rename
    (key, (name,)), *_ = options.items()  # type: ignore[misc]
    bench = _bench(system, **{key: (f"{name}s",)})
    bench.vendor.add("初验")
    for what in (bench.pull, bench.check):
        problem = bench.fails(SourceConfig, what)
        assert problem.trouble.code == "name_absent"
        assert str(name).partition(":")[2] in problem.advice


def test_a_list_of_clickup_that_is_renamed_takes_nothing_back() -> None:
    bench = _bench("clickup", milestones=("list:ALPHA",))
    bench.item()
    vendor: Any = bench.vendor
    names = vendor.lists
    vendor.lists = [f"{n} v2" for n in names]
    bench.at(DAY)
    assert bench.fails(SourceConfig, bench.pull).trouble.code == "name_gone"
    assert bench.fails(SourceConfig, bench.check).trouble.code == "name_absent"


def test_a_type_of_jira_that_one_project_lost_takes_nothing_back() -> None:
    bench = _bench("jira", milestones=("type:Milestone",))
    bench.item()
    vendor: Any = bench.vendor
    vendor.types[0] = "Payment"
    bench.at(DAY)
    problem = bench.fails(SourceConfig, bench.pull)
    assert (problem.trouble.code, problem.trouble.params["project"]) == ("name_gone", "ALPHA")


def test_a_label_that_is_deleted_takes_nothing_back() -> None:
    bench = _bench("linear", milestones=("issue:Payment", "issue:Milestone"))
    bench.item()
    vendor: Any = bench.vendor
    vendor.labels.pop()
    bench.at(DAY)
    assert bench.fails(SourceConfig, bench.pull).trouble.code == "name_gone"


def test_what_was_removed_on_purpose_is_said_with_a_full_pull() -> None:
    bench = _bench("asana", milestones=("section:To do",))
    item = bench.item()
    vendor: Any = bench.vendor
    vendor.sections[0] = ["Milestones"]
    vendor.remove(item)
    bench.at(DAY)
    bench.fails(SourceConfig, bench.pull)
    bench.pull(full=True)
    assert bench.seen(item).deleted
    bench.at(2 * DAY)
    bench.pull()


def test_buckets_may_stand_on_several_pages() -> None:
    bench = _bench("ms_planner", buckets=("里程碑",))
    vendor: Any = bench.vendor
    vendor.buckets, vendor.buckets_page = ["To do", "里程碑"], 1
    bench.item()
    assert len(bench.known.milestones) == 1


# --- the rule by itself -----------------------------------------------------------------------------------

RULE = Named("c", "milestones", ("Payments",))


def _place(identity: str, *names: str) -> Place:
    return Place(identity, identity.upper(), frozenset(names))


def test_a_name_may_be_missing_in_some_places() -> None:
    kept = RULE.compare([_place("a", "Payments", "Other"), _place("b", "Other")], {})
    assert kept == {"named:a": '["Payments"]'}


def test_a_place_that_is_not_read_now_still_has_its_name() -> None:
    """Only some projects are read at once (a webhook), or one is away for a night."""
    kept = {"named:a": '["Payments"]', "other": "x"}
    assert RULE.compare([_place("b", "Other")], kept) == {"named:a": '["Payments"]'}
    with pytest.raises(SourceConfig, match="A no longer has Payments"):
        RULE.compare([_place("a", "Payment")], kept)


def test_a_name_that_is_not_configured_any_more_may_go() -> None:
    assert Named("c", "milestones", ("Other",)).compare([_place("a", "Other")], {"named:a": '["Payments"]'}) == {
        "named:a": '["Other"]'
    }


def test_where_no_place_is_seen_nothing_is_said_about_names() -> None:
    assert RULE.compare([], {}) == {}
