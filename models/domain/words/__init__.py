"""Everything a person reads, in both languages: one catalogue each, same keys (a test says so).

`say("status.ready", "zh-CN")`. A sentence may have named slots: `{contract}`.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources

LANGUAGES = ("zh-CN", "en")


@cache
def catalogue(language: str) -> dict[str, str]:
    """All sentences of one language: dotted key -> template."""
    name = language if language in LANGUAGES else "en"
    found: dict[str, str] = {}
    for part in sorted(resources.files(__name__).joinpath(name).iterdir(), key=lambda p: p.name):
        if part.name.endswith(".toml"):
            _flatten("", tomllib.loads(part.read_text(encoding="utf-8")), found)
    return found


def say(key: str, language: str, /, **params: object) -> str:
    """The sentence for `key` in `language`, its slots filled. An unknown key is a programming error (KeyError)."""
    return catalogue(language)[key].format_map(params)


def _flatten(prefix: str, tree: dict[str, object], into: dict[str, str]) -> None:
    for key, value in tree.items():
        if isinstance(value, dict):
            _flatten(f"{prefix}{key}.", value, into)
        else:
            into[prefix + key] = str(value)
