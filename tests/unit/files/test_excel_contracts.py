"""Contracts from spreadsheets: the same contracts as from YAML, and findings that name the cell."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import openpyxl
import pytest

from connectors.files.excel_contracts import SHEETS, contracts_yaml, read_contract_sheets, write_template
from connectors.files.sheets import Cell
from connectors.files.workbook import cell_text
from models.domain.words import LANGUAGES
from models.records.contract_file import Loaded, load_contract_text, long_form

YAML = """
contract: X-1
customer: {name: Customer, size: large}
supplier: {name: Supplier, size: sme}
currency: EUR
timezone: Europe/Berlin
calendar: DE
price_basis: tax_exclusive
lines: [{id: PRICE, amount: "1234.56", tax_rate: 19%}]
events:
  signed: 2026-01-05
  built: {milestone: {connection: rd, project: P, name: Built, state: accepted}, min_grade: history}
  half: {progress: {connection: rd, project: P, at_least: 50%}}
  report: {document: Report}
terms:
  - {id: T1, name: First, amount: 30%, when: signed, due: 30 days after invoice_date}
  - {id: T2, amount: "100.50", when: {all: [built, report]}}
  - {id: T3, amount: {percent: 5}, when: {any: [half, {elapsed: {after: built, business_days: 10}}]}, approval: required}
  - {id: T4, amount: remaining, when: {elapsed: {after: report, months: 12}}}
