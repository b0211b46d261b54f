"""Teambition beyond the conformance suite: tasks by a query, errors inside HTTP 200, headers, several pages."""

from __future__ import annotations

import httpx
import pytest

from connectors.errors import SourceConfig, SourceRefused, SourceUnavailable
from connectors.kit.conformance import Bench
from connectors.registry import connector
from connectors.teambition.fake import ORG, TeambitionFake, task

DAY = 86_400
QUERY = "scenarioId = 637664d214a5d6004073215f"


def _bench(**options: object) -> Bench:
    vendor = TeambitionFake()
    whole = vendor.options
    vendor.options = lambda **more: {**whole(), **options, **more}  # type: ignore[method-assign]
    return Bench(connector("teambition"), vendor)


def test_tasks_are_those_that_the_query_picks_and_none_from_the_bin() -> None:
    bench = _bench(milestones=["task"], tasks=QUERY)
    bench.vendor.tasks = [task(1), task(2, isDone=True, accomplishTime="2026-11-20T03:00:00.000Z")]
    bench.pull()
    assert {o.done for o in bench.known.milestones.values()} == {True, False}
    assert set(bench.vendor.queries) == {f"({QUERY}) AND isArchived = false ORDER BY created ASC"}


def test_tasks_without_a_query_would_be_all_of_them_and_are_refused() -> None:
    bench = _bench(milestones=["sprint", "task"], tasks=" ")
    problem = bench.fails(SourceConfig, bench.source)
    assert "tasks" in str(problem)


def test_sprints_and_tasks_come_and_go_by_themselves() -> None:
    bench = _bench(milestones=["sprint", "task"], tasks=QUERY)
    sprint = bench.vendor.add("迭代一")
    bench.vendor.tasks = [task(1)]
    bench.pull()
    assert len(bench.known.milestones) == 2
    bench.at(DAY)
    bench.vendor.tasks = []
    bench.pull()
    assert not bench.seen(sprint).deleted
    assert [o.deleted for o in bench.known.milestones.values() if o.kind == "task"] == [True]


def test_the_organisation_and_the_operator_are_in_every_request() -> None:
    bench = _bench(operator_id="614b8b746ce83b42a92d1cdc")
    bench.pull()
    asked = [r for r in bench.vendor.asked if not r.url.path.endswith("/appToken")]
    assert {r.headers["x-operator-id"] for r in asked} == {"614b8b746ce83b42a92d1cdc"}
    assert {(r.headers["x-tenant-id"], r.headers["x-tenant-type"]) for r in asked} == {(ORG, "organization")}


class Says(httpx.AsyncBaseTransport):
    """Sprints answer with a code of Teambition's own, inside HTTP 200."""

    def __init__(self, inner: httpx.AsyncBaseTransport, code: object, times: int) -> None:
        self.inner, self.code, self.times = inner, code, times

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/sprint/search") and self.times:
            self.times -= 1
            return httpx.Response(200, json={"code": self.code, "errorMessage": "…", "result": None})
        return await self.inner.handle_async_request(request)


def _saying(bench: Bench, code: object, times: int = 10_000) -> None:
    build, vendor, clock = bench.info.build, Says(bench.vendor, code, times), bench.clock
    bench.source = lambda options=None: build(
        "c", bench.vendor.options(), clock=clock.now, transport=vendor, sleep=clock.sleep
    )  # type: ignore[method-assign,misc]


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (421, SourceRefused, "vendor_refused"),
        (403, SourceRefused, "no_permission"),
        (401, SourceRefused, "not_authorised"),
        (429, SourceUnavailable, "too_many_requests"),
        (503, SourceUnavailable, "system_failed"),
        ("NoPermission", SourceRefused, "vendor_refused"),
    ],
)
def test_errors_inside_http_200_are_errors(code: object, kind: type, said: str) -> None:
    bench = _bench()
    _saying(bench, code)
    assert bench.fails(kind, bench.pull).trouble.code == said


def test_throttled_inside_http_200_is_waited_for() -> None:
    bench = _bench()
    item = bench.vendor.add("初验")
    _saying(bench, 429, 2)
    bench.pull()
    assert bench.seen(item)


def test_a_quiet_night_costs_one_request_a_project() -> None:
    bench = _bench()
    bench.item()
    bench.at(DAY)
    bench.vendor.requests.clear()
    bench.pull()
    assert sum("/sprint/search" in r for r in bench.vendor.requests) == 2
    assert not bench.known.news


def test_sprints_of_several_pages_are_believed_when_two_walks_agree() -> None:
    bench = _bench()
    items = [bench.vendor.add(f"迭代 {n}") for n in range(150)]
    bench.pull()
    bench.at(DAY)
    bench.vendor.remove(items[140])
    bench.pull()
    assert bench.seen(items[140]).deleted
    assert not bench.seen(items[139]).deleted


@pytest.mark.parametrize("kind", ["sprint", "task"])
def test_what_lies_in_the_bin_is_deleted_whatever_its_state(kind: str) -> None:
    bench = _bench(milestones=[kind], tasks=QUERY)
    item = bench.vendor.add("初验")
    bench.vendor.finish(item)
    item.unknown = {"isDeleted": True}
    bench.vendor.tasks = [task(1, isDone=True, accomplishTime="2026-11-20T03:00:00.000Z", isDeleted=True)]
    bench.pull()
    (seen,) = bench.known.milestones.values()
    assert seen.deleted
    assert "isDeleted" not in seen.extra
