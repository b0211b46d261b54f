"""The escalation pack: what is in it, that hostile text stays text, and that the same input gives the same bytes."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.steps.receivables.agreements import Touch, add_extension, add_plan, add_touch, find_term
from models.domain.contracts import Facts, InvoiceFact, PaymentFact, PromiseFact
from models.domain.receivables.agreements import Promise
from models.domain.receivables.limitation import ALERT_DAYS
from models.records.contract_file import load_contract_text
from tests.fakes.ledger import NOW, Books, books

HOSTILE = '<script>alert(1)</script>"; DROP TABLE x; \u202egpj.exe'
DAILY = '{daily_rate: "0.0005"}'
CONTRACT = """
contract: {number}
title: {title}
customer: {{name: {customer}, size: large}}
supplier: {{name: 杭州星澜, size: sme}}
currency: {currency}
timezone: Asia/Shanghai
calendar: CN
price_basis: tax_inclusive
lines: [{{id: L, amount: "1000.00", tax_rate: 6%}}]
late: {late}
events: {{signed: 2026-01-05}}
terms:
  - {{id: T1, name: {name}, amount: 40%, when: signed, due: 10 days after invoice_received}}
  - {{id: T2, amount: remaining, when: never_happens, due: 10 days after invoice_received}}
"""


def contract(
    number: str = "C-1",
    customer: str = "恒拓",
    currency: str = "CNY",
    name: str = "预付款",
    title: str = "x",
    late: str = DAILY,
):
    quoted = {
        k: json.dumps(v) for k, v in {"number": number, "customer": customer, "name": name, "title": title}.items()
    }
    loaded = load_contract_text(CONTRACT.format(currency=currency, late=late, **quoted), "c.yaml")
    assert loaded.findings == (), loaded.findings
    return loaded.contracts[0]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Books]:
    """C-1/T1: 400.00, invoiced 10 January 2026, due Tuesday 20 January; 100.00 came on 30 January."""
    with books(tmp_path) as made:
        billed(made, contract())
        yield made


def billed(made: Books, one, **more: object) -> None:
    made.contract(one)
    paid = (PaymentFact("T1", date(2026, 1, 30), 100_00, "电汇"),)
    invoice = InvoiceFact("T1", date(2026, 1, 10), date(2026, 1, 10), 400_00, "25117000000123456701")
    made.facts(one, Facts(invoices=(invoice,), payments=paid, **more))


def run(made: Books, *arguments: str, day: str = "2026-03-01", code: int = 0) -> str:
    rest = ["--config", str(made.folder / "huikuan.toml"), "--as-of", day]
    done = CliRunner().invoke(app, ["dossier", *arguments, *rest])
    assert done.exit_code == code, done.output
    return done.output


def pack(made: Books, *arguments: str, day: str = "2026-03-01"):
    body = json.loads(run(made, *arguments, "--json", day=day))
    return body, Path(body["folder"])


def test_the_pack(own: Books) -> None:
    body, folder = pack(own, "C-1/T1")
    (term,) = body["terms"]
    # 400.00 * 0.0005 * 10 days + 300.00 * 0.0005 * 30 days = 2.00 + 4.50
    assert (term["open"], term["interest"], term["days_late"]) == ("300.00", "6.50", 40)
    assert [(x["from"], x["to"], x["days"], x["amount"]) for x in term["interest_lines"]] == [
        ("2026-01-21", "2026-01-30", 10, "2.00"),
        ("2026-01-31", "2026-03-01", 30, "4.50"),
    ]
    assert folder == own.folder / "out" / "dossiers" / "dossier-C-1_T1-2026-03-01"
    assert {p.name for p in folder.iterdir()} == {
        "index.html", "letter.zh-CN.html", "letter.en.html", "interest.csv", "dossier.json", "manifest.sha256",
    }  # fmt: skip
    letter = (folder / "letter.zh-CN.html").read_text(encoding="utf-8")
    assert "人民币300.00元（大写：叁佰元整）" in letter
    assert "2026年3月8日前" in letter
    assert "第一百九十五条" in letter
    assert "保障中小企业款项支付条例" in letter
    assert "8 March 2026" in (folder / "letter.en.html").read_text(encoding="utf-8")
    assert "不构成法律意见" in (folder / "index.html").read_text(encoding="utf-8")


def test_a_rate_table_that_ends_ends_the_interest_in_every_place(own: Books) -> None:
    """January's rate only: 400.00 * 36.5% / 365 * 10 days + 300.00 * 36.5% / 365 * 1 day = 4.00 + 0.30."""
    ends = '{rates: [{from: 2026-01-01, to: 2026-01-31, pct: "36.5"}]}'
    billed(own, contract("C-2", late=ends))
    _, folder = pack(own, "C-2/T1")
    letter = {n: (folder / f"letter.{n}.html").read_text(encoding="utf-8") for n in ("en", "zh-CN")}
    assert "CNY 4.30, up to 31 January 2026; no rate is stated from 1 February 2026 on" in letter["en"]
    assert "up to 1 March 2026" not in letter["en"]
    assert "at the same rate" not in letter["en"]
    assert "reserve the right" in letter["en"]
    assert "计至2026年1月31日，自2026年2月1日起没有所载利率" in letter["zh-CN"]
    assert "同一标准" not in letter["zh-CN"]
    assert "计至2026年3月1日" not in letter["zh-CN"]
    summary, _, _ = (folder / "index.html").read_text(encoding="utf-8").partition("<section>")
    assert "计至 2026-01-31；自 2026-02-01 起没有所载利率" in summary
    assert "CNY: no rate is stated from 2026-02-01 on" in run(own, "C-2/T1")
    # Beside a term with a rate for every day, each line says how far it is counted.
    body, folder = pack(own, "--customer", "恒拓")
    assert body["totals"][0]["interest_unknown_from"] == "2026-02-01"
    letter = {"en": (folder / "letter.en.html").read_text(encoding="utf-8")}
    assert "CNY 6.50, up to 1 March 2026, and on at the same rate until payment" in letter["en"]


