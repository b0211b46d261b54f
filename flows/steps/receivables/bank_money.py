"""Money between the bank and the terms: what waits, and a person's word on it - it pays this, it was booked
wrongly, it was taken back, it is nobody's here. Nothing is edited: what is taken back is booked once more, below zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import uuid5

from sqlalchemy.engine import Connection

from connectors.store.bulk import bulk_insert, fetch
from flows.steps.evaluation.columns import as_date, day_number
from flows.steps.receivables.claims import TermClaim, claim_names, open_claims, term_claims
from flows.steps.receivables.reading import Refused
from models.domain.findings import Place
from models.domain.ready import NAMESPACE
from models.domain.receivables.allocation import Matching, Proposal, Why, match_receipt
from models.domain.receivables.claims import Receipt
from models.tables import allocations, line_notes, receipts


@dataclass(frozen=True, slots=True)
class Money:
    """One credit, read and checked, before anybody says what it is for."""

    key: str
    place: Place
    day: date
    minor: int
    currency: str
    payer: str
    reference: str
    account: str
    method: str = ""
    maturity: date | None = None
    pays: str = ""  # contract/term or invoice number that the list itself states
    bank_id: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Money that nobody has said the purpose of yet."""

    line_id: int
    day: date
    minor: int  # not allocated yet
    currency: str
    payer: str
    reference: str
    matching: Matching


def receipt_of(money: Money) -> Receipt:
    """As the matching sees it."""
    return Receipt(money.key, money.day, money.minor, money.currency, money.payer, money.reference, money.method)


_RECEIPT = ("key", "contract_id", "term_id", "day", "gross", "method", "maturity_day", "reverses", "recorded_at")
_TIED = ("receipt_id", "bank_line_id", "why", "by", "minor", "recorded_at")


def book(
    connection: Connection,
    money: Money,
    line: int,
    claim: TermClaim,
    minor: int,
    said: tuple[str, str],
    recorded_at: int,
    *,
    of_line: int | None = None,
) -> None:
    """One receipt of a term out of a bank line. `said`: what spoke for it, and who. `of_line`: where currencies differ."""
    count = fetch(connection, "SELECT COUNT(*) FROM allocations WHERE bank_line_id = :b", {"b": line})[0][0]
    key = str(uuid5(NAMESPACE, f"receipt\x1f{money.key}\x1f{claim.term_id}\x1f{count}"))
    maturity = None if money.maturity is None else day_number(money.maturity)
    row = (key, claim.contract_id, claim.term_id, day_number(money.day), minor, money.method or said[0], maturity, None, recorded_at)  # fmt: skip
    _tie(connection, row, (line, *said, of_line, recorded_at))
    claim.paid += minor


def _tie(connection: Connection, row: tuple[object, ...], tied: tuple[object, ...]) -> None:
    bulk_insert(connection, receipts, _RECEIPT, [row])
    receipt = fetch(connection, "SELECT id FROM receipts WHERE key = :k", {"k": row[0]})[0][0]
    bulk_insert(connection, allocations, _TIED, [(receipt, *tied)])


# --- what waits, and a person's word --------------------------------------------------------------------


_UNALLOCATED = """
SELECT b.id, b.key, b.day, b.minor - COALESCE(SUM(COALESCE(a.minor, r.gross)), 0), b.currency, b.payer, b.reference,
  b.account, b.method, b.maturity_day
FROM bank_lines b LEFT JOIN allocations a ON a.bank_line_id = b.id LEFT JOIN receipts r ON r.id = a.receipt_id
WHERE COALESCE((SELECT n.kind FROM line_notes n WHERE n.id = (SELECT MAX(x.id) FROM line_notes x WHERE x.bank_line_id = b.id)), 'back') = 'back'
GROUP BY b.id, b.key, b.day, b.minor, b.currency, b.payer, b.reference, b.account, b.method, b.maturity_day
HAVING b.minor > COALESCE(SUM(COALESCE(a.minor, r.gross)), 0) ORDER BY b.day, b.id
"""


def waiting_money(connection: Connection) -> list[Waiting]:
    """Money without a purpose yet, with proposals; nothing is booked by looking."""
    claims = term_claims(connection)
    open_, names = open_claims(claims.values()), claim_names(claims.values())
    found = []
    for line, money in _lines(connection).items():
        matching = match_receipt(receipt_of(money), open_, names)
        if matching.booked:  # it fits now, e.g. the invoice came after the money: still for a person, as nobody asked
            matching = Matching(proposals=(Proposal(matching.why or Why.REFERENCE_PART, matching.booked),))
        found.append(Waiting(line, money.day, money.minor, money.currency, money.payer, money.reference, matching))
    return found


def _lines(connection: Connection) -> dict[int, Money]:
    found = {}
    for id_, key, day, left, currency, payer, reference, account, method, maturity in fetch(connection, _UNALLOCATED):
        on = as_date(day)
        assert on is not None
        due = None if maturity is None else as_date(maturity)
        found[id_] = Money(key, Place(), on, int(left), currency, payer, reference, account, method, due)
    return found


