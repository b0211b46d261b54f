"""The night as a Prefect flow on a real server: run, artifacts, deployed and carried out by a worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import httpx
import pytest

from tests.fakes.company import company
from tests.integration.conftest import _start, free_port

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.timeout(280)]
ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    pid = _start("prefect_start.sh", tmp_path_factory.mktemp("prefect"), str(port), str(BIN))
    yield f"http://127.0.0.1:{port}/api"
    os.killpg(os.getpgid(pid), signal.SIGTERM)


def _environment(api: str, home: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "HUIKUAN_"))}
    return kept | {
        "PREFECT_API_URL": api,
        "PREFECT_HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "HUIKUAN_LANGUAGE": "en",
        "PREFECT_LOGGING_LEVEL": "WARNING",
    }


def _huikuan(*arguments: str, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=120
    )


def _post(api: str, path: str) -> list[dict]:
    return httpx.post(f"{api}/{path}/filter", json={}, timeout=30, trust_env=False).raise_for_status().json()


def test_sync_runs_as_a_flow_with_artifacts_and_named_states(tmp_path: Path, api: str) -> None:
    with company(tmp_path) as firm:
        firm.contract("C-1")
        firm.world.move(firm.world.find("M1"), "已完成", firm.at(date(2026, 11, 18)), "Li")
        done = _huikuan(
            "sync", "--as-of", "2026-11-20", "--json", cwd=tmp_path, env=_environment(api, tmp_path / "home")
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["posted"] == 1
    assert "Done" in [r["state"]["name"] for r in _post(api, "flow_runs")]
    assert {a["key"] for a in _post(api, "artifacts")} >= {"ready-to-invoice", "blocked", "night"}
    assert {t["name"].rsplit("-", 1)[0] for t in _post(api, "task_runs")} >= {"pull", "match and post", "report"}


def test_deployed_with_its_schedule_and_run_by_a_worker(tmp_path: Path, api: str) -> None:
    with company(tmp_path) as firm:
        firm.contract("C-1")
        env = _environment(api, tmp_path / "home")
        told = _huikuan("deploy", "--pool", "nights", cwd=tmp_path, env=env)
        assert told.returncode == 0, told.stderr
        (deployment,) = [d for d in _post(api, "deployments") if d["name"] == "nightly"]
        (schedule,) = deployment["schedules"]
        assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == ("30 2 * * *", "Asia/Shanghai")
        run = (
            httpx.post(f"{api}/deployments/{deployment['id']}/create_flow_run", json={}, timeout=30, trust_env=False)
            .raise_for_status()
            .json()
        )
        worker = subprocess.Popen(
            [str(BIN / "prefect"), "worker", "start", "--pool", "nights", "--limit", "1"],
            cwd=tmp_path,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            state = {}
            for _ in range(180):
                state = httpx.get(f"{api}/flow_runs/{run['id']}", timeout=30, trust_env=False).json()["state"]
                if state["type"] in ("COMPLETED", "FAILED", "CRASHED"):
                    break
                time.sleep(1)
        finally:
            worker.terminate()
            worker.wait(timeout=30)
        assert state["type"] == "COMPLETED", state
        with firm.store.read() as connection:
            from connectors.store.bulk import fetch

            assert fetch(connection, "SELECT COUNT(*) FROM runs WHERE state = 'done'") == [(1,)]
