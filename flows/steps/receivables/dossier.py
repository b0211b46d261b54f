"""The escalation pack: for one term or one customer, everything a person needs who goes on with the claim.

Amounts, dates and interest come from the evaluator itself, so the pack never says another figure than
`huikuan evaluate`. It warns and computes; what applies is for a person or counsel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from pathlib import Path

from sqlalchemy.engine import Connection

from connectors.files.proofs import read_proof
from connectors.store.bulk import fetch
from flows.steps.contracts import stored_contract
from flows.steps.evaluation.columns import as_date, day_number
from flows.steps.evaluation.receivable import Claim, cash, claim_of, reductions, statutory_due
from flows.steps.evaluation.run import STATUS_NAMES
from flows.steps.followed import FOLLOWED
from flows.steps.match import CalendarsOf, Matched, match
from flows.steps.receivables.dossier_facts import TermFacts, payments_of
from flows.steps.receivables.reading import Refused
from flows.steps.receivables.standing import disputed
from models.domain import contracts as m
from models.domain.conditions import Progress, event_names, walk
from models.domain.contract_checks import contract_warnings
from models.domain.receivables.candidates import LegalSetting, Statute, candidate, candidate_statutes, statute_table
from models.domain.receivables.dossier import (
    CandidateLine,
    Dossier,
    DossierTerm,
    Extension,
    Limitation,
    PlanPart,
    PromiseEntry,
    TouchLine,
)
from models.domain.receivables.interest import interest_lines
from models.domain.receivables.late import late_interest
from models.domain.receivables.limitation import Interruption, InterruptionKind, limitation_expires, limitation_steps
from models.domain.receivables.rates import RateTable
from models.records.contract_file import long_form
from models.records.reading import closest

OWING = ("ready", "invoiced", "part_paid")
_CLAUSES = ("late", "statutory", "bill_policy")


@dataclass(frozen=True, slots=True)
class _Case:
    """A contract evaluated on the day."""

    contract_id: int
    contract: m.Contract
    matched: Matched
    as_of: date
    reference: Fraction | None  # a year, as the user states it


def term_dossier(
    connection: Connection, which: str, as_of: date, calendars: CalendarsOf, reference: Fraction | None = None
) -> Dossier:
    """The pack of CONTRACT/TERM. Raises Refused where there is none such, or nothing is open of it."""
    rows = fetch(
        connection,
        f"SELECT c.number, t.code, c.id FROM terms t JOIN contracts c ON c.id = t.contract_id WHERE {FOLLOWED}",
    )
    found = {f"{number}/{code}": (contract_id, code) for number, code, contract_id in rows}
    if which not in found:
        raise Refused("ROW_TERM_UNKNOWN", which=which, closest=closest(which, found) or "-")
    contract_id, code = found[which]
    terms = _open_terms(connection, contract_id, as_of, calendars, reference, code)
    if not terms:
        raise Refused("DOSSIER_NOTHING_OPEN", which=which, as_of=as_of.isoformat())
    return Dossier(which, as_of, tuple(terms))


def customer_dossier(
    connection: Connection, customer: str, as_of: date, calendars: CalendarsOf, reference: Fraction | None = None
) -> Dossier:
    """The pack of all that a customer owes. Raises Refused."""
    rows = fetch(connection, "SELECT id, customer FROM contracts WHERE active ORDER BY number")
    known = {name for _, name in rows}
    if customer not in known:
        raise Refused("CUSTOMER_UNKNOWN", customer=customer, closest=closest(customer, known) or "-")
    ids = [contract_id for contract_id, name in rows if name == customer]
    terms = [t for i in ids for t in _open_terms(connection, i, as_of, calendars, reference)]
    if not terms:
        raise Refused("DOSSIER_NOTHING_OPEN", which=customer, as_of=as_of.isoformat())
    return Dossier(customer, as_of, tuple(terms), of_customer=True)


def _open_terms(
    connection: Connection,
    contract_id: int,
    as_of: date,
    calendars: CalendarsOf,
    reference: Fraction | None,
    only: str | None = None,
) -> list[DossierTerm]:
    """The terms of a contract of which something is open, or that a statute would have due by now."""
    number = str(fetch(connection, "SELECT number FROM contracts WHERE id = :c", {"c": contract_id})[0][0])
    contract = stored_contract(connection, number)
    if contract is None:
        return []
    case = _Case(
        contract_id, contract, match(connection, [contract_id], day_number(as_of), calendars), as_of, reference
    )
    wanted = [i for i, t in enumerate(contract.terms) if only in (None, t.id)]
    found = [_term(connection, case, i) for i in wanted]
    return [
        t for t in found if (t.status in OWING and t.open > 0) or (t.statutory_due is not None and t.statutory_due < as_of)
    ]  # fmt: skip


def _term(connection: Connection, case: _Case, index: int) -> DossierTerm:
    contract, term, out = case.contract, case.contract.terms[index], case.matched.out
    facts = TermFacts(connection, case.contract_id, case.matched.term_ids[index], contract.timezone, case.as_of)
    money, touches, extensions = facts.money(), facts.touches(), facts.extensions()
    status = STATUS_NAMES[int(out.status[index])]
    due = as_date(int(out.due[index]))
    claim = claim_of(payments_of(term.id, money), int(out.claimed[index]), due, int(out.status[index]), case.as_of)
    promises, plan = facts.promises(cash(claim)), facts.plan(cash(claim))
    late, policy = contract.rules.late, contract.rules.bill_policy
    statutory = _statutory_due(case, term) if status not in ("paid", "waived") else None
    names = tuple(dict.fromkeys([*event_names(term.when), *(p.of for p in walk(term.when) if isinstance(p, Progress))]))
    counted = late is not None and due is not None and status in OWING
    return DossierTerm(
        contract=contract.number, title=contract.title, customer=contract.customer, supplier=contract.supplier,
        currency=contract.currency, term=term.id, name=term.name, clause=_clause(contract, term.id),
        version=contract.content_hash, status=status, gross=claim.gross, due=due, agreed_due=_agreed(due, extensions),
        open=claim.open, pending=claim.pending, disputed=disputed(*_marks(facts, claim)), as_of=case.as_of,
        records=facts.records(status), observed=facts.observed(names), recorded=facts.recorded(names),
        bills=facts.bills(), money=money, touches=touches, promises=promises, plan=plan, extensions=extensions,
        interest=late_interest(late, claim.gross, reductions(claim.payments, policy), due, case.as_of)
        if counted and late is not None and due is not None else None,
        basis=late.basis if late else "", statutory_due=statutory, candidates=_candidates(case, term, claim, statutory),
        limitation=_limitation(contract, claim, touches, promises, plan, extensions),
        warnings=tuple(w for w in contract_warnings(contract) if w.place.term == term.id),
        yearly_base=_yearly_base(contract),
    )  # fmt: skip


def _marks(facts: TermFacts, claim: Claim) -> tuple[list[tuple[object, ...]], int, list[int]]:
    touches, credited = facts.marks()
    return touches, claim.cash_open, credited


def _agreed(due: date | None, extensions: Sequence[Extension]) -> date | None:
    """The last extension stands; an agreement never moves a due date forward."""
    if due is None or not extensions or extensions[-1].until <= due:
        return None
    return extensions[-1].until


def _clause(contract: m.Contract, term: str) -> Mapping[str, object]:
    """The term as the contract file states it, with its rules for what is late."""
    body = long_form(contract)
    terms = body["terms"]
    assert isinstance(terms, list)
    own = next(t for t in terms if t["id"] == term)
    return {**own, **{k: body[k] for k in _CLAUSES if k in body}}


def _yearly_base(contract: m.Contract) -> int | None:
    late = contract.receivables.get("late")
    if not isinstance(late, dict) or "daily_rate" in late:
        return None
    return int(str(late.get("day_base", 365)))


# --- law ---------------------------------------------------------------------------------------------


def _statutory_due(case: _Case, term: m.Term) -> date | None:
    """By the contract's statutory reference, from the day its event happened."""
    batch, out = case.matched.batch, case.matched.out
    since = dict(zip(batch.slot_names[0], (as_date(int(d)) for d in out.slots.since), strict=True))
    return statutory_due(case.contract, term, lambda event: since.get(f"e:{event}"), case.matched.calendars)


