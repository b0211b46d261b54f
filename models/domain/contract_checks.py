"""What makes a contract impossible (errors) or questionable by law (warnings). Small rules in two tuples.

Warnings are computed, never decided: each names the article it rests on in its words.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from fractions import Fraction

from models.domain import contracts as m
from models.domain.conditions import Deemed, Event, GuaranteeInForce, Progress, event_names, term_references, walk
from models.domain.findings import Finding, Place, Severity
from models.domain.money import MINOR_MAX, amount_text, round_half_up

#: CN with its adjusted working days, plain weekends, or an ISO country code the calendar library knows.
CALENDARS = frozenset(
    "WEEKEND_ONLY "
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY "
    "BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK "
    "FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR "
    "IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK "
    "ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM "
    "PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF "
    "TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UK UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW ".split()
)
SMALL = frozenset({"micro", "small", "medium", "sme"})

Check = Callable[[m.Contract], Iterator[Finding]]


def contract_errors(contract: m.Contract) -> list[Finding]:
    """Everything that refuses the contract."""
    return [finding for check in ERRORS for finding in check(contract)]


def contract_warnings(contract: m.Contract) -> list[Finding]:
    """Everything a lawyer or a contract manager should look at; `params["subject"]` names what."""
    return [finding for check in WARNINGS for finding in check(contract)]


def _error(contract: m.Contract, code: str, at: str | None = None, **params: object) -> Finding:
    return Finding(
        code, Severity.ERROR, Place(contract=contract.number, term=at), {"contract": contract.number, **params}
    )


def _warning(contract: m.Contract, code: str, subject: str, term: str | None = None, **params: object) -> Finding:
    place = Place(file=contract.file or None, line=contract.line or None, contract=contract.number, term=term)
    return Finding(code, Severity.WARNING, place, {"subject": subject, "contract": contract.number, **params})


# --- errors ------------------------------------------------------------------------------------------


def has_terms_and_lines(contract: m.Contract) -> Iterator[Finding]:
    """A contract without a price or without instalments asks for nothing."""
    if not contract.terms:
        yield _error(contract, "NO_TERMS")
    if not contract.lines:
        yield _error(contract, "NO_LINES")
    for line, count in Counter(x.id for x in contract.lines).items():
        if count > 1:
            yield _error(contract, "DUPLICATE_LINE_ID", line=line)


def price_fits(contract: m.Contract) -> Iterator[Finding]:
    """The price, first and amended, fits 64 bits of minor units: more would wrap around."""
    totals = [("price", sum(x.amount for x in contract.lines))]
    totals += [(a.id, sum(a.line_totals.values())) for a in contract.amendments]
    for subject, total in totals:
        if total > MINOR_MAX:
            yield _error(contract, "AMOUNT_OVERFLOW", found=subject)


def term_ids_are_unique(contract: m.Contract) -> Iterator[Finding]:
    """Two terms of one name could not be told apart."""
    for term, count in Counter(t.id for t in contract.terms).items():
        if count > 1:
            yield _error(contract, "DUPLICATE_TERM_ID", term, term=term)


def one_remaining(contract: m.Contract) -> Iterator[Finding]:
    """Only one term can take what is left (M2)."""
    takers = [t.id for t in contract.terms if isinstance(t.amount, m.Remaining)]
    if len(takers) > 1:
        yield _error(contract, "MULTIPLE_REMAINING", takers[1], terms=", ".join(takers))


def _share(rule: m.AmountRule) -> Fraction | None:
    match rule:
        case m.Percent(of_price):
            return of_price
        case m.Share(numerator, denominator):
            return Fraction(numerator, denominator)
        case _:
            return None


def percentages_add_up(contract: m.Contract) -> Iterator[Finding]:
    """Where all terms are percentages or shares they make the whole price."""
    shares = [_share(t.amount) for t in contract.terms]
    if shares and all(s is not None for s in shares):
        total = sum((s for s in shares if s is not None), Fraction(0))
        if total != 1:
            shown = f"{total.numerator * 100 / Decimal(total.denominator):.4f}".rstrip("0").rstrip(".")
            yield _error(contract, "PERCENT_SUM_NOT_100", total=shown)


def nothing_left_is_negative(contract: m.Contract) -> Iterator[Finding]:
    """Percentages and fixed sums never exceed the price, so that what remains is not negative."""
    apart = contract.retainer.term if contract.retainer else None
    counted = [t for t in contract.terms if t.id != apart]
    shares = sum((s for t in counted if (s := _share(t.amount)) is not None), Fraction(0))
    fixed = sum(t.amount.amount for t in counted if isinstance(t.amount, m.Fixed))
    price = sum(x.amount for x in contract.lines)
    if contract.not_to_exceed is None and shares * price + fixed > price and not all(_share(t.amount) for t in counted):
        yield _error(contract, "NEGATIVE_REMAINING")


def term_references_exist(contract: m.Contract) -> Iterator[Finding]:
    """Conditions and rules name terms that exist."""
    known = {t.id for t in contract.terms}
    wanted = [(t.id, r) for t in contract.terms for r in term_references(t.when)]
    wanted += [("", r) for r in _rule_terms(contract)]
    for owner, reference in wanted:
        if reference not in known:
            yield _error(contract, "UNKNOWN_TERM", owner or None, reference=reference, known=", ".join(sorted(known)))


def _rule_terms(contract: m.Contract) -> Iterator[str]:
    if contract.progress and contract.progress.advance_term:
        yield contract.progress.advance_term
    if contract.retention:
        yield from (r.term for r in contract.retention.releases)
    if contract.not_to_exceed:
        yield from contract.not_to_exceed.terms
    if contract.retainer:
        yield contract.retainer.term
    yield from (o.term for o in contract.opening)


def terms_do_not_wait_in_a_circle(contract: m.Contract) -> Iterator[Finding]:
    """A circle of terms never becomes ready."""
    waits = {t.id: set(term_references(t.when)) for t in contract.terms}
    for term, direct in waits.items():
        seen: set[str] = set()
        ahead = set(direct)
        while ahead - seen:
            seen |= ahead
            ahead = {r for a in ahead for r in waits.get(a, ())}
        if term in seen:
            yield _error(contract, "CYCLIC_TERMS", term, terms=", ".join(sorted(seen)))
            return


def staged_amounts_have_one_line(contract: m.Contract) -> Iterator[Finding]:
    """Certificates, valuations, caps and retainers do not say how they split over tax lines."""
    staged = any(isinstance(t.amount, m.Certificate | m.Valuation | m.RetentionRelease) for t in contract.terms)
    if len(contract.lines) > 1 and (staged or contract.not_to_exceed or contract.retainer):
        yield _error(contract, "STAGED_NEEDS_ONE_LINE")


def staged_amounts_have_their_rule(contract: m.Contract) -> Iterator[Finding]:
    """A certificate needs `progress`, a retention release needs its line in `retention`."""
    released = {r.term for r in contract.retention.releases} if contract.retention else set()
    for term in contract.terms:
        if isinstance(term.amount, m.RetentionRelease) and term.id not in released:
            yield _error(contract, "RELEASE_WITHOUT_RULE", term.id, term=term.id)
        if isinstance(term.amount, m.Certificate) and contract.progress is None:
            yield _error(contract, "CERTIFICATE_WITHOUT_RULE", term.id, term=term.id)


ERRORS: tuple[Check, ...] = (
    has_terms_and_lines,
    price_fits,
    term_ids_are_unique,
    one_remaining,
    percentages_add_up,
    nothing_left_is_negative,
    term_references_exist,
    terms_do_not_wait_in_a_circle,
    staged_amounts_have_one_line,
    staged_amounts_have_their_rule,
)


# --- warnings ----------------------------------------------------------------------------------------


def _protected(contract: m.Contract) -> bool:
    """A small supplier against a large or public customer (保障中小企业款项支付条例)."""
    return contract.supplier.size in SMALL and contract.customer.size in ("large", "public")


def payment_period_too_long(contract: m.Contract) -> Iterator[Finding]:
    """Art. 9: large enterprises pay within 60 days, public bodies within 30 (60 if agreed)."""
    if not _protected(contract):
        return
    for term in contract.terms:
        if term.due and _days(term.due) > 60:
            yield _warning(contract, "PAY_TERM_TOO_LONG", term.id, term.id, days=_days(term.due), limit=60)


def _days(due: m.DueRule) -> int:
    """A payment period in calendar days, roughly: enough to compare with the limit."""
    per = {m.DueAdd.BUSINESS_DAYS: Fraction(7, 5), m.DueAdd.MONTHS: Fraction(30)}.get(due.add, Fraction(1))
    extra = {m.DueAdd.DAYS_THEN_END_OF_MONTH: 0, m.DueAdd.END_OF_NEXT_MONTH: 31, m.DueAdd.DAY_OF_NEXT_MONTH: 0}
    return int(due.n * per) + extra.get(due.add, 0)


def back_to_back_against_small_supplier(contract: m.Contract) -> Iterator[Finding]:
    """Art. 9: payment must not depend on a third party's payment."""
    if not _protected(contract):
        return
    for term in contract.terms:
        events = [n for n in walk(term.when) if isinstance(n, Event)]
        if any(e.tag == "back_to_back" or e.name == "upstream_payment_received" for e in events):
            yield _warning(contract, "BACK_TO_BACK_SME", term.id, term.id)


