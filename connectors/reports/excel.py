"""The Excel file: sheets in the order finance reads them."""

from __future__ import annotations

from connectors.reports.excel_book import Book
from connectors.reports.excel_outlook import (
    write_ageing,
    write_behaviour,
    write_forecast,
    write_moved,
    write_undated,
    write_weeks,
)
from connectors.reports.excel_ready import write_ready
from connectors.reports.excel_sheets import write_attention, write_blocked, write_run, write_withdrawn
from models.domain.ready import NightReport

SHEETS = (
    write_ready, write_blocked, write_attention, write_withdrawn, write_forecast, write_weeks, write_moved,
    write_undated, write_ageing, write_behaviour, write_run,
)  # fmt: skip


def xlsx_bytes(report: NightReport, language: str) -> bytes:
    """The workbook in one language; the same report gives the same bytes."""
    book = Book(report, language)
    for write in SHEETS:
        write(book)
    return book.content()
