"""From ready to paid: imports, allocation, ageing, reminders, promises, plans, guarantees."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from rich.text import Text

from flows import wiring
from flows.commands.shared import Stop, command, day_of, err, out, person, print_findings, print_json, settings, table
from flows.commands.waiting_money import micros, refusals, said_money, show_waiting, waiting_json
from models.domain.findings import Finding, Severity
from models.domain.money import amount_text, minor_digits
from models.domain.words import say
from models.tables import contracts

#: Drafts shown in full; `--json` has them all.
TEXTS_MAX = 20


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
    return 2 if outcome.refused else 1 if outcome.findings else 0  # whatever is said asks for a person


@command
def import_payments(
    config: Path, file: Path, *, currency: str | None, as_of: str | None, as_json: bool, language: str
) -> int:
    """Bank statements and lists of payments; what cannot be read or allocated waits for a person."""
    from flows.steps.receivables.claims import term_claims
    from flows.steps.receivables.payments import import_payments as run

    loaded = settings(config)
    today = day_of(as_of, wiring.today(loaded))
    with wiring.the_store(loaded).begin() as connection:
        outcome = run(connection, _file(file, language), today, micros(), str(uuid.uuid4()), currency)
        names = {t: f"{c.contract}/{c.term}" for t, c in term_claims(connection).items()} if outcome.waiting else {}
    errors = any(f.severity is Severity.ERROR for f in outcome.findings)
    counts = {n: getattr(outcome, n) for n in ("rows", "new", "booked", "passed_over")}
    if as_json:
        body = {
            "findings": _findings(outcome.findings, language),
            "waiting": [waiting_json(w, names) for w in outcome.waiting],
        }
        print_json(counts | body)
    else:
        print_findings(outcome.findings, language)
        out.print(say("cli.payments_imported", language, waiting=len(outcome.waiting), **counts))
        show_waiting(outcome.waiting, language, names)
    if errors and not outcome.rows:
        return 2
    return 1 if outcome.findings or outcome.waiting else 0


# --- who owes what, reminders, agreements ----------------------------------------------------------------


@command
def ageing(config: Path, by: str, *, as_of: str | None, as_json: bool, language: str) -> int:
    """Who owes what since when, by customer, contract, manager or currency, in buckets of overdue days."""
    from flows.steps.evaluation.columns import day_number
    from flows.steps.receivables.columns import ageing_table
    from flows.steps.receivables.standing import changed_since, numbers, open_terms

    if by not in ("customer", "contract", "manager", "currency"):
        raise Stop(say("cli.ageing_by", language, found=by))
    loaded = settings(config)
    day = day_number(day_of(as_of, wiring.today(loaded)))
    with wiring.the_store(loaded).read() as connection:
        found = ageing_table(open_terms(connection, day, loaded.ladders, undated=True), day, (by,))
        changed = changed_since(connection)
        names = numbers(connection) if by == "contract" else {}
    rows = [
        (names.get(row[by], row[by]) if by == "contract" else row[by], row["currency"], row["label"], row["bucket"], int(row["open"]), int(row["terms"]))
        for row in found.to_dict("records")
    ]  # fmt: skip
    rows.sort(key=lambda r: (str(r[0]), r[1], r[3]))
    if as_json:
        print_json([{by: w, "currency": c, "bucket": b, "open": amount_text(o, minor_digits(c)), "terms": n} for w, c, b, _, o, n in rows])  # fmt: skip
    elif rows:
        heads = [(say(f"cli.column.{k}", language), j) for k, j in ((f"by_{by}", "left"), ("bucket", "left"), ("open", "right"), ("terms", "right"))]  # fmt: skip
        named = {b: say(f"cli.{b}", language) for b in ("not_due", "no_due_date")}
        table(say("cli.title.ageing", language), heads, [(w, named.get(b, b), said_money(o, c), n) for w, c, b, _, o, n in rows])  # fmt: skip
        sums = {c: sum(r[4] for r in rows if r[1] == c) for c in sorted({r[1] for r in rows})}
        out.print(say("cli.open_in_all", language, sums=", ".join(said_money(o, c) for c, o in sums.items())))
    else:
        out.print(say("cli.nothing_open", language))
    if changed:
        err.print(say("cli.stale", language, n=changed))
    return 0


@command
def remind(
    config: Path,
    which: str | None,
    log: str | None,
    by: str | None,
    *,
    day: str | None,
    channel: str,
    proof: str | None,
    code: str | None,
    amount: str | None,
    show_paused: bool,
    as_of: str | None,
    as_json: bool,
    language: str,
) -> int:
    """The reminders owed, with their drafts; what is paused; or write a touch with a customer down."""
    loaded = settings(config)
    today = day_of(as_of, wiring.today(loaded))
    store = wiring.the_store(loaded)
    if which and log:
        by = person(by, language)
        with store.begin() as connection:
            _log(connection, which, log, day_of(day, today), (channel, proof, code, amount, by), language)
        out.print(say("cli.noted", language, which=which))
        return 0
    from flows.steps.receivables.reminders import paused, reminders

    if show_paused:
        with store.read() as connection:
            lines = [p for p in paused(connection, today, loaded.ladders) if which in (None, p.which)]
        _show_paused(lines, as_json=as_json, language=language)
        return 0
    with store.read() as connection:
        owed = [r for r in reminders(connection, today, loaded.ladders) if which in (None, r.which, r.contract)]
    if as_json:
        print_json([_reminder(r) for r in owed])
    elif not owed:
        out.print(say("cli.nobody_to_remind", language))
    else:
        _show_reminders(owed, language)
    return 1 if owed else 0


def _show_paused(lines: Sequence[Any], *, as_json: bool, language: str) -> None:
    if as_json:
        print_json([_paused(p) for p in lines])
    elif not lines:
        out.print(say("cli.nothing_paused", language))
    else:
        heads = [(say(f"cli.column.{k}", language), j) for k, j in (("which", "left"), ("by_customer", "left"), ("open", "right"), ("asked", "right"), ("paused_by", "left"))]  # fmt: skip
        rows = [
            (p.which, p.customer, said_money(p.open, p.currency), said_money(p.asked, p.currency), "\n".join(_pause(x, language) for x in p.pauses))
            for p in lines
        ]  # fmt: skip
        table(say("cli.title.paused", language), heads, rows)


def _pause(pause: Any, language: str) -> str:
    until = "" if pause.until is None else f" {say('cli.paused_until', language, day=pause.until)}"
    return say(f"pause.{pause.kind.value}", language) + until


def _paused(p: Any) -> dict[str, object]:
    digits = minor_digits(p.currency)
    number, _, term = p.which.rpartition("/")
    return {
        "contract": number, "term": term, "customer": p.customer, "currency": p.currency,
        "open": amount_text(p.open, digits), "asked": amount_text(p.asked, digits),
        "pauses": [{"kind": x.kind.value, "until": x.until.isoformat() if x.until else None} for x in p.pauses],
    }  # fmt: skip


def _reminder(r: Any) -> dict[str, object]:
    digits = minor_digits(r.currency)
    return {
        "contract": r.contract, "term": r.term, "customer": r.customer, "currency": r.currency,
        "open": amount_text(r.open, digits), "asked": amount_text(r.asked, digits), "due_on": r.due.isoformat(),
        "days": r.days, "level": r.level, "reason": r.reason, "action": r.action, "language": r.language,
        "tone": r.tone, "sends": r.sends, "to": list(r.to), "text": r.text(),
    }  # fmt: skip


def _show_reminders(owed: Sequence[Any], language: str) -> None:
    heads = [(say(f"cli.column.{k}", language), j) for k, j in (("which", "left"), ("by_customer", "left"), ("open", "right"), ("due_on", "left"), ("days_late", "right"), ("level", "right"), ("advice", "left"))]  # fmt: skip
    rows = [
        (r.which, r.customer, said_money(r.asked, r.currency), r.due, r.days, r.level, say(f"action.{r.action}", language) if r.action else "")
        for r in owed
    ]  # fmt: skip
    table(say("cli.title.reminders", language), heads, rows)
    for r in owed[:TEXTS_MAX]:
        out.print(Text(f"\n{r.which} -> {', '.join(r.to) or say('cli.reminder_nobody', language)}", style="bold"))
        out.print(Text(r.text()))
    if len(owed) > TEXTS_MAX:
        out.print(say("cli.reminders_more", language, n=len(owed) - TEXTS_MAX))


def _log(
    connection: Any,
    which: str,
    kind: str,
    day: Any,
    said: tuple[str, str | None, str | None, str | None, str],
    language: str,
) -> None:
    from flows.steps.receivables.agreements import Touch, add_touch, find_term
    from flows.steps.receivables.reading import agreed_amount
    from models.domain.receivables.dunning import DelayReason

    channel, proof, code, amount, by = said
    if kind == "reason" and code not in list(DelayReason):
        raise Stop(say("cli.reasons", language, known=", ".join(DelayReason)))
    with refusals(language):
        owner = find_term(connection, which)
        minor = None if amount is None else agreed_amount(amount, owner.currency)
        add_touch(connection, owner, Touch(kind, day, channel, by, proof, code, minor), micros())


@command
def promise(
    config: Path,
    which: str | None,
    pay_by: str | None,
    amount: str | None,
    by: str | None,
    *,
    day: str | None,
    note: str | None,
    as_of: str | None,
    as_json: bool,
    language: str,
) -> int:
    """A customer's promise; without arguments, the promises and how they stand."""
    from flows.steps.receivables.agreements import add_promise, find_term, promises
    from flows.steps.receivables.reading import agreed_amount
    from models.domain.receivables.agreements import Promise

    loaded = settings(config)
    today, store = day_of(as_of, wiring.today(loaded)), wiring.the_store(loaded)
    if which and pay_by and amount:
        by = person(by, language)
        with store.begin() as connection, refusals(language):
            owner = find_term(connection, which)
            minor = agreed_amount(amount, owner.currency)
            made = Promise(day_of(day, today), day_of(pay_by, today), minor, by)
            add_promise(connection, owner, made, note, micros())
        out.print(say("cli.promised", language, which=which, day=pay_by, amount=said_money(minor, owner.currency)))
        return 0
    with store.read() as connection:
        found = promises(connection, today)
    if as_json:
        print_json([{"which": p.which, "made": p.promise.made.isoformat(), "pay_by": p.promise.pay_by.isoformat(), "amount": amount_text(p.promise.minor, minor_digits(p.currency)), "currency": p.currency, "state": p.state.value} for p in found])  # fmt: skip
    elif found:
        heads = [(say(f"cli.column.{k}", language), "left") for k in ("which", "amount", "pay_by", "state")]
        rows = [(p.which, said_money(p.promise.minor, p.currency), p.promise.pay_by, say(f"promise.{p.state.value}", language)) for p in found]  # fmt: skip
        table(say("cli.title.promises", language), heads, rows)
    else:
        out.print(say("cli.no_promises", language))
    return 1 if any(p.state.value == "broken" for p in found) else 0


