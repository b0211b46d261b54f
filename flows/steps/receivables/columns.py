"""Ageing and reminders due over columns of open terms: a million at once.

The rules are those of `models.domain.receivables.ageing` and `.dunning`, said once more for arrays; a property
test holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from flows.steps.evaluation.columns import NEVER, Days, Ints, Mask
from models.domain.receivables import ageing, dunning

#: `paused` of a term that is not: before every day.
NOT_PAUSED = -1
Small = npt.NDArray[np.int32]
Names = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class OpenTerms:
    """What is open, by part of a term: one row, or one for each instalment of a plan. Amounts minor units."""

    contract: Ints  # id
    term: Names  # code
    customer: Small  # index into `customers`
    currency: Small  # index into `currencies`
    manager: Small  # index into `managers`; its last entry is "": nobody
    due: Days  # as agreed
    open: Ints
    covered: Ints  # by bills in hand, or in dispute: not asked for now
    ladder: Small  # index into `ladders`
    bucket_set: Small  # index into `bucket_sets`
    paused: Days  # the last day without reminders; NOT_PAUSED, or NEVER: until somebody ends it
    reminded: Small  # the highest level a reminder went out for
    customers: Sequence[str]
    currencies: Sequence[str]
    managers: Sequence[str]
    ladders: Sequence[Sequence[dunning.Step]]
    bucket_sets: Sequence[Sequence[ageing.Bucket]]

    def __len__(self) -> int:
        return len(self.due)


def bucket_codes(terms: OpenTerms, as_of: int) -> Small:
    """By row: 0 not due, n the n-th bucket of the row's own set, -1 no due date."""
    overdue = as_of - terms.due.astype(np.int64)
    codes = np.zeros(len(terms), dtype=np.int32)
    for number, table in enumerate(terms.bucket_sets):
        pick = terms.bucket_set == number if len(terms.bucket_sets) > 1 else slice(None)
        firsts = np.array([b.first for b in table], dtype=np.int64)
        codes[pick] = np.searchsorted(firsts, overdue[pick], side="right")
    codes[terms.due >= NEVER] = -1
    return codes


def levels(terms: OpenTerms, as_of: int) -> Small:
    """By row: the level of the ladder reached; 0 none."""
    after = as_of - terms.due.astype(np.int64)
    reached = np.zeros(len(terms), dtype=np.int32)
    for number, ladder in enumerate(terms.ladders):
        pick = terms.ladder == number if len(terms.ladders) > 1 else slice(None)
        steps = sorted(ladder, key=lambda s: s.from_day)
        table = np.array([0, *np.maximum.accumulate([s.level for s in steps])], dtype=np.int32)
        reached[pick] = table[np.searchsorted([s.from_day for s in steps], after[pick], side="right")]
    return reached


def reminders_due(terms: OpenTerms, as_of: int) -> tuple[Mask, Small]:
    """Which rows are owed a reminder, and the level of every row."""
    level = levels(terms, as_of)
    asked = terms.open > terms.covered
    return asked & (terms.paused < as_of) & (level > terms.reminded), level


def ageing_table(terms: OpenTerms, as_of: int, by: Sequence[str] = ("customer", "currency")) -> pd.DataFrame:
    """Open minor units and rows by the named columns and bucket. `by`: of customer, contract, manager, currency.

    Currencies are never added up: `currency` is always among the groups.
    """
    groups = [*by, *(["currency"] if "currency" not in by else [])]
    frame = pd.DataFrame({name: getattr(terms, name) for name in groups})
    frame["bucket_set"], frame["bucket"] = terms.bucket_set, bucket_codes(terms, as_of)
    frame["open"] = terms.open
    found = frame.groupby([*groups, "bucket_set", "bucket"], sort=True)["open"].agg(["sum", "size"]).reset_index()
    for name in {"customer", "currency", "manager"} & set(groups):
        found[name] = np.asarray(getattr(terms, _TABLES[name]), dtype=object)[found[name]]
    found["label"] = [_label(terms, s, b) for s, b in zip(found["bucket_set"], found["bucket"], strict=True)]
    return found.rename(columns={"sum": "open", "size": "terms"})


_TABLES = {"customer": "customers", "currency": "currencies", "manager": "managers"}


def _label(terms: OpenTerms, bucket_set: int, code: int) -> str:
    if code < 0:
        return ageing.NO_DUE_DATE
    return ageing.NOT_DUE if code == 0 else terms.bucket_sets[bucket_set][code - 1].label
