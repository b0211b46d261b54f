"""From ready to paid: import invoices and payments, allocate what waits."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flows import wiring
from flows.commands.shared import Stop, command, day_of, out, print_findings, print_json, settings, table
from models.domain.findings import Finding, Severity
from models.domain.money import MoneyError, amount_text, minor_digits, to_minor
from models.domain.words import say


def micros() -> int:
    """Now, in epoch microseconds."""
    return int(wiring.utc_now().timestamp() * 1_000_000)


def said_money(minor: int, currency: str) -> str:
    """An amount for people."""
    return f"{currency} {amount_text(minor, minor_digits(currency))}"


def _file(file: Path, language: str) -> Path:
    if not file.is_file():
        raise Stop(say("cli.no_such_file", language, file=file))
    return file


def _findings(findings: Iterable[Finding], language: str) -> list[dict[str, object]]:
    return [
        {"code": f.code, "severity": f.severity.value, "place": str(f.place), "text": f.text(language)}
        for f in findings
    ]


@command
def import_invoices(config: Path, file: Path, *, as_of: str | None, as_json: bool, language: str) -> int:
    """Finance's list of invoices, or the ready list handed back: all or nothing, harmless to repeat."""
    from flows.steps.receivables.invoices import import_invoices as run

    loaded = settings(config)
    today = day_of(as_of, wiring.today(loaded))
    with wiring.the_store(loaded).begin() as connection:
        outcome = run(connection, _file(file, language), today, micros(), str(uuid.uuid4()))
    if as_json:
        print_json({"rows": outcome.rows, "new": outcome.new, "findings": _findings(outcome.findings, language)})
    else:
        print_findings(outcome.findings, language)
        out.print(
            say("cli.import_refused" if outcome.refused else "cli.imported", language, n=outcome.rows, new=outcome.new)
        )
    return 2 if outcome.refused else 0


@command
def import_payments(
    config: Path, file: Path, *, currency: str | None, as_of: str | None, as_json: bool, language: str
) -> int:
    """Bank statements and lists of payments; what cannot be read or allocated waits for a person."""
    from flows.steps.receivables.payments import import_payments as run

    loaded = settings(config)
    today = day_of(as_of, wiring.today(loaded))
    with wiring.the_store(loaded).begin() as connection:
        outcome = run(connection, _file(file, language), today, micros(), str(uuid.uuid4()), currency)
    errors = any(f.severity is Severity.ERROR for f in outcome.findings)
    counts = {n: getattr(outcome, n) for n in ("rows", "new", "booked", "passed_over")}
    if as_json:
        body = {"findings": _findings(outcome.findings, language), "waiting": [_waiting(w) for w in outcome.waiting]}
        print_json(counts | body)
    else:
        print_findings(outcome.findings, language)
        out.print(say("cli.payments_imported", language, waiting=len(outcome.waiting), **counts))
        _show_waiting(outcome.waiting, language)
    if errors and not outcome.rows:
        return 2
    return 1 if errors or outcome.waiting else 0


def _waiting(one: Any) -> dict[str, object]:
    digits = minor_digits(one.currency)
    return {
        "line": one.line_id,
        "day": one.day.isoformat(),
        "amount": amount_text(one.minor, digits),
        "currency": one.currency,
        "payer": one.payer,
        "reference": one.reference,
        "proposals": [
            {"why": p.why.value, "allocations": [{"term_id": int(a.claim), "amount": amount_text(a.minor, digits)} for a in p.allocations]}
            for p in one.matching.proposals
        ],
    }  # fmt: skip


def _show_waiting(waiting: Iterable[Any], language: str, names: dict[int, str] | None = None) -> None:
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
    as_json: bool,
    language: str,
) -> int:
    """What waits, with proposals; or a person's word what a bank line pays."""
    from flows.steps.receivables.claims import term_claims
    from flows.steps.receivables.payments import waiting_money

    store = wiring.the_store(settings(config))
    if line is not None and which:
        if not by:
            raise Stop(say("cli.who", language))
        return _confirm(store, line, which, amount, by, language)
    with store.read() as connection:
        waiting = waiting_money(connection)
        names = {t: f"{c.contract}/{c.term}" for t, c in term_claims(connection).items()}
    if as_json:
        print_json([_waiting(w) for w in waiting])
    elif waiting:
        _show_waiting(waiting, language, names)
    else:
        out.print(say("cli.nothing_waits", language))
    return 1 if waiting else 0


def _confirm(store: Any, line: int, which: str, amount: str | None, by: str, language: str) -> int:
    from flows.steps.receivables.payments import confirm
    from flows.steps.receivables.reading import Refused
    from models.domain.findings import Place

    try:
        with store.begin() as connection:
            currency = connection.exec_driver_sql(
                "SELECT currency FROM bank_lines WHERE id = " + str(int(line))
            ).scalar()
            minor = None if amount is None else to_minor(amount, minor_digits(currency or "CNY"))
            booked = confirm(connection, line, which, minor, by, micros())
    except Refused as problem:
        raise Stop(problem.finding(Place()).text(language)) from None
    except MoneyError as problem:
        raise Stop(str(problem)) from None
    out.print(say("cli.allocated", language, which=which, amount=said_money(booked, str(currency))))
    return 0
