"""A company with one ready term, and a desk for its bookkeeper."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path

import pytest

from connectors.store.bulk import fetch
from flows import wiring
from flows.steps.receivables.invoices import InvoicesImported, import_invoices
from flows.steps.receivables.payments import PaymentsImported, import_payments
from tests.fakes.company import Company, company

TODAY = date(2026, 11, 20)


@dataclass
class Desk:
    """Imports files into a company's store."""

    firm: Company
    folder: Path
    runs: Iterator[int]

    def file(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def invoices(self, content: str | Path, *, today: date = TODAY) -> InvoicesImported:
        path = content if isinstance(content, Path) else self.file("invoices.csv", content)
        with self.firm.store.begin() as connection:
            return import_invoices(connection, path, today, self.now(), f"run-{next(self.runs)}")

    def payments(
        self,
        content: str | bytes | Path,
        name: str = "payments.csv",
        *,
        today: date = TODAY,
        currency: str | None = None,
    ) -> PaymentsImported:
        path = content if isinstance(content, Path) else self.file(name, content)
        with self.firm.store.begin() as connection:
            return import_payments(connection, path, today, self.now(), f"run-{next(self.runs)}", currency)

    def now(self) -> int:
        return int(wiring.utc_now().timestamp() * 1e6)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with self.firm.store.read() as connection:
            return fetch(connection, query)

    def everything(self) -> dict[str, list[tuple[object, ...]]]:
        """All that imports may write, to see that nothing changed."""
        names = ("invoices", "credits", "bank_lines", "receipts", "allocations", "quarantine", "withdrawals")
        return {n: self.rows(f"SELECT * FROM {n} ORDER BY 1") for n in names}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Contract C-1: T1 (400.00) ready since 18 November, T2 (600.00) not."""
    with company(tmp_path) as firm:
        firm.contract("C-1")
        firm.world.move(firm.world.find("M1"), "已完成", firm.at(date(2026, 11, 18)), "Li")
        firm.night()
        yield Desk(firm, tmp_path, count(1))
