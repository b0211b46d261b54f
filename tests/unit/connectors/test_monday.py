"""monday.com beyond the conformance suite: columns, labels, the board's log, the budgets."""

from __future__ import annotations

from datetime import UTC, date, datetime

import httpx
import pytest

from connectors.errors import SourceConfig, SourceUnavailable
from connectors.http.fields import BadRow
from connectors.kit.conformance import Bench
from connectors.kit.fakes import START
from connectors.monday import mapping
from connectors.monday.connector import CONNECTOR
from connectors.monday.fake import KEY, MondayFake, board_id, failed
from connectors.monday.mapping import Columns, Labels
from models.domain.observations import Provenance


def _bench(vendor: MondayFake | None = None, **options: object) -> Bench:
    bench = Bench(CONNECTOR, vendor or MondayFake())
    honest = bench.source
    bench.source = lambda given=None: honest(given or bench.vendor.options(**options))  # type: ignore[method-assign]
    return bench


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(START + seconds, UTC)


def test_when_and_who_come_from_the_boards_log() -> None:
    bench = _bench()
    item = bench.item()
    bench.at(86_400)
    bench.vendor.finish(item, by="王敏")
    bench.pull()
    seen = bench.seen(item)
    assert (seen.done_at, seen.done_by, seen.state) == (_moment(86_400), "王敏", "Done")
    assert (seen.date_provenance, seen.person_provenance) == (Provenance.HISTORY, Provenance.HISTORY)
    assert seen.planned_on == date(2026, 12, 20)


def test_a_log_that_no_longer_reaches_back_leaves_the_date_of_the_value() -> None:
    """How long monday.com keeps the log depends on the plan."""
    bench = _bench()
    item = bench.item()
    bench.vendor.finish(item, at=START + 60)
    bench.vendor.forgotten = START + 3600
    bench.pull(full=True)
    seen = bench.seen(item)
    assert (seen.done_at, seen.done_by, seen.date_provenance) == (_moment(60), None, Provenance.NATIVE)


def test_from_one_done_label_to_another_is_not_done_anew() -> None:
    bench = _bench()
    item = bench.item()
    bench.vendor.finish(item, at=START + 60, by="王敏")
    bench.vendor.finish(item, at=START + 7200, by="李强")  # again a done label
    bench.at(8000)
    bench.pull()
    assert (bench.seen(item).done_at, bench.seen(item).done_by) == (_moment(60), "王敏")


def test_a_log_that_begins_within_the_done_run_is_not_believed() -> None:
    bench = _bench()
    item = bench.item()
    bench.vendor.finish(item, at=START + 60, by="王敏")
    bench.vendor.finish(item, at=START + 7200, by="李强")
    bench.vendor.forgotten = START + 3600
    bench.at(8000)
    bench.pull()
    assert bench.seen(item).done_by is None
    assert bench.seen(item).date_provenance is Provenance.NATIVE


def test_an_automation_has_no_name() -> None:
    bench = _bench()
    item = bench.item()
    bench.at(3600)
    bench.vendor.finish(item, by="automation")
    bench.pull()
    assert bench.seen(item).done_by == "users/5000"


@pytest.mark.parametrize("created", ["1795147200", "x", None, "179514720000000000000"])
def test_a_moment_of_another_form_is_refused(created: object) -> None:
    with pytest.raises(BadRow):
        mapping._moment(created)


def test_seventeen_digits_keep_their_microseconds() -> None:
    assert mapping._moment("16155031105053254") == datetime(2021, 3, 11, 22, 51, 50, 505325, UTC)


