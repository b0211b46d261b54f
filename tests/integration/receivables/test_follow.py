"""After the invoice: ageing, reminders once each, promises kept and broken, plans, guarantees - by night and by command."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.night import NightOutcome
from flows.steps.evaluation.columns import day_number
from flows.steps.receivables.reminders import reminders
from flows.steps.receivables.standing import open_terms
from tests.integration.receivables.conftest import Desk
from tests.integration.receivables.test_imports import BILLED, CAMT, NTRY

#: T1 of C-1: 400.00, received 19 November 2026, due 10 days later: Sunday 29 November, so Monday 30 November.
DUE = date(2026, 11, 30)


@pytest.fixture
def owing(desk: Desk) -> Desk:
    """The first term is invoiced, and notices are live."""
    desk.invoices(BILLED)
    desk.firm.night()
    command(desk, "go-live")
    return desk


def codes(outcome: NightOutcome) -> list[str]:
    """What a night found, but for the forecast, which moves with every promise and payment."""
    return [f.code for f in outcome.report.findings if f.code != "FORECAST_MOVED"]


def command(desk: Desk, *arguments: str, code: int = 0) -> str:
    """A command of the company's bookkeeper; its output."""
    done = CliRunner().invoke(app, [*arguments, "--config", str(desk.folder / "huikuan.toml")])
    assert done.exit_code == code, done.output
    return done.stdout


def _config(desk: Desk) -> list[str]:
    return ["--config", str(desk.folder / "huikuan.toml")]


def as_json(desk: Desk, *arguments: str, code: int = 0):
    return json.loads(command(desk, *arguments, "--json", code=code))


def later(days: int) -> date:
    return DUE + timedelta(days=days)


def drafts(desk: Desk) -> list[tuple[object, ...]]:
    return desk.rows("SELECT level, day, gross FROM reminders WHERE kind = 'reminder' ORDER BY id")


def owed(desk: Desk, day: date) -> list[tuple[str, int, int]]:
    with desk.firm.store.read() as connection:
        return [(r.which, r.level, r.asked) for r in reminders(connection, day)]


def test_ageing_by_command(owing: Desk) -> None:
    assert as_json(owing, "ageing", "--as-of", "2026-11-25") == [
        {"customer": "Customer", "currency": "CNY", "bucket": "not_due", "open": "400.00", "terms": 1}
    ]
    assert as_json(owing, "ageing", "--by", "contract", "--as-of", later(31).isoformat())[0] == {
        "contract": "C-1", "currency": "CNY", "bucket": "31-60", "open": "400.00", "terms": 1,
    }  # fmt: skip
    assert "400.00" in command(owing, "ageing", "--by", "manager")
    command(owing, "ageing", "--by", "weather", code=2)


def test_each_level_is_reminded_of_once_and_a_part_paid_term_stays_in(owing: Desk) -> None:
    for day in (0, 1, 2, 14, 15):
        owing.firm.night(day=later(day))
    assert drafts(owing) == [(1, day_number(later(1)), 40000), (2, day_number(later(15)), 40000)]
    owing.payments("date,amount,currency,contract,term\n2026-12-15,150.00,CNY,C-1,T1\n", today=later(16))
    owing.firm.night(day=later(30))
    assert drafts(owing)[-1] == (3, day_number(later(30)), 25000)
    owing.payments("date,amount,currency,contract,term\n2026-12-31,250.00,CNY,C-1,T1\n", today=later(31))
    owing.firm.night(day=later(61))
    assert len(drafts(owing)) == 3


def test_before_go_live_nothing_is_drafted(desk: Desk) -> None:
    desk.invoices(BILLED)
    desk.firm.night(day=later(20))
    assert drafts(desk) == []


def test_a_dry_run_drafts_nothing(owing: Desk) -> None:
    owing.firm.night(day=later(1), dry_run=True)
    assert drafts(owing) == []


