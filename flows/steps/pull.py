"""Pull one connection: observations that changed, what they change, the cursor - in one transaction.

Nothing is written before the last page is in: a pull that breaks off leaves the store as it was. Rows
that cannot be trusted go to quarantine with their reason, the good ones go on.
"""

from __future__ import annotations

import asyncio
import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import Any
from uuid import uuid5

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from connectors.errors import SourceError
from connectors.store import Store
from connectors.store.bulk import bulk_insert, bulk_update, fetch, wanted_ids
from flows.steps.changes import UNKNOWN, Change, Current, When, changes_of
from flows.steps.evaluation.columns import day_number
from models.domain.contracts import EvidenceGrade
from models.domain.findings import Finding, Place, Severity
from models.domain.observations import Observation, Page, Provenance, Rejected
from models.domain.ready import NAMESPACE
from models.domain.trouble import Trouble
from models.ports import PullRequest, Source
from models.tables import cursors, milestone_changes, milestones, observations, quarantine


@dataclass(frozen=True, slots=True)
class Arrived:
    """What a pull brought, as the checks look at it."""

    connection: str
    batch: Sequence[Observation]  # only what changed
    in_view: int = 0  # milestones that the store knows where the source was seen whole
    gone: int = 0  # how many of those did not come
    last_pull: int | None = None  # when the connection was last pulled well: epoch seconds


@dataclass(frozen=True, slots=True)
class GateResult:
    """What the checks say of a batch: rows to quarantine (index, code, params), a reason to stop, what else to tell."""

    bad_rows: tuple[tuple[int, str, dict[str, object]], ...] = ()
    stop: Finding | None = None
    findings: tuple[Finding, ...] = ()


#: Called in a thread of its own, since it computes: other connections go on meanwhile.
Gate = Callable[[Arrived], GateResult]


@dataclass(frozen=True, slots=True)
class PullOutcome:
    """How one connection did. state: done, failed (the source), stopped (a check)."""

    connection: str
    state: str
    seen: int = 0
    appended: int = 0
    vanished: int = 0
    rejected: int = 0
    trouble: Trouble | Finding | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(slots=True)
class Known:
    """What the store knows of a connection's milestones."""

    by_vendor: dict[str, tuple[int, str, str, bool]]  # vendor id -> (id, hash, project id, deleted)

    @classmethod
    def of(cls, store: Store, connection: str) -> Known:
        """Read it."""
        with store.read() as reader:
            rows = fetch(
                reader,
                "SELECT vendor_id, id, content_hash, project_id, deleted FROM milestones WHERE connection = :c",
                {"c": connection},
            )
        return cls({r[0]: (r[1], r[2], r[3], bool(r[4])) for r in rows})


@dataclass(slots=True)
class Staged:
    """What a pull has found so far: only what changed is kept."""

    name: str
    changed: dict[str, tuple[Observation, str]] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    here: set[str] = field(default_factory=set)
    gone: list[str] = field(default_factory=list)
    in_view: int = 0  # known milestones that would be in `gone`, had they not come
    seen: int = 0
    whole: bool = False  # a project was seen whole: `seen` can be compared with other whole pulls
    cursor: str | None = None
    torn: set[str] = field(default_factory=set)  # projects that were not read whole, though they were tried again
    projects: frozenset[str] | None = None  # that the account sees, where all were asked for
    waits: bool = False  # a row was put aside that time alone may make sound: it has to be told again
    ended: bool = False
    observed_at: int = 0  # epoch seconds
    zone: tzinfo = UTC  # in whose days a planned instant is a day


async def pull_connection(
    source: Source,
    store: Store,
    request: PullRequest,
    run_id: str,
    recorded_at: int,
    gate: Gate | None = None,
    before_commit: Callable[[Connection], None] = lambda _connection: None,
    on_news: Callable[[], None] = lambda: None,
    *,
    part: bool = False,
    zone: tzinfo = UTC,
) -> PullOutcome:
    """Pull a source into the store. A source that fails changes nothing.

    `zone` is the company's: many systems keep a planned day as its midnight there, the evening before in UTC.

    `before_commit` may raise to stop (a lost lease): then nothing of the pull is written. `on_news` is called
    when the first change comes in, so that what will look at it can be made ready while the pull goes on.

    `part`: only some projects are asked for, out of the order of the whole pulls. The cursor stays, since it speaks
    for the other projects too; and what is not seen is not taken for gone: it may have moved to one of those.
    """
    known = Known.of(store, source.name)
    staged = Staged(source.name, zone=zone)
    try:
        async for page in source.pull(request):
            nothing_yet = not staged.changed
            _stage(page, staged, known, request)
            if nothing_yet and staged.changed:
                on_news()
    except SourceError as problem:
        return PullOutcome(source.name, "failed", staged.seen, trouble=problem.trouble)
    if not staged.ended:
        return PullOutcome(source.name, "failed", staged.seen, trouble=Trouble("no_last_page"))
    staged.observed_at = int(request.now.timestamp())
    if part:
        staged.cursor = None
        staged.gone.clear()
    looked = await _look(source.name, store, staged, gate)
    return _commit(source.name, store, staged, known, run_id, recorded_at, looked, before_commit)


