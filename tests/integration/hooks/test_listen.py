"""Webhooks over real HTTP: what is let in, what a hint brings, and that none is lost."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.http import hooks
from connectors.kit.sandbox.app import build_app
from connectors.kit.sandbox.server import served
from connectors.kit.sandbox.world import Fault, World
from connectors.store.bulk import fetch
from connectors.store.errors import StoreBusy
from flows import listen, wiring
from flows.listen import Ear, Receiver, Sooner, Worker, receiver_app
from flows.night import SOONER, run_sooner
from flows.steps import hints
from tests.fakes.company import Company, company
from tests.integration.conftest import free_port

SECRET = "0123456789abcdef-secret"
DAY = date(2026, 11, 20)


@dataclass
class Ears:
    """A receiver in front of a company, its worker moved by hand, and a clock to set."""

    firm: Company
    receiver: Receiver
    worker: Worker
    url: str
    now: list[int]

    def post(self, name: str = "rd", body: bytes | None = None, **headers: str) -> int:
        """A message of our own kind; its body is another one each time."""
        self.now[0] += 1
        content = json.dumps({"project": "RD", "at": self.now[0]}).encode() if body is None else body
        sent = {"x-huikuan-secret": SECRET} | {k.replace("_", "-"): v for k, v in headers.items()}
        return httpx.post(f"{self.url}/hooks/{name}", content=content, headers=sent, trust_env=False).status_code

    def hints(self) -> list[tuple[str, str, int]]:
        with self.firm.store.read() as reader:
            return fetch(reader, "SELECT connection, project, attempts FROM hook_hints ORDER BY 1, 2")

    def cursor(self) -> list[tuple]:
        with self.firm.store.read() as reader:
            return fetch(reader, "SELECT * FROM cursors WHERE connection = 'rd'")


def sooner(firm: Company, name: str, part: tuple[str, ...]) -> Sooner:
    """The pull that the command wires, at noon of the company's day and without the checks, which load slowly."""
    moment = datetime(firm.day.year, firm.day.month, firm.day.day, 4, 0, tzinfo=UTC)
    firm.world.now = int(moment.timestamp())
    night = wiring.the_night(firm.loaded, firm.store, as_of=firm.day, now=moment, only=name, part=part)
    return asyncio.run(run_sooner(replace(night, gate=None, out_check=None)))


@contextmanager
def listening(firm: Company, wait: int = 0) -> Iterator[Ears]:
    now = [1_900_000_000]  # after whatever the nights of these tests write down
    ears = {
        "rd": Ear("rd", hooks.OWN, [SECRET]),
        "ops": Ear("ops", hooks.OWN, [SECRET]),
        "gh": Ear("gh", hooks.GITHUB, [SECRET]),
        "lin": Ear("lin", hooks.LINEAR, [SECRET]),
        "asa": Ear("asa", hooks.ASANA, [], firm.folder / "asana.hook"),
    }
    receiver = Receiver(firm.store, ears, lambda: now[0], wait)
    worker = Worker(firm.store, list(ears), lambda name, part: sooner(firm, name, part), lambda: now[0])
    with served(receiver_app(receiver, worker)) as url:  # without lifespan: the worker is moved by hand
        yield Ears(firm, receiver, worker, url, now)


@pytest.fixture
def ears(tmp_path: Path) -> Iterator[Ears]:
    world = World(tenant="test")
    for key in ("RD", "RD2"):
        project = world.add_project(key, f"Project {key}")
        for title in ("M1", "M2"):
            world.add(project, title if key == "RD" else f"{title} b", planned=datetime(2026, 12, 1, tzinfo=UTC))
    with company(tmp_path, world=world) as firm:
        firm.contract("C-1")
        firm.contract("C-2", project="RD2", first="M1 b", second="M2 b")
        with listening(firm) as found:
            yield found