def test_the_reminder_as_a_draft(owing: Desk) -> None:
    (one,) = as_json(owing, "remind", "--as-of", later(16).isoformat(), code=1)
    assert (one["level"], one["asked"], one["due_on"], one["days"]) == (2, "400.00", DUE.isoformat(), 16)
    assert "CNY 400.00" in one["text"]
    assert "16" in one["text"]
    command(
        owing,
        "remind",
        "C-1/T1",
        "--log",
        "reason",
        "--code",
        "process",
        "--by",
        "Wang",
        "--as-of",
        later(1).isoformat(),
    )
    (one,) = as_json(owing, "remind", "--as-of", later(16).isoformat(), code=1)
    assert (one["reason"], one["action"]) == ("process", "note_not_a_lawful_reason")
    command(owing, "remind", "C-1/T1", "--log", "reason", "--code", "weather", "--by", "Wang", code=2)
    command(owing, "remind", "C-1/T9", "--log", "dispute", "--by", "Wang", code=2)
    command(owing, "remind", "C-1/T1", "--log", "gossip", "--by", "Wang", code=2)


def test_a_promise_pauses_and_its_breach_is_noticed_the_next_night(owing: Desk) -> None:
    command(owing, "promise", "C-1/T1", later(20).isoformat(), "400.00", "--by", "Wang", "--day", later(5).isoformat())
    command(owing, "promise", "C-1/T1", later(20).isoformat(), "400.00", "--by", "Wang", "--day", later(5).isoformat())
    assert len(owing.rows("SELECT 1 FROM agreements")) == 1
    assert owed(owing, later(4)) == [("C-1/T1", 1, 40000)]
    assert owed(owing, later(20)) == []
    assert as_json(owing, "promise", "--as-of", later(20).isoformat())[0]["state"] == "open"
    quiet = owing.firm.night(day=later(20))
    assert codes(quiet) == []
    broken = owing.firm.night(day=later(21))
    assert codes(broken) == ["PROMISE_BROKEN"]
    assert owed(owing, later(22)) == []  # the night before drafted level 2
    assert drafts(owing) == [(2, day_number(later(21)), 40000)]
    owing.payments("date,amount,currency,contract,term\n2026-12-22,400.00,CNY,C-1,T1\n", today=later(23))
    assert codes(owing.firm.night(day=later(23))) == []
    command(owing, "promise", "C-1/T1", "2026-01-01", "400.00", "--by", "Wang", code=2)


def test_what_came_of_a_broken_promise_and_what_is_missing(owing: Desk) -> None:
    command(owing, "promise", "C-1/T1", later(20).isoformat(), "400.00", "--by", "Wang", "--day", later(5).isoformat())
    owing.payments("date,amount,currency,contract,term\n2026-12-10,150.00,CNY,C-1,T1\n", today=later(11))
    (broken,) = [f for f in owing.firm.night(day=later(21)).report.findings if f.code == "PROMISE_BROKEN"]
    assert (broken.params["came"], broken.params["missing"]) == ("CNY 150.00", "CNY 250.00")
    assert "CNY 250.00" in broken.text("zh-CN")


def test_no_more_is_promised_than_is_open(owing: Desk) -> None:
    over = ["promise", "C-1/T1", later(20).isoformat(), "64,444.44", "--by", "Wang", "--day", later(5).isoformat()]
    said = CliRunner().invoke(app, [*over, *_config(owing)])
    assert (said.exit_code, "64444.44" in said.output, "400.00" in said.output) == (2, True, True)
    odd = CliRunner().invoke(app, [*over[:3], "viel", *over[4:], *_config(owing)])
    assert (odd.exit_code, "1288888.88" in odd.output) == (2, True)  # of the catalogue, which has both languages
    # What came since it was made is part of what was promised.
    owing.payments("date,amount,currency,contract,term\n2026-12-10,150.00,CNY,C-1,T1\n", today=later(11))
    command(owing, *over[:3], "400.00", *over[4:])
    command(owing, *over[:3], "250.01", "--by", "Wang", "--day", later(12).isoformat(), code=2)


def test_a_kept_promise_is_kept(owing: Desk) -> None:
    command(owing, "promise", "C-1/T1", later(20).isoformat(), "100.00", "--by", "Wang", "--day", later(5).isoformat())
    owing.payments("date,amount,currency,contract,term\n2026-12-10,100.00,CNY,C-1,T1\n", today=later(11))
    assert as_json(owing, "promise", "--as-of", later(21).isoformat())[0]["state"] == "kept"


