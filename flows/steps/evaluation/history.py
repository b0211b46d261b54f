"""How often each term has become ready, and when it last stopped being so, had every night been run.

Between two changes of its facts a term can only become ready, by time. So it is enough to look on the
day of every change, on the day before it, and today.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flows.steps.evaluation.batch import Batch, ranges, spans, take
from flows.steps.evaluation.columns import NEVER, Days, Ints
from flows.steps.evaluation.days import Calendars
from flows.steps.evaluation.facts import Facts
from flows.steps.evaluation.run import NOT_READY, evaluate


@dataclass(frozen=True, slots=True)
class History:
    """By term: how many ready records there have been, and the day the last one was withdrawn (NEVER: it was not)."""

    records: Ints
    withdrawn: Days


def history(batch: Batch, facts: Facts, calendars: Calendars, as_of: Days | int) -> History:
    """Replay the nights of a batch up to `as_of`."""
    until = np.broadcast_to(np.asarray(as_of, dtype=np.int32), (batch.contracts,))
    contract, day = _nights(batch, facts, until)
    nights = evaluate(take(batch, contract), facts.take(batch, contract), calendars, day, forecast=False)
    met = (nights.status != NOT_READY) & ~nights.unproven
    records = np.zeros(len(batch.terms), dtype=np.int64)
    withdrawn = np.full(len(batch.terms), NEVER, dtype=np.int32)
    size = np.diff(batch.term_at)
    term = ranges(batch.term_at[:-1][contract], size[contract])
    night_day = np.repeat(day, size[contract])
    order = np.lexsort((night_day, term))
    term, night_day, met = term[order], night_day[order], met[order]
    first = np.r_[True, term[1:] != term[:-1]]
    before = np.r_[False, met[:-1]] & ~first
    np.add.at(records, term[met & ~before], 1)
    withdrawn[term[~met & before]] = night_day[~met & before]  # rows come by day: the last one stays
    withdrawn[term[met]] = np.where(_last_met(term, met)[met], NEVER, withdrawn[term[met]])
    return History(records, withdrawn)


def _last_met(term: Ints, met: np.ndarray) -> np.ndarray:
    """Rows of terms whose last night was met: such a term is not withdrawn now."""
    last = np.r_[term[1:] != term[:-1], True]
    at = spans(last.astype(np.int64))[:-1]
    result: np.ndarray = met[last][at]
    return result


def _nights(batch: Batch, facts: Facts, until: Days) -> tuple[Ints, Days]:
    """(contract, day) pairs to look at, each once."""
    owner = np.repeat(batch.slot_contract(), np.diff(facts.changes.at))
    changed = facts.changes.day.astype(np.int64)
    amended = np.repeat(np.arange(batch.contracts), np.diff(batch.amendment_at))
    invoiced = facts.claims.invoiced.astype(np.int64)
    contract = np.concatenate([owner, owner, batch.term_contract(), amended, np.arange(batch.contracts)])
    day = np.concatenate([changed, changed - 1, invoiced, batch.amendments["effective"], until])
    come = day <= until[contract]
    pairs = np.unique(np.stack([contract[come], day[come]], axis=1), axis=0)
    return pairs[:, 0], pairs[:, 1].astype(np.int32)
