"""What linters cannot hold: names, floats, words, pins, pages that say the truth."""

from __future__ import annotations

import ast
import importlib
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.domain.words import LANGUAGES, catalogue

ROOT = Path(__file__).parents[2]
CODE = [p for folder in ("models", "connectors", "flows") for p in (ROOT / folder).rglob("*.py")]


@pytest.mark.parametrize("name", ["flows", "connectors", "models"])
def test_we_import_our_own_package(name: str) -> None:
    """A stranger's `models` in site-packages must never be taken for ours."""
    assert Path(str(importlib.import_module(name).__file__)).is_relative_to(ROOT)


def test_no_module_is_named_like_a_package() -> None:
    """Prefect may put flows/ on the path; flows/models.py would then hide models/."""
    assert not {p.stem for p in (ROOT / "flows").glob("*.py")} & {"models", "connectors", "flows", "tests"}


def test_no_dumping_ground() -> None:
    assert not [p for p in CODE if p.stem in ("utils", "helpers", "common", "misc")]


def test_no_float_near_money() -> None:
    """`models` never makes a float, and neither does the evaluator or what posts."""
    places = [
        p for p in CODE if "models" in p.parts or "evaluation" in p.parts or p.stem in ("decide", "post", "match")
    ]
    found = [
        f"{p.relative_to(ROOT)}:{n.lineno}"
        for p in places
        for n in ast.walk(ast.parse(p.read_text(encoding="utf-8")))
        if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "float"
    ]
    assert found == []


def test_functions_need_no_scrolling() -> None:
    long = [
        f"{p.relative_to(ROOT)}:{n.lineno} {n.name}"
        for p in CODE
        for n in ast.walk(ast.parse(p.read_text(encoding="utf-8")))
        if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and (n.end_lineno or 0) - n.lineno > 70
    ]
    assert long == []


def _slots(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def test_both_languages_have_the_same_words_with_the_same_slots() -> None:
    first, second = (catalogue(x) for x in LANGUAGES)
    assert first.keys() == second.keys()
    assert {k for k in first if _slots(first[k]) != _slots(second[k])} == set()


def test_every_finding_has_its_words() -> None:
    """Codes written in the code are in the catalogue."""
    known = {k.removeprefix("finding.") for k in catalogue("en") if k.startswith("finding.")}
    pattern = re.compile(
        r'(?:Finding|BadRow|wrong|_error|_warning|CompileError)\(\s*(?:contract,\s*)?"([A-Z][A-Z_]{5,})"'
    )
    used = {code for p in CODE for code in pattern.findall(p.read_text(encoding="utf-8"))}
    assert used - known == set()


_FAMILIES = {
    "SourceConfig",
    "SourceRefused",
    "SourceUnavailable",
    "BadPayload",
    "TokenRefused",
    "Missing",
    "Trouble",
    "NeedsPerson",
}


def _raised(tree: ast.AST) -> Iterator[tuple[str, set[str]]]:
    """Codes of source errors, each with the names of its parameters."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _FAMILIES and node.args:
            code = node.args[0]
            if isinstance(code, ast.Constant):
                yield str(code.value), {k.arg for k in node.keywords if k.arg}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_source_error_says_what_and_what_to_do(language: str) -> None:
    words = catalogue(language)
    for file in CODE:
        for code, given in _raised(ast.parse(file.read_text(encoding="utf-8"))):
            for table in ("source", "source_advice"):
                assert f"{table}.{code}" in words, f"{file}: no words for {table}.{code} in {language}"
                slots = _slots(words[f"{table}.{code}"])
                assert slots <= given or "params" in given, f"{file}: {table}.{code} wants {slots}, gets {given}"


def test_folders_of_the_architecture_page_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    tree = text.split("```")[1]
    for line in tree.splitlines():
        top = re.match(r"(\w+)/", line)
        if top:
            assert (ROOT / top[1]).is_dir(), top[1]


def test_links_in_the_readme_lead_somewhere() -> None:
    for page in ("README.md", "README.zh-CN.md", "ARCHITECTURE.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (ROOT / target).exists(), f"{page} -> {target}"


def test_pins_have_hashes_and_no_addresses() -> None:
    for path in (ROOT / "deployments" / "requirements").glob("*.txt"):
        text = path.read_text(encoding="utf-8")
        assert "--hash=sha256:" in text
        assert not re.search(r"https?://|--index-url|--find-links", text)


def test_nothing_phones_home() -> None:
    from flows.environment import QUIET

    assert QUIET["DO_NOT_TRACK"] == "1"
    assert QUIET["GX_ANALYTICS_ENABLED"] == "false"
    assert QUIET["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_of_blocker_has_its_word(language: str) -> None:
    """The kinds of bindings as the store's column lists them, and those that are no binding."""
    tables = (ROOT / "models/tables/__init__.py").read_text(encoding="utf-8")
    listed = re.search(r'"kind", String\(10\), nullable=False\),  # (milestone, [a-z_, ]+)', tables)
    assert listed is not None
    kinds = [*listed[1].split(", "), "event", "term", "time"]
    assert [k for k in kinds if f"report.blocker.{k}" not in catalogue(language)] == []