def test_a_log_of_another_form_proves_nothing_and_stops_nothing() -> None:
    class Odd(MondayFake):
        def _log(self, item):
            return [{**e, "created_at": "soon"} for e in super()._log(item)]

    bench = _bench(Odd())
    item = bench.item()
    bench.at(3600)
    bench.vendor.finish(item)
    bench.pull()
    assert (bench.seen(item).done_at, bench.seen(item).date_provenance) == (_moment(3600), Provenance.NATIVE)
    broken = [{"event": "update_column_value", "data": "{", "created_at": "1", "user_id": "1"}, {"event": "create_pulse", "data": '{"pulse_id": 1}'}]  # fmt: skip
    assert mapping.log_of(broken, {}, Labels()) == {}


def test_named_labels_count_instead_of_the_boards_mark() -> None:
    bench = _bench(done_labels=["Working on it"], accepted_labels=["Done"])
    item = bench.item()
    assert bench.seen(item).done
    bench.at(3600)
    bench.vendor.finish(item)
    bench.pull()
    assert (bench.seen(item).done, bench.seen(item).accepted, bench.seen(item).accepted_at) == (False, True, _moment(3600))  # fmt: skip


def test_an_empty_status_is_open_and_a_label_without_a_mark_is_put_aside() -> None:
    assert Labels().is_done(None, None) is False
    with pytest.raises(BadRow) as problem:
        Labels().is_done("Done", None)
    assert problem.value.code == "PROOF_FIELD_MISSING"


@pytest.mark.parametrize(
    ("cell", "planned"),
    [
        (None, None),
        ({"date": "2026-12-20", "time": "10:00"}, date(2026, 12, 20)),
        ({"date": ""}, None),
        ({"from": "2026-12-01T00:00:00+00:00", "to": "2026-12-31T00:00:00+00:00"}, date(2026, 12, 31)),
    ],
)
def test_planned_dates(cell: dict | None, planned: date | None) -> None:
    assert mapping._planned(cell) == planned


def test_a_planned_date_that_is_none_is_put_aside() -> None:
    with pytest.raises(BadRow):
        mapping._planned({"date": "someday"})


def test_only_the_items_of_a_group() -> None:
    bench = _bench(milestones=["group:里程碑"])
    one, two = bench.vendor.add("一"), bench.vendor.add("二")
    bench.vendor.groups[one.id] = "里程碑"
    bench.pull()
    assert set(bench.known.milestones) == {f"item:{one.id}"}
    bench.vendor.groups[two.id], bench.vendor.groups[one.id] = "里程碑", "任务"
    bench.pull(full=True)
    assert bench.known.milestones[f"item:{one.id}"].deleted
    assert not bench.seen(two).deleted


def test_only_what_is_marked_on_the_timeline() -> None:
    bench = _bench(milestones=["milestone_timeline"], planned_column="时间线")
    bench.vendor.columns.append({"id": "tl", "title": "时间线", "type": "timeline", "archived": False})
    one, two = bench.vendor.add("一"), bench.vendor.add("二")
    for item, kind in ((one, "milestone"), (two, "default")):
        bench.vendor.cells[item.id] = [{"id": "tl", "type": "timeline", "visualization_type": kind, "to": "2026-11-30"}]
    bench.pull()
    assert set(bench.known.milestones) == {f"item:{one.id}"}
    assert bench.seen(one).planned_on == date(2026, 11, 30)
    assert mapping.is_milestone({"column_values": []}, frozenset(), Columns("status", milestone="tl")) is False


def test_which_column_is_meant() -> None:
    vendor = MondayFake()
    vendor.columns += [{"id": "s2", "title": "验收", "type": "status", "archived": False}]
    _bench(vendor).pull()  # one is called status: that one
    vendor.columns[1]["id"] = "s1"
    problem = _bench(vendor).fails(SourceConfig, lambda: _bench(vendor).pull(projects=("ALPHA",)))
    assert "验收" in problem.advice
    _bench(vendor, status_column="状态").pull(projects=("ALPHA",))
    assert _bench(vendor).check().notes == ("ALPHA", "BETA")


def test_a_status_column_that_went_is_told_and_nothing_is_taken_for_deleted() -> None:
    bench = _bench()
    item = bench.item()
    bench.vendor.columns = [c for c in bench.vendor.columns if c["type"] != "status"]
    bench.fails(SourceConfig, bench.pull)
    assert not bench.seen(item).deleted


