"""Project for the web beyond the conformance suite: filters, columns, throttling codes, GUIDs."""

from __future__ import annotations

import httpx
import pytest

from connectors.errors import BadPayload, SourceConfig, SourceRefused
from connectors.kit.conformance import Bench
from connectors.ms_project import fake, mapping
from connectors.ms_project.fake import COLUMNS, TASKS, ProjectFake
from connectors.registry import connector

DAY = 86_400


def _bench(**options: object) -> Bench:
    vendor = ProjectFake()
    whole = vendor.options
    vendor.options = lambda **more: {**whole(), **options, **more}  # type: ignore[method-assign]
    return Bench(connector("ms_project"), vendor)


@pytest.mark.parametrize(("wish", "count"), [("milestone", 1), ("task", 2)])
def test_milestones_are_the_flagged_tasks_or_all(wish: str, count: int) -> None:
    bench = _bench(milestones=wish)
    bench.vendor.add("初验")
    bench.vendor.plain = {bench.vendor.add("编码").id}
    bench.pull()
    assert len(bench.known.milestones) == count


def test_a_task_that_is_no_milestone_any_more_is_gone() -> None:
    bench = _bench()
    item = bench.item()
    bench.at(DAY)
    bench.vendor.plain = {item.id}
    bench.pull()
    assert bench.seen(item).deleted


def test_every_column_that_is_asked_for_is_known_and_a_missing_one_is_told_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert set(mapping.COLUMNS) <= COLUMNS[TASKS]
    monkeypatch.setitem(COLUMNS, TASKS, COLUMNS[TASKS] - {"msdyn_actualend"})
    bench = _bench()
    problem = bench.fails(SourceRefused, bench.pull)
    assert (problem.trouble.code, problem.trouble.params["column"]) == ("dataverse_column", "msdyn_actualend")


class Throttled(httpx.AsyncBaseTransport):
    """Refuses tasks with one of Dataverse's throttling codes, twice."""

    def __init__(self, inner: httpx.AsyncBaseTransport, code: str) -> None:
        self.inner, self.code, self.times = inner, code, 2

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(TASKS) and self.times:
            self.times -= 1
            return httpx.Response(
                429, headers={"Retry-After": "7"}, json={"error": {"code": self.code, "message": "…"}}
            )
        return await self.inner.handle_async_request(request)


@pytest.mark.parametrize("code", ["0x80072322", "0x80072321", "0x80072326"])
def test_service_protection_is_waited_for_as_long_as_it_asks(code: str) -> None:
    bench = _bench()
    item = bench.vendor.add("初验")
    build, vendor, clock = bench.info.build, Throttled(bench.vendor, code), bench.clock
    bench.source = lambda options=None: build(
        "c", bench.vendor.options(), clock=clock.now, transport=vendor, sleep=clock.sleep
    )  # type: ignore[method-assign,misc]
    bench.pull()
    assert bench.seen(item)
    assert bench.clock.slept >= 14


def test_a_project_whose_id_is_no_guid_gets_into_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = {"msdyn_projectid": "x' or msdyn_ismilestone eq false", "msdyn_subject": "ALPHA", "statecode": 0}
    monkeypatch.setattr(fake, "_project", lambda _n: bad)
    bench = _bench()
    bench.fails(BadPayload, bench.pull)
    assert not any(r.url.path.endswith(TASKS) for r in bench.vendor.asked)


def test_a_quiet_night_costs_one_request_a_project() -> None:
    bench = _bench()
    bench.item()
    bench.at(DAY)
    bench.vendor.requests.clear()
    bench.pull()
    assert sum(TASKS in r for r in bench.vendor.requests) == 2


def test_two_projects_of_one_name_are_known_by_their_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "PROJECTS", (("ALPHA", ""), ("ALPHA", "")))
    bench = _bench()
    item = bench.item()
    assert bench.seen(item).project_key == "0b6b7a40-0000-ed11-8e2f-000000000000"


def test_an_unknown_kind_is_named() -> None:
    bench = _bench(milestones="epic")
    bench.fails(SourceConfig, bench.source)
