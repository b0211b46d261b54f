"""Sinks over HTTP: one document for a key whatever is lost, drafts taken back, nobody guessed, nothing rounded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.errors import NeedsPerson, SourceConfig, SourceError, SourceRefused, SourceUnavailable
from models.domain.pushes import TaxPart
from tests.fakes.books import ALL, NAMES, Books, ErpNextBooks, OdooBooks, OracleBooks, SapBooks, body_of
from tests.unit.sinks.pushing import check, push, ready, withdrawn

every = pytest.mark.parametrize("make", ALL, ids=NAMES)
Make = Callable[[], Books]


def _push(books: Books, what=None, **changes):
    return push(books.kind, books.options() | changes, what or ready(), books.transport)


@every
def test_a_record_becomes_one_document_and_is_found_the_second_time(make: Make) -> None:
    books = make()
    first, second = _push(books), _push(books)
    assert (first.found, second.found, books.alive()) == (False, True, 1)
    assert first.reference == second.reference
    assert first.note == second.note == ""


@every
def test_a_lost_answer_makes_no_second_document(make: Make) -> None:
    books = make()
    books.lose = 1
    with pytest.raises(SourceUnavailable):
        _push(books)
    assert books.alive() == 1
    assert _push(books).found
    assert books.alive() == 1


@every
def test_a_change_is_sent_once_a_try_whatever_comes_back(make: Make) -> None:
    """No repetition inside the client: the next try looks first."""
    books = make()
    books.answer_with = 503
    with pytest.raises(SourceUnavailable):
        _push(books)
    assert len(books.requests) == 1


@every
def test_a_withdrawn_record_takes_its_draft_with_it(make: Make) -> None:
    books = make()
    _push(books)
    _push(books, withdrawn())
    assert books.alive() == 0
    _push(books, withdrawn())  # once more changes nothing
    assert books.alive() == 0


@every
def test_a_lost_answer_to_a_withdrawal_is_found_out(make: Make) -> None:
    books = make()
    _push(books)
    books.lose = 1
    with pytest.raises(SourceUnavailable):
        _push(books, withdrawn())
    _push(books, withdrawn())
    assert books.alive() == 0


@every
def test_what_is_issued_is_left_to_a_person(make: Make) -> None:
    books = make()
    _push(books)
    books.issue()
    with pytest.raises(NeedsPerson) as caught:
        _push(books, withdrawn())
    assert caught.value.trouble.code == "document_issued"
    assert books.alive() == 1


@every
def test_a_push_of_what_is_issued_already_finds_it(make: Make) -> None:
    books = make()
    _push(books)
    books.issue()
    assert _push(books).found


@every
def test_check_reads_and_changes_nothing(make: Make) -> None:
    books = make()
    assert check(books.kind, books.options(), books.transport)
    assert len(books.documents) == len(make().documents)


@every
@pytest.mark.parametrize(("status", "kind"), [(401, SourceRefused), (403, SourceRefused), (500, SourceUnavailable)])
def test_errors_are_told_apart_without_secrets(make: Make, status: int, kind: type[SourceError]) -> None:
    books = make()
    books.answer_with = status
    with pytest.raises(kind) as caught:
        _push(books)
    for language in ("en", "zh-CN"):
        said = caught.value.trouble.text(language) + caught.value.trouble.advice(language)
        secrets = [books.options().get(k) for k in ("api_key", "api_secret", "password")]
        assert not [s for s in secrets if s and s in said]


@pytest.mark.parametrize("make", [OdooBooks, ErpNextBooks], ids=["odoo", "erpnext"])
def test_nobody_is_guessed(make: Make) -> None:
    books = make()
    rows = books.partners if isinstance(books, OdooBooks) else books.customers  # type: ignore[attr-defined]
    rows.append({**rows[0], "id": 8, "name": rows[0]["name"]})
    with pytest.raises(NeedsPerson, match="several") as caught:
        _push(books)
    assert caught.value.trouble.code == "customer_ambiguous"
    rows.clear()
    with pytest.raises(NeedsPerson, match="exactly the name Customer"):
        _push(books)
    assert books.documents == []
    mapped = _push(books, customers={"Customer": 7})
    assert not mapped.found


def test_the_tax_number_goes_before_the_name() -> None:
    books = OdooBooks()
    books.partners += [{"id": 9, "name": "Another name", "vat": "91330100", "parent_id": False}]
    _push(books, ready(tax_id="91330100"))
    assert books.documents[0]["partner_id"] == 9


@pytest.mark.parametrize("make", [OdooBooks, ErpNextBooks], ids=["odoo", "erpnext"])
def test_an_unmapped_tax_waits(make: Make) -> None:
    books = make()
    with pytest.raises(NeedsPerson, match="9%"):
        _push(books, ready(parts=(TaxPart("9%", 37_736, 2_264),)))
    assert books.documents == []


def test_odoo_computes_the_tax_and_another_total_is_told() -> None:
    found = _push(OdooBooks(), ready(gross=40_001, tax=2_265))
    assert (found.note, found.params["theirs"], found.params["ours"]) == ("TOTAL_DIFFERS", "400.0", "400.01")


def test_erpnext_takes_what_was_due_already() -> None:
    books = ErpNextBooks()
    _push(books, ready(due_on=date(2026, 11, 19)))
    assert "due_date" not in books.documents[0]
    _push(books, ready("C-2"))
    assert books.documents[1]["due_date"] == "2026-12-18"


def test_odoo_works_in_the_company_that_is_named() -> None:
    books = OdooBooks()
    _push(books, company=5)
    made = [body_of(r) for r in books.requests if r.url.path.endswith("/create")]
    assert made[0]["context"] == {"allowed_company_ids": [5]}
    assert books.documents[0]["company_id"] == 5


def test_an_id_that_is_no_number_is_said() -> None:
    with pytest.raises(SourceConfig, match="whole numbers"):
        _push(OdooBooks(), taxes={"6%": "VAT 6%"})


def test_a_key_that_two_documents_carry_stops() -> None:
    books = OdooBooks()
    _push(books)
    books.documents.append({**books.documents[0], "id": 2})
    with pytest.raises(NeedsPerson, match="more than one"):
        _push(books)


def test_a_cancelled_draft_is_not_made_anew() -> None:
    """A person cancelled it: that is an answer, too."""
    books = OdooBooks()
    _push(books)
    books.documents[0]["state"] = "cancel"
    assert _push(books).found
    assert len(books.documents) == 1


@pytest.mark.parametrize("make", [OdooBooks, ErpNextBooks], ids=["odoo", "erpnext"])
def test_a_field_for_the_key_that_is_absent_is_said(make: Make) -> None:
    books = make()
    with pytest.raises(SourceConfig, match="x_absent"):
        check(books.kind, books.options() | {"key_field": "x_absent"}, books.transport)


def test_a_milestone_of_another_amount_stays_blocked() -> None:
    books = SapBooks()
    books.documents[0]["BillingPlanAmount"] = "400.01"
    with pytest.raises(NeedsPerson, match=r"CNY 400\.01"):
        _push(books)
    assert books.alive() == 0
    with pytest.raises(NeedsPerson, match="C-9/T1"):
        _push(SapBooks(), ready("C-9"))


def test_a_changed_milestone_is_not_overwritten() -> None:
    """Somebody changed it between our look and our change: the entity tag tells."""
    books = SapBooks()
    inner = books.answer

    def meanwhile(request):
        if request.method == "PATCH":
            books.documents[0]["BillingBlockReason"] = "09"
        return inner(request)

    books.answer = meanwhile  # type: ignore[method-assign]
    with pytest.raises(SourceUnavailable, match="meantime"):
        _push(books)
    assert books.alive() == 0


def test_oracle_takes_our_contract_under_its_own_number() -> None:
    books = OracleBooks()
    _push(books, contracts={"C-1": "K-77#3"})
    assert (books.documents[0]["ContractNumber"], books.documents[0]["ContractLineNumber"]) == ("K-77", "3")


@pytest.mark.parametrize(("key", "value"), [("amount", "both"), ("source", "x' OR '1'='1")])
def test_oracle_refuses_what_could_bend_a_query(key: str, value: str) -> None:
    with pytest.raises(SourceConfig):
        _push(OracleBooks(), **{key: value})


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9_007_199_254_740_993_99))
def test_amounts_arrive_with_every_digit(net: int) -> None:
    """Beyond what a binary float can hold, too."""
    books = OracleBooks()
    _push(books, ready(net=net, tax=0, gross=net), amount="net")
    (sent,) = [body_of(r) for r in books.requests if r.method == "POST"]
    assert sent["BillTrnsAmount"] == Decimal(net).scaleb(-2)
