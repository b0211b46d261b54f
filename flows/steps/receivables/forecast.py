"""Expected cash over columns: every term of the contracts that are followed as its last decision up to a day left it.

The evaluator has said when a term is expected to be ready and what it brings; from there a due rule, the usual
days to an invoice and the customer's own median days late lead to the day of the money.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
import orjson
from sqlalchemy.engine import Connection

from connectors.store.bulk import fetch, wanted_ids
from flows.steps.evaluation.batch import Rows, from_bytes
from flows.steps.evaluation.columns import NEVER, NO_DAY, Days, Ints, Mask, Start, day_number
from flows.steps.evaluation.days import Calendars
from flows.steps.evaluation.run import INVOICED, NOT_READY, PAID, PART_PAID, READY, STATUS_NAMES, due_of
from flows.steps.followed import followed
from flows.steps.match import CalendarsOf, chunks
from flows.steps.receivables.behaviour import Spread, habit, spread
from flows.steps.receivables.claims import OPENING
from flows.steps.receivables.standing import Key, Overlay, disputed, to_date
from models.domain.calendars_spec import CalendarSpec
from models.domain.receivables.agreements import paid_between

_STATUS = {name: code for code, name in enumerate(STATUS_NAMES)}
#: What the day of a part rests on; from UNDATED_FROM on it has none.
BASES = ("planned", "ready", "invoiced", "bill", "promise", "instalment", "extension", "no_plan", "no_due_rule", "no_invoice_date", "horizon", "held", "disputed")  # fmt: skip
(
    PLANNED, IS_READY, IS_INVOICED, BILL, PROMISE, INSTALMENT, EXTENSION, NO_PLAN, NO_RULE, NO_INVOICE_DATE, HORIZON, HELD,
    DISPUTED,
) = range(len(BASES))  # fmt: skip
UNDATED_FROM = NO_PLAN
#: Beyond the last day a calendar knows, the forecast counts Monday to Friday, and says so.
YEARS_AHEAD = 10
#: Whose habit an assumed invoice date follows.
ASSUMED = ("customer", "company", "none")


@dataclass(frozen=True, slots=True)
class Head:
    """A contract in the forecast."""

    id: int
    number: str
    customer: str
    currency: str
    version: int
    active: bool  # a contract file holds it


@dataclass(slots=True)
class Terms:
    """All terms of the contracts that are followed, by contract and position; day numbers and minor units."""

    heads: list[Head] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)  # terms by contract
    codes: list[str] = field(default_factory=list)
    blockers: list[list[Any]] = field(default_factory=list)
    numbers: list[Ints] = field(default_factory=list)  # status, known, legal, expected, gross, due, outstanding
    rules: list[Rows] = field(default_factory=list)
    calendar: list[str] = field(default_factory=list)  # by contract


_BODIES = """
SELECT c.id, c.number, c.customer, c.currency, d.version_id, c.active, d.body, v.compiled FROM contracts c
JOIN {wanted} w ON w.id = c.id
JOIN decisions d ON d.id = (SELECT MAX(x.id) FROM decisions x WHERE x.contract_id = c.id AND x.as_of <= :d)
JOIN contract_versions v ON v.id = d.version_id ORDER BY c.id
"""


def _terms(connection: Connection, as_of: int) -> Terms:
    """The decisions in force on a day with the due rules of their versions, some thousand contracts at a time."""
    terms = Terms()
    for ids in chunks(followed(connection)):
        rows = fetch(connection, _BODIES.format(wanted=wanted_ids(connection, ids)), {"d": as_of})
        if rows:
            _take(terms, rows)
    return terms


def _take(terms: Terms, rows: Sequence[tuple[Any, ...]]) -> None:
    """Of a contract whose file is gone only what was invoiced: nothing else of it will be."""
    batch = from_bytes([bytes(r[7]) for r in rows])
    bodies = [(bool(r[5]), orjson.loads(r[6])) for r in rows]
    stays = [[active or _STATUS[t[1]] >= INVOICED for t in body] for active, body in bodies]
    flat = [t for (_, body), own in zip(bodies, stays, strict=True) for t, s in zip(body, own, strict=True) if s]
    terms.heads += [Head(*r[:6]) for r in rows]
    terms.sizes += [sum(own) for own in stays]
    terms.codes += [t[0] for t in flat]
    terms.blockers += [t[8] for t in flat]
    terms.numbers.append(np.array([(_STATUS[t[1]], *t[2:8]) for t in flat], dtype=np.int64).reshape(-1, 7))
    terms.rules.append(batch.terms[np.array([s for own in stays for s in own], dtype=bool)])
    terms.calendar += [batch.calendars[c] for c in batch.calendar.tolist()]


@dataclass(frozen=True, slots=True)
class Claimed:
    """What the ledgers say of terms, by row."""

    invoiced: Days
    received: Days
    paid: Ints
    last_paid: Days
    telling: Mask  # the last payment has a day of its own: it is not an opening without one
    rest: Ints  # of what may be invoiced, that no invoice asks for although there is one


@dataclass(frozen=True, slots=True)
class Expected:
    """The forecast as columns. By term (of `codes`) unless it is by part; days NEVER where there is none."""

    as_of: int
    heads: Sequence[Head]
    owner: Ints  # index into `heads`
    codes: Sequence[str]
    blockers: Sequence[Sequence[Any]]
    status: Ints
    gross: Ints
    paid: Ints
    ready: Days
    due: Days
    late: Ints  # days added
    customers: Sequence[str]
    customer: Ints
    behaviour: Spread  # by customer
    part_term: Ints
    part_day: Days
    part_due: Days
    part_minor: Ints
    part_basis: Ints
    part_assumed: Ints  # index into ASSUMED, -1 where the invoice is real or nothing rests on it
    part_weekdays: Mask  # its due date lies beyond the last day its calendar knows

    @property
    def overdue(self) -> Mask:
        """By part: it should have come before the day of the forecast."""
        return np.asarray((self.part_due < self.as_of) & (self.part_day < NEVER))

    @property
    def part_effective(self) -> Days:
        """By part: the day on which it is expected now; what should have come is expected at once."""
        return np.where(self.part_day < NEVER, np.maximum(self.part_day, self.as_of), NEVER).astype(np.int32)


def expected_cash(connection: Connection, as_of: int, calendars_of: CalendarsOf) -> Expected:
    """The forecast of a day, by what the store knew up to it."""
    terms = _terms(connection, as_of)
    numbers = np.concatenate(terms.numbers) if terms.numbers else np.zeros((0, 7), np.int64)
    owner = np.repeat(np.arange(len(terms.heads)), terms.sizes).astype(np.int64)
    names: dict[str, int] = {}
    of_head = np.array([names.setdefault(h.customer, len(names)) for h in terms.heads], dtype=np.int64)
    customer = of_head[owner] if len(owner) else np.zeros(0, np.int64)
    index = {(terms.heads[o].id, c): i for i, (o, c) in enumerate(zip(owner.tolist(), terms.codes, strict=True))}
    claimed = _claimed(connection, index, as_of)
    overlay = Overlay(connection, as_of)
    status, known, legal, expected, gross, due, outstanding = numbers.T
    agreed = _extended(overlay, index, due)
    active = np.array([h.active for h in terms.heads], dtype=bool)[owner]
    rest = np.where(active, _rest(status, gross, claimed), 0)
    status = np.where((status == PAID) & (rest > 0), PART_PAID, status)
    paid_off = (status == PAID) & (agreed < NEVER) & (claimed.last_paid < NEVER) & claimed.telling
    late_days = claimed.last_paid[paid_off].astype(np.int64) - agreed[paid_off]
    behaviour = spread(customer[paid_off], late_days, len(names))
    late = behaviour.typical[customer]
    ready = np.where(status == NOT_READY, _ahead(expected, as_of + 1), known)
    known_to = _Known(status, known, legal, expected, ready, customer, len(names), claimed, rest, terms, as_of)
    start, issue, assumed = _starts(known_to, claimed.invoiced < NEVER)
    due, beyond = _due(terms, owner, start, due, calendars_of)
    # Money may come before the invoice.
    minor = np.where(status <= READY, np.maximum(gross - claimed.paid, 0), outstanding)
    live = ((status == NOT_READY) | (status == READY) | (status == INVOICED) | (status == PART_PAID)) & (minor > 0)
    day = _paid_on(due, issue, late)
    basis = np.select([status == NOT_READY, status == READY], [PLANNED, IS_READY], IS_INVOICED)
    basis = np.where(due < NEVER, basis, _undated(status, ready, beyond, claimed.invoiced == NO_DAY))
    parts = _parts(connection, overlay, index, live, minor, due, day, basis, late, as_of)
    rows = _assumptions(parts, np.where(due < NEVER, assumed, -1), beyond & (due < NEVER))
    if rest.any():
        rows = _with_rest(rows, _still_to_invoice(known_to, owner, late, calendars_of, _held(overlay, index)))
    return Expected(
        as_of, terms.heads, owner, terms.codes, terms.blockers, status, gross, claimed.paid, ready.astype(np.int32),
        due.astype(np.int32), late, tuple(names), customer, behaviour, *rows,
    )  # fmt: skip


def _rest(status: Ints, gross: Ints, claimed: Claimed) -> Ints:
    """What is still to be invoiced of terms that have an invoice, less what was paid beyond that."""
    invoiced = (status == INVOICED) | (status == PART_PAID) | (status == PAID)
    return np.where(invoiced, np.maximum(claimed.rest - np.maximum(claimed.paid - gross, 0), 0), 0)


def _paid_on(due: Ints, issue: Ints, late: Ints) -> Ints:
    """The day of the money: as late as the customer usually is, never before the invoice."""
    return np.where(due < NEVER, np.maximum(due + late, np.where(issue < NEVER, issue, 0)), NEVER)


def _ahead(days: Ints, first: int) -> Ints:
    return np.where(days < NEVER, np.maximum(days, first), NEVER)


# --- the ledgers ---------------------------------------------------------------------------------------

_INVOICES = """
SELECT i.contract_id, t.code, i.issued_day, i.received_day, i.number, i.gross,
(SELECT SUM(k.gross) FROM credits k WHERE k.invoice_id = i.id AND k.day <= :d) FROM invoices i
JOIN terms t ON t.id = i.term_id WHERE i.cancelled_day IS NULL AND i.issued_day <= :d ORDER BY i.issued_day DESC, i.id DESC
"""
#: A booking that was taken back goes together with what takes it back: neither is a day on which a customer paid.
_RECEIPTS = """
SELECT r.contract_id, t.code, COALESCE(r.maturity_day, r.day), r.gross, r.method FROM receipts r
JOIN terms t ON t.id = r.term_id WHERE COALESCE(r.maturity_day, r.day) <= :d AND r.reverses IS NULL
AND NOT EXISTS (SELECT 1 FROM receipts x WHERE x.reverses = r.id AND x.day <= :d)
"""
#: Terms of which less was invoiced than their ready record says. What a credit note took off later stays invoiced.
_RESTS = """
SELECT r.contract_id, t.code, r.gross - SUM(i.gross) FROM ready_records r JOIN terms t ON t.id = r.term_id
JOIN invoices i ON i.contract_id = r.contract_id AND i.term_id = r.term_id AND i.cancelled_day IS NULL AND i.issued_day <= :d
WHERE r.noticed_day <= :d AND NOT EXISTS (SELECT 1 FROM withdrawals w WHERE w.record_id = r.record_id AND w.withdrawn_day <= :d)
AND (i.gross IS NULL OR i.gross > (SELECT COALESCE(SUM(k.gross), 0) FROM credits k
WHERE k.contract_id = i.contract_id AND k.invoice_id = i.id AND k.day <= :d))
GROUP BY r.record_id, r.contract_id, t.code, r.gross
HAVING SUM(i.gross) < r.gross AND COUNT(i.gross) = COUNT(*)
"""


def _claimed(connection: Connection, index: Mapping[Key, int], as_of: int) -> Claimed:
    size = len(index)
    never = np.full(size, NEVER, np.int32)
    found = Claimed(
        never, never.copy(), np.zeros(size, np.int64), never.copy(), np.ones(size, bool), np.zeros(size, np.int64)
    )
    opened: dict[int, int] = {}
    for contract, code, issued, received, number, gross, credit in fetch(connection, _INVOICES, {"d": as_of}):
        at = index.get((contract, code))
        if at is None or (credit is not None and gross is not None and credit >= gross):
            continue
        found.invoiced[at] = issued
        found.received[at] = NEVER if received is None or received > as_of else received
        if number == OPENING:
            opened[at] = issued
    for contract, code, day, gross, method in fetch(connection, _RECEIPTS, {"d": as_of}):
        at = index.get((contract, code))
        if at is None:
            continue
        found.paid[at] += gross
        if gross > 0:
            last = int(found.last_paid[at])
            found.last_paid[at] = day if last >= NEVER else max(last, day)
            found.telling[at] &= method != OPENING or day != opened.get(at)
    for contract, code, rest in fetch(connection, _RESTS, {"d": as_of}):
        at = index.get((contract, code))
        if at is not None:
            found.rest[at] = int(rest)
    return found


def _extended(overlay: Overlay, index: Mapping[Key, int], due: Ints) -> Ints:
    """Due dates as agreed; the last instalment of a plan is when all of it was to be paid."""
    agreed = due.copy()
    for key, rows in overlay.agreements.items():
        at = index.get(key)
        until = [r[2] for r in rows if r[0] in ("extension", "instalment")]
        if at is not None and until and agreed[at] < NEVER:
            agreed[at] = max(int(agreed[at]), *until)
    return agreed


# --- from readiness to the due date --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Known:
    """By term what is known of it; whose customer it is."""

    status: Ints
    known: Ints
    legal: Ints
    expected: Ints
    ready: Ints
    customer: Ints
    customers: int
    claimed: Claimed
    rest: Ints
    terms: Terms
    as_of: int


def _starts(of: _Known, real: Mask) -> tuple[Ints, Ints, Ints]:
    """By term: where its payment period starts, its invoice date, and whose habit the latter is assumed by.

    `real`: its invoice is the one that is there; else another one is assumed.
    """
    status, customer, claimed = of.status, of.customer, of.claimed
    invoiced, received = claimed.invoiced.astype(np.int64), claimed.received.astype(np.int64)
    proven = (invoiced < NEVER) & (of.known < NEVER) & (status >= INVOICED) & claimed.telling
    days, source = habit(customer[proven], (invoiced - of.known)[proven], of.customers)
    assumed_on = _ahead(np.where(of.ready < NEVER, of.ready + np.maximum(days[customer], 0), NEVER), of.as_of)
    issue = np.where(real, invoiced, assumed_on)
    handed = (invoiced < NEVER) & (received < NEVER) & claimed.telling & (status >= INVOICED)
    post, _ = habit(customer[handed], (received - invoiced)[handed], of.customers)
    arrived = np.where(issue < NEVER, issue + np.maximum(post[customer], 0), NEVER)
    arrived = np.where(real & (received < NEVER), received, np.where(real, _ahead(arrived, of.as_of), arrived))
    waited = np.where((of.known < NEVER) & (of.known == of.expected), of.legal, of.ready)
    from_ready = np.where(status == NOT_READY, waited, of.legal)
    rule = np.concatenate([r["start"] for r in of.terms.rules]) if of.terms.rules else np.zeros(0, np.uint8)
    kinds = [rule == Start.READY, rule == Start.INVOICE_DATE, rule == Start.INVOICE_RECEIVED]
    start = np.select(kinds, [from_ready, issue, arrived], NEVER)
    return start, issue, np.where(real | (rule == Start.READY), -1, source[customer] if of.customers else -1)


def _due(terms: Terms, owner: Ints, start: Ints, due: Ints, calendars_of: CalendarsOf) -> tuple[Ints, Mask]:
    """The decided due date, else that of the assumed start; and where Monday to Friday stand in for the calendar."""
    out, beyond = due.copy(), np.zeros(len(due), bool)
    pick = np.flatnonzero((due >= NEVER) & (start < NEVER))
    if not len(pick):
        return out, beyond
    names = sorted(set(terms.calendar))
    codes = {n: i for i, n in enumerate(names)}
    code = np.array([codes[c] for c in terms.calendar], dtype=np.int64)[owner[pick]]
    rules, first = np.concatenate(terms.rules)[pick], start[pick].astype(np.int32)
    specs = calendars_of(names)
    out[pick], beyond[pick] = due_of(rules, first, code, Calendars.named(names, specs))
    late = beyond[pick]
    if late.any():
        longer = Calendars.named(names, {n: _longer(s) for n, s in specs.items()})
        out[pick[late]], _ = due_of(rules[late], first[late], code[late], longer)
    return out, beyond


def _longer(spec: CalendarSpec) -> CalendarSpec:
    return replace(spec, horizon=date(spec.horizon.year + YEARS_AHEAD, 12, 31))


def _undated(status: Ints, ready: Ints, beyond: Mask, unsaid: Mask) -> Ints:
    """Why a term has no day. `unsaid`: nobody says when it was invoiced."""
    waits = (status == NOT_READY) & (ready >= NEVER)
    return np.select([waits, unsaid, beyond], [NO_PLAN, NO_INVOICE_DATE, HORIZON], NO_RULE)


# --- parts ---------------------------------------------------------------------------------------------

Row = tuple[int, int, int, int, int]  # term, day, due, minor, basis


def _parts(
    connection: Connection,
    overlay: Overlay,
    index: Mapping[Key, int],
    live: Mask,
    minor: Ints,
    due: Ints,
    day: Ints,
    basis: Ints,
    late: Ints,
    as_of: int,
) -> tuple[Ints, Days, Days, Ints, Ints]:
    """One part a term, more where bills, disputes, promises and plans divide it."""
    bills = _bills(connection, as_of)
    special: list[Row] = []
    plain = live.copy()
    for key in {**overlay.agreements, **overlay.touches, **overlay.holds, **bills}:
        at = index.get(key)
        if at is not None and live[at]:
            plain[at] = False
            one = (at, int(day[at]), int(due[at]), int(minor[at]), int(basis[at]))
            special += _divided(overlay, key, one, int(late[at]), bills.get(key, ()))
    rows = np.flatnonzero(plain)
    more = np.array(special, dtype=np.int64).reshape(-1, 5)
    term = np.concatenate([rows, more[:, 0]])
    order = np.argsort(term, kind="stable")
    columns = (day[rows], due[rows], minor[rows], basis[rows])
    days, dues, minors, bases = (np.concatenate([c, more[:, k]])[order] for k, c in enumerate(columns, start=1))
    return term[order], days.astype(np.int32), dues.astype(np.int32), minors, bases


Columns = tuple[Ints, Days, Days, Ints, Ints, Ints, Mask]  # those of the parts of `Expected`


def _assumptions(parts: tuple[Ints, Days, Days, Ints, Ints], assumed: Ints, weekdays: Mask) -> Columns:
    """The parts, with what the day of their term rests on."""
    return (*parts, assumed[parts[0]], weekdays[parts[0]])


def _held(overlay: Overlay, index: Mapping[Key, int]) -> Mask:
    """By term: a person keeps it off the list."""
    held = np.zeros(len(index), bool)
    for key in overlay.holds:
        at = index.get(key)
        if at is not None:
            held[at] = overlay.held(key) >= NEVER
    return held


def _still_to_invoice(of: _Known, owner: Ints, late: Ints, calendars_of: CalendarsOf, held: Mask) -> Columns:
    """What a term may ask for beside its invoices, as the part of a ready term; without a day while it is held."""
    term = np.flatnonzero(of.rest > 0)
    real = of.claimed.invoiced < NEVER
    real[term] = False
    start, issue, assumed = _starts(of, real)
    unknown = np.zeros(len(start), np.int64)
    unknown[term] = NEVER
    due, beyond = _due(of.terms, owner, start, unknown, calendars_of)
    day = _paid_on(due, issue, late)
    basis = np.where(
        due < NEVER, IS_READY, _undated(np.full(len(due), READY), of.ready, beyond, np.zeros(len(due), bool))
    )
    day, due, basis = (np.where(held, what, x)[term] for what, x in ((NEVER, day), (NEVER, due), (HELD, basis)))
    rests, known = of.rest[term], due < NEVER
    days = day.astype(np.int32), due.astype(np.int32)
    return term, *days, rests, basis, np.where(known, assumed[term], -1), beyond[term] & known


def _with_rest(parts: Columns, rest: Columns) -> Columns:
    """The parts of one term side by side."""
    term, day, due, minor, basis, assumed, weekdays = (np.concatenate([a, b]) for a, b in zip(parts, rest, strict=True))
    by = np.argsort(term, kind="stable")
    return term[by], day[by], due[by], minor[by], basis[by], assumed[by], weekdays[by]


def _bills(connection: Connection, as_of: int) -> dict[Key, list[tuple[int, int]]]:
    """Bills in hand, not those that bounced: (maturity day, gross)."""
    found: dict[Key, list[tuple[int, int]]] = {}
    for contract, code, day, gross in fetch(
        connection,
        "SELECT r.contract_id, t.code, r.maturity_day, r.gross FROM receipts r JOIN terms t ON t.id = r.term_id "
        "WHERE r.maturity_day > :d AND r.day <= :d AND r.reverses IS NULL AND NOT EXISTS "
        "(SELECT 1 FROM receipts x WHERE x.reverses = r.id AND x.day <= :d) ORDER BY r.maturity_day, r.id",
        {"d": as_of},
    ):
        found.setdefault((contract, code), []).append((day, gross))
    return found


def _divided(overlay: Overlay, key: Key, one: Row, late: int, bills: Iterable[tuple[int, int]]) -> list[Row]:
    """Bills on their maturity, what is in dispute or held without a day, what is promised on its day, then the plan."""
    at, day, due, left, basis = one
    rows: list[Row] = []

    def take(minor: int, on: int, owed: int, what: int) -> None:
        nonlocal left
        part = min(left, minor)
        if part > 0:
            rows.append((at, on, owed, part, what))
            left -= part

    for maturity, gross in bills:
        take(gross, maturity, maturity, BILL)
    if overlay.held(key) >= NEVER:
        take(left, NEVER, NEVER, HELD)
    credited = [r[0] for r in overlay.credits.get(key, [])]
    take(disputed(overlay.touches.get(key, []), left, credited), NEVER, NEVER, DISPUTED)
    promise = overlay.promise(key)
    if promise is not None:
        kept = paid_between(overlay.paid(key), promise.made, to_date(overlay.as_of))
        take(promise.minor - kept, day_number(promise.pay_by), day_number(promise.pay_by), PROMISE)
    planned = overlay.plan(key, left, due) if left else []
    for on, minor in planned:
        take(minor, on + late if on < NEVER else NEVER, on, INSTALMENT if on < NEVER else NO_RULE)
    extended = [r[2] for r in overlay.agreements.get(key, []) if r[0] == "extension"]
    if extended and due < NEVER and extended[-1] > due:
        take(left, extended[-1] + late, extended[-1], EXTENSION)
    take(left, day, due, basis)
    return rows
