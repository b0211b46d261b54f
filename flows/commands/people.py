"""What people decide and record: bind, record, hold, release, approve, go-live; and the notices owed."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from connectors.store import Store
from connectors.store.bulk import bulk_insert, fetch
from flows import wiring
from flows.commands.shared import (
    Stop,
    command,
    day_of,
    grounds,
    named,
    need_sheet,
    no_such_term,
    out,
    person,
    print_json,
    settings,
    table,
)
from flows.steps.bind import resolve
from flows.steps.contracts import stored_contract
from flows.steps.evaluation.columns import as_date, day_number
from flows.steps.report import Said, approvals_required, interventions, records_of
from models.domain.conditions import Approved, event_names, walk
from models.domain.ready import NAMESPACE, ReadyLine, RecordStatus, approval_key
from models.domain.words import say
from models.records.reading import closest
from models.tables import bindings, facts
from models.tables import interventions as interventions_table
from models.tables import settings as settings_table


def _now() -> int:
    return int(wiring.utc_now().timestamp() * 1_000_000)


@command
def bind(
    config: Path,
    contract: str | None,
    event: str | None,
    milestone: str | None,
    by: str | None,
    *,
    as_json: bool,
    language: str,
) -> int:
    """List unbound events with candidates, or confirm one."""
    store = wiring.the_store(settings(config))
    if contract and event and milestone:
        by = person(by, language)
        with store.begin() as connection:
            _confirm(connection, contract, event, milestone, by, language)
        out.print(say("cli.bound", language, contract=contract, event=event, milestone=milestone))
        return 0
    with store.begin() as connection:
        waiting = [u for u in resolve(connection, _now()) if contract in (None, u.contract)]
    if as_json:
        print_json(
            [
                {
                    "contract": u.contract,
                    "event": u.event,
                    "connection": u.connection,
                    "project": u.project,
                    "wanted": u.wanted,
                    "code": u.finding.code,
                    "candidates": [
                        {"id": c.vendor_id, "name": c.name, "project": c.project, "url": c.url} for c in u.candidates
                    ],
                }
                for u in waiting
            ]
        )
        return 0
    if not waiting:
        out.print(say("cli.all_bound", language))
        return 0
    rows = [
        (u.contract, u.event, u.wanted, "\n".join(f"{c.name}  {c.vendor_id}" for c in u.candidates)) for u in waiting
    ]
    table(
        say("cli.title.unbound", language),
        [(say(f"cli.column.{k}", language), "left") for k in ("contract", "event", "wanted", "candidates")],
        rows,
    )
    return 1


def _confirm(connection: Connection, contract: str, event: str, milestone: str, by: str, language: str) -> None:
    found = fetch(
        connection,
        "SELECT b.id, m.id FROM bindings b JOIN contracts c ON c.id = b.contract_id "
        "LEFT JOIN milestones m ON m.connection = b.connection AND m.vendor_id = :m WHERE c.number = :c AND b.event = :e",
        {"m": milestone, "c": contract, "e": event},
    )
    if not found:
        raise Stop(say("cli.no_such_event", language, contract=contract, event=event))
    if found[0][1] is None:
        raise Stop(say("cli.no_such_milestone", language, milestone=milestone))
    values = {"milestone_id": found[0][1], "confirmed_by": by, "recorded_at": _now()}
    connection.execute(sa.update(bindings).where(bindings.c.id == found[0][0]).values(**values))


def _last_day(connection: Connection, today: date) -> date:
    """Today, or the day that the last night judged, where that is later (`sync --as-of`)."""
    judged = fetch(connection, "SELECT MAX(as_of) FROM runs")[0][0]
    return max(today, as_date(judged) or today) if judged is not None else today


def _past(connection: Connection, text: str, event: str, today: date, language: str) -> date:
    """A day that has come. Raises Stop: what lies ahead has not happened."""
    day, last = day_of(text, today), _last_day(connection, today)
    if day > last:
        raise Stop(
            say("cli.in_future", language, day=day, today=last), say("cli.in_future_todo", language, event=event)
        )
    return day


def _fact_key(
    connection: Connection, contract_id: int, contract: str, event: str, day: int, *, value: bool
) -> str | None:
    """The identity of what is said of an event and a day; None where the last word on that day says it already.

    Said, taken back and said again on one day are three facts: what was said before gets a number behind it.
    """
    said = [
        bool(v)
        for (v,) in fetch(
            connection,
            "SELECT value FROM facts WHERE contract_id = :c AND event = :e AND day = :d ORDER BY id",
            {"c": contract_id, "e": event, "d": day},
        )
    ]
    if said and said[-1] == value:
        return None
    again = said.count(value)
    parts = ("fact", contract, event, str(day), str(value), *([str(again)] if again else []))
    return str(uuid.uuid5(NAMESPACE, "\x1f".join(parts)))


@command
def record(config: Path, contract: str, event: str, day: str, by: str, *, value: bool, language: str) -> int:
    """Write an event down: a document signed, an acceptance, a sign-off."""
    by = person(by, language)
    loaded = settings(config)
    store = wiring.the_store(loaded)
    with store.begin() as connection:
        known = stored_contract(connection, contract)
        if known is None:
            raise no_such_term(connection, contract, language)
        names = {n for t in known.terms for n in event_names(t.when)}
        names |= {f"approved:{n.role}" for t in known.terms for n in walk(t.when) if isinstance(n, Approved)}
        if event not in names:
            raise Stop(
                say("cli.unknown_event", language, event=event, known=closest(event, names) or ", ".join(sorted(names)))
            )
        when = day_number(_past(connection, day, event, wiring.today(loaded), language))
        contract_id = fetch(connection, "SELECT id FROM contracts WHERE number = :n", {"n": contract})[0][0]
        key = _fact_key(connection, contract_id, contract, event, when, value=value)
        row = (key, contract_id, event, when, value, by, "recorded", _now())
        columns = ("key", "contract_id", "event", "day", "value", "by", "source", "recorded_at")
        new = bulk_insert(connection, facts, columns, [row], ignore=True) if key else 0
    out.print(say("cli.recorded" if new else "cli.recorded_before", language, contract=contract, event=event, day=day))
    return 0


@command
def intervene(config: Path, kind: str, which: str, by: str, reason: str, language: str) -> int:
    """A person's hold, release or approval of a term; a hold has a reason."""
    by, reason = person(by, language), grounds(reason, language) if kind == "hold" else reason.strip()
    loaded = settings(config)
    with wiring.the_store(loaded).begin() as connection:
        contract_id, term_id, code = _term(connection, which, language)
        key = str(uuid.uuid4())
        if kind == "approve":
            key = approval_key(_waiting_record(connection, contract_id, code, which, language).record_id)
        elif kind == "release" and interventions(connection).get(term_id, Said()).hold is None:
            raise Stop(say("cli.not_held", language, which=which))
        row = (key, contract_id, term_id, kind, by, reason, day_number(wiring.today(loaded)), _now())
        columns = ("key", "contract_id", "term_id", "kind", "by", "reason", "day", "recorded_at")
        new = bulk_insert(connection, interventions_table, columns, [row], ignore=True)
    out.print(say(f"cli.intervened.{kind}" if new else "cli.approved_before", language, which=which, by=by))
    return 0


