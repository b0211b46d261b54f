"""Notify: owe what is new, then drain the outbox. At least once towards a channel, never twice for one key
when the channel answered; a notice nobody takes is dead after a while and stays visible.

A process killed between a channel's answer and our writing it down sends that notice again: the channel
cannot be asked whether it had it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from connectors.notify.channel import Message, NotSent, rendered
from connectors.store import Store
from connectors.store.bulk import fetch
from flows.steps.post import owe
from models.domain.notice_texts import News, Payer, Recipient, plan_notices
from models.domain.notices import Notice, NoticeKind, Role
from models.domain.ready import NightReport, RecordStatus
from models.tables import outbox, settings

ATTEMPTS_MAX = 8
CLAIM_SECONDS = 300
_FIRST_WAIT = 60  # seconds; doubles with every attempt


class Sender(Protocol):
    """A channel, real or fake. Raises NotSent."""

    def send(self, message: Message, to: str | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Drained:
    """How the outbox came out."""

    sent: int = 0
    failed: int = 0
    dead: int = 0
    drafts: int = 0

    def counts(self) -> Mapping[str, int]:
        """For the run's record."""
        return {"sent": self.sent, "failed": self.failed, "dead": self.dead, "drafts": self.drafts}


def owe_news(store: Store, report: NightReport, recipients: Sequence[Recipient], now: int) -> int:
    """Owe notices for everything recorded since the last time. Before go-live nothing is owed, only remembered.

    The mark moves in the same transaction: a run killed in between owes them the next time.
    """
    with store.begin() as connection:
        marks = dict(fetch(connection, "SELECT key, value FROM settings WHERE key IN ('go_live', 'noticed_until')"))
        since = int(marks.get("noticed_until") or marks.get("go_live") or 0)
        until = _latest(connection)
        count = 0
        if "go_live" in marks:
            count = owe(
                connection, plan_notices(_news(connection, report, since), recipients, _payers(connection)), now
            )
        connection.execute(sa.delete(settings).where(settings.c.key == "noticed_until"))
        connection.execute(sa.insert(settings).values(key="noticed_until", value=str(max(since, until))))
    return count


def _latest(connection: Connection) -> int:
    return max(
        int(r[0] or 0)
        for t in ("ready_records", "withdrawals", "exceptions")
        for r in fetch(connection, f"SELECT MAX(recorded_at) FROM {t}")
    )


def _news(connection: Connection, report: NightReport, since: int) -> News:
    fresh = {
        r[0] for r in fetch(connection, "SELECT record_id FROM ready_records WHERE recorded_at > :s", {"s": since})
    }
    gone = {r[0] for r in fetch(connection, "SELECT record_id FROM withdrawals WHERE recorded_at > :s", {"s": since})}
    opened = {
        (n, c, code)
        for n, c, code in fetch(
            connection,
            "SELECT c.number, t.code, e.code FROM exceptions e JOIN contracts c ON c.id = e.contract_id LEFT JOIN terms t ON t.id = e.term_id "
            "WHERE e.recorded_at > :s",
            {"s": since},
        )
    }
    return News(
        report.as_of,
        [r for r in report.ready if r.record_id in fresh and r.status is RecordStatus.READY],
        [r for r in report.withdrawn if r.record_id in gone],
        [e for e in report.exceptions if (e.contract, e.term, e.code) in opened],
        [c for c in report.connections if c.state != "done"],
        sum(r.status is RecordStatus.READY for r in report.ready),
        len(report.findings),
    )


def _payers(connection: Connection) -> list[Payer]:
    """Customer contacts by contract; switched on or not."""
    found = []
    for number, text in fetch(
        connection,
        "SELECT c.number, v.long_form FROM contracts c JOIN contract_versions v ON v.id = c.version_id WHERE c.active AND v.long_form LIKE '%customer_payer%'",
    ):
        body = orjson.loads(text)
        contacts = [c for c in body.get("contacts", []) if c["role"] == Role.CUSTOMER_PAYER and c.get("email")]
        enabled = bool(body.get("notify_customer"))
        found += [Payer(number, c["email"], c.get("language", "zh-CN"), enabled) for c in contacts]
    return found


# --- draining ----------------------------------------------------------------------------------------


def drain(store: Store, channels: Mapping[str, Sender], folder: Path, clock: Callable[[], int]) -> Drained:
    """Send what is owed and due."""
    token = str(uuid.uuid4())
    sent = failed = dead = 0
    for notice, attempts in _due(store, clock()):
        channel = channels.get(notice.recipient) or channels.get(f"role:{notice.role.value}")
        if channel is None or not _claim(store, notice.key, token, clock()):
            continue
        try:
            channel.send(rendered(notice, folder), notice.recipient if notice.role is Role.CUSTOMER_PAYER else None)
        except NotSent as problem:
            died = attempts + 1 >= ATTEMPTS_MAX
            _failed(store, notice.key, attempts + 1, str(problem), clock(), dead=died)
            failed, dead = failed + (not died), dead + died
        else:
            _mark(
                store,
                notice.key,
                {"delivered_at": clock(), "attempts": attempts + 1, "claimed_by": None, "last_error": None},
            )
            sent += 1
    with store.read() as connection:
        drafts = fetch(connection, "SELECT COUNT(*) FROM outbox WHERE draft AND delivered_at IS NULL")[0][0]
        dead += fetch(connection, "SELECT COUNT(*) FROM outbox WHERE dead_at IS NOT NULL")[0][0] - dead
    return Drained(sent, failed, dead, drafts)


def _due(store: Store, now: int) -> list[tuple[Notice, int]]:
    with store.read() as connection:
        rows = fetch(
            connection,
            "SELECT key, kind, role, recipient, language, payload, draft, attachment, attempts FROM outbox WHERE delivered_at IS NULL "
            "AND dead_at IS NULL AND NOT draft AND next_attempt_at <= :now ORDER BY created_at, key",
            {"now": now},
        )
    return [
        (Notice(k, NoticeKind(kind), Role(role), who, lang, orjson.loads(body), bool(draft), file), n)
        for k, kind, role, who, lang, body, draft, file, n in rows
    ]


def _claim(store: Store, key: str, token: str, now: int) -> bool:
    """Two drains side by side: only one gets it."""
    free = sa.or_(outbox.c.claimed_by.is_(None), outbox.c.claimed_until < now)
    mine = sa.update(outbox).where(
        outbox.c.key == key, outbox.c.delivered_at.is_(None), outbox.c.dead_at.is_(None), free
    )
    with store.begin() as connection:
        return bool(connection.execute(mine.values(claimed_by=token, claimed_until=now + CLAIM_SECONDS)).rowcount)


def _failed(store: Store, key: str, attempts: int, why: str, now: int, *, dead: bool) -> None:
    wait = _FIRST_WAIT * 2 ** (attempts - 1)
    values: dict[str, object] = {
        "attempts": attempts,
        "last_error": why,
        "next_attempt_at": now + wait,
        "claimed_by": None,
    }
    _mark(store, key, values | ({"dead_at": now} if dead else {}))


def _mark(store: Store, key: str, values: Mapping[str, object]) -> None:
    with store.begin() as connection:
        connection.execute(sa.update(outbox).where(outbox.c.key == key).values(**values))
