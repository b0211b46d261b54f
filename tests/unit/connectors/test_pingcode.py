"""PingCode beyond the conformance suite: states, histories, reviews, both generations, the vendor's description."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.errors import BadPayload
from connectors.kit.conformance import Bench
from connectors.kit.fakes import START, Fault
from connectors.pingcode.fake import PingCodeFake
from connectors.registry import connector
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Provenance
from tests.unit.sandbox.vendor_description import PAGING, blank, load

HOUR = 3600


def _bench(area: str = "pjm", **options) -> Bench:
    vendor = PingCodeFake(area)
    bench = Bench(connector("pingcode"), vendor)
    whole = vendor.options
    vendor.options = lambda **more: whole(**options, **more)  # type: ignore[method-assign]
    return bench


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(START + seconds, UTC)


@pytest.mark.parametrize("area", ["pjm", "project"])
def test_auto_finds_the_generation(area: str) -> None:
    assert _bench(area).check().facts == {"api": area}


def test_a_bulk_change_leaves_no_history_and_proves_nothing() -> None:
    bench = _bench()
    item = bench.vendor.add("初验")
    bench.vendor.finish(item)
    item.history.clear()
    bench.pull()
    seen = bench.seen(item)
    assert (seen.done, seen.unproven, seen.done_by, seen.grade) == (True, True, None, EvidenceGrade.STATE)


def test_the_history_must_agree_with_the_state() -> None:
    """The last row says reopened, the item says completed: a silent change came after."""
    bench = _bench()
    item = bench.vendor.add("初验")
    bench.vendor.finish(item, START)
    bench.vendor.reopen(item, START + HOUR)
    item.done, item.done_at = True, START + 2 * HOUR
    bench.pull()
    assert bench.seen(item).unproven


def test_a_stale_completion_date_yields_to_the_history() -> None:
    bench = _bench()
    item = bench.vendor.add("初验")
    for hours, done in ((0, True), (1, False), (2, True)):
        (bench.vendor.finish if done else bench.vendor.reopen)(item, START + hours * HOUR)
    item.done_at = START  # of the first time
    bench.pull()
    seen = bench.seen(item)
    assert (seen.done_at, seen.date_provenance, seen.done_by) == (_at(2 * HOUR), Provenance.HISTORY, "李强")
    assert [h.done for h in seen.history] == [False, True, False, True]


def test_ignored_filters_bring_nothing_that_was_not_asked_for() -> None:
    bench = _bench("project")
    mine, other = bench.vendor.add("mine"), bench.vendor.add("other", 1)
    bench.vendor.ignore_filters = True
    bench.pull(projects=("ALPHA",))
    assert set(bench.known.milestones) == {mine.id}
    bench.at(2 * 86_400)
    bench.pull(projects=("ALPHA",))
    bench.at(5 * 86_400)
    bench.vendor.rename(other, "moved on")
    bench.pull(projects=("ALPHA",))
    assert (bench.known.told, bench.known.news) == (0, [])  # old news are recognised, though they came again


def test_a_closed_state_is_not_done_unless_it_is_named() -> None:
    closed = {"id": "s9", "name": "已关闭", "type": "closed"}
    from connectors.pingcode.mapping import Meaning

    assert not Meaning().is_done(closed)
    assert Meaning(done=("已关闭",)).is_done(closed)
    assert Meaning(done=("s9",)).is_done(closed)
    assert Meaning(accepted=("已验收",)).is_done({"id": "s8", "name": "已验收", "type": "completed"})


def test_a_completed_review_is_an_acceptance_with_person_and_date() -> None:
    bench = _bench(reviews=True)
    item = bench.item()
    bench.at(HOUR)
    bench.vendor.finish(item)
    bench.pull()
    assert not bench.seen(item).accepted
    bench.at(2 * HOUR)
    review = {
        "id": "r1", "status": "completed", "pilot": {"id": bench.seen(item).project_id}, "created_at": START, "updated_at": START + 2 * HOUR,
        "completed_at": START + 2 * HOUR, "completed_by": {"id": "u", "name": "zhou", "display_name": "周总"}, "items": [item.id],
    }  # fmt: skip
    bench.vendor.reviews.append(review)
    bench.pull()  # the item itself did not change
    seen = bench.seen(item)
    assert (seen.accepted, seen.accepted_at, seen.done_by, seen.grade) == (
        True,
        _at(2 * HOUR),
        "周总",
        EvidenceGrade.REVIEW,
    )
    assert seen.done_at == _at(HOUR)
    bench.vendor.reviews.append(
        {**review, "id": "r2", "status": "in_progress", "created_at": START + 3 * HOUR, "updated_at": START + 3 * HOUR}
    )
    bench.pull()
    assert not bench.seen(item).accepted  # a new review has begun


def test_sprints_and_releases() -> None:
    bench = _bench(milestones=["milestone", "sprint", "release"])
    at = {"updated_at": START, "end_at": START}
    bench.vendor.sprints = [
        {"id": "sp1", "name": "S1", "status": "completed", "completed_at": START - 5, **at},
        {"id": "sp2", "name": "S2", "status": "completed", "completed_at": None, **at},  # set by a script
        {"id": "sp3", "name": "S3", "status": "done", **at},
    ]
    stage = {"id": "st", "name": "已发布", "type": "published"}
    bench.vendor.releases = [
        {"id": "re1", "name": "V1", "stage": stage, "operate_at": START - 9, "progress": 33.33, **at},
        {"id": "re2", "name": "V2", "stage": stage, "operate_at": START, "progress": 101, **at},
    ]
    known = bench.pull()
    assert {k: (o.done, o.unproven) for k, o in known.milestones.items()} == {
        "sp1": (True, False),
        "sp2": (True, True),
        "re1": (True, False),
    }
    assert {k: r.code for k, r in known.rejected.items()} == {"sp3": "STATE_UNKNOWN", "re2": "PERCENT_RANGE"}
    assert known.milestones["re1"].percent_bp == 3333
    bench.vendor.releases.pop(0)
    bench.pull(full=True)
    assert bench.known.milestones["re1"].deleted
    assert not bench.known.milestones["sp1"].deleted


def test_a_deliverable_is_done_once_it_has_content() -> None:
    bench = _bench(milestones=["milestone", "deliverable"])
    item = bench.item()
    project = {"id": bench.seen(item).project_id}
    row = {"content_type": None, "content": None, "project": project, "updated_at": START}
    link = {"content_type": "link", "content": {"name": "R", "href": "https://example.com/r"}}
    bench.vendor.deliverables = [
        {**row, "id": "d1", "name": "初验报告", **link},
        {**row, "id": "d2", "name": "终验报告"},
        {**row, "id": "d3", "name": "x", "content": "yes"},
        {**row, "id": "d4", "name": "y", "project": {"id": "another"}, **link},
        {k: v for k, v in {**row, "id": "d5", "name": "z"}.items() if k != "content"},
    ]
    bench.vendor.ignore_filters = True
    bench.pull()
    seen = bench.known.milestones["d1"]
    assert (seen.kind, seen.name, seen.done, seen.done_at, seen.done_by) == (
        "deliverable",
        "初验报告",
        True,
        _at(0),
        None,
    )
    assert (seen.grade, seen.date_provenance) == (EvidenceGrade.STATE, Provenance.FIRST_OBSERVED)
    assert seen.url == "https://example.com/r"
    assert not bench.known.milestones["d2"].done
    assert "d4" not in bench.known.milestones
    assert {k: r.code for k, r in bench.known.rejected.items()} == {
        "d3": "PROOF_FIELD_TYPE",
        "d5": "PROOF_FIELD_MISSING",
    }
    bench.vendor.deliverables.pop(0)
    bench.pull(full=True)
    assert bench.known.milestones["d1"].deleted


def test_project_progress_in_basis_points() -> None:
    bench = _bench(progress=True)
    for number in range(3):
        item = bench.vendor.add(f"M{number}")
        if number == 0:
            bench.vendor.finish(item)
    bench.pull()
    found = [o for o in bench.known.milestones.values() if o.kind == "project"]
    assert {(o.percent_bp, o.done, o.grade) for o in found} == {(3333, False, EvidenceGrade.NUMBER)}


def test_everything_is_read_again_once_a_week() -> None:
    """Bulk changes and moves may leave no trace in the list of changes."""
    bench = _bench()
    item = bench.item()
    bench.at(3 * 86_400)
    bench.pull()
    item.name = "renamed without a trace"
    bench.at(6 * 86_400)
    bench.pull()
    assert bench.seen(item).name == "初验"
    bench.at(8 * 86_400)
    bench.pull()
    assert bench.seen(item).name == "renamed without a trace"


def test_a_version_without_search_is_read_whole() -> None:
    bench = _bench()
    item = bench.item()
    bench.at(86_400)
    bench.vendor.finish(item)
    bench.vendor.faults.append(Fault("status", 99, 404, path="/search"))
    bench.pull()
    assert bench.seen(item).done


def test_a_server_that_sends_another_page_than_asked_is_stopped() -> None:
    bench = _bench()
    page = bench.vendor._page
    bench.vendor._page = lambda rows, given: page(rows, {**given, "page_index": 1})  # type: ignore[method-assign]
    with pytest.raises(BadPayload, match="asked for page 0"):
        bench.pull()


@pytest.mark.shared
def test_what_we_ask_is_in_the_vendors_description(shared_dir: Path) -> None:
    """Paths and parameters of the older generation, against the vendor's own data file."""
    described = load(shared_dir / "specs" / "pingcode_api_data.json")
    bench = _bench(
        "project",
        milestones=["milestone", "sprint", "release", "deliverable"],
        progress=True,
        reviews=True,
        api_flavour="project",
    )
    item = bench.item()
    bench.at(HOUR)
    bench.vendor.finish(item)
    review = {
        "id": "64ee00000000000000000001",
        "status": "pending",
        "pilot": {"id": bench.seen(item).project_id},
        "updated_at": 1,
        "items": [item.id],
    }
    bench.vendor.reviews.append(review)
    bench.pull()
    bench.check()
    asked = {(r.method, _blank(r.url.path)): r for r in bench.vendor.asked}
    assert len(asked) >= 10
    for (method, path), request in asked.items():
        known = described[method, path]
        names = set(request.url.params) - set(PAGING)
        assert names <= known.parameters, f"{method} {path}: {names - known.parameters}"
        wanted = set() if path.endswith("/token") else known.required  # three kinds of token calls share the path
        assert wanted <= names, f"{method} {path}: {wanted - names}"


def _blank(path: str) -> str:
    return blank(re.sub(r"/[0-9a-f]{24}", "/{x}", path.removeprefix("/open")))
