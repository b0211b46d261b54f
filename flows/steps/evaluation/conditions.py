"""Conditions over columns: every node of every term to its legal and its known day, level by level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flows.steps.evaluation.batch import Batch, ranges
from flows.steps.evaluation.columns import NEVER, Days, Ints, Mask, Op
from flows.steps.evaluation.days import Calendars, add_days, add_months


@dataclass(frozen=True, slots=True)
class Group:
    """Nodes of one operator at one height, with their children laid side by side."""

    op: Op
    nodes: Ints
    children: Ints
    starts: Ints


@dataclass(frozen=True, slots=True)
class Plan:
    """The order in which the nodes of a batch are evaluated; made once for a batch."""

    leaves: dict[Op, Ints]
    groups: tuple[Group, ...]
    calendar: Ints  # by node

    @classmethod
    def of(cls, batch: Batch) -> Plan:
        """Group the nodes by height and operator."""
        nodes = batch.nodes
        key = nodes["height"].astype(np.uint16) * 16 + nodes["op"]
        order = np.argsort(key, kind="stable")
        found, begin = np.unique(key[order], return_index=True)
        leaves: dict[Op, Ints] = {}
        groups = []
        for value, pick in zip(found, np.split(order, begin[1:]), strict=True):
            op = Op(int(value) % 16)
            if op < Op.ALL:
                leaves[op] = pick
            else:
                groups.append(
                    _group(op, pick, nodes["first"][pick].astype(np.int64), nodes["count"][pick].astype(np.int64))
                )
        return cls(leaves, tuple(groups), batch.calendar[batch.node_contract()])


def _group(op: Op, nodes: Ints, first: Ints, count: Ints) -> Group:
    starts = np.zeros(len(nodes), dtype=np.int64)
    np.cumsum(count[:-1], out=starts[1:])
    return Group(op, nodes, ranges(first, count), starts)


@dataclass(frozen=True, slots=True)
class NodeDays:
    """Both days of every node, and where a calendar's horizon was passed."""

    legal: Days
    known: Days
    beyond: Mask


@dataclass(frozen=True, slots=True)
class TermDays:
    """What stands about whole terms: their frozen readiness where `fixed` (S2), invoice and full payment."""

    fixed: Mask
    legal: Days
    known: Days
    invoiced: Days
    paid: Days


def evaluate_nodes(batch: Batch, plan: Plan, calendars: Calendars, slots: Days, terms: TermDays) -> NodeDays:
    """Both days of every node, given since when each slot is true."""
    size = len(batch.nodes)
    out = NodeDays(np.full(size, NEVER, np.int32), np.full(size, NEVER, np.int32), np.zeros(size, bool))
    for op, nodes in plan.leaves.items():
        _leaf(op, nodes, batch, plan, calendars, slots, terms, out)
    for group in plan.groups:
        _inner(group, batch, plan, calendars, terms, out)
    return out


def _leaf(
    op: Op, nodes: Ints, batch: Batch, plan: Plan, calendars: Calendars, slots: Days, terms: TermDays, out: NodeDays
) -> None:
    argument = batch.nodes["arg"][nodes]
    if op is Op.DATE:
        out.legal[nodes] = out.known[nodes] = argument
    elif op is Op.SLOT:
        out.legal[nodes] = out.known[nodes] = slots[argument]
    elif op in (Op.INVOICED, Op.PAID):
        out.legal[nodes] = out.known[nodes] = (terms.invoiced if op is Op.INVOICED else terms.paid)[argument]
    else:
        out.legal[nodes], out.known[nodes], out.beyond[nodes] = _deemed(op, nodes, batch, plan, calendars, slots)


