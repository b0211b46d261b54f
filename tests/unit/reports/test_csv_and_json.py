from __future__ import annotations

import csv
import io
import json

import pytest

from connectors.reports import as_json
from connectors.reports.csv_list import KEYS, csv_bytes
from connectors.reports.json_list import json_bytes
from connectors.reports.text import disarmed
from models.domain.ready import NightReport
from tests.unit.reports import nights


def rows(report: NightReport, language: str) -> list[dict[str, str]]:
    text = csv_bytes(report, language).decode("utf-8-sig")
    found = list(csv.reader(io.StringIO(text, newline="")))
    return [dict(zip(KEYS, row, strict=True)) for row in found[1:]]


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("+86 10", "'+86 10"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'=1"),
        ("\rcmd", "'cmd"),
        ("  =1", "'=1"),
        ("＝1", "'＝1"),
        ("\x00=1", "'=1"),
        ("a=1", "a=1"),
        ("'=1", "'=1"),
        ("苏州 -", "苏州 -"),
        ("two\nlines", "two lines"),
    ],
)
def test_text_that_a_spreadsheet_would_run_is_disarmed(text: str, safe: str) -> None:
    assert disarmed(text) == safe


def test_excel_reads_the_chinese_headings() -> None:
    """The byte order mark is what makes Excel take the file for UTF-8."""
    content = csv_bytes(nights.usual(), "zh-CN")
    assert content.startswith(b"\xef\xbb\xbf")
    assert content.decode("utf-8-sig").split("\r\n")[0].startswith("记录编号,合同编号,期次,款项名称,客户,币种,含税金额")


def test_amounts_are_plain_digits_with_the_currencys_digits() -> None:
    found = {r["currency"]: r["gross"] for r in rows(nights.usual(), "en")}
    assert (found["JPY"], found["KWD"], found["USD"]) == ("5400000", "12345.678", "98000.00")


def test_a_negative_amount_is_a_number_not_a_formula() -> None:
    assert [r["gross"] for r in rows(nights.hostile(), "en") if r["contract"] == "HT-NEG"] == ["-1060.00"]


def test_no_cell_of_a_hostile_night_starts_like_a_formula() -> None:
    money = {"gross", "net", "tax"}
    cells = [v for r in rows(nights.hostile(), "en") for k, v in r.items() if k not in money]
    assert not [c for c in cells if c.startswith(("=", "+", "-", "@", "\t", "\r", "＝"))]
    assert not [c for c in cells if "javascript:" in c or "secret" in c or "\n" in c]


def test_json_has_the_keys_of_ready_json_first_and_money_as_text() -> None:
    report = nights.usual()
    found = json.loads(json_bytes(report))
    assert found == json.loads(json.dumps(as_json(report)))
    for line, told in zip(report.ready, found["ready"], strict=True):
        assert {k: told[k] for k in line.as_json()} == json.loads(json.dumps(line.as_json()))
    assert [x["new"] for x in found["ready"]] == [True] * 3 + [False] * 9
    assert found["totals"][0] == {
        "currency": "CNY",
        "status": "ready",
        "count": 8,
        "gross": "3645352.74",
        "net": "3439012.04",
        "tax": "206340.70",
    }
    assert len(found["blocked"]) == 9
    assert found["findings"][0]["text"].keys() == {"zh-CN", "en"}


def test_a_hostile_night_is_still_json() -> None:
    found = json.loads(json_bytes(nights.hostile()).decode("utf-8"))
    assert found["ready"][13]["gross"] == "92233720368547758.07"


def test_every_origin_of_a_proof_has_its_words_in_both_languages() -> None:
    """What the evaluator and the bindings may name as source or provenance of a proof."""
    from flows.steps.evaluation.columns import Op
    from models.domain.observations import Provenance
    from models.domain.words import LANGUAGES, catalogue

    kinds = {"date", "document", "sign_off", "guarantee", "contract", "recorded", "silence", "deemed"}
    kinds |= {p.value for p in Provenance} | {o.name.lower() for o in (Op.TERM, Op.INVOICED, Op.PAID)}
    for language in LANGUAGES:
        assert {k for k in kinds if f"report.provenance.{k}" not in catalogue(language)} == set()
