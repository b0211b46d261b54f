"""Facts of single contracts, as a case file or a person states them, into columns.

The nightly run fills the same columns straight from the store (`flows.steps.match`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np

from flows.steps.evaluation.batch import Batch, join
from flows.steps.evaluation.columns import NEVER, day_number
from flows.steps.evaluation.compile import compile_contract
from flows.steps.evaluation.facts import Changes, Claims, Facts
from models.domain import contracts as m

Change = tuple[int, bool]  # day number, value


def local_day(at: date | datetime, timezone: str) -> int:
    """The day number of a date, or of an instant in the contract's time zone (D5)."""
    if isinstance(at, datetime):
        return day_number(at.astimezone(ZoneInfo(timezone)).date())
    return day_number(at)


def gather(contracts: Sequence[m.Contract], facts: Sequence[m.Facts]) -> tuple[Batch, Facts]:
    """Compile contracts and lay their facts beside them."""
    batch = join([compile_contract(c) for c in contracts])
    rows: list[tuple[int, int, bool]] = []
    planned = np.full(batch.slots, NEVER, dtype=np.int32)
    for index, (contract, known) in enumerate(zip(contracts, facts, strict=True)):
        for slot, name in enumerate(batch.slot_names[index], start=int(batch.slot_at[index])):
            rows += [(slot, day, value) for day, value in slot_changes(name, contract, known)]
            planned[slot] = _planned(name, contract, known)
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    changes = Changes.build(batch.slots, table[:, 0], table[:, 1].astype(np.int32), table[:, 2].astype(bool))
    return batch, Facts(changes, planned, _claims(batch, contracts, facts))


def slot_changes(name: str, contract: m.Contract, facts: m.Facts) -> list[Change]:
    """The changes of one slot, oldest first."""
    kind, _, rest = name.partition(":")
    if kind == "p":
        threshold, _, of = rest.partition(":")
        return [(day_number(d), pct >= Fraction(threshold)) for d, pct in sorted(facts.progress.get(of, ()))]
    if kind == "g":
        minimum, _, guarantee = rest.partition(":")
        return list(_in_force(guarantee, int(minimum), (*contract.guarantees, *facts.guarantees)))
    key = rest if kind == "e" else f"approved:{rest}"
    if key in facts.events:
        changes = [(local_day(c.at, contract.timezone), c.value) for c in facts.events[key]]
        return sorted(changes, key=lambda change: change[0])
    binding = contract.events.get(key)
    return [(day_number(binding.on), True)] if isinstance(binding, m.DateBinding) else []


def _in_force(guarantee: str, minimum: int, known: Sequence[m.Guarantee]) -> Iterator[Change]:
    for one in known:
        if one.id == guarantee and one.amount >= minimum and one.issued is not None:
            yield day_number(one.issued), True
            if one.expires is not None:
                yield day_number(one.expires) + 1, False


def _planned(name: str, contract: m.Contract, facts: m.Facts) -> int:
    kind, _, rest = name.partition(":")
    key = rest.partition(":")[2] if kind == "p" else rest
    if key in facts.planned:
        return day_number(facts.planned[key])
    binding = contract.events.get(key)
    return day_number(binding.on) if kind == "e" and isinstance(binding, m.DateBinding) else NEVER


def _claims(batch: Batch, contracts: Sequence[m.Contract], facts: Sequence[m.Facts]) -> Claims:
    claims = Claims.none(len(batch.terms))
    money: list[tuple[int, int, int]] = []
    for index, (contract, known) in enumerate(zip(contracts, facts, strict=True)):
        term = {t.id: i for i, t in enumerate(contract.terms, start=int(batch.term_at[index]))}
        for opening in contract.opening:
            _open(claims, term[opening.term], opening, money)
        for invoice in known.invoices:
            at = term[invoice.term]
            if day_number(invoice.issued) < claims.invoiced[at]:
                claims.invoiced[at] = day_number(invoice.issued)
                claims.received[at] = NEVER if invoice.received is None else day_number(invoice.received)
                claims.amount[at] = -1 if invoice.amount is None else invoice.amount
        money += [row for p in known.payments for row in _money(term[p.term], p)]
    table = np.array(money, dtype=np.int64).reshape(-1, 3)
    return replace(claims, money_term=table[:, 0], money_day=table[:, 1].astype(np.int32), money=table[:, 2])


def _money(at: int, payment: m.PaymentFact) -> Iterator[tuple[int, int, int]]:
    """A payment, and what takes a dishonoured bill back."""
    counts = day_number(payment.maturity or payment.on)
    yield at, counts, payment.amount
    if payment.dishonoured is not None:
        yield at, max(counts, day_number(payment.dishonoured)), -payment.amount


def _open(claims: Claims, at: int, opening: m.Opening, money: list[tuple[int, int, int]]) -> None:
    """A term taken over in the middle of its life: invoiced before we knew it."""
    day = 0 if opening.invoiced_on is None else day_number(opening.invoiced_on)
    claims.invoiced[at] = claims.received[at] = day
    claims.amount[at] = opening.invoiced
    claims.has_frozen[at] = True
    if opening.paid:
        money.append((at, day if opening.paid_on is None else day_number(opening.paid_on), opening.paid))