def _waiting_line(connection: Connection, line: int) -> Money:
    money = _lines(connection).get(line)
    if money is None:
        raise Refused("LINE_NOT_WAITING", line=line)
    return money


def confirm(
    connection: Connection,
    line: int,
    which: str,
    minor: int | None,
    by: str,
    recorded_at: int,
    counts: int | None = None,
) -> int:
    """A person says what a bank line pays; how much was booked. Raises Refused.

    `counts`: what money of another currency (all that is left, or `minor` of it) counts in the claim's own.
    """
    money = _waiting_line(connection, line)
    claims = term_claims(connection)
    claim = next((c for c in claims.values() if f"{c.contract}/{c.term}" == which), None)
    if claim is None or claim.open == 0:
        raise Refused("PAYS_NOTHING_OPEN", which=which)
    foreign = claim.currency != money.currency
    if foreign != (counts is not None):
        code = "COUNTS_AS_NEEDED" if foreign else "COUNTS_AS_SAME"
        raise Refused(code, found=money.currency, expected=claim.currency, line=line)
    limit = money.minor if foreign else min(money.minor, claim.open)
    used = limit if minor is None else minor
    part = used if counts is None else counts
    if not 0 < used <= limit or not 0 < part <= claim.open:
        raise Refused("ALLOCATION_TOO_MUCH", which=which)
    book(connection, money, line, claim, part, ("confirmed", by), recorded_at, of_line=used if foreign else None)
    return part


def set_aside(connection: Connection, line: int, reason: str, by: str, recorded_at: int) -> None:
    """What is left of a line is nobody's here: it waits no longer. Raises Refused."""
    _waiting_line(connection, line)
    _note(connection, line, "aside", reason, by, recorded_at)


def _note(connection: Connection, line: int, kind: str, reason: str, by: str, recorded_at: int) -> None:
    columns = ("bank_line_id", "kind", "reason", "by", "recorded_at")
    bulk_insert(connection, line_notes, columns, [(line, kind, reason, by, recorded_at)])


_BOOKED = """
SELECT r.id, r.key, r.contract_id, r.term_id, r.day, r.gross, r.method, r.maturity_day, a.minor
FROM receipts r JOIN allocations a ON a.receipt_id = r.id
WHERE a.bank_line_id = :b AND r.reverses IS NULL AND NOT EXISTS (SELECT 1 FROM receipts x WHERE x.reverses = r.id) ORDER BY r.id
"""


def undo(connection: Connection, line: int, reason: str, by: str, recorded_at: int) -> int:
    """Booked wrongly: it never paid that; the money waits again, also where it had been set aside. How many bookings.

    Raises Refused.
    """
    rows = fetch(connection, _BOOKED, {"b": line})
    aside = fetch(connection, "SELECT kind FROM line_notes WHERE bank_line_id = :b ORDER BY id DESC", {"b": line})
    if not rows and not (aside and aside[0][0] == "aside"):
        raise Refused("LINE_NOT_BOOKED", line=line)
    _reverse(connection, line, rows, None, ("undone", by), recorded_at)
    _note(connection, line, "back", reason, by, recorded_at)
    return len(rows)


def returned(connection: Connection, line: int, day: date, reason: str, by: str, recorded_at: int) -> int:
    """A bill was dishonoured, or the bank took the money back: from `day` on it has not paid. How many bookings.

    Raises Refused.
    """
    found = fetch(connection, "SELECT day FROM bank_lines WHERE id = :b", {"b": line})
    if not found:
        raise Refused("LINE_NOT_BOOKED", line=line)
    came = as_date(found[0][0])
    if came is not None and day < came:
        raise Refused("AGREEMENT_BACKWARDS", found=day.isoformat(), made=came.isoformat())
    rows = fetch(connection, _BOOKED, {"b": line})
    if not rows:
        _waiting_line(connection, line)
    _reverse(connection, line, rows, day_number(day), ("returned", by), recorded_at)
    _note(connection, line, "aside", reason, by, recorded_at)
    return len(rows)


def _reverse(
    connection: Connection,
    line: int,
    rows: Sequence[tuple[object, ...]],
    day: int | None,
    said: tuple[str, str],
    recorded_at: int,
) -> None:
    """The same once more, below zero: from the same day on as if it had never been, or from `day` on."""
    for id_, key, contract, term, came, gross, _, maturity, minor in rows:
        own = str(uuid5(NAMESPACE, f"reversal\x1f{key}"))
        # A bill that bounces before its maturity never counted; after it, it counted until that day.
        ends = maturity if day is None or maturity is None else max(int(str(maturity)), day)
        row = (own, contract, term, came if day is None else day, -int(str(gross)), said[0], ends, id_, recorded_at)
        _tie(connection, row, (line, *said, None if minor is None else -int(str(minor)), recorded_at))
