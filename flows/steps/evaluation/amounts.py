"""Amounts over columns: rules M1-M3 and what stages, advances, retention, caps and retainers do to them.

Rows are (term, line) pairs, contract by contract, term by term. `base` is an amount in the price basis
(gross if tax-inclusive, net if exclusive). Contracts with staged amounts have one line (checked when
compiled), so there a term has one row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from flows.steps.evaluation.batch import Batch, ranges, spans
from flows.steps.evaluation.columns import INT64_MAX, NEVER, Days, Ints, Kind, Mask


def ratio(amount: Ints, num: Ints, den: Ints) -> tuple[Ints, Mask]:
    """Take num/den of amounts, rounded half up (away from zero); and where 64 bits would not do."""
    limit = INT64_MAX // np.maximum(np.abs(num), 1)
    over = np.abs(amount) > limit
    whole, rest = np.divmod(np.abs(np.where(over, 0, amount)) * np.abs(num), den)
    rounded = whole + (rest >= den - rest)
    return np.where((amount < 0) ^ (num < 0), -rounded, rounded), over


def floor_ratio(amount: Ints, num: Ints, den: Ints) -> tuple[Ints, Mask]:
    """Take num/den of amounts, cut off (for tax rounded down); and where 64 bits would not do."""
    over = np.abs(amount) > INT64_MAX // np.maximum(np.abs(num), 1)
    cut: Ints = np.sign(amount) * (np.abs(np.where(over, 0, amount)) * num // den)
    return cut, over


@dataclass(frozen=True, slots=True)
class Rows:
    """Which term and line each amount row belongs to."""

    term: Ints
    line: Ints
    contract: Ints
    at: Ints  # by term: its first row (and the end)

    @classmethod
    def of(cls, batch: Batch) -> Rows:
        """All rows of a batch."""
        contract = batch.term_contract()
        lines = np.diff(batch.line_at)[contract]
        term = np.repeat(np.arange(len(batch.terms), dtype=np.int64), lines)
        line = ranges(batch.line_at[:-1][contract], lines)
        return cls(term, line, contract[term], spans(lines))


@dataclass(frozen=True, slots=True)
class Staged:
    """By term, what led from the rule's amount to the claim."""

    recovered: Ints  # of the advance
    retained: Ints
    billable: Ints  # after the cap, before the retainer
    applied: Ints  # from the retainer
    held: Ints  # above the cap

    @classmethod
    def none(cls, terms: int) -> Staged:
        """Nothing staged."""
        return cls(*(np.zeros(terms, dtype=np.int64) for _ in range(5)))


@dataclass(frozen=True, slots=True)
class Frozen:
    """What invoicing froze (S2): terms `fixed`, and their rows and stages."""

    fixed: Mask  # by term
    base: Ints  # by row
    staged: Staged

    @classmethod
    def none(cls, batch: Batch, rows: Rows) -> Frozen:
        """Nothing frozen."""
        terms = len(batch.terms)
        return cls(np.zeros(terms, bool), np.zeros(len(rows.term), np.int64), Staged.none(terms))


@dataclass(frozen=True, slots=True)
class Situation:
    """What amounts depend on besides the contract; days by term."""

    as_of: Days  # by contract
    known: Days  # by term: since when it is known to be ready
    retainer_received: Ints  # by contract
    frozen: Frozen


@dataclass(frozen=True, slots=True)
class Amounts:
    """By row: base, net, tax. By term: the sums, and the stages. By contract: overflow."""

    base: Ints
    net: Ints
    tax: Ints
    term_net: Ints
    term_tax: Ints
    staged: Staged
    overflow: Mask
    line_total: Ints  # by line, amendments applied
    advance_open: Ints  # by contract: advance not yet recovered by ready or invoiced terms

    @property
    def term_gross(self) -> Ints:
        """Net plus tax, by term."""
        return self.term_net + self.term_tax


