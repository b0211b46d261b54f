"""Invoices and payments out of files: the round trip, part and over-payments, red invoices, and bad rows."""

from __future__ import annotations

from datetime import date

import openpyxl
import pytest

from connectors.reports.excel_ready import header_keys
from flows.steps.receivables.bank_money import confirm, waiting_money
from flows.steps.receivables.reading import Refused
from models.domain.receivables.allocation import Why
from models.domain.words import LANGUAGES
from models.tables import decisions
from tests.integration.receivables.conftest import Desk

NUMBER = "26117000000123456789"
HEAD = "contract,term,invoice_no,invoice_date,invoice_received,invoiced_amount\n"
BILLED = HEAD + f"C-1,T1,{NUMBER},2026-11-19,2026-11-19,400.00\n"


def codes(outcome) -> list[str]:
    """The codes of the findings, each of them readable in both languages."""
    for finding in outcome.findings:
        assert all(len(finding.text(language)) > 8 for language in LANGUAGES)
    return [f.code for f in outcome.findings]


def status(desk: Desk) -> list[tuple[str, str, int, str]]:
    desk.firm.night()
    return desk.firm.records()


# --- invoices ---


def test_the_ready_list_goes_round(desk: Desk) -> None:
    """Finance fills the last columns of the Excel list in and hands it back; twice changes nothing."""
    path = next((desk.folder / "out").rglob("*.xlsx"))
    book = openpyxl.load_workbook(path)
    sheet = book.worksheets[0]
    heads = {header_keys()[str(c.value)]: c.column for c in sheet[3] if c.value}
    row = next(r for r in range(4, 9) if sheet.cell(r, heads["contract"]).value == "C-1")
    inputs = [heads[key] for key in ("invoice_no", "invoice_date", "invoice_received", "invoiced_amount")]
    for column, value in zip(inputs, (NUMBER, date(2026, 11, 19), date(2026, 11, 20), 400), strict=True):
        sheet.cell(row, column).value = value
    filled = desk.folder / "filled.xlsx"
    book.save(filled)
    outcome = desk.invoices(filled)
    assert (codes(outcome), outcome.rows, outcome.new) == ([], 1, 1)
    before = desk.everything()
    assert desk.invoices(filled).new == 0
    assert desk.everything() == before
    assert desk.rows("SELECT number, gross FROM invoices") == [(NUMBER, 40000)]
    assert status(desk) == [("C-1", "T1", 1, "invoiced")]


def test_the_ready_list_handed_back_as_it_was(desk: Desk) -> None:
    outcome = desk.invoices(next((desk.folder / "out").rglob("*.xlsx")))
    assert codes(outcome) == ["LIST_NOT_FILLED_IN"]
    assert "发票号码" in outcome.findings[0].text("zh-CN")


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (",T1,A1,2026-11-19,,400.00", "ROW_INCOMPLETE"),
        ("C-1,T1,,2026-11-19,,400.00", "ROW_INCOMPLETE"),
        ("C-9,T1,A1,2026-11-19,,400.00", "ROW_TERM_UNKNOWN"),
        ("C-1,T1,A1,2026-11-31,,400.00", "DATE_UNREADABLE"),
        ("C-1,T1,A1,2027-01-01,,400.00", "ROW_DATE_FUTURE"),
        ("C-1,T1,A1,0206-01-01,,400.00", "DATE_RANGE"),
        ("C-1,T1,A1,2026-11-19,,(400.00)", "ROW_AMOUNT_NOT_POSITIVE"),
        ("C-1,T1,A1,2026-11-19,,four hundred", "AMOUNT_UNREADABLE"),
        ("C-1,T1,A1,2026123,,400.00", "DATE_UNREADABLE"),
        ("C-1,T1,A1,2026-11-19,,400.001", "AMOUNT_DIGITS"),
        ("C-1,T1,A1,2026-11-19,,-400.00", "ROW_AMOUNT_NOT_POSITIVE"),
        ("C-1,T1,A1,2026-11-19,,0", "ROW_AMOUNT_NOT_POSITIVE"),
        ("C-1,T1,A1,2026-11-19,,400.01", "INVOICE_ABOVE_READY"),
        ("C-1,T2,A1,2026-11-19,,600.01", "INVOICE_ABOVE_TERM"),
        ("C-1,T2,A1,2026-11-19,,99999999.00", "INVOICE_ABOVE_TERM"),
    ],
)
def test_a_bad_row_refuses_the_list(desk: Desk, row: str, code: str) -> None:
    before = desk.everything()
    outcome = desk.invoices(BILLED + row + "\n")
    found = codes(outcome)
    assert found == [code]
    assert outcome.refused
    assert outcome.findings[0].place.line == 3
    assert desk.everything() == before


