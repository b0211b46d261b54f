"""What nights owe and send: nothing before go-live, everything once after it, to the right people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from connectors.kit.sandbox.world import Fault
from connectors.store.bulk import fetch
from flows.commands import go_live, intervene, notices
from flows.steps.notify import owe_news
from flows.wiring import epoch_now
from models.domain.notice_texts import Recipient
from models.domain.notices import Role
from tests.fakes.company import CONTRACT, Company, company

CONFIG = """
[[notify]]
role = "finance"
on = ["ready", "withdrawn", "exception", "digest"]
url = "json://{where}/finance"
language = "zh-CN"
[[notify]]
role = "operator"
on = []
url = "json://{where}/operator"
[[notify]]
role = "project_manager"
on = ["ready", "withdrawn"]
url = "json://{where}/managers"
contracts = ["C-2"]
"""
CONTACTS = """
contacts:
  - {role: project_manager, name: 李雷, email: li@example.com}
  - {role: customer_payer, name: 王芳, email: payer@customer.example}
"""


class Post:
    """What came to the webhooks: (who, subject)."""

    def __init__(self) -> None:
        self.came: list[tuple[str, str]] = []
        self.down = False

    def take(self, request: Request) -> Response:
        if self.down:
            return Response("", 503)
        self.came.append((request.path.strip("/"), json.loads(request.data)["title"]))
        return Response("{}")

    def collect(self) -> list[tuple[str, str]]:
        """What came since the last time, digests apart."""
        came, self.came = [c for c in self.came if "待开票" not in c[1]], []
        return sorted(came)


@pytest.fixture
def post(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Post:
    import re

    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr("flows.steps.notify.QUICK_WAITS", ())
    made = Post()
    httpserver.expect_request(re.compile("/.*")).respond_with_handler(made.take)
    return made


@pytest.fixture
def firm(tmp_path: Path, httpserver: HTTPServer, post: Post) -> Iterator[Company]:
    del post
    with company(tmp_path, more=CONFIG.format(where=f"{httpserver.host}:{httpserver.port}")) as it:
        yield it


def live(firm: Company) -> None:
    assert go_live(firm.folder / "huikuan.toml", "en") == 0


def done(firm: Company, title: str, day: date) -> None:
    firm.world.move(firm.world.find(title), "已完成", firm.at(day), "Li")


def contract(firm: Company, number: str, more: str = CONTACTS, term: str = "T1, amount: 40%") -> None:
    body = CONTRACT.format(number=number, connection="rd", project="RD", first="M1", second="M2")
    firm.contract(number, text=body.replace("T1, amount: 40%", term) + more)


def owed(firm: Company) -> list[tuple]:
    with firm.store.read() as connection:
        return fetch(connection, "SELECT kind, role, recipient, draft FROM outbox ORDER BY kind, role")


READY = "1 期款项可开票：CNY 400.00"


def test_nothing_is_owed_before_go_live_nor_for_what_was_ready_then(firm: Company, post: Post) -> None:
    contract(firm, "C-1")
    done(firm, "M1", date(2026, 11, 10))
    firm.night(day=date(2026, 11, 11))
    assert owed(firm) == []
    live(firm)
    firm.night(day=date(2026, 11, 12))
    assert post.collect() == []
    done(firm, "M2", date(2026, 11, 12))
    firm.night(day=date(2026, 11, 13))
    assert post.collect() == [("finance", "1 期款项可开票：CNY 600.00")]


def test_each_record_is_told_once_and_a_second_run_tells_nothing(firm: Company, post: Post) -> None:
    contract(firm, "C-1")
    contract(firm, "C-2")
    live(firm)
    done(firm, "M1", date(2026, 11, 10))
    first = firm.night(day=date(2026, 11, 11))
    assert first.notices["sent"] == 3
    assert post.collect() == [
        ("finance", "2 期款项可开票：CNY 800.00"),
        ("managers", "1 payment term is ready to invoice: CNY 400.00"),
    ]
    again = firm.night(day=date(2026, 11, 11))
    assert again.notices["sent"] == 0
    assert post.came == []
    firm.world.move(firm.world.find("M1"), "进行中", firm.at(date(2026, 11, 12)), "Zhao")
    firm.night(day=date(2026, 11, 13))
    assert [w for w, _ in post.collect()] == ["finance", "managers"]


def test_a_customer_is_drafted_until_everything_is_switched_on(firm: Company, post: Post) -> None:
    contract(firm, "C-1", CONTACTS + "notify_customer: true\n")
    live(firm)
    done(firm, "M1", date(2026, 11, 10))
    outcome = firm.night(day=date(2026, 11, 11))
    assert ("ready", "customer_payer", "payer@customer.example", 1) in [(k, r, w, int(d)) for k, r, w, d in owed(firm)]
    assert outcome.notices["drafts"] == 1
    assert post.collect() == [("finance", READY)]


def test_a_record_that_waits_for_approval_is_told_when_it_is_approved(firm: Company, post: Post) -> None:
    contract(firm, "C-1", term="T1, approval: required, amount: 40%")
    live(firm)
    done(firm, "M1", date(2026, 11, 10))
    firm.night(day=date(2026, 11, 11))
    assert post.collect() == []
    assert intervene(firm.folder / "huikuan.toml", "approve", "C-1/T1", "Han", "checked", "en") == 0
    firm.night(day=date(2027, 11, 12))
    assert post.collect() == [("finance", READY)]
    firm.night(day=date(2027, 11, 13))
    assert post.collect() == []


def test_a_record_withdrawn_before_anybody_was_told_is_not_called_back(firm: Company, post: Post) -> None:
    contract(firm, "C-1", term="T1, approval: required, amount: 40%")
    live(firm)
    done(firm, "M1", date(2026, 11, 10))
    firm.night(day=date(2026, 11, 11))
    firm.world.move(firm.world.find("M1"), "进行中", firm.at(date(2026, 11, 12)), "Zhao")
    assert firm.night(day=date(2026, 11, 13)).posted.withdrawn == 1
    assert post.collect() == []


def test_a_failed_source_is_told_to_the_operator_once_a_day(firm: Company, post: Post) -> None:
    contract(firm, "C-1")
    live(firm)
    firm.world.faults.append(Fault("/v1/", "status", times=1000, status=403))
    firm.night(day=date(2026, 11, 11))
    firm.night(day=date(2026, 11, 11))
    told = [c for c in post.collect() if c[0] == "operator"]
    assert told == [("operator", "A source could not be read: rd")]


def test_a_run_killed_between_posting_and_owing_owes_the_next_time(firm: Company, post: Post) -> None:
    contract(firm, "C-1")
    live(firm)
    done(firm, "M1", date(2026, 11, 10))

    async def killed(report) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        firm.night(day=date(2026, 11, 11), notify=killed)
    assert owed(firm) == []
    firm.night(day=date(2026, 11, 11))
    assert ("finance", READY) in post.collect()


def test_a_run_killed_while_owing_owes_all_or_nothing(firm: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    contract(firm, "C-1")
    live(firm)
    done(firm, "M1", date(2026, 11, 10))
    reports = []

    async def keep(report) -> dict[str, int]:
        reports.append(report)
        return {}

    firm.night(day=date(2026, 11, 11), notify=keep)
    recipients = [Recipient("finance-1", Role.FINANCE, frozenset({"ready"}), "en")]

    def broken(*_args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("flows.steps.notify._remember", broken)
        with pytest.raises(KeyboardInterrupt):
            owe_news(firm.store, reports[0], recipients, epoch_now())
    assert owed(firm) == []
    assert owe_news(firm.store, reports[0], recipients, epoch_now()) == 2  # finance, and the customer's draft
    assert owe_news(firm.store, reports[0], recipients, epoch_now()) == 0


def test_a_webhook_that_is_down_costs_nothing_but_time(firm: Company, post: Post) -> None:
    contract(firm, "C-1")
    live(firm)
    done(firm, "M1", date(2026, 11, 10))
    post.down = True
    outcome = firm.night(day=date(2026, 11, 11))
    assert (outcome.state, outcome.posted.records, outcome.notices["failed"]) == ("done", 1, 2)
    assert firm.records() == [("C-1", "T1", 1, "ready")]


def test_dead_letters_are_shown_first_and_retried(
    firm: Company, post: Post, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    contract(firm, "C-1")
    live(firm)
    done(firm, "M1", date(2026, 11, 10))
    post.down = True
    monkeypatch.setattr("flows.steps.notify.ATTEMPTS_MAX", 1)
    outcome = firm.night(day=date(2026, 11, 11))
    assert (outcome.notices["dead"], outcome.exit_code) == (2, 1)
    config = firm.folder / "huikuan.toml"
    capsys.readouterr()
    assert notices(config, as_json=True, language="en") == 1
    shown = json.loads(capsys.readouterr().out)
    assert [(e["state"], e["error"]) for e in shown[:2]] == [("dead", "the channel answered HTTP 503")] * 2
    post.down = False
    assert notices(config, as_json=False, language="en", retry=True) == 0
    firm.night(day=date(2026, 11, 11))
    assert post.collect() == [("finance", READY)]
