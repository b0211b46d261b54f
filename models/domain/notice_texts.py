"""What a night's notices say: values in, notices out. Keys come from what is said, so nothing is owed twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeVar

from models.domain.money import amount_text, minor_digits
from models.domain.notices import Notice, NoticeKind, Role, notice_key
from models.domain.outlook import MoveLine
from models.domain.ready import ConnectionLine, ExceptionLine, ReadyLine
from models.domain.words import catalogue, say

#: More lines than this are not read in a message; the list has them all.
LINES_MAX = 30
#: More proofs than this are not read in a line; `huikuan explain` has them all.
PROOFS_MAX = 4
#: The finance list as mail carries it; ASCII, because a mail loses an attachment's other names.
LIST_FILE = "ready-to-invoice.xlsx"


@dataclass(frozen=True, slots=True)
class Recipient:
    """One [[notify]] entry: who, about what, in which language; `contracts` None means all.

    `personal`: the entry is a mail URL, so the contacts of the contracts are written to by name.
    """

    name: str
    role: Role
    on: frozenset[str]
    language: str
    contracts: frozenset[str] | None = None
    personal: bool = False


@dataclass(frozen=True, slots=True)
class Payer:
    """Whoever must be asked for the money of a contract; sent to only where `enabled`."""

    contract: str
    email: str
    language: str
    enabled: bool


@dataclass(frozen=True, slots=True)
class Manager:
    """The project manager of a contract, as its contacts name him."""

    contract: str
    email: str
    language: str


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
    moved: Sequence[MoveLine] = ()  # of the forecast, past the threshold


def plan_notices(
    news: News, recipients: Iterable[Recipient], payers: Iterable[Payer], managers: Iterable[Manager] = ()
) -> list[Notice]:
    """All notices of a night; the same news give the same notices with the same keys.

    A customer is written to only where the contract says so *and* a [[notify]] entry of role customer_payer
    with a mail URL listens to `ready`; else the notice is a draft. Raises KeyError for a language without words.
    """
    entries = list(recipients)
    known = list(managers)
    out: list[Notice] = []
    for one in entries:
        if one.role is Role.PROJECT_MANAGER and one.personal:
            out += _to_managers(one, news, known)
        elif one.role is not Role.CUSTOMER_PAYER:
            out += _to_entry(one, news)
    for payer in payers:
        way_out = any(_serves(e, payer) for e in entries)
        out += [_to_payer(payer, r, sent=payer.enabled and way_out) for r in news.ready if r.contract == payer.contract]
    return list({n.key: n for n in out}.values())


def touched_contracts(news: News) -> set[str]:
    """The contracts that the news is about."""
    lines = {x.contract for x in (*news.ready, *news.withdrawn)}
    return lines | {e.contract for e in news.exceptions} | {m.contract for m in news.moved}


def _serves(entry: Recipient, payer: Payer) -> bool:
    listens = entry.role is Role.CUSTOMER_PAYER and entry.personal and NoticeKind.READY in entry.on
    return listens and (entry.contracts is None or payer.contract in entry.contracts)


def _to_managers(entry: Recipient, news: News, managers: Sequence[Manager]) -> list[Notice]:
    """Each manager about his own contracts; contracts without a manager's address go to the entry itself."""
    mine = [m for m in managers if entry.contracts is None or m.contract in entry.contracts]
    by_person: dict[tuple[str, str], set[str]] = {}
    for m in mine:
        by_person.setdefault((m.email, m.language), set()).add(m.contract)
    out: list[Notice] = []
    for (email, language), contracts in sorted(by_person.items()):
        out += _about_terms(replace(entry, name=email, language=language), _only(news, contracts))
    named = {m.contract for m in mine}
    rest = touched_contracts(news) - named
    return out + _to_entry(replace(entry, contracts=frozenset(rest & (entry.contracts or rest))), news)


def _to_entry(to: Recipient, news: News) -> list[Notice]:
    return [
        *_about_terms(to, news if to.contracts is None else _only(news, to.contracts)),
        *_about_sources(to, news),
        *_digest(to, news),
    ]


Line = TypeVar("Line", ReadyLine, ExceptionLine, MoveLine)


def _only(news: News, contracts: frozenset[str] | set[str]) -> News:
    def own(lines: Sequence[Line]) -> list[Line]:
        return [x for x in lines if x.contract in contracts]

    return replace(
        news,
        ready=own(news.ready),
        withdrawn=own(news.withdrawn),
        exceptions=own(news.exceptions),
        moved=own(news.moved),
    )


def _about_terms(to: Recipient, news: News) -> Iterator[Notice]:
    if NoticeKind.READY in to.on and news.ready:
        key = sorted(r.record_id for r in news.ready)
        file = LIST_FILE if to.role is Role.FINANCE else None
        yield _notice(to, NoticeKind.READY, key, _list(news.ready, to.language), file)
    if NoticeKind.WITHDRAWN in to.on and news.withdrawn:
        key = sorted(r.record_id for r in news.withdrawn)
        yield _notice(to, NoticeKind.WITHDRAWN, key, _list(news.withdrawn, to.language))
    if NoticeKind.EXCEPTION in to.on and news.exceptions:
        key = sorted(f"{e.contract}/{e.term}/{e.code}/{e.opened_on}" for e in news.exceptions)
        yield _notice(to, NoticeKind.EXCEPTION, key, _exceptions(news.exceptions, to.language))
    if NoticeKind.FORECAST in to.on and news.moved:  # once a day: a second night of it compares with the same one
        yield _notice(to, NoticeKind.FORECAST, [news.as_of], _moved(news, to.language))


