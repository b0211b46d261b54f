"""Ageing: how long what is open has been overdue, in buckets that the contract or the company names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

#: What is not overdue yet.
NOT_DUE = "not_due"
#: What has no due date yet although it was invoiced: nobody wrote down when the invoice arrived.
NO_DUE_DATE = "no_due_date"
_LABEL = re.compile(r"(\d{1,4})\s*(?:-|–|~)\s*(\d{1,4})?|(\d{1,4})\+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Overdue days from `first` to `last`, both included; `last` None: and more."""

    label: str
    first: int
    last: int | None


class BucketsBroken(ValueError):
    """Buckets that leave days out, count days twice, or cannot be read."""


def buckets(labels: Sequence[str]) -> tuple[Bucket, ...]:
    """Buckets from labels such as 1-30, 31-60, 61- (or 61+). Raises BucketsBroken."""
    found = tuple(_bucket(label) for label in labels)
    if not found or found[0].first != 1 or found[-1].last is not None:
        raise BucketsBroken("the first bucket begins with day 1, the last one has no end")
    for before, after in pairwise(found):
        if before.last is None or after.first != before.last + 1:
            raise BucketsBroken(f"{before.label} and {after.label} do not meet")
    return found


def _bucket(label: str) -> Bucket:
    match = _LABEL.fullmatch(label.strip())
    if not match:
        raise BucketsBroken(f"{label!r} is not a bucket")
    first = int(match[1] or match[3])
    last = int(match[2]) if match[2] else None
    if last is not None and last < first:
        raise BucketsBroken(f"{label!r} ends before it begins")
    return Bucket(label, first, last)


STANDARD = buckets(("1-30", "31-60", "61-90", "91-120", "121-180", "181-"))


def bucket_of(days: int, table: Sequence[Bucket] = STANDARD) -> str:
    """The label for a number of overdue days; 0 and less is not due."""
    if days <= 0:
        return NOT_DUE
    return next(b.label for b in table if b.last is None or days <= b.last)


def spread(open_items: Iterable[tuple[int, int]], table: Sequence[Bucket] = STANDARD) -> dict[str, int]:
    """Open minor units by bucket from (overdue days, minor); every bucket is named, also an empty one."""
    sums = dict.fromkeys((NOT_DUE, *(b.label for b in table)), 0)
    for days, minor in open_items:
        sums[bucket_of(days, table)] += minor
    return sums
