"""The schema: what the migrations make is what the tables say; strangers and the future are refused."""

from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from connectors.store import Store, StoreError, engine, open_store
from connectors.store.engine import open_unchecked, schema_version, upgrade
from connectors.store.errors import StoreNewer
from models.tables import metadata
from tests.integration.store.conftest import BOTH, die, in_a_child


def _mark(store: Store, version: str) -> None:
    with store.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :v"), {"v": version})


def test_migrations_give_the_tables_of_today(store: Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_a_column_that_no_migration_makes_is_noticed(store: Store) -> None:
    """The test above can fail."""
    more = sa.MetaData(naming_convention=metadata.naming_convention)
    for table in metadata.tables.values():
        table.to_metadata(more)
    more.tables["runs"].append_column(sa.Column("surprise", sa.Integer))
    with store.engine.connect() as connection:
        (difference,) = compare_metadata(MigrationContext.configure(connection), more)
    assert difference[0] == "add_column"


def test_upgrading_twice_changes_nothing(store: Store) -> None:
    upgrade(store)
    assert schema_version(store) == engine.known_versions()[-1]


def _upgrade(url: str) -> None:
    fresh = open_unchecked(url)
    upgrade(fresh)
    fresh.dispose()


def test_of_four_upgrades_at_once_one_works_and_the_others_find_it_done(empty_url: str) -> None:
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_upgrade, args=(empty_url,)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 4
    open_store(empty_url).dispose()


@pytest.mark.parametrize("after", [3, 20, 40])
def test_an_upgrade_that_is_killed_leaves_no_half_schema(empty_url: str, after: int) -> None:
    def half() -> None:
        fresh = open_unchecked(empty_url)
        count = 0

        @sa.event.listens_for(fresh.engine, "after_cursor_execute")
        def _count(_connection, _cursor, statement, *_rest) -> None:
            nonlocal count
            count += statement.lstrip().startswith("CREATE")
            if count == after:
                die()

        upgrade(fresh)

    assert in_a_child(half) == -9
    store = open_unchecked(empty_url)
    assert schema_version(store) is None
    upgrade(store)
    with store.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    store.dispose()


def test_a_schema_of_the_future_is_refused_by_everything(url: str) -> None:
    store = open_store(url)
    _mark(store, "9999")
    with pytest.raises(StoreNewer) as problem:
        open_store(url)
    assert "9999" in str(problem.value)
    assert "newer huikuan" in problem.value.advice
    assert "9999" in problem.value.text("zh-CN")
    with pytest.raises(StoreNewer):
        upgrade(store)
    store.dispose()


def test_an_older_schema_asks_for_an_upgrade(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    later = [*engine.known_versions(), "9999"]
    monkeypatch.setattr(engine, "known_versions", lambda: later)
    with pytest.raises(StoreError) as problem:
        open_store(url, create=True)
    assert problem.value.code == "OLDER"
    assert "huikuan db upgrade" in problem.value.advice


@pytest.mark.parametrize("empty_url", BOTH[1:], indirect=True)
def test_an_empty_server_database_asks_for_an_upgrade(empty_url: str) -> None:
    with pytest.raises(StoreError) as problem:
        open_store(empty_url, create=True)
    assert problem.value.code == "NO_SCHEMA"


def test_another_program_s_database_is_left_alone(empty_url: str) -> None:
    store = open_unchecked(empty_url)
    with store.begin() as connection:
        connection.execute(sa.text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        connection.execute(sa.text("INSERT INTO alembic_version VALUES ('7c1e02f7b4a1')"))
    for attempt in (lambda: upgrade(store), lambda: open_store(empty_url, create=True)):
        with pytest.raises(StoreError) as problem:
            attempt()
        assert problem.value.code == "FOREIGN"
    with store.begin() as connection:
        connection.execute(sa.text("DROP TABLE alembic_version"))
        connection.execute(sa.text("CREATE TABLE contracts (id INTEGER)"))
    with pytest.raises(StoreError) as problem:
        upgrade(store)
    assert problem.value.code == "FOREIGN"
    store.dispose()


def test_an_absent_file_is_made_only_when_wanted(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a' / 'b.db'}"
    with pytest.raises(StoreError) as problem:
        open_store(url)
    assert (problem.value.code, "b.db" in str(problem.value)) == ("NO_DATABASE", True)
    assert not (tmp_path / "a").exists()
    open_store(url, create=True).dispose()
    open_store(url).dispose()


def test_a_file_that_a_killed_process_left_empty_is_filled(tmp_path: Path) -> None:
    (tmp_path / "b.db").touch()
    open_store(f"sqlite:///{tmp_path / 'b.db'}", create=True).dispose()


def test_the_file_has_a_write_ahead_log_and_keeps_foreign_keys(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'b.db'}", create=True)
    with store.read() as connection:
        found = [connection.execute(sa.text(f"PRAGMA {p}")).scalar() for p in ("journal_mode", "foreign_keys")]
    assert found == ["wal", 1]
    with pytest.raises(sa.exc.IntegrityError), store.begin() as connection:
        connection.execute(sa.text("INSERT INTO terms (contract_id, code, name, position) VALUES (7, 'T', 'T', 0)"))
    store.dispose()


@pytest.mark.parametrize("url", ["huikuan.db", "postgresql://host:notaport/x", "", "sqlite//x"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(StoreError) as problem:
        open_store(url, create=True)
    assert problem.value.code == "BAD_URL"


def test_other_databases_are_refused_by_name() -> None:
    with pytest.raises(StoreError, match="mysql"):
        open_store("mysql://localhost/x")


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.db").write_text("this is no database, " * 500, encoding="utf-8")
    with pytest.raises(StoreError) as problem:
        open_store(f"sqlite:///{tmp_path / 'b.db'}")
    assert problem.value.code == "BROKEN_FILE"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as problem:
        open_store(f"sqlite:///{tmp_path}")
    assert problem.value.code == "CANNOT_OPEN"


def test_a_path_through_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as problem:
        open_store(f"sqlite:///{tmp_path / 'file' / 'b.db'}", create=True)
    assert problem.value.code == "FOLDER"


def test_a_torn_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    open_store(f"sqlite:///{path}", create=True).dispose()
    sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)").connection.close()
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 40960)
    with pytest.raises(StoreError) as problem:
        open_store(f"sqlite:///{path}")
    assert problem.value.code == "BROKEN_FILE"
