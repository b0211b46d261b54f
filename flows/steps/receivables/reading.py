"""Reading cells: days and amounts as values, or the finding that says what is wrong with them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import date, timedelta

from connectors.files.sheets import Row
from models.domain.findings import Finding, Place
from models.domain.money import MoneyError, minor_digits, to_minor
from models.records.reading import YEARS, ungrouped

#: Without its signs only eight digits are one day: 2026123 could be two.
_DAY = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?", re.ASCII)
_DOTTED = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", re.ASCII)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})", re.ASCII)
#: 1.234,50 and 1234,50: a comma before exactly two digits can be nothing but the decimal sign.
_COMMA = re.compile(r"[+-]?\d{1,3}(?:\.\d{3})*,\d{2}|[+-]?\d+,\d{2}", re.ASCII)
#: 1,234 with three digits after the point: a thousand, or one and a bit. Nobody but a person can say.
_EITHER = re.compile(r"[+-]?\d{1,3},\d{3}", re.ASCII)
#: Below zero, as accountants write it.
_BRACKETS = re.compile(r"\((.+)\)")
_OUT = re.compile(r"-\s*[\d.,_ ]*[1-9][\d.,_ ]*|\([\d.,_ ]*[1-9][\d.,_ ]*\)", re.ASCII)
_SIGNS = re.compile(r"^(?:CNY|RMB|EUR|USD|GBP|¥|￥|€|\$|£)\s*|\s*(?:CNY|RMB|EUR|USD|GBP|元|€)$")


class Refused(Exception):
    """A cell cannot be used; `finding` says why."""

    def __init__(self, code: str, **params: object) -> None:
        super().__init__(code)
        self.code, self.params = code, params

    def finding(self, place: Place) -> Finding:
        """With the place where it stands."""
        return Finding(self.code, place=place, params=self.params)


def row_place(row: Row, file: str, contract: str | None = None, term: str | None = None) -> Place:
    """Where a row stands."""
    cell = next(iter(row.values()))
    return Place(file=file, line=cell.row, contract=contract, term=term, path=cell.reference if cell.sheet else None)


def texts(row: Row) -> Mapping[str, str]:
    """The row's cells as text."""
    return {name: cell.text for name, cell in row.items()}


def read_day(text: str, today: date) -> date:
    """A day, written 2026-05-31, 2026/5/31, 2026年5月31日, 20260531 or 31.05.2026; not in the future. Raises Refused."""
    plain = unicodedata.normalize("NFKC", text).strip().partition("T")[0].partition(" ")[0]
    parts = _COMPACT.fullmatch(plain) or _DAY.fullmatch(plain)
    numbers = tuple(map(int, parts.groups())) if parts else ()
    if not parts and (dotted := _DOTTED.fullmatch(plain)):
        numbers = tuple(map(int, reversed(dotted.groups())))
    try:
        day = date(*numbers)
    except (ValueError, TypeError):
        raise Refused("DATE_UNREADABLE", found=text) from None
    if not YEARS[0] <= day.year <= YEARS[1]:
        raise Refused("DATE_RANGE", found=text, first=YEARS[0], last=YEARS[1])
    if day > today + timedelta(days=1):  # one day for time zones east of the company's
        raise Refused("ROW_DATE_FUTURE", found=day.isoformat(), today=today.isoformat())
    return day


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().replace("\u2212", "-")


def below_zero(text: str) -> bool:
    """Is it an amount below zero, with a sign or in brackets?"""
    return _OUT.fullmatch(_SIGNS.sub("", _plain(text))) is not None


def agreed_amount(text: str, currency: str) -> int:
    """An amount that a person gives a command, written as in the files. Raises Refused."""
    try:
        return read_amount(text, currency)
    except Refused as problem:
        if problem.code != "ROW_AMOUNT_NOT_POSITIVE":
            raise
        raise Refused("AGREEMENT_NOT_POSITIVE", found=text) from None


def read_amount(text: str, currency: str) -> int:
    """A positive amount in minor units; 1,234.50 and 1.234,50 where they can mean only one thing. Raises Refused."""
    plain = _SIGNS.sub("", _BRACKETS.sub(r"-\1", _plain(text)))
    digits = minor_digits(currency)
    if digits == 3 and _EITHER.fullmatch(plain):
        raise Refused("AMOUNT_UNREADABLE", found=repr(text)[:60], digits=digits)
    if digits == 2 and _COMMA.fullmatch(plain):
        plain = plain.replace(".", "").replace(",", ".")
    try:
        minor = to_minor(ungrouped(plain), digits)
    except MoneyError as problem:
        raise Refused(problem.code, found=repr(text)[:60], digits=digits) from None
    if minor <= 0:
        raise Refused("ROW_AMOUNT_NOT_POSITIVE", found=text)
    return minor
