"""What people say between the nights: an event recorded, taken back and recorded again; what they approved."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from flows.commands import record
from tests.fakes.company import Company, company

DAY = date(2026, 11, 10)


@pytest.fixture
def firm(tmp_path: Path):
    with company(tmp_path) as it:
        it.contract("C-1")
        it.night(day=DAY)
        yield it


def test_an_event_recorded_taken_back_and_recorded_again_on_one_day_holds(
    firm: Company, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last word counts; the same word twice is one."""
    config = firm.folder / "huikuan.toml"
    told = []
    for value in (True, True, False, False, True, True):
        assert record(config, "C-1", "first", "2026-11-09", "Li", value=value, language="en") == 0
        told.append(capsys.readouterr().out.split(":")[0])
        firm.night(day=DAY)
        assert [r[3] for r in firm.records()][-1] == ("ready" if value else "withdrawn")
    assert told == ["Recorded", "Was recorded before"] * 3
    assert [r[2:] for r in firm.records()] == [(1, "withdrawn"), (2, "ready")]
