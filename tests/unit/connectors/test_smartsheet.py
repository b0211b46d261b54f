"""Smartsheet beyond the conformance suite: columns, what cells say and only show, histories, versions, throttling."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import partial

import pytest

from connectors.errors import SourceConfig
from connectors.kit.conformance import Bench
from connectors.kit.fakes import START, Row, reply
from connectors.smartsheet.connector import CONNECTOR
from connectors.smartsheet.fake import BOX, COLUMNS, NAME, PERCENT, STATUS, SmartsheetFake, column, entry, problem, row
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Observation, Provenance


def _bench(**options: object) -> tuple[Bench, SmartsheetFake]:
    vendor = SmartsheetFake()
    bench = Bench(CONNECTOR, vendor)
    honest = partial(Bench.source, bench)
    bench.source = lambda given=None: honest(given or vendor.options(**options))  # type: ignore[method-assign, assignment]
    return bench, vendor


def _seen(found: Row, *history: Row, **options: object) -> Observation:
    bench, vendor = _bench(**options)
    vendor.rows, vendor.histories[found["id"]] = [found], [*history]
    bench.pull()
    return bench.known.milestones[f"row:{found['id']}"]


def _with(found: Row, column_id: int, value: object) -> Row:
    others = [c for c in found["cells"] if c["columnId"] != column_id]
    return {**found, "cells": [*others, {"columnId": column_id, "value": value, "displayValue": str(value)}]}


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize(
    ("percent", "done", "basis_points"),
    [(1, True, 10_000), (1.0, True, 10_000), (0.996, False, 9960), (0.57, False, 5700), (0.999999, False, 9999), (0, False, 0), (None, False, None)],
)  # fmt: skip
def test_done_is_a_whole_percentage_not_one_that_shows_as_such(percent: object, done: bool, basis_points: int) -> None:
    seen = _seen(row(1, "初验", percent), entry(START, 1))
    assert (seen.done, seen.percent_bp) == (done, basis_points)
    assert seen.done_at == (_moment(START) if done else None)
    assert seen.planned_on == date(2026, 12, 20)


@pytest.mark.parametrize(
    ("options", "column_id", "value", "done"),
    [
        ({"done_column": "Signed"}, BOX, True, True),
        ({"done_column": "Signed"}, BOX, False, False),
        ({"done_column": str(BOX)}, BOX, True, True),
        ({"done_column": "Status"}, STATUS, "Complete", True),
        ({"done_column": "Status"}, STATUS, " Complete ", True),
        ({"done_column": "Status"}, STATUS, "Completed?", False),
        ({"done_column": "Status"}, STATUS, "Cancelled", False),
        ({"done_column": "Status", "done_values": ["签收"]}, STATUS, "签收", True),
        ({"done_column": "Status", "done_values": ["签收"]}, STATUS, "Complete", False),
        ({"done_column": "Status"}, STATUS, "#1 Complete", False),
    ],
)
def test_the_done_column_is_yours_to_name(options: Row, column_id: int, value: object, done: bool) -> None:
    assert _seen(_with(row(1, "初验", 1), column_id, value), **options).done is done


@pytest.mark.parametrize(
    ("options", "column_id", "value", "code"),
    [
        ({}, PERCENT, "100%", "PROOF_FIELD_TYPE"),
        ({}, PERCENT, 100, "PERCENT_RANGE"),
        ({}, PERCENT, -0.1, "PERCENT_RANGE"),
        ({"done_column": "Status"}, STATUS, "#UNPARSEABLE", "PROOF_FIELD_TYPE"),
        ({"done_column": "Status"}, STATUS, ["Complete"], "PROOF_FIELD_TYPE"),
        ({"done_column": "Accepted"}, STATUS, "Complete", "PROOF_FIELD_MISSING"),
        ({}, NAME, "", "PROOF_FIELD_MISSING"),
        ({"milestones": ["column:Status=Milestone"]}, STATUS, "#REF!", "PROOF_FIELD_TYPE"),
    ],
)
def test_what_cannot_be_read_waits_in_quarantine_night_after_night(options: Row, column_id: int, value: object, code: str) -> None:  # fmt: skip
    bench, vendor = _bench(**options)
    vendor.rows = [_with(row(1, "初验", 1), column_id, value)]
    for night in range(3):
        bench.at(night * 86_400)
        bench.known.rejected.clear()
        bench.pull()
        assert bench.known.rejected["row:1"].code == code
    assert not bench.known.milestones


@pytest.mark.parametrize(
    ("duration", "is_one"),
    [("0", True), ("0d", True), (0, True), ("0.0 h", True), ("~0", True), ("5d", False), ("0.5d", False), (None, False), ("10", False), (True, False)],
)  # fmt: skip
def test_a_row_that_takes_no_time_is_a_milestone(duration: object, is_one: bool) -> None:
    bench, vendor = _bench()
    vendor.rows = [row(1, "初验", 0, duration)]
    bench.pull()
    assert bool(bench.known.milestones) is is_one


def test_rows_may_be_milestones_by_a_column() -> None:
    bench, vendor = _bench(milestones=["column:Status=Milestone", "column:Signed=true"])
    vendor.rows = [_with(row(n, f"r{n}", 0), *cell) for n, cell in enumerate([(STATUS, "Milestone"), (STATUS, "Task"), (BOX, True), (BOX, False)], 1)]  # fmt: skip
    bench.pull()
    assert set(bench.known.milestones) == {"row:1", "row:3"}


def test_the_history_of_the_cell_tells_who_and_when_also_of_reopenings() -> None:
    told = [entry(START - 90, 0.5), entry(START - 80, 1, "赵倩"), entry(START - 70, 0.9), entry(START - 60, 1), entry(START - 50, 1.0)]  # fmt: skip
    seen = _seen(row(1, "初验", 1), *told)
    assert (seen.done_at, seen.done_by) == (_moment(START - 60), "李强")
    assert [(c.done, c.by) for c in seen.history] == [(True, "赵倩"), (False, "李强"), (True, "李强")]
    assert (seen.date_provenance, seen.person_provenance, seen.grade) == (Provenance.HISTORY, Provenance.HISTORY, EvidenceGrade.HISTORY)  # fmt: skip


@pytest.mark.parametrize("history", [(), (entry(START - 80, 0.5),), (entry(START - 80, 1), entry(START - 70, 0.5))])
def test_a_cell_that_a_formula_made_done_has_no_date(history: tuple[Row, ...]) -> None:
    """The row's own modification is no proof: a parent's percentage moves without it."""
    seen = _seen(row(1, "阶段", 1), *history)
    assert (seen.done, seen.done_at, seen.done_by, seen.date_provenance) == (True, None, None, Provenance.ABSENT)


def test_without_histories_nobody_asks_for_them() -> None:
    bench, vendor = _bench(history=False)
    item = vendor.add("M")
    vendor.finish(item)
    bench.pull()
    assert (bench.seen(item).done, bench.seen(item).done_at) == (True, None)
    assert not any("history" in r for r in vendor.requests)


def test_a_long_history_is_read_whole() -> None:
    told = [entry(START - 400 + n, 1 if n == 5 or n > 240 else 0.5, f"p{n}") for n in range(250)]
    assert _seen(row(1, "初验", 1), *told).done_by == "p241"


def _spent(bench: Bench, vendor: SmartsheetFake) -> list[str]:
    before = len(vendor.requests)
    bench.pull()
    return [r.removeprefix("GET /2.0") for r in vendor.requests[before:]]


def test_a_quiet_night_costs_two_requests_for_all_sheets() -> None:
    bench, vendor = _bench()
    for n in range(250):
        vendor.finish(vendor.add(f"M{n}"))
    bench.at(3600)
    bench.pull()
    for night in (1, 2):
        bench.at(night * 86_400)
        assert _spent(bench, vendor) == ["/users/me", "/sheets"]
        assert not any(o.deleted for o in bench.known.milestones.values())


def test_of_a_sheet_that_changed_only_what_changed_is_told() -> None:
    bench, vendor = _bench()
    items = [vendor.add(f"M{n}") for n in range(30)]
    for item in items[:20]:
        vendor.finish(item)
    bench.at(3600)
    bench.pull()
    bench.at(86_400)
    vendor.finish(items[25])
    vendor.remove(items[3])
    spent = _spent(bench, vendor)
    assert bench.known.told == 1
    assert sum("history" in s for s in spent) == 1
    assert bench.seen(items[25]).done
    assert bench.seen(items[3]).deleted
    assert not bench.seen(items[4]).deleted


def test_what_changed_while_it_was_read_is_told_again() -> None:
    """It may be dated after the pull began; then the night's checks hold it back, and the next night must see it."""
    bench, vendor = _bench()
    item = vendor.add("M")
    vendor.finish(item)
    bench.pull()
    for seconds, told in ((300, 1), (86_400, 1), (2 * 86_400, 0)):
        bench.at(seconds)
        bench.pull()
        assert bench.known.told == told