def _candidates(case: _Case, term: m.Term, claim: Claim, statutory: date | None) -> tuple[CandidateLine, ...]:
    contract = case.contract
    codes = {w.code for w in contract_warnings(contract) if w.place.term == term.id}
    setting = LegalSetting(
        contract.currency, contract.calendar == "CN", _small_against_large(contract), "BACK_TO_BACK_SME" in codes
    )
    found = (_candidate(case, s, claim, statutory) for s in candidate_statutes(setting))
    return tuple(c for c in found if c is not None)


def _small_against_large(contract: m.Contract) -> bool:
    return contract.supplier.size in ("micro", "small", "medium", "sme") and contract.customer.size in (
        "large",
        "public",
    )


def _candidate(case: _Case, statute: Statute, claim: Claim, statutory: date | None) -> CandidateLine | None:
    due = statutory if claim.due is None or (statute is Statute.BACK_TO_BACK_REPLY_2 and statutory) else claim.due
    if due is None:
        return None
    table = _table(case, statute)
    if table is None:
        return CandidateLine(statute, due, (), None)
    stops = reductions(claim.payments, case.contract.rules.bill_policy)
    counted = candidate(statute, claim.gross, stops, table, due, case.as_of)
    lines = interest_lines(claim.gross, stops, table, due, case.as_of)
    return CandidateLine(statute, due, lines, counted.interest, counted.fixed_sum)


