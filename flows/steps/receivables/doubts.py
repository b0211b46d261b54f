"""Money in doubt: a credit that may be in the books already, from another file or format; and money the bank took
back. Nothing is booked or reversed for it: a person looks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy.engine import Connection

from connectors.files.bank_statements import StatementLine
from connectors.store.bulk import fetch
from flows.steps.evaluation.columns import day_number
from flows.steps.receivables.bank_money import Money
from flows.steps.receivables.reading import Refused, read_amount, read_day
from models.domain.findings import Finding, Place, Severity
from models.domain.receivables.references import plain

Like = tuple[int, int, str]  # day, minor, currency


@dataclass(frozen=True, slots=True)
class _There:
    """A line of an earlier file."""

    id: int
    payer: str
    bank_id: str
    source: str


def seen_before(connection: Connection, fresh: Sequence[Money], in_file: Iterable[str]) -> dict[str, Finding]:
    """By key: the new lines that an earlier file may hold already, said otherwise. One old line answers for one new."""
    there = _earlier(connection, fresh, set(in_file))
    found = {}
    for money in fresh:
        like = there.get((day_number(money.day), money.minor, money.currency), [])
        same = next((t for t in like if _may_be(t, money)), None)
        if same is not None:
            like.remove(same)
            params = {"line": same.id, "source": same.source, "payer": money.payer or "-"}
            found[money.key] = Finding("BANK_LINE_SEEN", Severity.WARNING, money.place, params)
    return found


def _earlier(connection: Connection, fresh: Sequence[Money], in_file: set[str]) -> dict[Like, list[_There]]:
    there: dict[Like, list[_There]] = defaultdict(list)
    if not fresh:
        return there
    days = [day_number(m.day) for m in fresh]
    for id_, key, day, minor, currency, payer, bank_id, source in fetch(
        connection,
        "SELECT id, key, day, minor, currency, payer, bank_id, source FROM bank_lines "
        "WHERE day BETWEEN :first AND :last ORDER BY id",
        {"first": min(days), "last": max(days)},
    ):
        if key not in in_file:  # the same statement once more is known line by line
            there[day, int(minor), currency].append(_There(id_, payer, bank_id or "", source))
    return there


def _may_be(there: _There, money: Money) -> bool:
    """Could both be one payment? Files of one kind number and name alike; across kinds only day and sum can tell."""
    if _ending(there.source.rpartition(":")[0]) != _ending(money.place.file or ""):
        return True
    if there.bank_id and money.bank_id and there.bank_id != money.bank_id:
        return False
    one, other = plain(there.payer), plain(money.payer)
    return not one or not other or one in other or other in one


def _ending(name: str) -> str:
    return name.rpartition(".")[2].lower()


def taken_back(connection: Connection, reversals: Sequence[StatementLine], file: str, today: date) -> list[Finding]:
    """What the bank took back, each with the line it may have come in."""
    findings = []
    for line in reversals:
        place = Place(file=file, line=line.number)
        try:
            minor, day = read_amount(line.amount, line.currency), read_day(line.day, today)
        except Refused as problem:
            findings.append(problem.finding(place))
            continue
        rows = fetch(
            connection,
            "SELECT id FROM bank_lines WHERE minor = :m AND currency = :c AND day <= :d ORDER BY day DESC, id DESC",
            {"m": minor, "c": line.currency, "d": day_number(day)},
        )
        lines = ", ".join(str(r[0]) for r in rows[:5]) or "-"
        params = {"amount": f"{line.currency} {line.amount}", "day": line.day, "reference": line.reference or "-", "lines": lines}  # fmt: skip
        findings.append(Finding("MONEY_TAKEN_BACK", Severity.WARNING, place, params))
    return findings
