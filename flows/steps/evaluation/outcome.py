"""What an evaluation says, in the words of the golden cases: money as text, dates ISO."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flows.steps.evaluation.columns import NEVER, Mask, Op, as_date
from flows.steps.evaluation.conditions import blocking
from flows.steps.evaluation.history import History
from flows.steps.evaluation.run import INVOICED, NOT_READY, PAID, PART_PAID, READY, STATUS_NAMES, Evaluation
from models.domain.conditions import GuaranteeInForce, walk
from models.domain.contracts import Certificate, Contract, Guarantee, Valuation
from models.domain.money import amount_text


def iso(day: int) -> str | None:
    """A day number as ISO text; None for never."""
    found = as_date(int(day))
    return None if found is None else found.isoformat()


def term_values(
    contract: Contract, index: int, out: Evaluation, past: History | None, blockers: Sequence[str]
) -> dict[str, object]:
    """The keys of one term (`index` in the batch), absent where they do not apply."""
    term = contract.terms[index - int(out.batch.term_at[_owner(out, index)])]
    status = int(out.status[index])
    values: dict[str, object] = {"status": STATUS_NAMES[status]}
    values |= _when(index, out, status)
    values |= _sums(contract, term.amount, index, out)
    values["due_on"] = iso(out.due[index])
    values["overdue_days"] = int(out.overdue_days[index])
    if status in (INVOICED, PART_PAID, PAID):
        values["outstanding"] = amount_text(int(out.outstanding[index]), contract.digits)
    if status == PAID and out.due[index] < NEVER:
        values["days_late_at_payment"] = max(0, int(out.last_paid[index]) - int(out.due[index]))
    if status == NOT_READY:
        values["blocking"] = list(blockers)
    if past is not None:
        values["ready_records"] = int(past.records[index])
        if status == NOT_READY and past.withdrawn[index] < NEVER:
            values["withdrawn_on"] = iso(past.withdrawn[index])
    return values


def _owner(out: Evaluation, index: int) -> int:
    return int(np.searchsorted(out.batch.term_at, index, side="right")) - 1


def _when(index: int, out: Evaluation, status: int) -> dict[str, object]:
    values: dict[str, object] = {}
    legal, known = int(out.legal[index]), int(out.known[index])
    if status == NOT_READY:
        if out.expected[index] < NEVER:
            values["expected_ready_on"] = iso(out.expected[index])
        silent = _silence(index, out)
        if silent < NEVER:
            values["deemed_on_if_silent"] = iso(silent)
    elif known < NEVER:
        values["ready_on"] = iso(known)
        if legal < known:
            values["deemed_on"] = iso(legal)
    return values


def _silence(index: int, out: Evaluation) -> int:
    """The day on which silence would become acceptance, for a term that waits for it."""
    nodes = out.batch.nodes
    own = np.flatnonzero(
        (nodes["term"] == index) & ((nodes["op"] == Op.DEEMED_DAYS) | (nodes["op"] == Op.DEEMED_BUSINESS_DAYS))
    )
    pending = own[(out.nodes.known[own] > out.as_of_node[own]) & (out.nodes.known[own] < NEVER)]
    return int(out.nodes.legal[pending].min()) if len(pending) else NEVER


def _sums(contract: Contract, rule: object, index: int, out: Evaluation) -> dict[str, object]:
    def text(minor: int) -> str:
        return amount_text(int(minor), contract.digits)

    staged = out.amounts.staged
    values: dict[str, object] = {
        "gross": text(out.amounts.term_gross[index]),
        "net": text(out.amounts.term_net[index]),
        "tax": text(out.amounts.term_tax[index]),
    }
    if isinstance(rule, Certificate):
        values["advance_recovered"] = text(staged.recovered[index])
    if isinstance(rule, Valuation):
        values["retained"] = text(staged.retained[index])
    term = contract.terms[index - int(out.batch.term_at[_owner(out, index)])].id
    if contract.retainer and term != contract.retainer.term:
        values |= {"billable": text(staged.billable[index]), "retainer_applied": text(staged.applied[index])}
    if staged.held[index] > 0:
        values |= {"billable": text(staged.billable[index]), "held": text(staged.held[index])}
    return values


def leaf_name(slot: str) -> str:
    """The name people know of a slot: the event, the measured thing, the guarantee or the role."""
    kind, _, rest = slot.partition(":")
    return rest.partition(":")[2] if kind in "pg" else rest


def blocker_names(contract: int, out: Evaluation) -> dict[int, list[str]]:
    """Unmet leaves by term, for the terms of one contract that are not ready; each name once."""
    batch = out.batch
    unready = out.status == NOT_READY
    mask = blocking(batch, out.plan, unready, out.nodes, out.as_of_node)
    first, last = int(batch.node_at[contract]), int(batch.node_at[contract + 1])
    names: dict[int, list[str]] = {}
    for node in np.flatnonzero(mask[first:last]) + first:
        name = _blocker(contract, int(node), out)
        known = names.setdefault(int(batch.nodes["term"][node]), [])
        if name and name not in known:
            known.append(name)
    return names


def _blocker(contract: int, node: int, out: Evaluation) -> str | None:
    row = out.batch.nodes[node]
    slots = out.batch.slot_names[contract]
    base = int(out.batch.slot_at[contract])
    op = Op(int(row["op"]))
    if op is Op.SLOT:
        return leaf_name(slots[int(row["arg"]) - base])
    if op in (Op.DEEMED_DAYS, Op.DEEMED_BUSINESS_DAYS):
        waiting = row["arg"] if out.slots.since[row["arg"]] >= NEVER else row["first"]
        return leaf_name(slots[int(waiting) - base]) if waiting >= 0 else None
    if op in (Op.TERM, Op.INVOICED, Op.PAID):
        return f"term:{int(row['arg']) - int(out.batch.term_at[contract])}"
    return None


# --- what stands around the terms --------------------------------------------------------------------


def exceptions(contract: Contract, position: int, out: Evaluation) -> list[str]:
    """Reversals after the invoice, and invoices before readiness: "CODE:TERM"."""
    found = []
    batch = out.batch
    root = batch.terms["root"]
    broken = out.fixed & (out.known < NEVER) & (out.nodes.known[root] > out.as_of[position])
    held_back = blocking(batch, out.plan, broken, out.nodes, out.as_of_node)
    for offset, term in enumerate(contract.terms):
        index = int(batch.term_at[position]) + offset
        if out.unproven[index]:
            found.append(f"INVOICED_BEFORE_READY:{term.id}")
        if broken[index]:
            found += [f"{code}:{term.id}" for code in _reversals(position, index, held_back, out)]
    return found


def _reversals(position: int, index: int, held_back: Mask, out: Evaluation) -> list[str]:
    """Which kinds of proof were taken back. An expired guarantee is a warning, not an exception."""
    nodes = out.batch.nodes
    own = np.flatnonzero((nodes["term"] == index) & held_back & (nodes["op"] == Op.SLOT))
    fell = [int(s) for s in nodes["arg"][own] if out.slots.fell[s]]
    base = int(out.batch.slot_at[position])
    kinds = {out.batch.slot_names[position][s - base][0] for s in fell}
    codes = {
        "e": "MILESTONE_REOPENED_AFTER_INVOICE",
        "a": "MILESTONE_REOPENED_AFTER_INVOICE",
        "p": "PROGRESS_REGRESSED_AFTER_INVOICE",
    }
    return sorted({codes[k] for k in kinds if k in codes})


def expired_guarantees(contract: Contract, guarantees: Sequence[Guarantee], as_of: int) -> list[str]:
    """Guarantees that a term rests on and that have run out."""
    wanted = {n.id for t in contract.terms for n in walk(t.when) if isinstance(n, GuaranteeInForce)}
    gone = {g.id for g in guarantees if g.id in wanted and g.expires is not None and iso(as_of) > g.expires.isoformat()}  # type: ignore[operator]
    return [f"GUARANTEE_EXPIRED:{g}" for g in sorted(gone)]


def beyond_horizon(contract: Contract, position: int, out: Evaluation) -> list[str]:
    """Terms whose dates lie past what the calendar knows."""
    nodes = out.batch.nodes
    first = int(out.batch.term_at[position])
    late = set(nodes["term"][out.nodes.beyond].tolist()) | set(np.flatnonzero(out.due_beyond).tolist())
    return [f"CALENDAR_HORIZON:{t.id}" for i, t in enumerate(contract.terms) if first + i in late]


def holds(contract: Contract, position: int, out: Evaluation) -> list[str]:
    """What a cap holds back of terms that may be claimed: "NTE_EXCEEDED:TERM:AMOUNT"."""
    first = int(out.batch.term_at[position])
    held = [
        (t.id, int(out.amounts.staged.held[first + i]))
        for i, t in enumerate(contract.terms)
        if out.status[first + i] >= READY
    ]
    return [f"NTE_EXCEEDED:{term}:{amount_text(sum_, contract.digits)}" for term, sum_ in held if sum_ > 0]


def totals(contract: Contract, position: int, out: Evaluation) -> dict[str, str]:
    """Sums over the contract that its kind of terms has."""
    if contract.progress and contract.progress.advance_term:
        return {"advance_unrecovered": amount_text(int(out.amounts.advance_open[position]), contract.digits)}
    return {}
