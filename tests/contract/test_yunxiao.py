"""Yunxiao against its documentation: statuses by name, days, lists that say how long they are or do not."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import partial

import pytest

from connectors.errors import BadPayload
from connectors.kit.conformance import Bench
from connectors.kit.fakes import START, Row, reply
from connectors.yunxiao.connector import CONNECTOR
from connectors.yunxiao.fake import YunxiaoFake, project_id
from models.domain.observations import Observation, Provenance


def _bench(**options: object) -> tuple[Bench, YunxiaoFake]:
    vendor = YunxiaoFake()
    bench = Bench(CONNECTOR, vendor)
    honest = partial(Bench.source, bench)
    bench.source = lambda given=None: honest(given or vendor.options(**options))  # type: ignore[method-assign, assignment]
    return bench, vendor


def _seen(changes: Row, **options: object) -> Observation:
    bench, vendor = _bench(**options)
    item = vendor.add("初验")
    vendor.finish(item, START - 86_400)
    vendor.changes[item.id] = changes
    bench.pull()
    return bench.seen(item)


def test_done_on_the_day_that_was_entered_by_nobody_in_particular() -> None:
    """The last modifier may have corrected a typing error."""
    seen = _seen({})
    assert (seen.done, seen.done_on, seen.done_at, seen.done_by) == (True, date(2026, 11, 19), None, None)
    assert (seen.state, seen.planned_on) == ("已完成", date(2026, 12, 20))
    assert (seen.date_provenance, seen.person_provenance) == (Provenance.NATIVE, Provenance.ABSENT)


@pytest.mark.parametrize(
    ("name", "options", "done"),
    [
        ("已完成", {}, True),
        ("已取消", {}, False),
        ("已完成（待确认）", {}, False),
        ("Achieved", {}, False),
        ("Achieved", {"done_states": ["Achieved"]}, True),
        ("已完成", {"done_states": ["Achieved"]}, False),
    ],
)
def test_only_a_status_that_is_named_is_done(name: str, options: Row, done: bool) -> None:
    """Also where a day of completion was left behind by an earlier status."""
    seen = _seen({"status": {"id": "s1", "displayName": name}}, **options)
    assert (seen.done, seen.done_on) == (done, date(2026, 11, 19) if done else None)


@pytest.mark.parametrize(
    ("value", "on", "at"),
    [
        ("2026-11-30", date(2026, 11, 30), None),
        ("2026-11-30T00:00:00+08:00", None, datetime(2026, 11, 29, 16, tzinfo=UTC)),
        ("2026-11-29T16:00:00.000Z", None, datetime(2026, 11, 29, 16, tzinfo=UTC)),
        (None, None, None),
        ("", None, None),
    ],
)
def test_a_day_or_an_instant_with_its_offset(value: str | None, on: date | None, at: datetime | None) -> None:
    seen = _seen({"actualEndDate": value})
    assert (seen.done, seen.done_on, seen.done_at) == (True, on, at)
    assert seen.date_provenance is (Provenance.NATIVE if value else Provenance.ABSENT)


@pytest.mark.parametrize(
    "value", ["2026-11-30 00:00:00", "2026/11/30", "1795147200000", 1795147200000, "30.11.2026", "2026-11-31"]
)
def test_any_other_form_of_a_day_waits_in_quarantine(value: object) -> None:
    """Which form it has is not documented: a wrong guess would move a date that starts a period."""
    bench, vendor = _bench()
    item = vendor.add("初验")
    vendor.finish(item)
    vendor.changes[item.id] = {"actualEndDate": value}
    bench.pull()
    assert not bench.known.milestones
    assert bench.known.rejected[f"milestone:{item.id}"].code == "PROOF_FIELD_TYPE"


@pytest.mark.parametrize(("totals", "cap"), [(True, 100), (True, 20), (False, 100), (False, 20)])
def test_a_source_that_gives_fewer_rows_a_page_hides_none(totals: bool, cap: int) -> None:
    bench, vendor = _bench()
    vendor.totals, vendor.cap = totals, cap
    items = [vendor.add(f"M{n}") for n in range(130)]
    bench.pull()
    bench.at(86_400)
    vendor.remove(items[5])
    bench.pull()
    assert sum(not o.deleted for o in bench.known.milestones.values()) == 129
    assert bench.seen(items[5]).deleted


def test_an_empty_page_that_says_there_are_rows_deletes_nothing() -> None:
    bench, vendor = _bench()
    item = vendor.add("M")
    bench.pull()
    vendor._page = lambda rows, number, size: reply([] if "subject" in str(rows) else rows, headers={"x-total": str(len(rows))})  # type: ignore[method-assign]  # fmt: skip
    with pytest.raises(BadPayload):
        bench.pull()
    assert not bench.seen(item).deleted


def test_a_quiet_night_costs_one_request_for_each_project() -> None:
    bench, vendor = _bench()
    vendor.add("M")
    bench.pull()
    before = len(vendor.requests)
    bench.pull()
    spent = [r.partition("/oapi/v1")[2] for r in vendor.requests[before:]]
    assert sum(s.endswith("/milestones") for s in spent) == 2
    assert len(spent) == 4


def test_the_dedicated_edition_has_no_organisation_in_its_paths() -> None:
    bench, vendor = _bench(organization_id="")
    vendor.dedicated = True
    item = vendor.add("M")
    bench.pull(projects=("ALPHA",))
    assert bench.seen(item).project_id == project_id(0)
    assert f"GET /oapi/v1/projex/projects/{project_id(0)}/milestones" in vendor.requests


def test_check_says_which_permission_is_missing() -> None:
    bench, vendor = _bench()
    found = bench.check()
    assert (found.account, found.projects, found.missing) == ("机器人", 2, ())
    vendor.readable = False
    assert bench.check().missing == ("项目协作 / 里程碑: 只读",)
