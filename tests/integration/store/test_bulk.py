"""Bulk writes: the same rows, the same counts and the same refusals on both databases."""

from __future__ import annotations

import numpy as np
import pytest
import sqlalchemy as sa

from connectors.store import Store
from connectors.store.bulk import bulk_insert, bulk_update, fetch, wanted_ids
from models.tables import contract_versions, contracts, milestones, runs, settings

HOSTILE = [
    "tab\there", "line\nbreak\r\n", "back\\slash \\N \\.", "\\.", "", " ", "NULL", "\\N", "quote ' \" ` $$", "comma,;|",
    "里程碑“初验” 🏁 ñ e\u0301", "=1+1", "%s %(x)s :x ?", "x" * 100_000,
]  # fmt: skip
RUN = ("run_id", "as_of", "started_at", "ended_at", "state", "code_version", "counts")


def _run(key: str, as_of: object = 1, started: object = 2, ended: object = None) -> tuple[object, ...]:
    return (key, as_of, started, ended, "done", "1", "{}")


def _insert(store: Store, table: sa.Table, columns: tuple[str, ...], rows: object, *, ignore: bool = False) -> int:
    with store.begin() as connection:
        return bulk_insert(connection, table, columns, rows, ignore=ignore)


def _all(store: Store, statement: str) -> list[tuple]:
    with store.read() as connection:
        return fetch(connection, statement)


@pytest.mark.parametrize("ignore", [False, True])
def test_any_text_comes_back_as_it_was(store: Store, ignore: bool) -> None:
    rows = [(f"{n}", text) for n, text in enumerate(HOSTILE)]
    assert _insert(store, settings, ("key", "value"), rows, ignore=ignore) == len(rows)
    assert sorted(_all(store, "SELECT key, value FROM settings")) == sorted(rows)


def test_numbers_truth_nothing_and_bytes_come_back_as_they_were(store: Store) -> None:
    rows = [_run("a", -1, 2**63 - 1), _run("b", 2**31 - 1, -(2**63), 0)]
    _insert(store, runs, RUN, rows)
    assert _all(store, "SELECT run_id, as_of, started_at, ended_at FROM runs ORDER BY run_id") == [r[:4] for r in rows]
    columns = ("id", "number", "title", "customer", "currency", "timezone", "file", "active")
    _insert(store, contracts, columns, [(n, f"C-{n}", "t", "c", "CNY", "UTC", "f", bool(n % 2)) for n in (1, 2)])
    found = _all(store, "SELECT id, active FROM contracts ORDER BY id")
    assert [(n, bool(active)) for n, active in found] == [(1, True), (2, False)]
    blob = bytes(range(256))
    names = ("contract_id", "content_hash", "long_form", "compiled", "rule_version", "recorded_at")
    _insert(store, contract_versions, names, [(1, "h", "{}", blob, 1, 1)], ignore=True)
    assert bytes(_all(store, "SELECT compiled FROM contract_versions")[0][0]) == blob


def test_numpy_numbers_are_numbers_and_not_their_bytes(store: Store) -> None:
    row = _run("a", np.int32(20_000), np.int64(2**40), np.int64(7))
    _insert(store, runs, RUN, [row])
    assert _all(store, "SELECT as_of + 1, started_at + 1, ended_at FROM runs") == [(20_001, 2**40 + 1, 7)]
    with store.read() as connection:
        table = wanted_ids(connection, np.array([1, 2, 3]))
        assert fetch(connection, f"SELECT SUM(id) FROM {table}") == [(6,)]


def test_taken_keys_are_left_out_and_counted(store: Store) -> None:
    _insert(store, settings, ("key", "value"), [("a", "first")])
    rows = [("a", "second"), ("b", "x"), ("b", "twice in one batch"), ("c", "x")]
    assert _insert(store, settings, ("key", "value"), iter(rows), ignore=True) == 2
    assert _all(store, "SELECT key, value FROM settings ORDER BY key") == [("a", "first"), ("b", "x"), ("c", "x")]
    assert _insert(store, settings, ("key", "value"), [], ignore=True) == 0


def test_a_taken_key_without_ignore_writes_nothing(store: Store) -> None:
    with pytest.raises(Exception, match=r"(?i)unique"):
        _insert(store, settings, ("key", "value"), [("a", "x"), ("b", "x"), ("a", "x")])
    assert _all(store, "SELECT * FROM settings") == []


def test_ignoring_taken_keys_never_swallows_a_missing_value(store: Store) -> None:
    """SQLite's INSERT OR IGNORE would drop such a row and say nothing."""
    with pytest.raises(Exception, match=r"(?i)null"):
        _insert(store, settings, ("key", "value"), [("a", "x"), ("b", None)], ignore=True)
    assert _all(store, "SELECT * FROM settings") == []


def test_a_number_too_large_is_refused_and_nothing_is_written(store: Store) -> None:
    with pytest.raises((OverflowError, Exception), match=r"(?i)large|out of range"):
        _insert(store, runs, RUN, [_run("a"), _run("b", 1, 2**63)])
    assert _all(store, "SELECT * FROM runs") == []


def test_an_update_touches_the_named_rows_only(store: Store) -> None:
    columns = (
        "id", "connection", "vendor_id", "project_id", "project_key", "project_name", "kind", "name", "name_key",
        "deleted", "content_hash", "changed_at",
    )  # fmt: skip
    rows = [(n, "rd", f"v{n}", "p", "P", "P", "k", f"M{n}", f"M{n}", False, "h", 1) for n in range(1, 6)]
    _insert(store, milestones, columns, rows)
    with store.begin() as connection:
        bulk_update(
            connection,
            milestones,
            "id",
            ("name", "deleted", "planned_day"),
            [(2, "new", True, 5), (99, "none", True, 5)],
        )
        bulk_update(connection, milestones, "id", ("name",), [(4, "four")])
        bulk_update(connection, milestones, "id", ("name",), [])
    found = _all(store, "SELECT id, name, deleted, planned_day FROM milestones ORDER BY id")
    assert [(n, name, bool(gone), day) for n, name, gone, day in found] == [
        (1, "M1", False, None), (2, "new", True, 5), (3, "M3", False, None), (4, "four", False, None), (5, "M5", False, None),
    ]  # fmt: skip


def test_wanted_ids_replace_the_ones_before(store: Store) -> None:
    with store.begin() as connection:
        for ids in ([1, 2, 3], [], [9]):
            table = wanted_ids(connection, ids)
            assert fetch(connection, f"SELECT id FROM {table} ORDER BY id") == [(i,) for i in ids]
    with store.read() as connection:
        assert fetch(connection, f"SELECT COUNT(*) FROM {wanted_ids(connection, range(1000))}") == [(1000,)]


def test_bulk_writes_belong_to_the_unit_of_work(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.begin() as connection:
        bulk_insert(connection, settings, ("key", "value"), [("a", "x")], ignore=True)
        bulk_insert(connection, settings, ("key", "value"), [("b", "x")], ignore=True)
        1 / 0  # noqa: B018
    assert _all(store, "SELECT * FROM settings") == []
