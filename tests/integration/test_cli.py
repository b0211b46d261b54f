"""The commands as a user types them: in processes of their own, exit codes, JSON on standard output only."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors.kit.sandbox.world import Fault
from flows.cli import app
from models.domain.observations import Page
from models.ports import PullRequest, Reachability
from tests.fakes.commands import run_command
from tests.fakes.company import company, invoice

ROOT = Path(__file__).parents[2]


def huikuan(*arguments: str, cwd: Path, language: str = "en", **environment: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HUIKUAN_", "PREFECT_", "LC_", "LANG"))}
    env |= {"PYTHONPATH": str(ROOT), "HUIKUAN_LANGUAGE": language, "COLUMNS": "200", **environment}
    return run_command(*arguments, cwd=cwd, env=env)


@pytest.fixture
def firm(tmp_path: Path):
    with company(tmp_path) as it:
        it.contract("C-1")
        it.world.move(it.world.find("M1"), "已完成", it.at(date(2026, 11, 18)), "李强")
        yield it


@pytest.mark.parametrize(
    ("language", "word"), [("en", "The list of ready-to-invoice records."), ("zh-CN", "可开票清单。")]
)
def test_help_teaches_in_both_languages(tmp_path: Path, language: str, word: str) -> None:
    shown = huikuan("--help", cwd=tmp_path, language=language)
    assert shown.returncode == 0
    assert word in shown.stdout


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys, flows.cli; print([m for m in ('pandas','numpy','sqlalchemy','prefect','great_expectations','httpx','pydantic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_without_a_configuration_the_error_says_what_to_do(tmp_path: Path) -> None:
    shown = huikuan("sync", cwd=tmp_path)
    assert shown.returncode == 2
    assert "huikuan init" in shown.stderr
    assert "Traceback" not in shown.stderr


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_init_then_check_works_and_never_overwrites(tmp_path: Path, language: str) -> None:
    assert huikuan("init", cwd=tmp_path, language=language).returncode == 0
    assert huikuan("check", cwd=tmp_path, language=language).returncode == 0
    (tmp_path / "huikuan.toml").write_text("# mine")
    assert huikuan("init", cwd=tmp_path, language=language).returncode == 0
    assert (tmp_path / "huikuan.toml").read_text() == "# mine"


def test_sync_then_ready_then_explain(firm) -> None:
    done = huikuan("sync", "--as-of", "2026-11-20", "--json", cwd=firm.folder)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["state"], told["posted"]) == ("done", 1)
    listed = json.loads(huikuan("ready", "--json", cwd=firm.folder).stdout)
    assert [(r["contract"], r["term"], r["gross"], r["ready_on"], r["status"]) for r in listed] == [
        ("C-1", "T1", "400.00", "2026-11-18", "ready")
    ]
    assert list(listed[0]) == [
        "record_id",
        "contract",
        "term",
        "name",
        "customer",
        "currency",
        "gross",
        "net",
        "tax",
        "ready_on",
        "noticed_on",
        "status",
        "evidence",
    ]
    assert list(listed[0]["evidence"][0]) == ["event", "date", "by", "source", "url", "provenance"]
    tree = json.loads(huikuan("explain", "C-1/T2", "--json", "--as-of", "2026-11-20", cwd=firm.folder).stdout)[0][
        "tree"
    ]
    assert [(p["label"], p["met"]) for p in tree["parts"]] == [("first", True), ("second", False)]
    assert json.loads(huikuan("ready", "--json", "--as-of", "2026-11-19", cwd=firm.folder).stdout) == []
    assert (firm.folder / "out" / "ready-to-invoice.xlsx").exists()


def test_a_dead_source_ends_in_part(firm) -> None:
    config = firm.folder / "huikuan.toml"
    config.write_text(config.read_text().replace('projects = ["OPS"]', 'projects = ["NOPE"]'))
    done = huikuan("sync", "--as-of", "2026-11-20", cwd=firm.folder)
    assert done.returncode == 3, done.stderr
    assert "NOPE" in done.stdout
    assert "OPS" in done.stdout  # the closest that the account sees
    assert [r["contract"] for r in json.loads(huikuan("ready", "--json", cwd=firm.folder).stdout)] == ["C-1"]


def test_a_secret_written_out_is_refused_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "huikuan.toml").write_text(
        '[connections.rd]\nsystem = "redmine"\nbase_url = "https://redmine.example.com"\napi_key = "s3cr3t-value"\n'
    )
    shown = huikuan("check", cwd=tmp_path)
    assert shown.returncode == 2
    assert "SECRET_IN_FILE" in shown.stderr
    assert "huikuan.toml:4" in shown.stderr
    assert "s3cr3t-value" not in shown.stdout + shown.stderr


def test_unknown_keys_name_the_closest(tmp_path: Path) -> None:
    (tmp_path / "huikuan.toml").write_text(
        '[store]\nulr = "sqlite:///x.db"\n[reports]\nfolder = "out"\nlanguage = "de"\n'
    )
    shown = huikuan("check", cwd=tmp_path)
    assert shown.returncode == 2
    assert "url" in shown.stderr
    assert "huikuan.toml:2" in shown.stderr
    assert "language" in shown.stderr  # all errors at once


def test_check_verifies_bindings_against_what_the_last_pull_saw(firm) -> None:
    """Before the first pull nothing is known of milestones; then check says what sync would, and writes nothing."""

    def told() -> dict[str, dict[str, str]]:
        return {f["code"]: f for f in json.loads(huikuan("check", "--json", cwd=firm.folder).stdout)["findings"]}

    firm.contract("C-2", first="M-1")
    firm.contract("C-3", connection="rdd")
    first = told()
    assert "MILESTONE_UNKNOWN" not in first
    assert "Closest: rd." in first["CONNECTION_UNKNOWN"]["text"]
    (firm.folder / "contracts" / "C-3.yaml").unlink()
    assert told() == {}
    huikuan("sync", "--as-of", "2026-11-20", cwd=firm.folder)
    firm.contract("C-4", second="nowhere", first="M-1")
    firm.world.add(firm.world.project("RD"), "M2", salt="twin")
    shown = huikuan("check", cwd=firm.folder)
    assert (shown.returncode, shown.stdout.count("MILESTONE_UNKNOWN"), "M1 (" in shown.stdout) == (1, 3, True)
    huikuan("sync", "--as-of", "2026-11-20", "--full", cwd=firm.folder)
    firm.contract("C-5")
    assert huikuan("check", cwd=firm.folder).stdout.count("MILESTONE_AMBIGUOUS") == 1  # C-1 is bound already
    with sqlite3.connect(firm.folder / "huikuan.db") as store:
        assert store.execute("select count(*) from contracts where number in ('C-3', 'C-5')").fetchone() == (0,)


def test_check_says_when_the_database_cannot_be_used(firm) -> None:
    assert huikuan("check", cwd=firm.folder).returncode == 0
    with sqlite3.connect(firm.folder / "huikuan.db") as store:
        store.execute("UPDATE alembic_version SET version_num = '9999'")
    for language, word in (("en", "newer than this version"), ("zh-CN", "更新")):
        shown = huikuan("check", "--json", cwd=firm.folder, language=language)
        assert (shown.returncode, json.loads(shown.stdout)["store"]["state"]) == (2, "failed")
        assert word in shown.stderr
    for left in firm.folder.glob("huikuan.db*"):
        left.unlink()
    none = huikuan("check", "--json", cwd=firm.folder)  # before the first night
    assert (none.returncode, json.loads(none.stdout)["store"]) == (0, {"state": "none"})


def test_sync_says_what_waits_for_a_person(firm) -> None:
    huikuan("sync", "--as-of", "2026-11-19", cwd=firm.folder)
    invoice(firm.store, "C-1", "T1", date(2026, 11, 19), date(2026, 11, 19))
    firm.world.move(firm.world.find("M1"), "进行中", firm.at(date(2026, 11, 19)), "Zhao")
    told = huikuan("sync", "--as-of", "2026-11-20", "--full", "--json", cwd=firm.folder)
    body = json.loads(told.stdout)
    assert (told.returncode, body["exceptions"]) == (1, 1)
    (line,) = body["open_exceptions"]
    assert (line["contract"], line["term"], line["opened_on"]) == ("C-1", "T1", "2026-11-20")
    assert line["text"] == "Milestone reopened after the invoice: first"
    for language, word in (("en", "Milestone reopened after the invoice"), ("zh-CN", "开票后里程碑被重新打开")):
        shown = huikuan("sync", "--as-of", "2026-11-20", cwd=firm.folder, language=language)
        assert (shown.returncode, word in shown.stdout) == (1, True)


def _connection_lines(firm) -> dict[str, dict[str, object]]:
    return {c["name"]: c for c in json.loads(huikuan("check", "--json", cwd=firm.folder).stdout)["connections"]}


@pytest.mark.timeout(300)
def test_check_tells_each_connection_in_one_line(firm) -> None:
    """Reachable, who we are, projects, milestones, requests left, missing permissions."""
    before = _connection_lines(firm)
    told = {name: (c["state"], c["milestones_from"]) for name, c in before.items()}
    assert told == {"rd": ("ok", "not_yet"), "ops": ("ok", "told")}
    huikuan("sync", "--as-of", "2026-11-20", cwd=firm.folder)
    after = _connection_lines(firm)
    with sqlite3.connect(firm.folder / "huikuan.db") as store:
        stored = dict(store.execute("select connection, count(*) from milestones where not deleted group by 1"))
    assert sum(stored.values()) > 0
    assert {c["milestones_from"] for c in after.values()} == {"last_pull", "told"}
    assert after["rd"]["milestones"] == stored["rd"]
    assert all({"account", "projects", "rate_left", "missing"} <= set(c) for c in after.values())
    for language, words in (("en", "{n} milestones at the last pull"), ("zh-CN", "上次拉取时里程碑 {n} 个")):
        shown = huikuan("check", cwd=firm.folder, language=language).stdout
        assert words.format(n=stored["rd"]) in shown


def test_check_finds_what_only_a_pull_would(firm) -> None:
    """A configured project that is not there; milestones that the account may not read; rows nobody can trust."""
    config = firm.folder / "huikuan.toml"
    asked = config.read_text()
    config.write_text(asked.replace('projects = ["OPS"]', 'projects = ["NOPE"]'))
    lines = _connection_lines(firm)
    assert {n: c["state"] for n, c in lines.items()} == {"rd": "ok", "ops": "failed"}
    assert "OPS" in lines["ops"]["advice"]
    config.write_text(asked)
    firm.world.faults.append(Fault("/mission/projects/", "status", times=10_000, status=403))
    lines = _connection_lines(firm)
    assert {n: c["state"] for n, c in lines.items()} == {"rd": "ok", "ops": "lacking"}
    assert "/tasks" in str(lines["ops"]["missing"])
    firm.world.faults.clear()
    (firm.folder / "plan.csv").write_text("id,name,state,date\n1,A,done,2026-11-01\n2,B,maybe,\n")
    config.write_text(
        asked + '\n[connections.plan]\nsystem = "table"\npath = ["plan.csv"]\nid_field = "id"\nname_field = "name"\n'
        'done_field = "state"\ndone_values = ["done"]\nopen_values = ["open"]\ndate_field = "date"\n'
    )
    assert "put aside, since they cannot be trusted: 1" in huikuan("check", cwd=firm.folder).stdout


def test_check_says_when_a_permission_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Lacking:
        async def __aenter__(self):
            return self

        async def __aexit__(self, *exc: object) -> None: ...

        async def check(self) -> Reachability:
            return Reachability("robot", 2, 5, "99", ("read_api",))

        async def pull(self, request: PullRequest):
            del request
            yield Page((), last=True)

    (tmp_path / "huikuan.toml").write_text(
        '[connections.code]\nsystem = "gitlab"\nbase_url = "https://gitlab.example"\ntoken = {env = "T"}\n'
    )
    monkeypatch.setenv("T", "x")
    monkeypatch.setattr("flows.wiring.build_source", lambda *_given: Lacking())
    told = CliRunner().invoke(app, ["check", "--config", str(tmp_path / "huikuan.toml")])
    assert told.exit_code == 1
    assert "LACKS" in told.stdout
    assert "read_api" in told.stdout


def test_record_hold_approve_release(firm) -> None:
    huikuan("sync", "--as-of", "2026-11-20", cwd=firm.folder)
    assert huikuan("hold", "C-1/T1", "--by", "Chen", "--reason", "price dispute", cwd=firm.folder).returncode == 0

    def status():
        return [r["status"] for r in json.loads(huikuan("ready", "--json", cwd=firm.folder).stdout)]

    assert status() == ["held"]
    assert huikuan("release", "C-1/T1", "--by", "Chen", cwd=firm.folder).returncode == 0
    assert status() == ["ready"]
    wrong = huikuan("record", "C-1", "secnd", "2026-11-19", "--by", "Li", cwd=firm.folder)
    assert wrong.returncode == 2
    assert "second" in wrong.stderr
    assert huikuan("record", "C-1", "second", "2026-11-19", "--by", "Li", cwd=firm.folder).returncode == 0
    huikuan("sync", "--as-of", "2026-11-21", cwd=firm.folder)
    listed = json.loads(huikuan("ready", "--json", cwd=firm.folder).stdout)
    assert [(r["term"], r["evidence"][-1]["by"]) for r in listed] == [("T1", "李强"), ("T2", "Li")]


def test_bind_lists_candidates_and_takes_a_person_s_word(firm) -> None:
    firm.world.add(firm.world.project("RD"), "M1", salt="twin")
    huikuan("sync", "--as-of", "2026-11-20", cwd=firm.folder)
    listed = huikuan("bind", "--json", cwd=firm.folder)
    assert listed.returncode == 0
    (waiting,) = json.loads(listed.stdout)
    assert (waiting["event"], waiting["code"], len(waiting["candidates"])) == ("first", "MILESTONE_AMBIGUOUS", 2)
    done = next(m for m in firm.world.milestones.values() if m.title == "M1" and m.state == "已完成")
    assert huikuan("bind", "C-1", "first", done.id, cwd=firm.folder).returncode == 2  # who says so?
    assert huikuan("bind", "C-1", "first", done.id, "--by", "Zhou", cwd=firm.folder).returncode == 0
    huikuan("sync", "--as-of", "2026-11-21", cwd=firm.folder)
    assert [r["term"] for r in json.loads(huikuan("ready", "--json", cwd=firm.folder).stdout)] == ["T1"]


def test_evaluate_compares_and_says_so(tmp_path: Path) -> None:
    case = ROOT / "tests" / "golden" / "late_document" / "case.yaml"
    shown = huikuan("evaluate", str(case), "--json", cwd=tmp_path)
    assert shown.returncode == 0
    assert [e["as_of"] for e in json.loads(shown.stdout)] == ["2026-06-09", "2026-06-30", "2026-09-01"]
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(case.read_text(encoding="utf-8").replace("49950.00", "49950.01"), encoding="utf-8")
    assert huikuan("evaluate", str(wrong), cwd=tmp_path).returncode == 1
    assert huikuan("evaluate", str(tmp_path / "none.yaml"), cwd=tmp_path).returncode == 2


def test_backup_and_restore(firm) -> None:
    huikuan("sync", "--as-of", "2026-11-20", cwd=firm.folder)
    assert huikuan("db", "backup", "b.db", cwd=firm.folder).returncode == 0
    assert huikuan("db", "restore", "b.db", cwd=firm.folder).returncode == 2  # it would replace a database
    assert huikuan("db", "restore", "b.db", "--overwrite", cwd=firm.folder).returncode == 0
    assert len(json.loads(huikuan("ready", "--json", cwd=firm.folder).stdout)) == 1


def test_a_database_of_a_newer_schema_is_left_alone(firm) -> None:
    import sqlalchemy as sa

    with firm.store.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    shown = huikuan("sync", "--as-of", "2026-11-20", cwd=firm.folder)
    assert shown.returncode == 2
    assert "9999" in shown.stderr


@pytest.mark.slow
def test_killed_in_the_middle_and_run_again_is_as_if_never_killed(firm, tmp_path: Path) -> None:
    """kill -9 at several moments, then one quiet run: the same records, none twice."""
    import signal
    import time

    for wait in (0.8, 1.6, 2.4):
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "sync", "--as-of", "2026-11-20"],
            cwd=firm.folder,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
    import sqlalchemy as sa

    with firm.store.begin() as connection:  # the dead run's lease, as if it had run out
        connection.execute(sa.text("UPDATE leases SET expires_at = 0"))
    done = huikuan("sync", "--as-of", "2026-11-20", cwd=firm.folder)
    assert done.returncode == 0, done.stderr
    assert [
        (r["contract"], r["term"]) for r in json.loads(huikuan("ready", "--json", "--all", cwd=firm.folder).stdout)
    ] == [("C-1", "T1")]


@pytest.mark.slow
def test_the_demo_runs_without_anything(tmp_path: Path) -> None:
    shown = huikuan("demo", "--no-prefect", "--folder", "demo", cwd=tmp_path, language="zh-CN")
    assert shown.returncode == 0, shown.stderr
    assert "HT-2026-018" in shown.stdout
    assert {p.name for p in (tmp_path / "demo" / "out").iterdir()} >= {
        "ready-to-invoice.xlsx",
        "ready-to-invoice.en.html",
        "data-docs",
    }


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_demos_give_the_same_bytes(tmp_path: Path) -> None:
    import hashlib

    def run(name: str) -> dict[str, str]:
        assert huikuan("demo", "--no-prefect", "--folder", name, cwd=tmp_path).returncode == 0
        out = tmp_path / name / "out"
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in out.iterdir() if p.is_file()}

    assert run("one") == run("two")


def test_a_new_connector_is_red_at_once_and_says_what_to_fill_in(tmp_path: Path) -> None:
    assert huikuan("connectors", "new", "acme", cwd=tmp_path).returncode == 0
    root = tmp_path / "huikuan-acme"
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{root}"}
    red = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=root,
        env=env,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert red.returncode == 1
    assert "NotImplementedError: TODO 1 (account)" in red.stdout
    assert "passed" in red.stdout.splitlines()[-1]  # what the base does is green already
    assert huikuan("connectors", "new", "acme", cwd=tmp_path).returncode == 2  # nothing is overwritten
    assert huikuan("connectors", "new", "../evil", cwd=tmp_path).returncode == 2


def test_forecast_is_cash_by_month_with_what_it_rests_on(firm) -> None:
    """The plan of 1 December and ten days to pay; ready already: an invoice of today and ten days."""
    huikuan("sync", "--as-of", "2026-11-20", cwd=firm.folder)
    told = json.loads(huikuan("forecast", "--as-of", "2026-11-20", "--json", cwd=firm.folder).stdout)
    assert told == {
        "as_of": "2026-11-20",
        "months": [
            {"month": "2026-11", "currency": "CNY", "gross": "400.00", "terms": 1, "overdue": "0.00"},
            {"month": "2026-12", "currency": "CNY", "gross": "600.00", "terms": 1, "overdue": "0.00"},
        ],
        "undated": [],
        "behaviour": [],
        "terms_without_a_date": 0,
        "assumed": [{"currency": "CNY", "how": "none", "gross": "1000.00"}],
    }
    shown = huikuan("forecast", "--as-of", "2026-11-20", "--moves", "--by", "week", cwd=firm.folder)
    assert (shown.returncode, "2026-W50" in shown.stdout, "no earlier run" in shown.stdout) == (0, True, True)
    assert huikuan("forecast", "--by", "year", cwd=firm.folder).returncode == 2


def test_check_tries_the_notify_urls_without_telling_them(tmp_path: Path) -> None:
    (tmp_path / "huikuan.toml").write_text('[[notify]]\nrole = "finance"\non = ["ready"]\nurl = {env = "NOTIFY"}\n')
    shown = huikuan("check", cwd=tmp_path, NOTIFY="nosuchscheme://t0p-s3cr3t@x")
    assert shown.returncode == 1
    assert "NOTIFY_URL" in shown.stdout
    assert "t0p-s3cr3t" not in shown.stdout + shown.stderr
    assert huikuan("check", cwd=tmp_path, NOTIFY="json://127.0.0.1:9/x").returncode == 0


def test_explain_says_how_the_milestone_stands_that_is_waited_for(firm) -> None:
    huikuan("sync", cwd=firm.folder)
    milestone = firm.world.find("M1")
    assert "field of the source" in huikuan("explain", "C-1", cwd=firm.folder).stdout
    firm.world.move(milestone, "进行中", firm.at(date(2026, 11, 19)), "李强")
    huikuan("sync", "--full", cwd=firm.folder)
    shown = huikuan("explain", "C-1", cwd=firm.folder).stdout
    assert "M1 stands at 进行中" in shown
    assert "M1 的状态是 进行中" in huikuan("explain", "C-1", cwd=firm.folder, language="zh-CN").stdout
    wrong = huikuan("explain", "C-2", cwd=firm.folder)
    assert (wrong.returncode, "C-1" in wrong.stderr) == (2, True)


def test_an_event_of_the_future_is_not_recorded(firm) -> None:
    huikuan("sync", cwd=firm.folder)
    shown = huikuan("record", "C-1", "second", "2099-01-01", "--by", "Li", cwd=firm.folder)
    assert shown.returncode == 2
    assert "has not come yet" in shown.stderr
    assert "2026-13-01 cannot be read" in huikuan("ready", "--as-of", "2026-13-01", cwd=firm.folder).stderr


def test_the_page_names_every_key_that_json_prints(firm) -> None:
    """docs/commands.md, against what the commands print about a company with something in every list."""
    firm.contract("C-2", first="nowhere")
    case = ROOT / "tests" / "golden" / "late_document" / "case.yaml"
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8").split("## JSON")[1].splitlines()
    printed = {}
    for line in ("sync", "ready", "explain C-1", "bind", "forecast", "check", f"evaluate {case}", "connectors list"):
        words = line.split()
        printed[" ".join(words[: 2 if words[0] == "connectors" else 1])] = json.loads(
            huikuan(*words, "--json", cwd=firm.folder).stdout
        )
    for name, body in printed.items():
        (row,) = (r for r in page if r.startswith(f"| `{name}` |"))
        assert body, name
        told = set(re.findall(r"\w+", row))
        assert _keys(body) <= told, f"{name}: {sorted(_keys(body) - told)} are not on the page"


def _keys(body: object, depth: int = 0) -> set[str]:
    """The names of keys; not those below `values` and `facts`, and not the names of terms."""
    if isinstance(body, list):
        return set[str]().union(*(_keys(x, depth) for x in body))
    if not isinstance(body, dict) or depth > 1:
        return set()
    inner = (_keys(v, depth + 1) for k, v in body.items() if k not in ("values", "facts", "terms", "totals", "notices"))
    return set(body).union(*inner)
