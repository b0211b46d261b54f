"""Data Docs: what Great Expectations found, as pages beside the report. Each run replaces those of the last."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = "data-docs"
INDEX = f"{FOLDER}/index.html"

#: The pages as they are rendered fetch scripts, fonts and a logo from a dozen hosts, and print values from
#: outside unescaped. This forbids both: nothing is fetched, nothing runs.
_HEAD = """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.3rem .6rem;text-align:left;vertical-align:top}
.modal,.navbar,nav,button,.collapse,.btn-group,.mb-2:has(.btn-group){display:none}
.fa-check-circle::before{content:"✔";color:#18794e}.fa-times::before{content:"✘";color:#c62a2f}
.fa-exclamation-triangle::before{content:"⚠"}i{font-style:normal}</style>
"""
_OUTSIDE = re.compile(
    r"<script\b.*?</script\s*>|<footer\b.*?</footer\s*>|<link\b[^>]*>|<img\b[^>]*>|</?a\b[^>]*>",
    re.DOTALL | re.IGNORECASE,
)
_OUTSIDE_IMAGE = re.compile(r"url\(\s*['\"]?https?:[^)]*\)", re.IGNORECASE)
#: Names made by chance, inside the page only: the same night gives the same bytes.
_BY_CHANCE = re.compile(r"(?<=-body)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_START = re.compile(r"<head\b[^>]*>", re.IGNORECASE)


def write_pages(results: Mapping[str, Any], folder: Path) -> str:
    """Write a page for each batch and an index of them; pages of earlier runs go. Returns the index's path."""
    target = folder / FOLDER
    target.mkdir(parents=True, exist_ok=True)
    pages = {f"{_file(name)}.html": _page(result) for name, result in results.items()}
    pages["index.html"] = _index(results)
    for old in target.glob("*.html"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        (target / name).write_text(text, encoding="utf-8")
    return INDEX


def _page(result: Any) -> str:
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    result.meta.pop("batch_markers", None)  # when it was loaded
    return self_contained(DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(result)))


def self_contained(page: str) -> str:
    """The page without anything that would be fetched or would run, and without links to pages that are not there."""
    bare = _BY_CHANCE.sub("", _OUTSIDE_IMAGE.sub("none", _OUTSIDE.sub("", page)))
    return _START.sub(lambda found: found[0] + "\n" + _HEAD, bare, count=1)


def _file(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name)


def _index(results: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><td><a href="{_file(name)}.html">{html.escape(name)}</a></td><td>{"OK" if r.success else "!"}</td>'
        f"<td>{r.statistics['successful_expectations']}/{r.statistics['evaluated_expectations']}</td></tr>"
        for name, r in sorted(results.items())
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{_HEAD}<title>Data Docs</title></head>'
        f"<body><h1>Data Docs</h1><table>{rows}</table></body></html>\n"
    )