def test_a_term_is_invoiced_before_it_is_ready_up_to_what_it_will_be(desk: Desk) -> None:
    early = desk.invoices(HEAD + "C-1,T2,A1,2026-11-19,,500.00\n")
    assert (codes(early), early.new) == (["INVOICE_NOT_READY"], 1)
    over = desk.invoices(HEAD + "C-1,T2,A2,2026-11-19,,100.01\n")
    assert codes(over) == ["INVOICE_ABOVE_TERM"]
    assert "CNY 100.00" in over.findings[0].text("en")
    assert desk.invoices(HEAD + "C-1,T2,A2,2026-11-19,,100.00\n").new == 1


def test_a_term_of_no_known_amount_is_held_to_what_is_left_of_the_price(desk: Desk) -> None:
    with desk.firm.store.begin() as connection:
        body = '[["T1","ready",0,0,0,40000,0,0,[]],["T2","not_ready",0,0,0,0,0,0,[]]]'
        connection.execute(decisions.update().values(body=body))
    desk.invoices(BILLED)
    over = desk.invoices(HEAD + "C-1,T2,A2,2026-11-19,,0.01\n")
    assert codes(over) == ["INVOICE_ABOVE_PRICE"]


def test_an_invoice_for_a_withdrawn_record_is_refused(desk: Desk) -> None:
    (record,) = desk.rows("SELECT record_id FROM ready_records")
    desk.firm.world.move(desk.firm.world.find("M1"), "进行中", desk.firm.at(date(2026, 11, 19)), "Zhao")
    desk.firm.night()
    content = "record_id,invoice_no,invoice_date\n" + f"{record[0]},A1,2026-11-20\n"
    assert codes(desk.invoices(content)) == ["INVOICE_WITHDRAWN"]


def test_a_record_that_belongs_to_another_row_is_refused(desk: Desk) -> None:
    (record,) = desk.rows("SELECT record_id FROM ready_records")
    content = "record_id,contract,term,invoice_no,invoice_date\n" + f"{record[0]},C-1,T2,A1,2026-11-20\n"
    assert codes(desk.invoices(content)) == ["ROW_RECORD_MISMATCH"]
    assert codes(desk.invoices("record_id,invoice_no,invoice_date\nnope,A1,2026-11-20\n")) == ["ROW_RECORD_UNKNOWN"]


def test_an_invoice_never_changes(desk: Desk) -> None:
    desk.invoices(BILLED)
    assert desk.invoices(BILLED).new == 0
    assert codes(desk.invoices(BILLED.replace("2026-11-19,2026-11-19,400.00", "2026-11-18,2026-11-19,400.00"))) == [
        "INVOICE_DIFFERS"
    ]


def test_several_invoices_of_a_term_add_up(desk: Desk) -> None:
    desk.invoices(HEAD + "C-1,T1,INV-1,2026-11-19,2026-11-19,150.00\nC-1,T1,INV-2,2026-11-20,2026-11-20,250.00\n")
    desk.payments("date,amount,currency,reference\n2026-11-20,150.00,CNY,INV-1\n")
    assert status(desk) == [("C-1", "T1", 1, "part_paid")]
    desk.payments("date,amount,currency,reference\n2026-11-20,250.00,CNY,INV-2\n")
    assert desk.rows("SELECT SUM(gross) FROM receipts") == [(40000,)]
    desk.firm.night(day=date(2026, 11, 21))
    assert desk.firm.records() == [("C-1", "T1", 1, "paid")]


