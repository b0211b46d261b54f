"""Jira beyond the conformance suite: versions, statuses, changelogs, Cloud and Data Center, what a night costs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import SourceConfig
from connectors.http.fields import BadRow
from connectors.jira import mapping
from connectors.jira.connector import CONNECTOR, JiraOptions
from connectors.jira.fake import ACCEPTED, BASIC, REJECTED, TOKEN, JiraFake
from connectors.jira.mapping import States
from connectors.kit.conformance import CASES, Bench, run_case
from connectors.kit.fakes import START, Fault
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Observation, Provenance

EDITIONS = pytest.mark.parametrize("edition", ["cloud", "data_center"])
BOTH = ["version", "type:Milestone"]


def _bench(edition: str = "cloud", **options: object) -> Bench:
    bench = Bench(CONNECTOR, JiraFake(edition))
    honest = bench.source
    bench.source = lambda given=None: honest(given or bench.vendor.options(**options))  # type: ignore[method-assign]
    return bench


def _vendor(bench: Bench) -> JiraFake:
    assert isinstance(bench.vendor, JiraFake)
    return bench.vendor


def _asked(bench: Bench, what: object) -> Counter[str]:
    before = len(bench.vendor.requests)
    what()  # type: ignore[operator]
    return Counter(r.split("/rest/api/")[1][2:] for r in bench.vendor.requests[before:])


def _seen(bench: Bench, key: str) -> Observation:
    return bench.known.milestones[key]


@pytest.mark.parametrize("case", CASES)
def test_data_center_conforms(case: str) -> None:
    result = run_case(replace(CONNECTOR, fake=lambda: JiraFake("data_center")), case)
    if result.outcome == "skipped":
        pytest.skip(result.reason)
    assert result.outcome == "passed", result.reason


# --- versions -------------------------------------------------------------------------------------------


@EDITIONS
def test_a_version_released_with_open_issues_is_done_only_after_a_person_looked(edition: str) -> None:
    bench = _bench(edition, milestones=["version"])
    _vendor(bench).version("1.0", released=True, counts=(1, 3))
    _vendor(bench).version("2.0", released=True, counts=(0, 4))
    bench.pull()
    first, second = _seen(bench, "version:20001"), _seen(bench, "version:20002")
    assert (first.done, first.unproven, first.percent_bp, first.extra) == (True, True, 7500, {"open_issues": 1})
    assert (second.done, second.unproven, second.percent_bp) == (True, False, 10_000)
    assert first.percent_provenance is Provenance.CHILDREN


@pytest.mark.parametrize(("rule", "done", "unproven"), [("allow", True, False), ("not_done", False, False)])
def test_what_open_issues_mean_can_be_set(rule: str, done: bool, unproven: bool) -> None:
    bench = _bench(milestones=["version"], open_issues=rule)
    _vendor(bench).version("1.0", released=True, counts=(1, 3))
    bench.pull()
    assert (_seen(bench, "version:20001").done, _seen(bench, "version:20001").unproven) == (done, unproven)


@EDITIONS
def test_archiving_a_version_does_not_close_its_issues(edition: str) -> None:
    bench = _bench(edition, milestones=["version"])
    row = _vendor(bench).version("1.0", released=True, counts=(3, 1))
    bench.pull()
    row["archived"] = True
    bench.at(86_400)
    bench.pull()
    seen = _seen(bench, "version:20001")
    assert (seen.archived, seen.done, seen.unproven, seen.percent_bp) == (True, True, True, 2500)


@EDITIONS
@pytest.mark.parametrize(
    ("rule", "done", "unproven"), [("confirm", True, True), ("allow", True, False), ("not_done", False, False)]
)
def test_issues_that_jira_does_not_tell_are_not_taken_for_none(
    edition: str, rule: str, done: bool, unproven: bool
) -> None:
    bench = _bench(edition, milestones=["version"], open_issues=rule)
    _vendor(bench).version("1.0", released=True, counts=None)
    bench.pull()
    assert (_seen(bench, "version:20001").done, _seen(bench, "version:20001").unproven) == (done, unproven)


def test_data_center_asks_again_for_the_issues_that_it_did_not_tell() -> None:
    bench = _bench("data_center", milestones=["version"])
    row = _vendor(bench).version("1.0", released=True, counts=None)
    bench.pull()
    row["counts"] = (0, 4)
    bench.at(86_400)
    bench.pull()
    assert not _seen(bench, "version:20001").unproven


def test_a_count_that_is_no_number_costs_its_version_only() -> None:
    bench = _bench("data_center", milestones=["version"])
    row = _vendor(bench).version("1.0", counts=(3, 0))
    _vendor(bench).version("2.0", released=True, counts=(0, 1))
    bench.pull()
    row.update(released=True, counts=("3", 0))
    bench.at(86_400)
    bench.pull()
    assert bench.known.rejected["version:20001"].code == "PROOF_FIELD_TYPE"
    assert _seen(bench, "version:20002").done
    assert not _seen(bench, "version:20001").deleted


def test_where_nobody_counts_released_is_done_and_open_issues_cannot_hinder_it() -> None:
    bench = _bench(milestones=["version"], progress=False)
    _vendor(bench).version("1.0", released=True, counts=(1, 0))
    bench.pull()
    assert (_seen(bench, "version:20001").done, _seen(bench, "version:20001").unproven) == (True, False)
    with pytest.raises(SourceConfig, match="not_done"):
        _bench(progress=False, open_issues="not_done").source()


def test_a_release_date_is_a_plan_unless_it_is_said_to_be_the_day() -> None:
    """Jira does not say when a version was released, and its date can be edited before and after."""
    bench = _bench(milestones=["version"])
    _vendor(bench).version("1.0", released=True, releaseDate="2026-11-13", counts=(0, 1))
    bench.pull()
    seen = _seen(bench, "version:20001")
    assert (seen.done_at, seen.done_on, seen.planned_on) == (None, None, date(2026, 11, 13))
    assert (seen.date_provenance, seen.done_by) == (Provenance.FIRST_OBSERVED, None)
    other = _bench(milestones=["version"], release_date="done")
    other.vendor = bench.vendor
    other.pull()
    told = _seen(other, "version:20001")
    assert (told.done_on, told.date_provenance, told.planned_on) == (date(2026, 11, 13), Provenance.NATIVE, None)


@EDITIONS
def test_versions_are_archived_unreleased_and_deleted(edition: str) -> None:
    bench = _bench(edition, milestones=BOTH)
    row = _vendor(bench).version("1.0", archived=True)
    _vendor(bench).version("2.0")
    item = bench.item()
    assert (_seen(bench, "version:20001").archived, _seen(bench, "version:20001").state) == (True, "unreleased")
    assert _seen(bench, "version:20001").url.endswith("/projects/ALPHA/versions/20001")  # type: ignore[union-attr]
    _vendor(bench).versions.remove(row)
    bench.at(86_400)
    bench.pull()
    assert _seen(bench, "version:20001").deleted
    assert not _seen(bench, "version:20002").deleted
    assert not bench.seen(item).deleted


def test_a_version_that_does_not_say_whether_it_is_released_waits_in_quarantine() -> None:
    bench = _bench(milestones=["version"])
    _vendor(bench).version("1.0", released=None)
    _vendor(bench).version("2.0", released="true")
    _vendor(bench).version("3.0", releaseDate="20/Dec/26")
    bench.pull()
    codes = {k: r.code for k, r in bench.known.rejected.items()}
    assert codes == {
        "version:20001": "PROOF_FIELD_MISSING",
        "version:20002": "PROOF_FIELD_TYPE",
        "version:20003": "PROOF_FIELD_TYPE",
    }


def test_data_center_counts_issues_only_where_something_changed() -> None:
    bench = _bench("data_center", milestones=["version"])
    row = _vendor(bench).version("1.0", counts=(2, 2))
    _vendor(bench).version("2.0")
    _vendor(bench).version("0.9", archived=True)
    first = _asked(bench, bench.pull)
    assert [first[f"version/{n}/unresolvedIssueCount"] for n in (20001, 20002, 20003)] == [1, 1, 1]
    bench.at(86_400)
    quiet = _asked(bench, bench.pull)
    assert not [r for r in quiet if r.startswith("version/")]
    assert _seen(bench, "version:20001").percent_bp == 5000
    bench.at(2 * 86_400)
    _vendor(bench).changed_issues.append(bench.vendor.now)
    row["counts"] = (1, 3)
    bench.pull()
    assert _seen(bench, "version:20001").percent_bp == 7500
    bench.at(3 * 86_400)
    row["released"] = True
    bench.pull()
    assert _seen(bench, "version:20001").unproven


# --- issues ---------------------------------------------------------------------------------------------


@EDITIONS
def test_given_up_is_not_done(edition: str) -> None:
    """Both a status of the category Done and a resolution may say so."""
    bench = _bench(edition, dropped_states=["Rejected"])
    rejected, wont = bench.vendor.add("a"), bench.item("b")
    _vendor(bench).closed_as[rejected.id] = REJECTED
    _vendor(bench).resolutions[wont.id] = "Won't Do"
    bench.at(3600)
    bench.vendor.finish(rejected)
    bench.vendor.finish(wont)
    bench.pull()
    assert (bench.seen(rejected).state, bench.seen(rejected).done) == ("Rejected", False)
    assert (bench.seen(wont).state, bench.seen(wont).done, bench.seen(wont).done_at) == ("Closed", False, None)


@EDITIONS
def test_an_accepted_issue_says_since_when_and_who_closed_it(edition: str) -> None:
    bench = _bench(edition, accepted_states=["Accepted"], percent_field="customfield_7")
    item = bench.item()
    bench.at(3600)
    bench.vendor.finish(item, by="李强")
    bench.at(7200)
    bench.vendor.finish(item, by="王敏")
    _vendor(bench).closed_as[item.id] = ACCEPTED
    bench.pull()
    seen = bench.seen(item)
    assert (seen.accepted, seen.accepted_at) == (True, datetime.fromtimestamp(START + 7200, UTC))
    assert (seen.done_at, seen.done_by) == (datetime.fromtimestamp(START + 3600, UTC), "李强")
    assert [c.state for c in seen.history] == ["Closed", "Accepted"]
    assert (seen.grade, seen.date_provenance) == (EvidenceGrade.HISTORY, Provenance.HISTORY)
    assert seen.percent_bp is None


@pytest.mark.parametrize("numbered", [True, "ms"])
def test_a_moment_in_a_changelog_may_be_a_number(numbered: bool | str) -> None:
    """The description calls it a date-time, its own example is 1492070429."""
    bench = _bench()
    _vendor(bench).numbered = numbered
    item = bench.item()
    bench.at(3600)
    bench.vendor.finish(item)
    bench.pull()
    assert bench.seen(item).done_at == datetime.fromtimestamp(START + 3600, UTC)


def test_a_part_of_a_changelog_proves_nothing() -> None:
    bench = _bench("data_center")
    item = bench.item()
    bench.at(3600)
    bench.vendor.finish(item)
    whole = _vendor(bench)._log(item)
    _vendor(bench)._log = lambda _: {**whole, "total": 2}  # type: ignore[method-assign]
    bench.pull()
    assert (bench.seen(item).done, bench.seen(item).history) == (True, ())
    assert bench.seen(item).date_provenance is Provenance.NATIVE


def test_the_changelog_of_one_issue_may_come_on_several_pages() -> None:
    bench = _bench()
    _vendor(bench).logs_max = 1
    item = bench.item()
    for hour in range(1, 6):
        bench.at(hour * 3600)
        (bench.vendor.finish if hour % 2 else bench.vendor.reopen)(item)
    bench.pull()
    assert len(bench.seen(item).history) == 5
    assert bench.seen(item).done_at == datetime.fromtimestamp(START + 5 * 3600, UTC)


STATES = States({"1": "Open", "6": "Closed", "8": "Accepted"}, frozenset({"6", "8"}), frozenset({"8"}))


def _entry(second: int, before: str, after: str, **item: object) -> dict:
    change = {"field": "status", "fieldId": "status", "fieldtype": "jira", "from": before, "to": after, **item}
    return {
        "created": datetime.fromtimestamp(START + second, UTC).isoformat(),
        "author": {"displayName": "王敏"},
        "items": [change],
    }


@given(st.lists(st.sampled_from(["1", "6", "8"]), min_size=1, max_size=12))
def test_done_since_the_beginning_of_the_last_run_of_done_states(path: list[str]) -> None:
    log = [_entry(n, before, after) for n, (before, after) in enumerate(zip(["1", *path], path, strict=False))]
    found = mapping._since(mapping.changes(list(reversed(log)), STATES), STATES.done, path[-1])
    if path[-1] == "1":
        assert found is None
        return
    first = max((n for n, s in enumerate(path) if s == "1"), default=-1) + 1
    assert found is not None
    assert found[0].at == datetime.fromtimestamp(START + first, UTC)


def test_a_changelog_that_does_not_end_at_the_present_status_proves_nothing() -> None:
    """Cloud's search may be late, or the status was changed past the changelog (an import)."""
    assert mapping._since(mapping.changes([_entry(1, "1", "6")], STATES), STATES.done, "8") is None