async def _look(name: str, store: Store, staged: Staged, gate: Gate | None) -> GateResult:
    """Have the checks look at what came, where something did - or at what did not come."""
    if gate is None or not (staged.changed or staged.gone):
        return GateResult()
    with store.read() as reader:
        last = reader.execute(sa.select(cursors.c.recorded_at).where(cursors.c.connection == name)).scalar()
    batch = [o for o, _ in staged.changed.values()]
    gone = len(set(staged.gone) - staged.changed.keys())
    seconds = None if last is None else int(last) // 1_000_000
    return await asyncio.to_thread(gate, Arrived(name, batch, staged.in_view, gone, seconds))


def _stage(page: Page, staged: Staged, known: Known, request: PullRequest) -> None:
    staged.seen += page.seen
    staged.whole = staged.whole or bool(page.snapshot_of) or page.alive is not None
    staged.rejected += page.rejected
    staged.here.update(str(r.milestone_id) for r in page.rejected)
    for told in page.observations:
        seen = storable(told)
        staged.here.add(seen.milestone_id)
        future = _in_future(seen, request.now)
        if future is not None:
            staged.rejected.append(future)
            staged.waits = True
            staged.changed.pop(seen.milestone_id, None)
            continue
        digest = content_hash(seen)
        old = known.by_vendor.get(seen.milestone_id)
        if old is None or old[1] != digest:
            staged.changed[seen.milestone_id] = (seen, digest)
        else:
            staged.changed.pop(seen.milestone_id, None)
    _vanish(page, staged, known)
    staged.torn.update(page.torn)
    if page.projects is not None and not request.projects:
        staged.projects = frozenset(page.projects)
    if page.last:
        staged.cursor, staged.ended = page.cursor, True


def _in_future(seen: Observation, now: datetime) -> Rejected | None:
    """A completion that has not happened yet. A day without a zone may have begun where days begin first (UTC+14)."""
    late_at = seen.done_at is not None and seen.done_at > now
    late_on = seen.done_on is not None and seen.done_on > (now + timedelta(hours=14)).date()
    if not seen.done or not (late_at or late_on):
        return None
    field_, found = ("done_at", seen.done_at) if late_at else ("done_on", seen.done_on)
    params = {"field": field_, "found": "" if found is None else found.isoformat(), "now": now.isoformat()}
    return Rejected(seen.connection, seen.milestone_id, "DATE_IN_FUTURE", params, seen.name)


def storable(seen: Observation) -> Observation:
    """The observation with a mark for what no database takes in a text: U+0000 and halves of surrogate pairs."""
    whole = f"{seen.project_id}{seen.project_key}{seen.project_name}{seen.milestone_id}{seen.kind}{seen.name}{seen.state}{seen.done_by}{seen.accepted_by}{seen.url}"
    if seen.history:
        whole += "".join(t for s in seen.history for t in (s.by, s.state) if t)
    if (whole.isascii() and "\0" not in whole) or _plain(whole) == whole:
        return seen
    history = tuple(replace(s, by=s.by and _plain(s.by), state=s.state and _plain(s.state)) for s in seen.history)
    clean: dict[str, Any] = {n: _plain(t) for n in _TEXTS if (t := getattr(seen, n))}
    return seen._replace(history=history, **clean)


_TEXTS = (
    "project_id",
    "project_key",
    "project_name",
    "milestone_id",
    "kind",
    "name",
    "state",
    "done_by",
    "accepted_by",
    "url",
)


def _plain(text: str) -> str:
    return (
        text
        if text.isascii() and "\0" not in text
        else text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    )


