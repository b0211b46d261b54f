"""Allocations: exact first, then proposals; they never exceed a receipt nor a claim."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.receivables.allocation import Matching, OpenClaim, Why, match_receipt
from models.domain.receivables.claims import (
    Allocation,
    BillState,
    Credit,
    Invoice,
    Receipt,
    allocation_problems,
    bill_state,
    is_digital_number,
    open_claims,
    unallocated,
)

DAY = date(2026, 4, 1)
NUMBER = "26117000000123456789"


def receipt(minor: int, reference: str = "", payer: str = "", currency: str = "CNY") -> Receipt:
    return Receipt("R1", DAY, minor, currency, payer, reference)


def claim(key: str, minor: int, *names: str, customer: str = "苏州恒拓", due: int = 20_000) -> OpenClaim:
    return OpenClaim(key, minor, "CNY", customer, due, names or (f"INV-{key}",))


def why(found: Matching) -> list[Why]:
    return [p.why for p in found.proposals]


keys = st.sampled_from(["A", "B", "C"])


@given(
    st.dictionaries(keys, st.integers(0, 1000)),
    st.dictionaries(keys, st.integers(0, 1000)),
    st.lists(st.builds(Allocation, keys, keys, st.integers(-10, 700)), max_size=20),
)
def test_what_is_booked_never_exceeds_a_receipt_nor_a_claim(receipts, claims, wanted) -> None:
    problems = allocation_problems(
        {k: (v, "CNY") for k, v in receipts.items()}, {k: (v, "CNY") for k, v in claims.items()}, wanted
    )
    refused = [id(a) for _, a in problems]
    booked = [a for a in wanted if id(a) not in refused]
    assert all(a.minor > 0 for a in booked)
    for key, minor in receipts.items():
        assert sum(a.minor for a in booked if a.receipt == key) <= minor
    for key, minor in claims.items():
        assert sum(a.minor for a in booked if a.claim == key) <= minor


names = st.text(st.sampled_from("AB12-"), min_size=4, max_size=8)
open_ones = st.lists(
    st.builds(OpenClaim, st.uuids().map(str), st.integers(1, 500), st.sampled_from(["CNY", "EUR"]), st.sampled_from(["恒拓", "鲁航"]), st.integers(1, 9), st.tuples(names)),
    max_size=8,
)  # fmt: skip


@given(open_ones, st.integers(1, 900), st.lists(names, max_size=3).map(" ".join), st.sampled_from(["恒拓", "鲁航", ""]))
def test_matching_gives_only_what_may_be_booked(claims, minor, reference, payer) -> None:
    """Whatever is booked or proposed fits the receipt and the claims, in one currency."""
    money = receipt(minor, reference, payer)
    found = match_receipt(money, claims)
    for allocations in (found.booked, *(p.allocations for p in found.proposals)):
        assert (
            allocation_problems({"R1": (minor, "CNY")}, {c.key: (c.minor, c.currency) for c in claims}, allocations)
            == []
        )
    assert not (found.booked and found.proposals)


def test_reference_and_amount_are_booked() -> None:
    found = match_receipt(receipt(500, f"货款 发票{NUMBER}"), [claim("A", 500, NUMBER), claim("B", 500)])
    assert (found.booked, found.why) == ((Allocation("R1", "A", 500),), Why.REFERENCE_AND_AMOUNT)


def test_one_payment_for_many_named_claims() -> None:
    found = match_receipt(receipt(800, "INV-A, INV-B"), [claim("A", 500), claim("B", 300), claim("C", 800)])
    assert {a.claim: a.minor for a in found.booked} == {"A": 500, "B": 300}


def test_a_named_part_payment_is_booked_and_an_over_payment_waits() -> None:
    assert match_receipt(receipt(200, "INV-A"), [claim("A", 500)]).booked == (Allocation("R1", "A", 200),)
    more = match_receipt(receipt(700, "INV-A"), [claim("A", 500)])
    assert (more.booked, why(more)) == ((), [Why.REFERENCE_MORE])


def test_without_a_name_nothing_is_booked_even_if_the_amount_fits() -> None:
    found = match_receipt(receipt(500, "货款", "苏州恒拓"), [claim("A", 500)])
    assert (found.booked, why(found)[0]) == ((), Why.PAYER_AND_AMOUNT)
    stranger = match_receipt(receipt(500, "", "某某"), [claim("A", 500)])
    assert (stranger.booked, why(stranger)) == ((), [Why.AMOUNT_ONLY])


def test_sums_of_the_payers_claims_are_proposed() -> None:
    found = match_receipt(
        receipt(800, "", "苏州恒拓"), [claim("A", 500, due=2), claim("B", 300, due=1), claim("C", 999)]
    )
    assert why(found) == [Why.PAYER_SUM, Why.PAYER_OLDEST]


@pytest.mark.parametrize(
    ("reference", "booked"),
    [
        ("HT-2026-0181", False),  # another, longer number
        ("ＨＴ－２０２６－０１８", True),  # full width
        ("ht 2026 018", True),
        ("pay HT-2026-018.", True),
        ("1HT-2026-018", True),
    ],
)
def test_a_name_is_compared_whole(reference: str, booked: bool) -> None:
    found = match_receipt(receipt(500, reference), [claim("A", 500, "HT-2026-018")])
    assert bool(found.booked) is booked


def test_the_longer_name_wins() -> None:
    claims = [claim("A", 500, "HT-2026-018/T1"), claim("B", 500, "HT-2026-018/T12")]
    assert match_receipt(receipt(500, "HT-2026-018/T12"), claims).booked == (Allocation("R1", "B", 500),)


def test_another_currency_is_not_matched() -> None:
    assert match_receipt(receipt(500, "INV-A", currency="EUR"), [claim("A", 500)]) == Matching()


def test_what_is_open() -> None:
    invoice = Invoice("I", "HT", "T1", NUMBER, DAY, 1000, "CNY")
    credit = Credit("C", "I", "red", DAY, 300)
    assert open_claims([invoice], [credit], [Allocation("R1", "I", 200)]) == {"I": 500}
    assert unallocated([receipt(500)], [Allocation("R1", "I", 200)]) == {"R1": 300}


def test_a_bill_is_pending_until_it_matures() -> None:
    bill = Receipt("R", DAY, 100, "CNY", method="银行承兑汇票", maturity=date(2026, 10, 1))
    assert bill_state(receipt(1), DAY) is None
    assert bill_state(bill, date(2026, 9, 30)) is BillState.PENDING
    assert bill_state(bill, date(2026, 10, 1)) is BillState.CLEARED
    bounced = Receipt("R", DAY, 100, "CNY", maturity=date(2026, 10, 1), dishonoured=date(2026, 10, 3))
    assert bill_state(bounced, date(2026, 10, 2)) is BillState.CLEARED
    assert bill_state(bounced, date(2026, 10, 3)) is BillState.DISHONOURED


@pytest.mark.parametrize(
    ("number", "is_one"), [(NUMBER, True), (NUMBER[:-1], False), ("２" * 20, False), (NUMBER + "1", False)]
)
def test_digital_invoice_numbers(number: str, is_one: bool) -> None:
    assert is_digital_number(number) is is_one
