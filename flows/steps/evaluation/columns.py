"""The columns of compiled contracts: names, types, codes. No logic."""

from __future__ import annotations

from datetime import date, timedelta
from enum import IntEnum

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Days = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

EPOCH = date(1970, 1, 1)
#: The day that never comes; below it, day arithmetic cannot overflow 32 bits.
NEVER = 100_000_000
#: The invoice day of an opening of which nobody says when it was invoiced.
NO_DAY = 0
INT64_MAX = 2**63 - 1


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - EPOCH).days


def as_date(number: int) -> date | None:
    """The date of a day number; None for NEVER and beyond the calendar of Python."""
    if number >= NEVER:
        return None
    try:
        return EPOCH + timedelta(days=int(number))
    except OverflowError:
        return None


class Op(IntEnum):
    """What a node does. Leaves first; inner nodes are evaluated by height."""

    SLOT = 0  # arg: slot
    DATE = 1  # arg: day number
    DEEMED_DAYS = 2  # arg, first, count: slots submitted, accepted, rejected (-1: none); n: days
    DEEMED_BUSINESS_DAYS = 3
    INVOICED = 4  # arg: term
    PAID = 5  # arg: term
    ALL = 6  # first, count: children
    ANY = 7
    AT_LEAST = 8  # n of the children
    ELAPSED_MONTHS = 9  # first: the child; n: how many
    ELAPSED_DAYS = 10
    ELAPSED_BUSINESS_DAYS = 11
    TERM = 12  # arg: term; first: its root


class Kind(IntEnum):
    """How a term's amount is found."""

    RATIO = 0  # percent and share: num/den of every line
    FIXED = 1
    REMAINING = 2
    CUMULATIVE = 3
    CERTIFICATE = 4
    VALUATION = 5
    RELEASE = 6  # num/den of the retention; den 0: what is left of it


class Start(IntEnum):
    """Which date starts the payment period; NOTHING: the term has no due rule."""

    NOTHING = 0
    READY = 1
    INVOICE_DATE = 2
    INVOICE_RECEIVED = 3


class Add(IntEnum):
    """How the payment period is counted."""

    DAYS = 0
    BUSINESS_DAYS = 1
    MONTHS = 2
    DAYS_THEN_END_OF_MONTH = 3
    END_OF_MONTH_THEN_DAYS = 4
    DAY_OF_NEXT_MONTH = 5
    END_OF_NEXT_MONTH = 6


class Rolls(IntEnum):
    """Where a due date on a rest day moves."""

    NONE = 0
    FOLLOWING = 1
    PRECEDING = 2


HEAD = np.dtype(
    [
        ("inclusive", "u1"),
        ("tax_down", "u1"),
        ("digits", "u1"),
        ("special", "u1"),  # has certificates, valuations, a cap or a retainer
        ("pay_num", "i8"),
        ("pay_den", "i8"),
        ("recover_num", "i8"),
        ("recover_den", "i8"),
        ("advance_term", "i4"),  # -1: none
        ("retain_num", "i8"),
        ("retain_den", "i8"),
        ("cap", "i8"),  # -1: none
        ("retainer", "i8"),
        ("retainer_term", "i4"),
    ]
)
TERM = np.dtype(
    [
        ("root", "i4"),
        ("kind", "u1"),
        ("num", "i8"),  # fraction, or minor units in num for FIXED, CERTIFICATE, VALUATION
        ("den", "i8"),
        ("weight", "i8"),  # its share of an amended price, in units common to the contract; 0: none
        ("capped", "u1"),
        ("start", "u1"),
        ("add", "u1"),
        ("n", "i4"),
        ("roll", "u1"),
    ]
)
NODE = np.dtype(
    [("op", "u1"), ("height", "u1"), ("arg", "i4"), ("n", "i4"), ("first", "i4"), ("count", "i4"), ("term", "i4")]
)
LINE = np.dtype([("amount", "i8"), ("rate_num", "i8"), ("rate_den", "i8")])
AMENDMENT = np.dtype([("effective", "i4"), ("line", "i4"), ("total", "i8")])
