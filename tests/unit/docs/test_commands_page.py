"""docs/commands.md in both languages: every command with its examples, and the keys that `--json` prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.domain.words import LANGUAGES, catalogue
from tests.unit.cli.test_help import LEAVES

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_shows_what_help_shows(language: str) -> None:
    page = (DOCS / f"commands{'' if language == 'en' else '.zh-CN'}.md").read_text(encoding="utf-8").splitlines()
    for path in LEAVES:
        assert f"## huikuan {' '.join(path)}" in page
    missing = [
        line
        for key, examples in catalogue(language).items()
        if key.startswith("cli.example.")
        for line in examples.splitlines()
        if line not in page
    ]
    assert missing == []


@pytest.mark.parametrize("path", [p for p, c in LEAVES.items() if any("--json" in o.opts for o in c.params)])
def test_every_command_with_json_has_its_keys_on_the_page(path: tuple[str, ...]) -> None:
    for page in ("commands.md", "commands.zh-CN.md"):
        assert f"| `{' '.join(path)}` | `" in (DOCS / page).read_text(encoding="utf-8")
