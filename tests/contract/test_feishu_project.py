"""Feishu Project beyond the conformance suite: nodes of flows, misleading statuses, what is asked for and what not."""

from __future__ import annotations

import httpx
import pytest

from connectors.errors import SourceConfig, SourceRefused, SourceUnavailable
from connectors.feishu_project.fake import FeishuProjectFake
from connectors.kit.conformance import Bench
from connectors.kit.fakes import START, Row, body_of
from connectors.registry import connector

DAY = 86_400


def _bench(**options: object) -> Bench:
    vendor = FeishuProjectFake()
    whole = vendor.options
    vendor.options = lambda **more: {**whole(), **options, **more}  # type: ignore[method-assign]
    return Bench(connector("feishu_project"), vendor)


def _node(key: str, status: int = 1, **changes: object) -> Row:
    finished = {"actual_finish_time": str((START + DAY) * 1000)} if status == 3 else {}
    row: Row = {
        "id": key,
        "state_key": key,
        "name": f"节点 {key}",
        "status": status,
        "milestone": True,
        "owners": [],
        **finished,
    }
    return {**row, **changes}


def _with_nodes(*nodes: Row, **options: object) -> tuple[Bench, str]:
    bench = _bench(milestones=["node"], **options)
    item = bench.vendor.add("初验")
    item.unknown = {"pattern": "Node"}
    bench.vendor.nodes = {item.id: list(nodes)}
    return bench, item.id


def test_flagged_and_named_nodes_are_milestones_called_after_item_and_node() -> None:
    bench, item = _with_nodes(
        _node("a"), _node("b", milestone=False), _node("c", milestone=False, name="验收"), nodes=["验收"]
    )
    bench.pull()
    assert {k: o.name for k, o in bench.known.milestones.items()} == {
        f"node:{item}/a": "初验 / 节点 a",
        f"node:{item}/c": "初验 / 验收",
    }


def test_a_node_that_was_passed_is_done_and_rolled_back_it_is_open_again() -> None:
    checks = [{"owner": "75", "checked_time": (START + DAY) * 1000, "status": 1}]
    bench, item = _with_nodes(_node("a"))
    bench.pull()
    for day, status in ((2, 3), (3, 2)):
        bench.at(day * DAY)
        bench.vendor.nodes[item] = [_node("a", status, sub_status=checks)]
        bench.vendor.items[item].updated_at = bench.vendor.now
        bench.pull()
        seen = bench.known.milestones[f"node:{item}/a"]
        assert (seen.done, seen.done_by) == ((True, "75") if status == 3 else (False, None))
    assert seen.done_at is None


def test_flows_are_asked_for_only_when_an_item_changed() -> None:
    bench, item = _with_nodes(_node("a"))
    bench.at(DAY)
    bench.pull()
    bench.at(2 * DAY)
    bench.vendor.requests.clear()
    bench.pull()
    assert not any("workflow" in r for r in bench.vendor.requests)
    assert sum("filter" in r for r in bench.vendor.requests) <= 2 + 2  # the other space is empty, not unknown
    assert not bench.known.news
    bench.at(3 * DAY)
    bench.vendor.items[item].updated_at = bench.vendor.now
    bench.pull()
    assert any("workflow" in r for r in bench.vendor.requests)


def test_every_few_days_all_flows_are_asked_for_though_no_item_changed() -> None:
    bench, item = _with_nodes(_node("a"), reconcile_days=3)
    bench.pull()
    bench.vendor.nodes[item] = [_node("a", 3)]
    bench.at(4 * DAY)
    bench.pull()
    assert bench.known.milestones[f"node:{item}/a"].done


def test_a_deleted_item_takes_its_nodes_with_it() -> None:
    bench, item = _with_nodes(_node("a"))
    bench.at(DAY)
    bench.pull()
    bench.at(2 * DAY)
    bench.vendor.remove(bench.vendor.items[item])
    bench.pull()
    assert bench.known.milestones[f"node:{item}/a"].deleted


def test_an_item_that_goes_while_flows_are_read_does_not_stop_the_others() -> None:
    bench, item = _with_nodes(_node("a"))
    other = bench.vendor.add("终验")
    other.unknown = {"pattern": "Node"}
    bench.vendor.nodes[other.id] = [_node("z")]
    bench.vendor.gone = {item}
    bench.pull()
    assert f"node:{other.id}/z" in bench.known.milestones


def test_items_in_a_flow_of_states_have_no_nodes_and_are_not_asked_for_them() -> None:
    bench = _bench(milestones=["item", "node"])
    item = bench.item()  # pattern: State
    assert set(bench.known.milestones) == {f"item:{item.id}"}
    assert not any("workflow" in r for r in bench.vendor.requests)


class Says(httpx.AsyncBaseTransport):
    """Lists answer with an error of Feishu's own."""

    def __init__(self, inner: httpx.AsyncBaseTransport, status: int, code: int) -> None:
        self.inner, self.status, self.code = inner, status, code

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/filter"):
            return httpx.Response(self.status, json={"err_code": self.code, "err_msg": "…", "err": {}})
        return await self.inner.handle_async_request(request)


@pytest.mark.parametrize(
    ("status", "code", "kind", "said"),
    [
        (401, 10301, SourceRefused, "no_permission"),  # not a token that ended
        (403, 10211, SourceRefused, "not_authorised"),  # a token that ended, for good
        (403, 10404, SourceRefused, "no_permission"),
        (200, 10429, SourceUnavailable, "too_many_requests"),
        (429, 10429, SourceUnavailable, "too_many_requests"),
        (200, 50006, SourceUnavailable, "system_failed"),
        (200, 20003, SourceRefused, "vendor_refused"),
        (400, 99999, SourceRefused, "vendor_refused"),
    ],
)
def test_errors_count_by_their_code_not_by_the_status(status: int, code: int, kind: type, said: str) -> None:
    bench = _bench()
    build, vendor, clock = bench.info.build, Says(bench.vendor, status, code), bench.clock
    bench.source = lambda options=None: build(
        "c", bench.vendor.options(), clock=clock.now, transport=vendor, sleep=clock.sleep
    )  # type: ignore[method-assign,misc]
    assert bench.fails(kind, bench.pull).trouble.code == said
    tokens = sum("plugin_token" in r for r in bench.vendor.requests)
    assert 2 <= tokens <= 4 if code == 10211 else tokens == 1


def test_only_the_named_types_are_asked_for() -> None:
    bench = _bench()
    bench.item()
    asked = [body_of(r) for r in bench.vendor.asked if r.url.path.endswith("/filter")]
    assert all(a["work_item_type_keys"] == ["milestone"] and a["page_size"] <= 200 for a in asked)


def test_a_type_that_the_space_does_not_have_is_told() -> None:
    bench = _bench(type_keys=["nothing"])
    assert bench.fails(SourceRefused, bench.pull).trouble.code == "no_permission"


def test_an_unknown_kind_is_named() -> None:
    bench = _bench(milestones=["version"])
    bench.fails(SourceConfig, bench.source)
