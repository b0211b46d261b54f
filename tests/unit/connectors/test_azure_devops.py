"""Azure DevOps beyond the conformance suite: states, reasons, histories, iterations, what a night costs."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.azure_devops import mapping
from connectors.azure_devops.boards import quoted
from connectors.azure_devops.connector import CONNECTOR
from connectors.azure_devops.fake import AzureDevOpsFake
from connectors.azure_devops.mapping import CHANGED, STATE, States
from connectors.errors import BadPayload, SourceConfig, SourceRefused
from connectors.http.fields import BadRow
from connectors.kit.conformance import Bench
from connectors.kit.fakes import START, Fault, Item, reply
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Provenance


def _bench(**options: object) -> Bench:
    bench = Bench(CONNECTOR, AzureDevOpsFake())
    honest = bench.source
    bench.source = lambda given=None: honest(given or bench.vendor.options(**options))  # type: ignore[method-assign]
    return bench


def _vendor(bench: Bench) -> AzureDevOpsFake:
    assert isinstance(bench.vendor, AzureDevOpsFake)
    return bench.vendor


def _asked(bench: Bench, what: object) -> Counter[str]:
    before = len(bench.vendor.requests)
    what()  # type: ignore[operator]
    return Counter(r.rpartition("/_apis/")[2] for r in bench.vendor.requests[before:])


def _finished(bench: Bench, state: str = "Closed", reason: str = "Done") -> Item:
    item = bench.item()
    _vendor(bench).states[item.id], _vendor(bench).reasons[item.id] = state, reason
    bench.at(3600)
    bench.vendor.finish(item, by="王敏")
    bench.pull()
    return item


# --- what done means ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "reason", "done"),
    [
        ("Closed", "Done", True),
        ("Resolved", "Done", False),  # waits to be verified
        ("Removed", "Removed from the backlog", False),
        ("Closed", "Cut", False),
        ("Closed", "Duplicate", False),
    ],
)
def test_resolved_removed_and_given_up_are_not_done(state: str, reason: str, done: bool) -> None:
    bench = _bench()
    seen = bench.seen(_finished(bench, state, reason))
    assert (seen.state, seen.done, seen.done_at is not None) == (state, done, done)


def test_named_states_count_instead() -> None:
    bench = _bench(done_states=["Resolved"])
    assert bench.seen(_finished(bench, "Resolved")).done
    assert not bench.seen(_finished(bench, "Closed")).done


def test_a_work_item_says_itself_when_and_who() -> None:
    bench = _bench()
    seen = bench.seen(_finished(bench))
    assert (seen.done_at, seen.done_by) == (datetime.fromtimestamp(START + 3600, UTC), "王敏")
    assert (seen.date_provenance, seen.person_provenance) == (Provenance.NATIVE, Provenance.NATIVE)
    assert seen.grade is EvidenceGrade.HISTORY
    assert seen.url == "https://dev.azure.com/acme/ALPHA/_workitems/edit/1"
    assert seen.planned_at == datetime(2026, 12, 20, tzinfo=UTC)


def test_an_accepted_one_says_since_when() -> None:
    bench = _bench(accepted_states=["Accepted"])
    seen = bench.seen(_finished(bench, "Accepted"))
    assert (seen.accepted, seen.accepted_at) == (True, datetime.fromtimestamp(START + 3600, UTC))


def test_where_the_process_lacks_the_fields_the_history_is_read_for_the_done_ones_only() -> None:
    bench = _bench()
    _vendor(bench).closing_fields = False
    done, other = bench.vendor.add("a"), bench.vendor.add("b")
    for hours, by in ((1, "李强"), (3, "王敏")):
        bench.at(hours * 3600)
        bench.vendor.finish(done, by=by)
        if hours == 1:
            bench.at(2 * 3600)
            bench.vendor.reopen(done)
    asked = _asked(bench, bench.pull)
    assert asked["wit/workItems/1/updates"] == 1
    assert asked[f"wit/workItems/{other.id}/updates"] == 0
    seen = bench.seen(done)
    assert (seen.done_at, seen.done_by) == (datetime.fromtimestamp(START + 3 * 3600, UTC), "王敏")
    assert (seen.date_provenance, [c.done for c in seen.history]) == (Provenance.HISTORY, [False, True, False, True])


def test_the_date_of_the_last_update_is_not_the_year_9999() -> None:
    updates = [{"revisedDate": "9999-01-01T00:00:00Z", "fields": {STATE: {"newValue": "Closed"}}}]
    with pytest.raises(BadRow):
        mapping.changes(updates, "Epic", States({}))


STATES = States({"Epic": {"New": "Proposed", "Closed": "Completed", "Accepted": "Completed"}})


@given(st.lists(st.sampled_from(["New", "Closed", "Accepted"]), min_size=1, max_size=10))
def test_done_since_the_beginning_of_the_last_run_of_done_states(path: list[str]) -> None:
    updates = [
        {"fields": {STATE: {"newValue": s}, CHANGED: {"newValue": datetime.fromtimestamp(START + n, UTC).isoformat()}}}
        for n, s in enumerate(path)
    ]
    at, _, source = mapping._closing({}, mapping.changes(updates, "Epic", STATES))
    if path[-1] == "New":
        assert (at, source) == (None, Provenance.FIRST_OBSERVED)
        return
    first = max((n for n, s in enumerate(path) if s == "New"), default=-1) + 1
    assert (at, source) == (datetime.fromtimestamp(START + first, UTC), Provenance.HISTORY)


def test_a_collection_of_a_server_of_our_own() -> None:
    bench = Bench(CONNECTOR, AzureDevOpsFake("https://tfs.acme.example/tfs/Default"))
    _vendor(bench).older = True
    seen = bench.seen(_finished(bench))
    assert (seen.done, seen.done_by) == (True, "王敏")
    assert seen.url == "https://tfs.acme.example/tfs/Default/ALPHA/_workitems/edit/1"


@pytest.mark.parametrize(
    ("who", "name"),
    [
        ({"displayName": "王敏"}, "王敏"),
        ("王敏 <ACME\\wang>", "王敏"),
        ({"uniqueName": "w@acme"}, "w@acme"),
        (None, None),
        ({}, None),
        ("", None),
    ],
)
def test_an_identity_is_an_object_or_on_older_servers_a_text(who: object, name: str | None) -> None:
    assert mapping.person(who) == name


# --- iterations ---------------------------------------------------------------------------------------------


def test_an_iteration_that_is_over_waits_for_a_person() -> None:
    bench = _bench(milestones=["iteration"])
    over, running = (
        _vendor(bench).node("Sprint 1", "2026-11-13T00:00:00Z"),
        _vendor(bench).node("Sprint 2", "2026-11-20T00:00:00Z"),
    )
    parent = _vendor(bench).node("Release 1", None, [over, running])
    bench.pull()
    seen = {o.name: o for o in bench.known.milestones.values()}
    assert set(seen) == {"Sprint 1", "Sprint 2", "Release 1"}
    first = seen["Sprint 1"]
    assert (first.done, first.unproven, first.done_on) == (True, True, date(2026, 11, 13))
    assert (seen["Sprint 2"].done, seen["Sprint 2"].planned_on) == (False, date(2026, 11, 20))  # today is its last day
    assert (seen["Release 1"].planned_on, seen["Release 1"].done) == (None, False)
    parent["children"].remove(over)
    bench.pull()
    assert bench.known.milestones[first.milestone_id].deleted


# --- what a night costs -------------------------------------------------------------------------------------


def test_a_quiet_night_costs_one_request_for_each_project_and_one_for_all() -> None:
    bench = _bench()
    for n in range(450):
        bench.vendor.finish(bench.vendor.add(f"M{n}"))
    bench.at(7200)
    assert _asked(bench, bench.pull)["wit/workitemsbatch"] == 3
    bench.at(86_400)
    assert _asked(bench, bench.pull) == Counter({"connectionData": 1, "projects": 1, "wit/wiql": 2 + 1})


def test_too_many_changes_to_tell_are_all_read() -> None:
    bench = _bench()
    items = [bench.vendor.add(f"M{n}") for n in range(5)]
    bench.pull()
    bench.at(86_400)
    for item in items:
        bench.vendor.finish(item)
    _vendor(bench).queried_max = 3
    with pytest.raises(SourceRefused):  # one project with too many is told, not cut
        bench.pull()
    for item in items[:3]:
        bench.vendor.relocate(item, 1)
    bench.pull()
    assert all(bench.seen(i).done for i in items)


def test_a_query_that_takes_too_long_is_no_end_of_the_night() -> None:
    bench = _bench()
    item = bench.item()
    bench.at(86_400)
    bench.vendor.finish(item)
    honest = _vendor(bench)._queried

    def slow(query: str, number: int | None) -> httpx.Response:
        if number is None:
            return reply({"message": "VS402335: The timeout period (30 seconds) elapsed."}, 400)
        return honest(query, number)

    _vendor(bench)._queried = slow  # type: ignore[method-assign]
    bench.pull()
    assert bench.seen(item).done


def test_a_delay_asked_for_with_a_good_answer_is_honoured() -> None:
    bench = _bench()
    bench.item()
    _vendor(bench).delay = "3"
    slept = bench.clock.slept
    bench.pull()
    assert bench.clock.slept - slept >= 3


# --- who we are, and what is missing -------------------------------------------------------------------------


def test_check_says_who_we_are_and_what_is_there() -> None:
    bench = _bench()
    bench.vendor.add("M1")
    found = bench.check()
    assert (found.account, found.projects, found.milestones, found.rate_left) == ("robot", 2, 1, "198")


def test_an_application_of_entra_id_fetches_its_token() -> None:
    given = {"token": "", "tenant_id": "9f3c0a5e", "client_id": "app-1", "client_secret": "Q8x~secret"}
    bench = _bench(**given)
    assert bench.check().account == "robot"
    first = bench.vendor.asked[0]
    assert first.url == "https://login.microsoftonline.com/9f3c0a5e/oauth2/v2.0/token"
    assert b"scope=499b84ac-1321-427f-aa17-267ca6975798%2F.default" in first.content
    with pytest.raises(SourceConfig) as problem:
        _bench(**{**given, "client_secret": ""}).source()
    assert "client_secret" in str(problem.value)


def test_without_any_credentials_it_is_said_what_is_missing() -> None:
    with pytest.raises(SourceConfig) as problem:
        _bench(token="").source()
    assert "token" in str(problem.value)


def test_check_names_the_missing_scope() -> None:
    bench = _bench()
    bench.vendor.faults.append(Fault("status", 99, 403, path="/wit/"))
    assert bench.check().missing == ("Work Items (Read)",)


def test_nobody_is_refused() -> None:
    """A public project is shown to a token that is no good."""
    bench = _bench()
    _vendor(bench).anonymous = True
    with pytest.raises(SourceRefused):
        bench.check()


@pytest.mark.parametrize(
    ("fault", "kind"), [(Fault("html", 9, 203), BadPayload), (Fault("html", 9, 302), SourceRefused)]
)
def test_a_sign_in_page_is_not_an_answer(fault: Fault, kind: type[Exception]) -> None:
    bench = _bench()
    bench.vendor.faults.append(fault)
    with pytest.raises(kind):
        bench.pull()


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ({"milestones": ["type:Epik"]}, "Epic"),
        ({"done_states": ["Closd"]}, "Closed"),
        ({"accepted_states": ["Acepted"]}, "Accepted"),
    ],
)
def test_a_type_and_a_state_that_are_not_there_are_told_with_the_closest(wrong: dict[str, object], near: str) -> None:
    for what in ("check", "pull"):
        with pytest.raises(SourceConfig) as problem:
            getattr(_bench(**wrong), what)()
        assert near in problem.value.advice


def test_a_field_that_is_not_there_is_told_with_the_closest() -> None:
    bench = _bench(planned_field="Microsoft.VSTS.Scheduling.TargetDay")
    bench.vendor.add("M1")
    with pytest.raises(SourceConfig) as problem:
        bench.pull()
    assert "TargetDate" in problem.value.advice


def test_a_wrong_kind_is_told() -> None:
    with pytest.raises(SourceConfig):
        _bench(milestones=["epics"]).source()


def test_a_name_cannot_leave_its_place_in_a_query() -> None:
    assert quoted("O'Brien' OR 1=1") == "'O''Brien'' OR 1=1'"