def acceptance_without_period(contract: m.Contract) -> Iterator[Finding]:
    """Art. 10: an acceptance that payment waits for needs a period of its own."""
    if not _protected(contract):
        return
    for term in contract.terms:
        deemed = {n.accepted for n in walk(term.when) if isinstance(n, Deemed)}
        for name in event_names(term.when):
            binding = contract.events.get(name)
            if isinstance(binding, m.MilestoneBinding) and binding.state == "accepted" and name not in deemed:
                yield _warning(contract, "NO_ACCEPTANCE_PERIOD", term.id, term.id, event=name)


def names_are_bound_and_used(contract: m.Contract) -> Iterator[Finding]:
    """An event waited for and never bound, beside one bound and never waited for, is often a typo."""
    used = {n for t in contract.terms for n in event_names(t.when)}
    measured = {n.of for t in contract.terms for n in walk(t.when) if isinstance(n, Progress)}
    loose, bound = sorted(used - set(contract.events)), sorted(set(contract.events) - used - measured)
    near = {name: difflib.get_close_matches(name, bound, n=3, cutoff=0.8) for name in loose}
    for name, others in near.items():
        if others:
            yield _warning(contract, "UNKNOWN_EVENT", name, event=name, closest=", ".join(others))
    for name in bound:
        if not any(name in others for others in near.values()):
            yield _warning(contract, "UNUSED_EVENT", name, event=name)


