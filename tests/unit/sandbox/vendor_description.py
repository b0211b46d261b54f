"""The vendor's own description of its API (apiDoc data), as something answers can be held against.

The description has no tables of answer fields, only examples. The shape of an endpoint is what its
examples have in common: a field that is in every example row must be there, one that is in none is unknown.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

#: Objects whose keys are the tenant's or the kind's own.
OPEN = ("properties", "content")
#: Fields that are null where there is nothing, though no example shows it (vendors/china.md, 1.4).
NULLABLE = frozenset(
    "assignee completed_at completed_by submitted_at submitted_by parent parent_id priority start_at end_at from_state "
    "operate_at content content_type department job mobile estimated_workload remaining_workload story_points started_at".split()
)
#: Fields that only some answers carry: an image token on demand, the other spelling of `versions`, what belongs to
#: bugs only.
OPTIONAL = frozenset({"public_image_token", "version", "versions", "color", "bug_type", "value_type"})
PAGING = ("page_index", "page_size")


@dataclass
class Shape:
    """What JSON values at one place look like."""

    kinds: set[str] = field(default_factory=set)
    fields: dict[str, Shape] = field(default_factory=dict)
    objects: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    items: Shape | None = None

    def learn(self, value: Any) -> None:
        """Take one example in."""
        self.kinds.add(kind_of(value))
        if isinstance(value, dict):
            self.objects += 1
            for name, inner in value.items():
                self.seen[name] = self.seen.get(name, 0) + 1
                self.fields.setdefault(name, Shape()).learn(inner)
        elif isinstance(value, list):
            self.items = self.items or Shape()
            for inner in value:
                self.items.learn(inner)

    def problems(self, value: Any, at: str = "") -> list[str]:
        """What of a value is not as the examples have it."""
        kind, name = kind_of(value), at.rpartition(".")[2].rstrip("[]")
        if kind == "null":
            allowed = "null" in self.kinds or name in NULLABLE
            return [] if allowed else [f"{at}: null, the examples have {sorted(self.kinds)}"]
        if self.kinds - {"null"} and kind not in self.kinds:
            return [f"{at}: {kind}, the examples have {sorted(self.kinds)}"]
        if name in OPEN or not self.kinds - {"null"}:
            return []
        if isinstance(value, dict):
            return self._object_problems(value, at)
        if isinstance(value, list) and self.items is not None and self.items.kinds:
            return [p for inner in value for p in self.items.problems(inner, f"{at}[]")]
        return []

    def _object_problems(self, value: dict[str, Any], at: str) -> list[str]:
        found = [f"{at}.{n}: unknown" for n in value if n not in self.fields]
        required = {n for n, times in self.seen.items() if times == self.objects} - OPTIONAL
        found += [f"{at}.{n}: missing" for n in sorted(required - value.keys())]
        return found + [
            p for n, inner in value.items() if n in self.fields for p in self.fields[n].problems(inner, f"{at}.{n}")
        ]


def kind_of(value: Any) -> str:
    """The JSON type."""
    if value is None:
        return "null"
    return {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}[type(value)]


@dataclass
class Described:
    """One endpoint of the description."""

    method: str
    path: str
    required: set[str]
    parameters: set[str]
    examples: list[str] = field(default_factory=list)

    @cached_property
    def shape(self) -> Shape:
        """What the examples have in common. Raises where one of them is no JSON (some of the vendor's are not)."""
        shape = Shape()
        for text in self.examples:
            shape.learn(json.loads(text))
        return shape


def load(file: Path) -> dict[tuple[str, str], Described]:
    """All endpoints by (method, path); parameters in the path are all called {}."""
    found: dict[tuple[str, str], Described] = {}
    for entry in json.loads(file.read_text(encoding="utf-8"))["api"]:
        if not entry.get("url", "").startswith("/"):
            continue
        path, _, query = entry["url"].partition("?")
        key = (entry["type"].upper(), blank(path))
        one = found.setdefault(key, Described(*key, set(), set()))
        rows = [f for fields in (entry.get("parameter") or {}).get("fields", {}).values() for f in fields]
        in_path = set(re.findall(r"\{(\w+)\}", path))
        names = {f["field"] for f in rows} - in_path | {q.partition("=")[0] for q in query.split("&") if q}
        one.parameters |= names
        one.required |= {f["field"] for f in rows if not f["optional"]} - in_path
        one.examples += [e["content"] for e in (entry.get("success") or {}).get("examples", [])]
    return found


def load_index(file: Path) -> dict[tuple[str, str], Described]:
    """The endpoint index of the newer generation: parameters only."""
    found: dict[tuple[str, str], Described] = {}
    for entry in json.loads(file.read_text(encoding="utf-8"))["entries"]:
        key = (entry["method"], blank(entry["path"]))
        one = found.setdefault(key, Described(*key, set(), set()))
        rows = [*entry["query"], *entry["body"]]
        one.parameters |= {r["name"] for r in rows}
        one.required |= {r["name"] for r in rows if r["required"]}
    return found


def blank(path: str) -> str:
    """A path with its parameters unnamed."""
    return re.sub(r"\{\w+\}", "{}", path)
