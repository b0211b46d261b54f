"""Reminders: who is owed one today, in which words, and the night's record of it.

A reminder is a draft, unless its contract says `reminders: send` and a mail entry listens for customers: then the
night owes it to the outbox. It is owed once for each level and due date of a term, so a part-paid term stays in,
and a term whose date was moved by an agreement begins again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from connectors.store.bulk import fetch, wanted_ids
from flows.steps.evaluation.columns import day_number
from flows.steps.post import owe
from flows.steps.receivables.agreements import PromiseLine, Touch, add_touches, promises, said, terms_by_name
from flows.steps.receivables.clocks import clock_findings
from flows.steps.receivables.columns import OpenTerms, reminders_due
from flows.steps.receivables.credit_balances import credit_balances
from flows.steps.receivables.guarantees import guarantee_findings
from flows.steps.receivables.standing import numbers, open_terms, pauses_of, to_date
from models.domain.findings import Finding, Place, Severity
from models.domain.money import amount_text, minor_digits
from models.domain.notice_texts import reminder_notice
from models.domain.notices import Notice, NoticeKind
from models.domain.receivables.agreements import PromiseState
from models.domain.receivables.dunning import ACTION_FOR, FORMAL_FROM, DelayReason, Ladders, Pause, Tone, tone_on
from models.domain.words import catalogue, say
from models.tables import outbox

#: Levels above have the words of the last one.
WORDED_LEVELS = 5
#: However late a term is, the first reminder of it has the words of this level at most.
FIRST_WORDS = 2


_NO_LADDERS: Ladders = {}


@dataclass(frozen=True, slots=True)
class PayerContact:
    """Whoever at the customer is reminded; `tone` None: as the ladder says."""

    email: str | None
    language: str
    tone: Tone | None = None


NOBODY = PayerContact(None, "zh-CN")


@dataclass(frozen=True, slots=True)
class Reminder:
    """One reminder owed. `asked` is what is open less what bills cover and what is in dispute."""

    contract: str
    term: str
    customer: str
    currency: str
    open: int
    asked: int
    due: date
    days: int  # after the due date; before it where negative
    level: int
    reason: str | None  # a DelayReason, if somebody found one out
    payers: tuple[PayerContact, ...]
    sends: bool  # the contract has its reminders sent
    name: str
    step_tone: Tone | None
    spoken: int  # the level whose words are used

    @property
    def to(self) -> tuple[str, ...]:
        """The addresses."""
        return tuple(p.email for p in self.payers if p.email)

    @property
    def language(self) -> str:
        """Of the first contact."""
        return self.payers[0].language if self.payers else "zh-CN"

    @property
    def tone(self) -> str | None:
        """As the first contact is spoken to."""
        own = self._tone(self.payers[0]) if self.payers else self._tone(NOBODY)
        return own.value if own else None

    @property
    def which(self) -> str:
        """As people name the term."""
        return f"{self.contract}/{self.term}"

    @property
    def action(self) -> str | None:
        """What the reason suggests."""
        return ACTION_FOR[DelayReason(self.reason)].value if self.reason else None

    def _tone(self, to: PayerContact) -> Tone | None:
        """A contact's own tone before the ladder's; a demand is always formal."""
        return Tone.FORMAL if self.spoken >= FORMAL_FROM else to.tone or self.step_tone

    def text(self, to: PayerContact | None = None) -> str:
        """The draft, in the language and tone of a contact (the first one)."""
        to = to or (self.payers[0] if self.payers else NOBODY)
        when = "late" if self.days > 0 else "due" if self.days == 0 else "early"
        level = min(max(self.spoken, 1), WORDED_LEVELS)
        tone = self._tone(to)
        words = catalogue(to.language)
        wanted = (
            [f"reminder.{tone.value}.{when}_{level}", f"reminder.{tone.value}.{when}_1"]
            if tone and level < FORMAL_FROM
            else []
        )
        keys = [*wanted, f"reminder.{when}_{level}", f"reminder.{when}_1"]
        amount = f"{self.currency} {amount_text(self.asked, minor_digits(self.currency))}"
        params = {"contract": self.contract, "term": self.name, "customer": self.customer, "amount": amount, "due": self.due.isoformat(), "days": abs(self.days)}  # fmt: skip
        return say(next(k for k in keys if k in words), to.language, **params)

    def notices(self) -> list[Notice]:
        """One for each contact with an address."""
        return [
            reminder_notice(p.email, p.language, (self.contract, self.term), (self.level, self.due), {"name": self.name, "text": self.text(p), "spoken": self.spoken})
            for p in self.payers if p.email
        ]  # fmt: skip


def reminders(connection: Connection, as_of: date, ladders: Ladders = _NO_LADDERS) -> list[Reminder]:
    """The reminders owed on a day, the longest overdue first."""
    return owed(connection, open_terms(connection, day_number(as_of), ladders), as_of)


def owed(connection: Connection, terms: OpenTerms, as_of: date) -> list[Reminder]:
    """The reminders that open terms call for."""
    mask, levels = reminders_due(terms, day_number(as_of))
    around = _Around(numbers(connection), _agreed(connection, terms, mask), _reasons(connection, as_of))
    found = [_one(terms, i, int(levels[i]), as_of, around) for i in np.flatnonzero(mask).tolist()]
    return sorted(found, key=lambda r: (-r.days, r.contract, r.term))


@dataclass(frozen=True, slots=True)
class _Agreed:
    """What a contract says about reminding its customer."""

    payers: tuple[PayerContact, ...] = ()
    sends: bool = False
    names: Mapping[str, str] = field(default_factory=dict)  # of terms, by code


@dataclass(frozen=True, slots=True)
class _Around:
    """What a reminder needs beside the open term."""

    numbers: Mapping[int, str]
    agreed: Mapping[int, _Agreed]
    reasons: Mapping[tuple[int, str], str]


def _one(terms: OpenTerms, i: int, level: int, as_of: date, around: _Around, spoken: int | None = None) -> Reminder:
    """`spoken`: as said before; else of the level, but who was never reminded is not told "in spite of our reminders"."""
    if spoken is None:
        spoken = min(level, FIRST_WORDS) if not terms.reminded[i] else level
    contract, term, due = int(terms.contract[i]), str(terms.term[i]), to_date(int(terms.due[i]))
    agreed = around.agreed.get(contract, _Agreed())
    ladder = terms.ladders[int(terms.ladder[i])]
    return Reminder(
        around.numbers[contract], term, terms.customers[terms.customer[i]], terms.currencies[terms.currency[i]],
        int(terms.open[i]), int(terms.open[i] - terms.covered[i]), due, (as_of - due).days, level,
        around.reasons.get((contract, term)), agreed.payers, agreed.sends, agreed.names.get(term, term),
        tone_on(ladder, level), spoken,
    )  # fmt: skip


def _agreed(connection: Connection, terms: OpenTerms, mask: Any) -> dict[int, _Agreed]:
    """Of the contracts concerned: whom to write to and how, and whether it is sent."""
    wanted = sorted({int(c) for c in terms.contract[mask]})
    if not wanted:
        return {}
    table = wanted_ids(connection, wanted)
    return {
        contract: _read_agreed(orjson.loads(text))
        for contract, text in fetch(
            connection,
            "SELECT c.id, v.long_form FROM contracts c JOIN contract_versions v ON v.id = c.version_id "
            f"JOIN {table} w ON w.id = c.id",
        )
    }


def _read_agreed(body: Mapping[str, Any]) -> _Agreed:
    own = [c for c in body.get("contacts", ()) if c["role"] == "customer_payer"]
    payers = tuple(
        PayerContact(c.get("email"), c.get("language", "zh-CN"), Tone(c["tone"]) if c.get("tone") else None)
        for c in own
    )
    return _Agreed(payers, body.get("reminders") == "send", {t["id"]: t.get("name", t["id"]) for t in body["terms"]})


def _reasons(connection: Connection, as_of: date) -> dict[tuple[int, str], str]:
    rows = fetch(
        connection,
        "SELECT r.contract_id, t.code, r.code FROM reminders r JOIN terms t ON t.id = r.term_id "
        "WHERE r.kind = 'reason' AND r.day <= :d ORDER BY r.id",
        {"d": day_number(as_of)},
    )
    return {(contract, term): code for contract, term, code in rows}


@dataclass(frozen=True, slots=True)
class PausedLine:
    """What is open and not asked for, or not in full, and why."""

    which: str
    customer: str
    currency: str
    open: int
    asked: int  # the rest that reminders ask for; 0 where a promise or a hold stops them all
    pauses: tuple[Pause, ...]


def paused(connection: Connection, as_of: date, ladders: Ladders = _NO_LADDERS) -> list[PausedLine]:
    """Everything that keeps reminders back on a day."""
    day = day_number(as_of)
    terms, names = open_terms(connection, day, ladders), numbers(connection)
    return [
        PausedLine(
            f"{names[int(terms.contract[i])]}/{terms.term[i]}", terms.customers[terms.customer[i]],
            terms.currencies[terms.currency[i]], int(terms.open[i]),
            0 if terms.paused[i] >= day else int(terms.open[i] - terms.covered[i]), tuple(pauses),
        )
        for i, pauses in pauses_of(connection, terms, day).items()
    ]  # fmt: skip


# --- the night -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReminderRules:
    """What the configuration says: ladders by class, and the mail entries through which customers are written to."""

    ladders: Ladders = field(default_factory=dict)
    ways_out: tuple[frozenset[str] | None, ...] = ()  # the contracts of each entry; None: all

    def reaches(self, contract: str) -> bool:
        """Is there a way to write to this contract's customer?"""
        return any(only is None or contract in only for only in self.ways_out)


