"""All or nothing, one writer at a time, reads of one state; every failure in words."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from connectors.store import Store, StoreError, engine, open_store
from connectors.store.bulk import bulk_insert, fetch
from connectors.store.errors import StoreBusy, StoreFull
from models.tables import settings
from tests.integration.store.conftest import BOTH, die, in_a_child

SERVER = pytest.mark.parametrize("empty_url", BOTH[1:], indirect=True)
LITE = pytest.mark.parametrize("empty_url", BOTH[:1], indirect=True)
PUT = sa.text("INSERT INTO settings (key, value) VALUES (:k, :v)")
ADD = sa.text("UPDATE settings SET value = :v WHERE key = 'n'")


def _put(store: Store, key: str, value: str = "x") -> None:
    with store.begin() as connection:
        connection.execute(PUT, {"k": key, "v": value})


def _keys(store: Store) -> list[str]:
    with store.read() as connection:
        return [r[0] for r in fetch(connection, "SELECT key FROM settings ORDER BY key")]


def test_what_raises_is_rolled_back_and_the_error_is_the_caller_s(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.begin() as connection:
        connection.execute(PUT, {"k": "a", "v": "b"})
        1 / 0  # noqa: B018
    assert _keys(store) == []


def test_what_is_written_while_reading_is_not_kept(store: Store) -> None:
    with store.read() as connection:
        connection.execute(PUT, {"k": "a", "v": "b"})
    assert _keys(store) == []


def test_a_reader_sees_one_state_to_the_end(store: Store) -> None:
    with store.read() as connection:
        before = fetch(connection, "SELECT key FROM settings")
        _put(store, "a")
        assert fetch(connection, "SELECT key FROM settings") == before == []
    assert _keys(store) == ["a"]


def test_a_process_killed_in_mid_transaction_leaves_nothing_of_it(url: str) -> None:
    def work() -> None:
        store = open_store(url)
        _put(store, "whole")
        with store.begin() as connection:
            bulk_insert(connection, settings, ("key", "value"), [(f"half {n}", "x") for n in range(5000)])
            die()

    assert in_a_child(work) == -9
    store = open_store(url)
    assert _keys(store) == ["whole"]
    _put(store, "after")
    store.dispose()


def test_transactions_that_read_before_they_write_wait_for_each_other(url: str) -> None:
    """Without the write lock at the beginning SQLite would fail the second at once: database is locked."""
    store = open_store(url)
    _put(store, "n", "0")
    failures: list[BaseException] = []

    def count() -> None:
        try:
            for _ in range(25):
                with store.begin() as connection:
                    lock = "" if store.is_sqlite else " FOR UPDATE"
                    now = int(fetch(connection, "SELECT value FROM settings WHERE key = 'n'" + lock)[0][0])
                    connection.execute(ADD, {"v": str(now + 1)})
        except BaseException as problem:
            failures.append(problem)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with store.read() as connection:
        assert fetch(connection, "SELECT value FROM settings WHERE key = 'n'") == [("100",)]
    store.dispose()


def test_a_locked_database_says_so_and_nothing_is_lost(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_SECONDS", 1)
    one, two = open_store(url), open_store(url)
    _put(one, "n")
    with one.begin() as connection:
        connection.execute(ADD, {"v": "by one"})
        with pytest.raises(StoreBusy) as problem, two.begin() as other:
            other.execute(ADD, {"v": "by two"})
    assert problem.value.code == "LOCKED"
    assert "try again" in problem.value.advice
    with two.begin() as other:
        other.execute(ADD, {"v": "by two"})
    with one.read() as connection:
        assert fetch(connection, "SELECT value FROM settings") == [("by two",)]
    one.dispose()
    two.dispose()


def test_readers_are_not_kept_out_by_a_writer(url: str) -> None:
    one, two = open_store(url), open_store(url)
    with one.begin() as connection:
        connection.execute(PUT, {"k": "a", "v": "b"})
        assert _keys(two) == []
    one.dispose()
    two.dispose()


@LITE
def test_a_full_disk_keeps_what_was_there(url: str) -> None:
    store = open_store(url)
    _put(store, "before")
    with pytest.raises(StoreFull) as problem, store.begin() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {int(pages or 0) + 4}")
        bulk_insert(connection, settings, ("key", "value"), [(f"{n}", "x" * 4000) for n in range(200)])
    assert "free some space" in problem.value.advice
    assert _keys(store) == ["before"]
    store.dispose()


@SERVER
def test_a_full_disk_of_the_server_keeps_what_was_there(url: str) -> None:
    store = open_store(url)
    _put(store, "before")
    with store.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'kein Platz' USING ERRCODE = '53100'; END $$"
        )
        connection.exec_driver_sql("CREATE TRIGGER full_disk AFTER INSERT ON settings EXECUTE FUNCTION full_disk()")
    with pytest.raises(StoreFull), store.begin() as connection:
        bulk_insert(connection, settings, ("key", "value"), [("a", "b")], ignore=True)
    assert _keys(store) == ["before"]
    store.dispose()


@LITE
def test_a_database_that_cannot_be_written_says_so(url: str) -> None:
    store = open_store(url)
    with pytest.raises(StoreError) as problem, store.read() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
        connection.execute(PUT, {"k": "a", "v": "b"})
    assert problem.value.code == "READ_ONLY"
    store.dispose()


@SERVER
def test_a_connection_lost_in_mid_transaction_is_rolled_back_and_the_next_one_works(url: str) -> None:
    store = open_store(url)
    with pytest.raises(StoreError) as problem, store.begin() as connection:
        connection.execute(PUT, {"k": "a", "v": "b"})
        pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
        connection.execute(PUT, {"k": "c", "v": "d"})
    assert problem.value.code == "CONNECTION_LOST"
    assert _keys(store) == []
    store.dispose()


@SERVER
def test_a_server_that_is_not_there_a_wrong_password_and_an_absent_database(empty_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        nobody = f"postgresql://postgres:geheim@127.0.0.1:{taken.getsockname()[1]}/x"
        cases = {
            nobody: "UNREACHABLE",
            empty_url.replace(":pg@", ":geheim@"): "PASSWORD",
            empty_url.rpartition("/")[0] + "/absent": "NO_SUCH_DATABASE",
        }
        for url, code in cases.items():
            with pytest.raises(StoreError) as problem:
                open_store(url)
            assert problem.value.code == code
            for language in ("en", "zh-CN"):
                assert "geheim" not in problem.value.text(language) + problem.value.help(language)


@SERVER
def test_a_user_without_rights_says_so(url: str) -> None:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute("DROP ROLE IF EXISTS guest")
        admin.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
        admin.execute("GRANT SELECT ON alembic_version TO guest")
    store = open_store(url.replace("postgres:pg@", "guest:guest@"))
    with pytest.raises(StoreError) as problem:
        _put(store, "a")
    assert problem.value.code == "NO_RIGHT"
    store.dispose()


def test_an_error_without_words_shows_no_data(store: Store) -> None:
    _put(store, "a", "hunter2")
    with pytest.raises(sa.exc.IntegrityError) as problem:
        _put(store, "a", "hunter2")
    assert "hunter2" not in str(problem.value)


def test_a_store_moves_with_its_file(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'a.db'}", create=True)
    _put(store, "a")
    store.dispose()
    (tmp_path / "a.db").rename(tmp_path / "b.db")
    moved = open_store(f"sqlite:///{tmp_path / 'b.db'}")
    assert _keys(moved) == ["a"]
    moved.dispose()
