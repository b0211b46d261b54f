"""Report: what the store holds, as the lines that people read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import orjson
from sqlalchemy.engine import Connection

from connectors.store.bulk import fetch
from flows.steps.evaluation.columns import NEVER, as_date
from models.domain.findings import Finding, Place, Severity
from models.domain.money import amount_text, minor_digits
from models.domain.ready import (
    BlockedLine,
    Blocker,
    Evidence,
    ExceptionLine,
    ForecastLine,
    ReadyLine,
    RecordStatus,
    approval_key,
)


def _day(number: int) -> date:
    found = as_date(number)
    assert found is not None
    return found


@dataclass(frozen=True, slots=True)
class Board:
    """All lines of the store as of its last runs."""

    ready: tuple[ReadyLine, ...]  # living records, by contract and term
    withdrawn: tuple[ReadyLine, ...]
    blocked: tuple[BlockedLine, ...]
    exceptions: tuple[ExceptionLine, ...]
    forecast: tuple[ForecastLine, ...]

    def listed(self) -> tuple[ReadyLine, ...]:
        """The list: what is ready, held or waiting for an approval. What is invoiced has left it."""
        on_it = (RecordStatus.READY, RecordStatus.HELD, RecordStatus.AWAITING_APPROVAL)
        return tuple(r for r in self.ready if r.status in on_it)


def board(connection: Connection, as_of: int = NEVER) -> Board:
    """Read everything that the outputs show, as it stood on a day (the latest, if none is named)."""
    standing = _standing(connection, as_of)
    terms = _decided(standing)
    lines = _records(connection, terms, as_of)
    living = tuple(x for x in lines if x.status is not RecordStatus.WITHDRAWN)
    gone = tuple(x for x in lines if x.status is RecordStatus.WITHDRAWN)
    blocked = tuple(_blocked(standing, connection))
    return Board(living, gone, blocked, _exceptions(connection, as_of), _forecast(blocked))


Decided = dict[str, Any]


def records_of(connection: Connection, contract: int) -> list[ReadyLine]:
    """The records of one contract, by its id, as they stand now."""
    return _records(connection, _decided(_standing(connection, NEVER, contract)), NEVER, contract)


#: Appended to a query: one contract only, where one is named.
_ONLY = {True: "", False: "AND c.id = :c "}


def _standing(connection: Connection, as_of: int, only: int | None = None) -> list[tuple[Any, ...]]:
    """The current decision of each contract; of one that no file holds any more, too: its invoices stay what they are."""
    return fetch(
        connection,
        "SELECT c.id, c.number, c.customer, c.currency, c.project_manager, d.body, c.active FROM standing s "
        "JOIN contracts c ON c.id = s.contract_id "
        "JOIN decisions d ON d.id = (SELECT MAX(x.id) FROM decisions x WHERE x.contract_id = s.contract_id AND x.as_of <= :d) "
        f"{_ONLY[only is None]}ORDER BY c.number",
        {"d": as_of} if only is None else {"d": as_of, "c": only},
    )


def _decided(standing: Iterable[tuple[Any, ...]]) -> dict[tuple[int, str], list[Any]]:
    """By contract and term: [code, status, known, legal, expected, gross, due, outstanding, blockers]."""
    return {(r[0], t[0]): t for r in standing for t in orjson.loads(r[5])}


def _records(
    connection: Connection, terms: Mapping[tuple[int, str], list[Any]], as_of: int, only: int | None = None
) -> list[ReadyLine]:
    people = interventions(connection, as_of)
    required = approvals_required(connection)
    rows = fetch(
        connection,
        "SELECT r.record_id, c.number, t.code, t.name, c.customer, r.currency, r.gross, r.net, r.tax, r.ready_day, r.noticed_day, "
        "r.evidence, r.occurrence, c.project_manager, w.withdrawn_day, w.reason, c.id, t.id, r.recorded_at FROM ready_records r "
        "JOIN contracts c ON c.id = r.contract_id JOIN terms t ON t.id = r.term_id "
        "LEFT JOIN withdrawals w ON w.record_id = r.record_id AND w.withdrawn_day <= :d WHERE r.noticed_day <= :d "
        f"{_ONLY[only is None]}ORDER BY c.number, t.position, t.code, r.occurrence",
        {"d": as_of} if only is None else {"d": as_of, "c": only},
    )
    return [
        _record(r, terms.get((r[16], r[2])), people.get(r[17], Said()), approval=required.get((r[16], r[2]), False))
        for r in rows
    ]


def _record(row: tuple[Any, ...], decided: list[Any] | None, people: Said, *, approval: bool) -> ReadyLine:
    status, note = _status(row, decided, people, approval=approval)
    due = decided[6] if decided is not None and decided[6] < NEVER and row[14] is None else None
    return ReadyLine(
        record_id=row[0], contract=row[1], term=row[2], name=row[3], customer=row[4], currency=row[5], gross=row[6], net=row[7],
        tax=row[8], ready_on=_day(row[9]), noticed_on=_day(row[10]), status=status,
        evidence=tuple(evidence_leaf(e) for e in orjson.loads(row[11])), occurrence=row[12],
        due_on=None if due is None else _day(due), withdrawn_on=None if row[14] is None else _day(row[14]),
        project_manager=row[13], note=note,
    )  # fmt: skip


def evidence_leaf(leaf: Mapping[str, Any]) -> Evidence:
    """One proven leaf, as a ready record keeps it."""
    return Evidence(
        leaf["event"],
        date.fromisoformat(leaf["date"]),
        leaf["by"],
        leaf["source"],
        leaf["url"],
        leaf["provenance"],
        leaf.get("grade"),
    )


def _status(
    row: tuple[Any, ...], decided: list[Any] | None, people: Said, *, approval: bool
) -> tuple[RecordStatus, str | None]:
    """A view over the ledgers: withdrawn, what the money says, a person's hold, a missing approval, else ready."""
    if row[14] is not None:
        return RecordStatus.WITHDRAWN, row[15]
    if decided is not None and decided[1] in ("invoiced", "part_paid", "paid"):
        return RecordStatus(decided[1]), None
    if people.hold is not None:
        return RecordStatus.HELD, people.hold
    if approval and not people.approved(row[0], row[18]):
        return RecordStatus.AWAITING_APPROVAL, None
    return RecordStatus.READY, None