def test_where_the_list_tells_no_versions_each_sheet_is_asked_for_its_own() -> None:
    bench, vendor = _bench()
    vendor.add("M")
    vendor.versions = False
    bench.at(3600)
    bench.pull()
    bench.at(86_400)
    assert _spent(bench, vendor) == ["/users/me", "/sheets", "/sheets/300/version", "/sheets/301/version"]


def test_other_rules_read_every_sheet_again() -> None:
    bench, vendor = _bench()
    vendor.rows = [_with(row(1, "初验", 1), BOX, False)]
    bench.at(3600)
    bench.pull()
    assert bench.known.milestones["row:1"].done
    honest = partial(Bench.source, bench)
    bench.source = lambda given=None: honest(given or vendor.options(done_column="Signed"))  # type: ignore[method-assign, assignment]
    bench.at(86_400)
    bench.pull()
    assert not bench.known.milestones["row:1"].done


def test_a_sheet_that_lost_its_column_takes_nothing_back() -> None:
    """Somebody renames a column: that is no deletion of all its milestones."""
    bench, vendor = _bench(milestones=["column:Status=Milestone"])
    vendor.rows = [_with(row(1, "初验", 1), STATUS, "Milestone")]
    bench.pull()
    vendor.columns = [c for c in COLUMNS if c["id"] != STATUS] + [column(STATUS, "State", "PICKLIST")]
    bench.at(86_400)
    bench.pull(full=True)
    assert not bench.known.milestones["row:1"].deleted


