"""Warnings of law and of care: computed, never deciding; each names its subject and its article."""

from __future__ import annotations

from dataclasses import replace

import holidays
import pytest

from models.domain import contracts as m
from models.domain.contract_checks import CALENDARS, contract_errors, contract_warnings, duplicate_contracts
from models.domain.findings import Severity
from models.domain.words import LANGUAGES
from models.records.contract_file import load_contract_text

TEXT = """
contract: W-1
customer: {{name: 大客户集团, size: {customer}}}
supplier: {{name: 小供应商, size: {supplier}}}
currency: CNY
timezone: Asia/Shanghai
calendar: CN
price_basis: tax_inclusive
lines: [{{id: L, amount: "1000.00", tax_rate: 6%}}]
events:
{events}
terms:
  - {{id: T1, amount: 40%, when: {when}, due: {due}}}
  - {{id: T2, amount: {rest}, when: shipped}}
"""


def warnings(
    when: str = "arrived", due: str = "30 days after ready", customer: str = "large", supplier: str = "sme",
    events: str = "  arrived: 2026-01-05\n  shipped: 2026-01-06", rest: str = "remaining",
) -> list[str]:  # fmt: skip
    text = TEXT.format(when=when, due=due, customer=customer, supplier=supplier, events=events, rest=rest)
    loaded = load_contract_text(text, "w.yaml")
    assert loaded.findings == ()
    found = contract_warnings(loaded.contracts[0])
    assert all(f.severity is Severity.WARNING and f.place.file == "w.yaml" for f in found)
    assert all(f.text(language) for f in found for language in LANGUAGES)
    return [f"{f.code}:{f.params['subject']}" for f in found]


def test_a_sound_contract_has_none() -> None:
    assert warnings() == []


@pytest.mark.parametrize(
    ("due", "warned"),
    [("60 days after ready", False), ("61 days after ready", True), ("45 working days after ready", True), ("3 months after ready", True),
     ("{start: ready, add: {days: 90, then: end_of_month}}", True), ("2 months after ready", False)],
)  # fmt: skip
@pytest.mark.parametrize("customer", ["large", "public"])
def test_a_payment_period_above_sixty_days(due: str, warned: bool, customer: str) -> None:
    assert ("PAY_TERM_TOO_LONG:T1" in warnings(due=due, customer=customer)) is warned


@pytest.mark.parametrize(("supplier", "customer"), [("large", "large"), ("sme", "medium"), ("small", "sme")])
def test_the_regulation_protects_small_suppliers_of_large_customers_only(supplier: str, customer: str) -> None:
    assert (
        warnings(
            due="90 days after ready", when="{event: arrived, tag: back_to_back}", supplier=supplier, customer=customer
        )
        == []
    )


@pytest.mark.parametrize("size", ["micro", "small", "medium", "sme"])
def test_pay_when_paid(size: str) -> None:
    assert warnings(when="{all: [{event: arrived, tag: back_to_back}]}", supplier=size) == ["BACK_TO_BACK_SME:T1"]


def test_pay_when_paid_is_known_by_its_name_too() -> None:
    events = "  upstream_payment_received: 2026-01-05\n  shipped: 2026-01-06"
    assert warnings(when="upstream_payment_received", events=events) == ["BACK_TO_BACK_SME:T1"]


ACCEPTED = "  arrived: {milestone: {connection: rd, project: P, name: 验收, state: accepted}}\n  shipped: 2026-01-06"


def test_an_acceptance_needs_a_period() -> None:
    assert warnings(events=ACCEPTED) == ["NO_ACCEPTANCE_PERIOD:T1"]
    covered = "{any: [arrived, {deemed: {submitted: sent, accepted: arrived, business_days: 15}}]}"
    assert warnings(events=ACCEPTED, when=covered) == []


def test_a_mistyped_event_is_held_against_the_bound_ones() -> None:
    events = "  contract_signed: 2026-01-05\n  shipped: 2026-01-06"
    assert warnings(when="contract_singed", events=events) == ["UNKNOWN_EVENT:contract_singed"]


def test_a_bound_event_nobody_waits_for() -> None:
    assert warnings(events="  arrived: 2026-01-05\n  shipped: 2026-01-06\n  handover: 2026-02-01") == [
        "UNUSED_EVENT:handover"
    ]


def test_terms_that_leave_part_of_the_price() -> None:
    assert warnings(rest='"500.00"') == ["TERMS_BELOW_PRICE:100.00"]
    assert warnings(rest='"600.00"') == []


def test_every_calendar_the_library_knows_and_no_other() -> None:
    """The domain keeps the names, so that reading a contract does not load the library."""
    assert {c for c in holidays.list_supported_countries() if len(c) == 2} | {"WEEKEND_ONLY"} == CALENDARS


def test_one_number_in_two_places() -> None:
    text = TEXT.format(
        when="a", due="null", customer="large", supplier="sme", events="  a: 2026-01-01", rest="remaining"
    )
    one = load_contract_text(text, "a.yaml").contracts[0]
    two = load_contract_text(text, "b.yaml").contracts[0]
    (finding,) = duplicate_contracts([one, two, replace(one, number="OTHER")])
    assert finding.code == "DUPLICATE_CONTRACT"
    assert finding.params == {"contract": "W-1", "places": "a.yaml:2, b.yaml:2"}
    assert finding.text("en").startswith("The contract number W-1")


def test_a_retainer_is_apart_from_the_price() -> None:
    """The retainer's own term is drawn down by the others; it does not count towards the price."""
    text = TEXT.format(
        when="a", due="null", customer="large", supplier="sme", events="  a: 2026-01-01", rest='"600.00"'
    )
    contract = load_contract_text(
        text.replace("terms:", 'retainer: {term: R, amount: "500.00"}\nterms:\n  - {id: R, amount: "500.00", when: a}'),
        "r.yaml",
    )
    assert contract.findings == ()
    assert contract_errors(contract.contracts[0]) == []


def test_grades_are_ordered() -> None:
    assert m.EvidenceGrade.NUMBER < m.EvidenceGrade.STATE < m.EvidenceGrade.HISTORY < m.EvidenceGrade.REVIEW
