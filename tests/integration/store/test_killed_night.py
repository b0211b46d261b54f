"""A night killed at any of its transactions and run again ends as a night that was not killed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import Connection

from connectors.store import Store, open_store
from connectors.store.backup import backup
from connectors.store.bulk import fetch
from tests.fakes.company import Company, company, invoice
from tests.integration.store.conftest import BOTH, die, in_a_child

FIRST, SECOND = date(2026, 11, 12), date(2026, 11, 15)

#: What must be the same: everything but when and by which run it was written, and the numbers of rows.
STATE = {
    "observations": "SELECT m.vendor_id, o.content_hash, o.state, o.done, o.deleted FROM observations o JOIN milestones m ON m.id = o.milestone_id",
    "changes": "SELECT m.vendor_id, c.what, c.at, c.day, c.value, c.corrects FROM milestone_changes c JOIN milestones m ON m.id = c.milestone_id",
    "cursors": "SELECT connection FROM cursors",
    "records": "SELECT record_id, gross, ready_day, evidence FROM ready_records",
    "withdrawals": "SELECT record_id, withdrawn_day, reason FROM withdrawals",
    "exceptions": "SELECT exception_id, code FROM exceptions",
    "decisions": "SELECT contract_id, content_hash FROM decisions",
    "standing": "SELECT contract_id, content_hash, as_of, next_look FROM standing",
    "outbox": "SELECT key, kind FROM outbox",
}


def _state(store: Store) -> dict[str, list[tuple]]:
    with store.read() as connection:
        return {name: sorted(map(repr, fetch(connection, query))) for name, query in STATE.items()}


@contextmanager
def _killed_at(number: int, moment: str) -> Iterator[None]:
    """The process dies in (or right after) the commit of the n-th transaction."""
    whole, count = Store.begin, itertools.count(1)

    @contextmanager
    def begin(self: Store) -> Iterator[Connection]:
        mine = next(count) == number
        with whole(self) as connection:
            yield connection
            if mine and moment == "before":
                die()
        if mine and moment == "after":
            die()

    Store.begin = begin  # type: ignore[method-assign]
    yield


def _copies(url: str, folder: Path) -> Callable[[], str]:
    """Makes a new copy of a store, its url."""
    number = itertools.count(1)

    def copy() -> str:
        n = next(number)
        if url.startswith("sqlite"):
            store = open_store(url)
            backup(store, folder / f"copy{n}.db")
            store.dispose()
            return f"sqlite:///{folder / f'copy{n}.db'}"
        server, _, name = url.replace("+psycopg", "").rpartition("/")
        with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name}_{n} TEMPLATE {name}")
        return f"{url}_{n}"

    return copy


def _night(firm: Company, day: date, clock: int | None = None) -> None:
    """A night without its files: this is about what the store holds."""
    more = {} if clock is None else {"clock": lambda: clock}
    firm.night(day=day, write_reports=lambda _report: (), **more)


def _between_the_nights(firm: Company) -> None:
    """One record to withdraw, one new, one invoiced and reopened: an exception."""
    firm.world.move(firm.world.find("M1"), "进行中", firm.at(date(2026, 11, 13)), "Zhao")
    firm.world.move(firm.world.find("M2 ops"), "已完成", firm.at(date(2026, 11, 13)), "Zhao")
    firm.world.find("M2").title = "M2 renamed"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("empty_url", BOTH, indirect=True)
def test_killed_anywhere_and_run_again_is_as_never_killed(url: str, tmp_path: Path) -> None:
    with company(tmp_path / "firm", url) as firm:
        firm.contract("C-1")
        firm.contract("C-2", connection="ops", project="OPS", first="M1 ops", second="M2 ops")
        firm.contract("C-3")
        for title in ("M1", "M1 ops"):
            firm.world.move(firm.world.find(title), "已完成", firm.at(date(2026, 11, 10)), "Li")
        _night(firm, FIRST)
        invoice(firm.store, "C-3", "T1", FIRST, FIRST)
        _between_the_nights(firm)
        firm.store.dispose()
        copy = _copies(url, tmp_path)

        firm.store = open_store(copy())
        _night(firm, SECOND)
        wanted = _state(firm.store)
        firm.store.dispose()
        assert len(wanted["withdrawals"]) == 1
        assert len(wanted["exceptions"]) == 1
        assert len(wanted["records"]) == 4

        killed = 0
        for number, moment in ((n, m) for n in itertools.count(1) for m in ("before", "after")):
            firm.store = open_store(copy())
            firm.store.dispose()  # no connection goes over into the child

            def night(number: int = number, moment: str = moment) -> None:
                with _killed_at(number, moment):
                    _night(firm, SECOND)

            code = in_a_child(night)
            if code == 0:
                break
            assert code == -9
            killed += 1
            _night(firm, SECOND, clock=2_000_000_000)  # long after: the dead run's hold has expired
            assert _state(firm.store) == wanted, f"killed {moment} the end of transaction {number}"
            firm.store.dispose()
        assert killed >= 14
