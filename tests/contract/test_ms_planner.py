"""Planner beyond the conformance suite: buckets, links to other hosts, several pages, what the tenant refuses."""

from __future__ import annotations

from connectors.errors import SourceConfig, SourceRefused
from connectors.kit.conformance import Bench
from connectors.ms_planner.fake import GROUP, PlannerFake
from connectors.registry import connector

DAY = 86_400


def _bench(**options: object) -> Bench:
    vendor = PlannerFake()
    whole = vendor.options
    vendor.options = lambda **more: {**whole(), **options, **more}  # type: ignore[method-assign]
    return Bench(connector("ms_planner"), vendor)


def test_only_tasks_of_named_buckets_are_milestones() -> None:
    bench = _bench(buckets=["里程碑"])
    inside, outside = bench.vendor.add("初验"), bench.vendor.add("会议")
    bench.vendor.bucket_of[outside.id] = "elsewhere"
    bench.pull()
    assert set(bench.known.milestones) == {inside.id}


def test_a_task_that_leaves_its_bucket_is_no_milestone_any_more() -> None:
    bench = _bench(buckets=["里程碑"])
    item = bench.item()
    bench.at(DAY)
    bench.vendor.bucket_of[item.id] = "elsewhere"
    bench.pull()
    assert bench.seen(item).deleted


def test_our_token_does_not_follow_a_link_to_another_host() -> None:
    bench = _bench()
    for number in range(150):
        bench.vendor.add(f"M{number}")
    bench.vendor.foreign_link = True
    problem = bench.fails(SourceRefused, bench.pull)
    assert problem.trouble.code == "other_host"
    assert not any(r.url.host == "evil.example" for r in bench.vendor.asked)


def test_a_quiet_night_costs_one_request_a_page() -> None:
    bench = _bench()
    for number in range(60):
        bench.vendor.add(f"M{number}", number % 2)
    bench.pull()
    bench.at(DAY)
    bench.vendor.requests.clear()
    bench.pull()
    assert sum("/tasks" in r for r in bench.vendor.requests) == 2
    assert not bench.known.news


def test_a_plan_of_several_pages_is_believed_when_two_walks_agree() -> None:
    bench = _bench()
    items = [bench.vendor.add(f"M{number}") for number in range(150)]
    bench.pull()
    bench.at(DAY)
    bench.vendor.requests.clear()
    bench.pull()
    assert sum("/tasks" in r for r in bench.vendor.requests) == 3  # two pages, as last night; one of the other plan
    bench.vendor.remove(items[120])
    bench.pull()
    assert bench.seen(items[120]).deleted


def test_a_group_that_the_application_may_not_see_is_refused_in_words() -> None:
    bench = _bench(groups=["other-group"])
    problem = bench.fails(SourceRefused, bench.check)
    assert problem.trouble.code == "no_permission"


def test_a_login_address_that_is_none_is_a_mistake_in_the_configuration() -> None:
    bench = _bench(login_url="ftp://x")
    bench.fails(SourceConfig, bench.source)


def test_the_scope_is_that_of_the_cloud_that_is_asked() -> None:
    bench = _bench(base_url="https://microsoftgraph.chinacloudapi.cn", login_url="https://login.chinacloudapi.cn")
    bench.fails(SourceRefused, bench.check)  # the fake knows the world's cloud only
    assert bench.vendor.asked[0].url.host == "login.chinacloudapi.cn"
    assert b"microsoftgraph.chinacloudapi.cn%2F.default" in bench.vendor.asked[0].content
    assert bench.vendor.options()["groups"] == [GROUP]
