"""What a night's notices say: values in, notices out. Keys come from what is said, so nothing is owed twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from models.domain.money import amount_text, minor_digits
from models.domain.notices import Notice, NoticeKind, Role, notice_key
from models.domain.ready import ConnectionLine, ExceptionLine, ReadyLine
from models.domain.words import say

#: More lines than this are not read in a message; the list has them all.
LINES_MAX = 30


@dataclass(frozen=True, slots=True)
class Recipient:
    """One [[notify]] entry: who, about what, in which language; `contracts` None means all."""

    name: str
    role: Role
    on: frozenset[str]
    language: str
    contracts: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Payer:
    """Whoever must be asked for the money of a contract; sent to only where `enabled`."""

    contract: str
    email: str
    language: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class News:
    """What is new since the last notices."""

    as_of: date
    ready: Sequence[ReadyLine]
    withdrawn: Sequence[ReadyLine]
    exceptions: Sequence[ExceptionLine]
    failed: Sequence[ConnectionLine]
    waiting: int  # records on the list in all
    findings: int


def plan_notices(news: News, recipients: Iterable[Recipient], payers: Iterable[Payer]) -> list[Notice]:
    """All notices of a night."""
    out: list[Notice] = []
    for one in recipients:
        if one.role is not Role.CUSTOMER_PAYER:
            out += _for(one, news)
    for payer in payers:
        own = [r for r in news.ready if r.contract == payer.contract]
        out += [_to_payer(payer, r) for r in own]
    return out


def _for(to: Recipient, news: News) -> list[Notice]:
    def mine(lines: Sequence[ReadyLine]) -> list[ReadyLine]:
        return [x for x in lines if to.contracts is None or x.contract in to.contracts]

    out = []
    if "ready" in to.on and (ready := mine(news.ready)):
        out.append(_notice(to, NoticeKind.READY, [r.record_id for r in ready], _list(ready, to.language)))
    if "withdrawn" in to.on and (gone := mine(news.withdrawn)):
        out.append(_notice(to, NoticeKind.WITHDRAWN, [r.record_id for r in gone], _list(gone, to.language)))
    exceptions = [e for e in news.exceptions if to.contracts is None or e.contract in to.contracts]
    if "exception" in to.on and exceptions:
        key = [f"{e.contract}/{e.term}/{e.code}/{e.opened_on}" for e in exceptions]
        out.append(_notice(to, NoticeKind.EXCEPTION, key, _exceptions(exceptions, to.language)))
    if news.failed and (to.role is Role.OPERATOR or "source_failed" in to.on):
        failed = [{"name": c.name, "message": c.message or ""} for c in news.failed]
        out.append(
            _notice(to, NoticeKind.SOURCE_FAILED, [news.as_of, *(c.name for c in news.failed)], {"connections": failed})
        )
    if "digest" in to.on:
        body = {
            "as_of": news.as_of.isoformat(),
            "waiting": news.waiting,
            "new": len(news.ready),
            "withdrawn": len(news.withdrawn),
            "exceptions": len(news.exceptions),
            "findings": news.findings,
        }
        out.append(_notice(to, NoticeKind.DIGEST, [news.as_of], body, attachment="ready-to-invoice.xlsx"))
    return out


def _notice(
    to: Recipient, kind: NoticeKind, key: Sequence[object], payload: Mapping[str, object], attachment: str | None = None
) -> Notice:
    attach = attachment or ("ready-to-invoice.xlsx" if kind is NoticeKind.READY and to.role is Role.FINANCE else None)
    return Notice(notice_key(kind, to.name, *key), kind, to.role, to.name, to.language, payload, attachment=attach)


def _list(lines: Sequence[ReadyLine], language: str) -> dict[str, object]:
    sums: dict[str, int] = {}
    for line in lines:
        sums[line.currency] = sums.get(line.currency, 0) + line.gross
    shown = [_line(x, language) for x in lines[:LINES_MAX]]
    totals = [f"{c} {amount_text(s, minor_digits(c))}" for c, s in sorted(sums.items())]
    return {"lines": shown, "more": max(0, len(lines) - LINES_MAX), "totals": totals, "count": len(lines)}


def _line(line: ReadyLine, language: str) -> dict[str, object]:
    return {
        "contract": line.contract, "term": line.term, "name": line.name, "customer": line.customer,
        "amount": f"{line.currency} {amount_text(line.gross, minor_digits(line.currency))}",
        "ready_on": line.ready_on.isoformat(), "status": say(f"status.{line.status}", language),
    }  # fmt: skip


def _exceptions(lines: Sequence[ExceptionLine], language: str) -> dict[str, object]:
    shown = [
        {"contract": e.contract, "term": e.term or "", "what": say(f"exception.{e.code}", language), "detail": e.detail}
        for e in lines[:LINES_MAX]
    ]
    return {"lines": shown, "more": max(0, len(lines) - LINES_MAX), "count": len(lines)}


def _to_payer(payer: Payer, line: ReadyLine) -> Notice:
    key = notice_key(NoticeKind.READY, "payer", payer.email, line.record_id)
    return Notice(
        key,
        NoticeKind.READY,
        Role.CUSTOMER_PAYER,
        payer.email,
        payer.language,
        _list([line], payer.language),
        draft=not payer.enabled,
    )
