"""What people say between the nights: an event recorded, taken back and recorded again; what they approved."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from flows.commands import explain, intervene, record
from tests.fakes.company import CONTRACT, Company, company, invoice

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


def _approve(firm: Company, which: str = "C-1/T1", kind: str = "approve", language: str = "en") -> int:
    return intervene(firm.folder / "huikuan.toml", kind, which, "Chen", "seen", language)


def _contract(firm: Company, more: str = "approval: required\n", price: str = "1000.00", number: str = "C-1") -> None:
    text = CONTRACT.format(number=number, connection="rd", project="RD", first="M1", second="M2")
    firm.contract(number.replace("/", "-"), text=text.replace("1000.00", price) + more)


def _move(firm: Company, state: str, day: date) -> None:
    firm.world.move(firm.world.find("M1"), state, firm.at(day), "Li")


def test_an_approval_is_of_one_record_and_not_of_the_amended_one(firm: Company) -> None:
    """Who approved 400.00 did not approve 4000.00."""
    _contract(firm)
    _move(firm, "已完成", DAY)
    firm.night(day=date(2026, 11, 11))
    assert firm.records() == [("C-1", "T1", 1, "awaiting_approval")]
    assert _approve(firm) == 0
    assert firm.records() == [("C-1", "T1", 1, "ready")]
    _contract(firm, price="10000.00")
    firm.night(day=date(2026, 11, 12))
    assert firm.records() == [("C-1", "T1", 1, "withdrawn"), ("C-1", "T1", 2, "awaiting_approval")]
    assert _approve(firm) == 0
    assert firm.records()[1] == ("C-1", "T1", 2, "ready")


def test_reopened_and_done_again_waits_for_an_approval_of_its_own(firm: Company) -> None:
    _contract(firm)
    _move(firm, "已完成", DAY)
    firm.night(day=date(2026, 11, 11))
    assert _approve(firm) == 0
    _move(firm, "进行中", date(2026, 11, 12))
    firm.night(day=date(2026, 11, 12))
    _move(firm, "已完成", date(2026, 11, 13))
    firm.night(day=date(2026, 11, 13))
    assert firm.records()[-1] == ("C-1", "T1", 2, "awaiting_approval")


def test_an_approval_written_before_approvals_named_their_record_counts_for_what_was_there(firm: Company) -> None:
    _contract(firm)
    _move(firm, "已完成", DAY)
    firm.night(day=date(2026, 11, 11))
    assert _approve(firm) == 0
    with firm.store.begin() as connection:
        connection.exec_driver_sql("UPDATE interventions SET key = '00000000-0000-4000-8000-000000000000'")
    assert firm.records() == [("C-1", "T1", 1, "ready")]
    _contract(firm, price="10000.00")
    firm.night(day=date(2026, 11, 12))
    assert firm.records()[-1] == ("C-1", "T1", 2, "awaiting_approval")


def test_an_approval_needs_a_record_that_waits(firm: Company, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither in advance, nor of what was invoiced, nor where the contract asks for none."""
    assert _approve(firm) == 2
    assert "needs no approval" in capsys.readouterr().err
    _contract(firm)
    firm.night(day=date(2026, 11, 11))
    for language, word in (("en", "not given in advance"), ("zh-CN", "不能预先给出")):
        assert _approve(firm, language=language) == 2
        assert word.replace(" ", "") in "".join(capsys.readouterr().err.split())
    _move(firm, "已完成", date(2026, 11, 12))
    firm.night(day=date(2026, 11, 12))
    assert (_approve(firm), _approve(firm)) == (0, 0)
    assert "was approved before" in capsys.readouterr().out
    invoice(firm.store, "C-1", "T1", date(2026, 11, 12))
    firm.night(day=date(2026, 11, 13))
    assert _approve(firm) == 2


def test_only_what_is_held_is_released(firm: Company, capsys: pytest.CaptureFixture[str]) -> None:
    assert _approve(firm, kind="release") == 2
    assert "is not held" in capsys.readouterr().err
    assert (_approve(firm, kind="hold"), _approve(firm, kind="release"), _approve(firm, kind="release")) == (0, 0, 2)


def test_a_contract_without_its_term_is_told_its_terms(firm: Company, capsys: pytest.CaptureFixture[str]) -> None:
    assert _approve(firm, "C-1") == 2
    told = capsys.readouterr().err
    assert "a term of it is missing" in told
    assert "C-1/T1, C-1/T2" in told


def test_a_number_with_slashes_is_found_whole(firm: Company, capsys: pytest.CaptureFixture[str]) -> None:
    _contract(firm, "", number="JP/2026")
    _contract(firm, "", number="JP/2026/T1")  # hostile: the name of a term of the other
    _move(firm, "已完成", DAY)
    firm.night(day=date(2026, 11, 11))
    config = firm.folder / "huikuan.toml"
    for which, shown in (("JP/2026", ["T1", "T2"]), ("JP/2026/T2", ["T2"]), ("JP/2026/T1/T1", ["T1"])):
        assert explain(which, config, as_of="2026-11-11", as_json=True, language="en") == 0
        assert [x["term"] for x in json.loads(capsys.readouterr().out)] == shown
    assert _approve(firm, "JP/2026/T2", kind="hold") == 0
    assert explain("JP/2026/T9", config, as_of=None, as_json=True, language="en") == 2
    assert "JP/2026/T2" in capsys.readouterr().err
    assert record(config, "JP/2026", "second", "2026-11-09", "Li", value=True, language="en") == 0
