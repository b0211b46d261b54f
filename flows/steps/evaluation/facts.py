"""What has happened, as columns beside a batch: changes of slots, plans, invoices, money in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flows.steps.evaluation.batch import Batch, ranges, spans
from flows.steps.evaluation.columns import NEVER, Days, Ints, Mask


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes of slots, sorted by slot and day; `at` are span starts by slot.

    `since` is the day the run of true values began to which a true change belongs.
    """

    at: Ints
    day: Days
    value: Mask
    since: Days

    @classmethod
    def build(cls, slots: int, slot: Ints, day: Days, value: Mask) -> Changes:
        """From loose rows; rows of one slot and day keep their order, the last one counts."""
        if len(slot) and not _sorted(slot, day):
            order = np.lexsort((day, slot))
            slot, day, value = slot[order], day[order], value[order]
        at = spans(np.bincount(slot, minlength=slots).astype(np.int64))
        return cls(at, day, value, _since(slot, day, value))

    def take(self, slots: Ints) -> Changes:
        """The changes of the named slots, in that order (repeats allowed)."""
        counts = np.diff(self.at)[slots]
        rows = ranges(self.at[slots], counts)
        return Changes(spans(counts), self.day[rows], self.value[rows], self.since[rows])

    def state(self, as_of: Days) -> SlotState:
        """Each slot's value on its own day of judgement (`as_of` by slot)."""
        counts = np.diff(self.at)
        come = self.day <= np.repeat(as_of, counts)
        seen = spans(come.astype(np.int64))
        number = seen[self.at[1:]] - seen[self.at[:-1]]
        any_change = number > 0
        last = np.where(any_change, self.at[:-1] + number - 1, 0)
        if not len(self.day):
            nothing = np.full(len(counts), NEVER, dtype=np.int32)
            return SlotState(nothing, any_change)
        true = any_change & self.value[last]
        return SlotState(np.where(true, self.since[last], NEVER).astype(np.int32), any_change & ~true)


@dataclass(frozen=True, slots=True)
class SlotState:
    """Since when each slot is true (NEVER: it is not), and whether it was true once and is no more."""

    since: Days
    fell: Mask


def _sorted(slot: Ints, day: Days) -> bool:
    key = slot * (2 * NEVER) + day
    return bool((np.diff(key) >= 0).all())


def _since(slot: Ints, day: Days, value: Mask) -> Days:
    if not len(slot):
        return day
    starts = np.ones(len(slot), dtype=bool)
    starts[1:] = (slot[1:] != slot[:-1]) | ~value[:-1]
    return day[np.maximum.accumulate(np.where(starts, np.arange(len(slot)), 0))]


@dataclass(frozen=True, slots=True)
class Claims:
    """What is asked for and what came, by term. Amounts are gross minor units.

    `frozen_*` come from the ledger where a term was invoiced on a ready record; `has_frozen` says so.
    Money rows carry the day from which they count (a bill: its maturity).
    """

    invoiced: Days  # first invoice that stands; NEVER: none
    received: Days
    amount: Ints  # invoiced gross where stated, else -1
    has_frozen: Mask
    frozen_legal: Days
    frozen_known: Days
    money_term: Ints
    money_day: Days
    money: Ints
    waived: Mask

    @classmethod
    def none(cls, terms: int) -> Claims:
        """Nothing invoiced, nothing paid."""
        never = np.full(terms, NEVER, dtype=np.int32)
        no = np.zeros(terms, dtype=bool)
        empty = np.zeros(0, dtype=np.int64)
        unstated = np.full(terms, -1, dtype=np.int64)
        return cls(
            never,
            never.copy(),
            unstated,
            no,
            never.copy(),
            never.copy(),
            empty,
            empty.astype(np.int32),
            empty,
            no.copy(),
        )

    def take(self, terms: Ints) -> Claims:
        """The claims of the named terms (repeats allowed)."""
        old = len(self.invoiced)
        order = np.argsort(self.money_term, kind="stable")
        at = spans(np.bincount(self.money_term, minlength=old).astype(np.int64))
        counts = np.diff(at)[terms]
        rows = order[ranges(at[terms], counts)]
        return Claims(
            self.invoiced[terms],
            self.received[terms],
            self.amount[terms],
            self.has_frozen[terms],
            self.frozen_legal[terms],
            self.frozen_known[terms],
            np.repeat(np.arange(len(terms), dtype=np.int64), counts),
            self.money_day[rows],
            self.money[rows],
            self.waived[terms],
        )


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything an evaluation needs besides the contracts."""

    changes: Changes
    planned: Days  # by slot; NEVER: no plan
    claims: Claims

    @classmethod
    def of(
        cls,
        batch: Batch,
        rows: Iterable[tuple[int, int, bool]],
        planned: Days | None = None,
        claims: Claims | None = None,
    ) -> Facts:
        """From (slot, day, value) rows; for few contracts at once."""
        table = np.array([(s, d, v) for s, d, v in rows], dtype=np.int64).reshape(-1, 3)
        changes = Changes.build(batch.slots, table[:, 0], table[:, 1].astype(np.int32), table[:, 2].astype(bool))
        never = np.full(batch.slots, NEVER, dtype=np.int32)
        return cls(changes, never if planned is None else planned, claims or Claims.none(len(batch.terms)))

    def take(self, batch: Batch, contracts: Ints) -> Facts:
        """The facts of the named contracts, in step with `batch.take(contracts)`."""
        slots = ranges(batch.slot_at[contracts], np.diff(batch.slot_at)[contracts])
        terms = ranges(batch.term_at[contracts], np.diff(batch.term_at)[contracts])
        return Facts(self.changes.take(slots), self.planned[slots], self.claims.take(terms))