@command
def plan(
    config: Path,
    which: str,
    parts: list[str],
    by: str,
    *,
    until: str | None,
    default_clause: bool,
    day: str | None,
    note: str | None,
    language: str,
) -> int:
    """An instalment plan DATE=AMOUNT …, or with --until another due date, as agreed with the customer."""
    from flows.steps.receivables.agreements import add_extension, add_plan, find_term
    from flows.steps.receivables.reading import agreed_amount

    loaded = settings(config)
    today = wiring.today(loaded)
    agreed, by = day_of(day, today), person(by, language)
    if bool(parts) == bool(until):
        raise Stop(say("cli.plan_what", language))
    with wiring.the_store(loaded).begin() as connection, refusals(language):
        owner = find_term(connection, which)
        if until:
            add_extension(connection, owner, agreed, day_of(until, today), by, note, micros())
        else:
            split = [p.partition("=") for p in parts]
            wanted = [(day_of(d, today), agreed_amount(a, owner.currency)) for d, _, a in split]
            add_plan(connection, owner, agreed, wanted, by, micros(), default_clause=default_clause)
    out.print(say("cli.agreed", language, which=which))
    return 0


@command
def guarantees(
    config: Path,
    contract: str | None,
    code: str | None,
    given: dict[str, str | None],
    *,
    taken: bool,
    as_of: str | None,
    as_json: bool,
    language: str,
) -> int:
    """The register; or a new paper, or what happened to one."""
    from flows.steps.receivables.guarantees import guarantee_findings, guarantee_lines

    loaded = settings(config)
    today, store = day_of(as_of, wiring.today(loaded)), wiring.the_store(loaded)
    if contract and code:
        with store.begin() as connection, refusals(language):
            _paper(connection, contract, code, given, today, taken=taken, language=language)
        out.print(say("cli.noted", language, which=f"{contract}/{code}"))
        return 0
    with store.read() as connection:
        lines, findings = guarantee_lines(connection, today), guarantee_findings(connection, today)
    if as_json:
        print_json([_guarantee(g) for g in lines])
    else:
        heads = [(say(f"cli.column.{k}", language), "left") for k in ("contract", "guarantee", "kind", "amount", "expires", "original_at", "state")]  # fmt: skip
        rows = [
            (g.contract, g.paper.id, say(f"guarantee_{g.paper.form}.{g.paper.kind}", language), said_money(g.minor, g.paper.currency), g.paper.expires, g.paper.original_at, say(f"guarantee_state.{g.state}", language))
            for g in lines
        ]  # fmt: skip
        table(say("cli.title.guarantees", language), heads, rows)
        print_findings(findings, language)
    return 1 if findings else 0


