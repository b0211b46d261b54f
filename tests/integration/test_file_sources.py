"""A contract that waits for a row of a table and a task of a plan: configured, checked, pulled, ready."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.integration.test_cli import huikuan

CONFIG = """
[contracts]
paths = ["contracts/*.yaml"]
[connections.sheet]
system = "table"
path = ["progress/*.csv"]
id_field = "编号"
name_field = "里程碑"
project_field = "项目"
done_field = "状态"
done_values = ["已完成"]
date_field = "完成日期"
[connections.plan]
system = "mspdi"
path = ["plans/*.xml"]
[connections.tap]
system = "singer"
command = ["PYTHON", "TAP"]
config = {env = "TAP_CONFIG"}
stream = "issues"
id_field = "id"
name_field = "title"
project_name = "ZHYQ"
done_field = "closed"
done_values = ["true"]
date_field = "closed_at"
"""
CONTRACT = """
contract: C-1
title: 智慧园区
customer: {name: 恒拓}
supplier: {name: 星澜}
currency: CNY
timezone: Asia/Shanghai
calendar: CN
price_basis: tax_inclusive
lines: [{id: DEV, amount: "1000.00", tax_rate: 6%}]
events:
  m_sheet: {milestone: {connection: sheet, project: ZHYQ, name: 初验}}
  m_plan: {milestone: {connection: plan, project: ZHYQ, name: 终验}}
  m_tap: {milestone: {connection: tap, project: ZHYQ, name: 移交}}
terms:
  - {id: T1, name: 款, amount: 100%, when: {all: [m_sheet, m_plan, m_tap]}, due: {start: ready, add: {days: 30}}}
"""
PLAN = """<?xml version="1.0"?><Project xmlns="http://schemas.microsoft.com/project"><Tasks><Task><UID>7</UID><Name>终验</Name>
<OutlineLevel>1</OutlineLevel><Milestone>1</Milestone><PercentComplete>100</PercentComplete><ActualFinish>2026-11-18T17:00:00</ActualFinish>
</Task></Tasks></Project>"""
TAP = """
import json
print(json.dumps({"type": "SCHEMA", "stream": "issues", "schema": {}}))
print(json.dumps({"type": "RECORD", "stream": "issues", "record": {"id": 1, "title": "移交", "closed": True, "closed_at": "2026-11-17"}}))
print(json.dumps({"type": "STATE", "value": {"since": "2026-11-17"}}))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("contracts", "progress", "plans"):
        (tmp_path / name).mkdir()
    config = CONFIG.replace("PYTHON", sys.executable).replace('TAP"]', f'{tmp_path / "tap.py"}"]')
    (tmp_path / "huikuan.toml").write_text(config, encoding="utf-8")
    (tmp_path / "contracts/c1.yaml").write_text(CONTRACT, encoding="utf-8")
    (tmp_path / "progress/a.csv").write_text(
        "编号,里程碑,项目,状态,完成日期\n1,初验,ZHYQ,已完成,2026/11/16\n,x,ZHYQ,,\n", encoding="utf-8"
    )
    (tmp_path / "plans/ZHYQ.xml").write_text(PLAN, encoding="utf-8")
    (tmp_path / "tap.py").write_text(TAP, encoding="utf-8")
    (tmp_path / "tap.json").write_text("{}")
    return tmp_path


def test_three_files_make_one_term_ready(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")  # paths begin at the configuration, wherever one stands
    given = ["--config", str(folder / "huikuan.toml")]
    tap = {"TAP_CONFIG": str(folder / "tap.json")}
    checked = huikuan("check", *given, cwd=elsewhere, **tap)
    assert "sheet" in checked.stdout, checked.stderr
    assert "failed" not in checked.stdout, checked.stdout
    done = huikuan("sync", *given, "--as-of", "2026-11-20", "--json", cwd=elsewhere, **tap)
    assert done.returncode in (0, 1), done.stderr
    assert "PROOF_FIELD_MISSING" in done.stdout + done.stderr  # the row without an id
    (record,) = json.loads(huikuan("ready", *given, "--json", cwd=elsewhere, **tap).stdout)
    assert (record["contract"], record["ready_on"], record["gross"]) == ("C-1", "2026-11-18", "1000.00")
    assert {e["source"].split("/")[0].split(":")[0] for e in record["evidence"]} >= {"sheet", "plan", "tap"}
