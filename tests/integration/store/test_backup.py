"""Backup and restore: never less than there was, never over something unasked, nothing unsound."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from connectors.store import Store, StoreError, open_store
from connectors.store import backup as module
from connectors.store.backup import backup, restore
from connectors.store.bulk import bulk_insert, fetch
from connectors.store.engine import known_versions
from models.tables import settings
from tests.integration.store.conftest import BOTH

LITE = pytest.mark.parametrize("empty_url", BOTH[:1], indirect=True)
SERVER = pytest.mark.parametrize("empty_url", BOTH[1:], indirect=True)


def _put(store: Store, *keys: str) -> None:
    with store.begin() as connection:
        bulk_insert(connection, settings, ("key", "value"), [(k, "x") for k in keys])


def _keys(url: str) -> list[str]:
    store = open_store(url)
    with store.read() as connection:
        found = [r[0] for r in fetch(connection, "SELECT key FROM settings ORDER BY key")]
    store.dispose()
    return found


def _code(url: str, source: Path, *, overwrite: bool = True) -> str:
    with pytest.raises(StoreError) as problem:
        restore(url, source, overwrite=overwrite)
    assert problem.value.text("zh-CN") != problem.value.text("en")
    return problem.value.code


def test_what_was_backed_up_comes_back_and_what_came_later_is_gone(url: str, store: Store, tmp_path: Path) -> None:
    _put(store, "before", "里程碑")
    backup(store, tmp_path / "new" / "b.bak")
    _put(store, "after")
    assert _code(url, tmp_path / "new" / "b.bak", overwrite=False) == "DATABASE_EXISTS"
    assert _keys(url) == ["after", "before", "里程碑"]
    store.dispose()
    restore(url, tmp_path / "new" / "b.bak", overwrite=True)
    assert _keys(url) == ["before", "里程碑"]
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["b.bak"]


def test_the_restored_store_goes_on_counting(url: str, store: Store, tmp_path: Path) -> None:
    """Keys that the database gives itself do not begin again at one."""
    put = sa.text("INSERT INTO findings (run_id, code, severity, place, params) VALUES ('r', 'c', 's', 'p', '{}')")
    with store.begin() as connection:
        connection.execute(put)
    backup(store, tmp_path / "b.bak")
    store.dispose()
    restore(url, tmp_path / "b.bak", overwrite=True)
    again = open_store(url)
    with again.begin() as connection:
        connection.execute(put)
        assert [r[0] for r in fetch(connection, "SELECT id FROM findings ORDER BY id")] == [1, 2]
    again.dispose()


def test_an_empty_database_needs_no_permission(empty_url: str, tmp_path: Path) -> None:
    other = open_store(f"sqlite:///{tmp_path / 'other.db'}", create=True)
    if empty_url.startswith("sqlite"):
        _put(other, "a")
        backup(other, tmp_path / "b.bak")
        restore(empty_url, tmp_path / "b.bak", overwrite=False)
        assert _keys(empty_url) == ["a"]
    else:
        backup(other, tmp_path / "b.bak")
        assert _code(empty_url, tmp_path / "b.bak") == "BACKUP_UNSOUND"
    other.dispose()


def test_a_backup_never_overwrites(store: Store, tmp_path: Path) -> None:
    (tmp_path / "b.bak").write_text("precious")
    with pytest.raises(StoreError) as problem:
        backup(store, tmp_path / "b.bak")
    assert problem.value.code == "BACKUP_EXISTS"
    assert (tmp_path / "b.bak").read_text() == "precious"


def test_a_backup_that_fails_leaves_no_file(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(_store: object, part: Path) -> None:
        part.write_text("half")
        raise OSError(28, "No space left on device")

    for name in ("_sqlite_copy", "_pg_dump"):
        monkeypatch.setattr(module, name, half)
    with pytest.raises(StoreError, match="No space left"):
        backup(store, tmp_path / "n" / "b.bak")
    assert list((tmp_path / "n").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_said(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as problem:
        backup(store, tmp_path / "file" / "b.bak")
    assert problem.value.code == "FOLDER"


def test_what_is_no_backup_changes_nothing(url: str, store: Store, tmp_path: Path) -> None:
    _put(store, "kept")
    (tmp_path / "text").write_text("no backup" * 1000)
    (tmp_path / "empty").touch()
    assert _code(url, tmp_path / "absent") == "NO_BACKUP"
    assert _code(url, tmp_path / "text") == "BACKUP_UNSOUND"
    assert _code(url, tmp_path / "empty") in {"BACKUP_UNSOUND", "BACKUP_FOREIGN"}
    assert _keys(url) == ["kept"]


def test_a_torn_backup_changes_nothing(url: str, store: Store, tmp_path: Path) -> None:
    _put(store, *(f"key {n}" for n in range(3000)))
    whole = tmp_path / "whole"
    backup(store, whole)
    torn = tmp_path / "torn"
    torn.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    assert _code(url, torn) in {"BACKUP_UNSOUND", "TOOL_FAILED"}
    assert len(_keys(url)) == 3000


def test_a_backup_of_the_future_changes_nothing(url: str, store: Store, tmp_path: Path) -> None:
    _put(store, "kept")
    with store.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    backup(store, tmp_path / "b.bak")
    with store.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :now"), {"now": known_versions()[-1]})
    assert _code(url, tmp_path / "b.bak") == "BACKUP_NEWER"
    assert _keys(url) == ["kept"]


@LITE
def test_another_program_s_database_is_no_backup(url: str, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE t (a)")
    other.close()
    assert _code(url, tmp_path / "other.db") == "BACKUP_FOREIGN"


@LITE
def test_a_broken_database_is_set_aside_and_replaced(url: str, store: Store, tmp_path: Path) -> None:
    _put(store, "a")
    backup(store, tmp_path / "b.bak")
    store.dispose()
    path = Path(url.removeprefix("sqlite:///"))
    path.write_bytes(b"rubbish" * 10_000)
    restore(url, tmp_path / "b.bak", overwrite=True)
    assert _keys(url) == ["a"]
    assert (path.parent / "huikuan.db.broken-1").read_bytes().startswith(b"rubbish")


@LITE
def test_restoring_while_somebody_writes_is_refused(
    url: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.2)
    _put(store, "a")
    backup(store, tmp_path / "b.bak")
    with store.begin() as connection:
        bulk_insert(connection, settings, ("key", "value"), [("b", "x")])
        assert _code(url, tmp_path / "b.bak") == "LOCKED"
    assert _keys(url) == ["a", "b"]


def test_a_backup_taken_while_others_write_is_of_one_state(url: str, store: Store, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        own = open_store(url)
        n = 0
        while not stop.is_set():
            _put(own, f"{n:06} one", f"{n:06} two")
            n += 1
        own.dispose()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        backup(store, tmp_path / "b.bak")
    finally:
        stop.set()
        writer.join()
    store.dispose()
    restore(url, tmp_path / "b.bak", overwrite=True)
    assert len(_keys(url)) % 2 == 0


@LITE
def test_a_copied_file_of_a_closed_store_is_a_backup_too(url: str, store: Store, tmp_path: Path) -> None:
    _put(store, "a")
    store.dispose()
    shutil.copyfile(url.removeprefix("sqlite:///"), tmp_path / "copy.db")
    restore(f"sqlite:///{tmp_path / 'new.db'}", tmp_path / "copy.db", overwrite=False)
    assert _keys(f"sqlite:///{tmp_path / 'new.db'}") == ["a"]


def test_memory_has_no_backup(tmp_path: Path) -> None:
    store = open_store("sqlite://", create=True)
    with pytest.raises(StoreError) as problem:
        backup(store, tmp_path / "b.bak")
    assert problem.value.code == "IN_MEMORY"
    store.dispose()


@SERVER
def test_without_the_tools_it_says_what_to_install(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StoreError, match="pg_dump is not installed"):
        backup(store, tmp_path / "b.bak")


@SERVER
def test_the_password_is_in_no_message(store: Store, tmp_path: Path) -> None:
    broken = Store(sa.create_engine(store.engine.url.set(password="geheim", drivername="postgresql+psycopg")))
    with pytest.raises(StoreError) as problem:
        backup(broken, tmp_path / "b.bak")
    assert problem.value.code == "TOOL_FAILED"
    assert "geheim" not in problem.value.text("en")
    broken.dispose()
