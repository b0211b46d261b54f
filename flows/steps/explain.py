"""Explain: the condition of a term as a tree, each part with its date, who, where - or what it waits for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from connectors.store.bulk import fetch
from flows.steps.contracts import stored_contract
from flows.steps.decide import _proofs, _slot_leaf
from flows.steps.evaluation.columns import NEVER, Op, as_date
from flows.steps.evaluation.compile import slot_of
from flows.steps.evaluation.outcome import term_values
from flows.steps.evaluation.run import INVOICED, NOT_READY, PART_PAID, READY
from flows.steps.match import CalendarsOf, Matched, Source, match
from flows.steps.receivables.standing import Key, Overlay
from models.domain import conditions as c
from models.domain.contracts import Contract
from models.domain.money import amount_text


@dataclass(frozen=True, slots=True)
class Explained:
    """One term: its values, and its condition as nested mappings."""

    contract: str
    term: str
    name: str
    values: dict[str, object]
    tree: dict[str, Any]


def explain(
    connection: Connection, number: str, term: str | None, as_of: int, calendars: CalendarsOf
) -> list[Explained] | None:
    """The terms of a contract (or the one named), as of a day; None for a contract that is not there."""
    found = connection.exec_driver_sql("SELECT 1") and stored_contract(connection, number)
    if not found:
        return None
    contract_id = _contract_id(connection, number)
    matched = match(connection, [contract_id], as_of, calendars)
    explainer = _Explainer(connection, matched, found)
    overlay = Overlay(connection, as_of)
    wanted = [(i, x) for i, x in enumerate(found.terms) if term in (None, x.id)]
    return [
        Explained(
            number,
            x.id,
            x.name,
            term_values(found, i, matched.out, None, []) | _money(matched, i, found.digits, overlay),
            explainer.tree(x.when, int(matched.batch.terms["root"][i])),
        )
        for i, x in wanted
    ]


def _contract_id(connection: Connection, number: str) -> int:
    return int(fetch(connection, "SELECT id FROM contracts WHERE number = :n", {"n": number})[0][0])


def _money(matched: Matched, i: int, digits: int, overlay: Overlay) -> dict[str, object]:
    """What came already, also before the invoice, and the due date as agreed beside that of the contract."""
    out, values = matched.out, dict[str, object]()
    status, paid, left = int(out.status[i]), int(out.paid[i]), int(out.outstanding[i])
    if status in (NOT_READY, READY):
        left = max(0, int(out.claimed[i]) - paid)
    if paid:
        values |= {"paid": amount_text(paid, digits), "outstanding": amount_text(left, digits)}
    due = int(out.due[i])
    if due < NEVER and left and status in (READY, INVOICED, PART_PAID):
        values |= _agreed(overlay, (matched.heads[0].id, matched.term_codes[i]), left, due, digits)
    return values


def _agreed(overlay: Overlay, key: Key, left: int, due: int, digits: int) -> dict[str, object]:
    """By an extension or a plan; nothing where none of them moves the date."""
    extensions = [r[2] for r in overlay.agreements.get(key, []) if r[0] == "extension"]
    until = max(due, extensions[-1]) if extensions else due
    parts = overlay.plan(key, left, until)
    agreed = min((day for day, _ in parts), default=until)
    if agreed == due and not parts:
        return {}
    values: dict[str, object] = {"agreed_due_on": _iso(agreed), "agreed_overdue_days": max(0, overlay.as_of - agreed)}
    if parts:
        values["instalments"] = [{"due_on": _iso(d), "open": amount_text(minor, digits)} for d, minor in parts]
    return values


class _Explainer:
    """Walks the condition as written beside the nodes as evaluated: children stand side by side in both."""

    def __init__(self, connection: Connection, matched: Matched, contract: Contract) -> None:
        self.connection, self.matched, self.contract = connection, matched, contract
        import numpy as np

        self.proofs = _proofs(connection, matched, np.ones(len(matched.batch.nodes), dtype=bool))
        self.as_of = int(matched.out.as_of[0])

    def tree(self, node: c.Condition, index: int) -> dict[str, Any]:
        """One node: kind, label, met, its dates, its proof or what it waits for, its parts."""
        out = self.matched.out
        known, legal = int(out.nodes.known[index]), int(out.nodes.legal[index])
        met = known <= self.as_of
        entry: dict[str, Any] = {"kind": _kind(node), "label": _label(node), "met": met}
        if legal < NEVER:
            entry["date"] = _iso(legal)
        if not met:
            expected = NEVER if out.expected_nodes is None else int(out.expected_nodes.known[index])
            entry["expected"] = _iso(expected)
        entry |= self._proof(node, index, legal if met else NEVER)
        first = int(self.matched.batch.nodes["first"][index])
        parts = c.children(node)
        if parts:
            entry["parts"] = [self.tree(p, first + k) for k, p in enumerate(parts)]
        return entry

    def _proof(self, node: c.Condition, index: int, day: int) -> dict[str, Any]:
        if slot_of(node) is None:
            return {}
        slot = int(self.matched.batch.nodes["arg"][index])
        source = self.matched.sources.get(slot)
        if day >= NEVER or Op(int(self.matched.batch.nodes["op"][index])) is not Op.SLOT:
            planned = int(self.matched.facts.planned[slot])
            waits = {"planned": _iso(planned), "source": source.connection or source.kind if source else "recorded"}
            waits |= self._waits(source)
            return {k: v for k, v in waits.items() if v is not None}
        leaf = _slot_leaf(self.matched, slot, 0, day, self.proofs)
        return {k: leaf[k] for k in ("by", "source", "url", "provenance", "grade") if leaf.get(k) is not None}

    def _waits(self, source: Source | None) -> dict[str, str | None]:
        """How the milestone behind an unmet event stands as last seen, and where to look at it."""
        if source is None or source.kind not in ("milestone", "progress"):
            return {}
        if source.milestone_id is None:
            return {"waits": "unbound"}
        rows = fetch(
            self.connection,
            "SELECT m.name, m.url, m.deleted, o.state, o.done, o.unproven FROM milestones m JOIN observations o ON o.id = "
            "(SELECT MAX(x.id) FROM observations x WHERE x.milestone_id = m.id) WHERE m.id = :m",
            {"m": source.milestone_id},
        )
        if not rows:
            return {}
        name, url, deleted, state, done, unproven = rows[0]
        # Done, proven, and still not enough: not accepted, its percentage too low, or its proof too weak.
        waits = "deleted" if deleted else "open" if not done else "unproven" if unproven else "not_enough"
        return {"waits": waits, "milestone": name, "state": state, "url": url}


def _iso(day: int) -> str | None:
    found = as_date(day)
    return None if found is None else found.isoformat()


def _kind(node: c.Condition) -> str:
    names: dict[type, str] = {
        c.Event: "event", c.All: "all", c.AnyOf: "any", c.AtLeast: "at_least", c.Elapsed: "elapsed", c.Progress: "progress",
        c.Deemed: "deemed", c.GuaranteeInForce: "guarantee", c.TermReady: "term_ready", c.TermInvoiced: "term_invoiced",
        c.TermPaid: "term_paid", c.OnDate: "date", c.Approved: "approved",
    }  # fmt: skip
    return names[type(node)]


def _label(node: c.Condition) -> str:
    match node:
        case c.Event(name=name):
            return name
        case c.Progress(of=of, gte=gte):
            return f"{of} >= {int(gte * 100)}%"
        case c.Deemed(submitted=submitted, business_days=business, days=days):
            return f"{submitted} + {business} wd" if business is not None else f"{submitted} + {days} d"
        case c.GuaranteeInForce(id=guarantee):
            return guarantee
        case c.TermReady(term) | c.TermInvoiced(term) | c.TermPaid(term):
            return term
        case c.AtLeast(n=n, parts=parts):
            return f"{n}/{len(parts)}"
        case c.Elapsed(months=months, days=days, business_days=business):
            return (
                f"+ {months} months"
                if months is not None
                else f"+ {business} wd"
                if business is not None
                else f"+ {days} d"
            )
        case c.OnDate(day):
            return day.isoformat()
        case c.Approved(role):
            return role
        case _:
            return ""
