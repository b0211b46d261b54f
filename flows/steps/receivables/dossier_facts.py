"""What the store holds around one term, as the lines of its dossier. Nothing later than the day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from sqlalchemy.engine import Connection

from connectors.store.bulk import fetch
from flows.steps.evaluation.columns import as_date, day_number
from flows.steps.receivables.claims import OPENING
from flows.steps.receivables.standing import to_date
from flows.steps.report import evidence_leaf
from models.domain.contracts import PaymentFact
from models.domain.ready import ReadyLine, RecordStatus
from models.domain.receivables.agreements import Instalment, Paid, Plan, Promise, plan_open, promise_state
from models.domain.receivables.dossier import (
    Bill,
    Extension,
    Money,
    Observed,
    PlanPart,
    PromiseEntry,
    Recorded,
    TouchLine,
)


def _maybe(number: int | None) -> date | None:
    return None if number is None else as_date(number)


def local_date(instant: int, zone: str) -> date:
    """The day of an instant (epoch seconds) in a time zone (D5)."""
    return datetime.fromtimestamp(instant, UTC).astimezone(ZoneInfo(zone)).date()


@dataclass(frozen=True, slots=True)
class TermFacts:
    """Reads what is known of one term up to a day."""

    connection: Connection
    contract_id: int
    term_id: int
    zone: str
    as_of: date

    def rows(self, query: str, **more: object) -> list[tuple[Any, ...]]:
        """A query with `:c` contract, `:t` term, `:d` day."""
        given = {"c": self.contract_id, "t": self.term_id, "d": day_number(self.as_of), **more}
        return fetch(self.connection, query, {k: v for k, v in given.items() if f":{k}" in query})

    # --- what made it ready ---

    def records(self, status: str) -> tuple[ReadyLine, ...]:
        """Its ready records, the withdrawn ones too."""
        found = self.rows(
            "SELECT r.record_id, c.number, t.code, t.name, c.customer, r.currency, r.gross, r.net, r.tax, r.ready_day, "
            "r.noticed_day, r.evidence, r.occurrence, w.withdrawn_day FROM ready_records r "
            "JOIN contracts c ON c.id = r.contract_id JOIN terms t ON t.id = r.term_id "
            "LEFT JOIN withdrawals w ON w.record_id = r.record_id AND w.withdrawn_day <= :d "
            "WHERE r.term_id = :t AND r.noticed_day <= :d ORDER BY r.occurrence"
        )
        known = RecordStatus(status) if status in list(RecordStatus) else RecordStatus.READY
        return tuple(
            ReadyLine(
                record_id=r[0], contract=r[1], term=r[2], name=r[3], customer=r[4], currency=r[5], gross=r[6], net=r[7],
                tax=r[8], ready_on=to_date(r[9]), noticed_on=to_date(r[10]), occurrence=r[12], withdrawn_on=_maybe(r[13]),
                status=known if r[13] is None else RecordStatus.WITHDRAWN,
                evidence=tuple(evidence_leaf(e) for e in orjson.loads(r[11])),
            )
            for r in found
        )  # fmt: skip

    def observed(self, events: Sequence[str]) -> tuple[Observed, ...]:
        """What the systems said of the milestones behind the events, the oldest first."""
        end = datetime.combine(self.as_of + timedelta(days=1), time(), ZoneInfo(self.zone))
        rows = self.rows(
            "SELECT b.event, m.connection, o.name, o.state, o.done, o.accepted, o.percent_bp, o.done_at, o.done_day, "
            "o.done_by, o.observed_at, o.grade, o.provenance, o.url, o.content_hash FROM bindings b "
            "JOIN milestones m ON m.id = b.milestone_id JOIN observations o ON o.milestone_id = m.id "
            "WHERE b.contract_id = :c AND o.observed_at < :end ORDER BY b.event, o.id",
            end=int(end.timestamp()),
        )
        return tuple(
            Observed(
                r[0], r[1], r[2], r[3], bool(r[4]), bool(r[5]), r[6],
                local_date(r[7], self.zone) if r[7] is not None else _maybe(r[8]), r[9],
                datetime.fromtimestamp(r[10], UTC), r[11], r[12], r[13], r[14],
            )
            for r in rows if r[0] in events
        )  # fmt: skip

    def recorded(self, events: Sequence[str]) -> tuple[Recorded, ...]:
        """What people recorded: events, documents, sign-offs (by the name of the document or role bound)."""
        names = dict(
            self.rows("SELECT event, name FROM bindings WHERE contract_id = :c AND kind IN ('document', 'sign_off')")
        )
        wanted = {*events, *(n for e, n in names.items() if e in events)}
        found = []
        for event, at, day, value, by, source, note in self.rows(
            'SELECT event, at, day, value, "by", source, note FROM facts WHERE contract_id = :c ORDER BY id'
        ):
            on = local_date(at, self.zone) if at is not None else to_date(day)
            if event in wanted and on <= self.as_of:
                found.append(Recorded(event, on, bool(value), by, source, note))
        return tuple(found)

    # --- the money ---

    def bills(self) -> tuple[Bill, ...]:
        """Invoices, and what corrects them."""
        rows = self.rows(
            "SELECT number, issued_day, received_day, gross, NULL, '' FROM invoices "
            "WHERE term_id = :t AND issued_day <= :d AND (cancelled_day IS NULL OR cancelled_day > :d) "
            "UNION ALL SELECT k.number, k.day, NULL, -k.gross, COALESCE(i.number, ''), k.reason FROM credits k "
            "JOIN invoices i ON i.id = k.invoice_id WHERE k.term_id = :t AND k.day <= :d ORDER BY 2, 4 DESC, 1"
        )
        return tuple(
            Bill("" if r[0] in (None, OPENING) else r[0], to_date(r[1]), _maybe(r[2]), r[3] or 0, r[4], r[5])
            for r in rows
        )

    def money(self) -> tuple[Money, ...]:
        """What came, with what the bank said of it."""
        rows = self.rows(
            "SELECT r.day, r.gross, r.method, r.maturity_day, COALESCE(b.payer, ''), COALESCE(b.reference, ''), "
            "x.day, x.method, CASE WHEN r.reverses IS NULL THEN '' ELSE r.method END, o.maturity_day FROM receipts r "
            "LEFT JOIN receipts x ON x.reverses = r.id AND x.day <= :d LEFT JOIN receipts o ON o.id = r.reverses "
            "LEFT JOIN allocations a ON a.receipt_id = r.id "
            "LEFT JOIN bank_lines b ON b.id = a.bank_line_id WHERE r.term_id = :t AND r.day <= :d ORDER BY r.day, r.id"
        )
        return tuple(_money(*r) for r in rows)

    # --- what was said and agreed ---

    def touches(self) -> tuple[TouchLine, ...]:
        """Every touch, the oldest first."""
        rows = self.rows(
            'SELECT kind, day, channel, "by", level, gross, code, proof FROM reminders '
            "WHERE term_id = :t AND day <= :d ORDER BY day, id"
        )
        return tuple(TouchLine(r[0], to_date(r[1]), r[2], r[3], r[4], r[5], r[6], r[7] or "") for r in rows)

    def marks(self) -> tuple[list[tuple[Any, ...]], list[int]]:
        """Touches and credits in the form that tells what is disputed."""
        return (
            self.rows(
                "SELECT kind, level, day, due_day, gross FROM reminders WHERE term_id = :t AND day <= :d ORDER BY id"
            ),
            [r[0] for r in self.rows("SELECT day FROM credits WHERE term_id = :t AND day <= :d")],
        )

    def promises(self, paid: Sequence[Paid]) -> tuple[PromiseEntry, ...]:
        """Promises with how they stand."""
        rows = self.rows(
            'SELECT made_day, until_day, gross, "by" FROM agreements '
            "WHERE term_id = :t AND kind = 'promise' AND made_day <= :d ORDER BY made_day, until_day, id"
        )
        made = [Promise(to_date(r[0]), to_date(r[1]), r[2] or 0, r[3]) for r in rows]
        return tuple(PromiseEntry(p, promise_state(p, paid, self.as_of)) for p in made)

    def plan(self, paid: Sequence[Paid]) -> tuple[PlanPart, ...]:
        """The instalments of the last plan."""
        rows = self.rows(
            'SELECT plan, made_day, until_day, gross, default_clause, "by" FROM agreements '
            "WHERE term_id = :t AND kind = 'instalment' AND made_day <= :d ORDER BY id"
        )
        own = [r for r in rows if r[0] == rows[-1][0]]
        if not own:
            return ()
        agreed, by, clause = to_date(own[0][1]), own[0][5], bool(own[0][4])
        plan = Plan(agreed, tuple(Instalment(to_date(r[2]), r[3]) for r in own), clause)
        return tuple(
            PlanPart(agreed, p.due, p.minor, left, by, clause) for p, left in plan_open(plan, paid, self.as_of)
        )

    def extensions(self) -> tuple[Extension, ...]:
        """Other due dates agreed, the last one made last."""
        rows = self.rows(
            'SELECT made_day, until_day, "by" FROM agreements '
            "WHERE term_id = :t AND kind = 'extension' AND made_day <= :d ORDER BY id"
        )
        return tuple(Extension(to_date(r[0]), to_date(r[1]), r[2]) for r in rows)


def _money(
    day: int, minor: int, method: str, maturity: int | None, payer: str, reference: str,
    back_on: int | None, back: str | None, takes_back: str, of_bill: int | None,
) -> Money:  # fmt: skip
    """One booking. `back_on`, `back`: when and how it was taken back; `takes_back`, `of_bill`: how this one takes back, and what."""
    bounced = back == "returned" and maturity is not None
    # Cash that the bank took back was there until that day, so that both bookings stand.
    void = back == "undone" or takes_back == "undone" or (bool(takes_back) and of_bill is not None)
    when = _maybe(back_on) if bounced else None
    return Money(to_date(day), minor, method, _maybe(maturity), payer, reference, when, void)


def payments_of(term: str, money: Sequence[Money]) -> list[PaymentFact]:
    """The money as the claim's rules read it."""
    return [PaymentFact(term, m.on, m.minor, m.method, m.maturity, m.dishonoured) for m in money if not m.void]
