"""What a reference names: written in many ways, but never another term, another contract, or a day for a number."""

from __future__ import annotations

from datetime import date

import pytest

from models.domain.receivables.allocation import Matching, OpenClaim, Why, match_receipt
from models.domain.receivables.claims import Allocation, Receipt
from models.domain.receivables.references import Name, NameKind, Names, name_index, named, same_party

NUMBER = "25332000000012345678"
NAMES = name_index(
    [
        Name(NUMBER, NameKind.INVOICE, ("1",), "苏州恒拓"),
        Name("20260312", NameKind.INVOICE, ("2",), "苏州恒拓"),
        Name("GONE-7", NameKind.INVOICE, (), "苏州恒拓"),
        Name("HT-2026-1/A", NameKind.TERM, ("1",), "苏州恒拓"),
        Name("HT-2026-1/B", NameKind.TERM, ("2",), "苏州恒拓"),
        Name("HT-2026-1", NameKind.CONTRACT, ("1", "2"), "苏州恒拓"),
        Name("HT-2026-1-补1/A", NameKind.TERM, ("3",), "鲁航"),
        Name("HT-2026-1-补1", NameKind.CONTRACT, ("3",), "鲁航"),
        Name("HT-2026-11/2", NameKind.TERM, ("4",), "鲁航"),
        Name("HT-2026-1/12", NameKind.TERM, ("5",), "鲁航"),
    ]
)


def hits(reference: str, names: Names = NAMES) -> set[str]:
    return {n.text for n in named(reference, names)[0]}


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        (f"HT-2026-1/A {NUMBER}", {"HT-2026-1/A", NUMBER}),
        ("ＨＴ－２０２６－１／Ａ 货款", {"HT-2026-1/A"}),
        ("ht 2026 1 a", {"HT-2026-1/A"}),
        ("HT–2026–1/A", {"HT-2026-1/A"}),
        ("HT20261/A预付款", {"HT-2026-1/A"}),
        ("2026-03-12", set()),
        ("2026 0312", set()),
        ("发票20260312号", {"20260312"}),
        ("20260312001", set()),
        ("1-20260312", set()),
        ("HT-2026-1/C", set()),
        ("HT-2026-1 / C", set()),
        ("HT-2026-1/AB", set()),
        ("HT-2026-1-2", set()),
        ("HT-2026-1 货款", {"HT-2026-1"}),
        ("HT-2026-1 advance", {"HT-2026-1"}),
        ("XHT-2026-1", set()),
        ("HT-2026-1-补1 尾款", {"HT-2026-1-补1"}),
        ("HT-2026-1-补2 尾款", set()),
        ("HT-2026-11/2", {"HT-2026-11/2"}),
        ("HT-2026-1/12", {"HT-2026-1/12"}),
    ],
)  # fmt: skip
def test_what_is_named(reference: str, found: set[str]) -> None:
    assert hits(reference) == found


def test_names_spelled_alike_without_their_gaps_mean_nothing_certain() -> None:
    assert named("HT2026112", NAMES)[1] is False


def test_a_contract_beside_an_invoice_of_another_one_is_not_clear() -> None:
    assert named(f"{NUMBER} HT-2026-1", NAMES)[1] is True
    assert named(f"{NUMBER} HT-2026-1-补1", NAMES)[1] is False


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("苏州恒拓制造有限公司", "苏州恒拓", True),
        ("ＣＵＳＴＯＭＥＲ Ｇｍｂｈ", "Customer GmbH & Co. KG", True),
        ("甲客户（中国）有限公司", "甲客户(中国)有限公司", True),
        ("甲客户有限公司", "乙客户有限公司", False),
    ],
)
def test_payer_and_customer(one: str, other: str, *, same: bool) -> None:
    assert same_party(one, other) is same


def claim(key: str, minor: int, customer: str = "苏州恒拓") -> OpenClaim:
    return OpenClaim(key, minor, "CNY", customer, int(key), ())


def match(minor: int, reference: str, open_: list[OpenClaim], payer: str = "苏州恒拓制造有限公司") -> Matching:
    return match_receipt(Receipt("R", date(2026, 4, 1), minor, "CNY", payer, reference), open_, NAMES)


def test_a_second_payment_of_a_paid_term_is_not_another_terms() -> None:
    found = match(500, f"HT-2026-1/A {NUMBER}", [claim("2", 500), claim("3", 500, "鲁航")])
    assert found.booked == ()
    assert [(p.why, p.allocations[0].claim) for p in found.proposals] == [(Why.PAYER_AND_AMOUNT, "2")]
    nobody = match(500, "HT-2026-1/A", [claim("3", 500, "鲁航")], payer="")
    assert nobody == Matching()


def test_an_invoice_that_was_taken_back_is_named_and_not_paid() -> None:
    found = match(500, "GONE-7 HT-2026-1/A", [claim("1", 500)])
    assert (found.booked, found.proposals[0].why) == ((), Why.REFERENCE_AND_AMOUNT)


def test_the_contract_alone_means_its_only_open_claim() -> None:
    assert match(300, "HT-2026-1", [claim("2", 500)]).booked == (Allocation("R", "2", 300),)
    both = match(500, "HT-2026-1", [claim("1", 500), claim("2", 500)])
    assert (both.booked, [p.allocations[0].claim for p in both.proposals][:2]) == ((), ["1", "2"])


def test_money_of_somebody_else_is_proposed_only() -> None:
    found = match(500, NUMBER, [claim("1", 500)], payer="鲁航有限公司")
    assert (found.booked, [p.why for p in found.proposals]) == ((), [Why.OTHER_PAYER])
    assert match(500, NUMBER, [claim("1", 500)], payer="").booked
