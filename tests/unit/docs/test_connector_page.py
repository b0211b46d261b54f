"""The page for authors of connectors names every field they may meet, in both languages."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from connectors.http.source import Listing, Project
from connectors.kit.fakes import Item
from connectors.registry import Option
from models.domain.observations import Observation

DOCS = Path(__file__).parents[3] / "docs"
NAMES = {
    "Observation": Observation._fields,
    **{kind.__name__: tuple(f.name for f in fields(kind)) for kind in (Project, Listing, Option, Item)},
}


def page(language: str) -> str:
    return (DOCS / f"adding-a-connector{language}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("language", ["", ".zh-CN"])
@pytest.mark.parametrize("kind", NAMES)
def test_every_field_is_in_the_reference(kind: str, language: str) -> None:
    rows = re.findall(r"(?m)^\|.*", page(language).split("## 7.")[1])
    own = (
        [r for r in rows if f"`{kind}`" in r.split("|")[1]]
        if kind != "Observation"
        else rows[: rows.index("|---|---|", 2)]
    )
    named = set(re.findall(r"`(\w+)(?:\([^`]*\))?`", " ".join(own)))
    assert set(NAMES[kind]) <= named


def test_both_languages_have_the_same_parts() -> None:
    for pattern in (r"(?m)^## ", r"(?m)^\|", r"(?m)^- ", r"(?m)^\d\. ", r"`[^`\n]+`"):
        assert len(re.findall(pattern, page(""))) == len(re.findall(pattern, page(".zh-CN"))), pattern
