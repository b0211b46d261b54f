"""A small company: a sandbox world over real HTTP, contracts in a folder, a store - and nights to run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from connectors.kit.sandbox.app import build_app
from connectors.kit.sandbox.server import served
from connectors.kit.sandbox.world import World
from connectors.store import Store
from flows import wiring
from flows.night import NightOutcome, run_night
from flows.settings import Loaded, load_settings
from flows.steps.evaluation.columns import day_number
from flows.steps.report import Board, board

CONFIG = """
[store]
url = "{store}"
[contracts]
paths = ["contracts/*.yaml"]
[connections.rd]
system = "pingcode"
base_url = "{url}"
client_id = "sandbox-client"
client_secret = "sandbox-secret"
per_minute = 0
{rd}
[connections.ops]
system = "worktile"
base_url = "{url}"
client_id = "sandbox-client"
client_secret = "sandbox-secret"
done_states = ["已完成", "已验收"]
per_minute = 0
projects = ["OPS"]
[reports]
folder = "out"
language = "en"
{more}
"""

CONTRACT = """
contract: {number}
title: {number}
customer: {{name: Customer}}
supplier: {{name: Supplier}}
currency: CNY
timezone: Asia/Shanghai
calendar: CN
price_basis: tax_inclusive
lines: [{{id: L, amount: "1000.00", tax_rate: 6%}}]
events:
  first: {{milestone: {{connection: {connection}, project: {project}, name: {first}}}}}
  second: {{milestone: {{connection: {connection}, project: {project}, name: {second}}}}}
terms:
  - {{id: T1, amount: 40%, when: first, due: 10 days after invoice_received}}
  - {{id: T2, amount: remaining, when: {{all: [first, second]}}, due: 10 days after invoice_received}}
"""


@dataclass
class Company:
    """Everything a night needs, and handles to change it."""

    world: World
    folder: Path
    loaded: Loaded
    store: Store
    day: date = date(2026, 11, 20)

    def contract(
        self,
        number: str,
        *,
        connection: str = "rd",
        project: str = "RD",
        first: str = "M1",
        second: str = "M2",
        text: str | None = None,
    ) -> None:
        """Write a contract file."""
        body = text or CONTRACT.format(
            number=number, connection=connection, project=project, first=first, second=second
        )
        (self.folder / "contracts" / f"{number}.yaml").write_text(body, encoding="utf-8")

    def night(self, *, day: date | None = None, checks: bool = False, **changes) -> NightOutcome:
        """Run a night at noon of a day; checks (slow to import) are off unless wanted."""
        on = day or self.day
        moment = changes.pop("now", datetime(on.year, on.month, on.day, 4, 0, tzinfo=UTC))
        self.world.now = int(moment.timestamp())
        wired = wiring.the_night(
            self.loaded,
            self.store,
            as_of=on,
            now=moment,
            **{k: changes.pop(k) for k in ("full", "dry_run", "only") if k in changes},
        )
        if not checks:
            wired = replace(wired, gate=None, out_check=None)
        wired = replace(wired, contract_files=tuple(self.loaded.contract_files()), **changes)
        return asyncio.run(run_night(wired))

    def board(self) -> Board:
        """What the store holds."""
        with self.store.read() as connection:
            return board(connection)

    def records(self) -> list[tuple[str, str, int, str]]:
        """(contract, term, occurrence, status) of all records."""
        lines = self.board()
        return sorted((r.contract, r.term, r.occurrence, r.status.value) for r in (*lines.ready, *lines.withdrawn))

    def at(self, day: date, hour: int = 10) -> datetime:
        """An instant in Shanghai."""
        return datetime(day.year, day.month, day.day, hour, tzinfo=UTC) - timedelta(hours=8)


@contextmanager
def company(
    folder: Path, store_url: str = "sqlite:///huikuan.db", *, rd: str = "", more: str = "", world: World | None = None
) -> Iterator[Company]:
    """A company with projects RD (PingCode) and OPS (Worktile), two milestones each, nothing done."""
    world = world or World(tenant="test")
    if not world.projects:
        for key in ("RD", "OPS"):
            project = world.add_project(key, f"Project {key}")
            for title in ("M1", "M2"):
                world.add(
                    project, f"{title}" if key == "RD" else f"{title} ops", planned=datetime(2026, 12, 1, tzinfo=UTC)
                )
    (folder / "contracts").mkdir(parents=True, exist_ok=True)
    with served(build_app(world)) as url:
        config = folder / "huikuan.toml"
        config.write_text(CONFIG.format(store=store_url, url=url, rd=rd, more=more), encoding="utf-8")
        loaded = load_settings(config)
        store = wiring.the_store(loaded, create=True)
        try:
            yield Company(world, folder, loaded, store)
        finally:
            store.dispose()


def invoice(store: Store, contract: str, term: str, issued: date, received: date | None = None) -> None:
    """Write an invoice down, as the receivables import will."""
    import sqlalchemy as sa

    received_day = None if received is None else day_number(received)
    with store.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO invoices (key, contract_id, term_id, issued_day, received_day, recorded_at) "
                "SELECT :key, c.id, t.id, :issued, :received, :now FROM contracts c JOIN terms t ON t.contract_id = c.id WHERE c.number = :c AND t.code = :t"
            ),
            {
                "key": f"{contract}/{term}/{issued}",
                "issued": day_number(issued),
                "received": received_day,
                "now": int(wiring.utc_now().timestamp() * 1e6),
                "c": contract,
                "t": term,
            },
        )
