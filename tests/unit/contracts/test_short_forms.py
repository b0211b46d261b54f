"""Short forms are sugar: each expands to the long form beside it."""

from __future__ import annotations

import pytest

from models.domain import contracts as m
from models.records.contract_file import load_contract_bytes, load_contract_text, long_form

FRAME = """
contract: S-1
customer: A
supplier: B
currency: {currency}
timezone: Asia/Shanghai
calendar: {calendar}
price_basis: tax_inclusive
lines: [{{id: L, amount: "1000", tax_rate: 6%}}]
terms: [{{id: T1, amount: {amount}, when: {when}, due: {due}}}, {{id: T2, amount: {rest}, when: x}}]
"""


def term(
    amount: str = "40%", when: str = "signed", due: str = "", calendar: str = "CN", currency: str = "CNY"
) -> dict[str, object]:
    rest = "60%" if "remaining" in amount else "remaining"
    loaded = load_contract_text(
        FRAME.format(amount=amount, when=when, due=due or "null", rest=rest, calendar=calendar, currency=currency),
        "s.yaml",
    )
    assert loaded.findings == ()
    return long_form(loaded.contracts[0])["terms"][0]  # type: ignore[index,no-any-return]


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("30%", {"percent": "30%"}),
        ("12.5 %", {"percent": "12.5%"}),
        ("30％", {"percent": "30%"}),
        ("remaining", {"remaining": True}),
        ('"500.00"', {"fixed": "500.00"}),
        ("500", {"fixed": "500.00"}),
        ('"1,000.00"', {"fixed": "1000.00"}),
        ("0.1", {"fixed": "0.10"}),
        ("{percent: 33.3}", {"percent": "33.3%"}),
    ],
)
def test_amounts(short: str, long: object) -> None:
    assert term(amount=short)["amount"] == long


def test_an_amount_keeps_the_digits_of_its_currency() -> None:
    assert term(amount='"7"', currency="JPY")["amount"] == {"fixed": "7"}
    assert term(amount='"7.125"', currency="KWD")["amount"] == {"fixed": "7.125"}


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("signed", {"event": "signed"}),
        ("2026-05-01", {"date": "2026-05-01"}),
        ("{all: [a, b]}", {"all": [{"event": "a"}, {"event": "b"}]}),
        ("{any: [a, 2026-05-01]}", {"any": [{"event": "a"}, {"date": "2026-05-01"}]}),
        ("{elapsed: {after: a, months: 12}}", {"elapsed": {"after": {"event": "a"}, "months": 12}}),
        ("{guarantee: G}", {"guarantee": {"id": "G"}}),
        ("{approved: finance}", {"approved": {"role": "finance"}}),
        ("{progress: {of: p, at_least: 60%}}", {"progress": {"of": "p", "gte": "60%"}}),
        ("验收报告", {"event": "验收报告"}),
    ],
)
def test_conditions(short: str, long: object) -> None:
    assert term(when=short)["when"] == long


@pytest.mark.parametrize(
    ("short", "start", "add", "roll"),
    [
        ("10 working days after invoice_received", "invoice_received", {"business_days": 10}, "none"),
        ("15 business days after ready", "ready", {"business_days": 15}, "none"),
        ("30 days after invoice_date", "invoice_date", {"days": 30}, "following"),
        ("1 day after ready", "ready", {"days": 1}, "following"),
        ("2 months after ready", "ready", {"months": 2}, "following"),
        ('"45 days after ready, following"', "ready", {"days": 45}, "following"),
        ('"45 days after ready, none"', "ready", {"days": 45}, "none"),
        ("收到发票后15个工作日", "invoice_received", {"business_days": 15}, "none"),
        ("开票后30天", "invoice_date", {"days": 30}, "following"),
        ("验收后30日内", "ready", {"days": 30}, "following"),
        ("{start: ready, add: {days: 30, then: end_of_month}}", "ready", {"days": 30, "then": "end_of_month"}, "following"),
        ("{start: ready, add: {end_of_month_then_days: 30}}", "ready", {"end_of_month_then_days": 30}, "following"),
        ("{start: ready, add: {day_of_next_month: 10}}", "ready", {"day_of_next_month": 10}, "following"),
        ("{start: ready, add: {end_of_next_month: true}, roll: none}", "ready", {"end_of_next_month": True}, "none"),
    ],
)  # fmt: skip
def test_due_rules(short: str, start: str, add: object, roll: str) -> None:
    assert term(due=short)["due"] == {"start": start, "add": add, "roll": roll}


