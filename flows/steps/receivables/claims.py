"""What is open of every term that was invoiced or may be: read from the ledgers, in one query each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy.engine import Connection

from connectors.store.bulk import fetch
from flows.steps.followed import FOLLOWED
from models.domain.receivables.allocation import OpenClaim
from models.domain.receivables.references import Name, NameKind, Names, name_index

#: Openings carry no number of an invoice that a payer could name.
OPENING = "opening"


@dataclass(slots=True)
class TermClaim:
    """One term as a claim: gross minor units of its contract's currency; days as numbers."""

    term_id: int
    contract_id: int
    contract: str
    term: str
    customer: str
    currency: str
    record_id: str | None = None  # of its living ready record
    ready_gross: int | None = None
    invoiced: int = 0
    paid: int = 0
    numbers: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)  # of invoices that were cancelled or taken back whole
    oldest: int = 0

    @property
    def claimed(self) -> int:
        """As invoiced; before the invoice as it may be."""
        return self.invoiced or self.ready_gross or 0

    @property
    def open(self) -> int:
        """What may still be paid."""
        return max(0, self.claimed - self.paid)

    @property
    def which(self) -> str:
        """As people name the term."""
        return f"{self.contract}/{self.term}"


def term_claims(connection: Connection) -> dict[int, TermClaim]:
    """Every term of the contracts that are followed, by id."""
    found = {
        row[0]: TermClaim(*row)
        for row in fetch(
            connection,
            "SELECT t.id, c.id, c.number, t.code, c.customer, c.currency FROM terms t "
            f"JOIN contracts c ON c.id = t.contract_id WHERE {FOLLOWED} ORDER BY t.id",
        )
    }
    _records(connection, found)
    _invoices(connection, found)
    for term, paid in fetch(connection, "SELECT term_id, SUM(gross) FROM receipts GROUP BY term_id"):
        if term in found:
            found[term].paid = int(paid)
    return found


def _records(connection: Connection, found: dict[int, TermClaim]) -> None:
    for term, record, gross in fetch(
        connection,
        "SELECT r.term_id, r.record_id, r.gross FROM ready_records r "
        "LEFT JOIN withdrawals w ON w.record_id = r.record_id WHERE w.record_id IS NULL",
    ):
        if term in found:
            found[term].record_id, found[term].ready_gross = record, gross


def _invoices(connection: Connection, found: dict[int, TermClaim]) -> None:
    for term, number, gross, credit, day, cancelled in fetch(
        connection,
        "SELECT i.term_id, i.number, i.gross, COALESCE(SUM(k.gross), 0), i.issued_day, i.cancelled_day "
        "FROM invoices i LEFT JOIN credits k ON k.invoice_id = i.id "
        "GROUP BY i.id, i.term_id, i.number, i.gross, i.issued_day, i.cancelled_day ORDER BY i.issued_day, i.id",
    ):
        claim = found.get(term)
        if claim is None:
            continue
        left = 0 if cancelled is not None else (claim.ready_gross or 0 if gross is None else gross) - credit
        known = [number] if number and number != OPENING else []
        if left > 0:
            claim.invoiced += int(left)
            claim.oldest = claim.oldest or day
            claim.numbers += known
        else:
            claim.gone += known


def open_claims(claims: Iterable[TermClaim]) -> list[OpenClaim]:
    """The claims that money may pay, as the matching sees them; keys are term ids."""
    return [
        OpenClaim(str(c.term_id), c.open, c.currency, c.customer, c.oldest, (*c.numbers, c.which))
        for c in claims
        if c.open > 0
    ]


def claim_names(claims: Iterable[TermClaim]) -> Names:
    """What payers may write to mean a claim, whether it is open, paid or not ready: the names do not move with money."""
    invoices: dict[str, list[TermClaim]] = defaultdict(list)
    contracts: dict[str, list[TermClaim]] = defaultdict(list)
    gone: dict[str, TermClaim] = {}
    names = []
    for claim in claims:
        names.append(Name(claim.which, NameKind.TERM, (str(claim.term_id),), claim.customer))
        contracts[claim.contract].append(claim)
        gone |= dict.fromkeys(claim.gone, claim)
        for number in claim.numbers:
            invoices[number].append(claim)
    for kind, found in ((NameKind.INVOICE, invoices), (NameKind.CONTRACT, contracts)):
        names += [Name(t, kind, tuple(str(c.term_id) for c in cs), cs[0].customer) for t, cs in found.items()]
    names += [Name(t, NameKind.INVOICE, (), c.customer) for t, c in gone.items() if t not in invoices]
    return name_index(names)
