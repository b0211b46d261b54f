"""Which way the money of a bank's row went: by a column that says so, by a column of its own for debits, or by the
sign. Only what came in is taken; a row that says neither clearly waits for a person.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from flows.steps.receivables.reading import Refused, below_zero

#: As the bank sees it: 贷, Haben and credit are money that came to us.
_IN = frozenset(
    {
        "贷", "贷方", "贷记", "收", "收入", "收款", "入", "入账", "转入", "进", "进账", "c", "cr", "crdt", "credit", "h", "haben",
        "in", "+",
    }
)  # fmt: skip
_OUT = frozenset(
    {
        "借", "借方", "借记", "支", "支出", "付", "付款", "出", "出账", "转出", "d", "dr", "dbit", "debit", "s", "soll", "out", "-",
    }
)  # fmt: skip
#: An amount of nothing, as banks fill a column that does not apply.
_NOTHING = re.compile(r"[0.,\s+-]*", re.ASCII)


def went_out(cells: Mapping[str, str], *, debits: bool) -> bool:
    """Did this row's money leave the account? `debits`: the list has a column for that. Raises Refused."""
    if "direction" in cells:
        return _stated(cells["direction"])
    amount, debit = cells.get("amount", ""), cells.get("debit", "")
    if debits and nothing(amount):
        return True
    if not nothing(debit):
        # One column of all amounts beside the two: the same sum once more.
        if _bare(amount) == _bare(debit):
            return True
        raise Refused("ROW_BOTH_WAYS", came=amount, went=debit)
    # Where a person says what a row pays, a sum below zero is a mistake and not the bank's way of writing.
    said = cells.get("contract") or cells.get("term") or cells.get("invoice_no")
    return not said and below_zero(amount)


def _stated(text: str) -> bool:
    mark = unicodedata.normalize("NFKC", text).strip().strip("().").casefold()
    if mark not in _IN | _OUT:
        raise Refused("ROW_DIRECTION_UNKNOWN", found=text)
    return mark in _OUT


def nothing(text: str) -> bool:
    """Is it an empty cell, or one filled with zeros or a dash?"""
    return _NOTHING.fullmatch(unicodedata.normalize("NFKC", text)) is not None


def _bare(text: str) -> str:
    """An amount without its sign."""
    return unicodedata.normalize("NFKC", text).strip().lstrip("-+\u2212(").rstrip(")")