def test_another_field_of_that_name_and_a_status_that_is_gone_are_told_apart() -> None:
    other = _entry(1, "1", "6", fieldId="customfield_9", fieldtype="custom")
    gone = _entry(2, "1", "99", toString="Signed off")
    found = mapping.changes([other, gone], STATES)
    assert [(c.state, c.done) for c, _ in found] == [("Signed off", False)]


def test_an_entry_without_its_moment_sends_the_issue_to_quarantine() -> None:
    with pytest.raises(BadRow) as problem:
        mapping.changes([{**_entry(1, "1", "6"), "created": None}], STATES)
    assert problem.value.code == "PROOF_FIELD_MISSING"


def test_without_a_changelog_the_resolution_gives_the_day_and_nobody_is_named() -> None:
    bench = _bench()
    item = bench.item()
    bench.at(3600)
    bench.vendor.finish(item)
    item.history.clear()
    bench.pull()
    seen = bench.seen(item)
    assert (seen.done, seen.done_at, seen.done_by) == (True, datetime.fromtimestamp(START + 3600, UTC), None)
    assert (seen.date_provenance, seen.grade) == (Provenance.NATIVE, EvidenceGrade.STATE)


@pytest.mark.parametrize(("value", "expected"), [(40, 4000), (12.5, 1250), (None, None)])
def test_a_percentage_field(value: object, expected: int | None) -> None:
    assert mapping._percent({"customfield_7": value}, "customfield_7") == expected


