"""The pages on configuration and operation name what there is, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flows.settings import Settings
from models.domain.words import catalogue

DOCS = Path(__file__).parents[3] / "docs"
PAGES = ("configuration.md", "configuration.zh-CN.md", "operating.md", "operating.zh-CN.md")


def keys() -> set[str]:
    schema = Settings.model_json_schema()
    tables = [*schema["$defs"].values()]
    return {key for table in tables for key in table["properties"]}


@pytest.mark.parametrize("page", PAGES[:2])
def test_every_key_is_on_the_page(page: str) -> None:
    named = set(re.findall(r"`(\w+)`", (DOCS / page).read_text(encoding="utf-8")))
    assert keys() - named - {"name"} == set()


@pytest.mark.parametrize("page", PAGES)
def test_every_code_on_the_page_is_a_finding(page: str) -> None:
    codes = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", (DOCS / page).read_text(encoding="utf-8")))
    assert {c for c in codes if f"finding.{c}" not in catalogue("en")} <= {
        "PREFECT_API_URL",
        "LC_ALL",
        "LC_MESSAGES",
    } | {"HUIKUAN_LANGUAGE"}


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_link_on_the_page_exists(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (DOCS / target).exists(), target
    for path in re.findall(r"`((?:deployments|flows)/[\w./-]+)`", text):
        assert (DOCS.parent / path).exists(), path


def test_both_languages_have_the_same_sections_and_tables() -> None:
    for name in ("configuration", "operating"):
        first, second = ((DOCS / f"{name}{x}.md").read_text(encoding="utf-8") for x in ("", ".zh-CN"))
        for pattern in (r"(?m)^## ", r"(?m)^\|", r"(?m)^- \*\*"):
            assert len(re.findall(pattern, first)) == len(re.findall(pattern, second)), (name, pattern)
