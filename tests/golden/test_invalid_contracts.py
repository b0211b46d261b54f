"""Contracts that must be refused: each file says in its second line which code is expected at which line."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.domain.findings import Severity
from models.domain.words import LANGUAGES
from models.records.contract_file import load_contract_bytes

FOLDER = Path(__file__).parent / "invalid"
FILES = sorted(FOLDER.glob("*.yaml"))
#: Codes that no text of a contract file can cause: they come from bytes, from several files, or from a case file.
ELSEWHERE = {"ENCODING_BROKEN", "NESTED_TOO_DEEP", "INSTANT_WITHOUT_OFFSET"}


def expected(path: Path) -> list[str]:
    return sorted(path.read_text("utf-8").splitlines()[1].removeprefix("# expect: ").split())


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_a_bad_contract_is_refused_with_code_and_line(path: Path) -> None:
    loaded = load_contract_bytes(path.read_bytes(), path.name)
    found = sorted(f.code + (f"@{f.place.line}" if f.place.line else "") for f in loaded.findings)
    assert found == expected(path)
    assert "BAD" not in {c.number for c in loaded.contracts}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_finding_is_an_error_that_reads_well_in_both_languages(path: Path) -> None:
    for finding in load_contract_bytes(path.read_bytes(), path.name).findings:
        assert finding.severity is Severity.ERROR
        for language in LANGUAGES:
            text = finding.text(language)
            assert "{" not in text.replace("{event", "").replace("{pay_percent: 80}", "").replace(
                "{LINE: amount}", ""
            ).replace("{明细: 金额}", "")
            assert len(text) > 8


def test_the_good_contract_beside_a_bad_one_still_loads() -> None:
    path = FOLDER / "one_bad_of_two.yaml"
    assert [c.number for c in load_contract_bytes(path.read_bytes(), path.name).contracts] == ["GOOD"]


def test_every_code_the_readers_can_give_has_a_case() -> None:
    import re

    sources = [
        *(FOLDER.parents[2] / "models" / "records").glob("*.py"),
        FOLDER.parents[2] / "models" / "domain" / "money.py",
    ]
    given = {
        code
        for source in sources
        for code in re.findall(
            r'(?:wrong|add|MoneyError)\([^)]*?"([A-Z][A-Z_]{3,})"', source.read_text("utf-8"), re.DOTALL
        )
    }
    shown = {code.partition("@")[0] for path in FILES for code in expected(path)}
    assert len(given) > 20
    assert given - shown - ELSEWHERE == set()