@dataclass(slots=True)
class Said:
    """What people decided about a term: the hold in force with its reason, and every approval (key, recorded at)."""

    hold: str | None = None
    approvals: list[tuple[str, int]] = field(default_factory=list)

    def approved(self, record: str, recorded_at: int) -> bool:
        """Did a person approve this record? One of an earlier record says nothing: the amount may be another.

        Approvals of earlier versions name no record: they count for what was recorded before them.
        """
        own = approval_key(record)
        return any(key == own or (not _names_record(key) and at > recorded_at) for key, at in self.approvals)


def _names_record(key: str) -> bool:
    """Is it made from a record's identity (version 5), and not by chance (version 4)?"""
    return key[14:15] == "5"


def interventions(connection: Connection, as_of: int = NEVER) -> dict[int, Said]:
    """By term: the holds and approvals in force, with their reasons."""
    found: dict[int, Said] = {}
    for term, kind, by, reason, key, at in fetch(
        connection,
        'SELECT term_id, kind, "by", reason, key, recorded_at FROM interventions WHERE day <= :d ORDER BY id',
        {"d": as_of},
    ):
        own = found.setdefault(term, Said())
        if kind == "approve":
            own.approvals.append((key, at))
        elif kind in ("hold", "release"):
            own.hold = None if kind == "release" else f"{by}: {reason}" if reason else by
    return found


def approvals_required(connection: Connection) -> dict[tuple[int, str], bool]:
    """Terms that need a person's approval, by contract and code."""
    rows = fetch(
        connection,
        'SELECT c.id, v.long_form FROM contracts c JOIN contract_versions v ON v.id = c.version_id WHERE v.long_form LIKE \'%"approval":"required"%\'',
    )
    found = {}
    for contract, text in rows:
        body = orjson.loads(text)
        everything = body.get("approval") == "required"
        found.update({(contract, t["id"]): everything or t.get("approval") == "required" for t in body["terms"]})
    return found


def _blocked(standing: Sequence[tuple[Any, ...]], connection: Connection) -> Iterable[BlockedLine]:
    names = {(c, code): name for c, code, name in fetch(connection, "SELECT contract_id, code, name FROM terms")}
    links = {
        (c, event): (source, url)
        for c, event, source, url in fetch(
            connection,
            "SELECT b.contract_id, b.event, b.connection, m.url FROM bindings b LEFT JOIN milestones m ON m.id = b.milestone_id",
        )
    }
    for contract, number, customer, currency, manager, body, active in standing:
        for code, status, _, _, expected, gross, _, _, blockers in orjson.loads(body):
            if status != "not_ready" or not active:
                continue
            yield BlockedLine(
                contract=number, term=code, name=names.get((contract, code), code), customer=customer, currency=currency, gross=gross,
                expected_on=None if expected >= NEVER else _day(expected),
                blockers=tuple(_blocker(b, links.get((contract, b[0]), (None, None)), manager) for b in blockers),
                project_manager=manager,
            )  # fmt: skip


