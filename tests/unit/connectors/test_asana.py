"""Asana beyond the conformance suite: approvals, custom types, tasks in several projects, long projects."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import partial

import pytest

from connectors.asana.connector import CONNECTOR
from connectors.asana.fake import AsanaFake, completed, task
from connectors.errors import SourceConfig
from connectors.kit.conformance import Bench
from connectors.kit.fakes import START, Row
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Observation, Provenance


def _bench(**options: object) -> tuple[Bench, AsanaFake]:
    vendor = AsanaFake()
    bench = Bench(CONNECTOR, vendor)
    _set(bench, **options)
    return bench, vendor


def _set(bench: Bench, **options: object) -> None:
    """The connection is configured so from now on."""
    honest = partial(Bench.source, bench)
    bench.source = lambda given=None: honest(given or bench.vendor.options(**options))  # type: ignore[method-assign, assignment]


def _seen(row: Row, **options: object) -> Observation:
    bench, vendor = _bench(**options)
    vendor.tasks = [(0, row)]
    bench.pull()
    return bench.known.milestones[f"task:{row['gid']}"]


@pytest.mark.parametrize(
    ("verdict", "done", "is_completed"),
    [
        ("approved", True, True),
        ("rejected", False, True),
        ("changes_requested", False, True),
        ("pending", False, False),
        ("approved", False, False),
    ],
)
def test_an_approval_is_done_only_where_it_was_approved(verdict: str, done: bool, is_completed: bool) -> None:
    """Rejected and sent back are `completed` too, with a date and a person."""
    row = task(1, resource_subtype="approval", approval_status=verdict, **(completed(START) if is_completed else {}))
    seen = _seen(row, milestones=["approval"])
    assert (seen.state, seen.done, seen.accepted) == (verdict, done, done)
    assert seen.done_at == (datetime.fromtimestamp(START, UTC) if done else None)
    assert seen.done_by == ("李强" if done else None)
    assert seen.grade is (EvidenceGrade.REVIEW if done else EvidenceGrade.STATE)


@pytest.mark.parametrize(("verdict", "code"), [(None, "PROOF_FIELD_MISSING"), ("waived", "STATE_UNKNOWN")])
def test_an_approval_without_a_known_verdict_waits_in_quarantine(verdict: str | None, code: str) -> None:
    bench, vendor = _bench(milestones=["approval"])
    vendor.tasks = [(0, task(1, resource_subtype="approval", approval_status=verdict, **completed(START)))]
    bench.pull()
    assert not bench.known.milestones
    assert bench.known.rejected["task:1"].code == code


@pytest.mark.parametrize(("status", "done"), [("Deployed", True), ("Won't do", False), (None, True)])
def test_a_custom_type_ends_in_statuses_that_are_not_done(status: str | None, done: bool) -> None:
    option = {"gid": "3", "name": status} if status else None
    row = task(1, resource_subtype="custom", custom_type={"gid": "2", "name": "Acceptance"}, custom_type_status_option=option, **completed(START))  # fmt: skip
    assert _seen(row, milestones=["type:Acceptance"]).done is done


def test_what_is_no_milestone_by_the_configuration_is_not_told() -> None:
    bench, vendor = _bench(milestones=["milestone", "section:Payments"])
    vendor.sections = {0: ["To do", "Payments"], 1: ["To do", "Payments"]}
    elsewhere = task(4, [0, 1])
    elsewhere["memberships"][1]["section"]["name"] = "Payments"  # of the other project
    vendor.tasks = [(0, task(1)), (0, task(2, section="Payments")), (0, task(3, resource_subtype="approval")), (0, elsewhere)]  # fmt: skip
    bench.pull()
    assert set(bench.known.milestones) == {"task:2"}


def test_a_milestone_that_becomes_a_plain_task_is_gone() -> None:
    bench, vendor = _bench()
    vendor.tasks = [(0, task(1, resource_subtype="milestone", **completed(START)))]
    bench.pull()
    assert bench.known.milestones["task:1"].done
    vendor.tasks[0][1]["resource_subtype"] = "default_task"
    bench.at(7200)
    bench.pull()
    assert bench.known.milestones["task:1"].deleted


def test_a_task_in_two_projects_is_a_milestone_in_each_and_stays_so() -> None:
    """A roll-up project holds the tasks of others: the one with the lowest id is the home."""
    bench, vendor = _bench()
    item = vendor.add("初验", project=1)
    vendor.also_in[item.id] = [0]
    bench.pull()
    told = {k: o.project_key for k, o in bench.known.milestones.items()}
    assert told == {f"task:{item.id}": "ALPHA", f"task:{item.id}@501": "BETA"}
    bench.at(86_400)
    vendor.spoil(item, "missing")
    bench.pull()
    assert set(bench.known.rejected) == set(told)
    assert not any(o.deleted for o in bench.known.milestones.values())
    item.spoiled = ""
    vendor.also_in.clear()
    bench.pull()
    assert bench.known.milestones[f"task:{item.id}"].project_key == "BETA"
    assert bench.known.milestones[f"task:{item.id}@501"].deleted


@pytest.mark.parametrize(
    ("changes", "at", "by", "dates", "grade"),
    [
        (completed(START), START, "李强", Provenance.NATIVE, EvidenceGrade.HISTORY),
        (completed(START, None), START, None, Provenance.NATIVE, EvidenceGrade.STATE),
        ({"completed": True}, START - 60, None, Provenance.FIRST_OBSERVED, EvidenceGrade.STATE),
        ({"completed_at": "2026-11-01T00:00:00.000Z"}, None, None, Provenance.ABSENT, EvidenceGrade.STATE),
    ],
)
def test_when_and_who(changes: Row, at: int | None, by: str | None, dates: Provenance, grade: EvidenceGrade) -> None:
    """A rule completes without a person; an open task's old date is none."""
    modified = datetime.fromtimestamp(START - 60, UTC).isoformat()
    seen = _seen(task(1, resource_subtype="milestone", modified_at=modified, **changes))
    assert seen.done_at == (None if at is None else datetime.fromtimestamp(at, UTC))
    assert (seen.done_by, seen.date_provenance, seen.grade) == (by, dates, grade)