def test_the_manifest_names_every_file(own: Books) -> None:
    _, folder = pack(own, "C-1/T1")
    listed = dict(reversed(line.split("  ")) for line in (folder / "manifest.sha256").read_text().splitlines())
    found = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}
    del found["manifest.sha256"]
    assert listed == found


def test_the_same_input_gives_the_same_bytes(own: Books) -> None:
    _, folder = pack(own, "C-1/T1")
    first = {p.name: p.read_bytes() for p in folder.iterdir()}
    _, other = pack(own, "C-1/T1", "--out", str(own.folder / "elsewhere"))
    assert {p.name: p.read_bytes() for p in other.iterdir()} == first


def test_nothing_after_the_day_is_in_it(own: Books) -> None:
    own.touch("C-1/T1", "demand", date(2026, 2, 10), "EMS 1")
    body, folder = pack(own, "C-1/T1", day="2026-01-25")
    assert body["terms"][0]["open"] == "400.00"
    assert body["terms"][0]["proofs"] == []
    assert "EMS" not in (folder / "index.html").read_text(encoding="utf-8")


def test_a_letter_does_not_outlive_the_money(own: Books) -> None:
    _, folder = pack(own, "C-1/T1")
    (folder / "notes of counsel.txt").write_text("keep me")
    own.touch("C-1/T1", "dispute", date(2026, 2, 1))
    _, folder = pack(own, "C-1/T1")
    assert not list(folder.glob("letter*"))
    assert (folder / "notes of counsel.txt").exists()


def test_demands_restart_the_clock_only_with_proof(own: Books) -> None:
    own.touch("C-1/T1", "delivered", date(2026, 2, 20))
    body, folder = pack(own, "C-1/T1")
    assert body["terms"][0]["limitation_expires"] == "2029-01-30"  # the part payment
    assert "2026-02-20" in (folder / "index.html").read_text(encoding="utf-8")
    own.touch("C-1/T1", "delivered", date(2026, 2, 21), "receipt 9")
    assert pack(own, "C-1/T1")[0]["terms"][0]["limitation_expires"] == "2029-02-21"
    assert max(ALERT_DAYS) < 365


def test_proofs_are_copied_from_below_the_configuration_only(own: Books, tmp_path_factory) -> None:
    outside = tmp_path_factory.mktemp("private") / "salary.pdf"
    outside.write_bytes(b"secret")
    (own.folder / "scans").mkdir()
    (own.folder / "scans" / "回执 & 1.PDF").write_bytes(b"%PDF receipt")
    (own.folder / "scans" / "link.pdf").symlink_to(outside)
    proofs = [
        "scans/回执 & 1.PDF",
        str(outside),
        "../../etc/passwd",
        "huikuan.toml",
        "huikuan.db",
        "scans/link.pdf",
        "EMS 42",
        "x\0y",
    ]
    for n, proof in enumerate(proofs):
        own.touch("C-1/T1", "demand", date(2026, 2, 1 + n), proof)
    body, folder = pack(own, "C-1/T1")
    (copied,) = (folder / "proofs").iterdir()
    assert copied.read_bytes() == b"%PDF receipt"
    assert copied.name.isascii()
    found = {p["proof"]: p["file"] for p in body["terms"][0]["proofs"]}
    assert {k for k, v in found.items() if v} == {"scans/回执 & 1.PDF"}
    everything = b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())
    assert b"secret" not in everything


def test_the_pack_in_chinese_has_no_keys_in_it(own: Books) -> None:
    """How money was matched and who drafted a reminder are told in words."""
    with own.store.begin() as connection:
        connection.exec_driver_sql("UPDATE receipts SET method = 'reference_part'")
        touch = Touch("reminder", date(2026, 2, 1), "draft", "night", level=1)
        add_touch(connection, find_term(connection, "C-1/T1"), touch, NOW)
    page = (pack(own, "C-1/T1")[1] / "index.html").read_text(encoding="utf-8")
    assert "摘要写明，部分付款" in page
    assert "夜间自动运行" in page
    assert "reference_part" not in page
    assert "<td>night</td>" not in page