def _term(connection: Connection, which: str, language: str) -> tuple[int, int, str]:
    """The ids of a contract and its term, and the term's code. Raises Stop."""
    number, code = named(connection, which)
    rows = fetch(
        connection,
        "SELECT c.id, t.id, t.code FROM terms t JOIN contracts c ON c.id = t.contract_id WHERE c.number = :n ORDER BY t.position",
        {"n": number},
    )
    if rows and not code:
        known = ", ".join(f"{number}/{t}" for _, _, t in rows)
        raise Stop(say("cli.term_missing", language, contract=number), say("cli.closest", language, near=known))
    found = [r for r in rows if r[2] == code]
    if not found:
        raise no_such_term(connection, which, language)
    contract_id, term_id, code = found[0]
    return contract_id, term_id, code


#: An approval is of a record that one of these says of.
_APPROVABLE = (RecordStatus.READY, RecordStatus.HELD, RecordStatus.AWAITING_APPROVAL)


def _waiting_record(connection: Connection, contract_id: int, code: str, which: str, language: str) -> ReadyLine:
    """The record that an approval is of. Raises Stop: nobody can approve an amount that is not known yet."""
    if not approvals_required(connection).get((contract_id, code)):
        raise Stop(say("cli.no_approval_needed", language, which=which))
    waiting = [r for r in records_of(connection, contract_id) if r.term == code and r.status in _APPROVABLE]
    if not waiting:
        raise Stop(say("cli.nothing_to_approve", language, which=which), say("cli.see_explain", language, which=which))
    return waiting[-1]


