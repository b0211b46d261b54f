"""What every connector must be able to do, tried against its own scripted vendor; no socket, no waiting.

`run_conformance("pingcode")` runs all cases; `huikuan connectors test NAME` prints them, the project's tests
run the same list. A case can be left out only where the fake names it in `skips`, with the reason.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from connectors.errors import BadPayload, SourceConfig, SourceError, SourceRefused, SourceUnavailable
from connectors.kit.fakes import START, Fault, Item, ScriptedVendor
from connectors.registry import ConnectorInfo, connector
from models.domain.observations import Observation, Provenance, Rejected
from models.ports import PullRequest, Source

ASKED = 7  # seconds that the throttling answers ask us to wait
MANY = 250  # milestones: three pages of a hundred


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How one case ended. outcome: passed, failed, skipped; `reason` says why not passed."""

    name: str
    outcome: str
    reason: str = ""


class Clock:
    """A clock that moves when somebody sleeps."""

    def __init__(self, seconds: int) -> None:
        self.seconds = float(seconds)
        self.slept = 0.0

    def now(self) -> datetime:
        """The moment."""
        return datetime.fromtimestamp(self.seconds, UTC)

    async def sleep(self, seconds: float) -> None:
        """Nothing waits, the clock moves on."""
        self.slept += seconds
        self.seconds += seconds
        await asyncio.sleep(0)


@dataclass(slots=True)
class Known:
    """What a store would know after the pulls so far."""

    milestones: dict[str, Observation] = field(default_factory=dict)
    rejected: dict[str, Rejected] = field(default_factory=dict)
    cursor: str | None = None
    news: list[Observation] = field(default_factory=list)  # of the last pull: what was not known before
    told: int = 0  # rows of the last pull, the unchanged ones too
    lasts: int = 0

    def gone(self, ids: set[str]) -> None:
        """They are no longer at the source."""
        for key in ids:
            old = self.milestones[key]
            if not old.deleted:
                self.milestones[key] = old._replace(deleted=True, done=False)
                self.news.append(self.milestones[key])


