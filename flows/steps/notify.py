"""Notify: owe what is new, then drain the outbox. At least once towards a channel, never twice for one key
when the channel answered; a notice nobody takes is dead after a while and stays visible.

A process killed between a channel's answer and our writing it down sends that notice again: the channel
cannot be asked whether it had it.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from connectors.notify.errors import NotSent, Undeliverable
from connectors.store import Store
from connectors.store.bulk import fetch
from flows.steps.post import owe
from flows.steps.receivables.reminders import log_sent
from models.domain.notice_texts import Manager, News, Payer, Recipient, plan_notices, touched_contracts
from models.domain.notices import Notice, NoticeKind, Role
from models.domain.ready import NightReport, RecordStatus
from models.tables import outbox, settings

ATTEMPTS_MAX = 8
CLAIM_SECONDS = 300
FIRST_WAIT = 60  # seconds; doubles with every attempt
#: Within one drain a channel that does not answer is asked again after these seconds: the next drain is a night away.
QUICK_WAITS = (2.0, 8.0)
#: A channel that failed this often in a row is down; what else is owed to it waits without using up attempts.
DOWN_AFTER = 3
_PLANNED = frozenset({RecordStatus.HELD, RecordStatus.AWAITING_APPROVAL})


class Sender(Protocol):
    """A channel, real or fake. Raises NotSent (later perhaps) or Undeliverable (never)."""

    def send(self, notice: Notice, folder: Path, to: str | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Drained:
    """How the outbox came out. `sent` and `failed` count this drain, `dead` and `drafts` all there are."""

    sent: int = 0
    failed: int = 0
    dead: int = 0
    drafts: int = 0

    def counts(self) -> Mapping[str, int]:
        """For the run's record."""
        return {"sent": self.sent, "failed": self.failed, "dead": self.dead, "drafts": self.drafts}


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A notice that nobody took, and why; times in epoch seconds."""

    key: str
    kind: NoticeKind
    role: Role
    recipient: str
    attempts: int
    created_at: int
    dead_at: int
    reason: str


# --- owing -------------------------------------------------------------------------------------------


def owe_news(store: Store, report: NightReport, recipients: Sequence[Recipient], now: int) -> int:
    """Owe notices for everything recorded since the last time. Before go-live nothing is owed, only remembered.

    The mark moves in the same transaction: a run killed in between owes them the next time.
    """
    with store.begin() as connection:
        names = "'go_live', 'noticed_until', 'notice_pending'"
        marks = dict(fetch(connection, f"SELECT key, value FROM settings WHERE key IN ({names})"))
        since = int(marks.get("noticed_until") or marks.get("go_live") or 0)
        pending = frozenset(orjson.loads(marks.get("notice_pending") or "[]"))
        until = max(since, _latest(connection))
        fresh = pending | _records_since(connection, "ready_records", since)
        count = 0
        if "go_live" in marks:
            news = _news(connection, report, since, fresh)
            touched = sorted(touched_contracts(news))
            count = owe(connection, plan_notices(news, recipients, *_contacts(connection, touched)), now)
        _remember(connection, "noticed_until", str(until))
        later = sorted(r.record_id for r in report.ready if r.record_id in fresh and r.status in _PLANNED)
        _remember(connection, "notice_pending", orjson.dumps(later).decode())
    return count


def _remember(connection: Connection, key: str, value: str) -> None:
    connection.execute(sa.delete(settings).where(settings.c.key == key))
    connection.execute(sa.insert(settings).values(key=key, value=value))


def _latest(connection: Connection) -> int:
    return max(
        int(r[0] or 0)
        for t in ("ready_records", "withdrawals", "exceptions")
        for r in fetch(connection, f"SELECT MAX(recorded_at) FROM {t}")
    )


def _records_since(connection: Connection, table: str, since: int) -> frozenset[str]:
    found = fetch(connection, f"SELECT record_id FROM {table} WHERE recorded_at > :s", {"s": since})
    return frozenset(r[0] for r in found)


def _news(connection: Connection, report: NightReport, since: int, fresh: frozenset[str]) -> News:
    """A record that is held or waits for approval is announced on the night it comes free, not before.

    A record that went before it was ever announced is not called back either.
    """
    gone = _records_since(connection, "withdrawals", since) - fresh
    opened = set(
        fetch(
            connection,
            "SELECT c.number, t.code, e.code FROM exceptions e JOIN contracts c ON c.id = e.contract_id "
            "LEFT JOIN terms t ON t.id = e.term_id WHERE e.recorded_at > :s",
            {"s": since},
        )
    )
    return News(
        report.as_of,
        [r for r in report.ready if r.record_id in fresh and r.status is RecordStatus.READY],
        [r for r in report.withdrawn if r.record_id in gone],
        [e for e in report.exceptions if (e.contract, e.term, e.code) in opened],
        [c for c in report.connections if c.state != "done"],
        sum(r.status is RecordStatus.READY for r in report.ready),
        len(report.findings),
        report.outlook.alerts,
    )


def _contacts(connection: Connection, numbers: Sequence[str]) -> tuple[list[Payer], list[Manager]]:
    """Customer contacts and project managers of these contracts, where they have an e-mail address."""
    payers, managers = [], []
    for number, body in _long_forms(connection, numbers):
        enabled = bool(body.get("notify_customer"))
        for contact in body.get("contacts", ()):
            email, language = contact.get("email"), contact.get("language", "zh-CN")
            if email and contact["role"] == Role.CUSTOMER_PAYER:
                payers.append(Payer(number, email, language, enabled))
            elif email and contact["role"] == Role.PROJECT_MANAGER:
                managers.append(Manager(number, email, language))
    return payers, managers


def _long_forms(connection: Connection, numbers: Sequence[str]) -> list[tuple[str, Mapping[str, Any]]]:
    query = sa.text(
        "SELECT c.number, v.long_form FROM contracts c JOIN contract_versions v ON v.id = c.version_id "
        "WHERE c.number IN :numbers AND v.long_form LIKE '%contacts%' ORDER BY c.number"
    ).bindparams(sa.bindparam("numbers", expanding=True))
    found: list[tuple[str, Mapping[str, Any]]] = []
    for start in range(0, len(numbers), 500):
        rows = connection.execute(query, {"numbers": list(numbers[start : start + 500])})
        found += [(number, orjson.loads(text)) for number, text in rows]
    return found


# --- draining ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Drain:
    """One pass over the outbox."""

    store: Store
    channels: Mapping[str, Sender]
    folder: Path
    clock: Callable[[], int]
    pause: Callable[[float], None]
    token: str = field(default_factory=lambda: str(uuid.uuid4()))
    failures: Counter[str] = field(default_factory=Counter)  # in a row, by channel

    def deliver(self, notice: Notice, attempts: int) -> str:
        """Send one notice: "sent", "failed", "dead", or "left" to somebody else or a later drain."""
        name = notice.recipient if notice.recipient in self.channels else f"role:{notice.role.value}"
        if self.failures[name] >= DOWN_AFTER or not self._claim(notice.key, attempts):
            return "left"
        try:
            self._send(name, notice)
        except NotSent as problem:
            self.failures[name] += not isinstance(problem, Undeliverable)
            return self._failed(notice.key, attempts + 1, problem)
        self.failures[name] = 0
        # Whoever holds the claim by now: the channel took it, and nobody may send it again.
        done = {"delivered_at": self.clock(), "attempts": attempts + 1, "claimed_by": None, "last_error": None}
        self._mark(outbox.c.key == notice.key, done, notice if notice.kind is NoticeKind.REMINDER else None)
        return "sent"

    def _send(self, name: str, notice: Notice) -> None:
        channel = self.channels.get(name)
        if channel is None:
            raise NotSent(f"no [[notify]] entry is called '{notice.recipient}' or has the role {notice.role.value}")
        to = None if name == notice.recipient or "@" not in notice.recipient else notice.recipient
        waits = () if self.failures[name] else QUICK_WAITS
        for wait in waits:
            if self._tried(channel, notice, to):
                return
            self.pause(wait)
        channel.send(notice, self.folder, to)

    def _tried(self, channel: Sender, notice: Notice, to: str | None) -> bool:
        """One try that may fail, if a later one can help."""
        try:
            channel.send(notice, self.folder, to)
        except Undeliverable:
            raise
        except NotSent:
            return False
        return True

    def _claim(self, key: str, attempts: int) -> bool:
        """Two drains side by side: only one gets it, and only as it was when it was read."""
        now = self.clock()
        free = sa.or_(outbox.c.claimed_by.is_(None), outbox.c.claimed_until < now)
        unchanged = sa.and_(outbox.c.attempts == attempts, outbox.c.next_attempt_at <= now)
        open_ = sa.and_(outbox.c.delivered_at.is_(None), outbox.c.dead_at.is_(None))
        claim = {"claimed_by": self.token, "claimed_until": now + CLAIM_SECONDS}
        return self._mark(sa.and_(outbox.c.key == key, open_, unchanged, free), claim)

    def _failed(self, key: str, attempts: int, why: NotSent) -> str:
        dead = attempts >= ATTEMPTS_MAX or isinstance(why, Undeliverable)
        values: dict[str, object] = {
            "attempts": attempts,
            "last_error": str(why),
            "next_attempt_at": self.clock() + FIRST_WAIT * 2 ** (attempts - 1),
            "claimed_by": None,
        }
        mine = sa.and_(outbox.c.key == key, outbox.c.claimed_by == self.token)
        self._mark(mine, values | ({"dead_at": self.clock()} if dead else {}))
        return "dead" if dead else "failed"

    def _mark(
        self, where: sa.ColumnElement[bool], values: Mapping[str, object], reminded: Notice | None = None
    ) -> bool:
        """Write down how it went; a customer who was reminded is a touch, in the same transaction."""
        with self.store.begin() as connection:
            if reminded is not None:
                log_sent(connection, reminded, self.clock())
            return bool(connection.execute(sa.update(outbox).where(where).values(**values)).rowcount)


def drain(
    store: Store,
    channels: Mapping[str, Sender],
    folder: Path,
    clock: Callable[[], int],
    *,
    pause: Callable[[float], None] = time.sleep,
) -> Drained:
    """Send what is owed and due. `channels`: by the name of a [[notify]] entry, and as `role:ROLE`.

    `clock` gives epoch seconds; `folder` holds what is attached. Drafts are never sent. Raises StoreError only.
    """
    pass_ = _Drain(store, channels, folder, clock, pause)
    came = Counter(pass_.deliver(notice, attempts) for notice, attempts in _due(store, clock()))
    with store.read() as connection:
        drafts = fetch(connection, "SELECT COUNT(*) FROM outbox WHERE draft AND delivered_at IS NULL")[0][0]
        dead = fetch(connection, "SELECT COUNT(*) FROM outbox WHERE dead_at IS NOT NULL")[0][0]
    return Drained(came["sent"], came["failed"], dead, drafts)


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


def dead_letters(store: Store) -> list[DeadLetter]:
    """All notices that nobody took, the latest first."""
    with store.read() as connection:
        rows = fetch(
            connection,
            "SELECT key, kind, role, recipient, attempts, created_at, dead_at, last_error FROM outbox "
            "WHERE dead_at IS NOT NULL ORDER BY dead_at DESC, key",
        )
    return [DeadLetter(r[0], NoticeKind(r[1]), Role(r[2]), r[3], r[4], r[5], r[6], r[7] or "") for r in rows]


def revive(store: Store, now: int, key: str | None = None) -> int:
    """Owe dead letters again (all, or one) after their cause was put right; how many."""
    dead = outbox.c.dead_at.is_not(None)
    which = dead if key is None else sa.and_(dead, outbox.c.key == key)
    fresh = {"dead_at": None, "attempts": 0, "next_attempt_at": now, "claimed_by": None}
    with store.begin() as connection:
        return int(connection.execute(sa.update(outbox).where(which).values(**fresh)).rowcount)
