"""Sums by currency and status: computed once from minor units, shown by every output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.domain.ready import ReadyLine, RecordStatus

_ORDER = {status: place for place, status in enumerate(RecordStatus)}


@dataclass(frozen=True, slots=True)
class Total:
    """Sums of the lines of one status and currency, in its minor units.

    `weight` is the sum of the absolute amounts: it says whether a spreadsheet can add them up exactly.
    """

    currency: str
    status: RecordStatus
    count: int
    gross: int
    net: int
    tax: int
    weight: int


def totals(lines: Sequence[ReadyLine]) -> tuple[Total, ...]:
    """One total for each status and currency: what may be invoiced first, currencies in order."""
    groups: dict[tuple[int, str], list[ReadyLine]] = {}
    for line in lines:
        groups.setdefault((_ORDER[line.status], line.currency), []).append(line)
    return tuple(_total(groups[key]) for key in sorted(groups))


def _total(lines: Sequence[ReadyLine]) -> Total:
    return Total(
        currency=lines[0].currency,
        status=lines[0].status,
        count=len(lines),
        gross=sum(x.gross for x in lines),
        net=sum(x.net for x in lines),
        tax=sum(x.tax for x in lines),
        weight=sum(max(abs(x.gross), abs(x.net), abs(x.tax)) for x in lines),
    )


def adds_up_in_doubles(total: Total) -> bool:
    """Would a spreadsheet's binary addition, rounded to the currency's digits, give this sum exactly?

    n additions of doubles are off by at most n * weight * 2**-53; that must stay below half a minor unit.
    """
    return total.count * total.weight < 2**52