def _guarantee(g: Any) -> dict[str, object]:
    paper, days = g.paper, {}
    for name in ("issued", "expires", "obligation_ends", "return_due", "returned"):
        found = getattr(paper, name)
        days[name] = found.isoformat() if found else None
    return {
        "contract": g.contract, "id": paper.id, "kind": paper.kind.value, "form": paper.form.value, "given": paper.given,
        "amount": amount_text(g.minor, minor_digits(paper.currency)), "currency": paper.currency, **days,
        "days_left": g.days_left, "state": g.state.value, "issuer": paper.issuer, "original_at": paper.original_at,
    }  # fmt: skip


def _paper(
    connection: Any, contract: str, code: str, given: dict[str, str | None], today: Any, *, taken: bool, language: str
) -> None:
    from flows.steps.receivables.guarantees import add_event, add_paper
    from flows.steps.receivables.reading import agreed_amount
    from models.domain.receivables.guarantees import GuaranteeForm, GuaranteeKind, GuaranteePaper

    found = connection.execute(sa.select(contracts.c.currency).where(contracts.c.number == contract)).scalar()
    currency = str(found or "CNY")

    def day(name: str) -> Any:
        return None if given.get(name) is None else day_of(given[name], today)

    event = next((e for e in ("returned", "extended", "reduced", "called") if given.get(e)), None)
    if event is not None:
        by = person(given.get("by"), language)
        sum_ = agreed_amount(str(given[event]), currency) if event in ("reduced", "called") else None
        on = day("returned") if event == "returned" else (day("day") or today)
        until = day("extended") if event == "extended" else None
        add_event(connection, contract, code, event, on, by, micros(), gross=sum_, until=until)
        return
    if given.get("kind") not in list(GuaranteeKind) or not given.get("amount") or not given.get("issued"):
        raise Stop(say("cli.guarantee_what", language, kinds=", ".join(GuaranteeKind)))
    form = given.get("form") or "bank"
    if form not in list(GuaranteeForm):
        raise Stop(say("cli.guarantee_what", language, kinds=", ".join(GuaranteeKind)))
    paper = GuaranteePaper(
        code, GuaranteeKind(str(given["kind"])), agreed_amount(str(given["amount"]), currency), currency,
        day("issued"), day("expires"), GuaranteeForm(form), not taken, issuer=given.get("issuer") or "",
        original_at=given.get("original_at") or "", obligation_ends=day("obligation"), return_due=day("return_due"),
    )  # fmt: skip
    add_paper(connection, contract, paper, micros())
