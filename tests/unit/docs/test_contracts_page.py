"""The page on the contract file: its examples load without a finding, its table of codes is the real one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from models.domain.contract_checks import contract_warnings
from models.domain.words.codes_page import codes_table
from models.records.contract_file import load_contract_text

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGES = [("contracts.md", "en"), ("contracts.zh-CN.md", "zh-CN")]


@pytest.mark.parametrize(("page", "language"), PAGES)
def test_its_examples_load(page: str, language: str) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        loaded = load_contract_text(block, page)
        assert [(f.code, f.place.line, f.params) for f in loaded.findings] == []
        assert [f.code for f in contract_warnings(loaded.contracts[0])] == []


@pytest.mark.parametrize(("page", "language"), PAGES)
def test_its_due_rules_and_amounts_load(page: str, language: str) -> None:
    """Every rule in the tables of amounts and due dates is one the reader takes."""
    text = (DOCS / page).read_text("utf-8")
    block = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[0]
    dues = re.findall(r"`(\{start: [^`]+\}|\d+ (?:working )?days after [^`]+|[收开验][^`]+[天日])`", text)
    assert len(dues) >= 13
    for due in dues:
        spoiled = block.replace("due: 30 days after ready", f"due: '{due}'").replace("due: 验收后30天", f"due: '{due}'")
        text_or_map = spoiled.replace(f"'{due}'", due) if due.startswith("{") else spoiled
        assert load_contract_text(text_or_map, page).findings == (), due


@pytest.mark.parametrize(("page", "language"), PAGES)
def test_its_codes_are_the_real_ones(page: str, language: str) -> None:
    assert (DOCS / page).read_text("utf-8").partition("<!-- codes -->\n\n")[2] == codes_table("contracts", language)
