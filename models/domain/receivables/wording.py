"""Spans of days, months and amounts as people write them, in both languages."""

from __future__ import annotations

from models.domain.money import amount_text, minor_digits
from models.domain.words import say


def span_text(days: int, language: str) -> str:
    """3 weeks; days where they make no whole weeks."""
    unit, n = ("week", days // 7) if days and days % 7 == 0 else ("day", days)
    return say(f"forecast.span.{unit}{'' if n == 1 else 's'}", language, n=n)


def period_text(period: str, language: str) -> str:
    """June 2026 for 2026-06; a week stays 2026-W23."""
    year, _, month = period.partition("-")
    if not month.isdigit():
        return period
    return say("forecast.month", language, year=year, month=say(f"forecast.month_name.{int(month)}", language))


def from_to_text(start: str, end: str, language: str) -> str:
    """from June to July 2026: the year once where it is the same."""
    if start[:4] == end[:4] and "W" not in start:
        month = say(f"forecast.month_name.{int(start[5:])}", language)
        return say("forecast.from_to_same_year", language, start=month, end=period_text(end, language), year=start[:4], end_month=say(f"forecast.month_name.{int(end[5:])}", language))  # fmt: skip
    return say("forecast.from_to", language, start=period_text(start, language), end=period_text(end, language))


def money_text(minor: int, currency: str) -> str:
    """515,555.55 CNY"""
    whole, dot, rest = amount_text(abs(minor), minor_digits(currency)).partition(".")
    return f"{'-' if minor < 0 else ''}{int(whole):,}{dot}{rest} {currency}"