def _vanish(page: Page, staged: Staged, known: Known) -> None:
    """Milestones that the store knows and the source no longer has."""
    projects = set(page.snapshot_of)
    for vendor_id, (_, _, project, deleted) in known.by_vendor.items() if projects else ():
        if project in projects and not deleted and not vendor_id.startswith("project:"):
            staged.in_view += 1
            if vendor_id not in staged.here:
                staged.gone.append(vendor_id)
    if page.alive is None:
        return
    kinds = {a.partition(":")[0] for a in page.alive} or {"version"}
    alive = set(page.alive)
    for vendor_id, (_, _, project, deleted) in known.by_vendor.items():
        if project == page.project_id and not deleted and vendor_id.partition(":")[0] in kinds:
            staged.in_view += 1
            if vendor_id not in alive:
                staged.gone.append(vendor_id)


def content_hash(seen: Observation) -> str:
    """A hash over everything that proves something; two equal hashes need no new observation."""
    proof = (
        seen.project_id, seen.project_key, seen.kind, seen.name, seen.state, seen.done, seen.accepted, seen.percent_bp,
        None if seen.date_provenance is _FIRST_OBSERVED else seen.done_at,
        seen.done_on, seen.done_by, seen.planned_at, seen.planned_on,
        seen.deleted, seen.archived, seen.url, seen.grade, seen.unproven, len(seen.history), seen.accepted_at,
        *((seen.accepted_by,) if seen.accepted_by else ()),
    )  # fmt: skip
    return hashlib.blake2b(orjson.dumps(proof), digest_size=16).hexdigest()


_FIRST_OBSERVED = Provenance.FIRST_OBSERVED  # looked up once, not for each of a hundred thousand rows


def name_key(name: str) -> str:
    """A name as bindings compare it: Unicode-normalised, trimmed, inner spaces single."""
    return " ".join((name if name.isascii() else unicodedata.normalize("NFKC", name)).split())


# --- the commit --------------------------------------------------------------------------------------


def _commit(
    name: str,
    store: Store,
    staged: Staged,
    known: Known,
    run_id: str,
    recorded_at: int,
    result: GateResult,
    before_commit: Callable[[Connection], None],
) -> PullOutcome:
    batch = [o for o, _ in staged.changed.values()]
    for index, code, params in result.bad_rows:
        bad = batch[index]
        staged.changed.pop(bad.milestone_id, None)
        staged.rejected.append(Rejected(name, bad.milestone_id, code, params, repr(bad)[:4000]))
    with store.begin() as connection:
        _quarantine(connection, staged.rejected, run_id, recorded_at)
        if result.stop is not None:
            return PullOutcome(
                name,
                "stopped",
                staged.seen,
                0,
                0,
                len(staged.rejected),
                result.stop,
                findings=(result.stop, *result.findings),
            )
        _clear_quarantine(connection, name, staged, recorded_at)
        _write(connection, name, staged, known, run_id, recorded_at)
        _cursor(connection, name, staged, run_id, recorded_at)
        unseen = [*_away(connection, staged), *_torn(connection, staged)]
        before_commit(connection)
    counts = (staged.seen, len(staged.changed), len(staged.gone), len(staged.rejected))
    return PullOutcome(name, "done", *counts, findings=(*result.findings, *unseen))


def _away(connection: Connection, staged: Staged) -> list[Finding]:
    """Projects that contracts wait for and the account does not see any more: deleted, or it was taken out of them."""
    if staged.projects is None:
        return []
    rows = fetch(
        connection,
        "SELECT DISTINCT m.project_id, m.project_key, m.project_name FROM milestones m JOIN bindings b ON b.milestone_id = m.id "
        "JOIN contracts c ON c.id = b.contract_id WHERE c.active AND NOT m.deleted AND m.connection = :c ORDER BY m.project_id",
        {"c": staged.name},
    )
    place = Place(connection=staged.name)
    return [
        Finding("PROJECT_AWAY", Severity.WARNING, place, {"project": key, "name": name, "connection": staged.name})
        for project, key, name in rows
        if project not in staged.projects
    ]


def _torn(connection: Connection, staged: Staged) -> list[Finding]:
    """Projects whose list moved, or was cut short, each time it was read."""
    if not staged.torn:
        return []
    rows = fetch(
        connection, "SELECT DISTINCT project_id, project_key FROM milestones WHERE connection = :c", {"c": staged.name}
    )
    keys = dict(rows)
    place = Place(connection=staged.name)
    return [
        Finding("LIST_NOT_WHOLE", Severity.WARNING, place, {"project": keys.get(i, i), "connection": staged.name})
        for i in sorted(staged.torn)
    ]


