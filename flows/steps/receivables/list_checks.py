"""What a list says of itself: its totals, and, where it is our own ready list handed back, the rows it had."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from sqlalchemy.engine import Connection

from connectors.files.sheets import Cell
from connectors.store.bulk import fetch
from flows.steps.evaluation.columns import day_number
from flows.steps.receivables.reading import Refused, read_amount, read_day
from models.domain.findings import Finding, Place, Severity
from models.domain.money import amount_text, minor_digits


def total_findings(amounts: Sequence[tuple[int, str]], totals: Iterable[Cell], file: str) -> list[Finding]:
    """A list of one currency whose rows do not add up to a total it states: a row was deleted, or a sum changed.

    Subtotals are tried too: some total must be right where there are several.
    """
    currencies = {c for _, c in amounts}
    if len(currencies) != 1:
        return []
    currency, expected = currencies.pop(), sum(minor for minor, _ in amounts)
    stated = [(cell, _minor(cell, currency)) for cell in totals]
    if not stated or any(minor == expected for _, minor in stated):
        return []
    cell = stated[-1][0]
    place = Place(file=file, line=cell.row, path=cell.reference if cell.sheet else None)
    params = {"found": cell.text, "expected": amount_text(expected, minor_digits(currency))}
    return [Finding("TOTAL_DIFFERS", Severity.ERROR, place, params)]


def _minor(cell: Cell, currency: str) -> int | None:
    try:
        return read_amount(cell.text, currency)
    except Refused:
        return None


def missing_rows(connection: Connection, listed: Sequence[tuple[str, str]], today: date, file: str) -> list[Finding]:
    """Records that were on the ready list when it was written, are alive and not invoiced, and whose row is gone.

    `listed`: the records of the file, each with the day it was noticed.
    """
    written = max((d for _, text in listed if (d := _day(text, today))), default=None)
    if written is None:
        return []
    there = {record for record, _ in listed}
    return [
        Finding("LIST_ROW_MISSING", Severity.WARNING, Place(file=file, contract=contract, term=term), {"which": f"{contract}/{term}", "day": written.isoformat()})
        for record, contract, term in _expected(connection, written)
        if record not in there
    ]  # fmt: skip


def _day(text: str, today: date) -> date | None:
    try:
        return read_day(text, today)
    except Refused:
        return None


def _expected(connection: Connection, written: date) -> list[tuple[str, str, str]]:
    rows = fetch(
        connection,
        "SELECT r.record_id, c.number, t.code FROM ready_records r JOIN contracts c ON c.id = r.contract_id "
        "JOIN terms t ON t.id = r.term_id WHERE c.active AND r.noticed_day <= :d "
        "AND NOT EXISTS (SELECT 1 FROM withdrawals w WHERE w.record_id = r.record_id) "
        "AND NOT EXISTS (SELECT 1 FROM invoices i WHERE i.term_id = r.term_id) ORDER BY c.number, t.code",
        {"d": day_number(written)},
    )
    return [(str(r), str(c), str(t)) for r, c, t in rows]