def test_a_due_moment_goes_before_a_due_day() -> None:
    assert _seen(task(1, resource_subtype="milestone")).planned_on == date(2026, 12, 20)
    seen = _seen(task(1, resource_subtype="milestone", due_at="2026-12-20T08:00:00.000Z"))
    assert (seen.planned_at, seen.planned_on) == (datetime(2026, 12, 20, 8, tzinfo=UTC), None)


def test_a_link_that_is_no_web_address_is_none() -> None:
    assert _seen(task(1, resource_subtype="milestone", permalink_url="javascript:alert(1)")).url is None


def _spent(bench: Bench, vendor: AsanaFake) -> list[str]:
    before = len(vendor.requests)
    bench.pull()
    return [r.removeprefix("GET /api/1.0") for r in vendor.requests[before:]]


def test_a_quiet_night_costs_one_request_for_a_project_and_two_for_a_long_one() -> None:
    bench, vendor = _bench()
    for n in range(450):
        vendor.add(f"M{n}")
    bench.at(3600)
    bench.pull()
    assert len(bench.known.milestones) == 450
    for night in (1, 2):
        bench.at(night * 86_400)
        spent = _spent(bench, vendor)
        assert spent.count("/tasks") == 2  # one of each project
        assert spent.count("/projects/500/task_counts") == 1
        assert len(spent) == 6
        assert not bench.known.told


def test_the_first_night_reads_a_long_project_once() -> None:
    bench, vendor = _bench()
    for n in range(1000):
        vendor.add(f"M{n}")
    assert (
        _spent(bench, vendor).count("/tasks") == 12
    )  # ten pages, the first again after the counting, the other project


def test_a_long_project_where_something_happened_is_read_whole() -> None:
    bench, vendor = _bench()
    items = [vendor.add(f"M{n}") for n in range(150)]
    bench.pull()
    bench.at(86_400)
    vendor.remove(items[7])
    vendor.finish(vendor.add("new"))  # as many as before
    bench.pull()
    assert bench.seen(items[7]).deleted
    assert len(bench.known.milestones) == 151


def test_other_rules_tell_a_long_project_again() -> None:
    bench, vendor = _bench()
    for n in range(150):
        vendor.add(f"M{n}")
    vendor.tasks = [(0, task(1, resource_subtype="approval", approval_status="approved", **completed(START)))]
    bench.pull()
    _set(bench, milestones=["milestone", "approval"])
    bench.at(86_400)
    bench.pull()
    assert bench.known.milestones["task:1"].accepted


def test_an_archived_project_is_read_where_it_is_named() -> None:
    bench, vendor = _bench()
    item = vendor.add("终验")
    vendor.archived.add(0)
    bench.pull()
    assert not bench.known.milestones
    bench.pull(projects=("ALPHA",))
    assert bench.seen(item).archived


def test_check_counts_and_names_the_scope_that_is_missing() -> None:
    bench, vendor = _bench()
    vendor.add("M")
    found = bench.check()
    assert (found.account, found.projects, found.milestones, found.missing) == ("Robot", 2, 1, ())
    vendor.scopes = False
    assert bench.check().missing == ("tasks:read",)


def test_a_kind_that_does_not_exist_is_told() -> None:
    bench, _ = _bench(milestones=["milestones"])
    with pytest.raises(SourceConfig):
        bench.source()


def test_only_the_named_workspaces_are_read() -> None:
    bench, vendor = _bench(workspaces=["other"])
    vendor.add("M")
    bench.pull()
    assert not bench.known.milestones
