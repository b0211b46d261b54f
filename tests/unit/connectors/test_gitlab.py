"""GitLab beyond the conformance suite: events, issues, groups, and what a quiet night costs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.errors import SourceConfig
from connectors.gitlab import mapping
from connectors.gitlab.fake import GitLabFake
from connectors.kit.conformance import Bench
from connectors.kit.fakes import START, Fault, Item
from connectors.registry import connector
from models.domain.observations import Observation, Provenance

DAY = 86_400


def bench(**options: object) -> Bench:
    vendor = GitLabFake()
    whole = vendor.options
    vendor.options = lambda **more: {**whole(), **options, **more}  # type: ignore[method-assign]
    return Bench(connector("gitlab"), vendor)


def seen(on: Bench, item: Item) -> Observation:
    return on.pull().milestones[f"milestone:{item.id}"]


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_the_date_and_the_person_come_from_the_event_not_from_the_last_edit() -> None:
    on = bench()
    item = on.vendor.add("M")
    on.vendor.finish(item, START - 3 * DAY, "王敏")
    on.vendor.rename(item, "M, edited later")
    told = seen(on, item)
    assert (told.done_at, told.done_by) == (at(START - 3 * DAY), "王敏")
    assert (told.date_provenance, told.person_provenance) == (Provenance.HISTORY, Provenance.HISTORY)
    assert [c.done for c in told.history] == [True]


def test_a_closing_without_an_event_has_only_the_day_it_was_seen_even_with_dated_issues() -> None:
    on = bench()
    on.vendor.no_events = True
    item = on.vendor.add("M")
    on.vendor.issue(item, closed_at=START - 5 * DAY)
    on.vendor.finish(item)
    told = seen(on, item)
    assert (told.done, told.done_by, told.date_provenance) == (True, None, Provenance.FIRST_OBSERVED)


def test_closed_reopened_and_closed_by_import_does_not_take_the_older_event_for_proof() -> None:
    on = bench()
    item = on.vendor.add("M")
    on.vendor.finish(item, START - 9 * DAY, "A")
    on.vendor.reopen(item, START - 8 * DAY, "B")
    item.done = True  # without an event
    told = seen(on, item)
    assert (told.done, told.done_by, told.date_provenance) == (True, None, Provenance.FIRST_OBSERVED)
    assert [c.done for c in told.history] == [True, False]


@pytest.mark.parametrize(
    ("rule", "done", "unproven"), [("confirm", True, True), ("allow", True, False), ("not_done", False, False)]
)
def test_a_milestone_closed_with_open_issues_is_reported(rule: str, done: bool, unproven: bool) -> None:
    on = bench(open_issues=rule)
    item = on.vendor.add("M")
    on.vendor.issue(item, closed_at=START - DAY)
    on.vendor.issue(item)
    on.vendor.finish(item)
    told = seen(on, item)
    assert (told.state, told.done, told.unproven) == ("closed", done, unproven)
    assert (told.percent_bp, told.percent_provenance) == (5000, Provenance.CHILDREN)
    assert told.extra == {"open_issues": 1}


@pytest.mark.parametrize(
    ("rule", "done", "unproven"), [("confirm", True, True), ("allow", True, False), ("not_done", False, False)]
)
def test_issues_that_are_switched_off_are_not_taken_for_closed(rule: str, done: bool, unproven: bool) -> None:
    on = bench(open_issues=rule, milestones=["project"])
    on.vendor.issues_on = False
    item = on.vendor.add("M")
    on.vendor.finish(item)
    assert (seen(on, item).done, seen(on, item).unproven) == (done, unproven)


def test_without_counting_open_issues_cannot_hinder_a_milestone() -> None:
    with pytest.raises(SourceConfig, match="not_done"):
        bench(progress=False, open_issues="not_done").source()


def test_the_open_issue_of_a_closed_milestone_is_closed_later_or_leaves_it() -> None:
    """Either way a person need not confirm any more; the milestone itself did not change."""
    for leaves in (False, True):
        on = bench()
        item = on.vendor.add("M")
        issue = on.vendor.issue(item)
        on.vendor.finish(item)
        assert seen(on, item).unproven
        on.at(DAY)
        assert seen(on, item).unproven
        assert on.known.news == []
        on.at(2 * DAY)
        on.vendor.touch(issue, None if leaves else START + 2 * DAY)
        issue["milestone"] = None if leaves else item
        told = seen(on, item)
        assert (told.done, told.unproven, told.percent_bp) == (True, False, None if leaves else 10_000)
        assert told.done_at == at(START)


def test_the_percentage_follows_the_issues_though_the_milestone_does_not_move() -> None:
    on = bench()
    item = on.vendor.add("M")
    first, second = on.vendor.issue(item), on.vendor.issue(item)
    assert seen(on, item).percent_bp == 0
    on.at(DAY)
    on.vendor.touch(first, START + DAY)
    assert seen(on, item).percent_bp == 5000
    on.at(2 * DAY)
    second["milestone"] = None
    on.vendor.touch(second)
    assert seen(on, item).percent_bp == 10_000


def test_issues_of_a_group_milestone_of_the_same_title_are_not_counted() -> None:
    on = bench()
    own, shared = on.vendor.add("初验"), on.vendor.add("初验")
    on.vendor.in_group.add(shared.id)
    on.vendor.issue(own, closed_at=START)
    on.vendor.issue(shared)
    on.vendor.issue(shared, closed_at=START - DAY, project=1)
    known = on.pull().milestones
    own_id, shared_id = on.vendor.milestone_id(own), on.vendor.milestone_id(shared)
    assert (known[own_id].percent_bp, known[own_id].project_key) == (10_000, "acme/alpha")
    assert (known[shared_id].percent_bp, known[shared_id].project_key, known[shared_id].project_id) == (
        5000,
        "acme",
        "group:5",
    )


@pytest.mark.parametrize("title", ["None", "any", "初验"])
def test_a_title_that_is_a_word_of_the_filter_is_counted_like_any_other(title: str) -> None:
    """Read with all the others on the first night, by itself on the second."""
    on = bench()
    item, other = on.vendor.add(title), on.vendor.add("other")
    on.vendor.issue(item, closed_at=START)
    issue = on.vendor.issue(item)
    on.vendor.issue(other)
    on.vendor.issue(None)
    assert seen(on, item).percent_bp == 5000
    on.at(DAY)
    on.vendor.touch(issue, START + DAY)
    assert seen(on, item).percent_bp == 10_000


def test_the_first_night_reads_a_projects_issues_at_once() -> None:
    on = bench()
    items = [on.vendor.add(f"M{n}") for n in range(40)]
    for item in items:
        for closed in (START, None, None):
            on.vendor.issue(item, closed_at=closed)
    on.pull()
    assert {o.percent_bp for o in on.known.milestones.values()} == {3333}
    assert sum(r.endswith("/projects/11/issues") for r in on.vendor.requests) == 2


def test_issues_that_move_while_a_project_is_read_at_once_are_asked_for_one_milestone_after_the_other() -> None:
    on = bench()
    items = [on.vendor.add(f"M{n}") for n in range(3)]
    issues = [on.vendor.issue(item, closed_at=START) for item in items for _ in range(50)]
    inner, changed = on.vendor.answer, []

    def busy(request):  # type: ignore[no-untyped-def]
        answer = inner(request)
        if request.url.params.get("milestone") == "Any" and not changed:
            changed.append(request)
            issues[0]["milestone"] = None
        return answer

    on.vendor.answer = busy  # type: ignore[method-assign]
    on.vendor.issue(items[2])
    known = on.pull().milestones
    assert [known[on.vendor.milestone_id(i)].percent_bp for i in items] == [10_000, 10_000, 9803]
    assert sum(r.endswith("/projects/11/issues") for r in on.vendor.requests) == 5


def test_a_groups_milestone_is_dated_by_its_last_issue() -> None:
    on = bench()
    item = on.vendor.add("M")
    on.vendor.in_group.add(item.id)
    on.vendor.issue(item, closed_at=START - 2 * DAY, by="A")
    on.vendor.issue(item, closed_at=START - DAY, by="B", project=1)
    on.vendor.finish(item)
    told = seen(on, item)
    assert (told.done_at, told.done_by, told.date_provenance) == (at(START - DAY), "B", Provenance.CHILDREN)
    assert not any("groups" in r and "events" in r for r in on.vendor.requests)


def test_a_groups_milestone_without_issues_has_only_the_day_it_was_seen() -> None:
    on = bench()
    item = on.vendor.add("M")
    on.vendor.in_group.add(item.id)
    on.vendor.finish(item)
    told = seen(on, item)
    assert (told.done, told.percent_bp, told.date_provenance) == (True, None, Provenance.FIRST_OBSERVED)


def _asked(on: Bench) -> list[str]:
    """What the next pull asks inside projects and groups."""
    before = len(on.vendor.requests)
    on.pull()
    return sorted(r.removeprefix("GET /api/v4") for r in on.vendor.requests[before:] if r.count("/") > 4)


def _two_nights(on: Bench) -> None:
    """The second looks back over the end of the first, and tells the newest things once more."""
    on.pull()
    on.at(DAY)
    on.pull()
    on.at(2 * DAY)


def _quiet(on: Bench) -> list[Item]:
    """Closed milestones with closed issues, in both projects."""
    items = [on.vendor.add(f"M{n}", project=n % 2) for n in range(30)]
    for item in items:
        on.vendor.finish(item)
        on.vendor.issue(item, closed_at=START, project=item.project)
    return items


def test_a_quiet_night_costs_one_question_a_project_and_one_more_a_group() -> None:
    on = bench()
    _quiet(on)
    _two_nights(on)
    assert _asked(on) == [
        "/groups/5/issues",
        "/groups/5/milestones",
        "/projects/11/milestones",
        "/projects/12/milestones",
    ]
    assert on.known.told == 0
    assert not any(o.deleted for o in on.known.milestones.values())
    on = bench(progress=False, milestones=["project"])
    on.item()
    _two_nights(on)
    assert _asked(on) == ["/projects/11/milestones", "/projects/12/milestones"]


def test_a_project_outside_the_groups_is_asked_itself() -> None:
    on = bench()
    on.vendor.groups = {}
    _quiet(on)
    _two_nights(on)
    own = [f"/projects/{n}/{what}" for n in (11, 12) for what in ("issues", "milestones")]
    assert _asked(on) == own
    assert on.known.told == 0


def test_the_highest_group_above_is_asked_and_what_it_tells_goes_to_the_right_project() -> None:
    """Of two projects in a subgroup, the issue of one changes: only its milestones that are open are counted anew."""
    on = bench()
    on.vendor.groups = {6: "acme/alpha", 5: "acme"}
    mine, other = on.vendor.add("A"), on.vendor.add("B", project=1)
    issue = on.vendor.issue(mine)
    on.vendor.issue(other, project=1)
    _two_nights(on)
    on.vendor.touch(issue, START + 2 * DAY)
    before = len(on.vendor.requests)
    assert [(o.milestone_id, o.percent_bp) for o in on.pull().news] == [(on.vendor.milestone_id(mine), 10_000)]
    assert on.known.told == 1
    asked = [r.removeprefix("GET /api/v4") for r in on.vendor.requests[before:]]
    assert [a for a in asked if a.endswith("/issues")] == ["/groups/5/issues", "/projects/11/issues"]


def test_a_change_in_a_project_that_is_archived_meanwhile_is_seen() -> None:
    on = bench()
    item = on.vendor.add("A")
    issue = on.vendor.issue(item)
    _two_nights(on)
    on.vendor.touch(issue, START + 2 * DAY)
    on.vendor.archived.add(11)
    assert seen(on, item).percent_bp == 10_000


def test_where_too_much_changed_in_a_group_each_project_is_asked() -> None:
    on = bench()
    item = on.vendor.add("A")
    issue = on.vendor.issue(item)
    _two_nights(on)
    for _ in range(350):
        on.vendor.issue(None, project=1)
    on.vendor.touch(issue, START + 2 * DAY)
    asked = _asked(on)
    assert asked.count("/groups/5/issues") > 1
    assert "/projects/11/issues" in asked
    assert on.known.milestones[on.vendor.milestone_id(item)].percent_bp == 10_000


def test_after_too_many_changes_to_follow_everything_is_counted_anew() -> None:
    on = bench()
    item = on.vendor.add("M")
    issue = on.vendor.issue(item)
    on.pull()
    on.at(DAY)
    issue["milestone"] = None
    for _ in range(1200):
        on.vendor.issue(None)
    del on.vendor.issues[1]
    assert seen(on, item).percent_bp is None


def test_above_ten_thousand_rows_gitlab_does_not_count_and_the_next_page_is_followed() -> None:
    on = bench()
    on.vendor.totals = False
    items = [on.vendor.add(f"M{n}") for n in range(201)]
    assert len(on.pull().milestones) == len(items)
    on.at(DAY)
    on.vendor.remove(items[7])
    assert [o.milestone_id for o in on.pull().news] == [on.vendor.milestone_id(items[7])]


def test_a_project_that_goes_away_while_it_is_read_loses_nothing() -> None:
    on = bench()
    item = on.item()
    on.at(DAY)
    on.vendor.faults.append(Fault("status", 9, 404, path="/projects/11/milestones"))
    assert not seen(on, item).deleted


def test_a_project_without_issues_and_merge_requests_is_not_asked() -> None:
    from connectors.gitlab.connector import _has_milestones

    assert not _has_milestones({"issues_enabled": False, "merge_requests_enabled": False})
    assert _has_milestones({"issues_enabled": False, "merge_requests_enabled": True})
    assert _has_milestones({})


def test_check_counts_milestones_and_names_a_missing_scope() -> None:
    on = bench()
    for n in range(3):
        on.vendor.add(f"M{n}")
    found = on.check()
    assert (found.account, found.projects, found.milestones, found.rate_left, found.missing) == (
        "robot",
        3,
        3,
        "1999",
        (),
    )
    on.vendor.scopes = ["read_user"]
    assert on.check().missing == ("read_api",)
    on.vendor.faults.append(Fault("status", 1, 404, path="personal_access_tokens"))
    assert on.check().missing == ()


def test_the_address_may_be_given_with_or_without_the_api() -> None:
    on = bench(base_url="https://gitlab.example/api/v4/")
    item = on.item()
    assert on.vendor.milestone_id(item) in on.known.milestones


EVENT: dict[str, Any] = {
    "id": 1,
    "target_id": 5,
    "action_name": "closed",
    "created_at": "2026-11-01T00:00:00.000Z",
    "author_username": "li",
}


@pytest.mark.parametrize("created", [None, "", 5, [], "yesterday", "2026-11-01T00:00:00"])
def test_an_event_that_cannot_be_read_puts_its_milestone_aside(created: object) -> None:
    found = mapping.histories([{**EVENT, "created_at": created}, {**EVENT, "target_id": 6}])
    assert isinstance(found["5"], mapping.BadRow)
    assert [c.by for c in found["6"]] == ["li"]  # type: ignore[union-attr]


def test_events_of_deleted_milestones_and_other_actions_are_nothing() -> None:
    assert mapping.histories([{**EVENT, "target_id": None}, {**EVENT, "action_name": "destroyed"}]) == {}


@pytest.mark.parametrize("field", ["title", "state", "due_date", "updated_at", "web_url", "id"])
@pytest.mark.parametrize("value", [[], {}, 3.5, True, "not-a-date", None])
def test_a_field_of_another_type_puts_the_row_aside_or_is_read_never_a_crash(field: str, value: object) -> None:
    on = bench()
    item = on.vendor.add("M")
    item.unknown = {field: value}
    known = on.pull()
    assert len(known.milestones) + len(known.rejected) == 1


def test_only_what_a_browser_may_follow_becomes_a_link() -> None:
    on = bench()
    item = on.vendor.add("M")
    item.unknown = {"web_url": "javascript:alert(1)"}
    assert seen(on, item).url is None


@pytest.mark.parametrize(
    ("key", "value", "near"), [("milestones", ["groups"], "group"), ("open_issues", "confirmed", "confirm")]
)
def test_a_value_that_is_not_allowed_names_the_closest(key: str, value: object, near: str) -> None:
    on = bench(**{key: value})
    problem = on.fails(SourceConfig, on.source)
    assert problem.advice.startswith(f"One of: {near}")