@pytest.mark.parametrize(
    ("value", "code"), [(140, "PERCENT_RANGE"), ("40", "PROOF_FIELD_TYPE"), (True, "PROOF_FIELD_TYPE")]
)
def test_a_percentage_that_is_none(value: object, code: str) -> None:
    with pytest.raises(BadRow) as problem:
        mapping._percent({"customfield_7": value}, "customfield_7")
    assert problem.value.code == code


# --- what a night costs -----------------------------------------------------------------------------------


@EDITIONS
def test_a_quiet_night_costs_one_request_for_each_project(edition: str) -> None:
    bench = _bench(edition)
    for n in range(80):
        bench.vendor.finish(bench.vendor.add(f"M{n}"))
    bench.at(7200)
    bench.pull()
    bench.at(86_400)
    asked = _asked(bench, bench.pull)
    assert sum(n for r, n in asked.items() if r.startswith("search")) == 2
    assert not asked["changelog/bulkfetch"]


def test_a_long_list_as_it_was_costs_two_questions_and_a_deletion_is_seen() -> None:
    bench = _bench()
    items = [bench.vendor.add(f"M{n}") for n in range(450)]
    bench.at(7200)
    first = _asked(bench, bench.pull)
    assert first["search/jql"] == 5 + 1 + 1  # pages, the ids to compare with, the empty project
    bench.at(86_400)
    assert _asked(bench, bench.pull)["search/jql"] == 2 + 1
    bench.at(2 * 86_400)
    assert _asked(bench, bench.pull)["search/jql"] == 2 + 1
    bench.vendor.remove(items[3])
    bench.at(3 * 86_400)
    bench.pull()
    assert bench.seen(items[3]).deleted
    bench.vendor.finish(items[4])
    bench.at(4 * 86_400)
    bench.pull()
    assert bench.seen(items[4]).done


