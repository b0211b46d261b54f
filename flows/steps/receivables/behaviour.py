"""How customers behave, over columns: days late, and days from readiness to invoice. Quartiles are values that occurred."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flows.steps.evaluation.columns import Ints, Mask
from models.domain.receivables.forecast import MIN_HISTORY


@dataclass(frozen=True, slots=True)
class Spread:
    """By group: how many values there are, and their quartiles (0 where there is none)."""

    count: Ints
    low: Ints
    median: Ints
    high: Ints

    @property
    def enough(self) -> Mask:
        """Where there is history enough to tell something."""
        return np.asarray(self.count >= MIN_HISTORY)

    @property
    def typical(self) -> Ints:
        """The median where the history suffices, else 0."""
        return np.where(self.enough, self.median, 0)


def spread(group: Ints, value: Ints, groups: int) -> Spread:
    """Quartiles of `value` by `group` (0 to groups-1): the value at that rank, the later of two middle ones."""
    order = np.lexsort((value, group))
    ordered = value[order].astype(np.int64)
    count = np.bincount(group, minlength=groups).astype(np.int64)
    first = np.cumsum(count) - count
    some = count > 0

    def at(rank: Ints) -> Ints:
        out = np.zeros(groups, dtype=np.int64)
        out[some] = ordered[(first + rank)[some]]
        return out

    low = np.maximum(count - 1, 0) // 4
    return Spread(count, at(low), at(count // 2), at(np.maximum(count - 1 - low, 0)))


def habit(group: Ints, value: Ints, groups: int) -> tuple[Ints, Ints]:
    """By group the usual value and whose it is: 0 the group's own, 1 everybody's, 2 nobody's (then 0)."""
    own = spread(group, value, groups)
    everybody = spread(np.zeros(len(value), dtype=np.int64), value, 1)
    general = int(everybody.typical[0])
    source = np.where(own.enough, 0, 1 if everybody.enough[0] else 2)
    return np.where(own.enough, own.median, general), source