def test_a_red_invoice_opens_the_term_again(desk: Desk) -> None:
    desk.invoices(BILLED)
    assert status(desk) == [("C-1", "T1", 1, "invoiced")]
    red = f"contract,term,invoice_no,invoice_date,red_of,reason\nC-1,T1,{NUMBER[:-1]}0,2026-11-20,{NUMBER},开票有误\n"
    assert desk.invoices(red).new == 1
    before = desk.everything()
    assert desk.invoices(red).new == 0
    assert desk.everything() == before
    assert status(desk) == [("C-1", "T1", 1, "withdrawn"), ("C-1", "T1", 2, "ready")]
    assert desk.invoices(HEAD + "C-1,T1,NEW-1,2026-11-20,2026-11-20,400.00\n").new == 1
    assert status(desk) == [("C-1", "T1", 1, "withdrawn"), ("C-1", "T1", 2, "invoiced")]


def test_a_part_credit_lowers_what_is_owed(desk: Desk) -> None:
    desk.invoices(BILLED)
    red = "contract,term,invoice_no,invoice_date,red_of,invoiced_amount\n" + f"C-1,T1,R1,2026-11-20,{NUMBER},-100.00\n"
    assert desk.invoices(red).new == 1
    paid = desk.payments(f"date,amount,currency,reference\n2026-11-20,300.00,CNY,{NUMBER}\n")
    assert (paid.booked, paid.waiting) == (1, ())
    assert status(desk) == [("C-1", "T1", 1, "paid")]
    assert codes(desk.invoices(red.replace("R1", "R2").replace("100.00", "300.01"))) == ["CREDIT_ABOVE_INVOICE"]
    assert codes(desk.invoices(red.replace(NUMBER, "nothing"))) == ["CREDIT_WITHOUT_INVOICE"]


def test_a_formula_among_typed_values_is_refused(desk: Desk) -> None:
    book = openpyxl.Workbook()
    for row in (
        ["contract", "term", "invoice_no", "invoice_date", "invoiced_amount"],
        ["C-1", "T1", "A1", date(2026, 11, 19), "=200+200"],
    ):
        book.active.append(row)
    book.save(desk.folder / "formula.xlsx")
    assert "CELL_FORMULA" in codes(desk.invoices(desk.folder / "formula.xlsx"))


def test_a_number_that_excel_has_broken_is_refused(desk: Desk) -> None:
    book = openpyxl.Workbook()
    book.active.append(["contract", "term", "invoice_no", "invoice_date", "invoiced_amount"])
    book.active.append(["C-1", "T1", 26117000000123456789, date(2026, 11, 19), 400])
    book.save(desk.folder / "broken.xlsx")
    assert codes(desk.invoices(desk.folder / "broken.xlsx")) == ["CELL_INEXACT"]


@pytest.mark.parametrize(
    ("content", "code"), [("", "NO_ROWS"), ("a,b\n1,2\n", "NO_ROWS"), (HEAD, "LIST_NOT_FILLED_IN")]
)
def test_a_file_without_invoices_says_so(desk: Desk, content: str, code: str) -> None:
    outcome = desk.invoices(content)
    assert outcome.refused
    assert codes(outcome) == [code]


# --- payments ---

PAID = f"日期,金额,币种,付款人,摘要\n2026-11-20,400.00,CNY,Customer,货款 {NUMBER}\n"


def test_money_that_names_its_invoice_is_booked_once(desk: Desk) -> None:
    desk.invoices(BILLED)
    outcome = desk.payments(PAID)
    assert (outcome.new, outcome.booked, outcome.waiting, codes(outcome)) == (1, 1, (), [])
    before = desk.everything()
    again = desk.payments(PAID)
    assert (again.new, again.booked) == (0, 0)
    assert desk.everything() == before
    assert status(desk) == [("C-1", "T1", 1, "paid")]