@dataclass(frozen=True, slots=True)
class Followed:
    """What the night found of the money: reminders drafted or owed to customers, and what a person should know."""

    drafted: int
    findings: tuple[Finding, ...]


def follow(
    connection: Connection,
    as_of: date,
    recorded_at: int,
    rules: ReminderRules = ReminderRules(),
    *,
    dry_run: bool = False,
) -> Followed:
    """Draft or owe the reminders due, each once; notice broken promises, credit balances, guarantees that run out."""
    live = not _before_go_live(connection)
    broken = [p for p in promises(connection, as_of) if p.state is PromiseState.BROKEN]
    drafted, findings = 0, [*guarantee_findings(connection, as_of), *_unknown_classes(connection, rules.ladders)]
    findings += credit_balances(connection, as_of)
    if live or broken:  # else nobody asks what is open, and a night with much of it stays short
        terms = open_terms(connection, day_number(as_of), rules.ladders)
        findings = [*_broken(broken, _names(connection, terms)), *clock_findings(connection, terms, as_of), *findings]
        if live and not dry_run:
            found = owed(connection, terms, as_of)
            findings += [_unsent(r) for r in found if r.sends and not _goes_out(r, rules)]
            _refresh(connection, terms, as_of)
            drafted = _draft(connection, found, as_of, recorded_at, rules)
    return Followed(drafted, tuple(findings))


