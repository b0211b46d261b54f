"""The night: one definition of the order, run directly or as Prefect tasks.

    pull -> check what came in -> match -> check what goes out -> post -> follow -> look ahead -> push -> report -> notify

A `runner` carries each coarse step out; with Prefect it makes a task of it, without it calls it. The
steps themselves are plain functions of `flows.steps`.
"""

from __future__ import annotations

import asyncio
import gc
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, Protocol, TypeVar

import orjson
import sqlalchemy as sa

from connectors.errors import SourceError
from connectors.reports.errors import ReportsNotWritten
from connectors.store import Store
from connectors.store.bulk import bulk_insert, fetch
from connectors.store.errors import StoreBusy, StoreError
from flows.steps import bind, contracts, decide, match, post, report
from flows.steps.evaluation.columns import as_date, day_number
from flows.steps.match import Matched
from flows.steps.pull import Gate, PullOutcome, pull_connection
from flows.steps.push import PushOutcome
from flows.steps.receivables.outlook import Looked, look_ahead
from flows.steps.receivables.reminders import ReminderRules, follow
from models.domain.calendars_spec import CalendarSpec
from models.domain.findings import Finding, Place, Severity
from models.domain.ready import ConnectionLine, NightReport
from models.domain.receivables.forecast import Threshold
from models.domain.trouble import Trouble
from models.ports import PullRequest, Source
from models.tables import findings as findings_table
from models.tables import runs

T = TypeVar("T")


class Runner(Protocol):
    """Carries a step out under a name that people see."""

    async def __call__(self, name: str, step: Callable[..., Awaitable[T]], *args: Any) -> T: ...