def test_a_dispute_stops_its_part_until_it_is_settled(owing: Desk) -> None:
    at = ["--by", "Wang", "--day"]
    command(owing, "remind", "C-1/T1", "--log", "dispute", "--amount", "150.00", *at, later(2).isoformat())
    assert owed(owing, later(3)) == [("C-1/T1", 1, 25000)]
    command(owing, "remind", "C-1/T1", "--log", "dispute", *at, later(3).isoformat())
    assert owed(owing, later(4)) == []
    command(owing, "remind", "C-1/T1", "--log", "settled", *at, later(5).isoformat())
    assert owed(owing, later(6)) == [("C-1/T1", 1, 40000)]


def test_a_hold_stops_reminders(owing: Desk) -> None:
    command(owing, "hold", "C-1/T1", "--by", "Wang", "--reason", "talks")
    far = date(2100, 1, 1)
    assert owed(owing, far) == []
    command(owing, "release", "C-1/T1", "--by", "Wang")
    assert len(owed(owing, far)) == 1


def test_a_bill_in_hand_is_not_dunned(owing: Desk) -> None:
    owing.payments(
        "date,amount,currency,contract,term,method,maturity\n2026-11-20,400.00,CNY,C-1,T1,银行承兑汇票,2027-05-20\n"
    )
    owing.firm.night(day=later(5))
    assert owed(owing, later(5)) == []
    assert as_json(owing, "ageing", "--as-of", later(5).isoformat())[0]["open"] == "400.00"


def test_an_extension_moves_what_is_due_and_not_the_history(owing: Desk) -> None:
    before = owing.everything()
    command(owing, "plan", "C-1/T1", "--until", later(60).isoformat(), "--by", "Wang", "--day", later(3).isoformat())
    assert owed(owing, later(2)) == [("C-1/T1", 1, 40000)]
    assert owed(owing, later(60)) == []
    assert owed(owing, later(61)) == [("C-1/T1", 1, 40000)]
    assert owing.everything() == before


def test_a_plan_splits_what_is_open(owing: Desk) -> None:
    parts = [f"{later(30).isoformat()}=100.00", f"{later(60).isoformat()}=300.00"]
    command(owing, "plan", "C-1/T1", *parts, "--by", "Wang", "--day", later(3).isoformat())
    with owing.firm.store.read() as connection:
        terms = open_terms(connection, day_number(later(40)))
    assert list(zip(terms.due.tolist(), terms.open.tolist(), strict=True)) == [
        (day_number(later(30)), 10000), (day_number(later(60)), 30000),
    ]  # fmt: skip
    rows = as_json(owing, "ageing", "--as-of", later(40).isoformat())
    assert {r["bucket"]: r["open"] for r in rows} == {"1-30": "100.00", "not_due": "300.00"}
    command(owing, "plan", "C-1/T1", "2027-01-01=400.01", "--by", "Wang", code=2)
    less = CliRunner().invoke(app, ["plan", "C-1/T1", "2027-01-01=1,00.00", "--by", "Wang", *_config(owing)])
    assert (less.exit_code, "1,00.00" in less.output) == (2, True)
    less = CliRunner().invoke(app, ["plan", "C-1/T1", "2027-01-01=399.99", "--by", "Wang", *_config(owing)])
    assert (less.exit_code, "CNY 399.99" in less.output, "CNY 400.00" in less.output) == (2, True, True)
    command(owing, "plan", "C-1/T1", "--by", "Wang", code=2)
    command(owing, "plan", "C-1/T1", "2027-01-01", "--by", "Wang", code=2)


def test_a_broken_plan_with_a_default_clause_is_due_at_once(owing: Desk) -> None:
    parts = [f"{later(30).isoformat()}=100.00", f"{later(60).isoformat()}=300.00"]
    command(owing, "plan", "C-1/T1", *parts, "--by", "Wang", "--default-clause", "--day", later(3).isoformat())
    with owing.firm.store.read() as connection:
        assert set(open_terms(connection, day_number(later(30))).due.tolist()) == {
            day_number(later(30)),
            day_number(later(60)),
        }
        assert set(open_terms(connection, day_number(later(31))).due.tolist()) == {day_number(later(30))}


