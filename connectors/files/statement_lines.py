"""What a bank statement says, whatever its format: entries, and balances that must add up."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum


class StatementBroken(ValueError):
    """The file cannot be read as a statement."""


class Direction(Enum):
    """Which way the money went; a reversal takes an earlier entry back."""

    CREDIT = "credit"
    DEBIT = "debit"
    CREDIT_REVERSED = "credit_reversed"  # money that had come is gone again
    DEBIT_REVERSED = "debit_reversed"


#: What makes the balance grow.
IN = frozenset({Direction.CREDIT, Direction.DEBIT_REVERSED})


@dataclass(frozen=True, slots=True)
class Batch:
    """An entry made of several payments; `parts` are none where they do not add up to it."""

    size: int
    parts: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One booking. `note`: what was instructed or charged besides. `against`: goes the other way than its batch."""

    direction: Direction
    booked: bool
    day: str
    amount: str  # not below zero
    currency: str
    payer: str
    reference: str
    account: str
    bank_id: str = ""
    note: str = ""
    against: bool = False
    batch: Batch | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a file; a balance it does not state is None."""

    name: str
    opening: Decimal | None
    closing: Decimal | None
    entries: tuple[Entry, ...]

    def expected_closing(self) -> Decimal | None:
        """The opening balance and what was booked."""
        if self.opening is None:
            return None
        return self.opening + sum(
            (Decimal(e.amount) if e.direction in IN else -Decimal(e.amount) for e in self.entries if e.booked),
            Decimal(0),
        )
