"""Reminders by class and tone, what pauses them, and sending them to customers: only where switched on, and once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from connectors.notify.errors import NotSent
from connectors.store.bulk import fetch
from flows.cli import app
from flows.steps.evaluation.columns import day_number
from flows.steps.notify import drain
from flows.steps.receivables.agreements import Touch, add_promise, add_touch, find_term
from flows.steps.receivables.reminders import Reminder, ReminderRules, paused, reminders
from models.domain.notices import Notice
from models.domain.receivables.agreements import Promise
from models.domain.receivables.dunning import Ladders, Step, Tone
from tests.fakes.company import CONTRACT, company
from tests.integration.receivables.conftest import Desk
from tests.integration.receivables.test_imports import BILLED

#: T1 of C-1: 400.00, due Monday 30 November 2026.
DUE = date(2026, 11, 30)
PAYER = (
    "contacts:\n  - {{role: customer_payer, name: Chen, email: chen@customer.example, language: {language}{tone}}}\n"
)
SEND = ReminderRules({}, (None,))


def later(days: int) -> date:
    return DUE + timedelta(days=days)


def text(more: str = "", *, language: str = "en", tone: str = "") -> str:
    plain = CONTRACT.format(number="C-1", connection="rd", project="RD", first="M1", second="M2")
    return plain.replace("\nterms:", "\n" + PAYER.format(language=language, tone=tone) + more + "terms:")


@dataclass
class Mailbox:
    """A channel that keeps what it was given; `down` makes it fail."""

    down: bool = False
    sent: list[tuple[str, Notice]] = field(default_factory=list)

    def send(self, notice: Notice, folder: Path, to: str | None = None) -> None:
        if self.down:
            raise NotSent("down")
        self.sent.append((str(to), notice))


@contextmanager
def billed(folder: Path, contract: str, url: str = "sqlite:///huikuan.db") -> Iterator[Desk]:
    """C-1/T1 invoiced, notices live."""
    with company(folder, url) as firm:
        firm.contract("C-1", text=contract)
        firm.world.move(firm.world.find("M1"), "已完成", firm.at(date(2026, 11, 18)), "Li")
        firm.night()
        desk = Desk(firm, folder, count(1))
        desk.invoices(BILLED)
        firm.night()
        with firm.store.begin() as connection:
            connection.execute(sa.text("INSERT INTO settings (key, value) VALUES ('go_live', '1')"))
        yield desk


def night(desk: Desk, day: date, rules: ReminderRules = SEND, box: Mailbox | None = None):
    """A night whose only channel to customers is a mailbox."""

    async def notify(_report):
        if box is None:
            return {}
        moment = day_number(day) * 86400 + 20_000
        found = drain(desk.firm.store, {"role:customer_payer": box}, desk.folder, lambda: moment, pause=lambda _s: None)
        return found.counts()

    return desk.firm.night(day=day, reminders=rules, notify=notify)


def owed(desk: Desk, day: date, ladders: Ladders | None = None) -> list[Reminder]:
    with desk.firm.store.read() as connection:
        return reminders(connection, day, ladders or {})


def touch(desk: Desk, kind: str, day: date, **more: object) -> None:
    with desk.firm.store.begin() as connection:
        add_touch(connection, find_term(connection, "C-1/T1"), Touch(kind, day, "phone", "Wang", **more), desk.now())


def touched(desk: Desk) -> list[tuple[object, ...]]:
    return desk.rows("SELECT channel, level, proof FROM reminders WHERE kind = 'reminder' ORDER BY id")


LADDERS: Ladders = {
    "default": (Step(1, -7, Tone.FRIENDLY), Step(2, 0), Step(3, 20, Tone.FORMAL)),
    "public": (Step(1, 10),),
}


def test_the_ladder_of_the_class_and_the_contracts_own_before_it(tmp_path: Path) -> None:
    with billed(tmp_path, text()) as desk:
        assert [(r.level, r.tone) for r in owed(desk, later(-7), LADDERS)] == [(1, "friendly")]
        assert [(r.level, r.tone) for r in owed(desk, later(0), LADDERS)] == [(2, None)]
        assert "is due today" in owed(desk, later(0), LADDERS)[0].text()
        assert [(r.level, r.tone) for r in owed(desk, later(20), LADDERS)] == [(3, "formal")]
        desk.firm.contract("C-1", text=text("customer_class: public\n"))
        desk.firm.night(day=date(2026, 11, 21))
        assert owed(desk, later(9), LADDERS) == []
        assert [r.level for r in owed(desk, later(10), LADDERS)] == [1]
        desk.firm.contract(
            "C-1", text=text("customer_class: public\nladder: [{level: 1, from_day: 3, tone: formal}]\n")
        )
        desk.firm.night(day=date(2026, 11, 22))
        assert [(r.level, r.tone) for r in owed(desk, later(3), LADDERS)] == [(1, "formal")]


def test_a_class_without_a_ladder_is_told(tmp_path: Path) -> None:
    with billed(tmp_path, text("customer_class: pubic\n")) as desk:
        found = night(desk, later(-5), ReminderRules(LADDERS)).report.findings
        assert [(f.code, f.params["found"]) for f in found] == [("LADDER_CLASS_UNKNOWN", "pubic")]
        assert "public" in found[0].text("zh-CN")
        checked = CliRunner().invoke(app, ["check", "--json", "--config", str(tmp_path / "huikuan.toml")])
        assert "LADDER_CLASS_UNKNOWN" in [f["code"] for f in json.loads(checked.stdout)["findings"]]


def test_the_contact_is_spoken_to_in_its_own_tone_until_a_demand(tmp_path: Path) -> None:
    with billed(tmp_path, text(tone=", tone: friendly")) as desk:
        assert "slipped through" in owed(desk, later(1))[0].text()
        assert "we have not seen" in owed(desk, later(60))[0].text()  # nobody asked before
        touch(desk, "reminder", later(2))
        assert "Demand for payment" in owed(desk, later(60))[0].text()
        assert owed(desk, later(60))[0].tone == "formal"


def test_an_open_credit_note_stops_its_part_until_it_came(tmp_path: Path) -> None:
    with billed(tmp_path, text()) as desk:
        touch(desk, "credit_note", later(2), gross=150_00)
        assert [r.asked for r in owed(desk, later(3))] == [250_00]
        touch(desk, "credit_note", later(4))
        assert owed(desk, later(5)) == []
        red = "contract,term,invoice_no,invoice_date,invoice_received,invoiced_amount,red_of\n"
        number = desk.rows("SELECT number FROM invoices")[0][0]
        desk.invoices(red + f"C-1,T1,RED-1,{later(6)},{later(6)},150.00,{number}\n", today=later(7))
        desk.firm.night(day=later(7), reminders=ReminderRules())
        assert desk.rows("SELECT level, gross FROM reminders WHERE kind = 'reminder'") == [(1, 250_00)]
        assert [r.asked for r in owed(desk, later(16))] == [250_00]


def test_what_is_paused_says_why(tmp_path: Path) -> None:
    with billed(tmp_path, text()) as desk:
        touch(desk, "credit_note", later(2), gross=150_00)
        promised(desk)
        config = ["--config", str(tmp_path / "huikuan.toml"), "--as-of", later(3).isoformat()]
        shown = CliRunner().invoke(app, ["remind", "--paused", "--json", *config])
        (one,) = json.loads(shown.stdout)
        assert (one["open"], one["asked"]) == ("400.00", "0.00")
        assert one["pauses"] == [
            {"kind": "promise", "until": later(20).isoformat()},
            {"kind": "credit_note", "until": None},
        ]
        assert later(20).isoformat() in CliRunner().invoke(app, ["remind", "--paused", *config]).stdout.replace(
            "\n", ""
        )
        with desk.firm.store.read() as connection:
            assert [p.asked for p in paused(connection, later(21))] == [250_00]


def test_a_reminder_noted_by_hand_counts_for_its_day(tmp_path: Path) -> None:
    with billed(tmp_path, text()) as desk:
        touch(desk, "reminder", later(2))
        assert owed(desk, later(14)) == []
        assert [r.level for r in owed(desk, later(15))] == [2]


def test_nothing_is_sent_unless_the_contract_says_so(tmp_path: Path) -> None:
    with billed(tmp_path, text()) as desk:
        box = Mailbox()
        night(desk, later(1), box=box)
        assert box.sent == []
        assert [t[:2] for t in touched(desk)] == [("draft", 1)]


def test_a_reminder_is_sent_once_and_logged_with_its_proof(tmp_path: Path) -> None:
    with billed(tmp_path, text("reminders: send\n")) as desk:
        box = Mailbox()
        for day in (0, 1, 1, 2, 3):
            night(desk, later(day), box=box)
        ((to, notice),) = box.sent
        assert to == "chen@customer.example"
        assert "CNY 400.00" in str(notice.payload["text"])
        queued, sent = touched(desk)
        assert queued[:2] == ("outbox", 1)
        assert sent[:2] == ("mail", 1)
        assert notice.key in str(sent[2])
        assert to in str(sent[2])
        night(desk, later(15), box=box)
        assert [n.payload["level"] for _, n in box.sent] == [1, 2]


@pytest.mark.parametrize("rules", [ReminderRules(), ReminderRules({}, (frozenset({"C-9"}),))])
def test_without_a_way_out_it_stays_a_draft_and_says_so(tmp_path: Path, rules: ReminderRules) -> None:
    with billed(tmp_path, text("reminders: send\n")) as desk:
        found = night(desk, later(1), rules, Mailbox()).report.findings
        assert [f.code for f in found if f.code != "FORECAST_MOVED"] == ["REMINDER_NOT_SENT"]
        assert "customer_payer" in found[0].text("en")
        assert [t[0] for t in touched(desk)] == ["draft"]
        assert desk.rows("SELECT 1 FROM outbox WHERE kind = 'reminder'") == []


def test_before_go_live_nothing_is_owed(tmp_path: Path) -> None:
    with billed(tmp_path, text("reminders: send\n")) as desk:
        with desk.firm.store.begin() as connection:
            connection.execute(sa.text("DELETE FROM settings WHERE key = 'go_live'"))
        box = Mailbox()
        night(desk, later(1), box=box)
        assert (box.sent, touched(desk)) == ([], [])


def test_killed_before_the_channel_it_goes_out_the_next_night_once(tmp_path: Path) -> None:
    with billed(tmp_path, text("reminders: send\n")) as desk:

        async def killed(_report):
            raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            desk.firm.night(day=later(1), reminders=SEND, notify=killed)
        box = Mailbox()
        night(desk, later(2), box=box)
        night(desk, later(3), box=box)
        assert len(box.sent) == 1
        assert [t[0] for t in touched(desk)] == ["outbox", "mail"]


def promised(desk: Desk) -> None:
    with desk.firm.store.begin() as connection:
        made = Promise(later(2), later(20), 400_00, "Wang")
        add_promise(connection, find_term(connection, "C-1/T1"), made, None, desk.now())


def paid(desk: Desk) -> None:
    desk.payments("date,amount,currency,contract,term\n2026-12-02,400.00,CNY,C-1,T1\n", today=later(3))


@pytest.mark.parametrize("happens", [promised, paid, lambda desk: touch(desk, "dispute", later(2))])
def test_what_waits_for_a_channel_is_taken_back_when_it_is_moot(
    tmp_path: Path, happens: Callable[[Desk], None]
) -> None:
    with billed(tmp_path, text("reminders: send\n")) as desk:
        box = Mailbox(down=True)
        night(desk, later(1), box=box)
        happens(desk)
        box.down = False
        night(desk, later(3), box=box)
        assert box.sent == []
        with desk.firm.store.read() as connection:
            assert fetch(connection, "SELECT draft, delivered_at FROM outbox WHERE kind = 'reminder'") == [(1, None)]


def test_what_waits_for_a_channel_asks_for_what_is_open_when_it_goes(tmp_path: Path) -> None:
    with billed(tmp_path, text("reminders: send\n")) as desk:
        box = Mailbox(down=True)
        night(desk, later(1), box=box)
        desk.payments("date,amount,currency,contract,term\n2026-12-02,150.00,CNY,C-1,T1\n", today=later(3))
        box.down = False
        night(desk, later(3), box=box)
        ((_, notice),) = box.sent
        assert "CNY 250.00" in str(notice.payload["text"])


@pytest.mark.server
def test_sending_on_postgresql(tmp_path: Path, url: str) -> None:
    with billed(tmp_path, text("reminders: send\ncustomer_class: other\n"), url) as desk:
        box = Mailbox(down=True)
        night(desk, later(1), box=box)
        desk.payments("date,amount,currency,contract,term\n2026-12-02,150.00,CNY,C-1,T1\n", today=later(3))
        box.down = False
        for day in (3, 4):
            night(desk, later(day), box=box)
        ((_, notice),) = box.sent
        assert "CNY 250.00" in str(notice.payload["text"])
        assert [t[0] for t in touched(desk)] == ["outbox", "mail"]
