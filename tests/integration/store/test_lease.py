"""The lease: one holder at a time over processes, a dead holder's runs out, a lost one commits nothing."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
import sqlalchemy as sa

from connectors.store import Store, StoreError, open_store
from connectors.store.bulk import fetch
from connectors.store.errors import StoreBusy
from models.tables import leases
from tests.integration.store.conftest import die, in_a_child


def _noon() -> int:
    return 1_000_000


def _holders(store: Store) -> list[tuple]:
    with store.read() as connection:
        return fetch(connection, "SELECT holder, expires_at FROM leases")


def test_a_second_run_is_told_who_holds_it_and_for_how_long(store: Store) -> None:
    with store.lease("night", "run one", 600, _noon):
        with pytest.raises(StoreBusy) as problem, store.lease("night", "run two", 600, lambda: _noon() + 100):
            pass
        assert "run one" in str(problem.value)
        assert "500 s" in str(problem.value)
        assert "run one" in problem.value.text("zh-CN")
        with store.lease("another name", "run two", 600, _noon):
            pass
    with store.lease("night", "run two", 600, _noon):
        assert _holders(store) == [("run two", 1_000_600)]
    assert _holders(store) == []


def test_a_run_that_fails_lets_go(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.lease("night", "one", 600, _noon):
        1 / 0  # noqa: B018
    assert _holders(store) == []


def test_what_went_wrong_in_the_run_is_not_hidden_by_letting_go(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_args: object) -> None:
        raise StoreError("the server is gone")

    with pytest.raises(ZeroDivisionError), store.lease("night", "one", 600, _noon):
        monkeypatch.setattr(Store, "_release", gone)
        1 / 0  # noqa: B018


def test_a_killed_run_keeps_others_out_until_its_time_is_up(url: str) -> None:
    def work() -> None:
        with open_store(url).lease("night", "dead", 600, _noon):
            die()

    assert in_a_child(work) == -9
    store = open_store(url)
    with pytest.raises(StoreBusy, match="dead"), store.lease("night", "next", 600, lambda: _noon() + 599):
        pass
    with store.lease("night", "next", 600, lambda: _noon() + 601):
        assert _holders(store)[0][0] == "next"
    store.dispose()


def test_prolonging_belongs_to_the_transaction(store: Store) -> None:
    clock = iter([1000, 1400, 1500])
    with store.lease("night", "one", 600, lambda: next(clock)) as prolong:
        with store.begin() as connection:
            prolong(connection)
        assert _holders(store) == [("one", 2000)]
        with pytest.raises(ZeroDivisionError), store.begin() as connection:
            prolong(connection)
            1 / 0  # noqa: B018
        assert _holders(store) == [("one", 2000)]


def test_who_was_taken_over_commits_nothing_and_does_not_free_the_other(store: Store) -> None:
    def late() -> int:
        return _noon() + 700

    with store.lease("night", "slow", 600, _noon) as prolong, store.lease("night", "quick", 600, late):
        with pytest.raises(StoreBusy, match="lost"), store.begin() as connection:
            connection.execute(sa.text("INSERT INTO settings (key, value) VALUES ('a', 'b')"))
            prolong(connection)
        with store.read() as connection:
            assert fetch(connection, "SELECT key FROM settings") == []
        store._release("night", "a token of somebody else")
        assert _holders(store)[0][0] == "quick"


def _contend(url: str, log: Path, rounds: int) -> None:
    store = open_store(url)
    held = 0
    while held < rounds:
        try:
            with store.lease("night", "x", 600, _noon), log.open("a") as out:
                out.write("in\n")
                out.flush()
                out.write("out\n")
            held += 1
        except StoreBusy as problem:
            assert problem.code == "HELD"  # noqa: PT017
    store.dispose()


def test_of_three_processes_only_one_is_inside_at_any_time(url: str, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    log = tmp_path / "log"
    children = [context.Process(target=_contend, args=(url, log, 15)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 3
    assert log.read_text().split() == ["in", "out"] * 45


def test_the_names_of_a_lease_are_free_text(store: Store) -> None:
    with store.lease("night", "run 'one' — 一", 600, _noon), store.begin() as connection:
        assert connection.execute(sa.select(leases.c.holder)).scalar() == "run 'one' — 一"