@command
def go_live(config: Path, language: str) -> int:
    """From now on notices are sent; what was ready before stays unannounced."""
    with wiring.the_store(settings(config)).begin() as connection:
        known = fetch(connection, "SELECT value FROM settings WHERE key = 'go_live'")
        if not known:
            bulk_insert(connection, settings_table, ("key", "value"), [("go_live", str(_now()))])
    out.print(say("cli.live_before" if known else "cli.live", language))
    return 0


@command
def notices(config: Path, *, as_json: bool, language: str, retry: bool = False) -> int:
    """What is owed, drafted, dead, the dead first; with `retry` dead letters are owed again."""
    store = wiring.the_store(settings(config))
    if retry:
        from flows.steps.notify import revive
        from flows.steps.write_back import revive_comments

        revive(store, wiring.epoch_now())
        revive_comments(store, wiring.epoch_now())
    with store.read() as connection:
        rows = fetch(
            connection,
            "SELECT kind, role, recipient, draft, attempts, created_at, delivered_at, dead_at, last_error FROM outbox ORDER BY dead_at IS NULL, created_at DESC LIMIT 200",
        )
    entries = [
        {
            "kind": k,
            "role": r,
            "recipient": who,
            "state": _state(draft, sent, dead),
            "attempts": n,
            "created": _utc(made),
            "error": error,
        }
        for k, r, who, draft, n, made, sent, dead, error in rows
    ] + _dead_comments(store)
    if as_json:
        print_json(entries)
    elif not entries:
        out.print(say("cli.no_notices", language))
    else:
        heads = [
            (say(f"cli.column.{k}", language), "left")
            for k in ("kind", "role", "recipient", "state", "attempts", "created", "error")
        ]
        table(say("cli.title.notices", language), heads, [tuple(e.values()) for e in entries])
    return 1 if any(e["state"] == "dead" for e in entries) else 0


def _dead_comments(store: Store) -> list[dict[str, object]]:
    """Comments that no system took, as lines among the notices."""
    from flows.steps.write_back import dead_comments

    return [
        {
            "kind": f"comment_{c.stage}",
            "role": "project",
            "recipient": f"{c.connection} {c.contract}/{c.term}",
            "state": "dead",
            "attempts": c.attempts,
            "created": _utc(c.created_at),
            "error": c.reason,
        }
        for c in dead_comments(store)
    ]


def _state(draft: bool, sent: int | None, dead: int | None) -> str:  # noqa: FBT001 - a row's columns
    if draft:
        return "draft"
    return "dead" if dead else "sent" if sent else "owed"


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, wiring.utc_now().tzinfo).isoformat(timespec="seconds")


@command
def import_documents(config: Path, file: Path, language: str) -> int:
    """Documents received and sign-offs, from Excel or CSV: all or nothing, harmless to repeat."""
    from flows.steps.documents import import_documents as run

    loaded = settings(config)
    need_sheet(file, language)
    with wiring.the_store(loaded).begin() as connection:
        outcome = run(connection, file, _now(), _last_day(connection, wiring.today(loaded)))
    from flows.commands.shared import print_findings

    print_findings(outcome.findings, language)
    out.print(
        say("cli.imported" if not outcome.findings else "cli.import_refused", language, n=outcome.rows, new=outcome.new)
    )
    return 2 if outcome.findings else 0