def _about_sources(to: Recipient, news: News) -> Iterator[Notice]:
    """An operator is told of a source that failed whatever his entry lists: nobody else would notice."""
    if news.failed and (to.role is Role.OPERATOR or NoticeKind.SOURCE_FAILED in to.on):
        failed = [{"name": c.name, "message": c.message(to.language)} for c in news.failed]
        body: dict[str, object] = {"as_of": news.as_of.isoformat(), "connections": failed}
        yield _notice(to, NoticeKind.SOURCE_FAILED, [news.as_of, *sorted(c.name for c in news.failed)], body)


def _digest(to: Recipient, news: News) -> Iterator[Notice]:
    if NoticeKind.DIGEST not in to.on:
        return
    body = {
        "as_of": news.as_of.isoformat(),
        "waiting": news.waiting,
        "new": len(news.ready),
        "withdrawn": len(news.withdrawn),
        "exceptions": len(news.exceptions),
        "findings": news.findings,
        "failed": [c.name for c in news.failed],
    }
    yield _notice(to, NoticeKind.DIGEST, [news.as_of], body, LIST_FILE)


def _notice(
    to: Recipient, kind: NoticeKind, key: Sequence[object], payload: Mapping[str, object], file: str | None = None
) -> Notice:
    return Notice(notice_key(kind, to.name, *key), kind, to.role, to.name, to.language, payload, attachment=file)


def _list(lines: Sequence[ReadyLine], language: str) -> dict[str, object]:
    sums: dict[str, int] = {}
    for line in lines:
        sums[line.currency] = sums.get(line.currency, 0) + line.gross
    totals = [_money(c, s) for c, s in sorted(sums.items())]
    shown = [_line(x, language) for x in lines[:LINES_MAX]]
    return {"lines": shown, "more": max(0, len(lines) - LINES_MAX), "totals": totals, "count": len(lines)}


def _line(line: ReadyLine, language: str) -> dict[str, object]:
    gone = line.withdrawn_on
    return {
        "contract": line.contract, "term": line.term, "name": line.name, "customer": line.customer,
        "amount": _money(line.currency, line.gross), "ready_on": line.ready_on.isoformat(),
        "withdrawn_on": gone.isoformat() if gone else "", "status": say(f"status.{line.status}", language),
        "proofs": [
            {"event": e.event, "date": e.on.isoformat(), "by": e.by or "", "url": e.url or ""}
            for e in line.evidence[:PROOFS_MAX]
        ],
    }  # fmt: skip


def _money(currency: str, minor: int) -> str:
    """`CNY 1,288,888.88`: grouped, because people read it."""
    whole, dot, rest = amount_text(minor, minor_digits(currency)).partition(".")
    return f"{currency} {int(whole):,}{dot}{rest}" if whole.lstrip("-") != "0" else f"{currency} {whole}{dot}{rest}"


def _exceptions(lines: Sequence[ExceptionLine], language: str) -> dict[str, object]:
    words = catalogue(language)
    shown = [
        {
            "contract": e.contract,
            "term": e.term or "",
            "what": words.get(f"exception.{e.code}", e.code),  # a code of a later version still reaches a person
            "detail": e.detail,
            "since": e.opened_on.isoformat(),
        }
        for e in lines[:LINES_MAX]
    ]
    return {"lines": shown, "more": max(0, len(lines) - LINES_MAX), "count": len(lines)}


def _moved(news: News, language: str) -> dict[str, object]:
    """Acceptance of 初验 slipped 3 weeks: 515,555.55 CNY moves from June to July 2026"""
    shown = [
        {"contract": m.contract, "term": m.term, "customer": m.customer, "text": m.text(language)}
        for m in news.moved[:LINES_MAX]
    ]
    more = max(0, len(news.moved) - LINES_MAX)
    return {"as_of": news.as_of.isoformat(), "lines": shown, "more": more, "count": len(news.moved)}


def reminder_notice(
    email: str, language: str, which: tuple[str, str], step: tuple[int, date], said: Mapping[str, object]
) -> Notice:
    """A reminder to a customer: owed once for each contact, (contract, term), (level, due date). `said`: name, text."""
    (contract, term), (level, due) = which, step
    key = notice_key(NoticeKind.REMINDER, email, contract, term, level, due)
    body = {"contract": contract, "term": term, "level": level, "due_on": due.isoformat(), **said}
    return Notice(key, NoticeKind.REMINDER, Role.CUSTOMER_PAYER, email, language, body)


def _to_payer(payer: Payer, line: ReadyLine, *, sent: bool) -> Notice:
    """To a customer: one record, and nothing of our own affairs (no evidence, no status)."""
    body = {
        "contract": line.contract,
        "name": line.name,
        "amount": _money(line.currency, line.gross),
        "ready_on": line.ready_on.isoformat(),
    }
    key = notice_key(NoticeKind.READY, "payer", payer.email, line.record_id)
    return Notice(key, NoticeKind.READY, Role.CUSTOMER_PAYER, payer.email, payer.language, body, draft=not sent)
