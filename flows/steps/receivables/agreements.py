"""Promises, extensions, plans, and every touch with a customer: written down, dated, never edited."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import uuid5

from sqlalchemy.engine import Connection

from connectors.store.bulk import bulk_insert, fetch
from flows.steps.evaluation.columns import as_date, day_number
from flows.steps.followed import FOLLOWED
from flows.steps.receivables.claims import term_claims
from flows.steps.receivables.reading import Refused
from models.domain.money import amount_text, minor_digits
from models.domain.ready import NAMESPACE
from models.domain.receivables.agreements import Paid, Promise, PromiseState, paid_between, promise_state
from models.records.reading import closest
from models.tables import agreements, reminders

_AGREEMENT = ("key", "contract_id", "term_id", "kind", "made_day", "until_day", "gross", "plan", "default_clause", "by", "note", "recorded_at")  # fmt: skip
_TOUCH = ("key", "contract_id", "term_id", "kind", "level", "day", "due_day", "gross", "channel", "proof", "code", "by", "recorded_at")  # fmt: skip

#: What may be written down about a term, beside the reminders that the night makes.
TOUCHES = ("demand", "delivered", "answer", "dispute", "credit_note", "settled", "reason", "reminder")


@dataclass(frozen=True, slots=True)
class Owner:
    """A term, as people name it."""

    contract_id: int
    term_id: int
    which: str
    currency: str


@dataclass(frozen=True, slots=True)
class PromiseLine:
    """A promise as it stands on a day."""

    which: str
    currency: str
    promise: Promise
    state: PromiseState
    came: int = 0  # of it, in time


def find_term(connection: Connection, which: str) -> Owner:
    """The term CONTRACT/TERM of a contract that is followed. Raises Refused."""
    number, _, term = which.rpartition("/")
    found = fetch(
        connection,
        "SELECT c.id, t.id, c.currency FROM terms t JOIN contracts c ON c.id = t.contract_id "
        f"WHERE {FOLLOWED} AND c.number = :n AND t.code = :t",
        {"n": number, "t": term},
    )
    if not found:
        raise Refused("ROW_TERM_UNKNOWN", which=which, closest=closest(which, terms_by_name(connection)) or "-")
    return Owner(found[0][0], found[0][1], which, found[0][2])


def _key(*parts: object) -> str:
    return str(uuid5(NAMESPACE, "\x1f".join(str(p) for p in parts)))


def _positive(minor: int, owner: Owner) -> None:
    if minor <= 0:
        raise Refused("AGREEMENT_NOT_POSITIVE", found=said(minor, owner.currency))


def said(minor: int, currency: str) -> str:
    """An amount for people."""
    return f"{currency} {amount_text(minor, minor_digits(currency))}"


def _open_since(connection: Connection, owner: Owner, day: date) -> tuple[int, int]:
    """What is open of a term, and what was when somebody agreed on something that is written down only now."""
    rows = fetch(
        connection,
        "SELECT COALESCE(SUM(gross), 0) FROM receipts WHERE term_id = :t AND COALESCE(maturity_day, day) >= :d",
        {"t": owner.term_id, "d": day_number(day)},
    )
    open_ = term_claims(connection)[owner.term_id].open
    return open_, open_ + max(0, int(rows[0][0]))


def add_promise(connection: Connection, owner: Owner, promise: Promise, note: str | None, recorded_at: int) -> int:
    """Write a promise down; the same one twice is one. Raises Refused."""
    _positive(promise.minor, owner)
    if promise.pay_by < promise.made:
        raise Refused("AGREEMENT_BACKWARDS", found=promise.pay_by.isoformat(), made=promise.made.isoformat())
    key = _key("promise", owner.which, promise.made, promise.pay_by, promise.minor)
    if fetch(connection, "SELECT 1 FROM agreements WHERE key = :k", {"k": key}):
        return 0
    open_ = _open_since(connection, owner, promise.made)[1]
    if promise.minor > open_:
        found = said(promise.minor, owner.currency)
        raise Refused("PROMISE_TOO_LARGE", which=owner.which, found=found, open=said(open_, owner.currency))
    row = (key, owner.contract_id, owner.term_id, "promise", day_number(promise.made), day_number(promise.pay_by), promise.minor, None, False, promise.by, note, recorded_at)  # fmt: skip
    return bulk_insert(connection, agreements, _AGREEMENT, [row], ignore=True)


def add_extension(
    connection: Connection, owner: Owner, agreed: date, until: date, by: str, note: str | None, recorded_at: int
) -> int:
    """From `agreed` on the term is due on `until`. Raises Refused."""
    if until < agreed:
        raise Refused("AGREEMENT_BACKWARDS", found=until.isoformat(), made=agreed.isoformat())
    key = _key("extension", owner.which, agreed, until)
    row = (key, owner.contract_id, owner.term_id, "extension", day_number(agreed), day_number(until), None, None, False, by, note, recorded_at)  # fmt: skip
    return bulk_insert(connection, agreements, _AGREEMENT, [row], ignore=True)


def add_plan(
    connection: Connection,
    owner: Owner,
    agreed: date,
    parts: Sequence[tuple[date, int]],
    by: str,
    recorded_at: int,
    *,
    default_clause: bool,
) -> int:
    """A plan in instalments over all that is open; a later plan replaces it. Raises Refused."""
    for _, minor in parts:
        _positive(minor, owner)
    if any(day < agreed for day, _ in parts):
        raise Refused("AGREEMENT_BACKWARDS", found=min(parts)[0].isoformat(), made=agreed.isoformat())
    plan = _key("plan", owner.which, agreed, *sorted(parts))
    if fetch(connection, "SELECT 1 FROM agreements WHERE plan = :p", {"p": plan}):
        return 0
    _adds_up(connection, owner, agreed, sum(minor for _, minor in parts))
    rows = [
        (_key(plan, n), owner.contract_id, owner.term_id, "instalment", day_number(agreed), day_number(day), minor, plan, default_clause, by, None, recorded_at)
        for n, (day, minor) in enumerate(sorted(parts))
    ]  # fmt: skip
    return bulk_insert(connection, agreements, _AGREEMENT, rows, ignore=True)


def _adds_up(connection: Connection, owner: Owner, agreed: date, total: int) -> None:
    least, most = _open_since(connection, owner, agreed)
    params = {"which": owner.which, "found": said(total, owner.currency)}
    if total > most:
        raise Refused("PLAN_TOO_LARGE", **params, open=said(most, owner.currency))
    if total < least:
        raise Refused("PLAN_TOO_SMALL", **params, open=said(least, owner.currency))


@dataclass(frozen=True, slots=True)
class Touch:
    """One touch with a customer."""

    kind: str
    day: date
    channel: str
    by: str
    proof: str | None = None
    code: str | None = None
    gross: int | None = None
    level: int | None = None
    due_day: int | None = None


def add_touch(connection: Connection, owner: Owner, touch: Touch, recorded_at: int) -> int:
    """Write a touch down; the same one twice is one. Raises Refused."""
    if touch.kind not in TOUCHES:
        raise Refused("TOUCH_UNKNOWN", found=touch.kind, known=", ".join(TOUCHES))
    return add_touches(connection, [(owner, touch)], recorded_at)


def add_touches(connection: Connection, touches: Iterable[tuple[Owner, Touch]], recorded_at: int) -> int:
    """Write many down; how many were new."""
    rows = []
    for owner, t in touches:
        day = day_number(t.day)
        key = _key("touch", owner.which, t.kind, day, t.channel, t.level, t.due_day, t.code, t.gross)
        rows.append((key, owner.contract_id, owner.term_id, t.kind, t.level, day, t.due_day, t.gross, t.channel, t.proof, t.code, t.by, recorded_at))  # fmt: skip
    return bulk_insert(connection, reminders, _TOUCH, rows, ignore=True)


def terms_by_name(connection: Connection) -> dict[str, Owner]:
    """All terms of the contracts that are followed, as CONTRACT/TERM."""
    rows = fetch(
        connection,
        "SELECT c.id, t.id, c.number, t.code, c.currency FROM terms t JOIN contracts c ON c.id = t.contract_id "
        f"WHERE {FOLLOWED}",
    )
    return {f"{number}/{code}": Owner(c, t, f"{number}/{code}", currency) for c, t, number, code, currency in rows}


def paid_of(connection: Connection) -> dict[int, list[Paid]]:
    """Money by term, on the day it counts."""
    found: dict[int, list[Paid]] = {}
    for term, day, gross in fetch(
        connection,
        "SELECT r.term_id, COALESCE(r.maturity_day, r.day), r.gross FROM receipts r "
        "WHERE r.term_id IN (SELECT term_id FROM agreements)",
    ):
        found.setdefault(term, []).append((_date(day), int(gross)))
    return found


def _date(number: int) -> date:
    found = as_date(number)
    assert found is not None
    return found


def promises(connection: Connection, as_of: date) -> list[PromiseLine]:
    """The promise that stands of each term, with its state; the oldest day first."""
    paid = paid_of(connection)
    last: dict[int, PromiseLine] = {}
    for term, number, code, currency, made, until, gross, by in fetch(
        connection,
        'SELECT a.term_id, c.number, t.code, c.currency, a.made_day, a.until_day, a.gross, a."by" FROM agreements a '
        "JOIN contracts c ON c.id = a.contract_id JOIN terms t ON t.id = a.term_id "
        "WHERE a.kind = 'promise' AND a.made_day <= :d ORDER BY a.made_day, a.until_day",
        {"d": day_number(as_of)},
    ):
        promise = Promise(_date(made), _date(until), int(gross), by)
        money = paid.get(term, [])
        came = paid_between(money, promise.made, min(promise.pay_by, as_of))
        last[term] = PromiseLine(f"{number}/{code}", currency, promise, promise_state(promise, money, as_of), came)
    return sorted(last.values(), key=lambda p: (p.promise.pay_by, p.which))
