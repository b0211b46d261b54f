"""The outbox: once, at least; never twice where the channel answered; nothing lost."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from connectors.notify.errors import NotSent, Undeliverable
from connectors.store import Store
from connectors.store.bulk import fetch
from flows.steps.notify import (
    ATTEMPTS_MAX,
    CLAIM_SECONDS,
    DOWN_AFTER,
    FIRST_WAIT,
    QUICK_WAITS,
    Drained,
    dead_letters,
    drain,
    revive,
)
from models.domain.notices import Notice, NoticeKind, Role
from tests.fakes.channel import FakeChannel
from tests.integration.notify.conftest import Clock, put

DOWN = "no connection to the channel, or it broke off"


def notice(n: int = 1, **changes) -> Notice:
    return replace(Notice(f"key-{n:02}", NoticeKind.DIGEST, Role.FINANCE, "finance", "en", {"n": n}), **changes)


class Outbox:
    """A store, a channel and a clock, drained without waiting."""

    def __init__(self, store: Store, clock: Clock, folder: Path) -> None:
        self.store, self.clock, self.folder = store, clock, folder
        self.channel = FakeChannel()
        self.waited: list[float] = []

    def drain(self, **channels: FakeChannel) -> Drained:
        return drain(
            self.store, channels or {"finance": self.channel}, self.folder, self.clock, pause=self.waited.append
        )

    def row(self, key: str = "key-01") -> dict[str, object]:
        with self.store.read() as connection:
            found = connection.execute(sa.text("SELECT * FROM outbox WHERE key = :k"), {"k": key})
            return dict(found.mappings().one())


@pytest.fixture
def outbox(store: Store, clock: Clock, tmp_path: Path) -> Outbox:
    return Outbox(store, clock, tmp_path)


def always_down() -> FakeChannel:
    return FakeChannel([NotSent(DOWN)] * 1000)


def test_what_is_owed_is_sent_once(outbox: Outbox) -> None:
    put(outbox.store, [notice(1), notice(2)])
    assert outbox.drain() == Drained(sent=2)
    assert outbox.drain() == Drained()
    assert outbox.channel.keys == ["key-01", "key-02"]
    assert outbox.channel.sent[0] == (notice(1), None)


def test_a_key_owed_again_is_not_sent_again(outbox: Outbox) -> None:
    assert put(outbox.store, [notice()]) == 1
    outbox.drain()
    assert put(outbox.store, [notice(payload={"n": "other"})]) == 0
    assert outbox.drain() == Drained()


def test_drafts_stay(outbox: Outbox) -> None:
    put(outbox.store, [notice(1, draft=True, role=Role.CUSTOMER_PAYER, recipient="p@customer.example")])
    assert outbox.drain(**{"role:customer_payer": outbox.channel, "finance": outbox.channel}) == Drained(drafts=1)
    assert outbox.channel.calls == 0


def test_a_contact_is_written_to_over_the_channel_of_his_role(outbox: Outbox) -> None:
    put(outbox.store, [notice(1, role=Role.PROJECT_MANAGER, recipient="li@example.com")])
    assert outbox.drain(**{"role:project_manager": outbox.channel}).sent == 1
    assert outbox.channel.sent[0][1] == "li@example.com"


def test_an_entry_that_is_gone_is_replaced_by_its_role(outbox: Outbox) -> None:
    put(outbox.store, [notice(1, recipient="finance-1")])
    assert outbox.drain(**{"role:finance": outbox.channel}).sent == 1
    assert outbox.channel.sent[0][1] is None


def test_a_hiccup_is_over_within_the_night(outbox: Outbox) -> None:
    put(outbox.store, [notice()])
    outbox.channel.failures = [NotSent(DOWN)] * len(QUICK_WAITS)
    assert outbox.drain() == Drained(sent=1)
    assert outbox.waited == list(QUICK_WAITS)
    assert outbox.row()["attempts"] == 1


def test_a_channel_that_is_down_is_tried_later_and_later(outbox: Outbox) -> None:
    put(outbox.store, [notice()])
    outbox.channel = always_down()
    waits = []
    for attempt in range(1, ATTEMPTS_MAX):
        assert outbox.drain() == Drained(failed=1)
        row = outbox.row()
        assert (row["attempts"], row["last_error"], row["claimed_by"]) == (attempt, DOWN, None)
        waits.append(row["next_attempt_at"] - outbox.clock.now)
        before = outbox.channel.calls
        assert outbox.drain() == Drained()  # not due yet
        assert outbox.channel.calls == before
        outbox.clock.now = row["next_attempt_at"]
    assert waits == [FIRST_WAIT * 2**n for n in range(ATTEMPTS_MAX - 1)]
    assert outbox.drain() == Drained(dead=1)
    outbox.clock.now += 10**9
    assert outbox.drain() == Drained(dead=1)  # dead, and still visible


def test_dead_letters_are_listed_and_can_be_revived(outbox: Outbox) -> None:
    put(outbox.store, [notice(1), notice(2)])
    outbox.channel.failures = [Undeliverable("the contact's address is not one e-mail address")]
    assert outbox.drain() == Drained(sent=1, dead=1)
    (letter,) = dead_letters(outbox.store)
    assert (letter.key, letter.recipient, letter.attempts) == ("key-01", "finance", 1)
    assert "not one e-mail address" in letter.reason
    assert revive(outbox.store, outbox.clock(), "nobody") == 0
    assert revive(outbox.store, outbox.clock(), "key-01") == 1
    assert outbox.drain() == Drained(sent=1)
    assert outbox.channel.keys == ["key-02", "key-01"]
    assert dead_letters(outbox.store) == []


def test_no_entry_for_a_notice_is_said(outbox: Outbox) -> None:
    put(outbox.store, [notice()])
    assert outbox.drain(operator=FakeChannel()) == Drained(failed=1)
    assert "no [[notify]] entry is called 'finance'" in str(outbox.row()["last_error"])


def test_one_channel_down_leaves_the_others_alone(outbox: Outbox) -> None:
    put(outbox.store, [notice(n) for n in range(1, 11)] + [notice(11, recipient="wecom")])
    down, works = always_down(), FakeChannel()
    assert outbox.drain(finance=down, wecom=works) == Drained(sent=1, failed=DOWN_AFTER)
    assert works.keys == ["key-11"]
    assert down.calls == DOWN_AFTER + len(QUICK_WAITS)
    assert outbox.row("key-10")["attempts"] == 0  # still owed, no attempt used up
    assert outbox.drain() == Drained(sent=10 - DOWN_AFTER)


def test_two_drains_side_by_side_send_once(outbox: Outbox) -> None:
    """The second runs while the first is in the middle of sending."""
    put(outbox.store, [notice()])
    other = FakeChannel()
    second: list[Drained] = []
    outbox.channel.during = lambda: second.append(outbox.drain(finance=other))
    assert outbox.drain() == Drained(sent=1)
    assert second == [Drained()]
    assert other.calls == 0


def test_many_drains_in_threads_send_each_once(outbox: Outbox) -> None:
    put(outbox.store, [notice(n) for n in range(1, 41)])
    channels = [FakeChannel() for _ in range(4)]
    threads = [threading.Thread(target=outbox.drain, kwargs={"finance": c}) for c in channels]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = [k for c in channels for k in c.keys]
    assert sorted(keys) == [f"key-{n:02}" for n in range(1, 41)]


def test_a_drain_that_read_before_the_other_failed_does_not_try_at_once(outbox: Outbox) -> None:
    """Its list is old: the notice waits for its back-off."""
    put(outbox.store, [notice(1), notice(2)])
    late = FakeChannel()
    # While the late drain sends the first notice, another fails the second.
    late.during = lambda: outbox.drain(finance=always_down()) if late.calls == 1 else None
    assert outbox.drain(finance=late).sent == 1
    assert late.keys == ["key-01"]
    assert outbox.row("key-02")["attempts"] == 1


class Killed(BaseException):
    """The process ends here."""


def _die() -> None:
    raise Killed


def test_a_run_killed_while_sending_sends_it_after_the_claim_ran_out(outbox: Outbox) -> None:
    put(outbox.store, [notice()])
    outbox.channel.during = _die
    with pytest.raises(Killed):
        outbox.drain()
    again = FakeChannel()
    assert outbox.drain(finance=again) == Drained()  # perhaps somebody is still sending
    outbox.clock.now += CLAIM_SECONDS + 1
    assert outbox.drain(finance=again) == Drained(sent=1)


def test_an_answer_counts_even_if_the_claim_ran_out_meanwhile(outbox: Outbox) -> None:
    put(outbox.store, [notice()])

    def slow() -> None:
        outbox.clock.now += CLAIM_SECONDS + 60

    outbox.channel.during = slow
    assert outbox.drain() == Drained(sent=1)
    assert outbox.drain() == Drained()
    with outbox.store.read() as connection:
        assert fetch(connection, "SELECT COUNT(*) FROM outbox WHERE delivered_at IS NOT NULL") == [(1,)]
