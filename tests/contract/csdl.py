"""Requests and answers against an OData description (CSDL): paths, $select, properties, their types.

Like `described`, it wraps a fake's transport; what the description says nothing of (other entity sets, query options
of paging) passes, what contradicts it is collected and fails the test.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import orjson

Properties = dict[str, tuple[str, bool]]  # name -> EDM type, may be null

#: What an EDM type is in JSON.
JSON_OF = {"Edm.String": str, "Edm.Int32": int, "Edm.Boolean": bool, "Edm.DateTimeOffset": str}


class Csdl:
    """The entity and complex types of one description."""

    def __init__(self, path: Path) -> None:
        self.types: dict[str, Properties] = {}
        self.ways: dict[str, dict[str, str]] = {}  # type -> navigation property -> type of what is there
        self.open: set[str] = set()
        for kind in ET.parse(path).getroot():
            name = kind.attrib["Name"]
            self.types[name] = {
                p.attrib["Name"]: (p.attrib["Type"], p.attrib.get("Nullable") != "false")
                for p in kind.findall("Property")
            }
            if kind.attrib.get("BaseType") == "graph.entity":
                self.types[name]["id"] = ("Edm.String", False)
            self.ways[name] = {n.attrib["Name"]: _bare(n.attrib["Type"]) for n in kind.findall("NavigationProperty")}
            if kind.attrib.get("OpenType") == "true":
                self.open.add(name)

    def of_path(self, path: str, root: str) -> str | None:
        """The type of the rows at a path; None where it does not go through `root`. Raises KeyError for a wrong way."""
        steps = path.strip("/").split("/")
        if root not in steps:
            return None
        here, steps = root, steps[steps.index(root) + 1 :]
        while steps:
            here = self.ways[here][steps.pop(0)]
            if steps:
                steps.pop(0)  # the key of one of them
        return here

    def wrong(self, kind: str, row: Any, at: str = "") -> list[str]:
        """What an object has that its type does not, or of another type."""
        found: list[str] = []
        known = self.types[kind]
        for name, value in row.items():
            if "@" in name or (kind in self.open and name not in known):
                continue
            found += (
                [f"{at}{name}: not a property of {kind}"]
                if name not in known
                else self._value(known[name], value, f"{at}{name}")
            )
        return found + [
            f"{at}{n}: may not be null" for n, (_, empty) in known.items() if not empty and row.get(n) is None
        ]

    def _value(self, declared: tuple[str, bool], value: Any, at: str) -> list[str]:
        kind, may_be_null = declared
        if value is None:
            return [] if may_be_null else [f"{at}: may not be null"]
        if kind in JSON_OF:
            right = type(value) is JSON_OF[kind] and (kind != "Edm.DateTimeOffset" or _instant(value))
            return [] if right else [f"{at}: {value!r} is no {kind}"]
        bare = _bare(kind)
        if bare in self.types:
            return self.wrong(bare, value, f"{at}.") if isinstance(value, dict) else [f"{at}: {value!r} is no {bare}"]
        return []


class Described(httpx.AsyncBaseTransport):
    """A transport whose traffic is held against a description."""

    def __init__(self, inner: httpx.AsyncBaseTransport, csdl: Csdl, root: str) -> None:
        self.inner, self.csdl, self.root = inner, csdl, root
        self.checked = 0
        self.violations: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self.inner.handle_async_request(request)
        kind = self._asked(request)
        if kind is not None and answer.status_code == 200:
            self.checked += 1
            for row in orjson.loads(answer.content)["value"]:
                self.violations += self.csdl.wrong(kind, row)
        return answer

    def _asked(self, request: httpx.Request) -> str | None:
        try:
            kind = self.csdl.of_path(request.url.path, self.root)
        except KeyError as missing:
            self.violations.append(f"{request.url.path}: {missing} leads nowhere")
            return None
        wanted = request.url.params.get("$select", "")
        for name in wanted.split(",") if kind and wanted else []:
            if name not in self.csdl.types[str(kind)]:
                self.violations.append(f"$select: {name} is not a property of {kind}")
        return kind


def _bare(name: str) -> str:
    """Collection(graph.plannerTask) -> plannerTask."""
    return re.sub(r"^Collection\((.*)\)$", r"\1", name).removeprefix("graph.")


def _instant(value: str) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
