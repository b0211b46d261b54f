"""The pages on webhooks and on writing back say the same in both languages, and name every system that can do it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connectors.http.hooks import OWN
from connectors.registry import BUILT_IN, connector

DOCS = Path(__file__).parents[3] / "docs"


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["webhooks", "write-back"])
def test_both_languages_have_the_same_parts(name: str) -> None:
    first, second = page(f"{name}.md"), page(f"{name}.zh-CN.md")
    for pattern in (r"(?m)^## ", r"(?m)^\|", r"(?m)^- ", r"(?m)^\d\. ", r"`[A-Z][\w-]+`"):
        assert len(re.findall(pattern, first)) == len(re.findall(pattern, second)), pattern


@pytest.mark.parametrize("language", ["", ".zh-CN"])
def test_every_system_has_its_row(language: str) -> None:
    hooks, writing = page(f"webhooks{language}.md"), page(f"write-back{language}.md")
    for system in BUILT_IN:
        info = connector(system)
        title = {"icalendar": "", "mspdi": ""}.get(system, info.title.partition(" ")[0])
        if info.hook is not OWN:
            assert f"| {title}" in hooks, system
        if info.commenter is not None:
            assert f"| {title}" in writing, system


@pytest.mark.parametrize("language", ["", ".zh-CN"])
def test_what_the_pages_link_to_is_there(language: str) -> None:
    for name in ("webhooks", "write-back"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page(f"{name}{language}.md")):
            assert (DOCS / target).exists(), target
        for path in re.findall(r"`((?:deployments|flows)/[\w./-]+)`", page(f"{name}{language}.md")):
            assert (DOCS.parent / path).exists(), path