def test_days_roll_by_law_in_china_only() -> None:
    assert term(due="30 days after ready", calendar="DE")["due"]["roll"] == "none"  # type: ignore[index]
    assert term(due="30 days after ready", calendar="CN")["due"]["roll"] == "following"  # type: ignore[index]


CONTRACT = FRAME.format(amount="40%", when="signed", due="null", rest="remaining", calendar="CN", currency="CNY")


def test_one_contract_a_list_or_several_documents() -> None:
    other = CONTRACT.replace("S-1", "S-2")
    listed = "".join("- " + c.strip().replace("\n", "\n  ") + "\n" for c in (CONTRACT, other))
    for text in (listed, f"---\n{CONTRACT}---\n{other}"):
        loaded = load_contract_text(text, "s.yaml")
        assert loaded.findings == ()
        assert [c.number for c in loaded.contracts] == ["S-1", "S-2"]
        assert loaded.contracts[0].content_hash != loaded.contracts[1].content_hash


def test_a_byte_order_mark_is_fine_and_other_encodings_are_said() -> None:
    assert load_contract_bytes(b"\xef\xbb\xbf" + CONTRACT.encode(), "s.yaml").findings == ()
    (finding,) = load_contract_bytes(CONTRACT.replace("A", "苏州", 1).encode("gb18030"), "s.yaml").findings
    assert (finding.code, finding.place.line) == ("ENCODING_BROKEN", 3)


@pytest.mark.parametrize("text", ["[" * 100_000, "- " * 5_000, "{a: " * 900, "terms: " + "[" * 101 + "]" * 101])
def test_depth_is_bounded_before_the_parser_runs_out_of_stack(text: str) -> None:
    assert [f.code for f in load_contract_text(text, "deep.yaml").findings] == ["NESTED_TOO_DEEP"]


def test_bindings_in_all_their_forms() -> None:
    events = """
events:
  signed: 2026-02-09
  m1: {milestone: {connection: rd, project: P, name: " 初验 "}}
  m2: {milestone: {connection: rd, project: P, id: "42"}, state: accepted, min_grade: review}
  half: {progress: {connection: rd, project: P, at_least: 50%}}
  raw: {progress: {connection: rd, project: P}}
  doc: {document: 终验报告}
  ok: {sign_off: 客户代表}
"""
    bindings = load_contract_text(CONTRACT + events, "s.yaml").contracts[0].events
    assert bindings["m1"] == m.MilestoneBinding("rd", "P", name="初验")
    assert bindings["m2"] == m.MilestoneBinding("rd", "P", id="42", state="accepted", min_grade=m.EvidenceGrade.REVIEW)
    assert isinstance(bindings["raw"], m.ProgressBinding)
    assert bindings["raw"].at_least is None
    assert bindings["doc"] == m.DocumentBinding("终验报告")
    assert bindings["ok"] == m.SignOffBinding("客户代表")


def test_the_closest_valid_key_is_named() -> None:
    loaded = load_contract_text(CONTRACT.replace("timezone:", "timezon:"), "s.yaml")
    unknown = next(f for f in loaded.findings if f.code == "UNKNOWN_KEY")
    assert unknown.params["closest"] == "timezone"
    assert (unknown.place.file, unknown.place.line, unknown.place.path) == ("s.yaml", 6, "timezon")
    assert "timezone" in unknown.text("zh-CN")
