"""Many compiled contracts side by side, with indices made global; and parts of such a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import orjson

from flows.steps.evaluation.columns import AMENDMENT, HEAD, LINE, NODE, TERM, Ints, Op
from flows.steps.evaluation.compile import Compiled, sections

Rows = npt.NDArray[np.void]


def spans(counts: Ints) -> Ints:
    """Where each run of `counts` begins, with the end added: counts 2,3 -> 0,2,5."""
    out = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=out[1:])
    return out


def ranges(first: Ints, counts: Ints) -> Ints:
    """first[i], first[i]+1, … for counts[i] numbers, all runs joined."""
    total = int(counts.sum())
    starts = spans(counts)[:-1]
    return np.arange(total, dtype=np.int64) + np.repeat(first - starts, counts)


@dataclass(frozen=True, slots=True)
class Batch:
    """The columns of many contracts. `*_at` are span starts by contract; all indices are global."""

    head: Rows
    terms: Rows
    nodes: Rows
    lines: Rows
    amendments: Rows
    term_at: Ints
    node_at: Ints
    line_at: Ints
    amendment_at: Ints
    slot_at: Ints
    timezones: tuple[str, ...]
    calendars: tuple[str, ...]
    timezone: Ints  # by contract: index into timezones
    calendar: Ints  # by contract: index into calendars
    slot_names: tuple[tuple[str, ...], ...]  # by contract; empty for parts of a batch

    @property
    def contracts(self) -> int:
        """How many contracts."""
        return len(self.head)

    @property
    def slots(self) -> int:
        """How many slots."""
        return int(self.slot_at[-1])

    def term_contract(self) -> Ints:
        """The contract of each term."""
        return np.repeat(np.arange(self.contracts, dtype=np.int64), np.diff(self.term_at))

    def slot_contract(self) -> Ints:
        """The contract of each slot."""
        return np.repeat(np.arange(self.contracts, dtype=np.int64), np.diff(self.slot_at))

    def node_contract(self) -> Ints:
        """The contract of each node."""
        return np.repeat(np.arange(self.contracts, dtype=np.int64), np.diff(self.node_at))


def join(contracts: Sequence[Compiled]) -> Batch:
    """A batch of freshly compiled contracts."""
    return from_bytes([c.to_bytes() for c in contracts])


def from_bytes(blobs: Sequence[bytes]) -> Batch:
    """A batch of stored contracts, in the given order."""
    split = [sections(b) for b in blobs]
    counts = np.array([s[0] for s in split], dtype=np.int64).reshape(len(blobs), 5)
    parts: list[Rows] = [
        np.frombuffer(b"".join(s[1][i] for s in split), dtype=kind).copy()
        for i, kind in enumerate((HEAD, TERM, NODE, LINE, AMENDMENT))
    ]
    at = [spans(counts[:, i]) for i in range(5)]
    names = [orjson.loads(s[1][5]) for s in split]
    zones, zone = _codes([n[0] for n in names])
    calendars, calendar = _codes([n[1] for n in names])
    _shift(parts, counts, at)
    return Batch(
        head=parts[0],
        terms=parts[1],
        nodes=parts[2],
        lines=parts[3],
        amendments=parts[4],
        term_at=at[0],
        node_at=at[1],
        line_at=at[2],
        amendment_at=at[3],
        slot_at=at[4],
        timezones=zones,
        calendars=calendars,
        timezone=zone,
        calendar=calendar,
        slot_names=tuple(tuple(n[2:]) for n in names),
    )


def _codes(values: list[str]) -> tuple[tuple[str, ...], Ints]:
    known: dict[str, int] = {}
    codes = np.array([known.setdefault(v, len(known)) for v in values], dtype=np.int64)
    return tuple(known), codes


def _shift(parts: list[Rows], counts: Ints, at: list[Ints]) -> None:
    """Local indices become global, in place."""
    head, terms, nodes, _, amendments = parts
    _shift_by(head, terms, nodes, amendments, counts, tuple(a[:-1] for a in at))


def _shift_by(head: Rows, terms: Rows, nodes: Rows, amendments: Rows, counts: Ints, by: tuple[Ints, ...]) -> None:
    """Add offsets (term, node, line, -, slot) by contract to every index column."""
    term_by, node_by, line_by, _, slot_by = by
    for name in ("advance_term", "retainer_term"):
        column = head[name]
        head[name] = np.where(column >= 0, column + term_by, -1)
    terms["root"] += np.repeat(node_by, counts[:, 0]).astype(np.int32)
    amendments["line"] += np.repeat(line_by, counts[:, 3]).astype(np.int32)
    op = nodes["op"]
    slot, node, term = (np.repeat(b, counts[:, 1]).astype(np.int32) for b in (slot_by, node_by, term_by))
    nodes["term"] += term
    deemed = (op == Op.DEEMED_DAYS) | (op == Op.DEEMED_BUSINESS_DAYS)
    reads_slot = deemed | (op == Op.SLOT)
    reads_term = (op == Op.TERM) | (op == Op.INVOICED) | (op == Op.PAID)
    nodes["arg"] += np.where(reads_slot, slot, np.where(reads_term, term, 0)).astype(np.int32)
    for name in ("first", "count"):
        column = nodes[name]
        column[deemed] = np.where(column[deemed] >= 0, column[deemed] + slot[deemed], -1)
    nodes["first"] += np.where((op >= Op.ALL), node, 0).astype(np.int32)


def take(batch: Batch, contracts: Ints) -> Batch:
    """The named contracts (repeats allowed: one copy each), as a batch of its own."""
    at = (batch.term_at, batch.node_at, batch.line_at, batch.amendment_at, batch.slot_at)
    counts = np.stack([np.diff(a)[contracts] for a in at], axis=1)
    new_at = [spans(counts[:, i]) for i in range(5)]
    rows = (batch.terms, batch.nodes, batch.lines, batch.amendments)
    parts = [r[ranges(a[contracts], counts[:, i])] for i, (r, a) in enumerate(zip(rows, at[:4], strict=True))]
    head = batch.head[contracts]
    moved = tuple(n[:-1] - a[contracts] for n, a in zip(new_at, at, strict=True))
    _shift_by(head, parts[0], parts[1], parts[3], counts, moved)
    return Batch(
        head=head,
        terms=parts[0],
        nodes=parts[1],
        lines=parts[2],
        amendments=parts[3],
        term_at=new_at[0],
        node_at=new_at[1],
        line_at=new_at[2],
        amendment_at=new_at[3],
        slot_at=new_at[4],
        timezones=batch.timezones,
        calendars=batch.calendars,
        timezone=batch.timezone[contracts],
        calendar=batch.calendar[contracts],
        slot_names=(),
    )