def _blocker(entry: Sequence[Any], link: tuple[str | None, str | None], manager: str | None) -> Blocker:
    name, kind, planned, source = entry
    return Blocker(name, kind, None if planned is None else _day(planned), source or link[0], link[1], manager)


def removed(connection: Connection, lines: Board) -> list[Finding]:
    """Contracts that no file holds any more and that still have records on the list: told until those are gone."""
    listed = {r.contract for r in lines.listed()}
    return [
        Finding("CONTRACT_REMOVED", Severity.WARNING, Place(file=file, contract=number), {"contract": number})
        for number, file in fetch(connection, "SELECT number, file FROM contracts WHERE NOT active ORDER BY number")
        if number in listed
    ]


_BELOW_READY = """
SELECT c.number, c.file, t.code, r.currency, r.gross, SUM(i.gross) FROM ready_records r
JOIN contracts c ON c.id = r.contract_id JOIN terms t ON t.id = r.term_id
JOIN invoices i ON i.contract_id = r.contract_id AND i.term_id = r.term_id AND i.cancelled_day IS NULL AND i.issued_day <= :d
LEFT JOIN (SELECT invoice_id, SUM(gross) AS gross FROM credits GROUP BY invoice_id) k ON k.invoice_id = i.id
LEFT JOIN withdrawals w ON w.record_id = r.record_id
WHERE w.record_id IS NULL AND (i.gross IS NULL OR k.gross IS NULL OR i.gross > k.gross)
GROUP BY r.record_id, c.number, c.file, t.code, t.position, r.currency, r.gross
HAVING COUNT(i.gross) = COUNT(*) AND SUM(i.gross) < r.gross ORDER BY c.number, t.position
"""


def below_ready(connection: Connection, as_of: int) -> list[Finding]:
    """Terms of which only a part was invoiced: one invoice takes the whole record off the list, so the rest is told.

    An invoice without a sum asks for all. What was credited in part was asked for; what was credited entirely was not.
    """
    return [
        Finding(
            "INVOICED_BELOW_READY",
            Severity.WARNING,
            Place(file=file, contract=number, term=term),
            {
                "which": f"{number}/{term}",
                "ready": _said(gross, currency),
                "invoiced": _said(int(invoiced), currency),
                "left": _said(gross - int(invoiced), currency),
            },
        )
        for number, file, term, currency, gross, invoiced in fetch(connection, _BELOW_READY, {"d": as_of})
    ]


def _said(minor: int, currency: str) -> str:
    return f"{currency} {amount_text(minor, minor_digits(currency))}"


def _exceptions(connection: Connection, as_of: int) -> tuple[ExceptionLine, ...]:
    rows = fetch(
        connection,
        "SELECT c.number, t.code, e.code, e.opened_day, e.detail, c.currency FROM exceptions e JOIN contracts c ON c.id = e.contract_id "
        "LEFT JOIN terms t ON t.id = e.term_id LEFT JOIN exception_closings x ON x.exception_id = e.exception_id "
        "WHERE e.opened_day <= :d AND (x.exception_id IS NULL OR x.closed_day > :d) ORDER BY c.number, t.code, e.code",
        {"d": as_of},
    )
    return tuple(ExceptionLine(r[0], r[1], r[2], _day(r[3]), _detail(r[2], r[4], r[5])) for r in rows)


def _detail(code: str, detail: str, currency: str) -> str:
    """What an exception is about, as people write it; the ledger keeps an amount in minor units."""
    if code != "NTE_EXCEEDED" or not detail.isdecimal():
        return detail
    return _said(int(detail), currency)


def _forecast(blocked: Iterable[BlockedLine]) -> tuple[ForecastLine, ...]:
    """Money by the month in which it is expected to become ready."""
    sums: dict[tuple[str, str], list[int]] = {}
    for line in blocked:
        if line.expected_on is not None:
            entry = sums.setdefault((line.expected_on.strftime("%Y-%m"), line.currency), [0, 0])
            entry[0] += line.gross
            entry[1] += 1
    return tuple(ForecastLine(month, currency, gross, n) for (month, currency), (gross, n) in sorted(sums.items()))
