"""What a system may answer instead of milestones: its connection fails, with what and what to do in both languages;
what was posted before stays, the other connection goes on, and the next good night catches up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from connectors.kit.sandbox.world import Fault
from connectors.registry import connector
from flows import wiring
from models.domain.words import LANGUAGES
from tests.fakes.company import Company, company

LIST = "/work_items"
ALWAYS = 10_000
NOBODY = "http://127.0.0.1:9"

FAILING: dict[str, Fault | str] = {
    **{f"status {s}": Fault(LIST, "status", ALWAYS, s) for s in (400, 401, 403, 404, 410, 429, 500, 502)},
    "throttled for an hour": Fault(LIST, "throttle", ALWAYS, seconds=3600),
    "log-in page with 200": Fault(LIST, "html", ALWAYS),
    "truncated": Fault(LIST, "truncated", ALWAYS),
    "breaks off": Fault(LIST, "drop", ALWAYS),
    "hangs": Fault(LIST, "hang", ALWAYS, seconds=2),
    "no network": NOBODY,
}
PASSING = {
    "a page twice": Fault(LIST, "duplicate", 1),
    "rows that move": Fault(LIST, "reorder", 2),
    "fewer rows than announced": Fault(LIST, "drop_rows", 1),
    "an empty page": Fault(LIST, "empty", 1),
    "the token ends": Fault(LIST, "expire", 1),
    "two errors, then well": Fault(LIST, "status", 2, 503),
}


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Sources that wait for nothing; other options of the first connection, while they are set."""
    changed: dict[str, object] = {}

    async def no_wait(_seconds: float) -> None:
        return None

    def build(name: str, settings, _root: Path):
        given = settings.options | (changed if name == "rd" else {})
        return connector(settings.system).build(name, given, clock=wiring.utc_now, sleep=no_wait)

    monkeypatch.setattr(wiring, "build_source", build)
    return changed


@pytest.fixture
def firm(tmp_path: Path, options: dict[str, object]) -> Iterator[Company]:
    """One record of each connection is posted already; a second milestone of each is done now."""
    with company(tmp_path) as it:
        it.contract("C-1")
        it.contract("C-2", connection="ops", project="OPS", first="M1 ops", second="M2 ops")
        for title in ("M1", "M1 ops"):
            it.world.move(it.world.find(title), "已完成", it.at(date(2026, 11, 16)), "Li")
        it.night(day=date(2026, 11, 18))
        for title in ("M2", "M2 ops"):
            it.world.move(it.world.find(title), "已完成", it.at(date(2026, 11, 19)), "Li")
        yield it


BEFORE = [("C-1", "T1", 1, "ready"), ("C-2", "T1", 1, "ready")]
ONE = [*BEFORE, ("C-2", "T2", 1, "ready")]
BOTH = sorted([*ONE, ("C-1", "T2", 1, "ready")])


@pytest.mark.parametrize("what", FAILING)
def test_a_bad_answer_stops_its_connection_alone(firm: Company, options: dict[str, object], what: str) -> None:
    fault = FAILING[what]
    if isinstance(fault, Fault):
        firm.world.faults.append(Fault(fault.path, fault.kind, fault.times, fault.status, seconds=fault.seconds))
    else:
        options["base_url"] = fault
    if what == "hangs":
        options["timeout"] = 0.25
    outcome = firm.night(day=date(2026, 11, 20), full=True)
    assert (outcome.state, outcome.exit_code) == ("in_part", 3)
    assert firm.records() == ONE
    (failed,) = [f for f in outcome.report.findings if f.code == "SOURCE_FAILED"]
    assert failed.place.connection == "rd"
    for language in LANGUAGES:
        told = failed.text(language)
        assert len(told) > 20
        assert "sandbox-secret" not in told
    assert failed.text("en") != failed.text("zh-CN")
    firm.world.faults.clear()
    options.clear()
    assert firm.night(day=date(2026, 11, 21)).state == "done"
    assert firm.records() == BOTH


@pytest.mark.parametrize("what", PASSING)
def test_what_is_only_a_hiccup_loses_nothing(firm: Company, what: str) -> None:
    fault = PASSING[what]
    firm.world.faults.append(Fault(fault.path, fault.kind, fault.times, fault.status))
    firm.night(day=date(2026, 11, 20), full=True)
    firm.night(day=date(2026, 11, 21))
    assert firm.records() == BOTH


def test_a_list_that_never_comes_whole_is_told(firm: Company) -> None:
    firm.night(day=date(2026, 11, 20), full=True)
    firm.world.faults.append(Fault("work_items", "empty", 10_000))
    outcome = firm.night(day=date(2026, 11, 21), full=True)
    told = next(f for f in outcome.report.findings if f.code == "LIST_NOT_WHOLE" and "RD" in f.text("en"))
    assert told.text("zh-CN") != told.text("en")
    assert firm.records() == BOTH
    firm.world.faults.clear()
    outcome = firm.night(day=date(2026, 11, 22), full=True)
    assert not [f for f in outcome.report.findings if f.code == "LIST_NOT_WHOLE"]


def test_a_project_that_the_account_no_longer_sees_is_told_every_night(firm: Company) -> None:
    firm.night(day=date(2026, 11, 20), full=True)
    gone = next(k for k, p in firm.world.projects.items() if p.identifier == "RD")
    project = firm.world.projects.pop(gone)
    for day in (21, 22):
        outcome = firm.night(day=date(2026, 11, day))
        (told,) = (f for f in outcome.report.findings if f.code == "PROJECT_AWAY")
        assert "RD" in told.text("en")
        assert firm.records() == BOTH
    firm.world.projects[gone] = project
    outcome = firm.night(day=date(2026, 11, 23))
    assert not [f for f in outcome.report.findings if f.code == "PROJECT_AWAY"]
