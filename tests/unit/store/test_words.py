"""Every store error has its words, in both languages, with what to do."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import psycopg
import pytest

from connectors.store import errors
from connectors.store.errors import StoreError, as_store_error
from models.domain.words import LANGUAGES, catalogue

ROOT = Path(__file__).parents[3]
SOURCES = (*Path(errors.__file__).parent.glob("*.py"), ROOT / "flows" / "night.py")
CODES = sorted(
    {c for source in SOURCES for c in re.findall(r'code="([A-Z_]+)"', source.read_text(encoding="utf-8"))}
    | {c for _, c in (*errors._SQLITE.values(), *errors._POSTGRES.values())}
    | {c for *_, c in errors._CONNECTING}
)


@pytest.mark.parametrize("code", CODES)
def test_every_code_says_what_happened_and_what_to_do(code: str) -> None:
    for language in LANGUAGES:
        assert catalogue(language)[f"store.{code}.what"]
        assert catalogue(language)[f"store.{code}.todo"]


def test_no_words_are_left_over() -> None:
    assert {k.split(".")[1] for k in catalogue("en") if k.startswith("store.")} == set(CODES)


def test_an_error_of_its_own_words_keeps_them() -> None:
    problem = StoreError("the day lies before", "use --dry-run")
    assert (str(problem), problem.advice, problem.text("zh-CN")) == (
        "the day lies before",
        "use --dry-run",
        "the day lies before",
    )


def test_what_is_not_of_a_driver_or_has_no_meaning_stays_as_it_is() -> None:
    assert as_store_error(ValueError("database is locked")) is None
    assert as_store_error(sqlite3.ProgrammingError("near SELEC: syntax error")) is None
    assert as_store_error(psycopg.errors.UniqueViolation("duplicate key")) is None


def test_a_server_may_speak_any_language() -> None:
    """The code decides, not the text."""
    found = as_store_error(psycopg.errors.DiskFull("无法扩展文件"))
    assert found is not None
    assert found.code == "FULL"
