"""Reminders: who is owed one today, in which words, and the night's record of it.

A reminder is a draft; nobody is written to from here. It is owed once for each level and due date of a term, so
a part-paid term stays in, and a term whose date was moved by an agreement begins again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import orjson
from sqlalchemy.engine import Connection

from connectors.store.bulk import fetch
from flows.steps.evaluation.columns import as_date, day_number
from flows.steps.receivables.agreements import PromiseLine, Touch, add_touches, promises, terms_by_name
from flows.steps.receivables.clocks import clock_findings
from flows.steps.receivables.columns import OpenTerms, reminders_due
from flows.steps.receivables.guarantees import guarantee_findings
from flows.steps.receivables.standing import numbers, open_terms
from models.domain.findings import Finding, Place, Severity
from models.domain.money import amount_text, minor_digits
from models.domain.receivables.agreements import PromiseState
from models.domain.receivables.dunning import ACTION_FOR, DelayReason
from models.domain.words import catalogue, say

#: Levels above have the words of the last one.
WORDED_LEVELS = 5


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
    language: str
    to: tuple[str, ...]

    @property
    def which(self) -> str:
        """As people name the term."""
        return f"{self.contract}/{self.term}"

    @property
    def action(self) -> str | None:
        """What the reason suggests."""
        return ACTION_FOR[DelayReason(self.reason)].value if self.reason else None

    def text(self) -> str:
        """The draft, in the contact's language."""
        late = "late" if self.days > 0 else "early"
        key = f"reminder.{late}_{min(max(self.level, 1), WORDED_LEVELS)}"
        words = catalogue(self.language)
        amount = f"{self.currency} {amount_text(self.asked, minor_digits(self.currency))}"
        params = {"contract": self.contract, "term": self.term, "customer": self.customer, "amount": amount, "due": self.due.isoformat(), "days": abs(self.days)}  # fmt: skip
        return say(key if key in words else f"reminder.{late}_1", self.language, **params)


def reminders(connection: Connection, as_of: date) -> list[Reminder]:
    """The reminders owed on a day, the longest overdue first."""
    return owed(connection, open_terms(connection, day_number(as_of)), as_of)


def owed(connection: Connection, terms: OpenTerms, as_of: date) -> list[Reminder]:
    """The reminders that open terms call for."""
    mask, levels = reminders_due(terms, day_number(as_of))
    names, contacts, reasons = numbers(connection), _contacts(connection, terms, mask), _reasons(connection, as_of)
    found = [_one(terms, i, int(levels[i]), as_of, names, contacts, reasons) for i in np.flatnonzero(mask).tolist()]
    return sorted(found, key=lambda r: (-r.days, r.contract, r.term))


def _one(
    terms: OpenTerms,
    i: int,
    level: int,
    as_of: date,
    names: Mapping[int, str],
    contacts: Mapping[int, tuple[str, tuple[str, ...]]],
    reasons: Mapping[tuple[int, str], str],
) -> Reminder:
    contract, term, due = int(terms.contract[i]), str(terms.term[i]), as_date(int(terms.due[i]))
    assert due is not None
    language, to = contacts.get(contract, ("zh-CN", ()))
    return Reminder(
        names[contract], term, terms.customers[terms.customer[i]], terms.currencies[terms.currency[i]],
        int(terms.open[i]), int(terms.open[i] - terms.covered[i]), due, (as_of - due).days, level,
        reasons.get((contract, term)), language, to,
    )  # fmt: skip


def _contacts(connection: Connection, terms: OpenTerms, mask: Any) -> dict[int, tuple[str, tuple[str, ...]]]:
    """Language and addresses of the customer's contacts, of the contracts concerned."""
    wanted = {int(c) for c in terms.contract[mask]}
    found = {}
    for contract, text in fetch(
        connection,
        "SELECT c.id, v.long_form FROM contracts c JOIN contract_versions v ON v.id = c.version_id "
        "WHERE c.active AND v.long_form LIKE '%customer_payer%'",
    ):
        if contract in wanted:
            own = [c for c in orjson.loads(text).get("contacts", ()) if c["role"] == "customer_payer"]
            emails = tuple(c["email"] for c in own if c.get("email"))
            found[contract] = (own[0].get("language", "zh-CN") if own else "zh-CN", emails)
    return found


def _reasons(connection: Connection, as_of: date) -> dict[tuple[int, str], str]:
    rows = fetch(
        connection,
        "SELECT r.contract_id, t.code, r.code FROM reminders r JOIN terms t ON t.id = r.term_id "
        "WHERE r.kind = 'reason' AND r.day <= :d ORDER BY r.id",
        {"d": day_number(as_of)},
    )
    return {(contract, term): code for contract, term, code in rows}


# --- the night -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Followed:
    """What the night found of the money: reminders drafted, and what a person should know."""

    drafted: int
    findings: tuple[Finding, ...]


def follow(connection: Connection, as_of: date, recorded_at: int, *, dry_run: bool = False) -> Followed:
    """Draft the reminders owed, each once; notice broken promises and guarantees that run out."""
    live = not _before_go_live(connection)
    broken = [p for p in promises(connection, as_of) if p.state is PromiseState.BROKEN]
    drafted, findings = 0, guarantee_findings(connection, as_of)
    if live or broken:  # else nobody asks what is open, and a night with much of it stays short
        terms = open_terms(connection, day_number(as_of))
        findings = [*_broken(broken, _names(connection, terms)), *clock_findings(connection, terms, as_of), *findings]
        if live and not dry_run:
            drafted = _draft(connection, owed(connection, terms, as_of), as_of, recorded_at)
    return Followed(drafted, tuple(findings))


def _names(connection: Connection, terms: OpenTerms) -> set[str]:
    """CONTRACT/TERM of everything open."""
    names = numbers(connection)
    return {f"{names[int(c)]}/{t}" for c, t in zip(terms.contract.tolist(), terms.term.tolist(), strict=True)}


def _before_go_live(connection: Connection) -> bool:
    """Until then nothing is sent or drafted: what was overdue before is not news."""
    return not fetch(connection, "SELECT 1 FROM settings WHERE key = 'go_live'")


def _draft(connection: Connection, owed_: Sequence[Reminder], as_of: date, recorded_at: int) -> int:
    """Written down once for each term, level and due date."""
    owners = terms_by_name(connection) if owed_ else {}
    touches = [
        (owners[r.which], Touch("reminder", as_of, "draft", "night", None, None, r.asked, r.level, day_number(r.due)))
        for r in owed_
    ]
    return add_touches(connection, touches, recorded_at)


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
                "amount": f"{p.currency} {amount_text(p.promise.minor, minor_digits(p.currency))}",
            },
        )
        for p in promised
        if p.which in open_
    ]