def terms_ask_for_the_price(contract: m.Contract) -> Iterator[Finding]:
    """Fixed sums and percentages without a remaining term may leave part of the price unasked."""
    apart = contract.retainer.term if contract.retainer else None
    rules = [t.amount for t in contract.terms if t.id != apart]
    if not all(isinstance(r, m.Fixed | m.Percent | m.Share) for r in rules):
        return
    price = sum(x.amount for x in contract.lines)
    asked = sum((_share(r) or Fraction(0)) * price + (r.amount if isinstance(r, m.Fixed) else 0) for r in rules)
    if asked < price:
        missing = amount_text(round_half_up(Fraction(price - asked)), contract.digits)
        yield _warning(contract, "TERMS_BELOW_PRICE", missing, missing=missing, currency=contract.currency)


def guarantees_are_described(contract: m.Contract) -> Iterator[Finding]:
    """A condition on a guarantee that the contract does not describe waits for facts from elsewhere."""
    known = {g.id for g in contract.guarantees}
    for term in contract.terms:
        for node in walk(term.when):
            if isinstance(node, GuaranteeInForce) and contract.guarantees and node.id not in known:
                yield _warning(
                    contract, "GUARANTEE_UNKNOWN", term.id, term.id, guarantee=node.id, known=", ".join(sorted(known))
                )


WARNINGS: tuple[Check, ...] = (
    payment_period_too_long,
    back_to_back_against_small_supplier,
    acceptance_without_period,
    names_are_bound_and_used,
    terms_ask_for_the_price,
    guarantees_are_described,
)


def duplicate_contracts(contracts: Iterable[m.Contract]) -> list[Finding]:
    """The same number in two places: neither can be trusted to be the one."""
    places: dict[str, list[m.Contract]] = {}
    for contract in contracts:
        places.setdefault(contract.number, []).append(contract)
    return [
        Finding(
            "DUPLICATE_CONTRACT",
            Severity.ERROR,
            Place(file=found[1].file, line=found[1].line, contract=number),
            {"contract": number, "places": ", ".join(f"{c.file}:{c.line}" for c in found)},
        )
        for number, found in places.items()
        if len(found) > 1
    ]