def test_guarantees_by_command_and_by_night(owing: Desk) -> None:
    new = [
        "--kind",
        "performance",
        "--amount",
        "50.00",
        "--issued",
        "2026-11-01",
        "--expires",
        "2027-01-15",
        "--obligation",
        "2027-06-30",
    ]
    command(owing, "guarantees", "C-1", "G-1", *new, "--issuer", "Bank", "--original-at", "safe 2")
    command(owing, "guarantees", "C-1", "G-1", *new, "--issuer", "Bank", "--original-at", "safe 2")
    (one,) = as_json(owing, "guarantees", "--as-of", "2026-11-25", code=1)
    assert (one["amount"], one["state"], one["days_left"], one["original_at"]) == ("50.00", "in_force", 51, "safe 2")
    assert codes(owing.firm.night(day=date(2026, 11, 25))) == ["GUARANTEE_ENDS_EARLY", "GUARANTEE_EXPIRES"]
    command(owing, "guarantees", "C-1", "G-1", *new, "--issuer", "Another bank", code=2)
    command(owing, "guarantees", "C-1", "G-1", "--extended", "2027-07-31", "--by", "Wang", "--day", "2026-11-26")
    command(owing, "guarantees", "C-1", "G-1", "--reduced", "20.00", "--by", "Wang", "--day", "2026-11-26")
    (one,) = as_json(owing, "guarantees", "--as-of", "2026-11-27")
    assert (one["amount"], one["expires"]) == ("30.00", "2027-07-31")
    command(owing, "guarantees", "C-1", "G-1", "--returned", "2026-11-28", "--by", "Wang")
    assert as_json(owing, "guarantees", "--as-of", "2026-11-28")[0]["state"] == "returned"
    command(owing, "guarantees", "C-1", "G-9", "--returned", "2026-11-28", "--by", "Wang", code=2)
    command(owing, "guarantees", "C-9", "G-1", *new, code=2)
    command(owing, "guarantees", "C-1", "G-3", "--kind", "wish", code=2)


def test_a_guarantee_of_the_contract_file_is_in_the_register(owing: Desk) -> None:
    """The file says what and until when; an entry under the same id says where the paper lies."""
    text = (owing.folder / "contracts" / "C-1.yaml").read_text(encoding="utf-8")
    paper = 'guarantees: [{id: G-F, kind: performance, amount: "64.44", issued: 2026-02-12, expires: 2027-01-15}, {id: G-O, kind: 履约, amount: "1.00"}]'
    owing.firm.contract("C-1", text=f"{text}\n{paper}\n")
    assert codes(owing.firm.night(day=date(2026, 11, 25))) == ["GUARANTEE_EXPIRES"]
    (one, other) = as_json(owing, "guarantees", "--as-of", "2026-11-25", code=1)
    assert (one["id"], one["kind"], one["amount"], one["state"], one["days_left"]) == ("G-F", "performance", "64.44", "in_force", 51)  # fmt: skip
    assert (other["id"], other["kind"], other["state"], other["issued"]) == ("G-O", "other", "pending", None)
    new = ["--kind", "performance", "--amount", "64.44", "--issued", "2026-02-12"]
    command(owing, "guarantees", "C-1", "G-F", *new, "--amount", "60.00", code=2)
    command(owing, "guarantees", "C-1", "G-F", *new, "--original-at", "safe 2", "--obligation", "2027-06-30")
    (one, _) = as_json(owing, "guarantees", "--as-of", "2026-11-25", code=1)
    assert (one["expires"], one["original_at"], one["obligation_ends"]) == ("2027-01-15", "safe 2", "2027-06-30")
    assert codes(owing.firm.night(day=date(2026, 11, 26))) == ["GUARANTEE_ENDS_EARLY", "GUARANTEE_EXPIRES"]
    command(owing, "guarantees", "C-1", "G-F", "--returned", "2026-11-28", "--by", "Wang")
    assert codes(owing.firm.night(day=date(2026, 11, 29))) == []