def _deemed(
    op: Op, nodes: Ints, batch: Batch, plan: Plan, calendars: Calendars, slots: Days
) -> tuple[Days, Days, Mask]:
    """Silence is acceptance on the last day of the period, seen the day after (S1); a rejection within it stops it."""
    rows = batch.nodes[nodes]
    submitted = slots[rows["arg"]]
    accepted, rejected = (np.where(rows[name] >= 0, slots[rows[name]], NEVER) for name in ("first", "count"))
    if op is Op.DEEMED_DAYS:
        silent, beyond = add_days(submitted, rows["n"]), np.zeros(len(nodes), bool)
    else:
        silent, beyond = calendars.add_business(submitted, rows["n"], plan.calendar[nodes])
    stopped = (rejected >= submitted) & (rejected <= silent) & (rejected < NEVER)
    silent = np.where(stopped, NEVER, silent)
    in_time = accepted <= silent
    legal = np.where(in_time, accepted, silent)
    known = np.where(in_time, accepted, np.where(silent < NEVER, silent + 1, NEVER))
    return legal.astype(np.int32), known.astype(np.int32), beyond


def _inner(group: Group, batch: Batch, plan: Plan, calendars: Calendars, terms: TermDays, out: NodeDays) -> None:
    nodes = group.nodes
    legal, known = out.legal[group.children], out.known[group.children]
    match group.op:
        case Op.ALL:
            out.legal[nodes], out.known[nodes] = (np.maximum.reduceat(x, group.starts) for x in (legal, known))
        case Op.ANY:
            out.legal[nodes], out.known[nodes] = (np.minimum.reduceat(x, group.starts) for x in (legal, known))
        case Op.AT_LEAST:
            n = batch.nodes["n"][nodes]
            out.legal[nodes], out.known[nodes] = (_nth(x, group.starts, n) for x in (legal, known))
        case Op.TERM:
            term = batch.nodes["arg"][nodes]
            out.legal[nodes] = np.where(terms.fixed[term], terms.legal[term], legal)
            out.known[nodes] = np.where(terms.fixed[term], terms.known[term], known)
        case _:
            shifted, out.beyond[nodes] = _shift(group, legal, batch.nodes["n"][nodes], plan, calendars)
            out.legal[nodes] = shifted
            out.known[nodes] = np.maximum(shifted, known)


def _nth(values: Days, starts: Ints, n: Days) -> Days:
    """The n-th smallest of each run; NEVER where a run has fewer."""
    size = np.diff(np.append(starts, len(values)))
    owner = np.repeat(np.arange(len(starts)), size)
    ordered = values[np.lexsort((values, owner))]
    inside = n <= size
    return np.where(inside, ordered[np.where(inside, starts + n - 1, starts)], NEVER).astype(np.int32)


def _shift(group: Group, legal: Days, n: Days, plan: Plan, calendars: Calendars) -> tuple[Days, Mask]:
    if group.op is Op.ELAPSED_MONTHS:
        return add_months(legal, n), np.zeros(len(legal), bool)
    if group.op is Op.ELAPSED_DAYS:
        return add_days(legal, n), np.zeros(len(legal), bool)
    return calendars.add_business(legal, n, plan.calendar[group.nodes])


# --- what supports and what blocks -------------------------------------------------------------------


def _from_roots(batch: Batch, plan: Plan, roots: Ints, follow: Mask, days: NodeDays, as_of: Days, *, met: bool) -> Mask:
    """Mark nodes below `roots`: met ones that carry their parent, or unmet ones that hold it back."""
    marked = np.zeros(len(batch.nodes), dtype=bool)
    marked[roots[follow]] = True
    for group in reversed(plan.groups):
        if group.op is Op.TERM:
            continue
        size = np.diff(np.append(group.starts, len(group.children)))
        parent = np.repeat(group.nodes, size)
        child = group.children
        known = days.known[child]
        if met:
            carries = known <= days.known[parent] if group.op is not Op.ANY else known == days.known[parent]
        else:
            carries = known > as_of[child]
        marked[child] |= marked[parent] & carries
    return marked


def supporting(batch: Batch, plan: Plan, terms: Mask, days: NodeDays, as_of: Days) -> Mask:
    """The met nodes on which the marked terms rest. `as_of` by node."""
    return _from_roots(batch, plan, batch.terms["root"].astype(np.int64), terms, days, as_of, met=True)


def blocking(batch: Batch, plan: Plan, terms: Mask, days: NodeDays, as_of: Days) -> Mask:
    """The unmet nodes that hold the marked terms back. `as_of` by node."""
    return _from_roots(batch, plan, batch.terms["root"].astype(np.int64), terms, days, as_of, met=False)