def _cursor(connection: Connection, name: str, staged: Staged, run_id: str, recorded_at: int) -> None:
    if staged.cursor is None:
        return
    found = connection.execute(sa.select(cursors.c.value, cursors.c.seen).where(cursors.c.connection == name)).first()
    before = None if found is None else found.seen
    old = None if found is None else found.value
    connection.execute(sa.delete(cursors).where(cursors.c.connection == name))
    row = {
        "connection": name,
        # A source tells a change once: with the old cursor it tells again what had to wait.
        "value": old if staged.waits else staged.cursor,
        "seen": staged.seen if staged.whole or before is None else before,
        "run_id": run_id,
        "recorded_at": recorded_at,
    }
    connection.execute(sa.insert(cursors).values(**row))


def _quarantine(connection: Connection, rejected: Iterable[Rejected], run_id: str, recorded_at: int) -> None:
    rows = {}
    for bad in rejected:
        raw, vendor_id = _plain(bad.raw), bad.milestone_id and _plain(bad.milestone_id)
        key = str(uuid5(NAMESPACE, "\x1f".join(("quarantine", bad.connection, str(vendor_id), bad.code, raw))))
        params = orjson.dumps({k: _plain(str(v)) for k, v in bad.params.items()}).decode()
        rows[key] = (key, run_id, bad.connection, vendor_id, bad.code, params, raw, recorded_at)
    put_aside(connection, list(rows.values()))


#: A row of the quarantine, as `put_aside` takes it.
_ASIDE = ("key", "run_id", "connection", "vendor_id", "code", "params", "raw", "recorded_at")


def put_aside(connection: Connection, rows: list[tuple[Any, ...]]) -> None:
    """Into the quarantine, once. What had left it and is as bad as before waits again, from now on."""
    if bulk_insert(connection, quarantine, _ASIDE, rows, ignore=True) == len(rows):
        return
    again = sa.text(
        "UPDATE quarantine SET cleared_at = NULL, run_id = :run, params = :params, recorded_at = :now "
        "WHERE key = :key AND cleared_at IS NOT NULL"
    )
    connection.execute(again, [{"key": k, "run": r, "params": p, "now": n} for k, r, _, _, _, p, _, n in rows])


def _clear_quarantine(connection: Connection, name: str, staged: Staged, recorded_at: int) -> None:
    """A row that came in well has left the quarantine."""
    waiting = fetch(
        connection, "SELECT id, vendor_id FROM quarantine WHERE connection = :c AND cleared_at IS NULL", {"c": name}
    )
    if waiting:
        sound = staged.here - {str(r.milestone_id) for r in staged.rejected}
        bulk_update(connection, quarantine, "id", ("cleared_at",), [(i, recorded_at) for i, v in waiting if v in sound])


_MILESTONE = (
    "id", "connection", "vendor_id", "project_id", "project_key", "project_name", "kind", "name", "name_key", "url",
    "planned_day", "deleted", "content_hash", "changed_at",
)  # fmt: skip
_OBSERVATION = (
    "id", "milestone_id", "content_hash", "state", "done", "accepted", "percent_bp", "done_at", "done_day", "done_by",
    "updated_at", "observed_at", "recorded_at", "run_id", "deleted", "unproven", "grade", "provenance", "url", "name",
    "history", "extra",
)  # fmt: skip
_CHANGE = (
    "id", "milestone_id", "observation_id", "what", "at", "day", "value", "corrects", "by", "grade", "provenance", "recorded_at",
)  # fmt: skip


def _write(connection: Connection, name: str, staged: Staged, known: Known, run_id: str, recorded_at: int) -> None:
    _bury(connection, staged, known)
    if not staged.changed:
        return
    next_milestone, next_observation, next_change = (
        _next(connection, t) for t in (milestones, observations, milestone_changes)
    )
    ids = {v: known.by_vendor[v][0] for v in staged.changed if v in known.by_vendor}
    standing = current_states(connection, list(ids.values()))
    fresh: list[tuple[Any, ...]] = []
    moved: list[tuple[Any, ...]] = []
    seen_rows, change_rows = [], []
    for vendor_id, (seen, digest) in staged.changed.items():
        old = ids.get(vendor_id)
        milestone = next_milestone if old is None else old
        next_milestone += old is None
        (fresh if old is None else moved).append(
            _milestone_row(milestone, name, seen, digest, recorded_at, staged.zone)
        )
        seen_rows.append(
            _observation_row(next_observation, milestone, seen, digest, run_id, staged.observed_at, recorded_at)
        )
        for change in changes_of(standing.get(milestone, UNKNOWN), seen, staged.observed_at):
            change_rows.append(_change_row(next_change, milestone, next_observation, change, recorded_at))
            next_change += 1
        next_observation += 1
    bulk_insert(connection, milestones, _MILESTONE, fresh)
    bulk_update(connection, milestones, "id", _MILESTONE[3:], [(r[0], *r[3:]) for r in moved])
    bulk_insert(connection, observations, _OBSERVATION, seen_rows)
    bulk_insert(connection, milestone_changes, _CHANGE, change_rows)