def test_a_row_that_is_no_milestone_any_more_is_gone() -> None:
    bench, vendor = _bench()
    vendor.rows = [row(1, "初验", 1)]
    bench.pull()
    vendor.rows = [row(1, "初验", 1, "3d")]
    bench.at(7200)
    bench.pull()
    assert bench.known.milestones["row:1"].deleted


def test_a_throttled_minute_is_waited_for() -> None:
    """The answer does not say how long."""
    bench, vendor = _bench()
    item = vendor.add("M")
    honest, left = vendor.answer, [2]

    def busy(request):  # type: ignore[no-untyped-def]
        if request.url.path.endswith("/300") and left[0]:
            left[0] -= 1
            return problem(429, 4003, "Rate limit exceeded.")
        return honest(request)

    vendor.answer = busy  # type: ignore[method-assign]
    bench.pull()
    assert not bench.seen(item).done
    assert 119 < bench.clock.slept < 130


@pytest.mark.parametrize(("status", "code"), [(500, 4001), (400, 4002), (409, 4004)])
def test_what_passes_by_itself_is_tried_again(status: int, code: int) -> None:
    bench, vendor = _bench()
    item = vendor.add("M")
    honest, left = vendor.answer, [1]

    def shaky(request):  # type: ignore[no-untyped-def]
        if request.url.path.endswith("/sheets") and left[0]:
            left[0] -= 1
            return problem(status, code, "try again")
        return honest(request)

    vendor.answer = shaky  # type: ignore[method-assign]
    bench.pull()
    assert bench.seen(item).name == "M"


def test_histories_keep_to_a_tenth_of_the_minute() -> None:
    bench, vendor = _bench(per_minute=250)
    for n in range(60):
        vendor.finish(vendor.add(f"M{n}"))
    bench.pull()
    assert bench.clock.slept >= 120


def test_check_says_which_permission_is_missing() -> None:
    bench, vendor = _bench()
    assert (bench.check().account, bench.check().projects, bench.check().missing) == ("robot@acme.example", 2, ())
    vendor.scopes = False
    assert bench.check().missing == ("READ_SHEETS",)


@pytest.mark.parametrize("rule", ["zero", "column:Status", "Status=Milestone"])
def test_a_rule_of_another_shape_is_told(rule: str) -> None:
    bench, _ = _bench(milestones=[rule])
    with pytest.raises(SourceConfig) as problem:
        bench.source()
    assert "zero_duration" in problem.value.advice + str(problem.value)


def test_a_sheet_without_a_total_is_not_believed() -> None:
    bench, vendor = _bench()
    item = vendor.add("M")
    bench.pull()
    vendor._sheet = lambda request, number: reply({"version": 7})  # type: ignore[method-assign]
    with pytest.raises(Exception, match="sheets"):
        bench.pull(full=True)
    assert not bench.seen(item).deleted
