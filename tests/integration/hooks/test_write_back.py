"""Comments on milestones, over real HTTP into the sandbox: when, where, what, and never twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from connectors.kit.sandbox.world import Fault
from connectors.store.bulk import fetch
from flows import wiring
from flows.commands import intervene, notices
from flows.settings import SettingsError, load_settings
from flows.steps.write_back import ATTEMPTS_MAX, Writing, dead_comments, revive_comments
from tests.fakes.company import Company, company, invoice

DAY = date(2026, 11, 18)
ALL = 'write_back = ["ready", "invoiced", "paid"]'


@contextmanager
def writing_company(folder: Path, rd: str = ALL, *, live: bool = True, **more) -> Iterator[Company]:
    with company(folder, rd=rd, **more) as firm:
        firm.contract("C-1")
        if live:
            go_live(firm)
        yield firm


def go_live(firm: Company) -> None:
    now = int(wiring.utc_now().timestamp() * 1_000_000)
    with firm.store.begin() as writer:
        writer.exec_driver_sql(f"INSERT INTO settings (key, value) VALUES ('go_live', '{now}')")


@pytest.fixture
def firm(tmp_path: Path) -> Iterator[Company]:
    with writing_company(tmp_path) as found:
        yield found


def _done(firm: Company, title: str = "M1") -> None:
    firm.world.move(firm.world.find(title), "已完成", firm.at(DAY), "Zhao")


def texts(firm: Company, title: str = "M1") -> list[str]:
    return firm.world.comments.get(firm.world.find(title).id, [])


def told(firm: Company, title: str) -> set[str]:
    """The terms that a milestone's comments are about."""
    return {t.partition("huikuan explain ")[2].split()[0] for t in texts(firm, title)}


def rows(firm: Company, what: str) -> list[tuple]:
    with firm.store.read() as reader:
        return fetch(reader, f"SELECT {what} FROM comments ORDER BY key")


def later(firm: Company, seconds: int = 10**7) -> None:
    """Time goes by for what waits."""
    with firm.store.begin() as writer:
        writer.exec_driver_sql(f"UPDATE comments SET next_attempt_at = next_attempt_at - {seconds}, claimed_until = 0")


def test_a_term_that_becomes_ready_is_told_on_its_milestone_once(firm: Company) -> None:
    _done(firm)
    outcome = firm.night()
    (record,) = firm.board().ready
    (text,) = texts(firm)
    assert outcome.written_back == {"sent": 1, "failed": 0, "dead": 0}
    assert "Huikuan: payment term T1 of contract C-1 is ready to invoice" in text
    assert "Evidence: huikuan explain C-1/T1" in text
    assert text.endswith(f"huikuan-ready-{record.record_id}")
    assert "400" not in text.replace(record.record_id, "")  # no amounts
    assert texts(firm, "M2") == []
    firm.night()
    firm.night(full=True)
    assert len(texts(firm)) == 1


def test_then_that_it_is_invoiced_and_then_that_it_is_paid(firm: Company) -> None:
    _done(firm)
    firm.night()
    invoice(firm.store, "C-1", "T1", DAY, DAY)
    firm.night()
    _pay(firm, 10_000)
    firm.night()
    assert [t.split("huikuan-")[-1].split("-")[0] for t in texts(firm)] == ["ready", "invoiced"]
    _pay(firm, 30_000)
    firm.night()
    assert [t.split("huikuan-")[-1].split("-")[0] for t in texts(firm)] == ["ready", "invoiced", "paid"]


def _pay(firm: Company, gross: int) -> None:
    now = int(wiring.utc_now().timestamp() * 1_000_000)
    with firm.store.begin() as writer:
        writer.exec_driver_sql(
            "INSERT INTO receipts (key, contract_id, term_id, day, gross, method, recorded_at) "
            f"SELECT 'p{gross}', contract_id, id, 20775, {gross}, 'transfer', {now} FROM terms WHERE code = 'T1'"
        )


