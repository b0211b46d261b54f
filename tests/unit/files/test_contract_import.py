"""Importing contracts: a file beside the others, all or nothing, the same bytes again."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.files.excel_contracts import write_template
from flows.steps.contract_import import import_contracts
from models.records.contract_file import load_contract_bytes


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_template(str(tmp_path / "new.xlsx"))
    return tmp_path / "new.xlsx"


def test_the_template_becomes_a_contract_file(source: Path, tmp_path: Path) -> None:
    outcome = import_contracts(source, tmp_path / "contracts", [])
    assert (outcome.refused, outcome.contracts, outcome.changed) == (False, 1, True)
    loaded = load_contract_bytes(outcome.target.read_bytes(), "new.yaml")
    assert loaded.findings == ()
    assert [c.number for c in loaded.contracts] == ["HT-2026-018"]
    assert [p.name for p in outcome.target.parent.iterdir()] == ["new.yaml"]


def test_importing_again_changes_nothing(source: Path, tmp_path: Path) -> None:
    first = import_contracts(source, tmp_path, [])
    before = first.target.read_bytes()
    again = import_contracts(source, tmp_path, [first.target])
    assert (again.refused, again.changed) == (False, False)
    assert first.target.read_bytes() == before


def test_a_number_that_another_file_has_is_refused(source: Path, tmp_path: Path) -> None:
    other = import_contracts(source, tmp_path / "old", []).target
    outcome = import_contracts(source, tmp_path / "contracts", [other])
    assert [f.code for f in outcome.findings] == ["DUPLICATE_CONTRACT"]
    assert not outcome.target.exists()


def test_a_file_with_an_error_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("contract,term\nX,T\n", encoding="utf-8")
    outcome = import_contracts(tmp_path / "bad.csv", tmp_path / "contracts", [])
    assert outcome.refused
    assert not (tmp_path / "contracts").exists()
