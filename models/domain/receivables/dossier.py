"""The escalation pack as values: what a person, a lawyer or a court needs to know of one open claim.

Everything here was recorded or computed; nothing is decided. Amounts are minor units of the term's currency.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from models.domain.contracts import Party
from models.domain.findings import Finding
from models.domain.ready import ReadyLine
from models.domain.receivables.agreements import Promise, PromiseState
from models.domain.receivables.candidates import Statute
from models.domain.receivables.interest import InterestLine, line_amounts
from models.domain.receivables.late import LateInterest
from models.domain.receivables.limitation import ClockStep


@dataclass(frozen=True, slots=True)
class Observed:
    """What a system said about a milestone that an event of the condition rests on, as the store keeps it."""

    event: str
    connection: str
    milestone: str
    state: str
    done: bool
    accepted: bool
    percent_bp: int | None
    done_on: date | None
    done_by: str | None
    observed_at: datetime
    grade: int
    provenance: str
    url: str | None
    content_hash: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a person recorded: an event by hand, a document, a sign-off."""

    event: str
    on: date
    holds: bool
    by: str
    source: str
    note: str | None


@dataclass(frozen=True, slots=True)
class Bill:
    """An invoice, or with `corrects` a red invoice or credit note for one."""

    number: str
    issued: date
    received: date | None
    minor: int
    corrects: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Money:
    """Money or a bank bill that came for the term, or was taken back.

    `dishonoured`: a bill that bounced, and when it did. `void`: a booking that was undone, or what takes that or a
    bounced bill back; it is shown and says nothing of the claim, as if it had never been.
    """

    on: date
    minor: int
    method: str
    maturity: date | None
    payer: str
    reference: str
    dishonoured: date | None = None
    void: bool = False


@dataclass(frozen=True, slots=True)
class TouchLine:
    """One touch with the customer. `proof` as it was written down; `file` where it named one that could be copied."""

    kind: str
    on: date
    channel: str
    by: str
    level: int | None
    minor: int | None
    code: str | None
    proof: str
    file: str | None = None
    sha256: str | None = None
    not_copied: str | None = None  # a key of `dossier.not_copied`


@dataclass(frozen=True, slots=True)
class PromiseEntry:
    """A promise, and how it stands."""

    promise: Promise
    state: PromiseState


@dataclass(frozen=True, slots=True)
class PlanPart:
    """An instalment agreed, and what is open of it."""

    agreed: date
    due: date
    minor: int
    open: int
    by: str
    default_clause: bool


@dataclass(frozen=True, slots=True)
class Extension:
    """Another due date, as agreed."""

    agreed: date
    until: date
    by: str


@dataclass(frozen=True, slots=True)
class CandidateLine:
    """One way to count. `interest` None: it needs a reference rate that nobody stated."""

    statute: Statute
    due: date
    lines: tuple[InterestLine, ...]
    interest: int | None
    fixed_sum: int = 0

    @property
    def amounts(self) -> tuple[int, ...]:
        """Of each line; they add up to the interest."""
        return line_amounts(self.lines)


@dataclass(frozen=True, slots=True)
class Limitation:
    """The clock. `uncounted`: touches without proof of delivery, which restart nothing."""

    starts: date
    ends: date
    steps: tuple[ClockStep, ...]
    uncounted: tuple[TouchLine, ...]


