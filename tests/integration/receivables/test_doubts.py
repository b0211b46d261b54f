"""Money in doubt: statements that do not add up, one payment in two files, money taken back, lists edited by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import openpyxl
import pytest

from connectors.reports.excel_ready import header_keys
from flows.steps.evaluation.columns import day_number
from flows.steps.receivables.bank_money import confirm, returned, set_aside, undo, waiting_money
from flows.steps.receivables.reading import Refused
from tests.integration.receivables.conftest import Desk
from tests.integration.receivables.test_imports import (
    BILLED,
    CAMT,
    DETAIL,
    HEAD,
    MT940,
    NTRY,
    NUMBER,
    PAID,
    codes,
    entry,
    status,
)


def sheet(path: Path, rows: Sequence[Sequence[object]]) -> openpyxl.Workbook:
    """A workbook of rows, saved and still open for edits."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return book


PAYMENTS = ["date", "amount", "currency", "reference"]
INVOICES = ["contract", "term", "invoice_no", "invoice_date", "invoiced_amount"]


# --- statements ---


def balance(kind: str, amount: str) -> str:
    return f'<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp><Amt Ccy="CNY">{amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd></Bal>'


@pytest.mark.parametrize(("closing", "found"), [("1397.00", []), ("1400.00", ["STATEMENT_BALANCE"])])
def test_a_camt_statement_must_add_up(desk: Desk, closing: str, found: list[str]) -> None:
    body = balance("OPBD", "1000.00") + balance("CLBD", closing)
    body += entry("400.00", "a") + entry("3.00", "fee", mark="DBIT", ref="B2") + entry("9.00", "b", status="PDNG")
    outcome = desk.payments(CAMT.format(entries=body), "s.xml")
    assert (codes(outcome), outcome.new) == (found, 0 if found else 1)


def test_an_mt940_statement_must_add_up(desk: Desk) -> None:
    before = desk.everything()
    outcome = desk.payments(MT940.replace("1350,00", "1350,01"), "s.sta")
    assert codes(outcome) == ["STATEMENT_BALANCE"]
    assert "1350.00" in outcome.findings[0].text("zh-CN")
    assert desk.everything() == before


def test_several_statements_in_one_file(desk: Desk) -> None:
    second = (
        MT940.replace(NUMBER, "Miete").replace("261119", "261118").replace("400,00", "500,00").replace("1350", "1450")
    )
    outcome = desk.payments(MT940 + second, "s.sta")
    assert outcome.new == 2
    one = CAMT.format(entries=entry("1.00", "a"))
    stmt = one[one.index("<Stmt>") : one.index("</Stmt>") + 7]
    two = one.replace(stmt, stmt + stmt.replace("B1", "B2").replace(">1.00<", ">2.00<"))
    assert desk.payments(two, "s.xml").new == 2


def test_an_instructed_sum_in_another_currency_and_charges_are_not_the_amount(desk: Desk) -> None:
    """What the account got counts; what was sent, and what was kept on the way, is told to the person."""
    said = '<AmtDtls><InstdAmt><Amt Ccy="USD">57.00</Amt></InstdAmt></AmtDtls><Chrgs><Rcrd><Amt Ccy="CNY">3.00</Amt></Rcrd></Chrgs>'
    detail = DETAIL.format(e2e="E1", amount=said, text="dollars")
    body = NTRY.format(amount="400.00", mark="CRDT", status="BOOK", ref="B1", details=detail)
    desk.payments(CAMT.format(entries=body), "s.xml")
    assert desk.rows("SELECT minor, currency, reference FROM bank_lines") == [
        (40000, "CNY", "dollars E1 [USD 57.00] [charges CNY 3.00]")
    ]


def test_a_batch_that_does_not_add_up_is_refused(desk: Desk) -> None:
    parts = [DETAIL.format(e2e=f"E{n}", amount=f'<Amt Ccy="CNY">{n}.00</Amt>', text=f"part {n}") for n in (1, 2)]
    body = NTRY.format(amount="3.50", mark="CRDT", status="BOOK", ref="B1", details="".join(parts))
    assert codes(desk.payments(CAMT.format(entries=body), "s.xml")) == ["STATEMENT_BATCH"]


