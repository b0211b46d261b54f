"""A payment that names what is paid already goes to no other term by itself."""

from __future__ import annotations

from models.domain.receivables.allocation import Why
from tests.integration.receivables.conftest import Desk
from tests.integration.receivables.test_imports import BILLED, HEAD, NUMBER, PAID, codes


def test_a_paid_term_named_again_pays_no_other_term(desk: Desk) -> None:
    desk.invoices(BILLED)
    desk.payments(PAID)
    desk.invoices(HEAD + "C-1,T2,INV-2,2026-11-19,,600.00\n")
    outcome = desk.payments(f"日期,金额,币种,付款人,摘要\n2026-11-20,200.00,CNY,Customer,C-1/T1 {NUMBER}\n", "b.csv")
    assert (codes(outcome), outcome.booked) == ([], 0)
    assert [p.why for p in outcome.waiting[0].matching.proposals] == [Why.PAYER_OLDEST]


def test_an_invoice_paid_by_somebody_else_waits(desk: Desk) -> None:
    desk.invoices(BILLED)
    outcome = desk.payments(PAID.replace("Customer", "Somebody"))
    assert (outcome.booked, [p.why for p in outcome.waiting[0].matching.proposals]) == (0, [Why.OTHER_PAYER])
    assert desk.payments(PAID.replace("Customer", "CUSTOMER Ltd."), "b.csv").booked == 1


def test_an_invoice_that_was_cancelled_is_still_known(desk: Desk) -> None:
    desk.invoices(BILLED)
    desk.invoices(f"contract,term,invoice_no,invoice_date,invoice_status\nC-1,T1,{NUMBER},2026-11-20,作废\n")
    desk.firm.night()
    desk.invoices(HEAD + "C-1,T1,NEW-1,2026-11-20,2026-11-20,400.00\n")
    assert desk.payments(PAID).booked == 0
    assert desk.payments(PAID.replace(NUMBER, "NEW-1").replace("11-20", "11-19"), "b.csv").booked == 1
