"""ClickUp beyond the conformance suite: statuses that end a task, archived tasks, types and lists."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

import httpx
import pytest

from connectors.clickup.connector import CONNECTOR
from connectors.clickup.fake import ClickUpFake, list_row, millis, status, task
from connectors.errors import SourceConfig
from connectors.http.fields import BadRow
from connectors.http.fields import millis as millis_of
from connectors.kit.conformance import Bench
from connectors.kit.fakes import START, Row
from models.domain.observations import Observation, Provenance


def _bench(**options: object) -> tuple[Bench, ClickUpFake]:
    vendor = ClickUpFake()
    bench = Bench(CONNECTOR, vendor)
    honest = partial(Bench.source, bench)
    bench.source = lambda given=None: honest(given or vendor.options(**options))  # type: ignore[method-assign, assignment]
    return bench, vendor


def _seen(row: Row, **options: object) -> Observation:
    bench, vendor = _bench(**options)
    vendor.tasks = [row]
    bench.pull()
    return bench.known.milestones[f"task:{row['id']}"]


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize(
    ("state", "done"),
    [("to do", False), ("in progress", False), ("delivered", True), ("complete", True), ("cancelled", False)],
)
def test_a_status_is_done_by_its_type_unless_it_means_given_up(state: str, done: bool) -> None:
    """A cancelled task is of type closed, with both dates."""
    row = task("a", state=state, date_done=millis(START), date_closed=millis(START))
    seen = _seen(row)
    assert (seen.state, seen.done, seen.done_at) == (state, done, _moment(START) if done else None)
    assert seen.date_provenance is (Provenance.NATIVE if done else Provenance.ABSENT)
    assert seen.done_by is None


def test_the_statuses_that_mean_given_up_are_yours_to_name() -> None:
    row = task("a", state="complete", date_done=millis(START))
    row["status"]["status"] = "Not Built"
    assert _seen(row).done
    assert not _seen(row, dropped_states=["not built"]).done
    assert _seen({**row, "status": status("cancelled")}, dropped_states=["not built"]).done


@pytest.mark.parametrize(
    ("changes", "at", "dates"),
    [
        ({"date_done": millis(START - 50), "date_closed": millis(START)}, START - 50, Provenance.NATIVE),
        ({"date_closed": millis(START)}, START, Provenance.NATIVE),
        ({"date_updated": millis(START - 7)}, START - 7, Provenance.FIRST_OBSERVED),
    ],
)
def test_done_since_it_came_to_a_done_status(changes: Row, at: int, dates: Provenance) -> None:
    seen = _seen(task("a", state="complete", **changes))
    assert (seen.done_at, seen.date_provenance) == (_moment(at), dates)


@pytest.mark.parametrize("bad", [str(START), START, "tomorrow", True, -5, 1.5, "１７９５１４７２０００００", {"ms": 1}])
def test_a_moment_that_is_not_in_milliseconds_is_refused(bad: object) -> None:
    with pytest.raises(BadRow):
        millis_of({"date_done": bad}, "date_done")


def test_a_status_of_an_unknown_type_waits_in_quarantine() -> None:
    bench, vendor = _bench()
    vendor.tasks = [task("a", status={**status("complete"), "type": "finished"})]
    bench.pull()
    assert bench.known.rejected["task:a"].code == "STATE_UNKNOWN"


def test_an_archived_milestone_is_still_reached() -> None:
    """Tidying up a list must not take back what was earned."""
    bench, vendor = _bench()
    item, other = vendor.add("初验"), vendor.add("终验")
    vendor.finish(item)
    bench.pull()
    bench.at(86_400)
    vendor.archived.add(item.id)
    bench.pull()
    assert (bench.seen(item).done, bench.seen(item).archived, bench.seen(item).deleted) == (True, True, False)
    for night in (2, 3):
        bench.at(night * 86_400)
        bench.pull()
        assert not bench.seen(item).deleted
    vendor.remove(item)
    bench.pull()
    assert bench.seen(item).deleted
    assert not bench.seen(other).deleted


def test_archived_tasks_are_asked_for_only_where_they_may_matter() -> None:
    bench, vendor = _bench()
    vendor.add("初验")
    bench.pull()
    bench.at(86_400)

    def asked() -> list[str]:
        before = len(vendor.asked)
        bench.pull()
        tasks = [r for r in vendor.asked[before:] if r.url.path.endswith("/task")]
        return sorted(f"{r.url.path.split('/')[4]} {r.url.params['archived']}" for r in tasks)

    assert asked() == ["900 false", "901 false"]
    vendor.add("终验")
    assert asked() == ["900 false", "900 true", "901 false"]
    assert asked() == ["900 false", "901 false"]


def test_whatever_the_filter_gives_a_task_of_the_list_is_not_archived() -> None:
    """Should `archived=true` mean "archived ones, too", nothing changes."""
    bench, vendor = _bench()
    item = vendor.add("初验")
    honest = vendor._tasks

    def both(request: httpx.Request, number: str) -> httpx.Response:
        vendor.archived = set()
        if request.url.params["archived"] == "true":
            vendor.archived = {item.id}
        return honest(request, number)

    vendor._tasks = both  # type: ignore[method-assign]
    bench.pull()
    assert not bench.seen(item).archived
    assert bench.known.told == 1


def test_types_and_lists_that_count_are_yours_to_name() -> None:
    bench, vendor = _bench(milestones=["type:Acceptance", "list:Payments"])
    vendor.loose = [list_row(910, "Payments")]
    vendor.tasks = [task("m"), task("a", custom_item_id=1300), task("p", 10, custom_item_id=None), task("q", 10)]
    bench.pull()
    assert {k: o.project_key for k, o in bench.known.milestones.items()} == {
        "task:a": "Delivery/交付/ALPHA", "task:p": "Delivery/Payments", "task:q": "Delivery/Payments",
    }  # fmt: skip
    assert bench.known.milestones["task:p"].kind == "task"


def test_a_filter_that_is_not_obeyed_lets_no_plain_task_in() -> None:
    bench, vendor = _bench()
    vendor.tasks = [task("m"), task("t", custom_item_id=0), task("x", custom_item_id="1")]
    honest = vendor._tasks

    def deaf(request: httpx.Request, number: str) -> httpx.Response:
        request.url = request.url.copy_remove_param("custom_items[]")
        return honest(request, number)

    vendor._tasks = deaf  # type: ignore[method-assign]
    bench.pull()
    assert set(bench.known.milestones) == {"task:m"}
    assert bench.known.rejected["task:x"].code == "PROOF_FIELD_TYPE"


def test_a_list_that_can_hold_none_is_not_asked() -> None:
    bench, vendor = _bench(milestones=["list:BETA"])
    vendor.add("M")
    bench.pull()
    assert not bench.known.milestones
    assert {r for r in vendor.requests if r.endswith("/task")} == {"GET /api/v2/list/901/task"}


def test_a_type_that_does_not_exist_is_told_with_the_closest() -> None:
    bench, _ = _bench(milestones=["type:Acceptence"])
    with pytest.raises(SourceConfig) as problem:
        bench.pull()
    assert "Acceptance" in problem.value.advice


def test_projects_are_named_by_path_or_id() -> None:
    bench, vendor = _bench()
    item = vendor.add("M", project=1)
    bench.pull(projects=("Delivery/交付/BETA",))
    assert bench.seen(item).project_id == "901"
    assert bench.seen(item).url == f"https://app.clickup.com/t/{item.id}"
    bench.pull(projects=("900",))
    assert not bench.seen(item).deleted


def test_check_counts_milestones_and_says_what_is_left() -> None:
    bench, vendor = _bench()
    vendor.add("M")
    found = bench.check()
    assert (found.account, found.projects, found.milestones, found.rate_left) == ("Robot", 2, 1, "99")
    for n in range(100):
        vendor.add(f"M{n}")
    assert bench.check().milestones is None


def test_only_the_named_workspaces_are_read() -> None:
    bench, vendor = _bench(workspaces=["other"])
    vendor.add("M")
    bench.pull()
    assert not bench.known.milestones
