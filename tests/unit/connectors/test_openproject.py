"""OpenProject beyond the conformance suite: statuses, activities, versions, long lists."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connectors.errors import SourceConfig
from connectors.http.fields import BadRow
from connectors.http.source import Project
from connectors.kit.conformance import Bench
from connectors.kit.fakes import START, Fault, reply
from connectors.openproject import mapping
from connectors.openproject.connector import CONNECTOR
from connectors.openproject.fake import OpenProjectFake, version_row
from connectors.openproject.mapping import Past, States
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Provenance

STATES = States({"1": "New", "5": "Tested & signed", "12": "Closed"}, frozenset({"12"}))
PEOPLE = {"4": "王敏"}


def _bench(**options: object) -> Bench:
    bench = Bench(CONNECTOR, OpenProjectFake())
    honest = bench.source
    bench.source = lambda given=None: honest(given or bench.vendor.options(**options))  # type: ignore[method-assign]
    return bench


def _activity(second: int, *sentences: str, user: str = "4") -> dict:
    at = datetime.fromtimestamp(START + second, UTC).isoformat()
    return {
        "createdAt": at,
        "details": [{"format": "custom", "html": h} for h in sentences],
        "_links": {"user": {"href": f"/api/v3/users/{user}"}},
    }


def _said(label: str, *values: str) -> str:
    return f"<strong>{label}</strong> " + " → ".join(f"<i>{v}</i>" for v in values)


def test_a_closed_status_of_given_up_work_is_not_done() -> None:
    """`Rejected` is a closed status of a fresh OpenProject."""
    bench = _bench()
    item = bench.item()
    bench.vendor.rejected.add(item.id)
    bench.at(3600)
    bench.vendor.finish(item)
    bench.pull()
    seen = bench.seen(item)
    assert (seen.state, seen.done, seen.done_at) == ("Rejected", False, None)


def test_named_states_count_instead_and_a_wrong_name_is_told_with_the_closest() -> None:
    bench = _bench(done_states=["Rejected"], accepted_states=["14"])
    item = bench.item()
    bench.vendor.rejected.add(item.id)
    bench.at(3600)
    bench.vendor.finish(item)
    bench.pull()
    seen = bench.seen(item)
    assert seen.done
    assert seen.accepted
    assert seen.accepted_at == seen.done_at
    with pytest.raises(SourceConfig, match="Closd") as problem:
        _bench(done_states=["Closd"]).pull()
    assert "Closed" in problem.value.advice


def test_when_and_who_come_from_the_history_whatever_its_language() -> None:
    past = Past([_activity(0, _said("状态", "New")), _activity(60, _said("主题", "a", "b"), _said("状态", "New", "Closed"))], PEOPLE)  # fmt: skip
    found = mapping.changes(past, STATES, "12")
    assert [(c.done, c.by, c.state) for c in found] == [(False, "王敏", "New"), (True, "王敏", "Closed")]
    assert found[-1].at == datetime.fromtimestamp(START + 60, UTC)


def test_names_are_unescaped() -> None:
    past = Past([_activity(0, _said("Status", "Tested &amp; signed")), _activity(9, _said("Status", "Tested &amp; signed", "Closed"))])  # fmt: skip
    assert [c.state for c in mapping.changes(past, STATES, "12")] == ["Tested & signed", "Closed"]


@pytest.mark.parametrize(
    "sentences",
    [
        [_said("Status", "New", "Closed"), _said("Phase", "New", "Closed")],  # two attributes fit: which is it?
        [_said("Status", "Closed", "New")],  # ends elsewhere
        [_said("Status", "New", "Gone")],  # a status that is no more
        ["Status changed from New to Closed"],  # no mark-up: nothing is guessed from words
        [],
    ],
)
def test_a_history_that_is_not_certain_claims_nothing(sentences: list[str]) -> None:
    assert mapping.changes(Past([_activity(0, *sentences)], PEOPLE), STATES, "12") == ()


def test_a_gap_in_the_history_claims_nothing() -> None:
    past = Past([_activity(0, _said("Status", "New")), _activity(9, _said("Status", "Tested &amp; signed", "Closed"))])
    assert mapping.changes(past, STATES, "12") == ()


def test_done_without_history_is_said_to_be_first_observed() -> None:
    row = {
        "id": 1,
        "subject": "初验",
        "updatedAt": "2026-11-20T04:00:00Z",
        "_links": {"status": {"href": "/api/v3/statuses/12"}},
    }
    seen = mapping.work_package("c", row, Project("1", "alpha", "A"), STATES, Past(), "https://op.example")
    assert (seen.done, seen.date_provenance, seen.grade) == (True, Provenance.FIRST_OBSERVED, EvidenceGrade.STATE)
    assert seen.done_by is None


@pytest.mark.parametrize(
    ("value", "code"), [(101, "PERCENT_RANGE"), (True, "PROOF_FIELD_TYPE"), ("5", "PROOF_FIELD_TYPE")]
)
def test_a_percentage_that_is_none(value: object, code: str) -> None:
    row = {"id": 1, "subject": "x", "percentageDone": value, "_links": {"status": {"href": "/api/v3/statuses/1"}}}
    with pytest.raises(BadRow) as problem:
        mapping.work_package("c", row, Project("1", "alpha", "A"), STATES, Past(), "")
    assert problem.value.code == code


def test_a_status_the_instance_does_not_list_goes_to_quarantine() -> None:
    with pytest.raises(BadRow) as problem:
        mapping.status_of({"_links": {"status": {"href": "/api/v3/statuses/99"}}}, STATES)
    assert problem.value.code == "STATE_UNKNOWN"


def test_versions_are_milestones_where_asked_and_shared_ones_belong_to_their_owner() -> None:
    bench = _bench(milestones=["version"])
    bench.vendor.versions = [version_row(5, "v1"), version_row(6, "v2", "closed")]
    bench.pull()
    found = bench.known.milestones
    assert {k: (o.project_key, o.done) for k, o in found.items()} == {"version:5": ("alpha", False), "version:6": ("alpha", True)}  # fmt: skip
    assert found["version:6"].date_provenance is Provenance.FIRST_OBSERVED
    bench.vendor.versions.pop()
    bench.at(60)
    bench.pull()
    assert bench.known.milestones["version:6"].deleted


def test_an_unknown_type_and_an_instance_without_milestone_types_are_told() -> None:
    with pytest.raises(SourceConfig) as problem:
        _bench(milestones=["type:Milestoon"]).pull()
    assert "Milestone" in problem.value.advice
    with pytest.raises(SourceConfig, match="milestones"):
        _bench(milestones=["mile"]).pull()


def test_a_type_by_name_counts_too() -> None:
    bench = _bench(milestones=["type:Milestone"])
    bench.seen(bench.item())


def test_a_quiet_night_asks_once_a_project_and_once_changed_for_the_history() -> None:
    bench = _bench()
    items = [bench.vendor.add(f"M{n}") for n in range(20)]
    for item in items:
        bench.vendor.finish(item)
    bench.at(3600)
    bench.pull()
    before = len(bench.vendor.requests)
    bench.at(86_400)
    bench.pull()
    asked = bench.vendor.requests[before:]
    assert asked.count("GET /api/v3/work_packages") == 2
    assert not any("activities" in a for a in asked)
    assert len(asked) == 6  # root, statuses, types, projects, and the two lists


def test_a_long_list_that_is_as_it_was_is_not_read_again_but_a_deletion_is_seen() -> None:
    bench = _bench()
    items = [bench.vendor.add(f"M{n}") for n in range(450)]
    bench.at(3600)
    bench.pull()
    before = len(bench.vendor.requests)
    bench.at(86_400)
    bench.pull()
    assert bench.vendor.requests[before:].count("GET /api/v3/work_packages") == 3  # two questions, one empty list
    bench.vendor.remove(items[400])
    bench.at(2 * 86_400)
    bench.pull()
    assert bench.seen(items[400]).deleted
    assert not bench.seen(items[399]).deleted


def test_a_change_of_the_rules_tells_everything_again() -> None:
    bench = _bench()
    item = bench.item()
    bench.vendor.finish(item)
    bench.pull()
    assert bench.seen(item).done
    bench.at(86_400)
    bench.source = lambda given=None: CONNECTOR.build(  # type: ignore[method-assign]
        "c",
        bench.vendor.options(done_states=["Rejected"]),
        clock=bench.clock.now,
        transport=bench.vendor,
        sleep=bench.clock.sleep,
    )
    bench.pull()
    assert not bench.seen(item).done


def test_a_user_the_account_may_not_see_is_called_by_number() -> None:
    bench = _bench()
    item = bench.item()
    bench.at(3600)
    bench.vendor.finish(item, by="李强")
    bench.vendor.faults.append(Fault("status", 99, 403, path="/users/"))
    bench.pull()
    assert bench.seen(item).done_by == "users/4"


def test_check_counts_milestones_and_names_the_missing_permission() -> None:
    bench = _bench()
    bench.vendor.add("一")
    bench.vendor.add("二", 1)
    assert (bench.check().milestones, bench.check().account, bench.check().missing) == (2, "robot", ())
    bench.vendor.faults.append(Fault("status", 99, 403, path="/types"))
    assert bench.check().missing == ("view_work_packages",)


def test_projects_come_in_pages_whose_next_is_a_link() -> None:
    class Paged(OpenProjectFake):
        def answer(self, request):
            if request.url.path != "/api/v3/projects":
                return super().answer(request)
            number = int(request.url.params.get("offset", 1))
            row = {"id": number, "identifier": f"p{number}", "name": "P"}
            links = {"nextByOffset": {"href": f"/api/v3/projects?offset={number + 1}&pageSize=1"}} if number < 3 else {}
            return reply({"_embedded": {"elements": [row]}, "_links": links, "total": 3})

    bench = Bench(CONNECTOR, Paged())
    assert bench.check().projects == 3
