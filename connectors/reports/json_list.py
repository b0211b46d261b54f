"""The whole report as JSON: stable keys, money as text with the currency's digits, dates ISO."""

from __future__ import annotations

import json
from datetime import date

from connectors.reports.phrases import finding_text
from connectors.reports.totals import Total, totals
from models.domain.findings import Finding
from models.domain.money import amount_text, minor_digits
from models.domain.outlook import MoveLine, Outlook
from models.domain.ready import (
    BlockedLine,
    Blocker,
    ConnectionLine,
    ExceptionLine,
    ForecastLine,
    NightReport,
    ReadyLine,
)
from models.domain.receivables.forecast import UNDATED
from models.domain.words import LANGUAGES

#: Raised when a key changes its meaning or goes; new keys may come without notice.
FORMAT = 1


def as_json(report: NightReport) -> dict[str, object]:
    """Everything the report knows as plain JSON values; `ready` starts with the keys of `ready --json`."""
    return {
        "format": FORMAT,
        "run_id": report.run_id,
        "as_of": report.as_of.isoformat(),
        "language": report.language,
        "totals": [_total(x) for x in totals(report.ready)],
        "ready": [_ready(x, report.new_records) for x in report.ready],
        "withdrawn": [_ready(x, report.new_records) for x in report.withdrawn],
        "blocked": [_blocked(x) for x in report.blocked],
        "exceptions": [_exception(x) for x in report.exceptions],
        "findings": [_finding(x) for x in report.findings],
        "forecast": [_forecast(x) for x in report.forecast],
        "outlook": outlook_json(report.outlook),
        "connections": [_connection(x) for x in report.connections],
        "data_docs": report.data_docs,
    }


def json_bytes(report: NightReport) -> bytes:
    """The JSON file: UTF-8, keys in a fixed order, one record a line."""
    parts = (f"{json.dumps(key)}: {_lines(value)}" for key, value in as_json(report).items())
    return ("{\n" + ",\n".join(parts) + "\n}\n").encode("utf-8", errors="replace")


def _lines(value: object) -> str:
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(json.dumps(x, ensure_ascii=False) for x in value) + "\n]"
    return json.dumps(value, ensure_ascii=False)


def _money(minor: int, currency: str) -> str:
    return amount_text(minor, minor_digits(currency))


def _day(day: date | None) -> str | None:
    return day.isoformat() if day else None


def _total(total: Total) -> dict[str, object]:
    code = total.currency
    return {
        "currency": code,
        "status": total.status.value,
        "count": total.count,
        "gross": _money(total.gross, code),
        "net": _money(total.net, code),
        "tax": _money(total.tax, code),
    }


def _ready(line: ReadyLine, new: frozenset[str]) -> dict[str, object]:
    return line.as_json() | {
        "occurrence": line.occurrence,
        "due_on": _day(line.due_on),
        "withdrawn_on": _day(line.withdrawn_on),
        "project_manager": line.project_manager,
        "note": line.note,
        "new": line.record_id in new,
    }


def _blocked(line: BlockedLine) -> dict[str, object]:
    return {
        "contract": line.contract,
        "term": line.term,
        "name": line.name,
        "customer": line.customer,
        "currency": line.currency,
        "gross": _money(line.gross, line.currency),
        "expected_on": _day(line.expected_on),
        "project_manager": line.project_manager,
        "blockers": [_blocker(b) for b in line.blockers],
    }


def _blocker(blocker: Blocker) -> dict[str, object]:
    return {
        "event": blocker.event,
        "kind": blocker.kind,
        "planned_on": _day(blocker.planned_on),
        "source": blocker.source,
        "url": blocker.url,
        "contact": blocker.contact,
    }


def _exception(line: ExceptionLine) -> dict[str, object]:
    return {
        "contract": line.contract,
        "term": line.term,
        "code": line.code,
        "opened_on": line.opened_on.isoformat(),
        "closed_on": _day(line.closed_on),
        "detail": line.detail,
    }


def _finding(finding: Finding) -> dict[str, object]:
    place = finding.place
    return {
        "code": finding.code,
        "severity": finding.severity.value,
        "contract": place.contract,
        "term": place.term,
        "connection": place.connection,
        "file": place.file,
        "line": place.line,
        "path": place.path,
        "text": {language: finding_text(finding, language) for language in LANGUAGES},
    }


def _forecast(line: ForecastLine) -> dict[str, object]:
    return {
        "month": line.month,
        "currency": line.currency,
        "gross": _money(line.gross, line.currency),
        "terms": line.terms,
    }


def outlook_json(outlook: Outlook) -> dict[str, object]:
    """Expected money: by month and week, without a date, what moved and why, how late customers pay, what is open."""
    return {
        "months": [_owing("month", x.period, x.currency, x.gross, x.terms) | {"overdue": _money(x.overdue, x.currency)} for x in outlook.months],
        "weeks": [_owing("week", x.period, x.currency, x.gross, x.terms) | {"overdue": _money(x.overdue, x.currency)} for x in outlook.weeks],
        "undated": [
            {"contract": x.contract, "term": x.term, "name": x.name, "customer": x.customer, "currency": x.currency,
             "gross": _money(x.gross, x.currency), "reason": x.reason}
            for x in outlook.undated
        ],
        "compared_with": _day(outlook.compared_with),
        "moves": [_move(x) for x in outlook.moves],
        "behaviour": [
            {"customer": x.customer, "terms": x.terms, "early": x.early, "median": x.median, "late": x.late}
            for x in outlook.behaviour
        ],
        "ageing": [{"customer": x.customer} | _owing("bucket", x.label, x.currency, x.gross, x.terms) for x in outlook.ageing],
    }  # fmt: skip


def _owing(key: str, value: str, currency: str, minor: int, terms: int) -> dict[str, object]:
    return {key: value, "currency": currency, "gross": _money(minor, currency), "terms": terms}


def _move(line: MoveLine) -> dict[str, object]:
    start, end = ("undated" if p == UNDATED else p for p in (line.start, line.end))
    return {
        "contract": line.contract,
        "term": line.term,
        "customer": line.customer,
        "currency": line.currency,
        "gross": _money(line.gross, line.currency),
        "from": start,
        "to": end,
        "reason": line.why.code,
        "name": line.why.name or None,
        "days": line.why.days,
    }


def _connection(line: ConnectionLine) -> dict[str, object]:
    return {
        "name": line.name,
        "system": line.system,
        "state": line.state,
        "seen": line.seen,
        "changed": line.changed,
        "quarantined": line.quarantined,
        "message": {x: line.message(x) for x in LANGUAGES} if line.trouble else None,
    }
