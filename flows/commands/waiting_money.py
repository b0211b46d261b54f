"""Money that waits for a person, and the person's word: it pays this, it is nobody's, it was booked wrongly."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from flows import wiring
from flows.commands.shared import (
    Stop,
    command,
    day_of,
    grounds,
    out,
    person,
    print_findings,
    print_json,
    settings,
    table,
)
from models.domain.money import amount_text, minor_digits
from models.domain.words import say
from models.tables import bank_lines


def micros() -> int:
    """Now, in epoch microseconds."""
    return int(wiring.utc_now().timestamp() * 1_000_000)


def said_money(minor: int, currency: str) -> str:
    """An amount for people."""
    return f"{currency} {amount_text(minor, minor_digits(currency))}"


@contextmanager
def refusals(language: str) -> Iterator[None]:
    """What a step refuses, as a sentence."""
    from flows.steps.receivables.reading import Refused
    from models.domain.findings import Place

    try:
        yield
    except Refused as problem:
        raise Stop(problem.finding(Place()).text(language)) from None


def waiting_json(one: Any, names: dict[int, str] | None = None) -> dict[str, object]:
    """One waiting line with its proposals, for programs."""
    digits = minor_digits(one.currency)
    return {
        "line": one.line_id,
        "day": one.day.isoformat(),
        "amount": amount_text(one.minor, digits),
        "currency": one.currency,
        "payer": one.payer,
        "reference": one.reference,
        "proposals": [
            {
                "why": p.why.value,
                "allocations": [
                    {"term_id": int(a.claim), "which": (names or {}).get(int(a.claim)), "amount": amount_text(a.minor, digits)}
                    for a in p.allocations
                ],
            }
            for p in one.matching.proposals
        ],
    }  # fmt: skip


def show_waiting(waiting: Iterable[Any], language: str, names: dict[int, str] | None = None) -> None:
    """The waiting lines as a table."""
    rows = []
    for one in waiting:
        proposals = [
            f"{say('why.' + p.why.value, language)}: "
            + ", ".join(f"{(names or {}).get(int(a.claim), a.claim)} {said_money(a.minor, one.currency)}" for a in p.allocations)
            for p in one.matching.proposals
        ]  # fmt: skip
        rows.append(
            (one.line_id, one.day, said_money(one.minor, one.currency), one.payer, one.reference, "\n".join(proposals))
        )
    if rows:
        heads = [
            (say(f"cli.column.{k}", language), "left")
            for k in ("line", "day", "amount", "payer", "reference", "proposals")
        ]
        table(say("cli.title.waiting_money", language), heads, rows)


@command
def allocate(
    config: Path,
    line: int | None,
    which: str | None,
    amount: str | None,
    by: str | None,
    *,
    counts_as: str | None = None,
    aside: str | None = None,
    undo: str | None = None,
    returned: str | None = None,
    reason: str | None = None,
    as_json: bool,
    language: str,
) -> int:
    """What waits, with proposals; or a person's word on a bank line."""
    loaded = settings(config)
    store = wiring.the_store(loaded)
    words = [w for w in (which, aside, undo, returned) if w]
    if line is not None and words:
        by = person(by, language)
        if len(words) > 1:
            raise Stop(say("cli.one_word", language))
        if which:
            return _confirm(store, line, which, (amount, counts_as), by, language)
        if aside or undo:
            grounds(aside or undo or "", language)
        day = None if returned is None else day_of(returned, wiring.today(loaded))
        return _word(store, line, (aside, undo, day, reason or ""), by, language)
    if line is not None or words:
        raise Stop(say("cli.allocate_what", language))
    return _list_waiting(store, wiring.today(loaded), as_json=as_json, language=language)


def _list_waiting(store: Any, today: date, *, as_json: bool, language: str) -> int:
    from flows.steps.receivables.bank_money import waiting_money
    from flows.steps.receivables.claims import term_claims
    from flows.steps.receivables.credit_balances import credit_balances

    with store.read() as connection:
        waiting, owed_back = waiting_money(connection), credit_balances(connection, today)
        names = {t: f"{c.contract}/{c.term}" for t, c in term_claims(connection).items()}
    if as_json:
        print_json([waiting_json(w, names) for w in waiting])
    elif waiting:
        show_waiting(waiting, language, names)
    else:
        out.print(say("cli.nothing_waits", language))
    if not as_json:  # a program has them from the night's report
        print_findings(owed_back, language)
    return 1 if waiting or owed_back else 0


def _confirm(store: Any, line: int, which: str, sums: tuple[str | None, str | None], by: str, language: str) -> int:
    from flows.steps.receivables.agreements import find_term
    from flows.steps.receivables.bank_money import confirm
    from flows.steps.receivables.reading import agreed_amount

    with store.begin() as connection, refusals(language):
        currency = str(connection.execute(sa.select(bank_lines.c.currency).where(bank_lines.c.id == line)).scalar())
        owner = find_term(connection, which)
        amount, counts_as = sums
        minor = None if amount is None else agreed_amount(amount, currency)
        counts = None if counts_as is None else agreed_amount(counts_as, owner.currency)
        booked = confirm(connection, line, which, minor, by, micros(), counts)
    out.print(say("cli.allocated", language, which=which, amount=said_money(booked, owner.currency)))
    return 0


def _word(store: Any, line: int, said: tuple[str | None, str | None, date | None, str], by: str, language: str) -> int:
    from flows.steps.receivables import bank_money

    aside, undo, day, reason = said
    with store.begin() as connection, refusals(language):
        if aside is not None:
            bank_money.set_aside(connection, line, aside, by, micros())
        elif undo is not None:
            bank_money.undo(connection, line, undo, by, micros())
        elif day is not None:
            bank_money.returned(connection, line, day, reason, by, micros())
    key = "cli.line_aside" if aside is not None else "cli.line_undone" if undo is not None else "cli.line_returned"
    out.print(say(key, language, line=line))
    return 0