class Bench:
    """One connector on one fake, with a clock of its own; `changes` are options other than the fake's own."""

    def __init__(self, info: ConnectorInfo, vendor: ScriptedVendor, **changes: object) -> None:
        self.info, self.vendor, self.changes = info, vendor, changes
        self.clock = Clock(vendor.now)
        self.known = Known()

    def source(self, options: Mapping[str, object] | None = None) -> Source:
        """A source on the fake."""
        given = self.vendor.options(**self.changes) if options is None else options
        return self.info.build("c", given, clock=self.clock.now, transport=self.vendor, sleep=self.clock.sleep)

    def at(self, seconds: int) -> None:
        """Move both clocks: it is so many seconds after the script's beginning."""
        self.vendor.now = START + seconds
        self.clock.seconds = float(self.vendor.now)

    def item(self, name: str = "初验") -> Item:
        """A milestone, and the first pull that saw it open."""
        found = self.vendor.add(name)
        self.pull()
        return found

    def seen(self, item: Item) -> Observation:
        """What is known of an item."""
        key = self.vendor.milestone_id(item)
        _demand(key in self.known.milestones, f"{item.name} was not seen")
        return self.known.milestones[key]

    def pull(self, *, now: datetime | None = None, full: bool = False, projects: tuple[str, ...] = ()) -> Known:
        """Pull once, as the nightly run does; failures come out as they are."""
        asyncio.run(self._pull(PullRequest(projects, self.known.cursor, full, now or self.clock.now())))
        return self.known

    async def _pull(self, request: PullRequest) -> None:
        known = self.known
        known.news, known.told, known.lasts = [], 0, 0
        here: set[str] = set()
        async with self.source() as source:
            async for page in source.pull(request):
                _demand(not known.lasts, "there came a page after the last one")
                _demand(page.cursor is None or page.last, "a cursor came before the last page")
                here |= {o.milestone_id for o in page.observations} | {str(r.milestone_id) for r in page.rejected}
                self._take(page.observations)
                known.rejected |= {str(r.milestone_id): r for r in page.rejected}
                if page.snapshot_of:
                    inside = {k for k, o in known.milestones.items() if o.project_id in page.snapshot_of}
                    known.gone(inside - here)
                if page.alive is not None:
                    kinds = {a.partition(":")[0] for a in page.alive}
                    inside = {k for k, o in known.milestones.items() if o.project_id == page.project_id}
                    known.gone({k for k in inside if k.partition(":")[0] in kinds} - set(page.alive))
                if page.last:
                    known.lasts, known.cursor = 1, page.cursor or known.cursor
        _demand(known.lasts == 1, "the pull ended without its last page")

    def _take(self, observations: tuple[Observation, ...]) -> None:
        for seen in observations:
            self.known.told += 1
            if self.known.milestones.get(seen.milestone_id) != seen:
                self.known.milestones[seen.milestone_id] = seen
                self.known.news.append(seen)

    def fails(self, kind: type[SourceError], what: Callable[[], object]) -> SourceError:
        """`what` must raise an error of this family, with advice, without a secret."""
        try:
            what()
        except SourceError as problem:
            _demand(isinstance(problem, kind), f"{type(problem).__name__} instead of {kind.__name__}: {problem}")
            _demand(bool(problem.advice), f"the error gives no advice: {problem}")
            self.silent(f"{problem} {problem.advice} {problem!r}")
            return problem
        raise NotConforming(f"no error, where {kind.__name__} was due")

    def silent(self, text: str) -> None:
        """No secret stands in the text."""
        for secret in self.vendor.secrets:
            _demand(secret not in text, "a secret stands in an error or a log")

    def check(self, options: Mapping[str, object] | None = None) -> Any:
        """What `huikuan check` asks."""

        async def ask() -> Any:
            async with self.source(options) as source:
                return await source.check()

        return asyncio.run(ask())


def read_all(info: ConnectorInfo, vendor: ScriptedVendor, **changes: object) -> Known:
    """What one pull reads from a fake: `milestones` and `rejected`, both by the milestone's id."""
    return Bench(info, vendor, **changes).pull(full=True)


class NotConforming(Exception):
    """The connector does not do what every connector does."""


