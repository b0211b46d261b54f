"""The table of connectors and of what was proven, made from the tests that prove it, so that it cannot lie.

`python -m tests.contract.test_proofs` writes the pages anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.kit.conformance import cases_for
from connectors.registry import BUILT_IN, connector

ROOT = Path(__file__).parents[2]
#: Tests against a description that stand with what they need.
ELSEWHERE = {"pingcode": "tests/unit/sandbox/test_vendor_description.py"}
WORDS = {
    "en": {
        "file": "README.md", "head": "# All connectors", "note": "Written by the tests (`tests/contract/test_proofs.py`): a proof is named here only where its tests are.",
        "columns": "| system | its page | proven by | conformance cases |", "server": "the real server", "description": "the vendor's own description",
        "documentation": "the vendor's documentation only", "files": "files and programs run in tests", "skipped": "{n}, {skipped} of them left out with a reason", "page": "{title}",
    },
    "zh-CN": {
        "file": "README.zh-CN.md", "head": "# 全部连接器", "note": "由测试生成（`tests/contract/test_proofs.py`）：有相应测试的，才写在这里。",
        "columns": "| 系统 | 页面 | 证明方式 | 一致性用例 |", "server": "真实服务器", "description": "厂商自己的接口描述",
        "documentation": "仅厂商文档", "files": "测试中的真实文件与程序", "skipped": "{n} 项，其中 {skipped} 项注明理由后略过", "page": "{title}",
    },
}  # fmt: skip


def proofs(system: str) -> list[str]:
    """How a connector was proven, best first, by the tests that are there."""
    found = []
    if (ROOT / f"tests/integration/test_{system}_real.py").exists():
        found.append("server")
    described = ELSEWHERE.get(system, f"tests/contract/test_{system}_description.py")
    if (ROOT / described).exists():
        found.append("description")
    return found or ["files" if connector(system).reads == "files" else "documentation"]


def table(language: str) -> str:
    """The page in a language."""
    words = WORDS[language]
    rows = [words["head"], "", words["note"], "", words["columns"], "|---|---|---|---|"]
    for system in sorted(BUILT_IN):
        info = connector(system)
        fake = info.fake() if info.fake else None
        count = len(cases_for(info))
        skips = getattr(fake, "skips", {})
        cases = words["skipped"].format(n=count, skipped=len(skips)) if skips else str(count)
        page = f"{system}.md" if language == "en" else f"{system}.{language}.md"
        own = ROOT / "docs/connectors" / page
        general = "../connectors.md" if language == "en" else f"../connectors.{language}.md"
        link = f"[{info.title}]({page if own.exists() else general})"
        rows.append(f"| `{system}` | {link} | {', '.join(words[p] for p in proofs(system))} | {cases} |")
    return "\n".join([*rows, ""])


@pytest.mark.parametrize("language", WORDS)
def test_the_page_says_what_the_tests_prove(language: str) -> None:
    page = ROOT / "docs/connectors" / WORDS[language]["file"]
    assert page.read_text(encoding="utf-8") == table(language), "run python -m tests.contract.test_proofs"


@pytest.mark.parametrize("system", sorted(BUILT_IN))
def test_every_connector_has_a_page_in_both_languages(system: str) -> None:
    for language in ("", ".zh-CN"):
        own = (ROOT / f"docs/connectors/{system}{language}.md").exists()
        general = (ROOT / f"docs/connectors{language}.md").read_text(encoding="utf-8").lower()
        assert own or system in general


if __name__ == "__main__":
    for name, words in WORDS.items():
        (ROOT / "docs/connectors" / words["file"]).write_text(table(name), encoding="utf-8")