def _bury(connection: Connection, staged: Staged, known: Known) -> None:
    """A vanished milestone gets a last observation: deleted."""
    gone = sorted(set(staged.gone) - staged.changed.keys())
    if not gone:
        return
    table = wanted_ids(connection, [known.by_vendor[v][0] for v in gone])
    rows = fetch(
        connection,
        "SELECT connection, vendor_id, project_id, project_key, project_name, kind, name, url FROM milestones m "
        f"JOIN {table} w ON w.id = m.id",
    )
    for connection_name, vendor_id, project_id, project_key, project_name, kind, title, url in rows:
        last = Observation(
            connection_name, project_id, project_key, project_name, vendor_id, kind, title,
            state="deleted", done=False, deleted=True, url=url, grade=EvidenceGrade.STATE, date_provenance=Provenance.FIRST_OBSERVED,
        )  # fmt: skip
        staged.changed[vendor_id] = (last, content_hash(last))


def _next(connection: Connection, table: sa.Table) -> int:
    return int(connection.execute(sa.select(sa.func.coalesce(sa.func.max(table.c.id), 0))).scalar_one()) + 1


def _epoch(moment: Any) -> int | None:
    return None if moment is None else int(moment.timestamp())


def _milestone_row(
    milestone: int, name: str, seen: Observation, digest: str, recorded_at: int, zone: tzinfo
) -> tuple[Any, ...]:
    planned = seen.planned_on or (seen.planned_at.astimezone(zone).date() if seen.planned_at else None)
    return (
        milestone, name, seen.milestone_id, seen.project_id, seen.project_key, seen.project_name, seen.kind, seen.name,
        name_key(seen.name), seen.url, None if planned is None else day_number(planned), seen.deleted, digest, recorded_at,
    )  # fmt: skip


@cache
def _provenance(date: Provenance, person: Provenance, percent: Provenance) -> str:
    return f"{date}/{person}/{percent}"


def _observation_row(
    key: int, milestone: int, seen: Observation, digest: str, run_id: str, observed_at: int, recorded_at: int
) -> tuple[Any, ...]:
    history = [[s.at.timestamp(), s.done, s.by, s.state] for s in seen.history]
    provenance = _provenance(seen.date_provenance, seen.person_provenance, seen.percent_provenance)
    return (
        key, milestone, digest, seen.state, seen.done, seen.accepted, seen.percent_bp, _epoch(seen.done_at),
        None if seen.done_on is None else day_number(seen.done_on), seen.done_by, _epoch(seen.updated_at), observed_at, recorded_at,
        run_id, seen.deleted, seen.unproven, int(seen.grade), provenance, seen.url, seen.name,
        orjson.dumps(history).decode() if history else None, orjson.dumps(seen.extra, default=str).decode() if seen.extra else None,
    )  # fmt: skip


def _change_row(key: int, milestone: int, observation: int, change: Change, recorded_at: int) -> tuple[Any, ...]:
    when = change.when
    return (
        key, milestone, observation, change.what, when.at, when.day, change.value, change.corrects, change.by,
        change.grade, change.provenance, recorded_at,
    )  # fmt: skip


def current_states(connection: Connection, ids: Sequence[int]) -> dict[int, Current]:
    """Where each milestone stands, by its last change of every kind."""
    if not ids:
        return {}
    table = wanted_ids(connection, ids)
    rows = fetch(
        connection,
        "SELECT c.milestone_id, c.what, c.at, c.day, c.value, o.observed_at FROM milestone_changes c "
        f"JOIN {table} w ON w.id = c.milestone_id JOIN observations o ON o.id = c.observation_id ORDER BY c.id",
    )
    found: dict[int, Current] = {}
    for milestone, what, at, day, value, observed_at in rows:
        change = Change(what, When(at, day), value, corrects=False, by=None, grade=0, provenance="")
        found[milestone] = found.get(milestone, UNKNOWN).after(change, observed_at)
    return found


def stored_milestones(store: Store) -> dict[str, int]:
    """How many milestones the last pulls left of each connection, without those that are gone."""
    here = sa.select(milestones.c.connection, sa.func.count()).where(~milestones.c.deleted)
    with store.read() as connection:
        return {row[0]: row[1] for row in connection.execute(here.group_by(milestones.c.connection))}