def test_what_the_bank_took_back_is_said_with_the_line_it_came_in(desk: Desk) -> None:
    desk.invoices(BILLED)
    desk.payments(PAID)
    back = NTRY.format(amount="400.00", mark="DBIT", status="BOOK", ref="B9", details="").replace(
        "<Sts>", "<RvslInd>true</RvslInd><Sts>"
    )
    outcome = desk.payments(CAMT.format(entries=back.replace("2026-11-19", "2026-11-20")), "s.xml")
    assert codes(outcome) == ["MONEY_TAKEN_BACK"]
    assert outcome.findings[0].params["lines"] == "1"
    assert status(desk) == [("C-1", "T1", 1, "paid")]
    with desk.firm.store.begin() as connection:
        assert returned(connection, 1, date(2026, 11, 20), "no funds", "Wang", desk.now()) == 1
        assert waiting_money(connection) == []
    assert status(desk) == [("C-1", "T1", 1, "invoiced")]


# --- one payment in two files ---


def test_one_payment_in_two_formats_is_not_booked_twice(desk: Desk) -> None:
    desk.invoices(HEAD + f"C-1,T1,{NUMBER},2026-11-19,2026-11-19,400.00\n")
    body = entry("100.00", f"Payment {NUMBER}")
    assert desk.payments(CAMT.format(entries=body), "s.xml").booked == 1
    other = MT940.replace("C400,00", "C100,00").replace("1350", "1050")
    outcome = desk.payments(other, "s.sta")
    assert (outcome.booked, len(outcome.waiting)) == (0, 1)
    assert "BANK_LINE_SEEN" in codes(outcome)
    assert desk.rows("SELECT SUM(gross) FROM receipts") == [(10000,)]
    with desk.firm.store.begin() as connection:
        set_aside(connection, outcome.waiting[0].line_id, "the same payment", "Wang", desk.now())
        assert waiting_money(connection) == []
        with pytest.raises(Refused, match="LINE_NOT_WAITING"):
            set_aside(connection, outcome.waiting[0].line_id, "again", "Wang", desk.now())


def test_a_list_corrected_and_imported_again_does_not_pay_twice(desk: Desk) -> None:
    desk.invoices(BILLED)
    desk.payments(f"date,amount,currency,payer,reference\n2026-11-20,100.00,CNY,Customer,{NUMBER}\n")
    outcome = desk.payments(f"date,amount,currency,payer,reference\n2026-11-20,100.00,CNY,Customer,re {NUMBER}\n")
    assert (outcome.booked, codes(outcome)) == (0, ["BANK_LINE_SEEN"])


def test_two_payments_that_the_bank_numbers_apart_are_two(desk: Desk) -> None:
    head = "date,amount,currency,payer,bank_id\n"
    assert codes(desk.payments(head + "2026-11-20,100.00,CNY,Customer,F1\n", "monday.csv")) == []
    assert codes(desk.payments(head + "2026-11-20,100.00,CNY,Customer,F2\n", "tuesday.csv")) == []
    assert codes(desk.payments(head + "2026-11-20,100.00,CNY,Somebody else,\n", "other.csv")) == []


# --- a person's word ---


def test_a_wrong_booking_is_taken_back_and_nothing_is_edited(desk: Desk) -> None:
    desk.invoices(BILLED)
    desk.payments(PAID)
    before = desk.rows("SELECT * FROM receipts")
    with desk.firm.store.begin() as connection:
        assert undo(connection, 1, "meant another contract", "Wang", desk.now()) == 1
        (waiting,) = waiting_money(connection)
        with pytest.raises(Refused, match="LINE_NOT_BOOKED"):
            undo(connection, 1, "again", "Wang", desk.now())
    assert waiting.minor == 40000
    assert desk.rows("SELECT * FROM receipts")[:1] == before
    assert desk.rows("SELECT SUM(gross) FROM receipts") == [(0,)]
    assert status(desk) == [("C-1", "T1", 1, "invoiced")]
    with desk.firm.store.begin() as connection:
        assert confirm(connection, 1, "C-1/T1", None, "Wang", desk.now()) == 40000
    assert status(desk) == [("C-1", "T1", 1, "paid")]


