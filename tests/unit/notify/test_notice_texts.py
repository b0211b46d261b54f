"""Who is told what, and that the same news are owed once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.notice_texts import LINES_MAX, Manager, Payer, plan_notices
from models.domain.notices import NoticeKind, Role
from tests.unit.notify.notices import ALL, DAY, TOLD, entry, gone, line, moved, news, trouble


def kinds(notices) -> list[str]:
    return sorted(n.kind.value for n in notices)


def test_finance_is_told_everything_it_listens_to() -> None:
    assert kinds(plan_notices(news(), [entry()], [])) == sorted(k.value for k in TOLD)


@pytest.mark.parametrize("kind", TOLD)
def test_an_entry_hears_only_what_it_listens_to(kind: NoticeKind) -> None:
    assert kinds(plan_notices(news(), [entry(on=frozenset({kind}))], [])) == [kind.value]


def test_nothing_new_is_no_notice_but_the_digest() -> None:
    quiet = news(ready=[], withdrawn=[], exceptions=[], failed=[], moved=[])
    assert kinds(plan_notices(quiet, [entry()], [])) == ["digest"]


def test_an_operator_hears_of_a_failed_source_unasked() -> None:
    assert kinds(plan_notices(news(), [entry(Role.OPERATOR, frozenset())], [])) == ["source_failed"]
    assert plan_notices(news(), [entry(Role.FINANCE, frozenset())], []) == []


def test_finance_gets_one_notice_a_night_with_the_list() -> None:
    many = [line("HT-1", f"T{n}", gross=100) for n in range(3)] + [line("HT-2", currency="JPY", gross=5000)]
    (ready,) = plan_notices(news(ready=many), [entry(on=frozenset({"ready"}))], [])
    assert ready.payload["count"] == 4
    assert ready.payload["totals"] == ["CNY 3.00", "JPY 5,000"]
    assert ready.attachment == "ready-to-invoice.xlsx"
    assert ready.attachment.isascii()


def test_amounts_are_grouped_and_keep_their_digits() -> None:
    (ready,) = plan_notices(news(ready=[line()]), [entry(on=frozenset({"ready"}))], [])
    assert ready.payload["lines"][0]["amount"] == "CNY 1,288,888.88"


def test_long_lists_are_cut_and_say_how_much_is_missing() -> None:
    many = [line("HT-1", f"T{n}") for n in range(LINES_MAX + 12)]
    (ready,) = plan_notices(news(ready=many), [entry(on=frozenset({"ready"}))], [])
    assert (len(ready.payload["lines"]), ready.payload["more"]) == (LINES_MAX, 12)


def test_an_entry_may_be_about_some_contracts_only() -> None:
    both = news(
        ready=[line("HT-1"), line("HT-2")],
        withdrawn=[gone("HT-2")],
        exceptions=[trouble("HT-2")],
        failed=[],
        moved=[moved("HT-2")],
    )
    told = plan_notices(both, [entry(contracts=frozenset({"HT-1"}), on=ALL - {"digest"})], [])
    assert kinds(told) == ["ready"]
    assert [x["contract"] for x in told[0].payload["lines"]] == ["HT-1"]


def test_managers_are_written_to_about_their_own_contracts() -> None:
    both = news(ready=[line("HT-1"), line("HT-2"), line("HT-3")], failed=[])
    people = [Manager("HT-1", "li@example.com", "zh-CN"), Manager("HT-2", "wang@example.com", "en")]
    told = plan_notices(both, [entry(Role.PROJECT_MANAGER, frozenset({"ready"}), personal=True)], [], people)
    assert {(n.recipient, n.language, n.payload["lines"][0]["contract"]) for n in told} == {
        ("li@example.com", "zh-CN", "HT-1"),
        ("wang@example.com", "en", "HT-2"),
        ("project_manager", "en", "HT-3"),  # nobody is named: the entry's own address hears of it
    }
    assert all(n.payload["count"] == 1 and n.attachment is None for n in told)


def test_one_manager_of_two_contracts_gets_one_notice() -> None:
    people = [Manager(c, "li@example.com", "en") for c in ("HT-1", "HT-2")]
    both = news(ready=[line("HT-1"), line("HT-2")], withdrawn=[], exceptions=[], failed=[])
    told = plan_notices(both, [entry(Role.PROJECT_MANAGER, frozenset({"ready"}), personal=True)], [], people)
    assert [(n.recipient, n.payload["count"]) for n in told] == [("li@example.com", 2)]


def test_a_chat_group_of_managers_gets_one_notice_about_all() -> None:
    both = news(ready=[line("HT-1"), line("HT-2")])
    people = [Manager("HT-1", "li@example.com", "en")]
    told = plan_notices(both, [entry(Role.PROJECT_MANAGER, frozenset({"ready"}))], [], people)
    assert [(n.recipient, n.payload["count"]) for n in told] == [("project_manager", 2)]


@pytest.mark.parametrize(
    ("enabled", "entries", "draft"),
    [
        (False, [entry(Role.CUSTOMER_PAYER, personal=True)], True),
        (True, [], True),
        (True, [entry(Role.CUSTOMER_PAYER)], True),  # a chat group is not the customer
        (True, [entry(Role.CUSTOMER_PAYER, frozenset({"digest"}), personal=True)], True),
        (True, [entry(Role.CUSTOMER_PAYER, personal=True, contracts=frozenset({"HT-2"}))], True),
        (True, [entry(Role.CUSTOMER_PAYER, personal=True)], False),
    ],
)
def test_a_customer_is_written_to_only_where_contract_and_configuration_say_so(enabled, entries, draft) -> None:
    (told,) = plan_notices(news(), entries, [Payer("HT-1", "payer@customer.example", "zh-CN", enabled)])
    assert (told.role, told.recipient, told.draft) == (Role.CUSTOMER_PAYER, "payer@customer.example", draft)


def test_a_customer_learns_nothing_of_our_own_affairs() -> None:
    (told,) = plan_notices(news(), [], [Payer("HT-1", "p@customer.example", "en", enabled=True)])
    assert told.payload == {
        "contract": "HT-1",
        "name": "初验款",
        "amount": "CNY 1,288,888.88",
        "ready_on": "2026-11-20",
    }
    assert told.attachment is None


def test_an_exception_of_a_later_version_still_has_its_code() -> None:
    (told,) = plan_notices(
        news(exceptions=[trouble(code="SOMETHING_NEW", term=None)]), [entry(on=frozenset({"exception"}))], []
    )
    assert told.payload["lines"][0]["what"] == "SOMETHING_NEW"


@given(st.permutations([line("HT-1"), line("HT-1", "T2"), line("HT-2")]), st.sampled_from(["zh-CN", "en"]))
def test_the_same_news_have_the_same_keys_in_any_order(order, language) -> None:
    """A second run, or a run after a kill, plans what is in the outbox already."""
    people = [Manager("HT-1", "li@example.com", language)]
    payers = [Payer("HT-1", "p@customer.example", language, enabled=False)]
    entries = [entry(language=language), entry(Role.PROJECT_MANAGER, personal=True)]
    first = plan_notices(news(ready=[line("HT-1"), line("HT-1", "T2"), line("HT-2")]), entries, payers, people)
    again = plan_notices(news(ready=order), entries, payers, people)
    assert {n.key for n in first} == {n.key for n in again}
    assert max(Counter(n.key for n in first).values()) == 1


def test_other_news_have_other_keys() -> None:
    first = {n.key for n in plan_notices(news(), [entry()], [])}
    tomorrow = news(
        as_of=DAY + timedelta(days=1),
        ready=[line("HT-1", record_id="another")],
        withdrawn=[gone("HT-2")],
        exceptions=[trouble(opened_on=DAY + timedelta(days=1))],
    )
    assert first.isdisjoint(n.key for n in plan_notices(tomorrow, [entry()], []))
    assert first.isdisjoint(n.key for n in plan_notices(news(), [replace(entry(), name="other")], []))


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "Acceptance of 初验款 slipped 3 weeks: 515,555.55 CNY moves from June to July 2026"),
        ("zh-CN", "“初验款”验收推迟 3 周：515,555.55 CNY 从 2026 年 6 月移到 7 月"),
    ],
)
def test_a_move_of_the_forecast_is_told_once_a_day(language: str, said: str) -> None:
    to = [entry(on=frozenset({"forecast"}), language=language)]
    (first,) = plan_notices(news(), to, [])
    assert first.payload["lines"][0]["text"] == said
    (again,) = plan_notices(news(moved=[moved(), moved("HT-2")]), to, [])
    (tomorrow,) = plan_notices(news(as_of=DAY + timedelta(days=1)), to, [])
    assert first.key == again.key != tomorrow.key
