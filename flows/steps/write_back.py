"""Write back: a comment on the milestones of a term when it became ready, was invoiced, was paid.

Off unless a connection says `write_back`. What is owed is a row, once for each record, stage and milestone; the
vendor is asked whether ours is there before anything is written, so neither a lost answer nor a killed run makes
a second one. A vendor that fails has its comments wait for later nights, and at last they are dead letters.
"""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from connectors.errors import BadPayload, SourceConfig, SourceError, SourceRefused
from connectors.http.client import Missing
from connectors.store import Store
from connectors.store.bulk import bulk_insert, fetch
from flows.steps.report import board
from models.domain.comment_texts import STAGES, About, Stage, comment_text, mark
from models.domain.ready import NAMESPACE, ReadyLine, RecordStatus
from models.domain.trouble import Trouble
from models.ports import Commenter, Spot
from models.tables import comments, settings

#: Which stages a record has come to, by its status; held and unapproved ones have come to none.
REACHED: Mapping[RecordStatus, int] = {
    RecordStatus.READY: 1,
    RecordStatus.INVOICED: 2,
    RecordStatus.PART_PAID: 2,
    RecordStatus.PAID: 3,
}
SETTING = "write_back"
#: A night each; then a comment is dead.
ATTEMPTS_MAX = 6
FIRST_WAIT = 6 * 3600
CLAIM_SECONDS = 600
#: A system that fails this often in a row is asked nothing more tonight.
DOWN_AFTER = 2
#: More comments than this are not written to one system in a night.
NIGHT_MAX = 500
#: What a connector with an error of its own raises; it must not take the night down.
_BUGS = (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)

#: By connection: the stages at which it wants a comment.
Switched = Mapping[str, frozenset[str]]


# --- owing -------------------------------------------------------------------------------------------


def owe_comments(connection: Connection, switched: Switched, recorded_at: int, now: int) -> int:
    """Owe comments for what came about since each switch was found on. Before go-live nothing is owed.

    Of a term that came through several stages at once only the last one that is wanted is told.
    """
    since = _since(connection, switched, recorded_at)
    if not since:
        return 0
    _drop_withdrawn(connection)
    moments = _moments(connection, min(m for marks in since.values() for m in marks.values()))
    lines = [r for r in board(connection).ready if r.record_id in moments] if moments else []
    spots = _spots(connection, lines)
    rows = [
        (str(uuid.uuid5(NAMESPACE, f"comment\x1f{line.record_id}\x1f{stage}\x1f{milestone}")), line.record_id, stage,
         name, milestone, now, 0, now)
        for line in lines
        for name, milestone in spots[line.record_id]
        if (stage := _stage(line.status, switched.get(name, frozenset()))) is not None
        and moments[line.record_id][STAGES.index(stage)] > since[name][stage]
    ]  # fmt: skip
    columns = ("key", "record_id", "kind", "connection", "milestone_id", "created_at", "attempts", "next_attempt_at")
    return bulk_insert(connection, comments, columns, rows, ignore=True)


def _since(connection: Connection, switched: Switched, recorded_at: int) -> dict[str, dict[str, int]]:
    """From when on each stage counts: from this night on where its switch is new, and never before go-live."""
    known = dict(fetch(connection, f"SELECT key, value FROM settings WHERE key IN ('go_live', '{SETTING}')"))
    before = orjson.loads(known.get(SETTING) or "{}")
    marks = {n: {k: before.get(n, {}).get(k, recorded_at - 1) for k in sorted(kinds)} for n, kinds in switched.items()}
    if "go_live" not in known:
        marks = {}
    if marks != before:
        connection.execute(sa.delete(settings).where(settings.c.key == SETTING))
        connection.execute(sa.insert(settings).values(key=SETTING, value=orjson.dumps(marks).decode()))
    live = int(known.get("go_live") or 0)
    return {n: {k: max(m, live) for k, m in kinds.items()} for n, kinds in marks.items() if kinds}


def _drop_withdrawn(connection: Connection) -> None:
    """A record that went before it was told of is not told of."""
    gone = sa.text("DELETE FROM comments WHERE sent_at IS NULL AND record_id IN (SELECT record_id FROM withdrawals)")
    connection.execute(gone)


def _moments(connection: Connection, since: int) -> dict[str, tuple[int, int, int]]:
    """By record: when it was recorded, when an invoice of its term was, when the last money was - the new ones."""
    rows = fetch(
        connection,
        "SELECT r.record_id, r.recorded_at, "
        "COALESCE((SELECT MAX(i.recorded_at) FROM invoices i WHERE i.term_id = r.term_id), 0), "
        "COALESCE((SELECT MAX(p.recorded_at) FROM receipts p WHERE p.term_id = r.term_id), 0) "
        "FROM ready_records r WHERE r.recorded_at > :s "
        "OR r.term_id IN (SELECT term_id FROM invoices WHERE recorded_at > :s) "
        "OR r.term_id IN (SELECT term_id FROM receipts WHERE recorded_at > :s)",
        {"s": since},
    )
    return {r[0]: (r[1], r[2], r[3]) for r in rows}