def test_money_without_a_name_waits_until_a_person_says_so(desk: Desk) -> None:
    desk.invoices(BILLED)
    outcome = desk.payments(PAID.replace(NUMBER, ""))
    assert outcome.booked == 0
    assert [p.why for p in outcome.waiting[0].matching.proposals] == [Why.PAYER_AND_AMOUNT, Why.PAYER_OLDEST]
    assert status(desk) == [("C-1", "T1", 1, "invoiced")]
    with desk.firm.store.begin() as connection:
        (waiting,) = waiting_money(connection)
        with pytest.raises(Refused):
            confirm(connection, waiting.line_id, "C-1/T1", 40001, "Wang", desk.now())
        assert confirm(connection, waiting.line_id, "C-1/T1", 10000, "Wang", desk.now()) == 10000
        assert confirm(connection, waiting.line_id, "C-1/T1", None, "Wang", desk.now()) == 30000
        assert waiting_money(connection) == []
    assert desk.rows('SELECT why, "by" FROM allocations') == [("confirmed", "Wang")] * 2
    assert status(desk) == [("C-1", "T1", 1, "paid")]


def test_an_over_payment_books_what_the_list_states_and_the_rest_waits(desk: Desk) -> None:
    desk.invoices(BILLED)
    outcome = desk.payments("date,amount,currency,contract,term\n2026-11-20,450.00,CNY,C-1,T1\n")
    assert (codes(outcome), outcome.booked, outcome.waiting[0].minor) == (["OVERPAID"], 1, 5000)
    assert desk.rows("SELECT SUM(gross) FROM receipts") == [(40000,)]


def test_money_for_an_unknown_contract_is_kept_and_waits(desk: Desk) -> None:
    outcome = desk.payments("date,amount,currency,contract,term\n2026-11-20,450.00,CNY,C-7,T1\n")
    assert (codes(outcome), outcome.new, outcome.booked) == (["PAYS_NOTHING_OPEN"], 1, 0)
    assert len(outcome.waiting) == 1


def test_a_bill_counts_at_its_maturity(desk: Desk) -> None:
    desk.invoices(BILLED)
    desk.payments(
        "date,amount,currency,contract,term,method,maturity\n2026-11-20,400.00,CNY,C-1,T1,银行承兑汇票,2027-05-20\n"
    )
    assert desk.rows("SELECT method, gross FROM receipts") == [("银行承兑汇票", 40000)]
    assert status(desk) == [("C-1", "T1", 1, "invoiced")]
    desk.firm.night(day=date(2027, 5, 20))
    assert desk.firm.records() == [("C-1", "T1", 1, "paid")]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("2026-11-20,zweihundert,CNY,", "AMOUNT_UNREADABLE"),
        ("2026-11-20,1.23.45,CNY,", "AMOUNT_UNREADABLE"),
        ("2026-11-20,0.00,CNY,", "PAYMENT_NOT_POSITIVE"),
        ("2026-12-24,5.00,CNY,", "ROW_DATE_FUTURE"),
        ("20.20.2026,5.00,CNY,", "DATE_UNREADABLE"),
        ("2026-11-20,5.00,XQZ,", "ROW_CURRENCY_UNKNOWN"),
        ("2026-11-20,5.00,,", "ROW_CURRENCY_UNKNOWN"),
    ],
)
def test_a_row_that_cannot_be_read_waits_and_the_others_go_on(desk: Desk, row: str, code: str) -> None:
    outcome = desk.payments(f"date,amount,currency,reference\n{row}\n2026-11-20,7.00,CNY,good\n")
    assert (codes(outcome), outcome.new) == ([code], 1)
    assert desk.rows("SELECT connection, code, vendor_id, cleared_at FROM quarantine") == [
        ("payments", code, "payments.csv:2", None)
    ]
    desk.payments(f"date,amount,currency,reference\n{row}\n2026-11-20,7.00,CNY,good\n")
    assert len(desk.rows("SELECT 1 FROM quarantine")) == 1
    assert (
        codes(
            desk.payments("date,amount,currency,reference\n2026-11-20,5.00,CNY,corrected\n2026-11-20,7.00,CNY,good\n")
        )
        == []
    )
    assert desk.rows("SELECT 1 FROM quarantine WHERE cleared_at IS NULL") == []
    desk.payments(f"date,amount,currency,reference\n{row}\n2026-11-20,7.00,CNY,good\n")  # the old file once more
    assert desk.rows("SELECT vendor_id FROM quarantine WHERE cleared_at IS NULL") == [("payments.csv:2",)]