def test_what_happened_to_a_guarantee_that_only_the_file_names(owing: Desk) -> None:
    text = (owing.folder / "contracts" / "C-1.yaml").read_text(encoding="utf-8")
    owing.firm.contract(
        "C-1", text=text + '\nguarantees: [{id: G-F, amount: "9.00", issued: 2026-02-12}, {id: G-O, amount: "1.00"}]\n'
    )
    owing.firm.night(day=date(2026, 11, 25))
    command(owing, "guarantees", "C-1", "G-F", "--reduced", "2.00", "--by", "Wang", "--day", "2026-11-26")
    assert [g["amount"] for g in as_json(owing, "guarantees", "--as-of", "2026-11-26")] == ["7.00", "1.00"]
    command(owing, "guarantees", "C-1", "G-O", "--returned", "2026-11-26", "--by", "Wang", code=2)


def test_a_deposit_is_called_one(owing: Desk) -> None:
    new = ["--kind", "performance", "--form", "cash", "--amount", "9.00", "--issued", "2026-11-01", "--expires", "2026-12-01"]  # fmt: skip
    command(owing, "guarantees", "C-1", "D-1", *new)
    told = [f for f in owing.firm.night(day=date(2026, 11, 24)).report.findings if f.code == "GUARANTEE_EXPIRES"]
    assert [f.text("zh-CN") for f in told] == [
        "合同 C-1 的保证金 D-1（CNY 9.00）将于 2026-12-01 到期，还有 7 天。请办理延期或退还。"
    ]
    assert "Deposit D-1" in told[0].text("en")
    assert "deposit" in command(owing, "guarantees", "--as-of", "2026-11-24", code=1).partition("GUARANTEE_EXPIRES")[0]


def test_a_deposit_that_should_be_back(owing: Desk) -> None:
    new = [
        "--kind",
        "bid",
        "--form",
        "cash",
        "--amount",
        "9.00",
        "--issued",
        "2026-11-01",
        "--return-due",
        "2026-11-24",
    ]
    command(owing, "guarantees", "C-1", "D-1", *new)
    assert codes(owing.firm.night(day=date(2026, 11, 24))) == ["GUARANTEE_RETURN_DUE"]


def test_imports_by_command(desk: Desk) -> None:
    desk.file("i.csv", BILLED)
    assert as_json(desk, "import", "invoices", str(desk.folder / "i.csv"), "--as-of", "2026-11-20") == {
        "rows": 1,
        "new": 1,
        "findings": [],
    }
    desk.file("p.csv", "date,amount,currency,payer\n2026-11-20,400.00,CNY,Customer\n")
    found = as_json(desk, "import", "payments", str(desk.folder / "p.csv"), "--as-of", "2026-11-20", code=1)
    assert (found["new"], found["booked"], len(found["waiting"])) == (1, 0, 1)
    line = str(found["waiting"][0]["line"])
    assert found["waiting"][0]["proposals"][0]["allocations"][0]["which"] == "C-1/T1"
    assert "C-1/T1" in command(desk, "allocate", code=1).replace("\n", "")
    command(desk, "allocate", line, "C-1/T2", "--by", "Wang", code=2)
    command(desk, "allocate", line, "C-1/T1", "--amount", "a lot", "--by", "Wang", code=2)
    command(desk, "allocate", line, "C-1/T1", "--by", "Wang")
    assert as_json(desk, "allocate") == []
    command(desk, "import", "payments", str(desk.folder / "nothing.csv"), code=2)


def test_what_an_import_says_asks_for_a_person(owing: Desk) -> None:
    """Exit code 1: done, and something waits."""
    early = owing.file("early.csv", "contract,term,number,issued,amount\nC-1,T2,A1,2026-11-19,600.00\n")
    command(owing, "import", "invoices", str(early), "--as-of", "2026-11-20", code=1)
    command(owing, "import", "invoices", str(early), "--as-of", "2026-11-20", code=0)
    body = NTRY.format(amount="400.00", mark="DBIT", status="BOOK", ref="B9", details="")
    back = CAMT.format(entries=body.replace("<Sts>", "<RvslInd>true</RvslInd><Sts>"))
    command(owing, "import", "payments", str(owing.file("s.xml", back)), "--as-of", "2026-11-20", code=1)
