"""The dossier for spreadsheets and programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from typing import Any

import orjson

from connectors.reports.text import disarmed
from models.domain.money import amount_text, minor_digits
from models.domain.receivables.dossier import CandidateLine, Dossier, DossierTerm, totals
from models.domain.receivables.interest import InterestLine
from models.domain.words import say

COLUMNS = ("contract", "term", "basis", "first", "last", "days", "open", "rate", "formula", "amount", "currency")


def rate_text(daily: Fraction, yearly_base: int | None) -> str:
    """A rate as it was stated: a year where it is divided by days, else a day."""
    return percent(daily if yearly_base is None else daily * yearly_base)


def percent(rate: Fraction) -> str:
    """Exact where it has an end within eight digits, else cut there."""
    scaled = rate * 100 * 10**8
    whole = scaled.numerator // scaled.denominator
    return f"{whole // 10**8}.{whole % 10**8:08d}".rstrip("0").rstrip(".") + "%"


def formula(line: InterestLine, currency: str, yearly_base: int | None) -> str:
    """The line as anybody can count it again."""
    divided = "" if yearly_base is None else f" / {yearly_base}"
    sum_ = amount_text(line.open, minor_digits(currency))
    return f"{sum_} x {rate_text(line.daily, yearly_base)} x {line.days}{divided}"


def interest_csv(dossier: Dossier, language: str) -> bytes:
    """Each line of interest, and of each candidate; UTF-8 with a BOM, formulas disarmed."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([say(f"dossier.csv.{c}", language) for c in COLUMNS])
    for term in dossier.terms:
        for basis, base, line, amount in _lines(term, language):
            digits = minor_digits(term.currency)
            writer.writerow(
                [
                    disarmed(term.contract), disarmed(term.term), disarmed(basis), line.first, line.last, line.days,
                    amount_text(line.open, digits), rate_text(line.daily, base), formula(line, term.currency, base),
                    amount_text(amount, digits), term.currency,
                ]
            )  # fmt: skip
    return b"\xef\xbb\xbf" + out.getvalue().encode("utf-8", errors="replace")


def _lines(term: DossierTerm, language: str) -> Iterator[tuple[str, int | None, InterestLine, int]]:
    if term.interest is not None:
        basis = term.basis or say("basis.contract", language)
        for line, amount in zip(term.interest.lines, term.interest.amounts, strict=True):
            yield basis, term.yearly_base, line, amount
    for one in term.candidates:
        for line, amount in zip(one.lines, one.amounts, strict=True):
            yield say(f"basis.{one.statute.value}", language), candidate_base(one), line, amount


def candidate_base(one: CandidateLine) -> int | None:
    """Days a year; None for the rule that names a rate a day."""
    return None if one.statute.value == "sme_regulation_17" else 365


# --- JSON --------------------------------------------------------------------------------------------


def json_bytes(dossier: Dossier) -> bytes:
    """`dossier.json`."""
    return orjson.dumps(as_json(dossier), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def as_json(dossier: Dossier) -> dict[str, Any]:
    """Stable keys; money as text with the currency's digits, dates ISO."""
    return {
        "subject": dossier.subject,
        "as_of": dossier.as_of.isoformat(),
        "totals": [
            {"currency": t.currency, "terms": t.terms}
            | {n: amount_text(getattr(t, n), minor_digits(t.currency)) for n in ("open", "asked", "interest", "fixed_sum")}
            | {"interest_unknown_from": _iso(t.unknown_from)}
            for t in totals(dossier.terms)
        ],
        "terms": [_term(t) for t in dossier.terms],
    }  # fmt: skip


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _term(t: DossierTerm) -> dict[str, Any]:
    digits = minor_digits(t.currency)

    def money(minor: int | None) -> str | None:
        return None if minor is None else amount_text(minor, digits)

    return {
        "contract": t.contract, "term": t.term, "name": t.name, "customer": t.customer.name, "currency": t.currency,
        "status": t.status, "gross": money(t.gross), "open": money(t.open), "bills_pending": money(t.pending),
        "disputed": money(t.disputed), "asked": money(t.asked), "due_on": _iso(t.due), "agreed_due_on": _iso(t.agreed_due),
        "days_late": t.days_late, "contract_version": t.version,
        "interest": money(t.interest.total) if t.interest and t.interest.unknown_from is None else None,
        "interest_unknown_from": _iso(t.interest.unknown_from) if t.interest else None,
        "fixed_sum": money(t.interest.fixed_sum) if t.interest else None,
        "interest_lines": _json_lines(t.interest.lines, t.interest.amounts, t.currency, t.yearly_base) if t.interest else [],
        "statutory_reference_due_on": _iso(t.statutory_due),
        "candidates": [
            {
                "statute": c.statute.value, "due_on": _iso(c.due), "interest": money(c.interest),
                "fixed_sum": money(c.fixed_sum), "lines": _json_lines(c.lines, c.amounts, t.currency, candidate_base(c)),
            }
            for c in t.candidates
        ],
        "limitation_expires": _iso(t.limitation.ends) if t.limitation else None,
        "invoices": [b.number for b in t.bills if b.corrects is None],
        "records": [r.record_id for r in t.records],
        "proofs": [
            {"kind": x.kind, "date": _iso(x.on), "channel": x.channel, "proof": x.proof, "file": x.file, "sha256": x.sha256}
            for x in t.touches
        ],
    }  # fmt: skip


def _json_lines(
    lines: tuple[InterestLine, ...], amounts: tuple[int, ...], currency: str, base: int | None
) -> list[dict[str, Any]]:
    digits = minor_digits(currency)
    return [
        {
            "from": x.first.isoformat(), "to": x.last.isoformat(), "days": x.days, "open": amount_text(x.open, digits),
            "rate": rate_text(x.daily, base), "day_base": base, "amount": amount_text(amount, digits),
        }
        for x, amount in zip(lines, amounts, strict=True)
    ]  # fmt: skip