def test_a_line_that_stands_twice_is_booked_once_and_asked_about(desk: Desk) -> None:
    line = "2026-11-20,5.00,CNY,Rent\n"
    outcome = desk.payments("date,amount,currency,reference\n" + line + line)
    assert (codes(outcome), outcome.new) == (["BANK_LINE_TWICE"], 1)


def test_a_bank_csv_of_its_own_making(desk: Desk) -> None:
    """German bank: semicolons, comma amounts, dotted days, columns nobody asked for, one column for both directions."""
    desk.invoices(BILLED)
    content = (
        "Auftragskonto;Buchungstag;Valutadatum;Buchungstext;Verwendungszweck;Beguenstigter/Zahlungspflichtiger;Betrag;Waehrung;Info\n"
        f"DE12;19.11.2026;19.11.2026;GUTSCHR;Rechnung {NUMBER};Customer;400,00;CNY;Umsatz gebucht\n"
        "DE12;19.11.2026;19.11.2026;LASTSCHR;Miete;Landlord;-1.250,00;CNY;Umsatz gebucht\n"
    )
    outcome = desk.payments(content.encode("latin-1"))
    assert (outcome.new, outcome.booked, outcome.passed_over, codes(outcome)) == (1, 1, 1, [])


def test_a_chinese_bank_list_with_a_title_and_two_columns(desk: Desk) -> None:
    desk.invoices(BILLED)
    content = (
        "某某银行交易明细\n\n交易日期,借方发生额,贷方发生额,余额,对方户名,摘要,交易流水号\n"
        f"20261119,,400.00,9400.00,Customer,货款{NUMBER},F1\n20261119,12.00,,9388.00,某某,手续费,F2\n"
    )
    outcome = desk.payments(content.encode("gb18030"), currency="CNY")
    assert (outcome.new, outcome.booked, outcome.passed_over, codes(outcome)) == (1, 1, 1, [])


CAMT = """<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><GrpHdr><MsgId>M1</MsgId><CreDtTm>2026-11-20T05:00:00</CreDtTm></GrpHdr>
<Stmt><Id>S1</Id><Acct><Id><IBAN>DE02120300000000202051</IBAN></Id><Ccy>CNY</Ccy></Acct>
{entries}</Stmt></BkToCstmrStmt></Document>"""
NTRY = """<Ntry><Amt Ccy="CNY">{amount}</Amt><CdtDbtInd>{mark}</CdtDbtInd><Sts><Cd>{status}</Cd></Sts><BookgDt><Dt>2026-11-19</Dt></BookgDt>
<AcctSvcrRef>{ref}</AcctSvcrRef><NtryDtls>{details}</NtryDtls></Ntry>"""
DETAIL = """<TxDtls><Refs><EndToEndId>{e2e}</EndToEndId></Refs>{amount}<RltdPties><Dbtr><Nm>Customer</Nm></Dbtr></RltdPties><RmtInf><Ustrd>{text}</Ustrd></RmtInf></TxDtls>"""


def entry(amount: str, text: str, *, mark: str = "CRDT", status: str = "BOOK", ref: str = "B1") -> str:
    return NTRY.format(
        amount=amount, mark=mark, status=status, ref=ref, details=DETAIL.format(e2e="E1", amount="", text=text)
    )


