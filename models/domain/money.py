"""Money is whole minor units and a currency; this is the only place that rounds.

Rule M1: quantise half up, away from zero for negative amounts (golden conventions).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

#: ISO 4217 minor digits that are not 2.
MINOR_DIGITS = {
    "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0,
    "RWF": 0, "UGX": 0, "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
    "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
}  # fmt: skip

#: The largest amount the columns can carry (64-bit signed); more is a finding, never a wrap-around.
MINOR_MAX = 2**63 - 1


_PLAIN = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)", re.ASCII)
#: Longer texts are no amounts; the bound keeps decimals exact in 28 digits.
TEXT_MAX = 25


class MoneyError(ValueError):
    """A text is not an amount of its currency; `code` is the finding's."""

    def __init__(self, message: str, code: str = "AMOUNT_UNREADABLE") -> None:
        super().__init__(message)
        self.code = code


def minor_digits(currency: str) -> int:
    """Digits after the point of `currency`: 0, 2 or 3."""
    return MINOR_DIGITS.get(currency, 2)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount: `minor` whole minor units (cents, fen) of `currency` (ISO 4217)."""

    minor: int
    currency: str

    def __str__(self) -> str:
        return amount_text(self.minor, minor_digits(self.currency))


def round_half_up(value: Fraction) -> int:
    """The nearest whole number; a half goes away from zero (rule M1)."""
    doubled = abs(value) * 2
    whole = (doubled.numerator + doubled.denominator) // (2 * doubled.denominator)
    return -whole if value < 0 else whole


def to_minor(text: str | int | Decimal, digits: int) -> int:
    """Read an exact amount as whole minor units.

    Raises MoneyError for a float, a non-number, or more digits than the currency has:
    an amount is never rounded on the way in.
    """
    if isinstance(text, bool | float):
        raise MoneyError(f"{text!r} is not an exact amount; write it in quotes")
    raw = str(text).strip()
    if not _PLAIN.fullmatch(raw):
        raise MoneyError(f"{text!r} is not an amount")
    whole, _, part = raw.lstrip("+-").partition(".")
    part = part.rstrip("0")
    if len(part) > digits:
        raise MoneyError(f"{text!r} has more than {digits} digits after the point", "AMOUNT_DIGITS")
    if len(whole.lstrip("0")) > TEXT_MAX:
        raise MoneyError(f"{text!r} is too large: more than 64 bits of minor units", "AMOUNT_OVERFLOW")
    minor = int(whole.lstrip("0") + part.ljust(digits, "0") or "0")
    if minor > MINOR_MAX:
        raise MoneyError(f"{text!r} is too large: more than 64 bits of minor units", "AMOUNT_OVERFLOW")
    return -minor if raw.startswith("-") else minor


def amount_text(minor: int, digits: int) -> str:
    """Minor units as text with exactly the currency's digits: 38666666 -> "386666.66"."""
    if digits == 0:
        return str(minor)
    sign, whole = ("-" if minor < 0 else ""), abs(minor)
    return f"{sign}{whole // 10**digits}.{whole % 10**digits:0{digits}d}"


def exact_fraction(text: str | int | Decimal) -> Fraction:
    """A percentage or rate as an exact fraction: "6%" and "0.06" are both 3/50.

    Raises MoneyError for floats and non-numbers.
    """
    if isinstance(text, bool | float):
        raise MoneyError(f"{text!r} is not exact; write it in quotes")
    raw = str(text).strip()
    plain = raw[:-1].rstrip() if raw.endswith(("%", "％")) else raw
    if len(plain) > TEXT_MAX or not _PLAIN.fullmatch(plain):
        raise MoneyError(f"{text!r} is not a number", "NUMBER_UNREADABLE")
    value = Fraction(Decimal(plain))
    return value / 100 if plain != raw else value