"""

HEAD = {"contract": "X-1", "customer": "Customer", "customer_size": "large", "supplier": "Supplier", "supplier_size": "sme", "currency": "EUR",
        "timezone": "Europe/Berlin", "calendar": "DE", "price_basis": "tax_exclusive", "price": 1234.56, "tax_rate": "19%"}  # fmt: skip
TERMS: list[dict[str, object]] = [
    {
        "contract": "X-1",
        "term": "T1",
        "name": "First",
        "amount": "30%",
        "when": "signed",
        "due": "30 days after invoice_date",
    },
    {"contract": "X-1", "term": "T2", "amount": 100.5, "when": "built + report"},
    {
        "contract": "X-1",
        "term": "T3",
        "amount": "{percent: 5}",
        "when": "half or 10 working days after built",
        "approval": "yes",
    },
    {"contract": "X-1", "term": "T4", "amount": "余款", "when": "report后12个月"},
]
EVENTS: list[dict[str, object]] = [
    {"contract": "X-1", "event": "signed", "date": "2026-01-05"},
    {
        "contract": "X-1",
        "event": "built",
        "connection": "rd",
        "project": "P",
        "milestone": "Built",
        "state": "accepted",
        "min_grade": "history",
    },
    {"contract": "X-1", "event": "half", "connection": "rd", "project": "P", "progress": "50%"},
    {"contract": "X-1", "event": "report", "document": "Report"},
]


def book(tables: Mapping[str, Sequence[Mapping[str, object]]]) -> bytes:
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.active)
    for name, rows in tables.items():
        sheet = workbook.create_sheet(name)
        columns = list(dict.fromkeys([*SHEETS[name].required, *(k for r in rows for k in r)])) if name in SHEETS else []
        sheet.append(columns)
        for row in rows:
            sheet.append([row.get(c) for c in columns])
    data = io.BytesIO()
    workbook.save(data)
    return data.getvalue()


def read(**changed: Sequence[Mapping[str, object]]) -> Loaded:
    return read_contract_sheets(book({"contracts": [HEAD], "terms": TERMS, "events": EVENTS, **changed}), "c.xlsx")


def test_a_spreadsheet_gives_the_same_contract_as_the_file() -> None:
    loaded = read()
    assert loaded.findings == ()
    assert long_form(loaded.contracts[0]) == long_form(load_contract_text(YAML, "x.yaml").contracts[0])


def test_it_can_be_written_as_yaml_and_read_again() -> None:
    loaded = read()
    again = load_contract_text(contracts_yaml(loaded.contracts), "y.yaml")
    assert again.findings == ()
    assert [c.content_hash for c in again.contracts] == [c.content_hash for c in loaded.contracts]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_template_is_a_valid_import(tmp_path: Path, language: str) -> None:
    write_template(str(tmp_path / "t.xlsx"), language)
    loaded = read_contract_sheets((tmp_path / "t.xlsx").read_bytes(), "t.xlsx")
    assert loaded.findings == ()
    assert [(c.number, len(c.terms), len(c.events)) for c in loaded.contracts] == [("HT-2026-018", 3, 3)]


def test_a_finding_names_its_cell() -> None:
    spoiled = [{**TERMS[0], "amount": "3O%"}, *TERMS[1:]]
    (finding,) = read(terms=spoiled).findings
    assert (finding.code, finding.place.line, finding.place.path) == ("NUMBER_UNREADABLE", 2, "terms!C2")
    assert finding.text("zh-CN")


def test_all_problems_of_all_sheets_at_once() -> None:
    loaded = read(
        contracts=[{**HEAD, "currency": "EURO"}],
        terms=[{**TERMS[0], "when": "{al: [a]}"}, *TERMS[1:]],
        events=[{**EVENTS[0], "date": "5.1.2026"}],
    )
    assert sorted(f.code for f in loaded.findings) == ["CURRENCY_UNKNOWN", "DATE_UNREADABLE", "UNKNOWN_CONDITION"]
    assert loaded.contracts == ()


def test_several_lines_with_their_own_rates() -> None:
    lines = [
        {"contract": "X-1", "line": "A", "amount": 1000, "tax_rate": 0.07},
        {"contract": "X-1", "line": "B", "amount": "234.56", "tax_rate": "19%"},
    ]
    contract = read(lines=lines).contracts[0]
    assert [(x.id, x.amount, str(x.tax_rate)) for x in contract.lines] == [
        ("A", 100000, "7/100"),
        ("B", 23456, "19/100"),
    ]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"terms": [{**TERMS[0], "contract": "X-9"}]}, "ROW_WITHOUT_CONTRACT"),
        ({"contracts": [HEAD, HEAD]}, "DUPLICATE_CONTRACT"),
        ({"contracts": [{**HEAD, "contract": None}]}, "CELL_MISSING"),
        ({"terms": [{**TERMS[0], "when": "{all: [a"}]}, "YAML_BROKEN"),
        ({"terms": [{**TERMS[0], "when": "{all: [&a x, *a]}"}]}, "YAML_BROKEN"),
        ({"contracts": [{**HEAD, "price": 1 / 3}]}, "CELL_INEXACT"),
        ({"contracts": [{**HEAD, "price": "1.234,56"}]}, "AMOUNT_UNREADABLE"),
        ({"contracts": [{**HEAD, "custmer": "x"}]}, "COLUMN_UNKNOWN"),
        ({"events": [{"contract": "X-1", "event": "signed"}]}, "BINDING_UNREADABLE"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_taken(changed: dict[str, Sequence[Mapping[str, object]]], code: str) -> None:
    loaded = read(**changed)
    assert code in {f.code for f in loaded.findings}
    assert all(f.text(language) for f in loaded.findings for language in LANGUAGES)


def test_a_missing_sheet_and_a_file_that_is_no_spreadsheet() -> None:
    assert [f.code for f in read_contract_sheets(book({"contracts": [HEAD]}), "c.xlsx").findings] == ["SHEET_MISSING"]
    for data in (b"", b"PK\x03\x04 not a zip", b"<html>log in</html>"):
        assert [f.code for f in read_contract_sheets(data, "c.xlsx").findings] == ["SHEET_UNREADABLE"]
    assert [f.code for f in read_contract_sheets(b"", "c.csv").findings] == ["EMPTY_FILE"]


CSV = """合同编号*,客户,供应商,币种,时区,日历,价格口径,合同价,税率,条款,条款名称,金额,付款条件,付款期限
HT-1,"苏州恒拓, 制造",杭州星澜,CNY,Asia/Shanghai,CN,tax_inclusive,"1,000.00",6%,T1,预付款,30%,签约,开票后30天
HT-1,,,,,,,,,T2,尾款,余款,验收 + 终验报告,验收后30天
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_a_flat_csv_with_chinese_headings(encoding: str) -> None:
    loaded = read_contract_sheets(CSV.encode(encoding), "c.csv")
    assert loaded.findings == ()
    (contract,) = loaded.contracts
    assert contract.customer.name == "苏州恒拓, 制造"
    assert [t.name for t in contract.terms] == ["预付款", "尾款"]


def test_a_flat_csv_that_contradicts_itself() -> None:
    spoiled = CSV.replace("HT-1,,,,,,,,,T2", "HT-1,,,USD,,,,,,T2")
    (finding,) = read_contract_sheets(spoiled.encode(), "c.csv").findings
    assert (finding.code, finding.place.line, finding.place.path) == ("CELL_CONFLICT", 3, "D3")


@pytest.mark.parametrize(
    ("value", "number_format", "text", "exact"),
    [(0.3, "0%", "30%", True), (0.07, "General", "0.07", True), (1288888.88, "#,##0.00", "1288888.88", True), (5, "General", "5", True),
     (0.1 + 0.2, "General", "0.3", False), (1e16, "General", "10000000000000000", True), (True, "General", "true", True), (0.065, "0.0%", "6.5%", True)],
)  # fmt: skip
def test_numbers_keep_the_digits_the_spreadsheet_shows(
    value: object, number_format: str, text: str, exact: bool
) -> None:
    assert cell_text(value, number_format) == (text, exact)


def test_cell_references() -> None:
    assert Cell("", "terms", 5, 4).reference == "terms!D5"
    assert Cell("", "", 1, 28).reference == "AB1"
