"""One contract waits for a GitLab and a GitHub milestone: whole nights over the scripted vendors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from connectors.github.fake import GitHubFake
from connectors.gitlab.fake import GitLabFake
from connectors.kit.fakes import START, ScriptedVendor
from connectors.registry import connector
from flows import wiring
from flows.night import Connection, NightOutcome, run_night
from models.domain.observations import Provenance
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
  built: {milestone: {connection: lab, project: acme/alpha, name: 初验}}
  released: {milestone: {connection: hub, project: acme/alpha, name: v1}}
terms:
  - {id: T1, amount: 40%, when: built, due: 10 days after invoice_received}
  - {id: T2, amount: remaining, when: {all: [built, released]}, due: 10 days after invoice_received}
"""
TODAY, DAY = date(2026, 11, 20), 86_400


class Firm:
    """A company with its contract, and the two vendors it uses."""

    def __init__(self, inner: Company) -> None:
        self.inner, self.lab, self.hub = inner, GitLabFake(), GitHubFake()
        inner.contract("C-1", text=CONTRACT)
        self.built, self.released = self.lab.add("初验"), self.hub.add("v1")

    def night(self, days: int = 0) -> NightOutcome:
        """The night so many days after the script's beginning."""
        moment = datetime.fromtimestamp(START + days * DAY, UTC)
        vendors: dict[str, ScriptedVendor] = {"lab": self.lab, "hub": self.hub}
        for vendor in vendors.values():
            vendor.now = START + days * DAY
        wired = wiring.the_night(self.inner.loaded, self.inner.store, as_of=moment.date(), now=moment)
        connections = tuple(_connection(name, vendor, moment) for name, vendor in vendors.items())
        files = tuple(self.inner.loaded.contract_files())
        return asyncio.run(
            run_night(replace(wired, connections=connections, gate=None, out_check=None, contract_files=files))
        )


def _connection(name: str, vendor: ScriptedVendor, moment: datetime) -> Connection:
    def build():  # type: ignore[no-untyped-def]
        return connector(vendor.system).build(name, vendor.options(), clock=lambda: moment, transport=vendor)

    return Connection(name, vendor.system, build, ())


@pytest.fixture
def firm(tmp_path: Path) -> Iterator[Firm]:
    with company(tmp_path) as inner:
        yield Firm(inner)


def test_two_terms_become_ready_with_evidence_from_both(firm: Firm) -> None:
    firm.lab.finish(firm.built, START - 2 * DAY, "王敏")
    assert firm.night().exit_code == 0
    assert [r[1] for r in firm.inner.records()] == ["T1"]
    firm.hub.finish(firm.released, START + DAY, "octo")
    firm.night(2)
    lines = {r.term: r for r in firm.inner.board().ready}
    proofs = {p.event: p for p in lines["T2"].evidence}
    assert (proofs["built"].by, proofs["built"].source, proofs["built"].provenance) == (
        "王敏",
        "lab",
        Provenance.HISTORY,
    )
    assert (proofs["released"].by, proofs["released"].provenance) == ("octo", Provenance.NATIVE)
    assert lines["T2"].ready_on == date(2026, 11, 21)
    assert all(p.url and p.url.startswith("https://") for p in proofs.values())


def test_quiet_nights_change_nothing(firm: Firm) -> None:
    firm.lab.finish(firm.built, START - DAY, "王敏")
    firm.night()
    before = firm.inner.records()
    for days in (1, 2, 3, 8, 9):
        outcome = firm.night(days)
        assert (outcome.posted.records, outcome.posted.withdrawn, outcome.evaluated) == (0, 0, 0)
    assert firm.inner.records() == before


def test_a_milestone_closed_with_open_issues_waits_for_a_person_or_for_the_issues(firm: Firm) -> None:
    issue = firm.lab.issue(firm.built)
    firm.lab.finish(firm.built, START - DAY, "王敏")
    outcome = firm.night()
    assert firm.inner.records() == []
    assert "MILESTONE_UNPROVEN" in [f.code for f in outcome.report.findings]
    firm.lab.now = START + DAY
    firm.lab.touch(issue, START + DAY)
    firm.night(2)
    (line,) = firm.inner.board().ready
    assert (line.term, line.evidence[0].by) == ("T1", "王敏")


def test_reopened_deleted_and_renamed_repositories_take_back_what_must_be(firm: Firm) -> None:
    firm.lab.finish(firm.built, START - DAY, "王敏")
    firm.hub.finish(firm.released, START - DAY, "octo")
    firm.night()
    assert {r[3] for r in firm.inner.records()} == {"ready"}
    firm.hub.rename_repository(0, "alpha2")
    firm.night(1)
    assert {r[3] for r in firm.inner.records()} == {"ready"}, "bound by its id, whatever the repository is called"
    firm.hub.now = START + 2 * DAY
    firm.hub.remove(firm.released)
    firm.night(2)
    assert {(r[1], r[3]) for r in firm.inner.records()} == {("T1", "ready"), ("T2", "withdrawn")}
    firm.lab.now = START + 3 * DAY
    firm.lab.reopen(firm.built)
    firm.night(3)
    assert {r[3] for r in firm.inner.records()} == {"withdrawn"}