def test_a_row_that_slips_between_pages_is_not_taken_for_deleted() -> None:
    """How Cloud's tokens work is not described: several pages are believed only when the ids alone agree."""
    bench = _bench()
    _vendor(bench).slipping = True
    items = [bench.vendor.add(f"M{n}") for n in range(250)]
    bench.pull()
    bench.at(86_400)
    bench.vendor.after_first_page = lambda: bench.vendor.remove(items[3])
    bench.pull(full=True)
    assert not bench.seen(items[100]).deleted
    bench.at(2 * 86_400)
    bench.pull(full=True)
    assert bench.seen(items[3]).deleted
    assert sum(o.deleted for o in bench.known.milestones.values()) == 1


def test_thousands_of_issues_are_asked_about_in_thousands() -> None:
    bench = _bench()
    for n in range(1150):
        bench.vendor.add(f"M{n}")
    asked = _asked(bench, bench.pull)
    assert (asked["search/jql"], asked["changelog/bulkfetch"]) == (12 + 1 + 1, 2)


def test_changes_that_the_search_told_late_are_still_seen() -> None:
    """What changed up to an hour before the last pull is looked at again."""
    bench = _bench()
    item = bench.item()
    bench.at(7200)
    bench.pull()
    bench.at(7200 - 1800)
    bench.vendor.finish(item)
    bench.at(86_400)
    bench.pull()
    assert bench.seen(item).done


