"""A contract whose file goes away: what was invoiced stays invoiced, what is open stays on the list and is told of."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from flows.night import NightOutcome
from tests.fakes.company import Company, company, invoice


@pytest.fixture
def firm(tmp_path: Path):
    with company(tmp_path) as it:
        it.contract("C-1")
        it.contract("C-2")
        for title in ("M1", "M2"):
            it.world.move(it.world.find(title), "已完成", it.at(date(2026, 11, 10)), "Li")
        it.night(day=date(2026, 11, 12))
        yield it


def _removed(outcome: NightOutcome) -> list[str | None]:
    return [f.place.contract for f in outcome.report.findings if f.code == "CONTRACT_REMOVED"]


def test_what_was_invoiced_does_not_come_back_on_the_list(firm: Company) -> None:
    invoice(firm.store, "C-1", "T1", date(2026, 11, 13), date(2026, 11, 13))
    firm.night(day=date(2026, 11, 13))
    (firm.folder / "contracts" / "C-1.yaml").unlink()
    for day in (14, 15):
        outcome = firm.night(day=date(2026, 11, day))
        assert firm.records()[:2] == [("C-1", "T1", 1, "invoiced"), ("C-1", "T2", 1, "ready")]
        assert _removed(outcome) == ["C-1"]  # once a night, while T2 is open
        assert all(b.contract != "C-1" for b in outcome.report.blocked)


def test_the_warning_ends_with_the_last_open_record(firm: Company) -> None:
    (firm.folder / "contracts" / "C-1.yaml").unlink()
    assert _removed(firm.night(day=date(2026, 11, 13))) == ["C-1"]
    for term in ("T1", "T2"):
        invoice(firm.store, "C-1", term, date(2026, 11, 13), date(2026, 11, 13))
    assert _removed(firm.night(day=date(2026, 11, 14))) == []
    assert {r[3] for r in firm.records() if r[0] == "C-1"} == {"invoiced"}