def test_nothing_is_written_unless_it_is_switched_on(tmp_path: Path) -> None:
    with writing_company(tmp_path, rd="") as firm:
        _done(firm)
        assert firm.night().written_back == {}
        assert firm.world.comments == {}
        assert not [r for r in firm.world.log if "comments" in r]


def test_nothing_is_written_before_go_live_and_nothing_of_before_is_told_after(tmp_path: Path) -> None:
    with writing_company(tmp_path, live=False) as firm:
        firm.contract("C-2", first="M2", second="M1")
        _done(firm)
        firm.night()
        go_live(firm)
        firm.night()
        assert firm.world.comments == {}
        _done(firm, "M2")
        firm.night()
        assert told(firm, "M2") == {"C-1/T2", "C-2/T1", "C-2/T2"}
        assert told(firm, "M1") == {"C-1/T2", "C-2/T2"}


def test_what_was_ready_before_the_switch_is_not_told(tmp_path: Path) -> None:
    with writing_company(tmp_path, rd="") as firm:
        _done(firm)
        firm.night()
        config = firm.folder / "huikuan.toml"
        config.write_text(config.read_text("utf-8").replace("per_minute = 0\n", f"per_minute = 0\n{ALL}\n", 1), "utf-8")
        firm.loaded = load_settings(config)
        firm.night()
        assert firm.world.comments == {}
        _done(firm, "M2")
        firm.night()
        assert len(texts(firm, "M2")) == 1
        assert len(texts(firm, "M1")) == 1  # it is evidence of the second term as well


def test_a_dry_run_writes_nothing(firm: Company) -> None:
    _done(firm)
    firm.night(dry_run=True)
    assert firm.world.comments == {}


def test_a_comment_whose_answer_was_lost_is_not_written_again(firm: Company) -> None:
    _done(firm)
    firm.world.faults.append(Fault("/v1/comments", "truncated", times=1, method="POST"))
    outcome = firm.night()
    assert outcome.state == "done"  # a system that fails does not fail the night
    assert (outcome.written_back["sent"], outcome.written_back["failed"]) == (0, 1)
    written = len(texts(firm))
    firm.night()
    assert len(texts(firm)) == written  # not yet
    later(firm)
    assert firm.night().written_back["sent"] == 1
    assert len(texts(firm)) == 1
    assert written == 1, "the fault must lose the answer, not the comment"


