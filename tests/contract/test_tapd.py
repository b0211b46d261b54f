"""TAPD beyond the conformance suite: ways to sign in, histories, release reviews, errors inside HTTP 200."""

from __future__ import annotations

import httpx
import pytest

from connectors.errors import SourceConfig, SourceRefused, SourceUnavailable
from connectors.kit.conformance import Bench, run_case
from connectors.kit.fakes import START
from connectors.registry import ConnectorInfo, connector
from connectors.tapd.fake import COMPANY, PASSWORD, USER, TapdFake, form
from models.domain.contracts import EvidenceGrade

DAY = 86_400


def _bench(way: str = "app", **options: object) -> Bench:
    vendor = TapdFake(way)
    whole = vendor.options
    vendor.options = lambda **more: {**whole(), **options, **more}  # type: ignore[method-assign]
    return Bench(connector("tapd"), vendor)


@pytest.mark.parametrize(
    "case", ["check_says_what_is_seen", "bad_credentials_are_refused", "done_by", "secrets_stay_inside"]
)
def test_an_account_of_the_api_works_as_an_application_does(case: str) -> None:
    found = connector("tapd")
    info = ConnectorInfo(found.system, found.title, found.options, found.build, lambda: TapdFake("account"))
    assert run_case(info, case).outcome == "passed", run_case(info, case).reason


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"client_id": USER, "api_user": USER, "client_secret": PASSWORD, "api_password": PASSWORD},
        {"client_id": USER},
        {"api_user": USER, "access_token": "t-t-t-t"},
    ],
)
def test_exactly_one_way_to_sign_in(given: dict[str, object]) -> None:
    bench = _bench()
    problem = bench.fails(SourceConfig, lambda: bench.source({"company_id": COMPANY, **given}))
    assert problem.trouble.code == "tapd_credentials"


def test_a_personal_token_is_sent_as_it_is() -> None:
    bench = _bench()
    bench.fails(SourceRefused, lambda: bench.check({"company_id": COMPANY, "access_token": "personal-1234"}))
    assert bench.vendor.asked[0].headers["authorization"] == "Bearer personal-1234"


def test_a_history_is_asked_for_when_the_iteration_changed_and_kept_between() -> None:
    bench = _bench()
    first, second = bench.vendor.add("初验"), bench.vendor.add("终验")
    bench.vendor.finish(first, by="甲")
    bench.pull()
    bench.at(DAY)
    bench.vendor.finish(second, by="乙")
    bench.vendor.requests.clear()
    bench.pull()
    assert sum("iteration_changes" in r for r in bench.vendor.requests) == 1
    assert (bench.seen(first).done_by, bench.seen(second).done_by) == ("甲", "乙")
    bench.at(2 * DAY)
    bench.vendor.requests.clear()
    bench.pull()
    assert not any("iteration_changes" in r for r in bench.vendor.requests)
    assert not bench.known.news


def test_a_quiet_night_costs_one_request_a_project() -> None:
    bench = _bench()
    bench.item()
    bench.at(DAY)
    bench.vendor.requests.clear()
    bench.pull()
    assert sum("/iterations" in r for r in bench.vendor.requests) == 2


def test_a_deleted_iteration_among_several_pages_is_noticed_when_two_walks_agree() -> None:
    bench = _bench()
    items = [bench.vendor.add(f"M{n}") for n in range(450)]
    bench.pull()
    bench.at(DAY)
    bench.vendor.remove(items[7])
    bench.pull()
    assert bench.seen(items[7]).deleted
    assert sum(not o.deleted for o in bench.known.milestones.values()) == 449


def test_a_status_of_the_companys_own_counts_where_it_is_named() -> None:
    bench = _bench(done_states=["done", "已上线"])
    item = bench.item()
    item.unknown = {"status": "已上线", "completed": None}
    bench.at(DAY)
    bench.pull()
    assert bench.seen(item).done


def test_release_reviews_come_beside_iterations_when_wished() -> None:
    bench = _bench(milestones=["iteration", "launch_form"])
    bench.item()
    signed = {"signed": "2026-11-20 12:00:00", "signer_result": "sign_agree", "signed_by": "王敏"}
    bench.vendor.forms = [form(1), form(2, **signed), form(3, signed="2026-11-20 12:00:00", signer_result="不同意")]
    bench.pull()
    reviews = {k: o for k, o in bench.known.milestones.items() if o.kind == "launch_form"}
    assert [(o.done, o.accepted, o.done_by) for o in reviews.values()] == [(False, False, None), (True, True, "王敏")]
    assert max(o.grade for o in reviews.values()) is EvidenceGrade.REVIEW
    (aside,) = bench.known.rejected.values()
    assert (aside.code, str(aside.milestone_id).partition(":")[0]) == ("STATE_UNKNOWN", "launch_form")


class Answers(httpx.AsyncBaseTransport):
    """Lists answer with an error of TAPD's own, inside HTTP 200; everything else as the fake does."""

    def __init__(self, inner: httpx.AsyncBaseTransport, status: object, times: int) -> None:
        self.inner, self.status, self.times = inner, status, times

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/iterations" and self.times:
            self.times -= 1
            return httpx.Response(200, json={"status": self.status, "data": "", "info": "To many requests"})
        return await self.inner.handle_async_request(request)


def _answering(bench: Bench, status: object, times: int) -> None:
    build = bench.info.build
    vendor, clock = Answers(bench.vendor, status, times), bench.clock
    bench.source = lambda options=None: build(
        "c", bench.vendor.options(), clock=clock.now, transport=vendor, sleep=clock.sleep
    )  # type: ignore[method-assign,misc]


def test_throttled_inside_http_200_is_waited_for() -> None:
    bench = _bench()
    item = bench.vendor.add("初验")
    _answering(bench, 429, 2)
    bench.pull()
    assert bench.seen(item)
    assert bench.clock.slept > 0


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (429, SourceUnavailable),
        (500, SourceUnavailable),
        (403, SourceRefused),
        (422, SourceRefused),
        ("weird", SourceRefused),
        (401, SourceRefused),
        (None, SourceRefused),
    ],
)
def test_errors_inside_http_200_are_errors(status: object, kind: type) -> None:
    bench = _bench()
    _answering(bench, status, 10_000)
    bench.fails(kind, bench.pull)


def test_a_zone_that_there_is_not_is_told_with_the_closest() -> None:
    bench = _bench(timezone="Asia/Shanghia")
    problem = bench.fails(SourceConfig, bench.source)
    assert "Asia/Shanghai" in problem.advice


def test_times_are_those_of_the_zone_that_was_named() -> None:
    bench = _bench(timezone="UTC")
    item = bench.item()
    bench.vendor.finish(item, at=START)
    bench.at(2 * DAY)
    bench.pull()
    done_at = bench.seen(item).done_at
    assert done_at is not None
    assert done_at.timestamp() == START + 8 * 3600  # the fake speaks in China's time
