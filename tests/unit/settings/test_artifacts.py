"""What the Prefect UI shows of a night: bounded, in the reader's language, and text from outside stays text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flows.night import NightOutcome
from flows.nightly import SHOWN, blocked_rows, connection_rows, ready_rows, state_name, summary
from flows.steps.post import Posted
from models.domain.findings import Finding, Place, Severity
from models.domain.ready import ConnectionLine, NightReport
from tests.unit.reports.nights import usual as night


def outcome(report: NightReport, state: str = "done") -> NightOutcome:
    return NightOutcome(state, report, Posted(records=2), 3)


def test_tables_speak_the_language_of_the_report() -> None:
    chinese, english = (replace(night(), language=x) for x in ("zh-CN", "en"))
    assert ready_rows(english)[0].keys() == {"Contract", "Term", "Customer", "Amount", "Ready on", "Status"}
    assert len(ready_rows(chinese)) == len(ready_rows(english)) == len(night().ready)
    assert not set(ready_rows(chinese)[0]) & set(ready_rows(english)[0])


def test_an_empty_night_has_tables_that_prefect_takes() -> None:
    bare = replace(night(), ready=(), blocked=(), connections=())
    assert [len(t(bare)) for t in (ready_rows, blocked_rows, connection_rows)] == [1, 1, 1]


def test_a_long_list_is_cut_and_says_so() -> None:
    line = night().ready[0]
    rows = ready_rows(replace(night(), ready=(line,) * (SHOWN + 7)))
    assert len(rows) == SHOWN + 1
    assert "+ 7" in next(iter(rows[-1].values()))


def test_what_a_milestone_is_called_does_not_format_the_page() -> None:
    evil = Finding(
        "SOURCE_FAILED", Severity.ERROR, Place(connection="a](http://evil)\n# b"), {"why": "<img src=x>", "advice": ""}
    )
    report = replace(night(), findings=(evil,), connections=(ConnectionLine("rd", "x", "failed", 0, 0, 0, None),))
    text = summary(outcome(report, "in_part"))
    for spoilt in ("](http", "\n# b", "<img"):
        assert spoilt not in text.replace("\\<img", "").replace("\\]\\(http", "")


@pytest.mark.parametrize(
    ("state", "findings", "name"),
    [
        ("done", (), "Done"),
        (
            "done",
            (Finding("SOURCE_FAILED", Severity.ERROR, params={"why": "", "advice": ""}),),
            "Done, something waits",
        ),
        ("in_part", (), "In part"),
    ],
)
def test_states_are_named_like_the_exit_codes(state: str, findings: tuple[Finding, ...], name: str) -> None:
    assert state_name(outcome(replace(night(), findings=findings, exceptions=()), state)) == name
