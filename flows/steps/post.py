"""Post: the plan into the ledgers, contracts never split, about a thousand of them a transaction.

Everything has an identity made from what it says, so that posting twice writes once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from connectors.store import Store
from connectors.store.bulk import bulk_insert, wanted_ids
from flows.steps.decide import Plan
from flows.steps.evaluation.compile import RULE_VERSION
from models.domain.notices import Notice
from models.tables import decisions, exception_closings, exceptions, outbox, ready_records, standing, withdrawals

CONTRACTS_A_TRANSACTION = 1_000


@dataclass(frozen=True, slots=True)
class Posted:
    """How much was written."""

    records: int = 0
    withdrawn: int = 0
    exceptions: int = 0
    closed: int = 0
    decisions: int = 0

    def plus(self, other: Posted) -> Posted:
        """The sum of two."""
        return Posted(*(getattr(self, n) + getattr(other, n) for n in Posted.__dataclass_fields__))


def post(
    store: Store,
    plan: Plan,
    run_id: str,
    as_of: int,
    recorded_at: int,
    *,
    before_commit: Callable[[Connection], None] | None = None,
) -> Posted:
    """Write a plan. `before_commit` may raise to stop (a lost lease); what was committed before stays."""
    done = Posted()
    for part in _parts(plan):
        with store.begin() as connection:
            done = done.plus(_write(connection, part, run_id, as_of, recorded_at))
            if before_commit is not None:
                before_commit(connection)
    return done


def _parts(plan: Plan) -> Iterator[Plan]:
    """Whole contracts, about a thousand at a time, in the order of their ids."""
    order = {s[0]: n // CONTRACTS_A_TRANSACTION for n, s in enumerate(sorted(plan.standing))}
    count = max(order.values(), default=-1) + 1
    if count <= 1:
        yield from [plan] if plan.standing else []
        return
    parts = [Plan() for _ in range(count)]
    for name in ("records", "withdrawals", "opened"):
        for entry in getattr(plan, name):
            getattr(parts[order[entry.contract_id]], name).append(entry)
    for key, contract in plan.closed:
        parts[order[contract]].closed.append((key, contract))
    for name in ("decisions", "standing"):
        for row in getattr(plan, name):
            getattr(parts[order[row[0]]], name).append(row)
    yield from parts


_RECORD = (
    "record_id", "contract_id", "term_id", "occurrence", "gross", "net", "tax", "lines", "currency", "ready_day",
    "legal_day", "noticed_day", "evidence", "version_id", "run_id", "recorded_at",
)  # fmt: skip


def _write(connection: Connection, plan: Plan, run_id: str, as_of: int, recorded_at: int) -> Posted:
    stamp = (run_id, recorded_at)
    gone = [(w.record_id, w.day, w.reason, *stamp) for w in plan.withdrawals]
    withdrawn = bulk_insert(
        connection, withdrawals, ("record_id", "withdrawn_day", "reason", "run_id", "recorded_at"), gone, ignore=True
    )
    rows = [
        (
            r.record_id, r.contract_id, r.term_id, r.occurrence, r.gross, r.net, r.tax, r.lines, r.currency, r.ready_day,
            r.legal_day, as_of, r.evidence, r.version_id, *stamp,
        )
        for r in plan.records
    ]  # fmt: skip
    records = bulk_insert(connection, ready_records, _RECORD, rows, ignore=True)
    opened = [(e.exception_id, e.contract_id, e.term_id, e.code, as_of, e.detail, *stamp) for e in plan.opened]
    columns = ("exception_id", "contract_id", "term_id", "code", "opened_day", "detail", "run_id", "recorded_at")
    new = bulk_insert(connection, exceptions, columns, opened, ignore=True)
    closings = [(key, as_of, *stamp) for key, _ in plan.closed]
    closed = bulk_insert(
        connection, exception_closings, ("exception_id", "closed_day", "run_id", "recorded_at"), closings, ignore=True
    )
    said = [(c, v, run_id, as_of, RULE_VERSION, h, body, recorded_at) for c, v, h, body in plan.decisions]
    columns = ("contract_id", "version_id", "run_id", "as_of", "rule_version", "content_hash", "body", "recorded_at")
    bulk_insert(connection, decisions, columns, said)
    _stand(connection, plan, as_of, recorded_at)
    return Posted(records, withdrawn, new, closed, len(said))


def _stand(connection: Connection, plan: Plan, as_of: int, recorded_at: int) -> None:
    """Where each contract stands now replaces where it stood."""
    table = wanted_ids(connection, [s[0] for s in plan.standing])
    connection.execute(sa.text(f"DELETE FROM standing WHERE contract_id IN (SELECT id FROM {table})"))
    rows = [(c, v, h, as_of, look, recorded_at) for c, v, h, look in plan.standing]
    bulk_insert(
        connection, standing, ("contract_id", "version_id", "content_hash", "as_of", "next_look", "evaluated_at"), rows
    )


_OUTBOX = (
    "key",
    "kind",
    "role",
    "recipient",
    "language",
    "payload",
    "draft",
    "attachment",
    "created_at",
    "attempts",
    "next_attempt_at",
)


def owe(connection: Connection, notices: Sequence[Notice], now: int) -> int:
    """Put notices into the outbox; one that is there already is not owed twice. `now` in epoch seconds."""
    rows = [
        (
            n.key,
            n.kind.value,
            n.role.value,
            n.recipient,
            n.language,
            orjson.dumps(dict(n.payload)).decode(),
            n.draft,
            n.attachment,
            now,
            0,
            now,
        )
        for n in notices
    ]
    return bulk_insert(connection, outbox, _OUTBOX, rows, ignore=True)
