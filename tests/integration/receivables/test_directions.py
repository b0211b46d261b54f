"""Which way money went: what left the account is never booked as received, whatever the bank's list looks like."""

from __future__ import annotations

import pytest

from flows.steps.receivables.directions import went_out
from flows.steps.receivables.reading import Refused
from models.tables import quarantine
from tests.integration.receivables.conftest import Desk
from tests.integration.receivables.test_imports import BILLED, NUMBER, codes

#: Heading, the mark of money that came, the mark of money that went.
MARKS = (
    ("借贷标志", "贷", "借"),
    ("借贷方向", "贷方", "借方"),
    ("收支", "收入", "支出"),
    ("收/支", "收", "支"),
    ("收支类型", "入", "出"),
    ("Soll/Haben", "H", "S"),
    ("S/H", "Haben", "Soll"),
    ("Dr/Cr", "CR", "DR"),
    ("D/C", "C", "D"),
    ("CRDR", "Credit", "Debit"),
    ("借／贷", "ｃ", "ｄ"),
)


@pytest.mark.parametrize(("heading", "came", "went"), MARKS)
def test_a_column_that_says_which_way(desk: Desk, heading: str, came: str, went: str) -> None:
    desk.invoices(BILLED)
    outcome = desk.payments(
        f"交易时间,{heading},交易金额,币种,对方户名,摘要\n"
        f"2026-11-20 10:00:00,{went},500.00,CNY,Customer,{NUMBER} 退款\n"
        f"2026-11-20 10:01:00,{came},60.00,CNY,Customer,{NUMBER}\n合计,,440.00,,,\n"
    )
    assert (codes(outcome), outcome.new, outcome.booked, outcome.passed_over) == ([], 1, 1, 1)
    assert desk.rows("SELECT SUM(gross) FROM receipts") == [(6000,)]


@pytest.mark.parametrize("mark", ["转账", "", "X"])
def test_a_mark_that_says_neither_waits(desk: Desk, mark: str) -> None:
    outcome = desk.payments(f"日期,借贷标志,金额,币种\n2026-11-20,{mark},500.00,CNY\n2026-11-20,贷,6.00,CNY\n")
    assert (codes(outcome), outcome.new) == (["ROW_DIRECTION_UNKNOWN" if mark else "ROW_INCOMPLETE"], 1)


def test_two_columns_that_are_filled_with_zeros(desk: Desk) -> None:
    outcome = desk.payments(
        '交易日期,借方发生额,贷方发生额,摘要\n2026-11-20,"12,000.00",0.00,房租\n2026-11-20,0.00,10.00,x\n2026-11-20,,,上日余额\n',
        currency="CNY",
    )
    assert (codes(outcome), outcome.new, outcome.passed_over) == ([], 1, 2)


def test_all_amounts_in_one_column_beside_the_two() -> None:
    assert went_out({"amount": "12.00", "debit": "12.00"}, debits=True)
    assert not went_out({"amount": "12.00", "debit": "0.00"}, debits=True)
    with pytest.raises(Refused, match="ROW_BOTH_WAYS"):
        went_out({"amount": "12.00", "debit": "7.00"}, debits=True)


@pytest.mark.parametrize("text", ["-5.00", "(5.00)", "－５.００", "¥ -5.00", "\u22121.250,00"])
def test_a_sum_below_zero_went_out(text: str) -> None:
    assert went_out({"amount": text}, debits=False)
    assert not went_out({"amount": text, "contract": "C-1", "term": "T1"}, debits=False)


def test_a_person_who_writes_a_sum_below_zero_for_a_term_is_told(desk: Desk) -> None:
    outcome = desk.payments("date,amount,currency,contract,term\n2026-11-20,-5.00,CNY,C-1,T1\n")
    assert codes(outcome) == ["PAYMENT_NOT_POSITIVE"]
    assert "红字" not in outcome.findings[0].text("zh-CN")


def test_a_debit_that_waited_as_an_error_waits_no_longer(desk: Desk) -> None:
    content = "date,amount,currency,reference\n2026-11-20,-5.00,CNY,rent\n"
    row = ("k", "run-0", "payments", "payments.csv:2", "ROW_AMOUNT_NOT_POSITIVE", "{}", "{}", 1)
    names = ("key", "run_id", "connection", "vendor_id", "code", "params", "raw", "recorded_at")
    with desk.firm.store.begin() as connection:
        connection.execute(quarantine.insert().values(dict(zip(names, row, strict=True))))
    assert codes(desk.payments(content)) == []
    assert desk.rows("SELECT 1 FROM quarantine WHERE cleared_at IS NULL") == []


def test_a_list_without_what_it_needs_is_a_table_and_no_sheet(desk: Desk) -> None:
    (missing,) = desk.payments("日期,币种\n2026-11-20,CNY\n").findings
    assert (missing.code, "工作表" in missing.text("zh-CN")) == ("COLUMN_MISSING", False)
