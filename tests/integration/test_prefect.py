"""The night as a Prefect flow on a real server: run, artifacts, deployed and carried out by a worker."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import httpx
import pytest

from connectors.kit.sandbox.world import Fault
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


def _post(api: str, path: str, **asked: object) -> list[dict]:
    return httpx.post(f"{api}/{path}/filter", json=asked, timeout=30, trust_env=False).raise_for_status().json()


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Dask scheduler and two workers, each a process of its own."""
    folder, port = tmp_path_factory.mktemp("dask"), free_port()
    common = {"cwd": ROOT, "env": {**os.environ, "PYTHONPATH": str(ROOT)}, "stderr": subprocess.DEVNULL}
    scheduler = [str(BIN / "dask"), "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    worker = [str(BIN / "dask"), "worker", f"tcp://127.0.0.1:{port}", "--no-dashboard", "--no-nanny", "--nthreads", "1"]
    started = [subprocess.Popen(scheduler, **common)]
    started += [subprocess.Popen([*worker, "--local-directory", str(folder / n)], **common) for n in ("a", "b")]
    yield f"tcp://127.0.0.1:{port}"
    for process in reversed(started):
        process.kill()
        process.wait()


def test_contracts_are_judged_on_dask_workers_and_posted_once(tmp_path: Path, api: str, dask: str, url: str) -> None:
    with company(tmp_path, url, more=f'[run]\nchecks = false\ndask = "{dask}"\n') as firm:
        for number in range(12):
            firm.contract(f"C-{number}")
        firm.world.move(firm.world.find("M1"), "已完成", firm.at(date(2026, 11, 18)), "Li")
        done = _huikuan("sync", "--as-of", "2026-11-20", "--json", cwd=tmp_path, env=_environment(api, tmp_path / "p"))
        assert done.stdout, done.stderr[-3000:]
        assert json.loads(done.stdout)["posted"] == 12
        assert firm.records() == sorted((f"C-{n}", "T1", 1, "ready") for n in range(12))
        again = _huikuan("sync", "--full", "--json", cwd=tmp_path, env=_environment(api, tmp_path / "p"))
        assert again.stdout, again.stderr[-3000:]
        assert json.loads(again.stdout)["posted"] == 0
    shards = [run["state_type"] for run in _post(api, "task_runs") if run["name"].startswith("judge")]
    assert len(shards) >= 2
    assert set(shards) == {"COMPLETED"}


def test_dask_with_sqlite_is_refused_with_what_to_do(tmp_path: Path, api: str) -> None:
    with company(tmp_path, more='[run]\nchecks = false\ndask = "tcp://127.0.0.1:1"\n'):
        done = _huikuan("sync", cwd=tmp_path, env=_environment(api, tmp_path / "p"))
    assert done.returncode == 2
    assert "Use PostgreSQL" in done.stderr


def test_sync_runs_as_a_flow_with_artifacts_and_named_states(tmp_path: Path, api: str) -> None:
    with company(tmp_path) as firm:
        firm.contract("C-1")
        firm.world.move(firm.world.find("M1"), "已完成", firm.at(date(2026, 11, 18)), "Li")
        done = _huikuan(
            "sync", "--as-of", "2026-11-20", "--json", cwd=tmp_path, env=_environment(api, tmp_path / "home")
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["posted"] == 1
    run = _post(api, "flow_runs", sort="EXPECTED_START_TIME_DESC")[0]
    assert run["state"]["name"] == "Done"
    of_the_run = {"flow_run_id": {"any_": [run["id"]]}}  # other tests leave artifacts on this server, too
    shown = {a["key"]: a["data"] for a in _post(api, "artifacts", artifacts=of_the_run)}
    assert shown.keys() >= {"ready-to-invoice", "blocked", "connections", "night", "ready-to-invoice-html"}
    (line,) = json.loads(shown["ready-to-invoice"])
    assert (line["Contract"], line["Amount"]) == ("C-1", "CNY 400.00")
    assert {c["Connection"]: c["State"] for c in json.loads(shown["connections"])} == {"rd": "done", "ops": "done"}
    assert {t["name"].rsplit("-", 1)[0] for t in _post(api, "task_runs", flow_runs={"id": {"any_": [run["id"]]}})} >= {
        "pull",
        "match and post",
        "report",
    }


def test_a_night_in_part_and_one_that_failed_are_told_apart(tmp_path: Path, api: str) -> None:
    with company(tmp_path) as firm:
        env = _environment(api, tmp_path / "home")
        firm.contract("C-1")
        firm.world.faults.append(Fault("/mission/", "status", times=10_000, status=403))
        part = _huikuan("sync", "--as-of", "2026-11-20", "--json", cwd=tmp_path, env=env)
        assert part.returncode == 3, part.stderr
        assert "In part" in [r["state"]["name"] for r in _post(api, "flow_runs")]
        before = len([r for r in _post(api, "flow_runs") if r["state"]["type"] == "FAILED"])
        failed = _huikuan("sync", "--as-of", "2026-11-19", cwd=tmp_path, env=env)
        assert failed.returncode == 2
        assert "--dry-run" in failed.stderr
        assert len([r for r in _post(api, "flow_runs") if r["state"]["type"] == "FAILED"]) == before + 1


def test_a_secret_comes_from_a_block_also_inside_a_running_flow(tmp_path: Path, api: str) -> None:
    code = """
import asyncio
from pathlib import Path
from prefect import flow
from prefect.blocks.system import Secret
from flows.settings import SettingsError, load_settings

asyncio.run(Secret(value="of-the-block").asave("pm-key", overwrite=True))

@flow
async def night():
    return load_settings(Path("huikuan.toml")).settings.connections["pm"].options["api_key"]

print(asyncio.run(night()))
text = Path("huikuan.toml").read_text()
Path("huikuan.toml").write_text(text.replace("pm-key", "no-such-block"))
try:
    load_settings(Path("huikuan.toml"))
except SettingsError as problem:
    print([f.code for f in problem.findings])
"""
    (tmp_path / "huikuan.toml").write_text(
        '[connections.pm]\nsystem = "redmine"\nbase_url = "https://pm.example.com"\napi_key = {secret_block = "pm-key"}\n'
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=_environment(api, tmp_path / "home") | {"PREFECT_LOGGING_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.split("\n")[:2] == ["of-the-block", "['SECRET_ABSENT']"], done.stderr


def test_the_file_for_prefect_deploy_registers_the_same_as_the_command(tmp_path: Path, api: str) -> None:
    env = _environment(api, tmp_path / "home")
    (tmp_path / "huikuan.toml").write_text("")
    shutil.copy(ROOT / "deployments" / "prefect.yaml", tmp_path)
    for _ in range(2):  # a second time changes nothing
        assert _huikuan("deploy", cwd=tmp_path, env=env).returncode == 0
    by_command = _deployment(api)
    told = subprocess.run(
        [str(BIN / "prefect"), "--no-prompt", "deploy", "--all", "--prefect-file", "prefect.yaml"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert _deployment(api) == by_command


def _deployment(api: str) -> tuple[object, ...]:
    """What counts of the one deployment: what runs, when, and how many at once."""
    (found,) = [d for d in _post(api, "deployments") if d["name"] == "nightly" and d["work_pool_name"] == "huikuan"]
    (schedule,) = found["schedules"]
    when = (schedule["schedule"]["cron"], schedule["schedule"]["timezone"], schedule["active"])
    return found["entrypoint"], when, found["global_concurrency_limit"]["limit"], found["tags"]


def test_deployed_with_its_schedule_and_run_by_a_worker(tmp_path: Path, api: str) -> None:
    with company(tmp_path) as firm:
        firm.contract("C-1")
        env = _environment(api, tmp_path / "home")
        told = _huikuan("deploy", "--pool", "nights", cwd=tmp_path, env=env)
        assert told.returncode == 0, told.stderr
        (deployment,) = [d for d in _post(api, "deployments") if d["work_pool_name"] == "nights"]
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
