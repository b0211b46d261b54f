"""ZenTao beyond the conformance suite: flags, nested stages, fields asked by name, sessions, passwords."""

from __future__ import annotations

from datetime import date

import httpx
import pytest

from connectors.errors import BadPayload, SourceConfig, SourceRefused
from connectors.kit.conformance import Bench
from connectors.registry import connector
from connectors.zentao.fake import ZentaoFake

DAY = 86_400


def _bench(**options: object) -> Bench:
    vendor = ZentaoFake()
    whole = vendor.options
    vendor.options = lambda **more: {**whole(), **options, **more}  # type: ignore[method-assign]
    return Bench(connector("zentao"), vendor)


def test_only_flagged_stages_are_milestones_unless_every_execution_is_wished() -> None:
    for wish, count in (("stage", 1), ("execution", 2)):
        bench = _bench(milestones=wish)
        flagged, plain = bench.vendor.add("初验"), bench.vendor.add("编码")
        bench.vendor.plain = {plain.id}
        bench.pull()
        assert len(bench.known.milestones) == count
        assert flagged.id in bench.known.milestones


def test_a_stage_that_loses_its_flag_is_no_milestone_any_more() -> None:
    bench = _bench()
    item = bench.item()
    bench.at(DAY)
    bench.vendor.plain = {item.id}
    bench.pull()
    assert bench.seen(item).deleted


def test_closed_stages_and_what_proves_their_closing_are_asked_for_by_name() -> None:
    bench = _bench()
    item = bench.item()
    bench.vendor.finish(item, by="王敏")
    bench.at(DAY)
    bench.pull()
    assert (bench.seen(item).done, bench.seen(item).done_by) == (True, "王敏")
    asked = next(r.url.params for r in bench.vendor.asked if r.url.path.endswith("/executions"))
    assert asked["status"] == "all"
    assert {"milestone", "closedBy", "closedDate", "realEnd"} <= set(asked["fields"].split(","))


def test_stages_below_stages_are_milestones_too() -> None:
    bench = _bench()
    bench.vendor.nested = True
    items = [bench.vendor.add(f"阶段 {n}") for n in range(3)]
    bench.pull()
    assert set(bench.known.milestones) == {i.id for i in items}
    bench.at(DAY)
    bench.vendor.remove(items[2])
    bench.pull()
    assert bench.seen(items[2]).deleted
    assert not bench.seen(items[1]).deleted


def test_the_end_that_people_type_counts_where_it_was_wished() -> None:
    bench = _bench(date_from="real_end")
    item = bench.item()
    bench.vendor.finish(item)
    bench.at(DAY)
    bench.pull()
    assert (bench.seen(item).done_on, bench.seen(item).done_at) == (date(2026, 11, 15), None)


def test_a_wrong_password_is_tried_once() -> None:
    bench = _bench()
    bench.fails(SourceRefused, lambda: bench.pull() if bench.check(bench.vendor.bad_options()) else None)
    assert sum("/tokens" in r for r in bench.vendor.requests) == 1


def test_a_quiet_night_costs_one_request_a_project() -> None:
    bench = _bench()
    bench.item()
    bench.at(DAY)
    bench.vendor.requests.clear()
    bench.pull()
    assert sum("/executions" in r for r in bench.vendor.requests) == 2
    assert not bench.known.news


class Odd(httpx.AsyncBaseTransport):
    """Lists come in other shapes that PHP makes."""

    def __init__(self, inner: ZentaoFake, change: str) -> None:
        self.inner, self.change = inner, change

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self.inner.handle_async_request(request)
        if not request.url.path.endswith("/executions"):
            return answer
        body = answer.json()
        if self.change == "object":
            body["executions"] = {str(r["id"]): r for r in body["executions"]}
        elif self.change == "text_total":
            body["total"] = str(body["total"])
        else:
            del body["total"], body["executions"]
        return httpx.Response(200, json=body)


def _odd(bench: Bench, change: str) -> None:
    build, vendor, clock = bench.info.build, Odd(bench.vendor, change), bench.clock
    bench.source = lambda options=None: build(
        "c", bench.vendor.options(), clock=clock.now, transport=vendor, sleep=clock.sleep
    )  # type: ignore[method-assign,misc,arg-type]


@pytest.mark.parametrize("change", ["object", "text_total"])
def test_lists_as_objects_and_totals_as_texts_are_read(change: str) -> None:
    bench = _bench()
    items = [bench.vendor.add(f"M{n}") for n in range(150)]
    _odd(bench, change)
    bench.pull()
    assert len(bench.known.milestones) == len(items)


def test_an_answer_without_its_list_is_no_empty_list() -> None:
    bench = _bench()
    _odd(bench, "nothing")
    bench.fails(BadPayload, bench.pull)


@pytest.mark.parametrize(("key", "value"), [("milestones", "sprint"), ("date_from", "today")])
def test_an_unknown_choice_is_named(key: str, value: str) -> None:
    bench = _bench(**{key: value})
    bench.fails(SourceConfig, bench.source)
