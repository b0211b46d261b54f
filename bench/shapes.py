"""Columns to measure with: many contracts of four terms, about twenty nodes each, most facts there."""

from __future__ import annotations

import random
from datetime import date
from fractions import Fraction

import numpy as np

from flows.steps.evaluation.batch import Batch, from_bytes
from flows.steps.evaluation.columns import NEVER, day_number
from flows.steps.evaluation.compile import compile_contract
from flows.steps.evaluation.facts import Changes, Claims, Facts
from models.domain import conditions as c
from models.domain import contracts as m

AS_OF = day_number(date(2026, 11, 20))
FIRST = day_number(date(2026, 1, 1))


def sample_contract(number: str, amount: int) -> m.Contract:
    """Four terms: a signature, two documents with a milestone, silence or a report, and time."""
    e = c.Event
    whens = (
        c.All((e("signed"), e("advance_bond"), e("kickoff"))),
        c.All((e("first"), e("first_report"), c.AnyOf((e("packing_list"), e("waiver"))))),
        c.AnyOf((e("final_report"), c.Elapsed(e("trial_run"), business_days=20), c.All((e("first"), e("used"))))),
        c.Elapsed(e("final_report"), months=12),
    )
    amounts = (m.Percent(Fraction(3, 10)), m.Percent(Fraction(4, 10)), m.Percent(Fraction(1, 4)), m.Remaining())
    due = m.DueRule(m.DueStart.READY, m.DueAdd.BUSINESS_DAYS, 15, m.Roll.NONE)
    return m.Contract(
        number=number, title=number, customer=m.Party("Customer"), supplier=m.Party("Supplier"), currency="CNY", digits=2, timezone="Asia/Shanghai", calendar="CN",
        price_basis=m.PriceBasis.TAX_INCLUSIVE, lines=(m.Line("L", amount, Fraction(6, 100)),),
        terms=tuple(m.Term(f"T{i}", f"Term {i}", a, w, due) for i, (a, w) in enumerate(zip(amounts, whens, strict=True))),
    )  # fmt: skip


def columns(terms: int, seed: int = 1) -> tuple[Batch, Facts]:
    """A batch of about `terms` terms with random facts. Contracts share one shape and differ in price and facts."""
    contracts = terms // 4
    blob = compile_contract(sample_contract("C", 1)).to_bytes()
    batch = from_bytes([blob] * contracts)
    dice = np.random.default_rng(seed)
    batch.lines["amount"][:] = dice.integers(1_000_000, 1_000_000_000, len(batch.lines))
    slot = np.arange(batch.slots, dtype=np.int64)[dice.random(batch.slots) < 0.8]
    day = dice.integers(FIRST, AS_OF + 30, len(slot)).astype(np.int32)
    changes = Changes.build(batch.slots, slot, day, np.ones(len(slot), dtype=bool))
    return batch, Facts(changes, np.full(batch.slots, NEVER, dtype=np.int32), Claims.none(len(batch.terms)))


def names(seed: int = 1) -> random.Random:
    """Deterministic dice."""
    return random.Random(seed)
