"""Worked cases, exact to the cent: every value that a case states is what the evaluator says."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.calendars import calendar_specs
from flows.steps.evaluation.cases import run_cases
from models.records.case_file import load_cases

OURS = sorted(Path(__file__).parent.glob("*/case.yaml"))


def _run(path: Path):
    cases = load_cases(path.read_text(encoding="utf-8"), path.name)
    assert cases.findings == ()
    names = {c.contract.calendar for c in cases.cases} - set(cases.calendars)
    return run_cases(cases, calendar_specs(names))


@pytest.mark.parametrize("path", OURS, ids=lambda p: p.parent.name)
def test_our_cases_agree(path: Path) -> None:
    run = _run(path)
    assert run.compared > 0
    assert [vars_of(d) for d in run.differences] == []


@pytest.mark.shared
def test_the_reference_cases_agree_in_every_value(shared_dir: Path) -> None:
    run = _run(shared_dir / "golden" / "cases.yaml")
    assert len(run.entries) == 24
    assert run.compared == 459
    assert [vars_of(d) for d in run.differences] == []


def test_a_wrong_expectation_is_noticed() -> None:
    text = OURS[0].read_text(encoding="utf-8").replace("status: ready", "status: paid", 1)
    cases = load_cases(text, "case.yaml")
    run = run_cases(cases, calendar_specs({c.contract.calendar for c in cases.cases} - set(cases.calendars)))
    assert run.differences


def vars_of(difference) -> tuple[object, ...]:
    return (difference.case, str(difference.as_of), difference.key, difference.expected, difference.found)