def _goes_out(reminder: Reminder, rules: ReminderRules) -> bool:
    return reminder.sends and bool(reminder.to) and rules.reaches(reminder.contract)


def _unsent(reminder: Reminder) -> Finding:
    """The contract wants it sent, and nothing can."""
    why = "reminder_no_way" if reminder.to else "reminder_no_address"
    place = Place(contract=reminder.contract, term=reminder.term)
    return Finding("REMINDER_NOT_SENT", Severity.WARNING, place, {"which": reminder.which, "why": why})


def _unknown_classes(connection: Connection, ladders: Ladders) -> list[Finding]:
    """Contracts whose customer class has no ladder; the default's is used meanwhile."""
    found = []
    for number, text in fetch(
        connection,
        "SELECT c.number, v.long_form FROM contracts c JOIN contract_versions v ON v.id = c.version_id "
        "WHERE c.active AND v.long_form LIKE '%\"customer_class\"%' ORDER BY c.number",
    ):
        body = orjson.loads(text)
        own = str(body.get("customer_class", ""))
        found += class_finding(number, own, ladders, Place(contract=number)) if "ladder" not in body else []
    return found


def class_finding(contract: str, customer_class: str, ladders: Ladders, place: Place) -> list[Finding]:
    """The customer class of a contract, where the configuration has no ladder for it."""
    if not customer_class or customer_class in ladders:
        return []
    params = {"contract": contract, "found": customer_class, "known": ", ".join(sorted(ladders)) or "-"}
    return [Finding("LADDER_CLASS_UNKNOWN", Severity.WARNING, place, params)]


def _names(connection: Connection, terms: OpenTerms) -> set[str]:
    """CONTRACT/TERM of everything open."""
    names = numbers(connection)
    return {f"{names[int(c)]}/{t}" for c, t in zip(terms.contract.tolist(), terms.term.tolist(), strict=True)}


def _before_go_live(connection: Connection) -> bool:
    """Until then nothing is sent or drafted: what was overdue before is not news."""
    return not fetch(connection, "SELECT 1 FROM settings WHERE key = 'go_live'")