def _demand(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not holds:
        raise NotConforming(otherwise)


def _many(bench: Bench, count: int = MANY) -> list[Item]:
    return [bench.vendor.add(f"M{n:04d}") for n in range(count)]


def _last_part(key: str) -> str:
    """Where projects live in groups, their key is a path."""
    return key.upper().rpartition("/")[2]


def _all_seen(bench: Bench, items: list[Item]) -> None:
    wanted = {bench.vendor.milestone_id(i) for i in items}
    missing = wanted - {k for k, o in bench.known.milestones.items() if not o.deleted}
    _demand(not missing, f"{len(missing)} of {len(wanted)} milestones are missing or taken for deleted")


# --- configuration -------------------------------------------------------------------------------------


def options_are_declared(bench: Bench) -> None:
    """Missing, unknown and odd keys are told by name, secrets are not shown."""
    good = bench.vendor.options()
    for option in bench.info.options:
        if option.required:
            bench.fails(SourceConfig, lambda o=option: bench.source({k: v for k, v in good.items() if k != o.name}))  # type: ignore[misc]
    problem = bench.fails(SourceConfig, lambda: bench.source({**good, "base_urll": "x"}))
    _demand("base_url" in problem.advice, "the closest valid key is not named")
    bench.fails(SourceConfig, lambda: bench.source({**good, "base_url": "ftp://x"}))
    secret = next((o.name for o in bench.info.options if o.secret), None)
    _demand(secret is not None, "no option is marked as a secret")


def check_says_what_is_seen(bench: Bench) -> None:
    """The account and the number of projects."""
    found = bench.check()
    _demand(found.projects >= 2, f"{found.projects} projects, where 2 are visible")


def bad_credentials_are_refused(bench: Bench) -> None:
    """And not tried again and again."""
    bench.fails(SourceRefused, lambda: bench.check(bench.vendor.bad_options()))
    _demand(len(bench.vendor.requests) <= 4, f"{len(bench.vendor.requests)} requests with bad credentials")


def unknown_project_is_named(bench: Bench) -> None:
    """A project that the account does not see is a mistake in the configuration, not an empty list."""
    problem = bench.fails(SourceConfig, lambda: bench.pull(projects=("ALPHAA",)))
    _demand("alpha" in problem.advice.lower(), "the closest project is not named")


# --- pages ---------------------------------------------------------------------------------------------


def nothing_there(bench: Bench) -> None:
    """Projects without a milestone: no rows, and a cursor."""
    bench.pull()
    _demand(not bench.known.milestones, "milestones out of nothing")
    _demand(bench.known.cursor is not None, "no cursor")


def one_page(bench: Bench) -> None:
    """Everything a milestone has comes in."""
    item = bench.item("初验 “一期” <b>&amp; 🎉")
    seen = bench.seen(item)
    _demand(seen.name == item.name, f"the name came as {seen.name!r}")
    _demand(not seen.done and not seen.deleted, "an open milestone came as done or deleted")
    _demand(_last_part(seen.project_key) == "ALPHA", f"the project's key is {seen.project_key!r}")
    _demand(seen.planned_at is not None or seen.planned_on is not None, "the planned date is lost")


def many_pages(bench: Bench) -> None:
    """Each of 250 exactly once."""
    items = _many(bench)
    bench.pull()
    _all_seen(bench, items)
    _demand(len(bench.known.milestones) == MANY, f"{len(bench.known.milestones)} milestones of {MANY}")


def rows_vanish_while_paging(bench: Bench) -> None:
    """What slips from one page to the other is not taken for deleted."""
    items = _many(bench)
    bench.pull()
    bench.vendor.after_first_page = lambda: bench.vendor.remove(items[3])
    bench.pull(full=True)
    _all_seen(bench, items[:3] + items[4:])


def rows_appear_while_paging(bench: Bench) -> None:
    """A row that comes twice counts once, a new one is seen now or the next time."""
    items = _many(bench)

    def one_more_at_the_front() -> None:
        new = bench.vendor.add("new")
        rest = {k: v for k, v in bench.vendor.items.items() if k != new.id}
        bench.vendor.items = {new.id: new, **rest}
        items.append(new)

    bench.vendor.after_first_page = one_more_at_the_front
    bench.pull()
    bench.pull()
    _all_seen(bench, items)


def a_row_changes_project_while_paging(bench: Bench) -> None:
    """A milestone that moves to another project while lists are read is neither lost nor taken for deleted."""
    items = _many(bench)
    bench.pull()
    bench.at(3600)
    bench.vendor.after_first_page = lambda: bench.vendor.relocate(items[3], 1)
    bench.pull(full=True)
    bench.at(7200)
    bench.pull(full=True)
    _all_seen(bench, items)
    _demand(
        _last_part(bench.seen(items[3]).project_key) == "BETA", "a milestone that moved is still in its old project"
    )


# --- patience ------------------------------------------------------------------------------------------


def _throttled(headers: Callable[[datetime], dict[str, str]]) -> Callable[[Bench], None]:
    def case(bench: Bench) -> None:
        items = _many(bench, 3)
        bench.vendor.faults.append(Fault("status", 2, 429, headers(bench.clock.now())))
        bench.pull()
        _all_seen(bench, items)
        _demand(bench.clock.slept >= ASKED - 1, f"waited {bench.clock.slept:.1f} s where {ASKED} s were asked")
        _demand(bench.clock.slept < 10 * ASKED, f"waited {bench.clock.slept:.1f} s where {ASKED} s were asked")

    return case


def _later(now: datetime) -> datetime:
    return now + timedelta(seconds=ASKED)


THROTTLES: Mapping[str, Callable[[datetime], dict[str, str]]] = {
    "pingcode_header": lambda _now: {"x-pc-retry-after": str(ASKED)},
    "cloud_header": lambda _now: {"X-RateLimit-Retry-After": str(ASKED)},
    "seconds": lambda _now: {"Retry-After": str(ASKED)},
    "http_date": lambda now: {"Retry-After": format_datetime(_later(now), usegmt=True)},
    "reset_unix": lambda now: {
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(int(_later(now).timestamp()) + 1),
    },
    "reset_iso": lambda now: {"X-RateLimit-Reset": _later(now).isoformat()},
    "reset_delta": lambda _now: {"RateLimit-Reset": str(ASKED)},
}


def throttled_without_a_word(bench: Bench) -> None:
    """A 429 as an HTML page that does not say how long."""
    items = _many(bench, 3)
    bench.vendor.faults.append(Fault("html", 2, 429))
    bench.pull()
    _all_seen(bench, items)
    _demand(bench.clock.slept > 0, "tried again at once")


def throttled_for_an_hour(bench: Bench) -> None:
    """A run does not sleep for an hour: the source is unavailable, and comes again the next night."""
    bench.vendor.faults.append(Fault("status", 99, 429, {"Retry-After": "3600"}))
    bench.fails(SourceUnavailable, bench.pull)
    _demand(bench.clock.slept < 600, f"slept {bench.clock.slept:.0f} s")


def _passing(fault: Fault) -> Callable[[Bench], None]:
    def case(bench: Bench) -> None:
        items = _many(bench, 3)
        bench.vendor.faults.append(replace(fault))
        bench.pull()
        _all_seen(bench, items)

    return case


def _lasting(fault: Fault, kind: type[SourceError], most: int) -> Callable[[Bench], None]:
    def case(bench: Bench) -> None:
        bench.item()
        before, cursor = len(bench.vendor.requests), bench.known.cursor
        bench.vendor.faults.append(replace(fault, times=10_000))
        bench.fails(kind, bench.pull)
        spent = len(bench.vendor.requests) - before
        _demand(spent <= most, f"{spent} requests before giving up")
        _demand(bench.known.cursor == cursor, "the cursor moved in a pull that failed")
        bench.vendor.faults.clear()
        bench.pull()

    return case


def token_expires_in_mid_pull(bench: Bench) -> None:
    """A new token is fetched, the request is sent again, nothing is lost."""
    items = _many(bench)
    bench.vendor.after_first_page = bench.vendor.expire_tokens
    bench.pull()
    _all_seen(bench, items)


def many_requests_share_one_new_token(bench: Bench) -> None:
    """Requests side by side that meet the end of a token do not fetch one each."""
    _many(bench)
    bench.vendor.after_first_page = bench.vendor.expire_tokens
    bench.pull()
    calls = sum(bench.vendor.token_path in r for r in bench.vendor.requests)
    _demand(calls == 2, f"{calls} token calls, where 2 are due")


def token_call_hangs(bench: Bench) -> None:
    """The token call has a time limit too."""
    bench.vendor.faults.append(Fault("hang", 10_000, path=bench.vendor.token_path))
    bench.fails(SourceUnavailable, bench.pull)


def _refused(status: int) -> Callable[[Bench], None]:
    def case(bench: Bench) -> None:
        bench.vendor.refuse_data = status
        bench.fails(SourceRefused, bench.pull)
        _demand(len(bench.vendor.requests) <= 8, f"{len(bench.vendor.requests)} requests to be refused")

    return case


# --- changes -------------------------------------------------------------------------------------------


def second_pull_brings_nothing_new(bench: Bench) -> None:
    """The same state twice."""
    items = _many(bench, 120)
    for item in items[:50]:
        bench.vendor.finish(item)
    bench.pull()
    bench.at(3600)
    bench.pull()
    _demand(not bench.known.news, f"{len(bench.known.news)} milestones are news, and nothing happened")


def quiet_nights_hide_nothing(bench: Bench) -> None:
    """What is not told again, since it did not change, is not gone; also where the last change is long ago."""
    items = _many(bench, 120)
    bench.vendor.finish(items[0])
    for day in range(4):
        bench.at(day * 86_400)
        bench.pull()
        _all_seen(bench, items)
        _demand(not day or not bench.known.news, f"{len(bench.known.news)} milestones are news, and nothing happened")
    bench.vendor.remove(items[1])
    bench.pull()
    _all_seen(bench, [items[0], *items[2:]])
    _demand(bench.seen(items[1]).deleted, "a milestone deleted after quiet nights is still there")


def incremental_equals_full(bench: Bench) -> None:
    """What is known after increments is what a fresh pull sees."""
    items = _many(bench, 30)
    bench.pull()
    bench.at(86_400)
    for number, item in enumerate(items[:9]):
        (bench.vendor.finish, bench.vendor.remove, lambda i: bench.vendor.rename(i, "renamed"))[number % 3](item)
    known = dict(bench.pull().milestones)
    bench.at(86_500)
    fresh = Bench(bench.info, bench.vendor)
    fresh.clock = bench.clock
    alive = {k: o for k, o in fresh.pull(full=True).milestones.items() if not o.deleted}
    _demand({k: o for k, o in known.items() if not o.deleted} == alive, "increments and a full pull differ")


def cursor_from_the_future(bench: Bench) -> None:
    """A clock that was wrong once does not lose what happens before it: nothing old is news."""
    bench.item()
    bench.pull(now=bench.clock.now() + timedelta(days=30))
    bench.pull()
    _demand(not bench.known.news, "old news after a cursor from the future")


def unreadable_cursor(bench: Bench) -> None:
    """A cursor that cannot be read is none."""
    item = bench.item()
    bench.known = Known(cursor="{not: json")
    bench.pull()
    bench.seen(item)


def done_is_seen(bench: Bench) -> None:
    """Done, with the day it happened."""
    item = bench.item()
    bench.at(86_400)
    bench.vendor.finish(item, at=START + 80_000)
    bench.pull()
    seen = bench.seen(item)
    _demand(seen.done, "a finished milestone is not done")
    wanted = datetime.fromtimestamp(START + 80_000, UTC)
    _demand(seen.done_at == wanted, f"done_at is {seen.done_at}, it was {wanted}")
    _demand(seen.date_provenance is not Provenance.ABSENT, "where the date comes from is not said")


def done_by(bench: Bench) -> None:
    """Who did it, from the vendor's history."""
    item = bench.item()
    bench.at(86_400)
    bench.vendor.finish(item, by="王敏")
    bench.pull()
    _demand(bench.seen(item).done_by == "王敏", f"done_by is {bench.seen(item).done_by!r}")


def zone_edge(bench: Bench) -> None:
    """One second before midnight in China is the instant it is, not a day."""
    item = bench.item()
    edge = datetime(2026, 11, 30, 23, 59, 59, tzinfo=_CHINA)
    bench.at(30 * 86_400)
    bench.vendor.finish(item, at=int(edge.timestamp()))
    bench.pull()
    seen = bench.seen(item)
    _demand(seen.done_at == edge, f"done_at is {seen.done_at}, it was {edge}")
    _demand(seen.done_at is not None and seen.done_at.utcoffset() == timedelta(0), "done_at is not in UTC")


_CHINA = datetime.fromisoformat("2026-01-01T00:00:00+08:00").tzinfo


def reopened(bench: Bench) -> None:
    """A milestone that was done and is not any more."""
    item = bench.item()
    bench.vendor.finish(item)
    bench.pull()
    bench.at(7200)
    bench.vendor.reopen(item)
    bench.pull()
    seen = bench.seen(item)
    _demand(not seen.done, "a reopened milestone is still done")
    _demand(seen.done_at is None, "a reopened milestone keeps its date of completion")


def done_again(bench: Bench) -> None:
    """Reopened and done again: the date is the last one."""
    item = bench.item()
    for hours, done in ((1, True), (2, False), (3, True)):
        bench.at(hours * 3600)
        (bench.vendor.finish if done else bench.vendor.reopen)(item)
    bench.pull()
    wanted = datetime.fromtimestamp(START + 3 * 3600, UTC)
    _demand(bench.seen(item).done_at == wanted, f"done_at is {bench.seen(item).done_at}, it was {wanted}")


def deleted(bench: Bench) -> None:
    """A deleted milestone is gone, by its own account or by its absence; the others stay."""
    item, other = bench.vendor.add("终验"), bench.item()
    bench.at(7200)
    bench.vendor.remove(item)
    bench.pull()
    _demand(bench.seen(item).deleted, "a deleted milestone is still there")
    _demand(not bench.seen(other).deleted, "another milestone is taken for deleted")


def the_last_one_deleted(bench: Bench) -> None:
    """Where none is left, that is told too."""
    item = bench.item()
    bench.at(7200)
    bench.vendor.remove(item)
    bench.pull()
    _demand(bench.seen(item).deleted, "the last milestone of a project was deleted, and is still there")


def renamed(bench: Bench) -> None:
    """The same milestone under another name."""
    item = bench.item()
    bench.at(7200)
    bench.vendor.rename(item, "竣工验收")
    bench.pull()
    _demand(bench.seen(item).name == "竣工验收", f"the name is {bench.seen(item).name!r}")
    _demand(len(bench.known.milestones) == 1, "a renamed milestone became another")


def moved(bench: Bench) -> None:
    """The same milestone in another project."""
    item = bench.item()
    bench.at(7200)
    bench.vendor.relocate(item, 1)
    bench.pull()
    bench.pull(full=True)
    seen = bench.seen(item)
    _demand(_last_part(seen.project_key) == "BETA", f"the project is {seen.project_key!r}")
    _demand(not seen.deleted, "a moved milestone is taken for deleted")


# --- ETags, where the vendor has them and the connector uses them -------------------------------------------


def unchanged_costs_a_304(bench: Bench) -> None:
    """Where nothing changed no row is sent, on one page or on several; a change on the last page is seen."""
    for day, count in enumerate((3, MANY), 1):
        items = [bench.vendor.add(f"{count}/{n:04d}") for n in range(count)]
        bench.pull()
        bench.at(day * 86_400)
        before = len(bench.vendor.answered)
        bench.pull()
        _demand(304 in bench.vendor.answered[before:], "nothing was asked conditionally")
        _demand(not bench.known.told, f"{bench.known.told} rows came, and nothing changed")
        bench.at(day * 86_400 + 60)
        bench.vendor.finish(items[-1])
        bench.pull()
        _demand(bench.seen(items[-1]).done, "a change was missed")


def changes_after_a_304(bench: Bench) -> None:
    """Done, deleted, and a source that sends no ETags any more: a quiet night hides nothing of the next."""
    done, gone, later = (bench.vendor.add(n) for n in ("done", "gone", "later"))
    steps: tuple[Callable[[], object], ...] = (
        lambda: bench.vendor.finish(done),
        lambda: bench.vendor.remove(gone),
        lambda: setattr(bench.vendor, "tags", False),
        lambda: bench.vendor.finish(later),
    )
    bench.pull()
    for day, step in enumerate(steps, 1):
        bench.at(day * 86_400 - 3600)
        bench.pull()
        bench.at(day * 86_400)
        step()
        bench.pull()
    _demand(bench.seen(done).done, "a milestone finished after a quiet night is not done")
    _demand(bench.seen(gone).deleted, "a milestone deleted after a quiet night is still there")
    _demand(bench.seen(later).done, "a source without ETags is not read any more")


def a_304_is_trusted_only_where_it_was_asked_for(bench: Bench) -> None:
    """A full pull asks for everything; a 304 that nobody asked for is no empty list."""
    item = bench.item()
    before = len(bench.vendor.asked)
    bench.pull(full=True)
    _demand(bench.known.told == 1, f"a full pull brought {bench.known.told} rows, where there is 1")
    _demand(
        not any("if-none-match" in r.headers for r in bench.vendor.asked[before:]), "a full pull asked conditionally"
    )
    cursor = bench.known.cursor
    bench.vendor.faults.append(Fault("status", 10_000, 304))
    bench.fails(SourceError, lambda: bench.pull(full=True))
    _demand(bench.known.cursor == cursor, "the cursor moved in a pull that failed")
    _demand(not bench.seen(item).deleted, "an empty answer is taken for an empty list")


NOT_CONDITIONAL = "the connector asks nothing conditionally"
CONDITIONAL = (unchanged_costs_a_304, changes_after_a_304, a_304_is_trusted_only_where_it_was_asked_for)


# --- rows that are not as agreed -------------------------------------------------------------------------


def unknown_field_is_kept(bench: Bench) -> None:
    """A field nobody knows is kept and reported; the milestone counts."""
    item = bench.item()
    _demand(not bench.seen(item).extra, f"known fields are reported as unknown: {sorted(bench.seen(item).extra)}")
    bench.at(7200)
    bench.vendor.spoil(item, "unknown")
    bench.pull(full=True)
    _demand(bench.seen(item).extra == {"zz_custom_flag": {"a": 1}}, f"extra is {dict(bench.seen(item).extra)}")


def _spoiled(how: str, codes: tuple[str, ...]) -> Callable[[Bench], None]:
    def case(bench: Bench) -> None:
        bad, good = bench.vendor.add("bad"), bench.item("good")
        bench.at(7200)
        bench.vendor.spoil(bad, how)
        bench.vendor.finish(good)
        bench.pull()
        _demand(bench.seen(good).done, "a bad row stopped the good ones")
        key = bench.vendor.milestone_id(bad)
        _demand(key in bench.known.rejected, "a row without its proof was not put aside under its milestone's id")
        found = bench.known.rejected[key]
        _demand(found.code in codes, f"the code is {found.code}")
        _demand(bool(found.raw) and bool(found.params), "the row or what was wrong with it is not kept")
        _demand(not bench.seen(bad).deleted, "a row that cannot be read is taken for deleted")

    return case


# --- secrets -------------------------------------------------------------------------------------------


def secrets_stay_inside(bench: Bench) -> None:
    """Whatever goes wrong and however loud the log is."""
    _many(bench, 3)
    with _listening() as log:
        bench.pull()
        for fault in (Fault("status", 99, 500), Fault("html", 99), Fault("truncated", 99), Fault("down", 99)):
            bench.vendor.faults = [fault]
            bench.fails(SourceError, bench.pull)
        bench.vendor.faults = []
        bench.fails(SourceRefused, lambda: bench.check(bench.vendor.bad_options()))
        bench.silent(log.getvalue() + repr(bench.source()))


@contextmanager
def _listening() -> Iterator[io.StringIO]:
    """Everything that is logged, at every level."""
    heard = io.StringIO()
    handler, root = logging.StreamHandler(heard), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield heard
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


CASES: Mapping[str, Callable[[Bench], None]] = {
    "options_are_declared": options_are_declared,
    "check_says_what_is_seen": check_says_what_is_seen,
    "bad_credentials_are_refused": bad_credentials_are_refused,
    "unknown_project_is_named": unknown_project_is_named,
    "nothing_there": nothing_there,
    "one_page": one_page,
    "many_pages": many_pages,
    "rows_vanish_while_paging": rows_vanish_while_paging,
    "rows_appear_while_paging": rows_appear_while_paging,
    "a_row_changes_project_while_paging": a_row_changes_project_while_paging,
    **{f"throttled_{name}": _throttled(headers) for name, headers in THROTTLES.items()},
    "throttled_without_a_word": throttled_without_a_word,
    "throttled_for_an_hour": throttled_for_an_hour,
    **{f"passes_after_{status}": _passing(Fault("status", 2, status)) for status in (500, 502, 503, 504)},
    "passes_after_truncated_answer": _passing(Fault("truncated", 1)),
    "passes_after_lost_connection": _passing(Fault("down", 2)),
    "gives_up_after_500": _lasting(Fault("status", status=500), SourceUnavailable, 12),
    "gives_up_when_down": _lasting(Fault("down"), SourceUnavailable, 12),
    "gives_up_when_hanging": _lasting(Fault("hang"), SourceUnavailable, 12),
    "gives_up_when_truncated": _lasting(Fault("truncated"), SourceUnavailable, 12),
    "login_page_with_200": _lasting(Fault("html"), BadPayload, 4),
    "plain_text_with_200": _lasting(Fault("text"), BadPayload, 4),
    "token_call_hangs": token_call_hangs,
    "token_expires_in_mid_pull": token_expires_in_mid_pull,
    "many_requests_share_one_new_token": many_requests_share_one_new_token,
    **{f"refused_{status}": _refused(status) for status in (401, 403, 404, 410)},
    "second_pull_brings_nothing_new": second_pull_brings_nothing_new,
    "quiet_nights_hide_nothing": quiet_nights_hide_nothing,
    "incremental_equals_full": incremental_equals_full,
    "cursor_from_the_future": cursor_from_the_future,
    "unreadable_cursor": unreadable_cursor,
    "done_is_seen": done_is_seen,
    "done_by": done_by,
    "zone_edge": zone_edge,
    "reopened": reopened,
    "done_again": done_again,
    "deleted": deleted,
    "the_last_one_deleted": the_last_one_deleted,
    "renamed": renamed,
    "moved": moved,
    **{case.__name__: case for case in CONDITIONAL},
    "unknown_field_is_kept": unknown_field_is_kept,
    "proof_field_missing": _spoiled("missing", ("PROOF_FIELD_MISSING",)),
    "proof_field_of_another_type": _spoiled("retyped", ("PROOF_FIELD_TYPE", "STATE_UNKNOWN")),
    "secrets_stay_inside": secrets_stay_inside,
}


def cases_for(info: ConnectorInfo) -> Mapping[str, Callable[[Bench], None]]:
    """The cases that apply: files and programs have no requests that could be throttled or time out."""
    if info.reads == "api":
        return CASES
    from connectors.kit.file_conformance import FILE_CASES

    return FILE_CASES


def run_case(info: ConnectorInfo, name: str) -> CaseResult:
    """One case against a fresh fake. Raises SourceConfig where the connector ships none."""
    if info.fake is None:
        raise SourceConfig("no_fake", system=info.system)
    vendor = info.fake()
    if not isinstance(vendor, ScriptedVendor):
        raise SourceConfig("no_scripted_vendor", system=info.system)
    reason = vendor.skips.get(name)
    if reason is None and CASES.get(name) in CONDITIONAL and not vendor.conditional:
        reason = NOT_CONDITIONAL
    if reason is not None:
        return CaseResult(name, "skipped" if reason.strip() else "failed", reason or "skipped without a reason")
    try:
        cases_for(info)[name](Bench(info, vendor))
    except NotConforming as problem:
        return CaseResult(name, "failed", str(problem))
    except Exception as problem:  # noqa: BLE001 - whatever a connector raises is a result here
        return CaseResult(name, "failed", f"{type(problem).__name__}: {problem}")
    return CaseResult(name, "passed")


def run_conformance(system: str) -> list[CaseResult]:
    """All cases against the scripted vendor that a connector ships. Not to be called in a running event loop."""
    info = connector(system)
    return [run_case(info, name) for name in cases_for(info)]
