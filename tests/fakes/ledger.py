"""Books without a night: contracts and their facts straight in a store, for what reads the ledgers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import uuid4

from connectors.store import Store, open_store
from connectors.store.bulk import bulk_insert, fetch
from flows.steps.contracts import load_contracts
from flows.steps.evaluation.columns import day_number
from flows.steps.evaluation.gather import local_day
from flows.steps.receivables.agreements import Touch, add_promise, add_touch, find_term
from models.domain.contracts import Contract, Facts
from models.records.contract_file import long_form
from models.tables import facts as facts_table
from models.tables import invoices, receipts

NOW = 1_790_000_000_000_000


@dataclass
class Books:
    """A store with a configuration beside it, as a bookkeeper has them."""

    folder: Path
    store: Store

    def contract(self, contract: Contract) -> None:
        """Write the file and read it in."""
        path = self.folder / "contracts" / f"c{len(list((self.folder / 'contracts').iterdir()))}.yaml"
        path.write_text(json.dumps(long_form(contract), ensure_ascii=False), encoding="utf-8")
        self.read_contracts()

    def read_contracts(self) -> None:
        paths = sorted((self.folder / "contracts").glob("*.yaml"))
        read = load_contracts(self.store, paths, self.folder, NOW)
        assert not [f for f in read.findings if f.severity == "error"], read.findings

    def facts(self, contract: Contract, facts: Facts) -> None:
        """What a case file states, as the store keeps it."""
        with self.store.begin() as connection:
            (owner,) = fetch(connection, "SELECT id FROM contracts WHERE number = :n", {"n": contract.number})[0]
            ids = dict(fetch(connection, "SELECT code, id FROM terms WHERE contract_id = :c", {"c": owner}))
            events = [
                (str(uuid4()), owner, name, local_day(c.at, contract.timezone), c.value, "Wang", "recorded", NOW)
                for name, changes in facts.events.items()
                for c in changes
            ]
            columns = ("key", "contract_id", "event", "day", "value", "by", "source", "recorded_at")
            bulk_insert(connection, facts_table, columns, events)
            billed = [
                (str(uuid4()), owner, ids[i.term], i.number or f"INV-{i.term}", day_number(i.issued), None if i.received is None else day_number(i.received), i.amount, NOW)
                for i in facts.invoices
            ]  # fmt: skip
            columns = ("key", "contract_id", "term_id", "number", "issued_day", "received_day", "gross", "recorded_at")
            bulk_insert(connection, invoices, columns, billed)
            paid = [
                (str(uuid4()), owner, ids[p.term], day_number(p.on), p.amount, p.method, None if p.maturity is None else day_number(p.maturity), NOW)
                for p in facts.payments
            ]  # fmt: skip
            columns = ("key", "contract_id", "term_id", "day", "gross", "method", "maturity_day", "recorded_at")
            bulk_insert(connection, receipts, columns, paid)
            for one in facts.promises:
                add_promise(connection, find_term(connection, f"{contract.number}/{one.term}"), one.promise, None, NOW)

    def touch(self, which: str, kind: str, day: date, proof: str | None = None, **more: object) -> None:
        with self.store.begin() as connection:
            touch = Touch(kind, day, str(more.pop("channel", "letter")), "Wang", proof, **more)
            add_touch(connection, find_term(connection, which), touch, NOW)


@contextmanager
def books(folder: Path, url: str = "sqlite:///huikuan.db") -> Iterator[Books]:
    """Empty books in a folder with a configuration."""
    (folder / "contracts").mkdir()
    (folder / "huikuan.toml").write_text(f'[store]\nurl = "{url}"\n', encoding="utf-8")
    store = open_store(url.replace("sqlite:///", f"sqlite:///{folder}/"), create=url.startswith("sqlite"))
    try:
        yield Books(folder, store)
    finally:
        store.dispose()
