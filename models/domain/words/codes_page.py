"""The table of finding codes as the documentation shows it, from the same sentences that people read."""

from __future__ import annotations

import re
import tomllib
from importlib import resources

_HEADS = {"en": ("code", "what it says"), "zh-CN": ("代码", "提示的话")}


def codes_table(area: str, language: str) -> str:
    """A Markdown table of the codes of one area; slots become … ."""
    text = (
        resources.files("models.domain.words").joinpath(language).joinpath(f"{area}.toml").read_text(encoding="utf-8")
    )
    findings: dict[str, str] = tomllib.loads(text)["finding"]
    first, second = _HEADS[language]
    rows = [f"| `{code}` | {_shown(sentence)} |" for code, sentence in findings.items()]
    return "\n".join([f"| {first} | {second} |", "|---|---|", *rows]) + "\n"


def _shown(sentence: str) -> str:
    plain = re.sub(r"(?<!\{)\{\w+\}(?!\})", "…", sentence)
    return plain.replace("{{", "{").replace("}}", "}").replace("|", "\\|").replace("<", "&lt;")
