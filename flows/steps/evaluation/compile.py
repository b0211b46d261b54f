"""One contract into columns, once for each version of it; the store keeps the bytes.

Nodes of a term are laid out level by level, so that the children of a node stand side by side.
A node's height (leaves 0) orders the evaluation; waiting for another term counts as a child.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import assert_never

import numpy as np
import numpy.typing as npt
import orjson

from flows.steps.evaluation.columns import (
    AMENDMENT,
    HEAD,
    INT64_MAX,
    LINE,
    NODE,
    TERM,
    Add,
    Kind,
    Op,
    Rolls,
    Start,
    day_number,
)
from models.domain import conditions as c
from models.domain import contracts as m

#: Part of every decision: another number evaluates everything again.
RULE_VERSION = 2
_PREFIX = struct.Struct("<6I")


class CompileError(ValueError):
    """A contract the columns cannot carry; `code` is a finding's."""

    def __init__(self, code: str, subject: str) -> None:
        super().__init__(f"{code}: {subject}")
        self.code = code
        self.subject = subject


@dataclass(frozen=True, slots=True)
class Compiled:
    """The columns of one contract; indices inside are local to it."""

    head: npt.NDArray[np.void]
    terms: npt.NDArray[np.void]
    nodes: npt.NDArray[np.void]
    lines: npt.NDArray[np.void]
    amendments: npt.NDArray[np.void]
    slots: tuple[str, ...]
    timezone: str
    calendar: str

    def to_bytes(self) -> bytes:
        """The form the store keeps."""
        names = orjson.dumps([self.timezone, self.calendar, *self.slots])
        sizes = (len(self.terms), len(self.nodes), len(self.lines), len(self.amendments), len(self.slots), len(names))
        body = b"".join(a.tobytes() for a in (self.head, self.terms, self.nodes, self.lines, self.amendments))
        return _PREFIX.pack(*sizes) + body + names


def sections(blob: bytes) -> tuple[tuple[int, ...], tuple[bytes, ...]]:
    """Split stored bytes into (counts of terms, nodes, lines, amendments, slots) and their five sections + names."""
    counts = _PREFIX.unpack_from(blob)
    at, parts = _PREFIX.size, []
    for kind, count in zip((HEAD, TERM, NODE, LINE, AMENDMENT), (1, *counts[:4]), strict=True):
        end = at + kind.itemsize * count
        parts.append(blob[at:end])
        at = end
    return counts[:5], (*parts, blob[at:])


# --- slots: what facts fill --------------------------------------------------------------------------


def event_slot(name: str) -> str:
    """The slot of a named event."""
    return f"e:{name}"


def progress_slot(of: str, gte: Fraction) -> str:
    """The slot of a percentage reaching a threshold."""
    return f"p:{gte}:{of}"


def guarantee_slot(guarantee: str, minimum: int | None) -> str:
    """The slot of a guarantee in force for at least `minimum` minor units."""
    return f"g:{minimum or 0}:{guarantee}"


def slot_of(node: c.Condition) -> str | None:
    """The slot a leaf reads; None for other nodes."""
    match node:
        case c.Event(name=name):
            return event_slot(name)
        case c.Progress(of=of, gte=gte):
            return progress_slot(of, gte)
        case c.GuaranteeInForce(id=guarantee, min_amount=minimum):
            return guarantee_slot(guarantee, minimum)
        case c.Approved(role=role):
            return f"a:{role}"
        case _:
            return None


_TERM_OPS: dict[type, Op] = {c.TermReady: Op.TERM, c.TermInvoiced: Op.INVOICED, c.TermPaid: Op.PAID}
_SET_OPS: dict[type, Op] = {c.All: Op.ALL, c.AnyOf: Op.ANY, c.AtLeast: Op.AT_LEAST}


def _counted(node: c.Deemed | c.Elapsed, days: Op, business_days: Op) -> tuple[Op, int]:
    """The operator and number of a period counted in days or business days."""
    return (days, node.days or 0) if node.business_days is None else (business_days, node.business_days)


