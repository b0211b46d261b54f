"""A push by hand, and a sink to give it to."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import httpx

from connectors.sinks.registry import sink
from models.domain.pushes import Push, Pushed, PushKind, TaxPart
from models.domain.ready import ReadyLine, RecordStatus, record_id

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)


def ready(contract: str = "C-1", **changes: Any) -> Push:
    """400.00 CNY with 6 % in it, ready since the 18th."""
    line = ReadyLine(
        record_id=str(record_id(contract, "T1", 1)), contract=contract, term="T1", name="初验款", customer="Customer",
        currency="CNY", gross=40_000, net=37_736, tax=2_264, ready_on=date(2026, 11, 18), noticed_on=date(2026, 11, 19),
        status=RecordStatus.READY, evidence=(), due_on=date(2026, 12, 18),
    )  # fmt: skip
    fields = {k: changes.pop(k) for k in list(changes) if k in ReadyLine.__dataclass_fields__}
    return replace(Push(PushKind.READY, replace(line, **fields), parts=(TaxPart("6%", 37_736, 2_264),)), **changes)


def withdrawn(contract: str = "C-1") -> Push:
    """The same record, taken back on the 20th."""
    found = ready(contract, status=RecordStatus.WITHDRAWN, withdrawn_on=date(2026, 11, 20))
    return replace(found, kind=PushKind.WITHDRAWN)


def complete(kind: str, given: dict[str, Any]) -> dict[str, Any]:
    """The options of a sink, with its defaults."""
    return {o.name: given.get(o.name, o.default) for o in sink(kind).options}


def push(kind: str, given: dict[str, Any], what: Push, transport: httpx.AsyncBaseTransport | None = None) -> Pushed:
    """Give one push to a sink."""

    async def run() -> Pushed:
        built = sink(kind).build("books", complete(kind, given), clock=lambda: NOW, transport=transport)
        async with built as it:
            return await it.push(what)

    return asyncio.run(run())


def check(kind: str, given: dict[str, Any], transport: httpx.AsyncBaseTransport | None = None) -> str:
    """Ask a sink whether it is there."""

    async def run() -> str:
        async with sink(kind).build("books", complete(kind, given), clock=lambda: NOW, transport=transport) as it:
            return await it.check()

    return asyncio.run(run())