def _stage(status: RecordStatus, wanted: frozenset[str]) -> Stage | None:
    reached = [s for s in STAGES[: REACHED.get(status, 0)] if s in wanted]
    return reached[-1] if reached else None


def _spots(connection: Connection, lines: Iterable[ReadyLine]) -> dict[str, list[tuple[str, int]]]:
    """By record: the milestones that its evidence names, with their connection."""
    proofs = {(r.contract, e.source, e.event): None for r in lines for e in r.evidence}
    bound: dict[tuple[str, str, str], list[tuple[str, int]]] = defaultdict(list)
    for start in range(0, len(numbers := sorted({c for c, _, _ in proofs})), 500):
        query = sa.text(
            "SELECT c.number, b.event, m.connection, m.id FROM bindings b JOIN contracts c ON c.id = b.contract_id "
            "JOIN milestones m ON m.id = b.milestone_id WHERE c.number IN :numbers AND NOT m.deleted ORDER BY m.id"
        ).bindparams(sa.bindparam("numbers", expanding=True))
        for number, event, name, milestone in connection.execute(query, {"numbers": numbers[start : start + 500]}):
            bound[number, name, event].append((name, milestone))
    return {
        r.record_id: list(dict.fromkeys(s for e in r.evidence for s in bound.get((r.contract, e.source, e.event), ())))
        for r in lines
    }


# --- writing -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Owed:
    """A comment that is due."""

    key: str
    stage: Stage
    about: About
    spot: Spot
    place: str | None
    attempts: int


@dataclass(frozen=True, slots=True)
class WrittenBack:
    """How it went. `sent` and `failed` count this night, `dead` all there are."""

    sent: int = 0
    failed: int = 0
    dead: int = 0

    def counts(self) -> Mapping[str, int]:
        """For the run's summary."""
        return {"sent": self.sent, "failed": self.failed, "dead": self.dead}


#: Uses a connection's commenter for as long as the given function needs it. Raises SourceError.
WithCommenter = Callable[[str, Callable[[Commenter], Awaitable[None]]], Awaitable[None]]


@dataclass(slots=True)
class Writing:
    """One night's comments."""

    store: Store
    clock: Callable[[], int]
    language: str
    base_link: str
    still_ours: Callable[[Connection], None]  # raises where the night's lease was lost
    token: str = field(default_factory=lambda: str(uuid.uuid4()))
    came: Counter[str] = field(default_factory=Counter)

    async def to(self, name: str, due: Sequence[Owed], using: WithCommenter) -> None:
        """All that is due on one connection. Whatever goes wrong there is written down with its comments."""
        done: set[str] = set()

        async def each(commenter: Commenter) -> None:
            failures = 0
            for owed in due:
                if failures < DOWN_AFTER:
                    failures = 0 if await self._one(commenter, owed) else failures + 1
                    done.add(owed.key)

        try:
            await using(name, each)
        except (SourceError, *_BUGS) as problem:  # it could not even be begun
            for owed in due:
                if owed.key not in done and self._claimed(owed):
                    self._failed(owed, problem)

    async def _one(self, commenter: Commenter, owed: Owed) -> bool:
        """Write one comment, if it is not there. False: the system does not answer."""
        if not self._claimed(owed):
            return True
        try:
            place = owed.place or await commenter.place(owed.spot)
            if place is None:
                self._dead(owed, Trouble("nowhere_to_write"))
                return True
            await self._at(commenter, place, owed)
        except (SourceError, *_BUGS) as problem:
            self._failed(owed, problem)
            return isinstance(problem, (SourceRefused, BadPayload))
        return True

    async def _at(self, commenter: Commenter, place: str, owed: Owed) -> None:
        """The place is kept before anything is written there: another night looks where this one wrote."""
        if not await commenter.written(place, mark(owed.about.record_id, owed.stage)):
            self._set(owed, {"place": place})
            await commenter.write(place, comment_text(owed.about, owed.stage, self.language, self.base_link))
        self._set(owed, {"place": place, "sent_at": self.clock(), "claimed_by": None, "last_error": None})
        self.came["sent"] += 1

    def _claimed(self, owed: Owed) -> bool:
        """Of two nights side by side only one writes it, and none after its lease was lost."""
        now, table = self.clock(), comments.c
        free = sa.or_(table.claimed_by.is_(None), table.claimed_until < now)
        mine = sa.update(comments).where(table.key == owed.key, table.sent_at.is_(None), free)
        with self.store.begin() as writer:
            self.still_ours(writer)
            values = {"claimed_by": self.token, "claimed_until": now + CLAIM_SECONDS}
            return bool(writer.execute(mine.values(**values)).rowcount)

    def _failed(self, owed: Owed, problem: Exception) -> None:
        """Later and later; what is not there any more is dead at once."""
        known = isinstance(problem, SourceError)
        why = (
            problem.trouble
            if isinstance(problem, SourceError)
            else Trouble("connector_bug", params={"what": type(problem).__name__})
        )
        tries = owed.attempts + 1
        if tries >= ATTEMPTS_MAX or (known and isinstance(problem, (Missing, SourceConfig))):
            self._dead(replace(owed, attempts=tries), why)
            return
        later = self.clock() + FIRST_WAIT * 2 ** (tries - 1)
        self._set(
            owed,
            {"attempts": tries, "next_attempt_at": later, "claimed_by": None, "last_error": why.text(self.language)},
        )
        self.came["failed"] += 1

    def _dead(self, owed: Owed, why: Trouble) -> None:
        dead = {
            "dead_at": self.clock(),
            "attempts": owed.attempts,
            "claimed_by": None,
            "last_error": why.text(self.language),
        }
        self._set(owed, dead)
        self.came["died"] += 1

    def _set(self, owed: Owed, values: Mapping[str, Any]) -> None:
        with self.store.begin() as writer:
            writer.execute(sa.update(comments).where(comments.c.key == owed.key).values(**values))