class _Nodes:
    """Lays out the nodes of all terms of a contract."""

    def __init__(self, contract: m.Contract) -> None:
        self.contract = contract
        self.term_index = {t.id: i for i, t in enumerate(contract.terms)}
        self.rows: list[list[int]] = []
        self.slots: dict[str, int] = {}
        self.roots: list[int] = []
        for index, term in enumerate(contract.terms):
            self.roots.append(len(self.rows))
            self._lay_out(term.when, index)
        self._link_terms()
        self._heights()

    def _slot(self, key: str) -> int:
        return self.slots.setdefault(key, len(self.slots))

    def _lay_out(self, root: c.Condition, term: int) -> None:
        self.rows.append([0, 0, 0, 0, -1, 0, term])
        waiting = deque([(len(self.rows) - 1, root)])
        while waiting:
            at, node = waiting.popleft()
            row = self.rows[at]
            row[0], row[2], row[3] = self._code(node)
            if isinstance(node, c.Deemed):
                row[4] = self._slot(event_slot(node.accepted)) if node.accepted else -1
                row[5] = self._slot(event_slot(node.rejected)) if node.rejected else -1
                continue
            parts = c.children(node)
            row[5] = len(parts)
            if parts:
                row[4] = len(self.rows)
            for part in parts:
                self.rows.append([0, 0, 0, 0, -1, 0, term])
                waiting.append((len(self.rows) - 1, part))

    def _code(self, node: c.Condition) -> tuple[int, int, int]:
        """(op, arg, n) of a node."""
        slot = slot_of(node)
        if slot is not None:
            return Op.SLOT, self._slot(slot), 0
        if isinstance(node, c.TermReady | c.TermInvoiced | c.TermPaid):
            return _TERM_OPS[type(node)], self.term_index[node.term], 0
        if isinstance(node, c.Deemed):
            op, n = _counted(node, Op.DEEMED_DAYS, Op.DEEMED_BUSINESS_DAYS)
            return op, self._slot(event_slot(node.submitted)), n
        if isinstance(node, c.Elapsed) and node.months is not None:
            return Op.ELAPSED_MONTHS, 0, node.months
        if isinstance(node, c.Elapsed):
            op, n = _counted(node, Op.ELAPSED_DAYS, Op.ELAPSED_BUSINESS_DAYS)
            return op, 0, n
        if isinstance(node, c.OnDate):
            return Op.DATE, day_number(node.day), 0
        return _SET_OPS[type(node)], 0, getattr(node, "n", 0)

    def _link_terms(self) -> None:
        for row in self.rows:
            if row[0] == Op.TERM:
                row[4], row[5] = self.roots[row[2]], 1

    def _heights(self) -> None:
        """Sweep until nothing moves; a circle of terms never settles."""
        for _ in range(len(self.rows) + 1):
            moved = False
            for row in reversed(self.rows):
                if row[0] >= Op.ALL and row[5]:
                    height = 1 + max(r[1] for r in self.rows[row[4] : row[4] + row[5]])
                    moved |= height != row[1]
                    row[1] = height
            if not moved:
                return
            if max(r[1] for r in self.rows) > 250:
                break
        raise CompileError("CYCLIC_TERMS", self.contract.number)


# --- amounts -----------------------------------------------------------------------------------------


def _fits(value: int, subject: str) -> int:
    if abs(value) > INT64_MAX:
        raise CompileError("AMOUNT_OVERFLOW", subject)
    return value


def _amount(term: m.Term, contract: m.Contract) -> tuple[int, int, int]:
    """(kind, num, den) of a term's amount rule."""
    match term.amount:
        case m.Percent(share) | m.CumulativePercent(share):
            kind = Kind.RATIO if isinstance(term.amount, m.Percent) else Kind.CUMULATIVE
            return kind, share.numerator, share.denominator
        case m.Share(numerator, denominator):
            return Kind.RATIO, numerator, denominator
        case m.Fixed(amount) | m.Certificate(amount) | m.Valuation(amount):
            return _SUMS[type(term.amount)], amount, 1
        case m.RetentionRelease():
            return (Kind.RELEASE, *_release(term.id, contract))
        case m.Remaining():
            return Kind.REMAINING, 0, 1
    assert_never(term.amount)


_SUMS: dict[type, Kind] = {m.Fixed: Kind.FIXED, m.Certificate: Kind.CERTIFICATE, m.Valuation: Kind.VALUATION}


def _release(term: str, contract: m.Contract) -> tuple[int, int]:
    for release in contract.retention.releases if contract.retention else ():
        if release.term == term:
            return (release.share.numerator, release.share.denominator) if release.share is not None else (0, 0)
    return (0, 1)


