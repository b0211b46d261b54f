"""What a night makes of errors nobody foresaw: one connection's stay its own, a run that breaks says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from connectors.store.bulk import fetch
from flows import wiring
from tests.fakes.company import Company, company


@pytest.fixture
def firm(tmp_path: Path):
    with company(tmp_path) as it:
        it.contract("C-1")
        it.contract("C-2", connection="ops", project="OPS", first="M1 ops", second="M2 ops")
        for title in ("M1", "M1 ops"):
            it.world.move(it.world.find(title), "已完成", it.at(date(2026, 11, 18)), "Li")
        yield it


def test_a_connector_with_a_bug_fails_alone_and_its_message_repeats_no_value(firm: Company) -> None:
    def broken() -> None:
        raise KeyError("client-secret-value")

    good, bad = wiring.connections(firm.loaded)[::-1]
    assert (good.name, bad.name) == ("ops", "rd")
    outcome = firm.night(connections=(good, replace(bad, build=broken)))
    assert (outcome.state, outcome.exit_code) == ("in_part", 3)
    assert [r[0] for r in firm.records()] == ["C-2"]
    (failed,) = [f for f in outcome.report.findings if f.code == "SOURCE_FAILED"]
    assert "the connector failed: KeyError in " in failed.text("en")
    assert "test_night_failures.py" in failed.text("en")
    assert "client-secret-value" not in str(outcome)


def test_a_run_that_breaks_is_written_down_as_failed_and_the_next_one_does_the_work(firm: Company) -> None:
    def broken(*_args: object) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        firm.night(calendars=broken)
    with firm.store.read() as connection:
        assert fetch(connection, "SELECT state, ended_at IS NOT NULL FROM runs") == [("failed", 1)]
    assert firm.records() == []
    assert firm.night().state == "done"
    assert [r[0] for r in firm.records()] == ["C-1", "C-2"]
