"""The push of a night: once for each sink, record and kind, whatever fails, dies or is held meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Self

import pytest
import sqlalchemy as sa

from connectors.errors import BadPayload, NeedsPerson, SourceConfig, SourceRefused, SourceUnavailable
from connectors.sinks.registry import sink as info
from connectors.store.errors import StoreBusy
from flows import wiring
from flows.commands.people import go_live, intervene
from flows.steps.push import (
    ATTEMPTS_MAX,
    CLAIM_SECONDS,
    DOWN_AFTER,
    Configured,
    PushOutcome,
    owe,
    push_lines,
    revive,
    send,
    settle,
    would_owe,
)
from models.domain.pushes import Push, Pushed, PushKind, PushState
from models.ports import Sink
from tests.fakes.books import ALL, NAMES, Books
from tests.fakes.company import Company, company, invoice
from tests.unit.sinks.pushing import complete

DAY = date(2026, 11, 20)


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Ledger:
    """A sink that keeps what it got, and does what it is told to do next."""

    name: str = "ledger"
    got: list[tuple[str, str]] = field(default_factory=list)
    script: list[BaseException] = field(default_factory=list)
    after: BaseException | None = None  # raised once the work is done
    unreachable: BaseException | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def check(self) -> str:
        if self.unreachable:
            raise self.unreachable
        return "ledger"

    async def push(self, push: Push) -> Pushed:
        if self.script:
            raise self.script.pop(0)
        entry, found = (push.line.contract, push.kind.value), (push.line.contract, push.kind.value) in self.got
        if not found:
            self.got.append(entry)
        if self.after:
            ended, self.after = self.after, None
            raise ended
        return Pushed(f"L-{push.line.contract}", found=found)


@dataclass
class Office:
    """A company with sinks."""

    firm: Company
    now: int = int(datetime(2026, 11, 20, 5, tzinfo=UTC).timestamp())
    sinks: dict[str, Callable[[], Sink]] = field(default_factory=dict)

    def push(self, *ledgers: Ledger) -> PushOutcome:
        for ledger in ledgers:
            self.sinks[ledger.name] = lambda it=ledger: it
        configured = [Configured(name, "fake", build) for name, build in self.sinks.items()]
        board = self.firm.board()
        owe(self.firm.store, list(self.sinks), board, self.now)
        return asyncio.run(send(self.firm.store, configured, board, lambda: self.now))

    def states(self) -> dict[tuple[str, str, str], str]:
        with self.firm.store.read() as connection:
            return {(x.sink, x.contract, x.kind.value): x.state.value for x in push_lines(connection)}

    def state(self, kind: str = "ready") -> str:
        return self.states()["ledger", "C-1", kind]

    def live(self) -> None:
        assert go_live(self.firm.folder / "huikuan.toml", "en") == 0

    def done(self, *contracts: str) -> None:
        """Contracts whose first term becomes ready tonight."""
        for number in contracts:
            self.firm.contract(number)
        self.firm.world.move(self.firm.world.find("M1"), "已完成", self.firm.at(date(2026, 11, 18)), "Li")
        self.firm.night(day=DAY)

    def undo(self) -> None:
        self.firm.world.move(self.firm.world.find("M1"), "进行中", self.firm.at(date(2026, 11, 20)), "Zhao")
        self.firm.night(day=date(2026, 11, 21))


@pytest.fixture
def office(tmp_path: Path):
    with company(tmp_path) as firm:
        yield Office(firm)


@pytest.fixture
def ready(office: Office) -> Office:
    """Live, and C-1/T1 is on the list."""
    office.live()
    office.done("C-1")
    return office


def test_nothing_before_go_live_and_what_was_there_only_when_asked(office: Office) -> None:
    ledger = Ledger()
    office.done("C-1")
    office.push(ledger)
    assert office.states() == {}
    office.live()
    office.push(ledger)
    assert (ledger.got, office.states()) == ([], {})
    owe(office.firm.store, ["ledger"], office.firm.board(), office.now, backfill=True)
    office.push(ledger)
    assert ledger.got == [("C-1", "ready")]


def test_once_each_to_every_sink(ready: Office) -> None:
    one, two = Ledger("one"), Ledger("two")
    for _ in range(3):
        ready.push(one, two)
    assert one.got == two.got == [("C-1", "ready")]
    assert set(ready.states().values()) == {"done"}


def test_killed_after_the_answer_finds_the_document_and_makes_no_second(ready: Office) -> None:
    ledger = Ledger(after=Killed())
    with pytest.raises(Killed):
        ready.push(ledger)
    assert ready.state() == "claimed"
    ready.push(ledger)
    assert ready.state() == "claimed"  # nobody else may touch it yet
    ready.now += CLAIM_SECONDS + 1
    ready.push(ledger)
    assert (ready.state(), ledger.got) == ("done", [("C-1", "ready")])


@pytest.mark.parametrize("make", ALL, ids=NAMES)
def test_killed_between_the_real_client_and_our_commit(ready: Office, make: Callable[[], Books]) -> None:
    """Each sink over its HTTP client: the night dies with the document made; the next one records it."""
    books = make()

    def build() -> Sink:
        clock = lambda: datetime(2026, 11, 20, tzinfo=UTC)  # noqa: E731
        return info(books.kind).build(
            "ledger", complete(books.kind, books.options()), clock=clock, transport=books.transport
        )

    class Dying:
        def __init__(self) -> None:
            self.name, self.inner = "ledger", build()

        async def __aenter__(self) -> Self:
            await self.inner.__aenter__()
            return self

        async def __aexit__(self, *exc: object) -> None:
            await self.inner.__aexit__(*exc)

        async def check(self) -> str:
            return await self.inner.check()

        async def push(self, push: Push) -> Pushed:
            await self.inner.push(push)
            raise Killed

    ready.sinks["ledger"] = Dying
    with pytest.raises(Killed):
        ready.push()
    assert books.alive() == 1
    ready.now += CLAIM_SECONDS + 1
    ready.sinks["ledger"] = build
    ready.push()
    assert (ready.state(), books.alive()) == ("done", 1)
    with ready.firm.store.read() as connection:
        (line,) = push_lines(connection)
    assert line.reference


def test_held_and_unapproved_records_wait_and_go_when_they_are_free(ready: Office) -> None:
    ledger, config = Ledger(), ready.firm.folder / "huikuan.toml"
    intervene(config, "hold", "C-1/T1", "Wang", "asked by sales", "en")
    ready.push(ledger)
    assert (ledger.got, ready.states()) == ([], {})
    intervene(config, "release", "C-1/T1", "Wang", "", "en")
    ready.push(ledger)
    assert ledger.got == [("C-1", "ready")]


def test_held_after_it_was_owed_stays_owed(ready: Office) -> None:
    ledger, config = Ledger(unreachable=SourceUnavailable("not_reached", kind="x")), ready.firm.folder / "huikuan.toml"
    ready.push(ledger)
    assert ready.state() == "pending"
    ledger.unreachable = None
    intervene(config, "hold", "C-1/T1", "Wang", "asked by sales", "en")
    ready.push(ledger)
    assert (ledger.got, ready.state()) == ([], "pending")


def test_what_waits_for_an_approval_is_not_pushed(office: Office) -> None:
    office.live()
    office.firm.contract("C-1")
    path = office.firm.folder / "contracts" / "C-1.yaml"
    path.write_text(path.read_text() + "approval: required\n")
    text = path.read_text()
    office.firm.contract("C-1", text=text)
    office.firm.world.move(office.firm.world.find("M1"), "已完成", office.firm.at(date(2026, 11, 18)), "Li")
    office.firm.night(day=DAY)
    ledger = Ledger()
    office.push(ledger)
    assert ledger.got == []
    intervene(office.firm.folder / "huikuan.toml", "approve", "C-1/T1", "Chen", "", "en")
    office.push(ledger)
    assert ledger.got == [("C-1", "ready")]


def test_a_withdrawal_follows_what_was_pushed(ready: Office) -> None:
    ledger = Ledger()
    ready.push(ledger)
    ready.undo()
    ready.push(ledger)
    ready.push(ledger)
    assert ledger.got == [("C-1", "ready"), ("C-1", "withdrawn")]


def test_withdrawn_before_it_went_out_is_neither_pushed_nor_taken_back(ready: Office) -> None:
    ledger = Ledger(unreachable=SourceUnavailable("not_reached", kind="x"))
    ready.push(ledger)
    ledger.unreachable = None
    ready.undo()
    ready.push(ledger)
    assert (ledger.got, ready.states()) == ([], {("ledger", "C-1", "ready"): "dropped"})


def test_withdrawn_while_nobody_knows_whether_it_got_through_is_taken_back(ready: Office) -> None:
    ledger = Ledger(after=SourceUnavailable("no_answer", seconds="1"))
    ready.push(ledger)
    assert ready.state() == "retry"
    ready.undo()
    ready.push(ledger)
    assert ledger.got == [("C-1", "ready"), ("C-1", "withdrawn")]
    assert ready.state() == "dropped"


def test_invoiced_by_hand_meanwhile_is_not_pushed_any_more(ready: Office) -> None:
    ledger = Ledger(unreachable=SourceUnavailable("not_reached", kind="x"))
    ready.push(ledger)
    ledger.unreachable = None
    invoice(ready.firm.store, "C-1", "T1", DAY)
    ready.firm.night(day=date(2026, 11, 21))
    ready.push(ledger)
    assert (ledger.got, ready.state()) == ([], "dropped")


def test_tried_again_with_longer_waits_until_it_is_dead_and_revived_by_a_person(ready: Office) -> None:
    ledger = Ledger(script=[SourceUnavailable("system_failed", status=503) for _ in range(ATTEMPTS_MAX)])
    waits = []
    for _ in range(ATTEMPTS_MAX):
        ready.push(ledger)
        with ready.firm.store.read() as connection:
            waits.append(push_lines(connection)[0].next_at - ready.now)
        before = len(ledger.script)
        ready.now += waits[-1] - 1
        ready.push(ledger)
        assert len(ledger.script) == before  # not before its time
        ready.now += 1
    assert waits[:4] == [900, 1_800, 3_600, 7_200]
    assert ready.state() == "dead"
    outcome = ready.push(ledger)
    assert [f.code for f in outcome.findings] == ["PUSH_DEAD"]
    assert revive(ready.firm.store, ready.now) == 1
    ready.push(ledger)
    assert (ready.state(), ledger.got) == ("done", [("C-1", "ready")])


def test_a_refusal_of_the_record_is_dead_at_once_and_said_in_both_languages(ready: Office) -> None:
    outcome = ready.push(Ledger(script=[SourceRefused("vendor_refused", status=422, code="ValidationError")]))
    assert ready.state() == "dead"
    (finding,) = outcome.findings
    assert "ValidationError" in finding.text("en")
    assert "未被 ledger 接收" in finding.text("zh-CN")
    assert finding.place.contract == "C-1"


def test_what_a_person_must_decide_waits_and_is_tried_every_night(ready: Office) -> None:
    problem = NeedsPerson("customer_unknown", customer="Customer", tax_id="-", sink="ledger")
    ledger = Ledger(script=[problem, problem])
    for _ in range(2):
        outcome = ready.push(ledger)
        assert (ready.state(), [f.code for f in outcome.findings]) == ("waits", ["PUSH_WAITS"])
    assert ready.push(ledger).findings == ()
    assert ready.state() == "done"


def test_a_person_settles_what_no_sink_can_do(ready: Office) -> None:
    ledger = Ledger()
    ready.push(ledger)
    ready.undo()
    ledger.script = [NeedsPerson("document_issued", reference="INV/1")] * 2
    ready.push(ledger)
    assert ready.state("withdrawn") == "waits"
    (gone,) = ready.firm.board().withdrawn
    assert settle(ready.firm.store, gone.record_id, "Wang", ready.now) == 1
    assert ready.push(ledger).findings == ()
    assert ready.state("withdrawn") == "done"


@pytest.mark.parametrize(
    "problem",
    [
        SourceConfig("drop_folder", folder="drop"),
        SourceRefused("not_authorised"),
        SourceUnavailable("not_reached", kind="ConnectError"),
        BadPayload("html_page", status=200),
        ValueError("a bug with a secret in it"),
    ],
)
def test_a_sink_that_fails_fails_alone(ready: Office, problem: Exception) -> None:
    bad, good = Ledger("bad", unreachable=problem), Ledger("good")
    outcome = ready.push(bad, good)
    assert good.got == [("C-1", "ready")]
    assert [f.code for f in outcome.findings] == ["SINK_FAILED"]
    assert "secret in it" not in outcome.findings[0].text("en")
    assert ready.states()["bad", "C-1", "ready"] == "pending"


def test_a_sink_that_is_down_is_left_alone_for_the_rest_of_the_night(office: Office) -> None:
    office.live()
    office.done(*(f"C-{n}" for n in range(DOWN_AFTER + 2)))
    ledger = Ledger(script=[SourceUnavailable("system_failed", status=503) for _ in range(DOWN_AFTER + 2)])
    outcome = office.push(ledger)
    assert sorted(office.states().values()) == ["pending", "pending", "retry", "retry", "retry"]
    assert [f.code for f in outcome.findings] == ["SINK_FAILED"]


def test_wrong_credentials_in_mid_night_use_up_no_record(office: Office) -> None:
    office.live()
    office.done("C-1", "C-2")
    ledger = Ledger(script=[SourceRefused("no_permission", status=403)])
    outcome = office.push(ledger)
    assert [f.code for f in outcome.findings] == ["SINK_FAILED"]
    assert sorted(office.states().values()) == ["pending", "retry"]


def test_a_run_that_lost_its_lease_sends_nothing(ready: Office) -> None:
    ledger = Ledger()
    board = ready.firm.board()
    owe(ready.firm.store, ["ledger"], board, ready.now)

    def lost(_connection: sa.Connection) -> None:
        raise StoreBusy(code="HOLD_LOST", name="night")

    with pytest.raises(StoreBusy):
        asyncio.run(
            send(ready.firm.store, [Configured("ledger", "fake", lambda: ledger)], board, lambda: ready.now, lost)
        )
    assert (ledger.got, ready.state()) == ([], "pending")


def test_a_dry_run_says_how_many_and_writes_nothing(ready: Office) -> None:
    assert would_owe(ready.firm.store, ["one", "two"], ready.firm.board()) == {"one": 1, "two": 1}
    assert ready.states() == {}
    ready.push(Ledger("one"))
    assert would_owe(ready.firm.store, ["one", "two"], ready.firm.board()) == {"one": 0, "two": 1}


def test_two_tax_rates_are_two_parts_that_add_up(office: Office) -> None:
    office.live()
    office.firm.contract("C-1")
    path = office.firm.folder / "contracts" / "C-1.yaml"
    two = '[{id: L, amount: "700.01", tax_rate: 6%}, {id: M, amount: "299.99", tax_rate: 13%}]'
    path.write_text(path.read_text().replace('[{id: L, amount: "1000.00", tax_rate: 6%}]', two))
    office.firm.world.move(office.firm.world.find("M1"), "已完成", office.firm.at(date(2026, 11, 18)), "Li")
    office.firm.night(day=DAY)
    seen: list[Push] = []

    class Eye(Ledger):
        async def push(self, push: Push) -> Pushed:
            seen.append(push)
            return Pushed("1")

    office.push(Eye())
    (push,) = seen
    assert [p.rate for p in push.parts] == ["6%", "13%"]
    assert (sum(p.net for p in push.parts), sum(p.tax for p in push.parts)) == (push.line.net, push.line.tax)


def test_the_night_pushes_before_it_reports_and_goes_on_without_its_sink(tmp_path: Path) -> None:
    more = '[sinks.finance]\nkind = "csv_drop"\nfolder = "drop"\n'
    with company(tmp_path, more=more) as firm:
        office = Office(firm)
        office.live()
        firm.contract("C-1")
        firm.world.move(firm.world.find("M1"), "已完成", firm.at(date(2026, 11, 18)), "Li")
        assert firm.night(dry_run=True).pushes == {"finance": 0}
        outcome = firm.night()
        assert (outcome.state, outcome.exit_code, outcome.pushes) == ("done", 1, {})
        assert [f.code for f in outcome.report.findings] == ["SINK_FAILED"]
        (tmp_path / "drop").mkdir()
        outcome = firm.night()
        assert (outcome.exit_code, outcome.pushes) == (0, {PushState.DONE.value: 1})
        (file,) = (tmp_path / "drop").iterdir()
        assert file.read_text(encoding="utf-8-sig").splitlines()[1].startswith("ready,")
        assert firm.night().pushes == {}
        assert [s.kind for s in wiring.sinks(replace(firm.loaded))] == ["csv_drop"]
        assert PushKind.READY in {x.kind for x in _lines(firm)}


def _lines(firm: Company):
    with firm.store.read() as connection:
        return push_lines(connection)