def _weights(contract: m.Contract) -> list[int]:
    """Whole-number weights for amendments, in units common to the contract (golden CN-06)."""
    shares = [_fraction(t.amount) for t in contract.terms]
    left = Fraction(1) - sum((s for s in shares if s is not None), Fraction(0))
    weights = [
        (t.amount.weight if t.amount.weight is not None else left)
        if isinstance(t.amount, m.Remaining)
        else s or Fraction(0)
        for t, s in zip(contract.terms, shares, strict=True)
    ]
    unit = lcm(*(w.denominator for w in weights)) if weights else 1
    return [max(0, int(w * unit)) for w in weights]


def _fraction(rule: m.AmountRule) -> Fraction | None:
    match rule:
        case m.Percent(of_price):
            return of_price
        case m.Share(numerator, denominator):
            return Fraction(numerator, denominator)
        case _:
            return None


_STARTS = {
    m.DueStart.READY: Start.READY,
    m.DueStart.INVOICE_DATE: Start.INVOICE_DATE,
    m.DueStart.INVOICE_RECEIVED: Start.INVOICE_RECEIVED,
}
_ADDS = {add: Add[add.name] for add in m.DueAdd}
_ROLLS = {roll: Rolls[roll.name] for roll in m.Roll}


def _due(rule: m.DueRule | None) -> tuple[int, int, int, int]:
    if rule is None:
        return Start.NOTHING, 0, 0, 0
    return _STARTS[rule.start], _ADDS[rule.add], rule.n, _ROLLS[rule.roll]


def _head(contract: m.Contract) -> npt.NDArray[np.void]:
    index = {t.id: i for i, t in enumerate(contract.terms)}
    progress, retention, cap, retainer = (
        contract.progress,
        contract.retention,
        contract.not_to_exceed,
        contract.retainer,
    )
    pay = progress.pay if progress else Fraction(1)
    recover = progress.recover if progress else Fraction(0)
    retain = retention.percent if retention else Fraction(0)
    staged = any(isinstance(t.amount, m.Certificate | m.Valuation | m.RetentionRelease) for t in contract.terms)
    special = bool(staged or cap or retainer)
    if special and len(contract.lines) > 1:
        raise CompileError("STAGED_NEEDS_ONE_LINE", contract.number)
    advance = index.get(progress.advance_term, -1) if progress and progress.advance_term else -1
    row = (
        contract.price_basis is m.PriceBasis.TAX_INCLUSIVE,
        contract.tax_rounding is m.TaxRounding.DOWN,
        contract.digits,
        special,
        pay.numerator,
        pay.denominator,
        recover.numerator,
        recover.denominator,
        advance,
        retain.numerator,
        retain.denominator,
        cap.amount if cap else -1,
        retainer.amount if retainer else 0,
        index[retainer.term] if retainer else -1,
    )
    return np.array([row], dtype=HEAD)


def compile_contract(contract: m.Contract) -> Compiled:
    """The columns of a contract. Raises CompileError where they cannot carry it."""
    nodes = _Nodes(contract)
    weights = _weights(contract)
    capped = set(contract.not_to_exceed.terms) if contract.not_to_exceed else set()
    terms = []
    for term, root, weight in zip(contract.terms, nodes.roots, weights, strict=True):
        kind, num, den = _amount(term, contract)
        start, add, n, roll = _due(term.due)
        terms.append(
            (
                root,
                kind,
                _fits(num, term.id),
                _fits(den, term.id),
                _fits(weight, term.id),
                term.id in capped,
                start,
                add,
                n,
                roll,
            )
        )
    line_index = {line.id: i for i, line in enumerate(contract.lines)}
    amendments = [
        (day_number(a.effective), line_index[line], _fits(total, a.id))
        for a in sorted(contract.amendments, key=lambda a: a.effective)
        for line, total in a.line_totals.items()
    ]
    lines = [(_fits(x.amount, x.id), x.tax_rate.numerator, x.tax_rate.denominator) for x in contract.lines]
    return Compiled(
        head=_head(contract),
        terms=np.array(terms, dtype=TERM),
        nodes=np.array([tuple(r) for r in nodes.rows], dtype=NODE),
        lines=np.array(lines, dtype=LINE),
        amendments=np.array(amendments, dtype=AMENDMENT),
        slots=tuple(nodes.slots),
        timezone=contract.timezone,
        calendar=contract.calendar,
    )