async def write_back(writing: Writing, switched: Switched, recorded_at: int, using: WithCommenter) -> WrittenBack:
    """Owe what is new and write what is due, one connection after the other. Raises StoreError only."""
    with writing.store.begin() as connection:
        owe_comments(connection, switched, recorded_at, writing.clock())
    for name in sorted(switched):
        due = due_comments(writing.store, name, writing.clock()) if switched[name] else []
        if due:
            await writing.to(name, due, using)
    with writing.store.read() as reader:
        dead = fetch(reader, "SELECT COUNT(*) FROM comments WHERE dead_at IS NOT NULL")[0][0]
    return WrittenBack(writing.came["sent"], writing.came["failed"], dead)


def due_comments(store: Store, name: str, now: int) -> list[Owed]:
    """What is owed to a connection's milestones by now, the oldest first."""
    with store.read() as reader:
        rows = fetch(
            reader,
            "SELECT x.key, x.kind, x.record_id, c.number, t.code, t.name, m.vendor_id, m.project_id, m.project_key, "
            "m.kind, m.url, x.place, x.attempts FROM comments x JOIN ready_records r ON r.record_id = x.record_id "
            "JOIN contracts c ON c.id = r.contract_id JOIN terms t ON t.id = r.term_id "
            "JOIN milestones m ON m.id = x.milestone_id WHERE x.connection = :c AND x.sent_at IS NULL "
            f"AND x.dead_at IS NULL AND x.next_attempt_at <= :now ORDER BY x.created_at, x.key LIMIT {NIGHT_MAX}",
            {"c": name, "now": now},
        )
    return [Owed(r[0], r[1], About(*r[2:6]), Spot(*r[6:11]), r[11], r[12]) for r in rows]


@dataclass(frozen=True, slots=True)
class DeadComment:
    """A comment that could not be written, and why."""

    key: str
    stage: str
    connection: str
    contract: str
    term: str
    attempts: int
    created_at: int
    dead_at: int
    reason: str


def dead_comments(store: Store) -> list[DeadComment]:
    """All of them, the latest first."""
    with store.read() as reader:
        rows = fetch(
            reader,
            "SELECT x.key, x.kind, x.connection, c.number, t.code, x.attempts, x.created_at, x.dead_at, COALESCE(x.last_error, '') "
            "FROM comments x JOIN ready_records r ON r.record_id = x.record_id JOIN contracts c ON c.id = r.contract_id "
            "JOIN terms t ON t.id = r.term_id WHERE x.dead_at IS NOT NULL ORDER BY x.dead_at DESC, x.key",
        )
    return [DeadComment(*r) for r in rows]


def revive_comments(store: Store, now: int) -> int:
    """Owe dead comments again after their cause was put right; how many."""
    fresh = {"dead_at": None, "attempts": 0, "next_attempt_at": now, "claimed_by": None}
    with store.begin() as writer:
        dead = sa.update(comments).where(comments.c.dead_at.is_not(None))
        return int(writer.execute(dead.values(**fresh)).rowcount)
