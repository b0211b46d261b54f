"""The ready-to-invoice list as CSV: UTF-8 with a byte order mark, so that Excel reads Chinese."""

from __future__ import annotations

import csv
import io
from datetime import date

from connectors.reports.phrases import evidence_text, first_url, status_word
from connectors.reports.text import disarmed
from models.domain.money import amount_text, minor_digits
from models.domain.ready import NightReport, ReadyLine
from models.domain.words import say

KEYS = (
    "record_id", "contract", "term", "name", "customer", "currency", "gross", "net", "tax", "ready_on", "noticed_on",
    "due_on", "status", "new", "project_manager", "note", "evidence", "evidence_url",
)  # fmt: skip


def csv_bytes(report: NightReport, language: str) -> bytes:
    """One row for each ready record; amounts are plain digits with a point, dates ISO."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([say(f"report.column.{key}", language) for key in KEYS])
    writer.writerows(_row(line, report, language) for line in report.ready)
    return b"\xef\xbb\xbf" + out.getvalue().encode("utf-8", errors="replace")


def _row(line: ReadyLine, report: NightReport, language: str) -> list[str]:
    digits = minor_digits(line.currency)
    is_new = line.record_id in report.new_records
    evidence = say("report.separator", language).join(evidence_text(e, language) for e in line.evidence)
    return [
        *(disarmed(t) for t in (line.record_id, line.contract, line.term, line.name, line.customer, line.currency)),
        # Ours, and digits only: a minus sign here is a number, not a formula.
        *(amount_text(minor, digits) for minor in (line.gross, line.net, line.tax)),
        *(_day(d) for d in (line.ready_on, line.noticed_on, line.due_on)),
        status_word(line.status, language),
        say("report.new", language) if is_new else "",
        *(disarmed(t or "") for t in (line.project_manager, line.note, evidence, first_url(line.evidence))),
    ]


def _day(day: date | None) -> str:
    return day.isoformat() if day else ""