def _done(firm: Company, title: str, day: date = date(2026, 11, 18)) -> None:
    firm.world.move(firm.world.find(title), "已完成", firm.at(day), "Zhao")


def _signed(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


# --- what a hint brings ------------------------------------------------------------------------------


def test_a_message_makes_a_term_ready_without_a_night(ears: Ears) -> None:
    _done(ears.firm, "M1")
    assert ears.post() == 202
    ears.worker.once()
    assert ears.firm.records() == [("C-1", "T1", 1, "ready")]
    assert ears.hints() == []


def test_a_pull_of_one_project_takes_nothing_from_another(ears: Ears) -> None:
    """The cursor speaks for all projects of a connection: it stays, and the night finds what changed elsewhere."""
    firm = ears.firm
    firm.night(day=date(2026, 11, 17))
    _done(firm, "M1")
    _done(firm, "M1 b")
    before = ears.cursor()
    assert ears.post() == 202
    ears.worker.once()
    assert firm.records() == [("C-1", "T1", 1, "ready")]
    assert ears.cursor() == before
    firm.night(day=date(2026, 11, 21))
    assert firm.records() == [("C-1", "T1", 1, "ready"), ("C-2", "T1", 1, "ready")]


def test_what_such_a_pull_does_not_see_is_not_gone(ears: Ears) -> None:
    """Moved to a project that is not pulled now: only the night, which sees both, may say what became of it."""
    firm = ears.firm
    _done(firm, "M1")
    firm.night(day=date(2026, 11, 19))
    with firm.store.begin() as writer:  # as when the time has come to read everything anew
        writer.exec_driver_sql("DELETE FROM cursors")
    moved = firm.world.find("M1")
    firm.world.relocate(moved, firm.world.project("RD2"), firm.at(date(2026, 11, 20)))
    assert ears.post() == 202
    ears.worker.once()
    assert firm.records() == [("C-1", "T1", 1, "ready")]
    with firm.store.read() as reader:
        assert fetch(reader, "SELECT COUNT(*) FROM milestones WHERE deleted") == [(0,)]


def test_a_project_nobody_knows_has_the_whole_connection_pulled(ears: Ears) -> None:
    _done(ears.firm, "M1 b")
    assert ears.post(body=b'{"project": "../../etc"}') == 202
    assert ears.hints() == [("rd", "", 0)]
    ears.worker.once()
    assert ears.firm.records() == [("C-2", "T1", 1, "ready")]
    assert ears.cursor()  # a whole pull, as any other


def test_many_messages_are_one_pull(ears: Ears) -> None:
    ears.firm.night(day=date(2026, 11, 17))
    ears.receiver.wait = 30
    for _ in range(5):
        ears.post()
    ears.worker.once()
    assert len(ears.hints()) == 1  # still waiting for more
    ears.now[0] += 30
    ears.worker.once()
    assert ears.hints() == []
    with ears.firm.store.read() as reader:
        assert fetch(reader, "SELECT COUNT(*) FROM runs") == [(2,)]


# --- none is lost ------------------------------------------------------------------------------------


def test_a_hint_waits_while_the_night_runs(ears: Ears) -> None:
    firm = ears.firm
    _done(firm, "M1")
    assert ears.post() == 202
    with firm.store.lease("night", "the night", 60, lambda: ears.now[0]):
        ears.worker.once()
        assert ears.hints() == [("rd", "", 0)]
        assert firm.records() == []
    ears.now[0] += 60
    ears.worker.once()
    assert (ears.hints(), firm.records()) == ([], [("C-1", "T1", 1, "ready")])


def test_a_night_waits_for_a_pull_that_follows_a_hint_and_for_nobody_else(ears: Ears) -> None:
    firm = ears.firm
    _done(firm, "M1")
    held = firm.store.lease("night", f"{SOONER}1", 60, wiring.epoch_now)
    held.__enter__()
    with ThreadPoolExecutor(1) as other:
        night = other.submit(firm.night)
        time.sleep(1.2)
        assert not night.done()
        held.__exit__(None, None, None)
        assert night.result(timeout=30).posted.records == 1
    with firm.store.lease("night", "another night", 60, wiring.epoch_now), pytest.raises(StoreBusy):
        firm.night()


def test_a_project_that_is_no_longer_configured_is_not_asked_for(ears: Ears) -> None:
    ears.firm.night(day=date(2026, 11, 17))
    with ears.firm.store.read() as reader:
        ids = dict(fetch(reader, "SELECT DISTINCT project_key, project_id FROM milestones"))
    both = tuple(ids.values())
    assert hints.within(ears.firm.store, "rd", both, ["RD2"]) == (ids["RD2"],)
    assert hints.within(ears.firm.store, "rd", both, [ids["RD"]]) == (ids["RD"],)


def test_a_hint_outlives_a_source_that_fails_and_is_tried_later_and_later(ears: Ears) -> None:
    firm = ears.firm
    firm.night(day=date(2026, 11, 17))
    _done(firm, "M1")
    firm.world.faults.append(Fault("/work_items", "status", times=10_000, status=403))
    assert ears.post() == 202
    project = ears.hints()[0][1]
    assert project
    for tries in (1, 2, 3, 4):
        ears.worker.once()
        assert ears.hints() == [("rd", project, tries)]
        ears.worker.once()  # not yet due
        assert ears.hints() == [("rd", project, tries)]
        ears.now[0] += 3600
    firm.world.faults.clear()
    ears.worker.once()
    assert (ears.hints(), firm.records()) == ([], [("C-1", "T1", 1, "ready")])


def test_a_hint_that_comes_during_the_pull_stays(ears: Ears) -> None:
    def pull(name: str, part: tuple[str, ...]) -> Sooner:
        done = sooner(ears.firm, name, part)
        assert ears.post() == 202
        return done

    ears.worker.pull = pull
    assert ears.post() == 202
    ears.worker.once()
    assert len(ears.hints()) == 1


def test_a_bug_of_ours_does_not_stop_the_worker(ears: Ears) -> None:
    def pull(name: str, part: tuple[str, ...]) -> Sooner:
        raise KeyError(name, part)

    ears.worker.pull = pull
    assert ears.post() == 202
    ears.worker.once()
    assert [h[2] for h in ears.hints()] == [1]


def test_the_night_that_was_sooner_clears_the_hint(ears: Ears) -> None:
    ears.now[0] = wiring.epoch_now() - 3600
    assert ears.post() == 202
    ears.firm.night()
    ears.worker.pull = lambda *_: pytest.fail("there is nothing left to pull")
    ears.worker.once()
    assert ears.hints() == []


# --- what is let in ----------------------------------------------------------------------------------


def test_a_replay_is_refused_under_any_name_and_after_a_restart(ears: Ears) -> None:
    body = b'{"action": "closed", "repository": {"id": 1}}'
    sent = {"x-hub-signature-256": f"sha256={_signed(body)}", "x-github-delivery": "a"}
    assert ears.post("gh", body, **sent) == 202
    ears.firm.store.engine.dispose()
    with listening(ears.firm) as other:  # a second receiver, or the same one after a restart
        assert other.post("gh", body, **sent) == 200
        assert other.post("gh", body, **sent | {"x-github-delivery": "b"}) == 200
        assert other.post("gh", body + b" ", **sent) == 401
    ears.worker.names = ()
    assert ears.hints() == [("gh", "", 0)]


def test_of_two_at_the_same_time_one_is_let_in(ears: Ears) -> None:
    body = b"{}"
    sent = {"x-hub-signature-256": f"sha256={_signed(body)}"}
    with ThreadPoolExecutor(8) as many:
        codes = list(many.map(lambda _: ears.post("gh", body, **sent), range(16)))
    assert sorted(codes) == [200] * 15 + [202]


def test_the_same_body_of_a_vendor_that_signs_nothing_counts_again_after_a_minute(ears: Ears) -> None:
    assert [ears.post(body=b"{}"), ears.post(body=b"{}")] == [202, 200]
    ears.now[0] += 61
    assert ears.post(body=b"{}") == 202
    assert ears.post(body=b"{}", x_huikuan_delivery="1") == 202
    assert ears.post(body=b"{}", x_huikuan_delivery="1") == 200


def test_a_late_message_is_refused(ears: Ears) -> None:
    for age, code in ((0, 202), (299, 202), (400, 401), (-400, 401)):
        body = json.dumps({"webhookTimestamp": (ears.now[0] - age) * 1000}).encode()
        assert ears.post("lin", body, linear_signature=_signed(body)) == code


@pytest.mark.parametrize("path", ["/hooks/none", "/hooks/gh/" + SECRET, "/hooks/", "/", "/hooks/rd/a/b"])
def test_there_is_nothing_elsewhere(ears: Ears, path: str) -> None:
    assert httpx.post(ears.url + path, content=b"{}", trust_env=False).status_code == 404


def test_the_secret_may_stand_in_the_address_where_a_vendor_signs_nothing(ears: Ears) -> None:
    for key, code in ((SECRET, 202), (SECRET[:-1], 401)):
        assert httpx.post(f"{ears.url}/hooks/rd/{key}", content=b"x", trust_env=False).status_code == code


def test_what_is_too_large_is_not_read(ears: Ears) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(listen.BODY_MAX // 65_536 + 2):
            yield b"x" * 65_536

    assert ears.post(body=b"x" * (listen.BODY_MAX + 1)) == 413
    assert httpx.post(f"{ears.url}/hooks/rd", content=endless(), trust_env=False).status_code == 413
    assert ears.hints() == []


def test_refusals_say_nothing(ears: Ears) -> None:
    answer = httpx.post(f"{ears.url}/hooks/rd", content=b"{}", trust_env=False)
    assert (answer.status_code, answer.content) == (401, b"")


def test_too_many_are_told_to_wait(ears: Ears) -> None:
    ears.receiver.turnstile.per_minute = 3
    ears.now[0] = 60 * (ears.now[0] // 60)
    assert [ears.post() for _ in range(5)] == [202, 202, 202, 429, 429]
    assert ears.post("ops") == 202  # another connection
    ears.now[0] += 60
    assert ears.post() == 202


def test_a_store_that_is_locked_is_no_error_of_ours(ears: Ears, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*_: object) -> bool:
        raise StoreBusy(code="LOCKED")

    monkeypatch.setattr(listen.hints, "receive", locked)
    assert ears.post() == 503


def test_a_secret_that_the_vendor_chose_is_kept_once(ears: Ears) -> None:
    def greet(secret: str) -> httpx.Response:
        return httpx.post(f"{ears.url}/hooks/asa", headers={"X-Hook-Secret": secret}, trust_env=False)

    ears.firm.folder.joinpath("in-the-way").touch()
    ears.receiver.ears["asa"].keep = ears.firm.folder / "in-the-way" / "asana.hook"
    assert greet("chosen-by-asana").status_code == 503
    ears.receiver.ears["asa"].keep = ears.firm.folder / "secrets" / "asana.hook"
    answer = greet("chosen-by-asana")
    assert (answer.status_code, answer.headers["X-Hook-Secret"]) == (200, "chosen-by-asana")
    assert greet("chosen-by-somebody").status_code == 401
    kept = ears.firm.folder / "secrets" / "asana.hook"
    assert kept.read_text("utf-8") == "chosen-by-asana\n"
    assert kept.stat().st_mode & 0o777 == 0o600
    body = b'{"events": []}'
    assert ears.post("asa", body, x_hook_signature=_signed(body, "chosen-by-asana")) == 202
    assert ears.post("asa", body, x_hook_signature=_signed(body, "chosen-by-asana")) == 200  # its heartbeat


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from(["rd", "gh", "lin", "asa"]), st.booleans())
def test_no_body_makes_an_error(ears: Ears, body: bytes, name: str, right: bool) -> None:
    ears.receiver.turnstile.per_minute = 10**9
    secret = SECRET if right else "another secret of some length"
    sent = {"x-hub-signature-256": f"sha256={_signed(body, secret)}", "linear-signature": _signed(body, secret)}
    code = ears.post(name, body, **sent, x_huikuan_secret=secret)
    assert code in ((200, 202, 401) if right else (401,))


# --- as a person starts it ---------------------------------------------------------------------------

STARTED = """
[connections.rd]
system = "pingcode"
base_url = "{url}"
client_id = "sandbox-client"
client_secret = "sandbox-secret"
hook_secret = {{env = "RD_HOOK"}}
[connections.gh]
system = "github"
base_url = "http://127.0.0.1:9"
token = "t"
hook_secret = {{file = "gh.hook"}}
[reports]
language = "en"
[run]
checks = false
"""


def test_the_command_receives_and_pulls(tmp_path: Path) -> None:
    world = World(tenant="test")
    project = world.add_project("RD", "RD")
    world.add(project, "M1", planned=datetime(2026, 12, 1, tzinfo=UTC))
    world.add(project, "M2", planned=datetime(2026, 12, 1, tzinfo=UTC))
    world.now = int(time.time())
    world.move(world.find("M1"), "已完成", datetime.fromtimestamp(world.now - 3600, UTC), "Zhao")
    (tmp_path / "contracts").mkdir()
    with served(build_app(world)) as vendor:
        firm = Company(world, tmp_path, None, None)  # type: ignore[arg-type]
        firm.contract("C-1")
        (tmp_path / "huikuan.toml").write_text(STARTED.format(url=vendor), encoding="utf-8")
        (tmp_path / "gh.hook").write_text(f"{SECRET}\nthe-next-secret-of-gh\n", encoding="utf-8")
        port = free_port()
        with _command(tmp_path, port) as url:
            assert httpx.post(f"{url}/hooks/rd/{SECRET}", content=b"{}", trust_env=False).status_code == 202
            body = b"{}"
            sent = {"x-hub-signature-256": f"sha256={_signed(body, 'the-next-secret-of-gh')}"}
            assert httpx.post(f"{url}/hooks/gh", content=body, headers=sent, trust_env=False).status_code == 202
            assert _ready(tmp_path) == [("C-1", "T1")]


@contextmanager
def _command(folder: Path, port: int) -> Iterator[str]:
    known = {"RD_HOOK": SECRET, "HUIKUAN_LANGUAGE": "en", "PYTHONPATH": str(Path(__file__).parents[3])}
    line = [sys.executable, "-m", "flows.cli", "listen", "--port", str(port), "--wait", "0"]
    with (folder / "listen.log").open("wb") as said:
        process = subprocess.Popen(line, cwd=folder, env=os.environ | known, stdout=said, stderr=said)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            time.sleep(0.1)
            try:
                if httpx.get(f"{url}/health", trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                assert process.poll() is None, (folder / "listen.log").read_text()
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)
    said_ = (folder / "listen.log").read_text()
    assert SECRET not in said_
    assert "POST /hooks/rd" in said_


def _ready(folder: Path) -> list[tuple[str, str]]:
    """The list, once something is on it."""
    import sqlite3

    for _ in range(150):
        with sqlite3.connect(folder / "huikuan.db") as reader:
            found = reader.execute(
                "SELECT c.number, t.code FROM ready_records r JOIN contracts c ON c.id = r.contract_id "
                "JOIN terms t ON t.id = r.term_id"
            ).fetchall()
        if found:
            return found
        time.sleep(0.1)
    return []
