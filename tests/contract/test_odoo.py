"""Odoo over both protocols: what the conformance suite does not ask, and every request held against fields_get."""

from __future__ import annotations

from datetime import date

import pytest

from connectors.errors import SourceConfig, SourceRefused
from connectors.kit.conformance import CASES, Bench, run_case
from connectors.kit.fakes import START, body_of
from connectors.odoo.fake import FIELDS, OdooFake
from connectors.registry import ConnectorInfo, connector
from models.domain.observations import Provenance

DAY = 86_400


def _bench(protocol: str = "json2") -> Bench:
    return Bench(connector("odoo"), OdooFake(protocol))


def _older() -> ConnectorInfo:
    found = connector("odoo")
    return ConnectorInfo(found.system, found.title, found.options, found.build, lambda: OdooFake("jsonrpc"))


@pytest.mark.parametrize("case", CASES)
def test_conformance_over_json_rpc(case: str) -> None:
    result = run_case(_older(), case)
    if result.outcome == "skipped":
        pytest.skip(result.reason)
    assert result.outcome == "passed", result.reason


@pytest.mark.parametrize("protocol", ["json2", "jsonrpc"])
def test_the_day_is_that_of_whoever_ticked_and_moves_when_ticked_again(protocol: str) -> None:
    bench = _bench(protocol)
    item = bench.item()
    bench.at(DAY)
    bench.vendor.finish(item, at=START + 20 * 3600)  # 00:00 in Shanghai, still the day before in UTC
    bench.pull()
    assert (bench.seen(item).done_on, bench.seen(item).date_provenance) == (date(2026, 11, 21), Provenance.NATIVE)
    bench.at(3 * DAY)
    bench.vendor.reopen(item)
    bench.pull()
    assert bench.seen(item).done_on is None
    bench.at(4 * DAY)
    bench.vendor.finish(item)
    bench.pull()
    assert bench.seen(item).done_on == date(2026, 11, 24)


def test_a_night_without_news_reads_no_milestone_of_any_project() -> None:
    bench = _bench()
    for number in range(30):
        bench.vendor.add(f"M{number}", number % 2)
    bench.at(DAY)  # what was written just before a pull is looked at once more by the next
    bench.pull()
    bench.at(2 * DAY)
    bench.vendor.requests.clear()
    bench.pull()
    assert len(bench.vendor.requests) == 6
    assert bench.known.told == 0


def test_the_milestones_of_a_project_with_news_are_read_and_no_others() -> None:
    bench = _bench()
    here, there = bench.vendor.add("初验"), bench.vendor.add("终验", 1)
    bench.at(DAY)
    bench.pull()
    bench.at(2 * DAY)
    bench.vendor.finish(here)
    bench.pull()
    assert (bench.known.told, bench.seen(here).done, bench.seen(there).done) == (1, True, False)


def test_a_closed_task_changes_the_percentage_though_the_milestone_was_not_written() -> None:
    bench = _bench()
    item = bench.vendor.add("初验")
    bench.vendor.tasks[item.id] = [(False, START), (False, START)]
    bench.pull()
    assert bench.seen(item).percent_bp == 0
    bench.at(DAY)
    bench.vendor.tasks[item.id][0] = (True, START + DAY)
    bench.pull()
    assert (bench.seen(item).percent_bp, bench.seen(item).done) == (5000, False)


def test_all_tasks_closed_is_not_reached() -> None:
    bench = _bench()
    item = bench.vendor.add("初验")
    bench.vendor.tasks[item.id] = [(True, START)]
    bench.pull()
    assert (bench.seen(item).percent_bp, bench.seen(item).done) == (10_000, False)


def test_a_version_without_the_counts_of_tasks_does_without_a_percentage() -> None:
    bench = _bench()
    bench.vendor.hidden = {"task_count", "done_task_count"}
    item = bench.item()
    assert bench.seen(item).percent_bp is None


@pytest.mark.parametrize("protocol", ["json2", "jsonrpc"])
def test_a_user_without_the_right_is_told_of_the_missing_permission(protocol: str) -> None:
    bench = _bench(protocol)
    bench.vendor.forbidden = {"project.milestone"}
    problem = bench.fails(SourceRefused, bench.pull)
    assert problem.trouble.code == "no_permission"
    assert "Traceback" not in f"{problem} {problem.advice}"


@pytest.mark.parametrize("protocol", ["json2", "jsonrpc"])
def test_every_field_that_is_asked_for_exists(protocol: str) -> None:
    """Odoo has no description file: fields_get is one. The fake refuses a field that it does not list."""
    bench = _bench(protocol)
    bench.item()
    bench.check()
    asked = 0
    for request in bench.vendor.asked:
        if request.url.path == "/jsonrpc":
            args = body_of(request)["params"]["args"]
            model, given = (args[3], args[6]) if len(args) > 4 else ("", {})
        else:
            model, given = request.url.path.split("/")[3], body_of(request)
        names = {*given.get("fields", []), *(leaf[0].split(".")[0] for leaf in given.get("domain", []) if leaf != "|")}
        assert names <= set(FIELDS.get(model, ()))
        asked += len(names)
    assert asked > 10


def test_a_field_that_does_not_exist_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FIELDS, "project.project", {"id": "integer", "name": "char"})  # no `active` any more
    bench = _bench()
    problem = bench.fails(SourceRefused, bench.pull)
    assert "ValueError" in str(problem)


def test_two_projects_of_one_name_are_known_by_their_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.odoo.fake.PROJECTS", (("ALPHA", ""), ("ALPHA", "")))
    bench = _bench()
    item = bench.item()
    assert (bench.seen(item).project_key, bench.seen(item).project_name) == ("1", "ALPHA")


@pytest.mark.parametrize("missing", ["database", "login"])
def test_json_rpc_needs_a_database_and_a_login(missing: str) -> None:
    bench = _bench("jsonrpc")
    problem = bench.fails(SourceConfig, lambda: bench.source({**bench.vendor.options(), missing: ""}))
    assert missing in str(problem)


def test_an_unknown_protocol_is_named() -> None:
    bench = _bench()
    bench.fails(SourceConfig, lambda: bench.source({**bench.vendor.options(), "protocol": "xmlrpc"}))


def test_a_milestone_that_lost_its_project_does_not_stop_the_others() -> None:
    bench = _bench()
    lost, other = bench.vendor.add("初验"), bench.vendor.add("终验", 1)
    bench.pull()
    lost.unknown = {"project_id": False}
    bench.at(DAY)
    lost.updated_at = bench.vendor.now
    bench.vendor.finish(other)
    bench.pull()
    assert bench.seen(other).done