def test_killed_between_the_comment_and_writing_it_down(firm: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def killed(self: Writing, owed: object, values: dict) -> None:
        if "sent_at" in values:
            raise Killed
        whole(self, owed, values)

    whole = Writing._set
    _done(firm)
    with monkeypatch.context() as patch:
        patch.setattr(Writing, "_set", killed)
        with pytest.raises(Killed):
            firm.night()
    assert len(texts(firm)) == 1
    assert rows(firm, "sent_at") == [(None,)]
    later(firm)
    firm.night()
    assert len(texts(firm)) == 1
    assert rows(firm, "sent_at") != [(None,)]


def test_a_system_that_refuses_is_asked_later_and_later_and_at_last_no_more(
    firm: Company, capsys: pytest.CaptureFixture[str]
) -> None:
    _done(firm)
    firm.world.faults.append(Fault("/v1/comments", "status", times=10_000, status=403))
    for _ in range(ATTEMPTS_MAX):
        outcome = firm.night()
        later(firm)
    assert outcome.written_back["dead"] == 1
    assert outcome.exit_code == 1
    (dead,) = dead_comments(firm.store)
    assert (dead.stage, dead.connection, dead.contract, dead.term, dead.attempts) == (
        "ready",
        "rd",
        "C-1",
        "T1",
        ATTEMPTS_MAX,
    )
    assert "/v1/comments" in dead.reason
    assert notices(firm.folder / "huikuan.toml", as_json=True, language="en") == 1
    (line,) = json.loads(capsys.readouterr().out)
    assert (line["kind"], line["state"], line["recipient"]) == ("comment_ready", "dead", "rd C-1/T1")
    firm.world.faults.clear()
    firm.night()
    assert texts(firm) == []
    assert revive_comments(firm.store, 0) == 1
    firm.night()
    assert len(texts(firm)) == 1


def test_a_record_that_is_taken_back_before_it_was_told_is_not_told(firm: Company) -> None:
    _done(firm)
    firm.world.faults.append(Fault("/v1/comments", "status", times=10_000, status=403))
    firm.night()
    firm.world.faults.clear()
    firm.world.move(firm.world.find("M1"), "进行中", firm.at(date(2026, 11, 19)), "Zhao")
    later(firm)
    firm.night()
    assert (texts(firm), rows(firm, "key")) == ([], [])


def test_what_is_held_is_told_when_it_comes_free(firm: Company) -> None:
    text = (firm.folder / "contracts" / "C-1.yaml").read_text("utf-8")
    firm.contract("C-1", text=text + "approval: required\n")
    _done(firm)
    firm.night()
    assert [r.status.value for r in firm.board().ready] == ["awaiting_approval"]
    assert texts(firm) == []
    assert intervene(firm.folder / "huikuan.toml", "approve", "C-1/T1", "Li", "", "en") == 0
    firm.night()
    assert len(texts(firm)) == 1


def test_a_lost_lease_writes_nothing(firm: Company) -> None:
    from connectors.store.errors import StoreBusy
    from flows.steps.write_back import write_back

    def lost(_: object) -> None:
        raise StoreBusy(code="HOLD_LOST", name="night")

    _done(firm)
    firm.world.faults.append(Fault("/v1/comments", "status", times=1, status=403))
    firm.night()
    later(firm)
    writing = Writing(firm.store, wiring.epoch_now, "en", "", lost)

    async def using(name, each) -> None:
        await each(None)

    with pytest.raises(StoreBusy):
        asyncio.run(write_back(writing, {"rd": frozenset({"ready"})}, 0, using))
    assert texts(firm) == []


def test_a_link_to_the_evidence_in_the_readers_language(tmp_path: Path) -> None:
    more = 'base_link = "https://pay.example.com/c/{contract}/{term}?r={record}"'
    with writing_company(tmp_path, more=more) as firm:
        path = firm.folder / "contracts" / "C-1.yaml"
        path.write_text(path.read_text("utf-8").replace("contract: C-1", "contract: C/1 甲"), "utf-8")
        _done(firm)
        reports = firm.loaded.settings.reports.model_copy(update={"language": "zh-CN"})
        changed = firm.loaded.settings.model_copy(update={"reports": reports})
        firm.loaded = replace(firm.loaded, settings=changed)
        firm.night()
        (text,) = [t for t in texts(firm) if "甲" in t]
        assert "合同 C/1 甲 的付款节点 T1 已可开票" in text
        assert "依据：https://pay.example.com/c/C%2F1%20%E7%94%B2/T1?r=" in text


@pytest.mark.parametrize(
    ("rd", "more", "code"),
    [
        ('write_back = ["redy"]', "", "CONFIG_CHOICE"),
        ('write_bak = ["ready"]', "", "UNKNOWN_KEY"),
        ('hook_secret = "short"', "", "SECRET_SHORT"),
        ("hook_secret = 7", "", "CONFIG_TYPE"),
        ("", 'base_link = "javascript:alert(1)"', "CONFIG_TYPE"),
        ("", '[connections.z]\nsystem = "zentao"\nwrite_back = ["ready"]', "WRITE_BACK_NOWHERE"),
    ],
)
def test_settings_that_cannot_work_are_said(tmp_path: Path, rd: str, more: str, code: str) -> None:
    with pytest.raises(SettingsError) as caught, company(tmp_path, rd=rd, more=more):
        pass
    assert code in [f.code for f in caught.value.findings]
    for finding in caught.value.findings:
        assert finding.text("en")
        assert finding.text("zh-CN")
