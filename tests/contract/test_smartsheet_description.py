"""Every request to Smartsheet, and every answer of its fake, against the vendor's own OpenAPI description."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_core import OpenAPI

from connectors.errors import SourceError
from connectors.kit.conformance import Bench
from connectors.kit.described import Described
from connectors.kit.fakes import START
from connectors.smartsheet.connector import CONNECTOR, Smartsheet
from connectors.smartsheet.fake import SmartsheetFake, entry, row
from models.ports import Source

pytestmark = pytest.mark.shared
BASE = "https://api.smartsheet.example/2.0"


@cache
def _description(file: Path) -> OpenAPI:
    """A slip of the vendor's is set right: a sheet's answer is one of two, of which the second fits every sheet."""
    spec = json.loads(file.read_text(encoding="utf-8"))
    answer = spec["paths"]["/sheets/{sheetId}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    answer["anyOf"] = [answer.pop("oneOf")[0]]
    return OpenAPI.from_dict({**spec, "servers": [{"url": BASE}]})


def _referee(shared_dir: Path, inner: httpx.AsyncBaseTransport) -> Described:
    return Described(inner, _description(shared_dir / "specs" / "smartsheet.trim.json"), BASE)


def _bench(shared_dir: Path) -> tuple[Bench, Described]:
    bench = Bench(CONNECTOR, SmartsheetFake())
    referee = _referee(shared_dir, bench.vendor)

    def source(options: Mapping[str, object] | None = None) -> Source:
        given = options or bench.vendor.options()
        return CONNECTOR.build("c", given, clock=bench.clock.now, transport=referee, sleep=bench.clock.sleep)

    bench.source = source  # type: ignore[method-assign]
    return bench, referee


def test_a_whole_life_is_as_described(shared_dir: Path) -> None:
    bench, referee = _bench(shared_dir)
    vendor = bench.vendor
    assert isinstance(vendor, SmartsheetFake)
    items = [vendor.add(f"M{n}") for n in range(130)]
    vendor.finish(items[0])
    vendor.rows = [row(5, "交付", 1, "0d"), row(6, "plain", 0.5, "5d"), row(7, "blank", None, None)]
    vendor.histories[5] = [entry(START, 1, None)]
    bench.check()
    bench.pull()
    bench.at(86_400)
    vendor.finish(items[1])
    vendor.remove(items[2])
    bench.pull()
    vendor.versions = False
    bench.at(2 * 86_400)
    bench.pull()
    bench.pull()
    assert sum(not o.deleted for o in bench.known.milestones.values()) == 130
    assert referee.broken == []
    assert referee.checked == len(vendor.requests)
    assert any(r.endswith("/history") for r in vendor.requests)
    assert any(r.endswith("/version") for r in vendor.requests)


@pytest.mark.parametrize(
    ("path", "params", "why"),
    [
        ("/sheets", {"includeAll": "all"}, "boolean"),
        ("/sheets", {"include": "version"}, "not one of"),
        ("/sheets/300", {"page": 1, "pageSize": 100, "modifiedSince": "2026-11-01T00:00:00Z"}, "not in the description"),
        ("/sheets/300", {"page": 1, "pageSize": 100, "include": "permalink"}, "not one of"),
        ("/sheets/ALPHA", {}, "number"),
        ("/sheets/300/milestones", {}, "not in the description"),
    ],
)  # fmt: skip
async def test_a_wrong_question_is_caught(shared_dir: Path, path: str, params: dict[str, Any], why: str) -> None:
    bench, referee = _bench(shared_dir)
    source = bench.source()
    assert isinstance(source, Smartsheet)
    async with source:
        with suppress(SourceError):
            await source.http.get(path, params)
    assert len(referee.broken) == 1
    assert why in referee.broken[0]


@pytest.mark.parametrize("wrong", [{"modifiedAt": ["now"]}, {"cells": {"11": "初验"}}])
def test_a_wrong_answer_is_caught(shared_dir: Path, wrong: dict[str, Any]) -> None:
    bench, referee = _bench(shared_dir)
    bench.vendor.add("初验").unknown = wrong
    vendor = bench.vendor
    assert isinstance(vendor, SmartsheetFake)
    vendor._version = lambda number: 7  # type: ignore[method-assign]
    with suppress(SourceError, TypeError):
        bench.pull()
    assert any("300" in b for b in referee.broken)
