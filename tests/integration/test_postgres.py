"""The same nights on PostgreSQL: schema, bulk writes, lease, lists."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from connectors.store import open_store
from connectors.store.backup import backup, restore
from connectors.store.errors import StoreBusy, StoreError
from tests.fakes.company import company, invoice

pytestmark = pytest.mark.server


def test_a_contract_s_life_is_the_same_as_on_sqlite(tmp_path: Path, url: str) -> None:
    """Ready, withdrawn, ready again, invoiced, reopened: both databases tell the same story."""
    stories = []
    for name, address in (("pg", url), ("lite", "sqlite:///huikuan.db")):
        with company(tmp_path / name, address) as firm:
            firm.contract("C-1")
            milestone = firm.world.find("M1")
            for day, state in ((10, "已完成"), (12, "进行中"), (14, "已完成")):
                firm.world.move(milestone, state, firm.at(date(2026, 11, day)), "Li")
                firm.night(day=date(2026, 11, day + 1))
            invoice(firm.store, "C-1", "T1", date(2026, 11, 16), date(2026, 11, 16))
            firm.world.move(milestone, "进行中", firm.at(date(2026, 11, 17)), "Li")
            firm.night(day=date(2026, 11, 18))
            board = firm.board()
            stories.append(
                (
                    firm.records(),
                    [(e.term, e.code, e.opened_on) for e in board.exceptions],
                    [(r.record_id, r.gross, r.evidence) for r in board.ready],
                )
            )
    assert stories[0] == stories[1]
    assert stories[0][0] == [("C-1", "T1", 1, "withdrawn"), ("C-1", "T1", 2, "invoiced")]


def test_the_lease_keeps_a_second_run_out(url: str) -> None:
    store = open_store(url)
    with (
        store.lease("night", "one", 60, lambda: 1000),
        pytest.raises(StoreBusy),
        store.lease("night", "two", 60, lambda: 1001),
    ):
        pass
    store.dispose()


def test_an_absent_schema_says_what_to_do(postgres: int) -> None:
    with pytest.raises(StoreError) as problem:
        open_store(f"postgresql+psycopg://postgres:pg@127.0.0.1:{postgres}/postgres")
    assert "huikuan db upgrade" in problem.value.advice


def test_a_wrong_password_is_no_riddle_and_no_leak(postgres: int) -> None:
    with pytest.raises(StoreError) as problem:
        open_store(f"postgresql+psycopg://postgres:wrong-secret@127.0.0.1:{postgres}/postgres")
    assert "password" in str(problem.value)
    assert "wrong-secret" not in str(problem.value)


def test_backup_and_restore(tmp_path: Path, url: str) -> None:
    with company(tmp_path / "c", url) as firm:
        firm.contract("C-1")
        firm.world.move(firm.world.find("M1"), "已完成", firm.at(date(2026, 11, 10)), "Li")
        firm.night(day=date(2026, 11, 12))
        before = firm.records()
        backup(firm.store, tmp_path / "b.dump")
        with pytest.raises(StoreError, match="not empty"):
            restore(url, tmp_path / "b.dump", overwrite=False)
        firm.store.dispose()
        restore(url, tmp_path / "b.dump", overwrite=True)
        assert firm.records() == before