async def directly(name: str, step: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Without Prefect: just do it."""
    del name
    return await step(*args)


#: Holds decisions back: given the plan and what was matched, the contracts that must not be posted.
OutCheck = Callable[[decide.Plan, Matched], "OutResult"]


#: Judges shards of contracts, in their order, wherever it likes: it only reads.
Judge = Callable[["Night", Sequence[Sequence[int]]], AsyncIterator[tuple[Matched, decide.Plan]]]


class Pusher(Protocol):
    """Sends the list to where invoices are made, or says what it would send."""

    async def __call__(
        self, report: NightReport, prolong: Callable[[sa.Connection], None], *, dry_run: bool
    ) -> PushOutcome: ...


#: Writes comments that are owed; given what raises where the lease was lost. How it went, in numbers.
WriteBack = Callable[[Callable[[Any], None], int], Awaitable[Mapping[str, int]]]


@dataclass(frozen=True, slots=True)
class OutResult:
    """What the checks say of what goes out."""

    held_back: frozenset[int] = frozenset()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Connection:
    """A configured connection: how to build its source, and what to ask of it."""

    name: str
    system: str
    build: Callable[[], Source]
    projects: tuple[str, ...]
    part: bool = False  # only some of its projects, now, and not as the whole pull that follows from its cursor


async def judge_here(night: Night, shards: Sequence[Sequence[int]]) -> AsyncIterator[tuple[Matched, decide.Plan]]:
    """Judge shards of contracts one after the other, in this process."""
    for shard in shards:
        with night.store.read() as connection:
            yield decide.judge(connection, shard, night.day, night.calendars, night.known_at)


@dataclass(frozen=True, slots=True)
class Night:
    """Everything a run needs, chosen by `flows.wiring`."""

    run_id: str
    as_of: Any  # datetime.date
    now: Any  # datetime, aware UTC
    recorded_at: int  # when this run learns what it learns: epoch microseconds, never twice the same
    store: Store
    connections: tuple[Connection, ...]
    contract_files: tuple[Path, ...]
    root: Path
    calendars: Callable[[Sequence[str]], Mapping[str, CalendarSpec]]
    language: str
    code_version: str
    lease_seconds: int
    clock: Callable[[], int]
    write_reports: Callable[[NightReport], Sequence[Path]]
    notify: Callable[[NightReport], Awaitable[Mapping[str, int]]]
    push: Pusher | None = None  # where there are sinks
    write_back: WriteBack | None = None  # comments on milestones; None: no connection wants any
    gate: Gate | None = None
    on_news: Callable[[], None] = lambda: None  # called when a pull brings its first change
    out_check: OutCheck | None = None
    threshold: Threshold = field(default_factory=Threshold)  # from where on a move of the forecast is told
    judge: Judge = judge_here
    reminders: ReminderRules = field(default_factory=ReminderRules)
    dask: str = ""  # address of the scheduler whose workers judge, where Prefect runs the night
    config: str = ""  # path of the configuration, for those workers
    full: bool = False
    dry_run: bool = False
    known_at: int | None = None
    say: Callable[[str], None] = lambda _text: None
    zone: tzinfo = UTC  # the company's
    configured: frozenset[str] = frozenset()  # every connection of the configuration; `connections` may be one of them

    @property
    def all_connections(self) -> frozenset[str]:
        """The names that a contract may use."""
        return self.configured | {c.name for c in self.connections}

    @property
    def day(self) -> int:
        """The day of judgement as a day number."""
        return day_number(self.as_of)


@dataclass(frozen=True, slots=True)
class NightOutcome:
    """What the run did. state: done, in_part (a source failed), failed."""

    state: str
    report: NightReport
    posted: post.Posted
    evaluated: int
    files: tuple[Path, ...] = ()
    notices: Mapping[str, int] = field(default_factory=dict)
    pushes: Mapping[str, int] = field(default_factory=dict)  # by what became of them; in a dry run, by sink
    dry_run: bool = False
    foreseen: int = 0  # records that a dry run did not post
    written_back: Mapping[str, int] = field(default_factory=dict)

    @property
    def waits_for_a_person(self) -> bool:
        """Something needs a person: an exception, a finding, an approval, a dead letter."""
        errors = any(f.severity is Severity.ERROR for f in self.report.findings)
        return bool(errors or self.report.exceptions or self.notices.get("dead") or self.written_back.get("dead"))

    @property
    def exit_code(self) -> int:
        """0 done; 1 done, and something waits for a person; 3 in part."""
        if self.state == "in_part":
            return 3
        return 1 if self.waits_for_a_person else 0


async def run_night(night: Night, runner: Runner = directly) -> NightOutcome:
    """The nightly run, once, alone (a lease in the database)."""
    with _collector_paused(), ExitStack() as alone:
        prolong = await _alone(night, alone)
        alone.enter_context(_written_down(night))
        read = await runner("contracts", _contracts, night)
        pulls = await runner("pull", _pull_all, night, prolong)
        unbound = await runner("bind", _bind, night)
        judged = await runner("match and post", _match_and_post, night, prolong)
        judged.findings += await runner("follow the money", _follow, night)
        ahead = await runner("look ahead", _look_ahead, night)
        judged.findings += ahead.findings
        written = await runner("write back", _write_back, night, prolong) if night.write_back else {}
        report_ = _night_report(night, pulls, [*read.findings, *unbound, *judged.findings], judged.new)
        pushed = await runner("push", _push, night, report_, prolong) if night.push else PushOutcome()
        report_ = replace(report_, findings=(*pushed.findings, *report_.findings), outlook=ahead.outlook)
        files, failed = ([], None) if night.dry_run else await runner("report", _report, night, report_)
        sent = {} if night.dry_run else await runner("notify", night.notify, report_)
        if failed is not None:
            report_ = replace(report_, findings=(failed, *report_.findings))
        state = "in_part" if failed or any(p.state != "done" for p in pulls) else "done"
        foreseen = len(judged.new) if night.dry_run else 0
        outcome = NightOutcome(
            state, report_, judged.posted, judged.evaluated, tuple(files), sent, pushed.counts, night.dry_run, foreseen, written
        )  # fmt: skip
        _end(night, outcome)
    return outcome


#: Begins the name of a holder of the night's lease who only follows a hint.
SOONER = "webhook "
#: So many seconds a night waits for such a holder.
HINT_PATIENCE = 900


async def _alone(night: Night, stack: ExitStack) -> Callable[[Any], None]:
    """Take the night's lease. Raises StoreBusy while another night has it; what follows a hint is waited for."""
    until = night.clock() + HINT_PATIENCE
    while True:
        try:
            lease = night.store.lease("night", night.run_id, night.lease_seconds, night.clock)
            return stack.enter_context(lease)
        except StoreBusy as busy:
            if not str(busy.params.get("holder")).startswith(SOONER) or night.clock() > until:
                raise
        await asyncio.sleep(0.5)


@dataclass(frozen=True, slots=True)
class Sooner:
    """What a pull between two nights did."""

    pulls: tuple[PullOutcome, ...]
    posted: post.Posted

    @property
    def is_done(self) -> bool:
        """Did every pull succeed?"""
        return all(p.state == "done" for p in self.pulls)


async def run_sooner(night: Night) -> Sooner:
    """After a hint: the night's pull, match and post for some connections, under the night's lease.

    No reports and no notices: the night writes and sends them, and they tell of all connections.
    """
    lease = night.store.lease("night", f"{SOONER}{night.run_id}", night.lease_seconds, night.clock)
    with lease as prolong, _written_down(night):
        read = await _contracts(night)
        pulls = await _pull_all(night, prolong)
        unbound = await _bind(night)
        judged = await _match_and_post(night, prolong)
        stopped = [f for p in pulls for f in p.findings]
        found = [*stopped, *read.findings, *unbound, *judged.findings]
        done = Sooner(tuple(pulls), judged.posted)
        _close(night, "done" if done.is_done else "in_part", judged.posted, judged.evaluated, found)
    return done


@contextmanager
def _collector_paused() -> Iterator[None]:
    """A night makes many rows and no cycles: looking for some costs a third of its time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@contextmanager
def _written_down(night: Night) -> Iterator[None]:
    """The run has a row from its beginning; one that ends with an error says so there."""
    _begin(night)
    try:
        yield
    except BaseException:
        failed = sa.update(runs).where(runs.c.run_id == night.run_id).values(state="failed", ended_at=night.clock())
        with suppress(StoreError), night.store.begin() as connection:
            connection.execute(failed)
        raise


def forbid_posted_replay(known_at: object, *, dry_run: bool) -> None:
    """Raises StoreError: what was not known then would look as if it had stopped being true."""
    if known_at is not None and not dry_run:
        raise StoreError(code="REPLAY_POSTS")


def _begin(night: Night) -> None:
    forbid_posted_replay(night.known_at, dry_run=night.dry_run)
    row = {"run_id": night.run_id, "as_of": night.day, "started_at": int(night.now.timestamp()), "state": "running"}
    with night.store.begin() as connection:
        last = connection.execute(
            sa.select(sa.func.max(runs.c.as_of)).where(runs.c.state.in_(("done", "in_part")))
        ).scalar()
        if last is not None and last > night.day and not night.dry_run:
            raise StoreError(code="EARLIER_DAY", day=night.as_of, last=as_date(last))
        connection.execute(sa.insert(runs).values(**row, code_version=night.code_version, counts="{}"))


def _end(night: Night, outcome: NightOutcome) -> None:
    state = "dry_run" if night.dry_run else outcome.state
    _close(night, state, outcome.posted, outcome.evaluated, outcome.report.findings)


def _close(night: Night, state: str, posted: post.Posted, evaluated: int, found: Sequence[Finding]) -> None:
    counts = {n: getattr(posted, n) for n in post.Posted.__dataclass_fields__} | {"evaluated": evaluated}
    ended = {
        "ended_at": night.clock(),
        "state": state,
        "counts": orjson.dumps(counts).decode(),
    }
    rows = [
        (
            night.run_id,
            f.code,
            f.severity.value,
            str(f.place),
            orjson.dumps({k: str(v) for k, v in f.params.items()}).decode(),
        )
        for f in found
    ]
    with night.store.begin() as connection:
        bulk_insert(connection, findings_table, ("run_id", "code", "severity", "place", "params"), rows)
        connection.execute(sa.update(runs).where(runs.c.run_id == night.run_id).values(**ended))


# --- the steps ---------------------------------------------------------------------------------------


async def _contracts(night: Night) -> contracts.ContractsRead:
    night.say("contracts")
    return contracts.load_contracts(night.store, night.contract_files, night.root, night.recorded_at, full=night.full)


async def _pull_all(night: Night, prolong: Callable[[Any], None]) -> list[PullOutcome]:
    """Every connection by itself and at once; one that fails leaves the others alone."""
    night.say("pull")
    return list(await asyncio.gather(*(_pull(night, c, prolong) for c in night.connections)))


async def _pull(night: Night, wanted: Connection, prolong: Callable[[Any], None]) -> PullOutcome:
    with night.store.read() as reader:
        found = fetch(reader, "SELECT value FROM cursors WHERE connection = :c", {"c": wanted.name})
    request = PullRequest(wanted.projects, found[0][0] if found else None, night.full, night.now)
    try:
        source = wanted.build()
        async with source:
            return await pull_connection(
                source, night.store, request, night.run_id, night.recorded_at, night.gate, prolong, night.on_news,
                part=wanted.part, zone=night.zone,
            )  # fmt: skip
    except SourceError as problem:
        return PullOutcome(wanted.name, "failed", trouble=problem.trouble)
    except StoreError:
        raise
    except Exception as problem:  # noqa: BLE001 - whatever a connector raises must not take the others down
        return PullOutcome(wanted.name, "failed", trouble=Trouble("connector_bug", params={"what": where_in(problem)}))


def where_in(problem: Exception) -> str:
    """What went wrong, and in which line; not the message, which may repeat what a secret was."""
    last = traceback.extract_tb(problem.__traceback__)[-1]
    return f"{type(problem).__name__} in {'/'.join(Path(last.filename).parts[-3:])}:{last.lineno}"


async def _bind(night: Night) -> list[Finding]:
    """Bind what can be bound. Of a connection that is not configured that is said, and not that it has no milestones."""
    night.say("bind")
    with night.store.begin() as connection:
        unbound = bind.resolve(connection, night.recorded_at)
        unknown = bind.unknown_connections(connection, night.all_connections)
    return [*unknown, *(u.finding for u in unbound if u.connection in night.all_connections)]


@dataclass(slots=True)
class _Judged:
    posted: post.Posted = field(default_factory=post.Posted)
    evaluated: int = 0
    findings: list[Finding] = field(default_factory=list)
    new: list[str] = field(default_factory=list)


async def _match_and_post(night: Night, prolong: Callable[[Any], None]) -> _Judged:
    """Shard by shard: match, decide, check, post. A lost lease stops before the next transaction."""
    night.say("match")
    judged = _Judged()
    with night.store.read() as reader:
        ids = match.all_active(reader) if night.full else match.touched(reader, night.day)
    async for matched, plan in night.judge(night, list(match.chunks(ids))):
        checked = night.out_check(plan, matched) if night.out_check and plan.records else OutResult()
        judged.findings += checked.findings
        kept = plan.without(set(checked.held_back))
        judged.evaluated += len(matched.heads)
        judged.new += [r.record_id for r in kept.records]
        if not night.dry_run:
            judged.posted = judged.posted.plus(
                post.post(night.store, kept, night.run_id, night.day, night.recorded_at, before_commit=prolong)
            )
    return judged


async def _follow(night: Night) -> Sequence[Finding]:
    """After the posting: reminders drafted, broken promises and ending guarantees noticed."""
    night.say("follow")
    with night.store.begin() as connection:
        found = follow(connection, night.as_of, night.recorded_at, night.reminders, dry_run=night.dry_run)
        return found.findings


async def _push(night: Night, report_: NightReport, prolong: Callable[[sa.Connection], None]) -> PushOutcome:
    """To where invoices are made: what is on the list, once; what is wrong with a sink is a finding."""
    assert night.push is not None
    night.say("push")
    return await night.push(report_, prolong, dry_run=night.dry_run)


async def _write_back(night: Night, prolong: Callable[[Any], None]) -> Mapping[str, int]:
    """Comments on the milestones of what became ready, was invoiced or paid."""
    if night.write_back is None or night.dry_run:
        return {}
    night.say("write_back")
    return await night.write_back(prolong, night.recorded_at)


async def _look_ahead(night: Night) -> Looked:
    """Expected cash, kept for the next night; what moved since the last one is told from the threshold on."""
    night.say("look_ahead")
    kept = None if night.dry_run else (night.run_id, night.recorded_at)
    with night.store.begin() as connection:
        return look_ahead(connection, night.as_of, night.calendars, night.threshold, keep_as=kept)


async def _report(night: Night, report_: NightReport) -> tuple[Sequence[Path], Finding | None]:
    """Write the outputs. What is posted stays posted where they cannot be written; the run ends in part."""
    try:
        return night.write_reports(report_), None
    except ReportsNotWritten as problem:
        return (), Finding(
            "REPORTS_NOT_WRITTEN", Severity.ERROR, Place(), {"why": str(problem), "advice": problem.advice}
        )


def _night_report(
    night: Night, pulls: Sequence[PullOutcome], found: Sequence[Finding], new: Sequence[str]
) -> NightReport:
    night.say("report")
    with night.store.read() as reader:
        lines = report.board(reader)
        unproven = bind.unproven(reader)
        told = {f.place.contract for f in found if f.code == "CONTRACT_REMOVED"}
        below = report.below_ready(reader, night.day)
        removed = [f for f in report.removed(reader, lines) if f.place.contract not in told]
        waiting = fetch(
            reader, "SELECT connection, vendor_id, code, params FROM quarantine WHERE cleared_at IS NULL ORDER BY id"
        )
    quarantined = [
        Finding(code, Severity.ERROR, Place(connection=c, path=v), orjson.loads(p)) for c, v, code, p in waiting
    ]
    systems = {c.name: c.system for c in night.connections}
    failed = [
        Finding(
            "SOURCE_FAILED",
            Severity.ERROR,
            Place(connection=p.connection),
            {"why": p.trouble, "advice": p.trouble.remedy},
        )
        for p in pulls
        if p.state == "failed" and isinstance(p.trouble, Trouble)
    ]
    stopped = [f for p in pulls for f in p.findings]
    return NightReport(
        run_id=night.run_id,
        as_of=night.as_of,
        language=night.language,
        ready=lines.listed(),
        withdrawn=lines.withdrawn,
        blocked=lines.blocked,
        exceptions=lines.exceptions,
        findings=(*failed, *stopped, *found, *removed, *below, *unproven, *quarantined),
        forecast=lines.forecast,
        connections=tuple(
            ConnectionLine(
                p.connection, systems.get(p.connection, "?"), p.state, p.seen, p.appended, p.rejected, p.trouble
            )
            for p in pulls
        ),
        new_records=frozenset(new),
    )
