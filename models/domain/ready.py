"""Ready records and what stands around them: the lines that finance, project managers and operators read."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from models.domain.findings import Finding
from models.domain.money import amount_text, minor_digits
from models.domain.outlook import Outlook
from models.domain.trouble import Trouble

#: Namespace of all identities issued here; never change it, or records could be issued twice.
NAMESPACE = uuid.UUID("6f1d3a52-0a4e-5c1b-9a53-8f5f0d1c2b7e")


def record_id(contract: str, term: str, occurrence: int) -> uuid.UUID:
    """The identity of a ready record: the same contract, term and occurrence can be issued only once."""
    return uuid.uuid5(NAMESPACE, f"ready\x1f{contract}\x1f{term}\x1f{occurrence}")


def approval_key(record: str) -> str:
    """The identity of a person's approval: it is of one ready record, and of no later one."""
    return str(uuid.uuid5(NAMESPACE, f"approve\x1f{record}"))


class TermStatus(StrEnum):
    """Rule S3; a view over the ledgers, never stored as a flag."""

    NOT_READY = "not_ready"
    READY = "ready"
    INVOICED = "invoiced"
    PART_PAID = "part_paid"
    PAID = "paid"
    WAIVED = "waived"


class RecordStatus(StrEnum):
    """What became of a ready record. AWAITING_APPROVAL and HELD are live but off the list to invoice."""

    READY = "ready"
    AWAITING_APPROVAL = "awaiting_approval"
    HELD = "held"
    INVOICED = "invoiced"
    PART_PAID = "part_paid"
    PAID = "paid"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One proven leaf of a condition. `source` is a connection name, "contract", "recorded", "document" …"""

    event: str
    on: date
    by: str | None
    source: str
    url: str | None
    provenance: str
    grade: int | None = None


@dataclass(frozen=True, slots=True)
class ReadyLine:
    """One ready record as people and `ready --json` see it; money in minor units of `currency`."""

    record_id: str
    contract: str
    term: str
    name: str
    customer: str
    currency: str
    gross: int
    net: int
    tax: int
    ready_on: date
    noticed_on: date
    status: RecordStatus
    evidence: tuple[Evidence, ...]
    occurrence: int = 1
    due_on: date | None = None
    withdrawn_on: date | None = None
    project_manager: str | None = None
    note: str | None = None  # why it is held, or who must approve

    def as_json(self) -> dict[str, object]:
        """The stable keys of `huikuan ready --json`; amounts as text, dates ISO."""
        digits = minor_digits(self.currency)
        return {
            "record_id": self.record_id,
            "contract": self.contract,
            "term": self.term,
            "name": self.name,
            "customer": self.customer,
            "currency": self.currency,
            "gross": amount_text(self.gross, digits),
            "net": amount_text(self.net, digits),
            "tax": amount_text(self.tax, digits),
            "ready_on": self.ready_on.isoformat(),
            "noticed_on": self.noticed_on.isoformat(),
            "status": self.status.value,
            "evidence": [
                {
                    "event": e.event,
                    "date": e.on.isoformat(),
                    "by": e.by,
                    "source": e.source,
                    "url": e.url,
                    "provenance": e.provenance,
                }
                for e in self.evidence
            ],
        }


@dataclass(frozen=True, slots=True)
class Blocker:
    """One unmet leaf: what is missing, where, since when it was planned."""

    event: str
    kind: str  # event, progress, guarantee, term, approval, time
    planned_on: date | None
    source: str | None
    url: str | None
    contact: str | None


@dataclass(frozen=True, slots=True)
class BlockedLine:
    """A term that is not ready, and by what it is blocked."""

    contract: str
    term: str
    name: str
    customer: str
    currency: str
    gross: int
    expected_on: date | None
    blockers: tuple[Blocker, ...]
    project_manager: str | None = None


@dataclass(frozen=True, slots=True)
class ExceptionLine:
    """Something a person must look at. `code` has words under `exception.<CODE>`."""

    contract: str
    term: str | None
    code: str
    opened_on: date
    detail: str
    closed_on: date | None = None


@dataclass(frozen=True, slots=True)
class ForecastLine:
    """Money expected to become ready in a month ("2026-07"), by currency; gross minor units."""

    month: str
    currency: str
    gross: int
    terms: int


@dataclass(frozen=True, slots=True)
class ConnectionLine:
    """How one connection did in this run. state: done, failed, stopped (by a check)."""

    name: str
    system: str
    state: str
    seen: int
    changed: int
    quarantined: int
    trouble: Trouble | Finding | None = None

    def message(self, language: str) -> str:
        """What went wrong, in the language; empty where nothing did."""
        return self.trouble.text(language) if self.trouble else ""


@dataclass(frozen=True, slots=True, repr=False)  # asyncio prints what a task returns; this is large
class NightReport:
    """Everything the outputs of one run show; the only input of the report writers."""

    run_id: str
    as_of: date
    language: str
    ready: tuple[ReadyLine, ...]
    withdrawn: tuple[ReadyLine, ...]
    blocked: tuple[BlockedLine, ...]
    exceptions: tuple[ExceptionLine, ...]
    findings: tuple[Finding, ...]
    forecast: tuple[ForecastLine, ...]
    connections: tuple[ConnectionLine, ...]
    new_records: frozenset[str] = frozenset()  # record ids posted by this very run
    data_docs: str | None = None  # relative link
    outlook: Outlook = field(default_factory=Outlook)  # expected money
