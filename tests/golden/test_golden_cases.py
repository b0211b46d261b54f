"""Worked contracts, one folder each: what the evaluation says must be what the case says, value by value."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.calendars import calendar_specs
from flows.steps.evaluation.cases import run_cases
from models.records.case_file import load_cases

FOLDERS = sorted(p.parent for p in Path(__file__).parent.glob("*/case.yaml"))
LIBRARY = calendar_specs(["CN", "WEEKEND_ONLY"])


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_a_worked_contract(folder: Path) -> None:
    cases = load_cases((folder / "case.yaml").read_text("utf-8"), folder.name)
    assert cases.findings == ()
    outcome = run_cases(cases, LIBRARY)
    assert [f"{d.case} {d.as_of} {d.key}: expected {d.expected}, found {d.found}" for d in outcome.differences] == []
    assert outcome.compared >= 8


def test_a_wrong_expectation_is_told() -> None:
    """The comparison itself can fail."""
    text = (FOLDERS[0] / "case.yaml").read_text("utf-8")
    assert 'net: "166667"' in text
    outcome = run_cases(load_cases(text.replace('net: "166667"', 'net: "166666"'), "wrong"), LIBRARY)
    assert [(d.key, d.expected, d.found) for d in outcome.differences] == [("B.net", "166666", "166667")]


@pytest.mark.shared
def test_the_reference_cases(shared_dir: Path) -> None:
    cases = load_cases((shared_dir / "golden" / "cases.yaml").read_text("utf-8"), "cases.yaml")
    assert cases.findings == ()
    assert (len(cases.cases), len(cases.invalid)) == (12, 7)
    outcome = run_cases(cases, LIBRARY)
    assert outcome.differences == ()
    assert outcome.compared > 400
