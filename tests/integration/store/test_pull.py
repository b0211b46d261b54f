"""Pull into the store: everything of a connection or nothing, only what changed, and replay gives the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.errors import SourceUnavailable
from connectors.store import Store, open_store
from connectors.store.bulk import fetch
from flows.steps.changes import Current, changes_of
from flows.steps.pull import Arrived, GateResult, PullOutcome, pull_connection
from models.domain.contracts import EvidenceGrade
from models.domain.findings import Finding, Severity
from models.domain.observations import Observation, Page, Provenance, Rejected, StateChange
from models.ports import PullRequest, Reachability
from tests.integration.store.conftest import die, in_a_child

NOW = datetime(2026, 11, 20, 4, tzinfo=UTC)


@dataclass
class Scripted:
    """A source that gives the pages of a list, and fails where the list holds an error."""

    pages: list[Page | Exception]
    name: str = "rd"
    asked: list[str | None] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None: ...

    async def check(self) -> Reachability:
        return Reachability("me", 1)

    async def pull(self, request: PullRequest) -> AsyncIterator[Page]:
        self.asked.append(request.cursor)
        for page in self.pages:
            if isinstance(page, Exception):
                raise page
            yield page


def one(key: str, **fields: object) -> Observation:
    base = {"state": "open", "done": False, "name": f"Milestone {key}"} | fields
    return Observation("rd", "P", "P", "Project", key, "milestone", **base)  # type: ignore[arg-type]


def last(*seen: Observation, cursor: str | None = "c1", **more: object) -> Page:
    return Page(tuple(seen), seen=len(seen), cursor=cursor, last=True, **more)  # type: ignore[arg-type]


def pull(store: Store, *pages: Page | Exception, day: int = 0, gate=None, name: str = "rd") -> PullOutcome:
    moment = NOW + timedelta(days=day)
    request = PullRequest((), None, False, moment)
    stamp = int(moment.timestamp() * 1e6)
    return asyncio.run(pull_connection(Scripted(list(pages), name), store, request, f"run {day}", stamp, gate))


def rows(store: Store, statement: str) -> list[tuple]:
    with store.read() as connection:
        return fetch(connection, statement)


def counts(store: Store) -> tuple[int, ...]:
    tables = ("milestones", "observations", "milestone_changes", "cursors", "quarantine")
    return tuple(rows(store, f"SELECT COUNT(*) FROM {t}")[0][0] for t in tables)


def test_data_and_cursor_come_together(store: Store) -> None:
    outcome = pull(store, Page((one("a"),), seen=1), last(one("b", done=True, done_at=NOW - timedelta(days=1))))
    assert (outcome.state, outcome.seen, outcome.appended) == ("done", 2, 2)
    assert counts(store) == (2, 2, 1, 1, 0)
    assert rows(store, "SELECT connection, value, seen, run_id FROM cursors") == [("rd", "c1", 2, "run 0")]


def test_what_did_not_change_is_not_written_again(store: Store) -> None:
    pull(store, last(one("a"), one("b")))
    again = pull(store, last(one("a"), one("b", state="doing"), one("b", state="doing"), cursor=None), day=1)
    assert again.appended == 1
    assert counts(store) == (2, 3, 0, 1, 0)
    assert rows(store, "SELECT value FROM cursors") == [("c1",)]  # no new cursor keeps the old one


def test_a_row_that_comes_twice_counts_as_it_was_last(store: Store) -> None:
    """Rows move while a source pages; the later look is the newer one."""
    pull(store, Page((one("a", state="old"),), seen=1), last(one("a", state="new")))
    assert rows(store, "SELECT state FROM observations") == [("new",)]


@pytest.mark.parametrize(
    "end",
    [SourceUnavailable("system_failed", where="GET /x", status=500), Page((one("c"),), seen=1)],
    ids=["error", "no last page"],
)
def test_a_pull_that_breaks_off_leaves_the_store_as_it_was(store: Store, end: Page | Exception) -> None:
    pull(store, last(one("a")))
    before = counts(store)
    bad = Rejected("rd", "z", "PERCENT_RANGE", {}, "{}")
    outcome = pull(store, Page((one("a", state="x"), one("b")), (bad,), seen=3), end, day=1)
    assert outcome.state == "failed"
    assert outcome.trouble is not None
    assert counts(store) == before
    assert rows(store, "SELECT value FROM cursors") == [("c1",)]


def test_a_run_killed_in_the_commit_leaves_nothing_and_the_next_one_does_it_all(url: str) -> None:
    store = open_store(url)
    pull(store, last(one("a")))
    store.dispose()

    def work() -> None:
        from flows.steps import pull as module

        module._cursor = lambda *_args: die()
        pull(open_store(url), last(one("a", state="x"), one("b")), day=1)

    assert in_a_child(work) == -9
    store = open_store(url)
    assert counts(store) == (1, 1, 0, 1, 0)
    assert pull(store, last(one("a", state="x"), one("b")), day=1).appended == 2
    store.dispose()


def test_bad_rows_wait_in_quarantine_once_until_a_good_one_comes(store: Store) -> None:
    bad = Rejected("rd", "b", "PERCENT_RANGE", {"found": 130}, '{"percent": 130}')
    nameless = Rejected("rd", None, "PROOF_FIELD_MISSING", {}, "{}")
    for day in range(2):
        outcome = pull(store, replace(last(one("a")), rejected=(bad, bad, nameless)), day=day)
        assert (outcome.state, outcome.rejected) == ("done", 3)
    waiting = "SELECT vendor_id, code FROM quarantine WHERE cleared_at IS NULL ORDER BY id"
    assert rows(store, waiting) == [("b", "PERCENT_RANGE"), (None, "PROOF_FIELD_MISSING")]
    pull(store, last(one("a"), one("b", percent_bp=100)), day=2)
    assert rows(store, waiting) == [(None, "PROOF_FIELD_MISSING")]


def test_a_row_that_goes_bad_a_second_time_waits_a_second_time(store: Store) -> None:
    bad = Page((), rejected=(Rejected("rd", "a", "PROOF_FIELD_TYPE", {"field": "done_at"}, "raw"),), seen=1, last=True)
    waiting = "SELECT vendor_id, run_id, recorded_at FROM quarantine WHERE cleared_at IS NULL"
    pull(store, bad)
    pull(store, last(one("a", state="doing")), day=1)
    assert rows(store, waiting) == []
    pull(store, bad, day=2)
    since = int((NOW + timedelta(days=2)).timestamp() * 1e6)
    assert rows(store, waiting) == [("a", "run 2", since)]
    pull(store, bad, day=3)
    assert rows(store, waiting) == [("a", "run 2", since)]  # it waits since then
    pull(store, last(one("a", state="done")), day=4)
    assert (rows(store, waiting), rows(store, "SELECT COUNT(*) FROM quarantine")) == ([], [(1,)])


def test_done_in_the_future_goes_to_quarantine(store: Store) -> None:
    outcome = pull(store, last(one("a", done=True, done_at=NOW + timedelta(hours=1)), one("b")))
    assert (outcome.appended, outcome.rejected) == (1, 1)
    assert rows(store, "SELECT vendor_id, code FROM quarantine") == [("a", "DATE_IN_FUTURE")]


def test_what_had_to_wait_is_asked_for_again(store: Store) -> None:
    """A source tells a change once: its new cursor must not be kept while a row of it waits for its day."""
    pull(store, last(one("b"), cursor="before"))
    pull(store, last(one("a", done=True, done_at=NOW + timedelta(hours=30)), one("c"), cursor="told"), day=1)
    assert rows(store, "SELECT value, recorded_at FROM cursors") == [
        ("before", int((NOW + timedelta(days=1)).timestamp() * 1e6))
    ]
    assert rows(store, "SELECT COUNT(*) FROM milestones") == [(2,)]
    pull(store, last(one("a", done=True, done_at=NOW + timedelta(hours=30)), cursor="told"), day=2)
    assert rows(store, "SELECT value FROM cursors") == [("told",)]
    assert rows(store, "SELECT COUNT(*) FROM quarantine WHERE cleared_at IS NULL") == [(0,)]


def test_a_planned_midnight_is_a_day_of_the_companys_zone(store: Store) -> None:
    midnight = datetime(2026, 12, 30, 16, tzinfo=UTC)  # the 31st in Shanghai
    pages = [last(one("a", planned_at=midnight), one("b", planned_on=date(2026, 12, 31)))]
    request = PullRequest((), None, False, NOW)
    asyncio.run(pull_connection(Scripted(pages), store, request, "run", 1, zone=ZoneInfo("Asia/Shanghai")))  # type: ignore[arg-type]
    assert rows(store, "SELECT DISTINCT planned_day FROM milestones") == [
        ((date(2026, 12, 31) - date(1970, 1, 1)).days,)
    ]


def test_done_on_a_day_in_the_future_goes_to_quarantine(store: Store) -> None:
    """A day without a zone: at 04:00 UTC the 21st has begun nowhere, at 10:00 UTC it has in the far east."""
    seen = last(one("a", done=True, done_on=date(2026, 11, 20)), one("b", done=True, done_on=date(2026, 11, 21)))
    pull(store, seen)
    waiting = "SELECT vendor_id, code FROM quarantine WHERE cleared_at IS NULL"
    assert rows(store, waiting) == [("b", "DATE_IN_FUTURE")]
    pull(store, seen, day=1)
    assert rows(store, waiting) == []


def test_a_look_that_is_refused_takes_back_an_earlier_one_of_the_same_pull(store: Store) -> None:
    future = one("a", done=True, done_at=NOW + timedelta(hours=1))
    assert pull(store, Page((one("a"),), seen=1), last(future)).appended == 0


def test_a_check_can_take_rows_out_or_stop_the_connection(store: Store) -> None:
    def some(came: Arrived) -> GateResult:
        assert (came.connection, came.last_pull) == ("rd", None)
        bad = [i for i, o in enumerate(came.batch) if o.state == "?"]
        return GateResult(tuple((i, "STATE_UNKNOWN", {"found": "?"}) for i in bad))

    def all_of_it(*_args: object) -> GateResult:
        return GateResult(stop=Finding("ROWS_DROPPED", Severity.ERROR, params={"seen": 1, "before": 9, "allowed": 50}))

    outcome = pull(store, last(one("a"), one("b", state="?")), gate=some)
    assert (outcome.state, outcome.appended, outcome.rejected) == ("done", 1, 1)
    before = counts(store)
    bad = Rejected("rd", "z", "PERCENT_RANGE", {}, "{}")
    outcome = pull(store, replace(last(one("a", state="x"), cursor="c2"), rejected=(bad,)), day=1, gate=all_of_it)
    assert outcome.state == "stopped"
    assert counts(store) == (*before[:4], before[4] + 1)
    assert rows(store, "SELECT value FROM cursors") == [("c1",)]


def test_what_a_snapshot_no_longer_has_is_deleted_and_may_come_back(store: Store) -> None:
    done = one("a", done=True, done_at=NOW - timedelta(days=3))
    pull(store, last(done, one("b")))
    gone = pull(store, last(one("b"), snapshot_of=("P",)), day=1)
    assert (gone.vanished, gone.appended) == (1, 1)
    assert pull(store, last(one("b"), snapshot_of=("P",)), day=2).appended == 0
    pull(store, last(done, one("b"), snapshot_of=("P",)), day=3)
    values = [r[0] for r in rows(store, "SELECT value FROM milestone_changes WHERE what = 0 ORDER BY id")]
    assert values == [1, 0, 1]
    assert [bool(r[0]) for r in rows(store, "SELECT deleted FROM milestones ORDER BY vendor_id")] == [False, False]


def test_a_snapshot_of_one_project_deletes_nothing_of_another(store: Store) -> None:
    pull(store, last(one("a"), one("b")._replace(project_id="Q")))
    assert pull(store, last(snapshot_of=("P",)), day=1).vanished == 1
    assert [bool(r[0]) for r in rows(store, "SELECT deleted FROM milestones ORDER BY vendor_id")] == [True, False]


def test_a_rejected_row_is_still_there(store: Store) -> None:
    """A row we cannot read is no deletion."""
    pull(store, last(one("a")))
    bad = Rejected("rd", "a", "PROOF_FIELD_TYPE", {}, "{}")
    assert pull(store, replace(last(snapshot_of=("P",)), rejected=(bad,)), day=1).vanished == 0


HOSTILE = "M\u0000 🏁 e\u0301\t\n\\N '\""


def test_hostile_text_does_not_stop_a_connection(store: Store) -> None:
    """JSON may carry U+0000, which PostgreSQL refuses in a text: both databases keep a mark in its place."""
    strange = one("a", name=HOSTILE, state="\u0000", done_by="Li\u0000", extra={"x\u0000": "\u0000"})
    bad = Rejected("rd", "q\u0000", "PROOF_FIELD_TYPE", {"found": "\u0000"}, '{"a": "\u0000"}')
    outcome = pull(store, replace(last(strange, one("b")), rejected=(bad,)))
    assert (outcome.state, outcome.appended) == ("done", 2)
    assert rows(store, "SELECT name, state, done_by FROM observations ORDER BY id LIMIT 1") == [
        (HOSTILE.replace("\0", "\ufffd"), "\ufffd", "Li\ufffd")
    ]
    assert pull(store, replace(last(strange, one("b")), rejected=(bad,)), day=1).appended == 0


# --- replay ------------------------------------------------------------------------------------------

STORED = (
    "done, deleted, unproven, accepted, percent_bp, done_at, done_day, done_by, updated_at, history, grade, provenance, "
    "observed_at, state, name, url"
)


def stored(row: tuple) -> tuple[int, Observation]:
    """An observation from its row: what replay needs of it."""
    date_from, person_from, percent_from = (Provenance(p) for p in row[11].split("/"))
    history = tuple(StateChange(datetime.fromtimestamp(a, UTC), d, b, s) for a, d, b, s in orjson.loads(row[9] or "[]"))
    return row[12], one(
        "x", done=bool(row[0]), deleted=bool(row[1]), unproven=bool(row[2]), accepted=bool(row[3]), percent_bp=row[4],
        done_at=_moment(row[5]), done_on=None if row[6] is None else date(1970, 1, 1) + timedelta(days=row[6]), done_by=row[7],
        updated_at=_moment(row[8]), history=history, grade=EvidenceGrade(row[10]), date_provenance=date_from,
        person_provenance=person_from, percent_provenance=percent_from, state=row[13], name=row[14], url=row[15],
    )  # fmt: skip


def _moment(at: int | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)


def replayed(store: Store, milestone: int) -> list[tuple]:
    """The changes of a milestone, computed again from its stored observations alone."""
    state, out = Current(), []
    for row in rows(store, f"SELECT {STORED} FROM observations WHERE milestone_id = {milestone} ORDER BY id"):
        observed, seen = stored(row)
        for c in changes_of(state, seen, observed):
            state = state.after(c, observed)
            out.append((c.what, c.when.at, c.when.day, c.value, c.corrects, c.by, c.grade, c.provenance))
    return out


@st.composite
def looks(draw: st.DrawFn, day: int) -> Observation | None:
    """A milestone on a day, or nothing: it is not there."""
    if draw(st.integers(0, 7)) == 0:
        return None
    done = draw(st.booleans())
    hours = sorted(draw(st.sets(st.integers(0, day * 24), max_size=3)))
    begin = NOW - timedelta(days=1)
    steps = tuple(
        StateChange(begin + timedelta(hours=h), bool((len(hours) - n) % 2) == done, "Li", "s")
        for n, h in enumerate(hours)
    )
    moment = begin + timedelta(hours=draw(st.integers(0, day * 24)))
    return one(
        "m", done=done, state="done" if done else "open", accepted=done and draw(st.booleans()),
        percent_bp=draw(st.none() | st.integers(0, 10_000)), done_by=draw(st.none() | st.just("王芳")),
        done_at=moment if done and draw(st.booleans()) else None, updated_at=moment, history=steps,
        unproven=done and draw(st.integers(0, 9)) == 0,
        date_provenance=draw(st.sampled_from([Provenance.NATIVE, Provenance.HISTORY, Provenance.FIRST_OBSERVED])),
    )  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_night_by_night_gives_what_replaying_all_gives(store: Store, data: st.DataObject) -> None:
    name = f"rd {rows(store, 'SELECT COUNT(*) FROM cursors')[0][0]}"
    story = [data.draw(looks(day)) for day in range(1, data.draw(st.integers(2, 6)))]
    for day, seen in enumerate(story, start=1):
        here = [] if seen is None else [seen._replace(connection=name)]
        assert pull(store, last(*here, snapshot_of=("P",)), day=day, name=name).state == "done"
        assert pull(store, last(*here, snapshot_of=("P",)), day=day, name=name).appended == 0
    for (milestone,) in rows(store, f"SELECT id FROM milestones WHERE connection = '{name}'"):
        kept = rows(
            store,
            'SELECT what, at, day, value, corrects, "by", grade, provenance FROM milestone_changes '
            f"WHERE milestone_id = {milestone} ORDER BY id",
        )
        assert [(*k[:4], bool(k[4]), *k[5:]) for k in kept] == replayed(store, milestone)


def test_an_observation_comes_back_from_its_row(store: Store) -> None:
    seen = one(
        "x", state="已完成", done=True, accepted=True, percent_bp=9_999, done_at=NOW - timedelta(days=2), done_by="李强",
        updated_at=NOW - timedelta(days=1), url="https://example.test/?a=1&b=里程碑", grade=EvidenceGrade.HISTORY,
        date_provenance=Provenance.HISTORY, person_provenance=Provenance.HISTORY, percent_provenance=Provenance.CHILDREN,
        history=(StateChange(NOW - timedelta(days=3), False, "王芳", "进行中"), StateChange(NOW - timedelta(days=2), True, "李强", "已完成")),
    )  # fmt: skip
    pull(store, last(seen))
    (row,) = rows(store, f"SELECT {STORED} FROM observations")
    assert stored(row) == (int(NOW.timestamp()), seen._replace(connection="rd"))


def test_a_hundred_pages_keep_only_what_changed(store: Store, tmp_path: Path) -> None:
    del tmp_path
    pages = [Page(tuple(one(f"{p}-{n}") for n in range(20)), seen=20) for p in range(100)]
    assert pull(store, *pages, last()).appended == 2_000
    assert pull(store, *pages, last(one("0-0", state="x")), day=1).appended == 1


def test_a_source_that_suddenly_knows_nothing_stops_its_connection_and_takes_nothing_back(store: Store) -> None:
    """An empty list is how a lost permission looks; nothing changed, so only what did not come can tell."""
    from flows.steps.checks import Checks

    many = [one(f"m{n}", done=True, done_at=NOW - timedelta(days=3)) for n in range(30)]
    pull(store, last(*many, snapshot_of=("P",)))
    before = counts(store)
    gate = Checks(NOW).gate
    stopped = pull(store, replace(last(snapshot_of=("P",)), cursor="c2"), day=1, gate=gate)
    assert (stopped.state, [f.code for f in stopped.findings]) == ("stopped", ["ROWS_DROPPED"])
    assert counts(store) == before
    assert rows(store, "SELECT value FROM cursors") == [("c1",)]
    fine = pull(store, last(*many[:20], snapshot_of=("P",)), day=2, gate=gate)
    assert (fine.state, fine.vanished) == ("done", 10)
    accepted = pull(store, last(snapshot_of=("P",)), day=3, gate=Checks(NOW, drop_ratio=100).gate)
    assert (accepted.state, accepted.vanished) == ("done", 20)
