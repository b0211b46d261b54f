"""GitHub beyond the conformance suite: ETags, limits told as 403, renamed repositories, who closed what."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.errors import SourceConfig, SourceRefused, SourceUnavailable
from connectors.github import mapping
from connectors.github.fake import API, GitHubFake
from connectors.github.paging import tagged_walk
from connectors.http.client import Answer
from connectors.kit.conformance import Bench
from connectors.kit.fakes import START, Fault, Item
from connectors.registry import connector
from models.domain.observations import Observation, Provenance

DAY = 86_400


def bench(**options: object) -> Bench:
    vendor = GitHubFake()
    whole = vendor.options
    vendor.options = lambda **more: {**whole(), **options, **more}  # type: ignore[method-assign]
    return Bench(connector("github"), vendor)


def seen(on: Bench, item: Item) -> Observation:
    return on.pull().milestones[item.id]


def asked(on: Bench) -> list[tuple[str, int]]:
    """What the next pull asks inside repositories, and the status of each answer."""
    before, answers = len(on.vendor.requests), len(on.vendor.answered)
    on.pull()
    told = zip(on.vendor.requests[before:], on.vendor.answered[answers:], strict=True)
    return sorted((r.removeprefix("GET /repos/acme"), s) for r, s in told if "/acme/" in r)


# --- ETags ---------------------------------------------------------------------------------------------------


def test_a_repository_that_did_not_change_costs_one_304() -> None:
    on = bench()
    for n in range(99):
        on.vendor.finish(on.vendor.add(f"M{n}"))
    on.pull()
    on.at(DAY)
    assert asked(on) == [("/alpha/milestones", 304), ("/beta/milestones", 304)]
    assert on.known.told == 0


def test_a_repository_that_changed_is_not_asked_twice_for_its_first_page() -> None:
    on = bench(people=False)
    item = on.item()
    on.at(DAY)
    on.vendor.finish(item)
    assert asked(on) == [("/alpha/milestones", 200), ("/beta/milestones", 304)]
    assert on.known.milestones[item.id].done
    on.at(2 * DAY)
    assert asked(on) == [("/alpha/milestones", 304), ("/beta/milestones", 304)]


def test_a_change_on_a_later_page_is_seen() -> None:
    on = bench(people=False)
    items = [on.vendor.add(f"M{n}") for n in range(150)]
    on.pull()
    on.at(DAY)
    assert asked(on) == [("/alpha/milestones", 304)] * 2 + [("/beta/milestones", 304)]
    on.at(2 * DAY)
    on.vendor.finish(items[140])
    on.pull()
    assert [o.milestone_id for o in on.known.news] == [items[140].id]


def test_after_a_full_last_page_a_new_one_is_seen() -> None:
    """The full page itself is as it was; only the next one is new."""
    on = bench()
    for n in range(100):
        on.vendor.add(f"M{n}")
    on.pull()
    on.at(DAY)
    item = on.vendor.add("the hundred and first")
    assert seen(on, item).name == item.name


def test_a_page_that_changes_while_the_next_is_read_is_read_again() -> None:
    """A row that slips to an earlier page would be missed, and taken for deleted."""
    on = bench()
    items = [on.vendor.add(f"M{n}") for n in range(150)]
    on.vendor.after_first_page = lambda: on.vendor.remove(items[3])
    on.pull()
    assert {items[100].id, items[149].id} <= set(on.known.milestones)
    on.at(DAY)
    on.pull()
    assert on.known.milestones[items[3].id].deleted


def test_an_archived_or_renamed_repository_is_read_though_its_list_did_not_change() -> None:
    on = bench()
    item = on.item()
    on.at(DAY)
    on.vendor.archived.add(0)
    assert seen(on, item).archived
    on.at(2 * DAY)
    on.vendor.rename_repository(0, "alpha2")
    assert seen(on, item).project_key == "acme/alpha2"


def test_everything_is_read_again_after_the_days_of_reconciling_but_people_are_remembered() -> None:
    on = bench()
    item = on.item()
    on.vendor.finish(item, by="wang")
    on.pull()
    on.at(7 * DAY)
    assert asked(on) == [("/alpha/milestones", 200), ("/beta/milestones", 200)]
    assert on.known.milestones[item.id].done_by == "wang"
    assert on.known.news == []


def test_a_server_without_etags_is_read_whole_every_night() -> None:
    on = bench()
    item = on.item()
    inner = on.vendor.answer

    def without(request):  # type: ignore[no-untyped-def]
        answer = inner(request)
        answer.headers.pop("etag", None)
        return answer

    on.vendor.answer = without  # type: ignore[method-assign]
    on.pull(full=True)
    on.at(DAY)
    on.vendor.remove(item)
    assert seen(on, item).deleted


# --- limits ----------------------------------------------------------------------------------------------------


def _limit(**headers: str) -> Fault:
    return Fault("status", 1, 403, headers)


@pytest.mark.parametrize(
    ("fault", "least"),
    [
        (_limit(**{"Retry-After": "9"}), 9),
        (_limit(**{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(START + 11)}), 10),
        (Fault("status", 1, 429), 60),
    ],
)
def test_a_limit_told_as_403_or_429_is_waited_for(fault: Fault, least: int) -> None:
    on = bench()
    item = on.vendor.add("M")
    on.vendor.faults.append(fault)
    assert not seen(on, item).done
    assert least <= on.clock.slept <= least + 2


def test_a_secondary_limit_that_only_its_text_tells_is_waited_for_a_minute() -> None:
    on = bench()
    judge = on.source()._judge  # type: ignore[attr-defined]
    found = judge(403, {"message": "You have exceeded a secondary rate limit."}, {})
    assert isinstance(found, SourceUnavailable)
    assert found.wait == 60
    assert (
        judge(403, {"message": "Resource not accessible by personal access token"}, {"x-ratelimit-remaining": "4999"})
        is None
    )


def test_an_hour_until_the_limit_ends_is_left_to_the_next_night() -> None:
    on = bench()
    on.vendor.faults.append(_limit(**{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(START + 3000)}))
    on.fails(SourceUnavailable, on.pull)
    assert on.clock.slept == 0


# --- renamed repositories --------------------------------------------------------------------------------------------


def test_a_repository_is_found_by_the_name_it_had_before() -> None:
    on = bench()
    item = on.vendor.add("M")
    on.vendor.rename_repository(0, "alpha2")
    assert on.pull(projects=("acme/alpha",)).milestones[item.id].project_key == "acme/alpha2"
    assert {o.project_key for o in on.known.milestones.values()} == {"acme/alpha2"}


def test_a_repository_renamed_while_it_is_read_is_followed() -> None:
    on = bench()
    item = on.vendor.add("M")
    projects = on.vendor._repository(0)
    on.vendor.rename_repository(0, "alpha2")
    on.vendor._repository = lambda number: projects if number == 0 else GitHubFake._repository(on.vendor, number)
    assert seen(on, item).name == "M"
    assert "GET /repositories/50/milestones" in on.vendor.requests


def test_the_token_does_not_follow_to_another_host() -> None:
    on = bench()
    on.vendor.rename_repository(0, "alpha2")
    for elsewhere in ("https://evil.example", "http://api.github.example", "https://api.github.example:8443"):
        on.vendor.sent_to = elsewhere
        problem = on.fails(SourceRefused, lambda: on.pull(projects=("acme/alpha",)))
        assert problem.trouble.code == "other_host"
    assert {r.url.host for r in on.vendor.asked} == {"api.github.example"}


def test_one_redirection_is_followed_not_a_chain_of_them() -> None:
    on = bench()
    on.vendor.faults.append(Fault("status", 99, 301, {"Location": f"{API}/user"}))
    on.fails(SourceRefused, on.pull)
    assert len(on.vendor.requests) == 2


def test_a_repository_that_nobody_knows_is_named() -> None:
    on = bench()
    problem = on.fails(SourceConfig, lambda: on.pull(projects=("acme/alpah",)))
    assert "acme/alpha" in problem.advice


# --- what a row says -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "done", "unproven"), [("confirm", True, True), ("allow", True, False), ("not_done", False, False)]
)
def test_a_milestone_closed_with_open_issues_is_reported(rule: str, done: bool, unproven: bool) -> None:
    on = bench(open_issues=rule)
    item = on.vendor.add("M")
    on.vendor.finish(item)
    on.vendor.counts[item.id] = (1, 2)
    told = seen(on, item)
    assert (told.state, told.done, told.unproven) == ("closed", done, unproven)
    assert (told.percent_bp, told.percent_provenance, told.extra) == (6666, Provenance.NATIVE, {"open_issues": 1})
    assert told.done_by is None
    assert not any("/issues" in r for r in on.vendor.requests)


def test_the_last_open_issue_closed_later_needs_no_confirmation_any_more() -> None:
    on = bench()
    item = on.vendor.add("M")
    on.vendor.finish(item)
    on.vendor.counts[item.id] = (1, 2)
    assert seen(on, item).unproven
    on.at(DAY)
    on.vendor.counts[item.id] = (0, 3)
    told = seen(on, item)
    assert (told.done, told.unproven, told.percent_bp) == (True, False, 10_000)


def test_the_date_is_the_vendors_own_and_the_person_that_of_the_last_issue() -> None:
    on = bench()
    item = on.vendor.add("M")
    on.vendor.finish(item, START - 3 * DAY, "wang")
    on.vendor.rename(item, "M, edited later")
    told = seen(on, item)
    assert told.done_at == datetime.fromtimestamp(START - 3 * DAY, UTC)
    assert (told.date_provenance, told.done_by, told.person_provenance) == (
        Provenance.NATIVE,
        "wang",
        Provenance.CHILDREN,
    )


def test_who_closed_it_is_asked_once_and_again_after_a_reopening() -> None:
    on = bench()
    item = on.vendor.add("M")
    on.vendor.finish(item, by="wang")
    on.pull()
    on.at(DAY)
    on.vendor.rename(item, "N")
    assert [path for path, _ in asked(on)] == ["/alpha/milestones", "/beta/milestones"]
    on.at(2 * DAY)
    on.vendor.reopen(item)
    assert seen(on, item).done_by is None
    on.at(3 * DAY)
    on.vendor.finish(item, by="zhao")
    assert seen(on, item).done_by == "zhao"


@pytest.mark.parametrize(("in_lists", "asks"), [(True, 1), (False, 2)])
def test_lists_may_say_who_closed_an_issue_or_not(in_lists: bool, asks: int) -> None:
    on = bench()
    on.vendor.closed_by_in_lists = in_lists
    item = on.vendor.add("M")
    on.vendor.finish(item, by="wang")
    assert seen(on, item).done_by == "wang"
    assert sum("/issues" in r for r in on.vendor.requests) == asks


def _issue(closed: int, changed: int) -> dict[str, object]:
    when = [datetime.fromtimestamp(START + s, UTC).isoformat() for s in (closed, changed)]
    return {"number": closed, "closed_at": when[0], "updated_at": when[1]}


def test_the_last_closed_issue_is_only_named_where_no_later_page_can_hold_another() -> None:
    edited = [_issue(1, 90), _issue(5, 80)]
    assert mapping.last_closed(edited, page=100) == edited[1]
    assert mapping.last_closed(edited, page=2) is None
    assert mapping.last_closed([_issue(9, 90), _issue(5, 9)], page=2) == _issue(9, 90)
    assert mapping.last_closed([], page=100) is None


@pytest.mark.parametrize("due", ["2026-12-20T00:00:00Z", "2026-12-20T07:00:00Z", "2026-12-20T08:00:00Z"])
def test_the_planned_day_is_the_day_that_was_entered(due: str) -> None:
    on = bench()
    item = on.vendor.add("M")
    item.unknown = {"due_on": due}
    assert seen(on, item).planned_on == date(2026, 12, 20)


def test_a_closed_milestone_without_a_date_has_the_day_it_was_seen() -> None:
    on = bench()
    item = on.vendor.add("M")
    on.vendor.finish(item)
    item.unknown = {"closed_at": None}
    assert seen(on, item).date_provenance is Provenance.FIRST_OBSERVED


@pytest.mark.parametrize(
    "field", ["title", "state", "due_on", "updated_at", "closed_at", "html_url", "id", "number", "open_issues"]
)
@pytest.mark.parametrize("value", [[], {}, 3.5, True, "not-a-date", None])
def test_a_field_of_another_type_puts_the_row_aside_or_is_read_never_a_crash(field: str, value: object) -> None:
    on = bench()
    item = on.vendor.add("M")
    on.vendor.finish(item)
    item.unknown = {field: value}
    known = on.pull()
    assert len(known.milestones) + len(known.rejected) == 1


def test_a_repository_that_goes_away_while_it_is_read_loses_nothing() -> None:
    on = bench()
    item = on.item()
    on.at(DAY)
    on.vendor.faults.append(Fault("status", 9, 404, path="/repos/acme/alpha/milestones"))
    assert not seen(on, item).deleted


def test_check_counts_milestones_and_names_what_is_missing() -> None:
    on = bench()
    for n in range(130):
        on.vendor.add(f"M{n}")
    found = on.check()
    assert (found.account, found.projects, found.milestones, found.rate_left, found.missing) == (
        "robot",
        2,
        130,
        "4987",
        (),
    )
    on.vendor.scopes = "gist, read:org"
    assert on.check().missing == ("repo",)
    on.vendor.scopes = None
    on.vendor.faults.append(Fault("status", 1, 403, path="/milestones"))
    found = on.check()
    assert (found.missing, found.milestones) == (("issues: read",), None)


def test_a_cursor_of_another_make_is_none() -> None:
    on = bench()
    item = on.item()
    for spoiled in ('[1, 1, [], {"50": "{"}]', '[1, 1, [], {"50": "[1]"}]', '[1, 1, [], {"50": 3}]', "[]", "null"):
        on.known.cursor = spoiled
        on.at(int(timedelta(hours=1).total_seconds()))
        assert seen(on, item).name == item.name


# --- a list that moves while it is read --------------------------------------------------------------------------------


def _served(rows: list[int], number: int, tag: str) -> Answer:
    some, last = rows[(number - 1) * 3 : number * 3], -(-len(rows) // 3)
    if tag == str(some):
        return Answer(304, {}, None)
    link = f'<https://x/?page={number + 1}>; rel="next", <https://x/?page={last}>; rel="last"' if number < last else ""
    return Answer(200, {"etag": str(some), "link": link}, [{"id": r} for r in some])


@settings(max_examples=300, deadline=None)
@given(st.integers(4, 25), st.integers(1, 20), st.data())
def test_no_row_is_missed_by_a_walk_that_calls_itself_whole(count: int, moment: int, data: st.DataObject) -> None:
    """Whatever comes, goes or changes its place, at whatever moment."""
    rows, asked, old = list(range(count)), [], data.draw(st.one_of(st.none(), st.integers(0, count - 1)), "gone")
    new = data.draw(st.one_of(st.none(), st.integers(0, count - 1)), "comes at") if old is None else None
    place = data.draw(st.one_of(st.none(), st.integers(0, count - 1)), "moves to") if old is not None else None

    async def ask(number: int, tag: str) -> Answer:
        asked.append(number)
        if len(asked) == moment:
            if old is not None:
                rows.remove(old)
                if place is not None:
                    rows.insert(place, old)
            if new is not None:
                rows.insert(new, 1000)
        await asyncio.sleep(0)
        return _served(rows, number, tag)

    async def walk() -> tuple[set[int], bool]:
        found = tagged_walk(ask, "/x", 2)
        return {r["id"] for page in [p async for p in found.pages()] for r in page}, found.complete

    seen_rows, complete = asyncio.run(walk())
    stayed = set(range(count)) - ({old} if place is None else set())
    assert not complete or stayed <= seen_rows
    if moment > len(asked):
        assert complete


async def test_pages_are_fetched_side_by_side_and_called_off_when_nobody_reads_on() -> None:
    running, most, ended = 0, 0, 0

    async def ask(number: int, tag: str) -> Answer:
        nonlocal running, most, ended
        running, most = running + 1, max(most, running + 1)
        try:
            await asyncio.sleep(0.001)
            return _served(list(range(60)), number, tag)
        finally:
            running, ended = running - 1, ended + 1

    walk = tagged_walk(ask, "/x", 4)
    assert len([p async for p in walk.pages()]) == 20
    assert walk.complete
    assert 4 <= most <= 5
    pages = tagged_walk(ask, "/x", 4).pages()
    await anext(pages)
    await pages.aclose()  # type: ignore[attr-defined]
    assert running == 0