# --- who we are, and what is missing -----------------------------------------------------------------------


@EDITIONS
def test_check_says_who_we_are_and_what_is_there(edition: str) -> None:
    bench = _bench(edition, milestones=BOTH)
    bench.vendor.add("M1")
    _vendor(bench).version("1.0")
    found = bench.check()
    assert (found.account, found.projects, found.milestones, found.rate_left) == ("robot", 2, 2, "349")


def test_check_names_the_missing_permission() -> None:
    bench = _bench()
    bench.vendor.faults.append(Fault("status", 99, 403, path="approximate-count"))
    assert bench.check().missing == ("Browse projects",)


def test_a_type_and_a_status_that_are_not_there_are_told_with_the_closest() -> None:
    with pytest.raises(SourceConfig) as problem:
        _bench(milestones=["type:Milestones"]).check()
    assert "Milestone" in problem.value.advice
    with pytest.raises(SourceConfig) as problem:
        _bench(done_states=["Closd"]).check()
    assert "Closed" in problem.value.advice


def test_credentials_and_edition_follow_from_address_and_mail() -> None:
    cloud = JiraOptions("https://acme.atlassian.net", TOKEN, "robot@acme.example")
    assert (cloud.cloud, cloud.credentials) == (True, f"Basic {BASIC}")
    assert JiraOptions("https://api.atlassian.com/ex/jira/1", TOKEN).credentials == f"Bearer {TOKEN}"
    own = JiraOptions("https://jira.acme.example/jira", TOKEN)
    assert (own.cloud, own.credentials) == (False, f"Bearer {TOKEN}")
    assert JiraOptions("https://jira.acme.example", TOKEN, deployment="cloud").cloud
    assert not JiraOptions("https://atlassian.net.evil.example", TOKEN).cloud


@pytest.mark.parametrize(
    "wrong",
    [{"milestones": ["epics"]}, {"deployment": "server"}, {"open_issues": "maybe"}, {"release_date": "real"}],
)
def test_a_wrong_word_is_told_with_those_that_are_right(wrong: dict[str, object]) -> None:
    with pytest.raises(SourceConfig):
        _bench(**wrong).source()
