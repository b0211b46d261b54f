"""One contract waits for Asana, ClickUp and Smartsheet: whole nights over the scripted vendors, with their false friends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.asana.fake import AsanaFake, completed
from connectors.asana.fake import task as asana_task
from connectors.clickup.fake import ClickUpFake, status
from connectors.kit.fakes import START, ScriptedVendor
from connectors.registry import connector
from connectors.smartsheet.fake import SmartsheetFake
from flows import wiring
from flows.night import Connection, NightOutcome, run_night
from tests.fakes.company import Company, company

CONTRACT = """
contract: C-1
title: C-1
customer: {name: Customer}
supplier: {name: Supplier}
currency: CNY
timezone: Asia/Shanghai
calendar: CN
price_basis: tax_inclusive
lines: [{id: L, amount: "1000.00", tax_rate: 6%}]
events:
  approved: {milestone: {connection: asana, project: ALPHA, name: 验收审批}}
  delivered: {milestone: {connection: clickup, project: Delivery/交付/ALPHA, name: 交付}}
  planned: {milestone: {connection: smartsheet, project: ALPHA, name: 终验}}
terms:
  - {id: T1, amount: 40%, when: approved, due: 10 days after invoice_received}
  - {id: T2, amount: 30%, when: delivered, due: 10 days after invoice_received}
  - {id: T3, amount: remaining, when: planned, due: 10 days after invoice_received}
"""
DAY = 86_400
MILESTONES = {"asana": {"milestones": ["milestone", "approval"]}}


class Firm:
    """A company with its contract, and the three vendors it uses."""

    def __init__(self, inner: Company) -> None:
        self.inner, self.asana, self.clickup, self.smartsheet = inner, AsanaFake(), ClickUpFake(), SmartsheetFake()
        inner.contract("C-1", text=CONTRACT)
        self.approval = asana_task(1, name="验收审批", resource_subtype="approval", approval_status="pending")
        self.asana.tasks = [(0, self.approval)]
        self.delivered, self.planned = self.clickup.add("交付"), self.smartsheet.add("终验")

    def night(self, days: int) -> NightOutcome:
        """The night so many days after the script's beginning."""
        moment = datetime.fromtimestamp(START + days * DAY, UTC)
        wired = wiring.the_night(self.inner.loaded, self.inner.store, as_of=moment.date(), now=moment)
        vendors: tuple[ScriptedVendor, ...] = (self.asana, self.clickup, self.smartsheet)
        for vendor in vendors:
            vendor.now = START + days * DAY
        connections = tuple(_connection(v, moment) for v in vendors)
        files = tuple(self.inner.loaded.contract_files())
        return asyncio.run(
            run_night(replace(wired, connections=connections, gate=None, out_check=None, contract_files=files))
        )

    def ready(self) -> list[str]:
        """The terms with a record, in order."""
        return sorted(r[1] for r in self.inner.records())


def _connection(vendor: ScriptedVendor, moment: datetime) -> Connection:
    def build():  # type: ignore[no-untyped-def]
        given = vendor.options(**MILESTONES.get(vendor.system, {}))
        return connector(vendor.system).build(vendor.system, given, clock=lambda: moment, transport=vendor)

    return Connection(vendor.system, vendor.system, build, ())


@pytest.fixture
def firm(tmp_path: Path) -> Iterator[Firm]:
    with company(tmp_path) as inner:
        yield Firm(inner)


def test_what_only_looks_done_makes_nothing_ready(firm: Firm) -> None:
    """A rejected approval is completed, a cancelled task is closed, 99.6 % shows as 100 %."""
    firm.approval |= {"approval_status": "rejected", **completed(START - DAY)}
    firm.delivered.done, firm.delivered.done_at, firm.delivered.history = (
        True,
        START - DAY,
        [(START - DAY, True, "李强")],
    )
    honest = firm.clickup._row
    firm.clickup._row = lambda item: {**honest(item), "status": status("cancelled")}  # type: ignore[method-assign]
    rows = firm.smartsheet._row
    firm.smartsheet._row = lambda item: _nearly(rows(item))  # type: ignore[method-assign]
    for days in (0, 1):
        assert firm.night(days).exit_code == 0
        assert firm.ready() == []


def test_what_is_done_is_ready_and_stays_so(firm: Firm) -> None:
    """Approved; archived after it was closed; by the history of its cell. Quiet nights change nothing."""
    firm.approval |= {"approval_status": "approved", **completed(START - DAY)}
    firm.clickup.finish(firm.delivered, START - 2 * DAY)
    firm.smartsheet.finish(firm.planned, START - 3 * DAY, "王敏")
    assert firm.night(0).exit_code == 0
    firm.clickup.archived.add(firm.delivered.id)
    for days in (1, 2, 9):
        firm.night(days)
        assert firm.ready() == ["T1", "T2", "T3"]


def _nearly(row: dict) -> dict:  # type: ignore[type-arg]
    cells = [c if c["columnId"] != 14 else {**c, "value": 0.996, "displayValue": "100%"} for c in row["cells"]]
    return {**row, "cells": cells}