def test_camt(desk: Desk) -> None:
    desk.invoices(BILLED)
    entries = (
        entry("400.00", f"Payment {NUMBER}")
        + entry("3.00", "fee", mark="DBIT", ref="B2")
        + entry("9.00", "pending", status="PDNG", ref="B3")
        + entry("1234567890123456.78", "large", ref="B4")
    )
    outcome = desk.payments(CAMT.format(entries=entries), "statement.xml")
    assert (outcome.new, outcome.booked, outcome.passed_over, codes(outcome)) == (2, 1, 2, [])
    assert desk.rows("SELECT MAX(minor) FROM bank_lines") == [(123456789012345678,)]
    assert desk.payments(CAMT.format(entries=entries), "statement.xml").new == 0
    assert desk.payments(CAMT.format(entries=entries + entry("8.00", "next", ref="B5")), "overlaps.xml").new == 1


def test_a_camt_batch_with_amounts_is_many_lines_and_one_without_is_refused(desk: Desk) -> None:
    parts = [DETAIL.format(e2e=f"E{n}", amount=f'<Amt Ccy="CNY">{n}.00</Amt>', text=f"part {n}") for n in (1, 2)]
    good = NTRY.format(amount="3.00", mark="CRDT", status="BOOK", ref="B1", details="".join(parts))
    assert desk.payments(CAMT.format(entries=good), "a.xml").new == 2
    bare = DETAIL.format(e2e="NOTPROVIDED", amount="", text="")
    bad = NTRY.format(amount="3.00", mark="CRDT", status="BOOK", ref="B9", details=bare + bare)
    outcome = desk.payments(CAMT.format(entries=bad), "b.xml")
    assert (codes(outcome), outcome.new) == (["STATEMENT_BATCH"], 0)


MT940 = f""":20:STARTUMSE
:25:12345678/0001234567
:28C:00001/001
:60F:C261101CNY1000,00
:61:2611191119C400,00NTRFNONREF//B4E02
:86:166?00GUTSCHRIFT?20SVWZ+Rechnung?21{NUMBER}?32Customer
:61:2611191119D20,00NMSCNONREF
:86:fee
:61:2611191119RC30,00NTRFNONREF
:86:taken back
:62F:C261119CNY1350,00
"""


def test_mt940(desk: Desk) -> None:
    desk.invoices(BILLED)
    outcome = desk.payments(MT940, "statement.sta")
    assert (outcome.new, outcome.booked, outcome.passed_over, codes(outcome)) == (1, 1, 1, ["MONEY_TAKEN_BACK"])
    assert desk.rows("SELECT payer, day FROM bank_lines") == [("Customer", 20776)]
    assert desk.payments(MT940, "statement.sta").new == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.xml", "<Document>"),
        ("a.xml", "<Document xmlns='urn:camt.053'><x/></Document>"),
        ("a.xml", '<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]><Document xmlns="urn:camt.05">&e;</Document>'),
        ("a.sta", ":20:X\n:25:Y\n:61:rubbish\n"),
    ],
)
def test_a_broken_statement_gives_one_finding_and_takes_nothing(desk: Desk, name: str, content: str) -> None:
    outcome = desk.payments(content, name)
    assert (codes(outcome), outcome.new) == (["STATEMENT_UNREADABLE"], 0)
    assert "root:" not in outcome.findings[0].text("en")


def test_allocations_never_exceed_what_came_nor_what_is_open(desk: Desk) -> None:
    """The books, after everything above at once."""
    desk.invoices(BILLED)
    desk.payments(PAID)
    desk.payments(PAID.replace("2026-11-20", "2026-11-19"))
    desk.payments(MT940, "statement.sta")
    over = desk.rows(
        "SELECT b.id FROM bank_lines b JOIN allocations a ON a.bank_line_id = b.id JOIN receipts r ON r.id = a.receipt_id GROUP BY b.id, b.minor HAVING SUM(r.gross) > b.minor"
    )
    assert over == []
    assert desk.rows("SELECT SUM(gross) FROM receipts") == [(40000,)]
    assert len(desk.rows("SELECT 1 FROM bank_lines")) == 3
