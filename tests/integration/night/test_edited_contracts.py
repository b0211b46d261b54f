"""Contract files that people edit while money is on its way: terms keep their own history, nothing is lost or doubled."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from connectors.calendars import calendar_specs
from connectors.store.bulk import bulk_insert, fetch
from flows.night import NightOutcome
from flows.steps.evaluation.columns import day_number
from flows.steps.match import match
from models.tables import facts, receipts
from tests.fakes.company import Company, company, invoice

TODAY = date(2026, 11, 20)
TEXT = """
contract: F-1
customer: {name: Customer}
supplier: {name: Supplier}
currency: CNY
timezone: Asia/Shanghai
calendar: CN
price_basis: tax_inclusive
lines: [{id: L, amount: "1000.00", tax_rate: 6%}]
events: {s: 2026-01-05, t: 2026-02-05}
terms:
  - {id: T1, amount: 30%, when: s}
  - {id: T2, amount: 30%, when: t}
  - {id: T3, amount: remaining, when: u}
"""


@pytest.fixture
def firm(tmp_path: Path):
    with company(tmp_path) as it:
        it.contract("F-1", text=TEXT)
        it.night()
        yield it


def _edit(firm: Company, *changes: tuple[str, str], file: str = "F-1") -> None:
    path = firm.folder / "contracts" / f"{file}.yaml"
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def _night(firm: Company, days: int = 1, **more: object) -> NightOutcome:
    return firm.night(day=TODAY + timedelta(days=days), **more)


def _codes(outcome: NightOutcome) -> set[str]:
    return {f.code for f in outcome.report.findings}


def _listed(firm: Company) -> dict[str, int]:
    return {r.term: r.gross for r in firm.board().ready if r.status.value == "ready"}


def test_a_term_that_leaves_takes_its_record_with_it_and_the_others_keep_theirs(firm: Company) -> None:
    assert _listed(firm) == {"T1": 30000, "T2": 30000}
    _edit(firm, ("  - {id: T1, amount: 30%, when: s}\n", ""))
    _night(firm)
    assert _listed(firm) == {"T2": 30000}
    with firm.store.read() as connection:
        assert fetch(connection, "SELECT reason FROM withdrawals") == [("term_removed",)]
    _edit(firm, ("when: u", "when: s"))
    _night(firm, 2)
    assert _listed(firm) == {"T2": 30000, "T3": 70000}


def test_the_list_never_exceeds_the_price_after_the_last_term_left(firm: Company) -> None:
    _edit(firm, ("when: u", "when: s"))
    _night(firm)
    assert sum(_listed(firm).values()) == 100_000
    _edit(
        firm,
        ("  - {id: T3, amount: remaining, when: s}\n", ""),
        ("{id: T2, amount: 30%", "{id: T2, amount: remaining"),
    )
    _night(firm, 2)
    assert _listed(firm) == {"T1": 30000, "T2": 70000}


def test_a_renamed_term_is_another_one(firm: Company) -> None:
    _edit(firm, ("id: T2", "id: T9"))
    _night(firm)
    assert _listed(firm) == {"T1": 30000, "T9": 30000}
    _edit(firm, ("id: T9", "id: T2"))
    _night(firm, 2)
    assert _listed(firm) == {"T1": 30000, "T2": 30000}
    assert [r for r in firm.records() if r[1] == "T2"] == [("F-1", "T2", 1, "withdrawn"), ("F-1", "T2", 2, "ready")]


@pytest.mark.parametrize(
    ("change", "code", "then"),
    [
        (("  - {id: T1, amount: 30%, when: s}\n", ""), "INVOICED_TERM_REMOVED", {"T2": 30000}),
        (("id: T1, amount: 30%", "id: T1, amount: 20%"), "INVOICED_TERM_CHANGED", {"T1": 20000, "T2": 30000}),
        (('"1000.00"', '"2000.00"'), "PRICE_CHANGED_AFTER_INVOICE", {"T1": 60000, "T2": 60000}),
    ],
)
def test_what_was_invoiced_cannot_be_rewritten_the_version_before_holds(
    firm: Company, change: tuple[str, str], code: str, then: dict[str, int]
) -> None:
    invoice(firm.store, "F-1", "T1", TODAY)
    _edit(firm, change)
    for days in (1, 2):  # it is said every night, though the file does not change
        outcome = _night(firm, days)
        assert code in _codes(outcome)
        assert all(f.text(language) for f in outcome.report.findings for language in ("en", "zh-CN"))
    assert firm.records() == [("F-1", "T1", 1, "invoiced"), ("F-1", "T2", 1, "ready")]
    assert _listed(firm) == {"T2": 30000}
    with firm.store.begin() as connection:  # the invoice is cancelled: now the file may say so
        connection.exec_driver_sql("UPDATE invoices SET cancelled_day = 20700")
    assert code not in _codes(_night(firm, 3))
    assert _listed(firm) == then


@pytest.mark.parametrize(("effective", "taken"), [("2026-11-20", False), ("2026-11-21", True)])
def test_an_amendment_may_not_be_dated_back_over_an_invoice(firm: Company, effective: str, taken: bool) -> None:
    invoice(firm.store, "F-1", "T1", TODAY)
    amended = f'\namendments: [{{id: AM1, effective: {effective}, new_total: "2000.00"}}]\nterms:'
    _edit(firm, ("\nterms:", amended))
    outcome = _night(firm)
    assert ("PRICE_CHANGED_AFTER_INVOICE" not in _codes(outcome)) is taken
    assert _listed(firm) == {"T2": 72857 if taken else 30000}


def test_of_two_files_with_one_number_the_one_that_stays_is_read(firm: Company) -> None:
    first, second = (firm.folder / "contracts" / f"{n}.yaml" for n in ("F-1", "copy"))
    second.write_text(first.read_text(encoding="utf-8").replace("1000.00", "2000.00"), encoding="utf-8")
    assert "DUPLICATE_CONTRACT" in _codes(_night(firm))
    assert _listed(firm) == {"T1": 30000, "T2": 30000}
    first.unlink()
    outcome = _night(firm, 2)
    assert "DUPLICATE_CONTRACT" not in _codes(outcome)
    assert _listed(firm) == {"T1": 60000, "T2": 60000}


def test_contract_files_that_are_all_gone_end_nothing(firm: Company) -> None:
    folder = firm.folder / "contracts"
    folder.rename(firm.folder / "away")
    folder.mkdir()
    assert "CONTRACT_FILES_GONE" in _codes(_night(firm))
    folder.rmdir()
    (firm.folder / "away").rename(folder)
    assert "CONTRACT_FILES_GONE" not in _codes(_night(firm, 2))
    assert _listed(firm) == {"T1": 30000, "T2": 30000}


def test_a_file_that_is_renamed_and_then_broken_keeps_its_contract(firm: Company) -> None:
    old, new = (firm.folder / "contracts" / f"{n}.yaml" for n in ("F-1", "zz"))
    firm.contract("C-2")
    old.rename(new)
    _night(firm)
    new.write_text("contract: [broken", encoding="utf-8")
    outcome = _night(firm, 2)
    assert "YAML_BROKEN" in _codes(outcome)
    assert "CONTRACT_REMOVED" not in _codes(outcome)


def test_a_removed_contract_gets_no_new_records(firm: Company) -> None:
    firm.contract("C-2")
    _night(firm)
    (firm.folder / "contracts" / "C-2.yaml").unlink()
    assert "CONTRACT_REMOVED" in _codes(_night(firm, 2))
    firm.world.move(firm.world.find("M1"), "已完成", firm.at(TODAY + timedelta(days=3)), "Li")
    _night(firm, 3)
    assert {r[0] for r in firm.records()} == {"F-1"}


def test_an_opening_is_corrected_and_taken_back_in_the_file(firm: Company) -> None:
    def money() -> tuple[int, int, list[str]]:
        with firm.store.read() as connection:
            billed = fetch(connection, "SELECT COALESCE(SUM(gross), 0) FROM invoices WHERE cancelled_day IS NULL")
            paid = fetch(connection, "SELECT COALESCE(SUM(gross), 0) FROM receipts")
        return int(billed[0][0]), int(paid[0][0]), sorted(_listed(firm))

    opening = '\nopening: [{term: T1, invoiced: "30.00", paid: "30.00"}]\n'
    _edit(firm, ("\nterms:", f"{opening}terms:"))
    _night(firm)
    assert money() == (3000, 3000, ["T2"])
    _edit(firm, ('"30.00", paid: "30.00"', '"300.00", paid: "300.00"'))
    _night(firm, 2)
    assert money() == (30000, 30000, ["T2"])
    _night(firm, 3, full=True)
    assert money() == (30000, 30000, ["T2"])
    _edit(firm, (opening.replace("30.00", "300.00"), "\n"))
    _night(firm, 4)
    assert money() == (0, 0, ["T1", "T2"])
    _edit(firm, ("\nterms:", f"{opening}terms:"))
    _night(firm, 5)
    assert money() == (3000, 3000, ["T2"])


@pytest.mark.parametrize(("day", "person"), [(date(2026, 12, 3), None), (date(2026, 12, 1), "Chen")])
def test_the_evidence_names_who_recorded_only_for_the_day_he_recorded(
    firm: Company, day: date, person: str | None
) -> None:
    _edit(firm, ("t: 2026-02-05}", "t: 2026-02-05, u: 2026-12-01}"))
    _night(firm)
    with firm.store.begin() as connection:
        (owner,) = fetch(connection, "SELECT id FROM contracts")[0]
        columns = ("key", "contract_id", "event", "day", "value", "by", "source", "recorded_at")
        bulk_insert(connection, facts, columns, [("k", owner, "u", day_number(day), True, "Chen", "recorded", 1)])
    _night(firm, 15)
    (line,) = (r for r in firm.board().ready if r.term == "T3")
    assert [(e.event, e.by) for e in line.evidence] == [("u", person)]


def test_a_booking_that_was_undone_never_was(firm: Company) -> None:
    invoice(firm.store, "F-1", "T1", date(2026, 1, 6))
    came, wrong = day_number(date(2026, 1, 19)), day_number(date(2026, 5, 19))
    columns = ("key", "contract_id", "term_id", "day", "gross", "method", "reverses", "recorded_at")
    with firm.store.begin() as connection:
        owner, term = fetch(connection, "SELECT contract_id, id FROM terms WHERE code = 'T1'")[0]
        bulk_insert(connection, receipts, columns, [("a", owner, term, wrong, 30000, "exact", None, 1)])
        (first,) = fetch(connection, "SELECT id FROM receipts")[0]
        bulk_insert(connection, receipts, columns, [("b", owner, term, wrong, -30000, "undone", first, 2)])
        bulk_insert(connection, receipts, columns, [("c", owner, term, came, 30000, "exact", None, 3)])
    with firm.store.read() as connection:
        out = match(connection, [owner], day_number(TODAY), calendar_specs).out
    assert out.last_paid[0] == came
    assert out.outstanding[0] == 0


def test_what_a_cap_holds_back_is_told_as_money(firm: Company) -> None:
    _edit(firm, ("\nterms:", '\nnot_to_exceed: {amount: "450.00", terms: [T1, T2]}\nterms:'))
    outcome = _night(firm)
    (told,) = (e for e in outcome.report.exceptions if e.code == "NTE_EXCEEDED")
    assert (told.term, told.detail) == ("T2", "CNY 150.00")