@dataclass(frozen=True, slots=True)
class DossierTerm:
    """One claim with everything around it."""

    contract: str
    title: str
    customer: Party
    supplier: Party
    currency: str
    term: str
    name: str
    clause: Mapping[str, object]  # the term and the late rules, as the contract file states them
    version: str  # sha256 of the contract's long form
    status: str
    gross: int
    due: date | None
    agreed_due: date | None  # by an extension
    open: int
    pending: int  # bills in hand
    disputed: int
    as_of: date
    records: tuple[ReadyLine, ...]
    observed: tuple[Observed, ...]
    recorded: tuple[Recorded, ...]
    bills: tuple[Bill, ...]
    money: tuple[Money, ...]
    touches: tuple[TouchLine, ...]
    promises: tuple[PromiseEntry, ...]
    plan: tuple[PlanPart, ...]
    extensions: tuple[Extension, ...]
    interest: LateInterest | None
    basis: str
    statutory_due: date | None
    candidates: tuple[CandidateLine, ...]
    limitation: Limitation | None
    warnings: tuple[Finding, ...]
    yearly_base: int | None  # days a year the stated rate is divided by; None: a rate a day

    @property
    def which(self) -> str:
        """As people name the term."""
        return f"{self.contract}/{self.term}"

    @property
    def late_since(self) -> date | None:
        """The due date as it stands: by an extension, or the first open instalment of a plan that has passed."""
        if not self.plan or self._outside_plan > 0:
            return self.agreed_due or self.due
        return min((p.due for p in self.plan if p.open and p.due < self.as_of), default=None)

    @property
    def _outside_plan(self) -> int:
        """What is open and in no instalment."""
        return self.open - sum(p.open for p in self.plan)

    @property
    def not_yet(self) -> int:
        """What was agreed for later: by an extension whose day has not passed, and by the instalments of a plan.

        Of these none where one is late and makes the rest due at once.
        """
        extended = self.agreed_due is not None and self.agreed_due >= self.as_of
        return self._instalments_ahead + (max(0, self._outside_plan) if extended else 0)

    @property
    def _instalments_ahead(self) -> int:
        passed = any(p.open and p.due < self.as_of for p in self.plan)
        if passed and any(p.default_clause for p in self.plan):
            return 0
        return sum(p.open for p in self.plan if p.due >= self.as_of)

    @property
    def days_late(self) -> int:
        """After the due date as it stands; 0 while it is not late."""
        due = self.late_since
        return 0 if due is None else max(0, (self.as_of - due).days)

    @property
    def asked(self) -> int:
        """What is asked for now: open, less bills in hand, what is in dispute and what was agreed for later."""
        return max(0, self.open - self.pending - self.disputed - self.not_yet)

    @property
    def demandable(self) -> bool:
        """Is it late by the contract itself, so that a letter may demand it?"""
        return self.status in ("ready", "invoiced", "part_paid") and self.days_late > 0 and self.asked > 0

    @property
    def interest_is_clear(self) -> bool:
        """Is there interest, and no agreement since that may have waived it? Only then a letter states it."""
        return bool(self.interest and self.interest.lines) and not (self.agreed_due or self.plan)

    @property
    def broken(self) -> tuple[PromiseEntry, ...]:
        """Promises that were not kept."""
        return tuple(p for p in self.promises if p.state is PromiseState.BROKEN)


@dataclass(frozen=True, slots=True)
class CurrencyTotal:
    """Sums of one currency; currencies are never added up."""

    currency: str
    terms: int
    open: int
    asked: int
    interest: int
    fixed_sum: int
    unknown_from: date | None = None  # the first day for which the interest of a term has no rate


@dataclass(frozen=True, slots=True)
class Dossier:
    """The pack of one term, or of one customer with all that is open."""

    subject: str
    as_of: date
    terms: tuple[DossierTerm, ...]
    of_customer: bool = False

    @property
    def demanded(self) -> tuple[DossierTerm, ...]:
        """What the letter asks for."""
        return tuple(t for t in self.terms if t.demandable)


def totals(terms: Iterable[DossierTerm]) -> tuple[CurrencyTotal, ...]:
    """By currency."""
    found: dict[str, list[DossierTerm]] = {}
    for term in terms:
        found.setdefault(term.currency, []).append(term)
    return tuple(
        CurrencyTotal(
            currency,
            len(own),
            sum(t.open for t in own),
            sum(t.asked for t in own),
            sum(t.interest.total for t in own if t.interest),
            sum(t.interest.fixed_sum or 0 for t in own if t.interest),
            min((t.interest.unknown_from for t in own if t.interest and t.interest.unknown_from), default=None),
        )
        for currency, own in sorted(found.items())
    )