def _draft(
    connection: Connection, owed_: Sequence[Reminder], as_of: date, recorded_at: int, rules: ReminderRules
) -> int:
    """Written down once for each term, level and due date; in the same transaction owed to the outbox where sent."""
    owners = terms_by_name(connection) if owed_ else {}
    touches, notices = [], []
    for r in owed_:
        sent = _goes_out(r, rules)
        channel = "outbox" if sent else "draft"
        touches.append(
            (
                owners[r.which],
                Touch("reminder", as_of, channel, "night", None, None, r.asked, r.level, day_number(r.due)),
            )
        )
        notices += r.notices() if sent else []
    owe(connection, notices, recorded_at // 1_000_000)
    return add_touches(connection, touches, recorded_at)


def _refresh(connection: Connection, terms: OpenTerms, as_of: date) -> None:
    """Reminders that still wait for their channel: taken back where money, a promise or a hold came meanwhile,
    else with what is open today."""
    waiting = fetch(
        connection,
        "SELECT key, language, payload FROM outbox WHERE kind = :k AND delivered_at IS NULL AND dead_at IS NULL AND NOT draft",
        {"k": NoticeKind.REMINDER.value},
    )
    if not waiting:
        return
    bodies = {key: (language, orjson.loads(payload)) for key, language, payload in waiting}
    rows = _still_asked(connection, terms, as_of, {_claim(body) for _, body in bodies.values()})
    mask = np.isin(np.arange(len(terms)), list(rows.values()))
    around = _Around(numbers(connection), _agreed(connection, terms, mask), _reasons(connection, as_of))
    for key, (language, body) in bodies.items():
        row = rows.get(_claim(body))
        where = sa.update(outbox).where(outbox.c.key == key)
        if row is None:
            connection.execute(where.values(draft=True, last_error=say("cli.reminder_moot", language)))
            continue
        one = _one(terms, row, int(body["level"]), as_of, around, int(body["spoken"]))
        fresh = next((n.payload for n in one.notices() if n.key == key), body)
        connection.execute(where.values(payload=orjson.dumps(dict(fresh)).decode()))


_Claim = tuple[str, str, str]  # contract, term, due date


def _claim(body: Mapping[str, Any]) -> _Claim:
    return body["contract"], body["term"], body["due_on"]


def _still_asked(connection: Connection, terms: OpenTerms, as_of: date, wanted: set[_Claim]) -> dict[_Claim, int]:
    """The rows of these claims that are open, not covered and not paused."""
    names = numbers(connection)
    asked = (terms.open > terms.covered) & (terms.paused < day_number(as_of))
    found = (
        ((names[int(terms.contract[i])], str(terms.term[i]), to_date(int(terms.due[i])).isoformat()), i)
        for i in np.flatnonzero(asked).tolist()
    )
    return {claim: row for claim, row in found if claim in wanted}


def log_sent(connection: Connection, notice: Notice, at: int) -> None:
    """A reminder that its channel took: a touch with the number of the message as proof. `at` epoch seconds."""
    body = {k: str(v) for k, v in notice.payload.items()}
    owner = terms_by_name(connection).get(f"{body['contract']}/{body['term']}")
    if owner is None:  # the contract was taken out meanwhile; the outbox keeps that it was sent
        return
    moment = datetime.fromtimestamp(at, UTC)
    zone = fetch(connection, "SELECT timezone FROM contracts WHERE id = :c", {"c": owner.contract_id})[0][0]
    day = moment.astimezone(ZoneInfo(zone)).date()
    proof = f"{moment.isoformat(timespec='seconds')} -> {notice.recipient}; message {notice.key}"
    due = day_number(date.fromisoformat(body["due_on"]))
    touch = Touch("reminder", day, "mail", "night", proof, None, None, int(body["level"]), due)
    add_touches(connection, [(owner, touch)], at * 1_000_000)


def _broken(promised: Sequence[PromiseLine], open_: set[str]) -> list[Finding]:
    """Broken promises of what is still open."""
    return [
        Finding(
            "PROMISE_BROKEN",
            Severity.WARNING,
            Place(contract=p.which.rpartition("/")[0], term=p.which.rpartition("/")[2]),
            {
                "which": p.which,
                "day": p.promise.pay_by.isoformat(),
                "amount": said(p.promise.minor, p.currency),
                "came": said(p.came, p.currency),
                "missing": said(p.promise.minor - p.came, p.currency),
            },
        )
        for p in promised
        if p.which in open_
    ]