class _Work:
    """The columns while they are computed; every step changes `base` or `staged`."""

    def __init__(self, batch: Batch, rows: Rows, now: Situation) -> None:
        self.batch, self.rows, self.now = batch, rows, now
        self.overflow = np.zeros(batch.contracts, dtype=bool)
        self.total, self.amended = _totals(batch, now.as_of)
        self.kind = batch.terms["kind"][rows.term]
        self.fixed = now.frozen.fixed[rows.term]
        self.apart = _retainer_terms(batch)
        self.staged = Staged(*(getattr(now.frozen.staged, f).copy() for f in Staged.__dataclass_fields__))
        self.advance_open = np.zeros(batch.contracts, dtype=np.int64)
        self.base = np.zeros(len(rows.term), dtype=np.int64)

    def ratio(self, amount: Ints, num: Ints, den: Ints, contract: Ints) -> Ints:
        """`ratio`, with overflow charged to the contract."""
        value, over = ratio(amount, num, den)
        if over.any():
            self.overflow[contract[over]] = True
        return value

    def floor(self, amount: Ints, num: Ints, den: Ints, contract: Ints) -> Ints:
        """`floor_ratio`, with overflow charged to the contract."""
        value, over = floor_ratio(amount, num, den)
        if over.any():
            self.overflow[contract[over]] = True
        return value

    def open_rows(self, kind: Kind) -> Ints:
        """Rows of one kind that are not frozen."""
        return np.flatnonzero((self.kind == kind) & ~self.fixed)

    def sums(self, rows: Ints, values: Ints) -> Ints:
        """Sums of row values by line."""
        out = np.zeros(len(self.batch.lines), dtype=np.int64)
        np.add.at(out, self.rows.line[rows], values)
        return out


def compute(batch: Batch, rows: Rows, now: Situation) -> Amounts:
    """All amounts of a batch."""
    work = _Work(batch, rows, now)
    work.base[work.fixed] = now.frozen.base[work.fixed]
    _ratios(work)
    _fixed(work)
    special = bool(batch.head["special"].any())
    if special:
        _staged(work)
    _cumulative(work)
    if work.amended.any():
        _amended(work)
    _remaining(work)
    if special:
        _capped(work)
    return _taxed(work)


def _totals(batch: Batch, as_of: Days) -> tuple[Ints, Mask]:
    """Line totals on the day, and which contracts are amended by then."""
    total = batch.lines["amount"].copy()
    amended = np.zeros(batch.contracts, dtype=bool)
    if len(batch.amendments):
        owner = np.repeat(np.arange(batch.contracts), np.diff(batch.amendment_at))
        valid = batch.amendments["effective"] <= as_of[owner]
        total[batch.amendments["line"][valid]] = batch.amendments["total"][valid]
        amended[owner[valid]] = True
    return total, amended


def _retainer_terms(batch: Batch) -> Mask:
    """Terms whose amount stands apart from the price."""
    apart = np.zeros(len(batch.terms), dtype=bool)
    retainers = batch.head["retainer_term"]
    apart[retainers[retainers >= 0]] = True
    return apart


def _ratios(work: _Work) -> None:
    pick = work.open_rows(Kind.RATIO)
    term = work.batch.terms[work.rows.term[pick]]
    work.base[pick] = work.ratio(work.total[work.rows.line[pick]], term["num"], term["den"], work.rows.contract[pick])


