"""Linear beyond the conformance suite: what the issues below say about a milestone."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from connectors.errors import SourceUnavailable
from connectors.http.fields import BadRow
from connectors.kit.conformance import Bench
from connectors.kit.fakes import START
from connectors.linear import mapping
from connectors.linear.connector import CONNECTOR
from connectors.linear.fake import LinearFake, failed, project_id
from models.domain.observations import Provenance


def _bench(vendor: LinearFake | None = None, **options: object) -> Bench:
    bench = Bench(CONNECTOR, vendor or LinearFake())
    honest = bench.source
    bench.source = lambda given=None: honest(given or bench.vendor.options(**options))  # type: ignore[method-assign]
    return bench


def _at(seconds: int) -> str:
    return datetime.fromtimestamp(START + seconds, UTC).isoformat()


def _issue(number: int, completed: int, updated: int) -> dict:
    return {"id": f"i-{number}", "completedAt": _at(completed), "updatedAt": _at(updated)}


def test_a_milestone_is_done_when_its_last_issue_was() -> None:
    bench = _bench()
    item = bench.item()
    bench.at(86_400)
    bench.vendor.finish(item, by="王敏")
    bench.pull()
    seen = bench.seen(item)
    assert (seen.date_provenance, seen.person_provenance) == (Provenance.CHILDREN, Provenance.CHILDREN)
    assert (seen.done_by, seen.percent_bp, seen.unproven) == ("王敏", 10_000, False)
    assert seen.url == "https://linear.app/acme/project/alpha-000000000000"


def test_a_milestone_whose_issues_were_all_cancelled_is_done_but_unproven() -> None:
    bench = _bench()
    item = bench.item()
    bench.at(86_400)
    bench.vendor.finish(item)
    bench.vendor.cancelled.add(item.id)
    bench.pull()
    seen = bench.seen(item)
    assert (seen.done, seen.unproven, seen.done_by) == (True, True, None)
    assert seen.date_provenance is Provenance.FIRST_OBSERVED


def test_the_last_completed_issue_is_found_behind_pages_of_later_changes() -> None:
    """Sixty issues completed long ago and relabelled since come first; the one completed last comes after them."""
    bench = _bench()
    item = bench.item()
    bench.at(86_400)
    bench.vendor.finish(item, at=START + 80_000)
    bench.vendor.more_issues[item.id] = [_issue(n, n, 85_000 + n) for n in range(60)]
    bench.pull()
    assert bench.seen(item).done_at == datetime.fromtimestamp(START + 80_000, UTC)
    assert bench.vendor.asked_for.count("CompletedIssues") == 2


def test_no_more_pages_are_read_than_are_needed() -> None:
    bench = _bench()
    item = bench.item()
    bench.at(86_400)
    bench.vendor.finish(item, at=START + 80_000)
    bench.vendor.more_issues[item.id] = [_issue(n, n, n) for n in range(300)]
    bench.pull()
    assert bench.vendor.asked_for.count("CompletedIssues") == 1


def test_which_issue_is_the_latest_is_not_believed_of_a_list_in_another_order() -> None:
    rows = [_issue(1, 5, 10), _issue(2, 7, 20)]
    assert mapping.latest(rows) == (rows[1], False)
    assert mapping.latest([_issue(1, 20, 20), _issue(2, 7, 10)]) == (_issue(1, 20, 20), True)
    assert mapping.latest([]) == (None, False)


def test_a_quiet_night_asks_one_question_a_project() -> None:
    bench = _bench()
    for n in range(5):
        bench.vendor.finish(bench.vendor.add(f"M{n}"))
    bench.at(3600)
    bench.pull()
    bench.vendor.asked_for.clear()
    bench.at(86_400)
    bench.pull()
    assert sorted(bench.vendor.asked_for) == ["Milestones", "Milestones", "Projects", "Viewer"]
    assert not any(o.deleted for o in bench.known.milestones.values())


def test_what_is_done_while_the_pull_runs_is_told_again_by_the_next() -> None:
    """Dated after the pull began it waits in quarantine: the next night must not think it was told."""
    bench = _bench()
    item = bench.item()
    bench.vendor.finish(item, at=START + 5)
    bench.pull()
    bench.at(86_400)
    bench.pull()
    assert bench.known.told == 1
    bench.at(2 * 86_400)
    bench.pull()
    assert bench.known.told == 0


def test_a_moment_that_cannot_be_read_is_not_at_rest() -> None:
    since = datetime.fromtimestamp(START, UTC)
    assert mapping.at_rest({"updatedAt": _at(-1), "issues": {"nodes": [{"updatedAt": _at(-9)}]}}, since)
    assert not mapping.at_rest({"updatedAt": _at(-1), "issues": {"nodes": [{"updatedAt": _at(0)}]}}, since)
    assert not mapping.at_rest({"updatedAt": "soon"}, since)


def test_a_done_milestone_of_which_an_issue_moved_is_asked_about_again() -> None:
    bench = _bench()
    item = bench.item()
    bench.vendor.finish(item)
    bench.pull()
    bench.at(86_400)
    bench.vendor.reopen(item, at=START + 86_000)
    bench.vendor.finish(item, by="王敏")  # all within one day: it was done last night, and is tonight
    bench.pull()
    assert bench.seen(item).done_at == datetime.fromtimestamp(START + 86_400, UTC)
    assert bench.seen(item).done_by == "王敏"


def test_projects_as_milestones() -> None:
    class Completed(LinearFake):
        def _projects(self, given):
            found = super()._projects(given)
            done = {"status": {"name": "Shipped", "type": "completed"}, "completedAt": _at(50), "progress": 1}
            given_up = {"status": {"name": "Canceled", "type": "canceled"}, "canceledAt": _at(60)}
            found["projects"]["nodes"][0] |= done
            found["projects"]["nodes"][1] |= given_up
            return found

    bench = _bench(Completed(), milestones=["project"])
    bench.pull()
    one, two = bench.known.milestones[f"project:{project_id(0)}"], bench.known.milestones[f"project:{project_id(1)}"]
    assert (one.done, one.state, one.date_provenance) == (True, "Shipped", Provenance.NATIVE)
    assert one.done_at == datetime.fromtimestamp(START + 50, UTC)
    assert (two.done, two.done_at) == (False, None)


def test_issues_with_a_label_as_milestones() -> None:
    bench = _bench(milestones=["issue:Milestone"])
    one, two = bench.vendor.add("一"), bench.vendor.add("二")
    bench.pull()
    bench.at(3600)
    bench.vendor.finish(one, by="王敏")
    bench.vendor.finish(two)
    bench.vendor.cancelled.add(two.id)
    bench.pull()
    seen, given_up = bench.known.milestones[f"issue:i-{one.id}"], bench.known.milestones[f"issue:i-{two.id}"]
    assert (seen.done, seen.done_by, seen.date_provenance) == (True, "王敏", Provenance.NATIVE)
    assert (given_up.done, given_up.state) == (False, "Canceled")


@pytest.mark.parametrize(("progress", "points"), [(0, 0), (1, 10_000), (0.99999, 9999), (0.1, 1000), (0.29, 2900)])
def test_a_share_is_rounded_down(progress: float, points: int) -> None:
    assert mapping.share({"progress": progress}, "progress") == points


@pytest.mark.parametrize(
    ("progress", "code"), [(None, "PROOF_FIELD_MISSING"), ("1", "PROOF_FIELD_TYPE"), (True, "PROOF_FIELD_TYPE"), (1.5, "PERCENT_RANGE"), (float("nan"), "PERCENT_RANGE")]
)  # fmt: skip
def test_a_share_that_is_none(progress: object, code: str) -> None:
    with pytest.raises(BadRow) as problem:
        mapping.share({"progress": progress}, "progress")
    assert problem.value.code == code


def test_a_broken_history_puts_one_milestone_aside_not_the_pull() -> None:
    class Broken(LinearFake):
        def _history(self, given):
            found = super()._history(given)
            for row in found["issue"]["history"]["nodes"]:
                row["createdAt"] = 17
            return found

    bench = _bench(Broken())
    bad, good = bench.vendor.add("bad"), bench.vendor.add("good")
    bench.vendor.finish(bad)
    bench.pull()
    assert bench.known.rejected[f"milestone:{bad.id}"].code == "PROOF_FIELD_TYPE"
    assert not bench.seen(good).done


class Throttled(LinearFake):
    """Answers so many requests with 400 and RATELIMITED."""

    def __init__(self, times: int, seconds: int) -> None:
        super().__init__()
        self.times, self.seconds = times, seconds

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.times <= 0:
            return super().answer(request)
        self.times -= 1
        answer = failed("Rate limit exceeded", "RATELIMITED", 400)
        answer.headers["X-RateLimit-Requests-Remaining"] = "0"
        answer.headers["X-RateLimit-Requests-Reset"] = str((START + self.seconds) * 1000)
        return answer


def test_throttled_with_400_waits_as_long_as_the_budget_is_empty() -> None:
    bench = _bench(Throttled(1, 33))
    bench.item()
    assert 33 <= bench.clock.slept < 35


def test_throttled_for_the_rest_of_the_hour_ends_the_pull() -> None:
    bench = _bench(Throttled(99, 3000))
    problem = bench.fails(SourceUnavailable, bench.pull)
    assert problem.trouble.code == "graphql_throttled"
    assert bench.clock.slept == 0


def test_the_requests_left_are_told_by_check() -> None:
    assert _bench().check().rate_left == "1496"  # two lists besides


def test_a_personal_key_goes_as_it_is_and_a_token_as_bearer() -> None:
    bench = _bench()
    bench.check()
    assert bench.vendor.asked[0].headers["authorization"] == "lin_api_0123456789abcdef0123456789abcdef"
    bench.fails(Exception, lambda: bench.check(bench.vendor.options(api_key="lin_oauth_x")))
    assert bench.vendor.asked[-1].headers["authorization"] == "Bearer lin_oauth_x"
