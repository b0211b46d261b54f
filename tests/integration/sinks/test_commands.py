"""What a person types and reads: sinks, check, sync, over a company with three sinks."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from connectors.sinks.registry import sink
from flows.cli import app
from tests.fakes.company import Company, company
from tests.unit.sinks.pushing import complete, push, ready, withdrawn

SINKS = """
[sinks.finance]
kind = "csv_drop"
folder = "drop"
[sinks.bi]
kind = "sql_drop"
url = "sqlite:///bi.db"
[sinks.hook]
kind = "webhook"
url = "http://127.0.0.1:9/in"
secret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
"""


@pytest.fixture
def firm(tmp_path: Path):
    (tmp_path / "drop").mkdir()
    with company(tmp_path, more=SINKS.replace("secret =", 'secret = {env = "PATH"} #')) as it:
        yield it


def _run(firm: Company, *arguments: str, code: int) -> str:
    done = CliRunner().invoke(app, [*arguments, "--config", str(firm.folder / "huikuan.toml")], catch_exceptions=False)
    assert done.exit_code == code, done.output
    return done.stdout


def _ready(firm: Company) -> None:
    _run(firm, "go-live", code=0)
    firm.contract("C-1")
    firm.world.move(firm.world.find("M1"), "已完成", firm.at(date(2026, 11, 18)), "Li")
    firm.night()


def test_a_wrong_sink_fails_alone_and_check_says_why(firm: Company) -> None:
    """The webhook's key is none: the other two get theirs."""
    _ready(firm)
    told = json.loads(_run(firm, "sinks", "--json", code=0))
    assert {(x["sink"], x["state"]) for x in told} == {("finance", "done"), ("bi", "done"), ("hook", "pending")}
    assert set(told[0]) == {
        "sink", "record_id", "contract", "term", "kind", "state", "attempts", "reference", "error", "advice", "owed_at",
        "next_at",
    }  # fmt: skip
    checked = json.loads(_run(firm, "check", "--json", code=1))["sinks"]
    assert [(x["name"], x["state"]) for x in checked] == [("finance", "ok"), ("bi", "ok"), ("hook", "invalid")]
    assert "whsec_" in checked[2]["message"]


def test_the_list_for_people(firm: Company) -> None:
    assert "go-live" in _run(firm, "sinks", code=0)
    _ready(firm)
    text = _run(firm, "sinks", code=0)
    assert "finance" in text
    assert "C-1/T1" in text


def test_a_person_settles_or_is_told_how(firm: Company) -> None:
    _ready(firm)
    (record,) = [r.record_id for r in firm.board().ready]
    _run(firm, "sinks", "--settle", record, code=2)  # by whom?
    _run(firm, "sinks", "--settle", "no-such-record", "--by", "Wang", code=2)
    _run(firm, "sinks", "--settle", record, "--by", "Wang", code=0)
    told = {x["sink"]: x for x in json.loads(_run(firm, "sinks", "--json", code=0))}
    assert told["hook"]["state"] == "done"
    assert told["hook"]["reference"].startswith("Wang, ")


def test_a_dry_run_tells_and_leaves(firm: Company) -> None:
    _ready(firm)
    out = json.loads(_run(firm, "sync", "--dry-run", "--as-of", "2026-11-21", "--json", code=0))
    assert out["pushes"] == {"finance": 0, "bi": 0, "hook": 1}


@pytest.mark.server
def test_a_night_on_postgresql_pushes_once_and_takes_back(url: str, tmp_path: Path) -> None:
    """Our own store in the other database: owed, claimed, done, dropped, listed."""
    (tmp_path / "drop").mkdir()
    with company(tmp_path, url, more='[sinks.finance]\nkind = "csv_drop"\nfolder = "drop"\n') as firm:
        _ready(firm)
        assert firm.night().pushes == {}
        firm.world.move(firm.world.find("M1"), "进行中", firm.at(date(2026, 11, 20)), "Zhao")
        assert firm.night(day=date(2026, 11, 21)).pushes == {"done": 1}
        told = json.loads(_run(firm, "sinks", "--json", "--retry", "--backfill", code=0))
        assert sorted((x["kind"], x["state"]) for x in told) == [("ready", "done"), ("withdrawn", "done")]
        assert len(list((tmp_path / "drop").iterdir())) == 2


@pytest.mark.server
def test_a_table_in_postgresql(url: str) -> None:
    """The same table in the other database: one row a key, amounts as digits."""
    options = complete("sql_drop", {"url": url.replace("postgresql+psycopg", "postgresql")})
    assert not push("sql_drop", options, ready(gross=123_456_789_012_345_678)).found
    assert push("sql_drop", options, ready()).found
    push("sql_drop", options, withdrawn())
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT message, gross FROM huikuan_ready ORDER BY message")).all()
    assert [tuple(r) for r in rows] == [("ready", "1234567890123456.78"), ("withdrawn", "400.00")]
    assert sink("sql_drop").kind == "sql_drop"