def test_a_bill_that_is_dishonoured_never_paid(desk: Desk) -> None:
    desk.invoices(BILLED)
    head = "date,amount,currency,contract,term,method,maturity\n"
    desk.payments(head + "2026-11-20,400.00,CNY,C-1,T1,银行承兑汇票,2027-05-20\n")
    with desk.firm.store.begin() as connection:
        with pytest.raises(Refused, match="AGREEMENT_BACKWARDS"):
            returned(connection, 1, date(2026, 11, 1), "", "Wang", desk.now())
        returned(connection, 1, date(2027, 5, 21), "拒付", "Wang", desk.now())
    for day, said in ((date(2027, 5, 19), "invoiced"), (date(2027, 5, 20), "paid"), (date(2027, 5, 21), "invoiced")):
        desk.firm.night(day=day)
        assert desk.firm.records() == [("C-1", "T1", 1, said)], day
    assert desk.rows("SELECT gross, maturity_day FROM receipts ORDER BY id") == [
        (40000, day_number(date(2027, 5, 20))),
        (-40000, day_number(date(2027, 5, 21))),
    ]


def test_money_in_another_currency_counts_what_a_person_says(desk: Desk) -> None:
    desk.invoices(BILLED)
    outcome = desk.payments(f"date,amount,currency,reference\n2026-11-20,57.00,USD,{NUMBER}\n")
    assert outcome.booked == 0
    with desk.firm.store.begin() as connection:
        with pytest.raises(Refused, match="COUNTS_AS_NEEDED"):
            confirm(connection, 1, "C-1/T1", None, "Wang", desk.now())
        with pytest.raises(Refused, match="ALLOCATION_TOO_MUCH"):
            confirm(connection, 1, "C-1/T1", None, "Wang", desk.now(), 40001)
        confirm(connection, 1, "C-1/T1", 3000, "Wang", desk.now(), 21300)
        assert [w.minor for w in waiting_money(connection)] == [2700]
        confirm(connection, 1, "C-1/T1", None, "Wang", desk.now(), 18700)
        assert waiting_money(connection) == []
    assert status(desk) == [("C-1", "T1", 1, "paid")]


# --- lists edited by hand ---


def test_a_row_deleted_from_the_ready_list_is_noticed(desk: Desk) -> None:
    desk.firm.contract("C-2")
    desk.firm.night()
    path = next((desk.folder / "out").rglob("*.xlsx"))
    book = openpyxl.load_workbook(path)
    page = book.worksheets[0]
    heads = {header_keys()[str(c.value)]: c.column for c in page[3] if c.value}
    rows = {page.cell(r, heads["contract"]).value: r for r in (4, 5)}
    for key, value in (("invoice_no", NUMBER), ("invoice_date", date(2026, 11, 19)), ("invoiced_amount", 400)):
        page.cell(rows["C-1"], heads[key]).value = value
    page.delete_rows(rows["C-2"])
    book.save(desk.folder / "filled.xlsx")
    outcome = desk.invoices(desk.folder / "filled.xlsx")
    assert (codes(outcome), outcome.new, outcome.refused) == (["LIST_ROW_MISSING"], 1, False)
    assert outcome.findings[0].params["which"] == "C-2/T1"


def test_a_row_deleted_above_the_total_refuses_the_list(desk: Desk) -> None:
    rows = [PAYMENTS, [date(2026, 11, 20), 5, "CNY", "a"], ["合计", 12, None, None]]
    sheet(desk.folder / "p.xlsx", rows)
    outcome = desk.payments(desk.folder / "p.xlsx")
    assert (codes(outcome), outcome.new) == (["TOTAL_DIFFERS"], 0)
    sheet(desk.folder / "q.xlsx", [*rows[:2], [date(2026, 11, 20), 7, "CNY", "b"], *rows[2:]])
    assert (codes(done := desk.payments(desk.folder / "q.xlsx")), done.new) == ([], 2)
    billed = BILLED + "合计,,,,,500.00\n"
    assert codes(desk.invoices(billed)) == ["TOTAL_DIFFERS"]
    assert desk.invoices(billed.replace("500", "400")).new == 1