def _fixed(work: _Work) -> None:
    """A fixed sum spreads over the lines pro rata; the last line takes the odd cent."""
    pick = work.open_rows(Kind.FIXED)
    term = work.rows.term[pick]
    amount = work.batch.terms["num"][term]
    work.base[pick] = amount
    several = np.flatnonzero((work.rows.at[term + 1] - work.rows.at[term]) > 1)
    for one in np.unique(term[several]):
        own = np.arange(work.rows.at[one], work.rows.at[one + 1])
        weights = [int(w) for w in work.total[work.rows.line[own]]]
        parts = [int(work.batch.terms["num"][one]) * w // (sum(weights) or 1) for w in weights[:-1]]
        work.base[own] = [*parts, int(work.batch.terms["num"][one]) - sum(parts)]


def _cumulative(work: _Work) -> None:
    """Up to N % of each line, less what the terms before it in the contract took."""
    pick = work.open_rows(Kind.CUMULATIVE)
    if not len(pick):
        return
    position = work.rows.term - work.batch.term_at[:-1][work.rows.contract]
    owners = np.unique(work.rows.contract[pick])
    concerned = np.zeros(work.batch.contracts, dtype=bool)
    concerned[owners] = True
    running = np.zeros(len(work.batch.lines), dtype=np.int64)
    counted = concerned[work.rows.contract] & ~work.apart[work.rows.term]
    for place in range(int(position[pick].max()) + 1):
        here = np.flatnonzero(counted & (position == place))
        upto = here[(work.kind[here] == Kind.CUMULATIVE) & ~work.fixed[here]]
        term = work.batch.terms[work.rows.term[upto]]
        line = work.rows.line[upto]
        target = work.ratio(work.total[line], term["num"], term["den"], work.rows.contract[upto])
        work.base[upto] = target - running[line]
        running[work.rows.line[here]] += work.base[here]


def _amended(work: _Work) -> None:
    """Invoiced and fixed terms stay; the rest of the new price spreads over the open ones by weight (CN-06)."""
    weighted = (work.kind == Kind.RATIO) | (work.kind == Kind.REMAINING)
    concerned = work.amended[work.rows.contract] & ~work.apart[work.rows.term]
    pick = np.flatnonzero(concerned & weighted & ~work.fixed)
    keep = np.flatnonzero(concerned & ~(weighted & ~work.fixed))
    line = work.rows.line[pick]
    pool = work.total - work.sums(keep, work.base[keep])
    weight = work.batch.terms["weight"][work.rows.term[pick]]
    whole = work.sums(pick, weight)
    share = work.ratio(pool[line], weight, np.maximum(whole[line], 1), work.rows.contract[pick])
    work.base[pick] = share
    rest = pool - work.sums(pick, share)
    last = np.zeros(len(work.batch.lines), dtype=np.int64)
    last[line] = pick  # rows come in order: the last open row of each line stays
    odd = np.unique(line)
    work.base[last[odd]] += rest[odd]


def _remaining(work: _Work) -> None:
    pick = work.open_rows(Kind.REMAINING)
    if not len(pick):
        return
    line = work.rows.line[pick]
    work.base[pick] = 0
    others = np.flatnonzero(~work.apart[work.rows.term])
    work.base[pick] = work.total[line] - work.sums(others, work.base[others])[line]


# --- staged amounts: one line a contract, so a term's row is rows.at[term] ---------------------------


def _terms_of(work: _Work, kind: Kind) -> Ints:
    return work.rows.term[work.open_rows(kind)]


def _staged(work: _Work) -> None:
    _valuations(work)
    _releases(work)
    _certificates(work)


def _valuations(work: _Work) -> None:
    term = _terms_of(work, Kind.VALUATION)
    if not len(term):
        return
    contract = work.rows.contract[work.rows.at[term]]
    head, value = work.batch.head[contract], work.batch.terms["num"][term]
    kept = work.ratio(value, head["retain_num"], head["retain_den"], contract)
    work.staged.retained[term] = kept
    work.base[work.rows.at[term]] = value - kept


def _releases(work: _Work) -> None:
    """Shares of all that is retained; the release without a share takes the rest (INT-02)."""
    term = _terms_of(work, Kind.RELEASE)
    if not len(term):
        return
    owner = work.batch.term_contract()
    retained = np.zeros(work.batch.contracts, dtype=np.int64)
    np.add.at(retained, owner, work.staged.retained)
    den = work.batch.terms["den"][term]
    shared = work.ratio(retained[owner[term]], work.batch.terms["num"][term], np.maximum(den, 1), owner[term])
    at = work.rows.at[term]
    work.base[at] = np.where(den > 0, shared, 0)
    released = np.flatnonzero(work.kind == Kind.RELEASE)
    given = np.zeros(work.batch.contracts, dtype=np.int64)
    np.add.at(given, work.rows.contract[released], work.base[released])
    rest = at[den == 0]
    work.base[rest] = (retained - given)[work.rows.contract[rest]]


def _certificates(work: _Work) -> None:
    """The payable part less the advance's recovery, until the advance is recovered (CN-03)."""
    owner = work.batch.term_contract()
    advance = work.batch.head["advance_term"]
    has = advance >= 0
    left = np.zeros(work.batch.contracts, dtype=np.int64)
    left[has] = work.base[work.rows.at[advance[has]]]
    taken = np.zeros(work.batch.contracts, dtype=np.int64)
    np.add.at(taken, owner, work.now.frozen.staged.recovered)
    term = _terms_of(work, Kind.CERTIFICATE)
    contract = owner[term]
    head, value = work.batch.head[contract], work.batch.terms["num"][term]
    payable = work.ratio(value, head["pay_num"], head["pay_den"], contract)
    wanted = work.ratio(value, head["recover_num"], head["recover_den"], contract)
    work.staged.recovered[term] = drawn = _draw(contract, wanted, left - taken)
    work.base[work.rows.at[term]] = payable - drawn
    ready = work.now.frozen.fixed | (work.now.known <= work.now.as_of[owner])
    recovered = np.zeros(work.batch.contracts, dtype=np.int64)
    np.add.at(recovered, owner, np.where(ready, work.staged.recovered, 0))
    work.advance_open = left - recovered


def _draw(contract: Ints, wanted: Ints, available: Ints) -> Ints:
    """Serve `wanted` in order until each contract's `available` is used up; rows grouped by contract."""
    if not len(wanted):
        return wanted
    upto = np.cumsum(wanted)
    first = np.r_[True, contract[1:] != contract[:-1]]
    before = np.maximum.accumulate(np.where(first, upto - wanted, 0))
    limit = np.maximum(available[contract], 0)
    after, prior = upto - before, upto - before - wanted
    served: Ints = np.minimum(after, limit) - np.minimum(prior, limit)
    return served


def _capped(work: _Work) -> None:
    """Caps hold back what is above them; retainers pay the oldest first (INT-04)."""
    owner = work.batch.term_contract()
    head = work.batch.head[owner]
    at = work.rows.at[:-1]
    single = head["special"].astype(bool)
    open_ = single & ~work.now.frozen.fixed
    base = work.base[at]
    work.staged.billable[open_] = base[open_]
    seen = np.where(work.now.known <= work.now.as_of[owner], work.now.known, NEVER)
    order = np.lexsort((np.arange(len(owner)), seen, owner))
    capped = order[(open_ & (head["cap"] >= 0) & (work.batch.terms["capped"] > 0))[order]]
    used = np.zeros(work.batch.contracts, dtype=np.int64)
    frozen_capped = work.now.frozen.fixed & (work.batch.terms["capped"] > 0)
    np.add.at(used, owner[frozen_capped], work.staged.billable[frozen_capped])
    billable = _draw(owner[capped], base[capped], work.batch.head["cap"] - used)
    work.staged.billable[capped] = billable
    work.staged.held[capped] = base[capped] - billable
    _apply_retainer(work, order, owner, open_ & (seen < NEVER))
    final = work.staged.billable - work.staged.applied
    work.base[at[open_]] = final[open_]


def _apply_retainer(work: _Work, order: Ints, owner: Ints, ready: Mask) -> None:
    has = (work.batch.head["retainer_term"] >= 0)[owner] & ready & ~work.apart
    draws = order[has[order]]
    used = np.zeros(work.batch.contracts, dtype=np.int64)
    np.add.at(used, owner, work.now.frozen.staged.applied)
    available = np.minimum(work.batch.head["retainer"], work.now.retainer_received) - used
    work.staged.applied[draws] = _draw(owner[draws], work.staged.billable[draws], available)


# --- tax ---------------------------------------------------------------------------------------------


def _taxed(work: _Work) -> Amounts:
    """M3: the tax split of every row, in the contract's basis and rounding."""
    head = work.batch.head
    inclusive = head["inclusive"].astype(bool)[work.rows.contract]
    down = head["tax_down"].astype(bool)[work.rows.contract]
    line = work.batch.lines[work.rows.line]
    num, den = line["rate_num"], line["rate_den"]
    if inclusive.any():
        net_inside = work.ratio(work.base, den, den + num, work.rows.contract)
        if down.any():
            net_inside = np.where(
                down, work.base - work.floor(work.base, num, den + num, work.rows.contract), net_inside
            )
    else:
        net_inside = work.base
    if inclusive.all():
        net, tax = net_inside, work.base - net_inside
    else:
        on_top = work.ratio(work.base, num, den, work.rows.contract)
        if down.any():
            on_top = np.where(down, work.floor(work.base, num, den, work.rows.contract), on_top)
        net = np.where(inclusive, net_inside, work.base)
        tax = np.where(inclusive, work.base - net_inside, on_top)
    term_net, term_tax = (np.add.reduceat(x, work.rows.at[:-1]) if len(x) else x for x in (net, tax))
    return Amounts(work.base, net, tax, term_net, term_tax, work.staged, work.overflow, work.total, work.advance_open)


def freeze(frozen: Frozen, amounts: Amounts, terms: Ints, rows: Rows) -> Frozen:
    """`frozen` with the named terms added, at today's amounts."""
    fixed, base = frozen.fixed.copy(), frozen.base.copy()
    fixed[terms] = True
    own = ranges(rows.at[terms], rows.at[terms + 1] - rows.at[terms])
    base[own] = amounts.base[own]
    staged = {}
    for name in Staged.__dataclass_fields__:
        column = getattr(frozen.staged, name).copy()
        column[terms] = getattr(amounts.staged, name)[terms]
        staged[name] = column
    return replace(frozen, fixed=fixed, base=base, staged=Staged(**staged))
