"""Lists of documents and sign-offs: all or nothing, harmless to repeat, every bad row with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from connectors.store import Store, open_store
from connectors.store.bulk import fetch
from flows.steps.contracts import load_contracts
from flows.steps.documents import Imported, import_documents
from models.domain.words import LANGUAGES

CONTRACT = """
contract: D-1
customer: A
supplier: B
currency: CNY
timezone: Asia/Shanghai
calendar: CN
price_basis: tax_inclusive
lines: [{id: L, amount: "1000.00", tax_rate: 6%}]
events: {doc_final: {document: 终验报告}, handed: {document: 终验报告}, ok: {sign_off: 客户代表}}
terms:
  - {id: T1, amount: 40%, when: {all: [signed, doc_final]}}
  - {id: T2, amount: remaining, when: {all: [ok, {elapsed: {after: handed, months: 3}}, {approved: 财务}]}}
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    (tmp_path / "d.yaml").write_text(CONTRACT, encoding="utf-8")
    store = open_store(f"sqlite:///{tmp_path / 's.db'}", create=True)
    assert load_contracts(store, [tmp_path / "d.yaml"], tmp_path, 1_780_000_000).findings == ()
    yield store
    store.dispose()


def take(store: Store, tmp_path: Path, text: str, name: str = "docs.csv") -> Imported:
    (tmp_path / name).write_bytes(text.encode())
    with store.begin() as connection:
        return import_documents(connection, tmp_path / name, 1_780_000_001, date(2026, 11, 20))


def recorded(store: Store) -> list[tuple[str, str]]:
    with store.read() as connection:
        return sorted((r[0], r[1]) for r in fetch(connection, "SELECT event, by FROM facts"))


HEAD = "合同,文件,日期,经手人\n"


def test_a_document_fills_every_event_bound_to_it(store: Store, tmp_path: Path) -> None:
    outcome = take(store, tmp_path, HEAD + "D-1,终验报告,2026-05-01,林工\n")
    assert (outcome.rows, outcome.new, outcome.findings) == (1, 2, ())
    assert recorded(store) == [("doc_final", "林工"), ("handed", "林工")]


def test_roles_approvals_and_events_by_hand(store: Store, tmp_path: Path) -> None:
    rows = "D-1,客户代表,2026-05-01,王总\nD-1,财务,2026-05-02,赵\nD-1,signed,2026-01-02,林工\n"
    assert take(store, tmp_path, HEAD + rows).new == 3
    assert [event for event, _ in recorded(store)] == ["approved:财务", "ok", "signed"]


def test_the_same_file_twice_changes_nothing(store: Store, tmp_path: Path) -> None:
    text = HEAD + "D-1,signed,2026-05-01,林工\n"
    assert take(store, tmp_path, text).new == 1
    assert take(store, tmp_path, text).new == 0
    assert len(recorded(store)) == 1


def test_one_bad_row_refuses_the_file_and_all_bad_rows_are_told(store: Store, tmp_path: Path) -> None:
    rows = "D-1,signed,2026-05-01,林工\nD-2,signed,2026-05-01,林工\nD-1,sign,2026-05-01,林工\nD-1,signed,2026-02-30,林工\nD-1,signed,2026-05-01,\nD-1,signed,20260501,林工\nD-1,signed,2026-11-21,林工\n"
    outcome = take(store, tmp_path, HEAD + rows)
    assert [(f.code, f.place.line) for f in outcome.findings] == [
        ("ROW_CONTRACT_UNKNOWN", 3), ("ROW_EVENT_UNKNOWN", 4), ("DATE_UNREADABLE", 5), ("ROW_INCOMPLETE", 6), ("DATE_UNREADABLE", 7),
        ("ROW_DATE_FUTURE", 8),
    ]  # fmt: skip
    assert all(f.text(language) for f in outcome.findings for language in LANGUAGES)
    assert recorded(store) == []


def test_a_file_without_its_columns(store: Store, tmp_path: Path) -> None:
    codes = [f.code for f in take(store, tmp_path, "合同,文件,日期\nD-1,signed,2026-05-01\n").findings]
    assert codes == ["COLUMN_MISSING"]
    assert [f.code for f in take(store, tmp_path, "").findings] == ["EMPTY_FILE"]
    assert [f.code for f in take(store, tmp_path, "not a workbook", "docs.xlsx").findings] == ["SHEET_UNREADABLE"]