def test_a_formula_in_a_line_of_totals_is_nobodys_business_but_in_a_row_it_waits(desk: Desk) -> None:
    rows = [
        PAYMENTS,
        [date(2026, 11, 20), 5, "CNY", "a"],
        [date(2026, 11, 20), "=3+4", "CNY", "b"],
        [date(2026, 11, 20), 9, "CNY", '="x"&"y"'],
        ["Total", "=SUM(B2:B4)", None, None],
    ]
    sheet(desk.folder / "p.xlsx", rows)
    outcome = desk.payments(desk.folder / "p.xlsx")
    assert (codes(outcome), outcome.new) == (["CELL_FORMULA"] * 2, 1)
    assert [f.place.line for f in outcome.findings] == [3, 4]


def test_hidden_rows_and_merged_cells_wait(desk: Desk) -> None:
    book = sheet(desk.folder / "p.xlsx", [PAYMENTS, *([date(2026, 11, 20), n, "CNY", f"r{n}"] for n in (1, 2, 3, 4))])
    book.active.row_dimensions[2].hidden = True
    book.active.merge_cells("D4:D5")
    book.save(desk.folder / "p.xlsx")
    outcome = desk.payments(desk.folder / "p.xlsx")
    assert (codes(outcome), outcome.new) == (["ROW_HIDDEN", "ROW_MERGED", "ROW_MERGED"], 1)
    assert len(desk.rows("SELECT 1 FROM quarantine")) == 3
    book.active.unmerge_cells("D4:D5")
    book.active.cell(5, 4).value = "r4"
    book.active.row_dimensions[2].hidden = False
    book.save(desk.folder / "p.xlsx")
    assert (codes(again := desk.payments(desk.folder / "p.xlsx")), again.new) == ([], 3)
    assert desk.rows("SELECT 1 FROM quarantine WHERE cleared_at IS NULL") == []


def test_a_heading_of_two_merged_rows_is_one(desk: Desk) -> None:
    book = sheet(
        desk.folder / "p.xlsx",
        [["日期", "收付", None, "币种"], [None, "支出", "收入", None], [date(2026, 11, 20), None, 5, "CNY"], [date(2026, 11, 20), 6, None, "CNY"]],
    )  # fmt: skip
    for merged in ("A1:A2", "B1:C1", "D1:D2"):
        book.active.merge_cells(merged)
    book.save(desk.folder / "p.xlsx")
    outcome = desk.payments(desk.folder / "p.xlsx")
    assert (codes(outcome), outcome.new, outcome.passed_over) == ([], 1, 1)


def test_a_row_without_an_amount_is_not_lost(desk: Desk) -> None:
    outcome = desk.payments("date,amount,currency\n2026-11-20,,CNY\n")
    assert codes(outcome) == ["ROW_INCOMPLETE"]


@pytest.mark.parametrize(
    ("written", "minor"),
    [
        ("４００．００", 40000),  # full width, as a Chinese keyboard types it
        ("￥１，２３４．５０", 123450),
        ('"1.234,50"', 123450),
        ('"1,234.50"', 123450),
        ('"1 234,50"', None),
        ('"1,2345"', None),
        ("400.00-", None),
        ("(400.00)", None),
    ],
)
def test_how_amounts_are_written(desk: Desk, written: str, minor: int | None) -> None:
    desk.payments(f"date,amount,currency\n2026/11/20,{written},CNY\n")
    assert desk.rows("SELECT minor FROM bank_lines") == ([] if minor is None else [(minor,)])


def test_a_thousand_or_one_and_a_bit_is_not_guessed(desk: Desk) -> None:
    assert codes(desk.payments('date,amount,currency\n2026-11-20,"1,234",KWD\n')) == ["AMOUNT_UNREADABLE"]


# --- invoices of the tax bureau ---


