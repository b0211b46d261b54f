"""What a customer paid too much after a credit note is said each night, until it is moved or given back."""

from __future__ import annotations

from datetime import date

from flows.steps.receivables.bank_money import confirm, set_aside, undo
from tests.integration.receivables.conftest import Desk
from tests.integration.receivables.test_follow import codes, command
from tests.integration.receivables.test_imports import BILLED, NUMBER, PAID

RED = f"contract,term,invoice_no,invoice_date,red_of,invoiced_amount\nC-1,T1,R1,2026-11-20,{NUMBER},-100.00\n"


def test_a_credit_balance_is_said_until_it_is_gone(desk: Desk) -> None:
    desk.invoices(BILLED)
    desk.payments(PAID)
    desk.invoices(RED)
    for day in (date(2026, 11, 20), date(2026, 11, 25)):
        night = desk.firm.night(day=day)
        assert codes(night) == ["CREDIT_BALANCE"]
    (said,) = night.report.findings
    assert {k: said.params[k] for k in ("which", "customer", "amount")} == {
        "which": "C-1/T1", "customer": "Customer", "amount": "CNY 100.00",
    }  # fmt: skip
    assert "CREDIT_BALANCE" in command(desk, "allocate", code=1)
    with desk.firm.store.begin() as connection:
        undo(connection, 1, "too much", "Wang", desk.now())
        confirm(connection, 1, "C-1/T1", None, "Wang", desk.now())
        set_aside(connection, 1, "paid back", "Wang", desk.now())
    assert codes(desk.firm.night(day=date(2026, 11, 26))) == []
    command(desk, "allocate", code=0)


def test_a_credit_of_what_is_not_paid_leaves_no_balance(desk: Desk) -> None:
    desk.invoices(BILLED)
    desk.invoices(RED)
    desk.payments(PAID.replace("400.00", "300.00"))
    assert codes(desk.firm.night()) == []