def _table(case: _Case, statute: Statute) -> RateTable | None:
    """Its rates; None where it rests on a reference rate that nobody stated."""
    rule = case.contract.rules.statutory
    if statute is Statute.SME_REGULATION_17:
        stated = rule.daily_rate if rule else None
        return statute_table(statute) if stated is None else RateTable.constant(stated)
    reference = case.reference if case.reference is not None else rule.lpr_1y if rule else None
    base = rule.day_base if rule else 365
    return None if reference is None else statute_table(statute, [(None, None, reference)], base)


def _limitation(
    contract: m.Contract,
    claim: Claim,
    touches: Sequence[TouchLine],
    promises: Sequence[PromiseEntry],
    plan: Sequence[PlanPart],
    extensions: Sequence[Extension],
) -> Limitation | None:
    """Three years (民法典 188), restarted by what 195 names - a demand only with proof that it arrived."""
    if contract.calendar != "CN" or claim.due is None or not claim.open:
        return None
    demands = [t for t in touches if t.kind in ("demand", "delivered")]
    agreed = {p.promise.made: p.promise.by for p in promises}
    agreed |= {x.agreed: x.by for x in plan} | {x.agreed: x.by for x in extensions}
    events = [
        *(Interruption(InterruptionKind.DEMAND, t.on, t.proof) for t in demands if t.proof.strip()),
        *(Interruption(InterruptionKind.PROMISE, day, by) for day, by in sorted(agreed.items())),
        *(Interruption(InterruptionKind.PART_PAYMENT, p.on, p.method) for p in _kept(claim.payments)),
    ]
    ends = limitation_expires(claim.due, events, claim.as_of)
    steps = tuple(limitation_steps(claim.due, events, claim.as_of))
    return Limitation(claim.due, ends, steps, tuple(t for t in demands if not t.proof.strip()))


def _kept(payments: Sequence[m.PaymentFact]) -> list[m.PaymentFact]:
    """Payments that were not taken back: one that was acknowledges nothing."""
    taken = Counter(-p.amount for p in payments if p.amount < 0)
    kept = []
    for payment in reversed([p for p in payments if p.amount > 0]):
        if taken[payment.amount]:
            taken[payment.amount] -= 1
        else:
            kept.append(payment)
    return kept[::-1]


# --- the files ---------------------------------------------------------------------------------------


def with_proofs(dossier: Dossier, root: Path) -> tuple[Dossier, dict[str, bytes]]:
    """The pack with the files that its touches name below `root`, and these files by their place in the folder."""
    files: dict[str, bytes] = {}
    terms = []
    for term in dossier.terms:
        touches = tuple(_with_file(t, root, files) for t in term.touches)
        terms.append(replace(term, touches=touches))
    return replace(dossier, terms=tuple(terms)), files


def _with_file(touch: TouchLine, root: Path, files: dict[str, bytes]) -> TouchLine:
    proof = read_proof(touch.proof, root) if touch.proof else None
    if proof is None:
        return touch
    if proof.data is None:
        return replace(touch, not_copied=proof.why_not)
    same = next((name for name, data in files.items() if data == proof.data), None)
    name = same or f"proofs/{len(files) + 1:03d}-{proof.stem or 'proof'}{proof.ending}"
    files[name] = proof.data
    return replace(touch, file=name, sha256=proof.sha256)