def test_special_and_general_invoices_of_twenty_digits(desk: Desk) -> None:
    head = "合同,条款,发票号码,开票日期,价税合计,金额,税额,发票票种,发票状态\n"
    row = f"C-1,T1,{NUMBER},2026-11-19,400.00,377.36,22.64,数电票（增值税专用发票）,正常\n"
    assert codes(desk.invoices(head + row.replace(NUMBER, NUMBER[:-1]))) == ["INVOICE_NUMBER_DIGITS"]
    odd = desk.invoices(head + row.replace(NUMBER, NUMBER[:-1] + "X"))
    assert (codes(odd), odd.findings[0].params["others"]) == (["INVOICE_NUMBER_CHARACTERS"], "X")
    assert codes(desk.invoices(head + row.replace("专用", "特殊"))) == ["INVOICE_KIND_UNKNOWN"]
    assert codes(
        desk.invoices(head.replace("价税合计,", "").replace("发票状态", "原因") + row.replace(",400.00", ""))
    ) == ["AMOUNT_IS_NET"]
    assert desk.invoices(head + row).new == 1
    assert desk.rows("SELECT gross, kind FROM invoices") == [(40000, "special")]
    assert desk.invoices(head + row).new == 0
    assert codes(desk.invoices(head + row.replace("专用", "普通"))) == ["INVOICE_DIFFERS"]


def test_a_cancelled_invoice_opens_the_term_again(desk: Desk) -> None:
    desk.invoices(BILLED)
    gone = f"contract,term,invoice_no,invoice_date,invoice_status\nC-1,T1,{NUMBER},2026-11-20,作废\n"
    assert desk.invoices(gone).new == 1
    before = desk.everything()
    assert desk.invoices(gone).new == 0
    assert desk.everything() == before
    assert desk.rows("SELECT kind, gross FROM credits") == [("cancelled", 40000)]
    assert status(desk) == [("C-1", "T1", 1, "withdrawn"), ("C-1", "T1", 2, "ready")]


def test_a_red_invoice_and_its_successor_are_not_one_file(desk: Desk) -> None:
    desk.invoices(BILLED)
    both = (
        "contract,term,invoice_no,invoice_date,red_of,invoiced_amount\n"
        f"C-1,T1,RED,2026-11-20,{NUMBER},\nC-1,T1,NEW,2026-11-20,,400.00\n"
    )
    assert codes(desk.invoices(both)) == ["INVOICE_AFTER_RED"]


def test_a_credit_below_what_was_paid_is_said(desk: Desk) -> None:
    desk.invoices(BILLED)
    desk.payments(PAID)
    red = f"contract,term,invoice_no,invoice_date,red_of,invoiced_amount\nC-1,T1,R1,2026-11-20,{NUMBER},-100.00\n"
    outcome = desk.invoices(red)
    assert (codes(outcome), outcome.new) == (["INVOICE_PAID"], 1)
    assert outcome.findings[0].params["over"] == "CNY 100.00"


def test_a_number_belongs_to_one_customer(desk: Desk) -> None:
    text = (desk.folder / "contracts" / "C-1.yaml").read_text(encoding="utf-8")
    desk.firm.contract("C-2", text=text.replace("C-1", "C-2").replace("Customer", "Another"))
    desk.firm.night()
    desk.invoices(BILLED)
    assert codes(desk.invoices(BILLED.replace("C-1", "C-2"))) == ["INVOICE_NUMBER_TAKEN"]


def test_a_withdrawn_term_is_not_invoiced_by_its_name_either(desk: Desk) -> None:
    desk.firm.world.move(desk.firm.world.find("M1"), "进行中", desk.firm.at(date(2026, 11, 19)), "Zhao")
    desk.firm.night()
    before = desk.everything()
    row = HEAD + "C-1,T1,A1,2026-11-20,,400.00\n"
    assert codes(desk.invoices(row)) == ["TERM_WITHDRAWN"]
    assert desk.everything() == before
    early = desk.invoices(row.replace("2026-11-20", "2026-11-18"))
    assert (codes(early), early.new) == (["INVOICE_NOT_READY"], 1)
