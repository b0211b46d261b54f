"""Push: owe each sink what is on the list, then send what is owed; once for each sink, record and kind.

A push is claimed in a transaction of its own before it goes out. A process killed between the sink's answer and our
writing it down leaves the claim; the next run takes it over, and the sink finds its document by the key.
"""

from __future__ import annotations

import asyncio
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from connectors.errors import BadPayload, NeedsPerson, SourceConfig, SourceError, SourceUnavailable
from connectors.store import Store
from connectors.store.bulk import bulk_insert, fetch
from models.domain.findings import Finding, Place, Severity
from models.domain.money import exact_fraction
from models.domain.pushes import OPEN, Push, Pushed, PushKind, PushState, TaxPart, tax_parts
from models.domain.ready import ReadyLine, RecordStatus
from models.domain.trouble import Trouble
from models.ports import Sink
from models.tables import pushes

ATTEMPTS_MAX = 8
CLAIM_SECONDS = 900
FIRST_WAIT = 900  # seconds; doubles with every attempt: a creation that timed out may still be at work
#: A sink that failed so often in a row is down; what else is owed to it waits without using up attempts.
DOWN_AFTER = 3
#: Refusals that are not about the one record: the sink takes nothing tonight.
SINK_WIDE = frozenset(
    {"not_authorised", "no_permission", "token_refused", "sent_elsewhere", "switched_off", "not_there"}
)
_ON_THE_LIST = RecordStatus.READY
_LATER = (RecordStatus.HELD, RecordStatus.AWAITING_APPROVAL)
#: What a sink with an error of its own raises; it must not take the night down.
_BUGS = (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Configured:
    """A sink of the configuration; building it may fail."""

    name: str
    kind: str
    build: Callable[[], Sink]


class Lines(Protocol):
    """The list, and what was taken back: a night's report, or the board."""

    @property
    def ready(self) -> tuple[ReadyLine, ...]: ...

    @property
    def withdrawn(self) -> tuple[ReadyLine, ...]: ...


@dataclass(frozen=True, slots=True)
class PushOutcome:
    """What was pushed tonight, or would be, by state; and what a person must look at."""

    counts: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


# --- owing -------------------------------------------------------------------------------------------


def owe(store: Store, sinks: Sequence[str], report: Lines, now: int, *, backfill: bool = False) -> int:
    """Owe every sink what came onto the list since go-live, and what was taken back of what it has.

    Nothing before go-live. `backfill` owes what was on the list before it, too.
    """
    with store.begin() as connection:
        live = _live_since(connection)
        if live is None:
            return 0
        known = _known(connection)
        wanted = _wanted(connection, sinks, report, 0 if backfill else live, known)
        rows = [(s, r, k.value, PushState.PENDING.value, 0, now, now) for s, r, k in wanted]
        columns = ("sink", "record_id", "kind", "state", "attempts", "next_at", "created_at")
        count = bulk_insert(connection, pushes, columns, rows, ignore=True)
        _drop(connection, report, now)
    return count


def would_owe(store: Store, sinks: Sequence[str], report: Lines) -> Mapping[str, int]:
    """How many pushes a run would send to each sink; nothing is written."""
    with store.read() as connection:
        live = _live_since(connection)
        if live is None:
            return dict.fromkeys(sinks, 0)
        wanted = _wanted(connection, sinks, report, live, _known(connection))
        waiting = fetch(connection, f"SELECT sink, COUNT(*) FROM pushes WHERE state IN ({_OPEN_SQL}) GROUP BY sink")
    counts = Counter({s: n for s, n in waiting if s in sinks})
    counts.update(s for s, _, _ in wanted)
    return {s: counts[s] for s in sinks}


_OPEN_SQL = ", ".join(f"'{s.value}'" for s in OPEN)


def _live_since(connection: Connection) -> int | None:
    found = fetch(connection, "SELECT value FROM settings WHERE key = 'go_live'")
    return int(found[0][0]) if found else None


def _known(connection: Connection) -> dict[tuple[str, str, str], bool]:
    """By sink, record and kind: may the sink have it?"""
    rows = fetch(connection, "SELECT sink, record_id, kind, state, attempts FROM pushes")
    return {(s, r, k): state == PushState.DONE or attempts > 0 for s, r, k, state, attempts in rows}


def _wanted(
    connection: Connection,
    sinks: Sequence[str],
    report: Lines,
    since: int,
    known: Mapping[tuple[str, str, str], bool],
) -> list[tuple[str, str, PushKind]]:
    fresh = {
        r[0] for r in fetch(connection, "SELECT record_id FROM ready_records WHERE recorded_at > :s", {"s": since})
    }
    ready = [r.record_id for r in report.ready if r.status is _ON_THE_LIST and r.record_id in fresh]
    gone = [r.record_id for r in report.withdrawn]
    return [
        *((s, r, PushKind.READY) for s in sinks for r in ready if (s, r, PushKind.READY) not in known),
        *(
            (s, r, PushKind.WITHDRAWN)
            for s in sinks
            for r in gone
            if known.get((s, r, PushKind.READY)) and (s, r, PushKind.WITHDRAWN) not in known
        ),
    ]


def _drop(connection: Connection, report: Lines, now: int) -> None:
    """What left the list before it went out is not sent any more."""
    stays = {r.record_id for r in report.ready if r.status is _ON_THE_LIST or r.status in _LATER}
    rows = fetch(
        connection,
        f"SELECT id, record_id FROM pushes WHERE kind = 'ready' AND state IN ({_OPEN_SQL}, 'claimed', 'dead')",
    )
    for number in (i for i, record in rows if record not in stays):
        gone = {"state": PushState.DROPPED.value, "ended_at": now, "error": None}
        connection.execute(sa.update(pushes).where(pushes.c.id == number).values(**gone))


# --- sending -----------------------------------------------------------------------------------------


async def send(
    store: Store,
    sinks: Sequence[Configured],
    report: Lines,
    clock: Callable[[], int],
    prolong: Callable[[Connection], None] = lambda _connection: None,
) -> PushOutcome:
    """Send every sink what is owed to it; all at once, and one that fails leaves the others alone.

    `prolong` keeps the run's lease with every claim, or stops a run that lost it before anything goes out.
    """
    lines = {r.record_id: r for r in (*report.ready, *report.withdrawn)}
    told = await asyncio.gather(*(_Sending(store, s, lines, clock, prolong).all() for s in sinks))
    counts = sum((Counter(t.counts) for t in told), Counter[str]())
    return PushOutcome(dict(counts), (*(f for t in told for f in t.findings), *standing_findings(store)))


@dataclass(slots=True)
class _Sending:
    """One sink's turn."""

    store: Store
    sink: Configured
    lines: Mapping[str, ReadyLine]
    clock: Callable[[], int]
    prolong: Callable[[Connection], None]
    token: str = field(default_factory=lambda: str(uuid.uuid4()))
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    down: int = 0  # failures in a row
    last: Trouble | None = None  # what went wrong the last time, where it may pass

    async def all(self) -> PushOutcome:
        """What is due, in the order in which it was owed."""
        due = self._due()
        if due:
            try:
                await self._to(self.sink.build(), due)
            except SourceError as problem:
                self._failed(problem.trouble)
            except _BUGS as problem:
                self._failed(_bug(problem))
            else:
                if self.down and self.last is not None:
                    self._failed(self.last)
        return PushOutcome(dict(self.counts), tuple(self.findings))

    async def _to(self, sink: Sink, due: Sequence[tuple[int, Push]]) -> None:
        async with sink:
            await sink.check()
            for number, push in due:
                if self.down >= DOWN_AFTER:
                    return
                if self._claim(number):
                    await self._one(sink, number, push)

    async def _one(self, sink: Sink, number: int, push: Push) -> None:
        """One push: what came of it is written down before the next. A fault of the sink itself ends its turn."""
        try:
            pushed = await sink.push(push)
        except SourceError as problem:
            state = self._state_after(problem, number)
            self._end(number, state, error=problem.trouble)
            if isinstance(problem, SourceConfig) or problem.trouble.code in SINK_WIDE:
                raise
        except _BUGS as problem:
            self._end(number, PushState.RETRY, error=_bug(problem))
            raise
        else:
            self.down = 0
            self._end(number, PushState.DONE, pushed)
            if pushed.note:
                place = Place(contract=push.line.contract, term=push.line.term, connection=self.sink.name)
                self.findings.append(Finding(f"PUSH_{pushed.note}", Severity.WARNING, place, pushed.params))

    def _state_after(self, problem: SourceError, number: int) -> PushState:
        if isinstance(problem, NeedsPerson):
            return PushState.WAITS
        if isinstance(problem, SourceConfig) or problem.trouble.code in SINK_WIDE:
            return PushState.RETRY
        if isinstance(problem, SourceUnavailable | BadPayload):  # a garbled answer says nothing of what was done
            self.down, self.last = self.down + 1, problem.trouble
            return PushState.DEAD if self._attempts(number) >= ATTEMPTS_MAX else PushState.RETRY
        return PushState.DEAD

    def _failed(self, trouble: Trouble) -> None:
        params = {"sink": self.sink.name, "why": trouble, "advice": trouble.remedy}
        self.findings.append(Finding("SINK_FAILED", Severity.ERROR, Place(connection=self.sink.name), params))

    def _due(self) -> list[tuple[int, Push]]:
        """Open pushes, and claims of somebody who died; not those of records that are held just now."""
        now = self.clock()
        with self.store.read() as connection:
            rows = fetch(
                connection,
                "SELECT p.id, p.record_id, p.kind, p.attempts, d.reference, r.lines, v.long_form FROM pushes p "
                "JOIN ready_records r ON r.record_id = p.record_id JOIN contract_versions v ON v.id = r.version_id "
                "LEFT JOIN pushes d ON d.sink = p.sink AND d.record_id = p.record_id AND d.kind = 'ready' AND p.kind = 'withdrawn' "
                f"WHERE p.sink = :s AND ((p.state IN ({_OPEN_SQL}) AND p.next_at <= :now) "
                "OR (p.state = 'claimed' AND p.claimed_until < :now)) ORDER BY p.created_at, p.id",
                {"s": self.sink.name, "now": now},
            )
        return [(r[0], _push(self.lines[r[1]], r)) for r in rows if self._sendable(r[1], PushKind(r[2]))]

    def _sendable(self, record: str, kind: PushKind) -> bool:
        line = self.lines.get(record)
        return line is not None and (kind is PushKind.WITHDRAWN or line.status is _ON_THE_LIST)

    def _claim(self, number: int) -> bool:
        """Of two runs side by side only one gets it."""
        now = self.clock()
        free = sa.or_(
            sa.and_(pushes.c.state.in_([s.value for s in OPEN]), pushes.c.next_at <= now),
            sa.and_(pushes.c.state == PushState.CLAIMED.value, pushes.c.claimed_until < now),
        )
        values = {
            "state": PushState.CLAIMED.value,
            "claimed_by": self.token,
            "claimed_until": now + CLAIM_SECONDS,
            "attempts": pushes.c.attempts + 1,
        }
        with self.store.begin() as connection:
            self.prolong(connection)
            claimed = sa.update(pushes).where(sa.and_(pushes.c.id == number, free)).values(**values)
            return bool(connection.execute(claimed).rowcount)

    def _attempts(self, number: int) -> int:
        with self.store.read() as connection:
            return int(fetch(connection, "SELECT attempts FROM pushes WHERE id = :i", {"i": number})[0][0])

    def _end(self, number: int, state: PushState, pushed: Pushed | None = None, error: Trouble | None = None) -> None:
        now = self.clock()
        self.counts[state.value] += 1
        values: dict[str, object] = {"state": state.value, "claimed_by": None, "error": _kept(error)}
        if state is PushState.RETRY:
            values["next_at"] = now + FIRST_WAIT * 2 ** min(self._attempts(number) - 1, 6)
        elif state is PushState.WAITS:
            values["next_at"] = now  # a person may have put it right by the next run
        else:
            values["ended_at"] = now
        if pushed is not None:
            values["reference"] = pushed.reference
        # Done is done whoever holds the claim by now; all else only the holder may say.
        mine = pushes.c.id == number
        self._mark(mine if pushed else sa.and_(mine, pushes.c.claimed_by == self.token), values)

    def _mark(self, where: sa.ColumnElement[bool], values: Mapping[str, object]) -> None:
        with self.store.begin() as connection:
            connection.execute(sa.update(pushes).where(where).values(**values))


def _push(line: ReadyLine, row: Sequence[Any]) -> Push:
    body = orjson.loads(row[6])
    return Push(
        PushKind(row[2]),
        line,
        body["customer"].get("tax_id") if isinstance(body["customer"], dict) else None,
        _parts(line, orjson.loads(row[5]), body),
        row[4],
        tried=row[3] > 0,
    )


def _parts(line: ReadyLine, bases: Sequence[int], body: Mapping[str, Any]) -> tuple[TaxPart, ...]:
    """The record by tax rate; where the parts did not add up to it, one part that does."""
    rates = [(str(x["tax_rate"]), exact_fraction(x["tax_rate"])) for x in body["lines"]]
    if len(bases) == len(rates):
        inclusive, down = body["price_basis"] == "tax_inclusive", "down" in str(body.get("tax_rounding", ""))
        parts = tax_parts(bases, rates, inclusive=inclusive, down=down)
        if (sum(p.net for p in parts), sum(p.tax for p in parts)) == (line.net, line.tax):
            return parts
    return (TaxPart("+".join(dict.fromkeys(text for text, _ in rates)), line.net, line.tax),)


def _bug(problem: Exception) -> Trouble:
    """What went wrong, and in which line; not the message, which may repeat what a secret was."""
    last = traceback.extract_tb(problem.__traceback__)[-1]
    where = f"{type(problem).__name__} in {'/'.join(Path(last.filename).parts[-3:])}:{last.lineno}"
    return Trouble("connector_bug", params={"what": where})


# --- what a person sees ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PushLine:
    """One push as people read it; times in epoch seconds."""

    number: int
    sink: str
    contract: str
    term: str
    record_id: str
    kind: PushKind
    state: PushState
    attempts: int
    reference: str | None
    trouble: Trouble | None
    created_at: int
    next_at: int


def push_lines(connection: Connection, states: Iterable[PushState] = PushState) -> list[PushLine]:
    """Pushes in these states, all unless told: those that need a person first."""
    named = ", ".join(f"'{s.value}'" for s in states)
    rows = fetch(
        connection,
        "SELECT p.id, p.sink, c.number, t.code, p.record_id, p.kind, p.state, p.attempts, p.reference, p.error, "
        "p.created_at, p.next_at FROM pushes p JOIN ready_records r ON r.record_id = p.record_id "
        "JOIN contracts c ON c.id = r.contract_id JOIN terms t ON t.id = r.term_id "
        f"WHERE p.state IN ({named}) "
        "ORDER BY CASE p.state WHEN 'dead' THEN 0 WHEN 'waits' THEN 1 WHEN 'retry' THEN 2 WHEN 'claimed' THEN 3 "
        "WHEN 'pending' THEN 4 ELSE 5 END, p.created_at DESC, p.id DESC",
    )
    return [
        PushLine(r[0], r[1], r[2], r[3], r[4], PushKind(r[5]), PushState(r[6]), r[7], r[8], _read(r[9]), r[10], r[11])
        for r in rows
    ]


def standing_findings(store: Store) -> list[Finding]:
    """Pushes that wait for a person or that no sink took."""
    with store.read() as connection:
        lines = push_lines(connection, (PushState.WAITS, PushState.DEAD))
    return [_finding(x) for x in lines if x.trouble]


def _finding(line: PushLine) -> Finding:
    assert line.trouble is not None
    code = "PUSH_DEAD" if line.state is PushState.DEAD else "PUSH_WAITS"
    params = {"sink": line.sink, "kind": f"push_{line.kind}", "why": line.trouble, "advice": line.trouble.remedy}
    return Finding(code, Severity.ERROR, Place(contract=line.contract, term=line.term, connection=line.sink), params)


def revive(store: Store, now: int) -> int:
    """Owe again, now, what is dead or waits out its time; how many."""
    which = pushes.c.state.in_([PushState.DEAD.value, PushState.RETRY.value])
    fresh = {"state": PushState.RETRY.value, "attempts": 1, "next_at": now, "ended_at": None}
    with store.begin() as connection:
        return int(connection.execute(sa.update(pushes).where(which).values(**fresh)).rowcount)


def settle(store: Store, record: str, reference: str, now: int) -> int:
    """A person did by hand what no sink could do: the open pushes of a record are done; how many."""
    mine = sa.and_(pushes.c.record_id == record, pushes.c.state.in_([*(s.value for s in OPEN), PushState.DEAD.value]))
    done = {"state": PushState.DONE.value, "reference": reference, "error": None, "ended_at": now}
    with store.begin() as connection:
        return int(connection.execute(sa.update(pushes).where(mine).values(**done)).rowcount)


def before_go_live(connection: Connection, sinks: Iterable[str], ready: Iterable[ReadyLine]) -> int:
    """Records on the list that no sink was ever told of, since they were there before go-live."""
    known = {r[0] for r in fetch(connection, "SELECT DISTINCT record_id FROM pushes")}
    return sum(r.status is _ON_THE_LIST and r.record_id not in known for r in ready) if list(sinks) else 0


def _kept(trouble: Trouble | None) -> str | None:
    """A trouble as JSON; its parts with words of their own become English texts."""
    if trouble is None:
        return None
    params = {k: v if isinstance(v, str | int) else str(v) for k, v in trouble.params.items()}
    return orjson.dumps({"code": trouble.code, "where": trouble.where, "params": params}).decode()


def _read(text: str | None) -> Trouble | None:
    if text is None:
        return None
    kept = orjson.loads(text)
    return Trouble(kept["code"], kept["where"], kept["params"])