def test_hostile_names_are_text(own: Books) -> None:
    one = contract("=cmd|'/C calc'!A0/..", HOSTILE, name="../../x", title="{{ 7*7 }}")
    billed(own, one)
    own.touch("=cmd|'/C calc'!A0/../T1", "reason", date(2026, 2, 1), '"><img src=x>', code="process")
    _, folder = pack(own, "--customer", HOSTILE)
    assert folder.parent == own.folder / "out" / "dossiers"
    assert folder.name.isascii()
    for page in folder.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "<script" not in text
        assert "<img" not in text
        assert "\u202e" not in text
        assert ">49<" not in text
    rows = list(csv.reader((folder / "interest.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert rows[1][0].startswith("'=cmd")


def test_a_customer_in_two_currencies(own: Books) -> None:
    billed(own, contract("C-2", currency="EUR"))
    billed(own, contract("C-3", customer="somebody else"))
    body, folder = pack(own, "--customer", "恒拓", "--language", "en", "--reference-rate", "2.15")
    assert [(t["currency"], t["open"], t["terms"]) for t in body["totals"]] == [
        ("CNY", "300.00", 1),
        ("EUR", "300.00", 1),
    ]
    assert "600.00" not in (folder / "index.html").read_text(encoding="utf-8")
    assert "EUR 300.00" in (folder / "letter.zh-CN.html").read_text(encoding="utf-8")


def test_a_broken_promise_and_an_extension(own: Books) -> None:
    made = Promise(date(2026, 1, 25), date(2026, 2, 10), 300_00, "Wang")
    one = contract()
    own.facts(one, Facts(promises=(PromiseFact("T1", made),)))
    _, folder = pack(own, "C-1/T1")
    assert "承诺未获履行" in (folder / "letter.zh-CN.html").read_text(encoding="utf-8").replace("该承诺", "承诺")
    with own.store.begin() as connection:
        owner = find_term(connection, "C-1/T1")
        add_extension(connection, owner, date(2026, 2, 12), date(2026, 2, 25), "Wang", None, NOW)
    body, folder = pack(own, "C-1/T1")
    letter = (folder / "letter.en.html").read_text(encoding="utf-8")
    # The interest runs on in the pack; a letter does not state what an agreement may have waived.
    assert (body["terms"][0]["days_late"], body["terms"][0]["interest"]) == (4, "6.50")
    assert "6.50" not in letter
    assert "reserve the right" in letter


def test_a_plan_asks_only_for_what_has_passed(own: Books) -> None:
    parts = [(date(2026, 2, 20), 100_00), (date(2026, 4, 20), 200_00)]
    with own.store.begin() as connection:
        owner = find_term(connection, "C-1/T1")
        add_plan(connection, owner, date(2026, 2, 1), parts, "Wang", NOW, default_clause=False)
    body, _ = pack(own, "C-1/T1")
    assert (body["terms"][0]["asked"], body["terms"][0]["days_late"]) == ("100.00", 9)
    assert pack(own, "C-1/T1", day="2026-02-15")[0]["terms"][0]["asked"] == "0.00"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["C-1/T9"], "C-1/T1"),
        (["--customer", "恒托"], "恒拓"),
        (["C-1/T2"], "C-1/T2"),
        ([], "--customer"),
        (["C-1/T1", "--customer", "恒拓"], "--customer"),
        (["C-1/T1", "--language", "fr"], "zh-CN"),
        (["C-1/T1", "--reference-rate", "a lot"], "a lot"),
        (["C-1/T1", "--reference-rate", "310"], "310"),
    ],
)
def test_what_cannot_be_made_says_why(own: Books, arguments: list[str], says: str) -> None:
    assert says in run(own, *arguments, code=2)
    assert not (own.folder / "out").exists()


@pytest.mark.server
def test_the_same_pack_from_postgresql(tmp_path: Path, url: str) -> None:
    packs = []
    for name, address in (("pg", url), ("lite", "sqlite:///huikuan.db")):
        (tmp_path / name).mkdir()
        with books(tmp_path / name, address) as made:
            promise = PromiseFact("T1", Promise(date(2026, 1, 25), date(2026, 2, 10), 300_00, "Wang"))
            billed(made, contract(), promises=(promise,))
            made.touch("C-1/T1", "demand", date(2026, 2, 1), "EMS 1")
            made.touch("C-1/T1", "credit_note", date(2026, 2, 3), gross=10_00)
            _, folder = pack(made, "C-1/T1", "--reference-rate", "3.10")
            packs.append({p.name: p.read_bytes() for p in folder.iterdir()})
    assert packs[0] == packs[1]
