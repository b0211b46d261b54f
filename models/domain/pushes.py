"""Pushes: what goes out to where invoices are made, once for each record and kind, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from fractions import Fraction
from math import floor

from models.domain.money import amount_text, minor_digits, round_half_up
from models.domain.ready import ReadyLine

#: The keys of the messages; raised when one changes its meaning or goes.
FORMAT = 1


class PushKind(StrEnum):
    """What is told of a record."""

    READY = "ready"
    WITHDRAWN = "withdrawn"


class PushState(StrEnum):
    """Where a push stands; stored by value. CLAIMED: somebody is at it, or died at it."""

    PENDING = "pending"
    CLAIMED = "claimed"
    RETRY = "retry"
    WAITS = "waits"  # for a person
    DONE = "done"
    DEAD = "dead"
    DROPPED = "dropped"  # the record left the list before it went out


#: What a later run takes up again.
OPEN = (PushState.PENDING, PushState.RETRY, PushState.WAITS)


@dataclass(frozen=True, slots=True)
class TaxPart:
    """The part of an amount under one tax rate, in minor units; `rate` as the contract writes it ("6%")."""

    rate: str
    net: int
    tax: int


@dataclass(frozen=True, slots=True)
class Push:
    """One message to one sink. Its key is the record's identity, its own identity that and the kind."""

    kind: PushKind
    line: ReadyLine
    tax_id: str | None = None  # of the customer
    parts: tuple[TaxPart, ...] = ()
    reference: str | None = None  # what the sink called the document when the record was pushed
    tried: bool = False  # an attempt was made before, and may have got through

    @property
    def key(self) -> str:
        """The idempotency key of the document."""
        return self.line.record_id

    @property
    def message_id(self) -> str:
        """The identity of this message."""
        return f"{self.line.record_id}:{self.kind}"

    @property
    def which(self) -> str:
        """Contract and term, as people write them."""
        return f"{self.line.contract}/{self.line.term}"

    @property
    def title(self) -> str:
        """One line for an invoice."""
        return " ".join(dict.fromkeys((self.line.contract, self.line.term, self.line.name)))

    @property
    def day(self) -> date:
        """The day of what is told: ready since, or withdrawn since."""
        return self.line.withdrawn_on or self.line.ready_on if self.kind is PushKind.WITHDRAWN else self.line.ready_on

    def amount(self, minor: int) -> str:
        """An amount with the digits of the currency."""
        return amount_text(minor, minor_digits(self.line.currency))

    def as_json(self) -> dict[str, object]:
        """The stable keys of `ready --json`, and what an invoice needs besides."""
        line = self.line
        return line.as_json() | {
            "occurrence": line.occurrence,
            "due_on": line.due_on.isoformat() if line.due_on else None,
            "withdrawn_on": line.withdrawn_on.isoformat() if line.withdrawn_on else None,
            "customer_tax_id": self.tax_id,
            "tax_lines": [{"rate": p.rate, "net": self.amount(p.net), "tax": self.amount(p.tax)} for p in self.parts],
        }


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a sink has: the external reference; `found` where it was there already; a note a person should see."""

    reference: str
    found: bool = False
    note: str = ""  # a code with the sentence finding.PUSH_<note>
    params: Mapping[str, object] = field(default_factory=dict)


def tax_parts(
    bases: Sequence[int], rates: Sequence[tuple[str, Fraction]], *, inclusive: bool, down: bool = False
) -> tuple[TaxPart, ...]:
    """A record's base amounts by tax line, split like the record itself (rule M3), one part for each rate.

    Lines of one rate are rounded each by itself before they are added: so the parts sum up to the record.
    """
    sums: dict[str, list[int]] = {}
    for base, (text, rate) in zip(bases, rates, strict=True):
        exact = base * rate / (1 + rate) if inclusive else base * rate
        tax = floor(exact) if down else base - round_half_up(base - exact) if inclusive else round_half_up(exact)
        total = sums.setdefault(text, [0, 0])
        total[0] += base - tax if inclusive else base
        total[1] += tax
    return tuple(TaxPart(text, net, tax) for text, (net, tax) in sums.items() if net or tax)