def test_a_quiet_night_costs_one_request_for_fifty_boards() -> None:
    bench = _bench()
    for n in range(300):
        bench.vendor.add(f"M{n}")
    bench.at(3600)
    bench.pull()
    bench.vendor.asked_for.clear()
    bench.at(86_400)
    bench.pull()
    assert bench.vendor.asked_for == ["Me", "Boards", "Events"]
    bench.vendor.asked_for.clear()
    bench.vendor.finish(bench.vendor.items["1800000007"], by="王敏")
    bench.at(2 * 86_400)
    bench.pull()
    assert sorted(bench.vendor.asked_for) == [
        "Boards",
        "Events",
        "History",
        "Items",
        "Me",
        "NextItems",
        "NextItems",
        "Users",
    ]
    assert not any(o.deleted for o in bench.known.milestones.values())


def test_check_counts_items_where_each_is_a_milestone() -> None:
    bench = _bench()
    bench.vendor.add("一")
    bench.vendor.add("二", 1)
    assert bench.check().milestones == 2
    assert _bench(bench.vendor, milestones=["group:里程碑"]).check().milestones is None


def test_documents_and_boards_of_subitems_are_no_projects() -> None:
    vendor = MondayFake()
    vendor.boards_more = [{"id": "1", "name": "doc", "type": "document"}, {"id": "2", "name": "sub", "type": "sub_items_board"}, None]  # fmt: skip
    assert _bench(vendor).check().projects == 2


def test_many_boards_come_in_pages() -> None:
    vendor = MondayFake()
    vendor.boards_more = [
        {"id": str(n), "name": f"B{n}", "type": "board", "columns": [], "items_count": 0} for n in range(120)
    ]
    assert _bench(vendor).check().projects == 122
    assert vendor.asked_for.count("Boards") == 6  # nobody counts them: two walks must agree


class Spent(MondayFake):
    """Every answer is an error, with status 200."""

    def __init__(self, code: str, times: int = 99, **more: object) -> None:
        super().__init__()
        self.code, self.times, self.more = code, times, more

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.times <= 0:
            return super().answer(request)
        self.times -= 1
        return failed("Complexity budget exhausted, query cost 30001 budget remaining 9 out of 10000000 reset in 23 seconds", self.code, **self.more)  # fmt: skip


def test_complexity_is_waited_for() -> None:
    bench = _bench(Spent("COMPLEXITY_BUDGET_EXHAUSTED", 1, retry_in_seconds=31))
    bench.item()
    assert 31 <= bench.clock.slept < 33
    older = _bench(Spent("ComplexityException", 1))
    older.item()
    assert 23 <= older.clock.slept < 25


def test_a_spent_day_ends_the_pull_at_once() -> None:
    vendor = Spent("DAILY_LIMIT_EXCEEDED")
    bench = _bench(vendor)
    problem = bench.fails(SourceUnavailable, bench.pull)
    assert problem.trouble.code == "graphql_spent"
    assert (len(vendor.requests), bench.clock.slept) == (1, 0)


def test_the_version_and_the_token_are_sent_as_they_are() -> None:
    bench = _bench(api_version="2026-04")
    assert bench.check().rate_left == "4999000"
    headers = bench.vendor.asked[0].headers
    assert (headers["api-version"], headers["authorization"]) == ("2026-04", KEY)


def test_a_board_that_went_under_way_is_not_an_empty_board() -> None:
    class Gone(MondayFake):
        gone = False

        def _items(self, given):
            return {"boards": []} if self.gone else super()._items(given)

    bench = _bench(Gone())
    item = bench.item()
    bench.vendor.gone = True
    bench.fails(Exception, lambda: bench.pull(full=True))
    assert not bench.seen(item).deleted
    assert bench.seen(item).project_id == board_id(0)
