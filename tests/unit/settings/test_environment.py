"""No dependency phones home, unless the operator says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.environment import QUIET

ROOT = Path(__file__).parents[3]

#: Put on the path of every process of a run: each writes down what it would connect to.
SPY = """
import os, sys
def seen(event, args):
    if event == "socket.connect":
        host = args[1][0] if isinstance(args[1], tuple) else ""
    elif event == "socket.getaddrinfo":
        host = args[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else str(host or "")
    if host not in ("", "127.0.0.1", "::1", "localhost", "0.0.0.0", "::"):
        with open(os.environ["SPY_FILE"], "a", encoding="utf-8") as file:
            file.write(f"{event} {host}\\n")
sys.addaudithook(seen)
with open(os.environ["SPY_FILE"] + ".processes", "a", encoding="utf-8") as file:
    file.write(" ".join(sys.orig_argv) + "\\n")
"""


def spied(folder: Path, *arguments: str, **more: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run Python with the spy in it and in all its children."""
    (folder / "spy").mkdir()
    (folder / "spy" / "sitecustomize.py").write_text(SPY, encoding="utf-8")
    kept = {k: v for k, v in os.environ.items() if k not in QUIET and not k.startswith(("PREFECT_", "HUIKUAN_"))}
    # Prefect is quiet where it believes to be in CI; here it must not need that.
    for name in ("CI", "GITHUB_ACTIONS", "PYTEST_CURRENT_TEST", "BUILD_ID", "BUILD_NUMBER"):
        kept.pop(name, None)
    paths = os.pathsep.join((str(folder / "spy"), str(ROOT)))
    env = kept | {"PYTHONPATH": paths, "SPY_FILE": str(folder / "seen"), "HUIKUAN_LANGUAGE": "en"} | more
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=240
    )
    seen = folder / "seen"
    return done, seen.read_text(encoding="utf-8").splitlines() if seen.exists() else []


def test_the_spy_sees(tmp_path: Path) -> None:
    code = "import socket\ntry: socket.getaddrinfo('telemetry.invalid', 443)\nexcept OSError: pass"
    assert spied(tmp_path, "-c", code)[1] == ["socket.getaddrinfo telemetry.invalid"]


def test_what_the_operator_set_stays(tmp_path: Path) -> None:
    code = "import json, os\nfrom flows.environment import be_quiet\nbe_quiet()\nprint(json.dumps(dict(os.environ)))"
    done, _ = spied(tmp_path, "-c", code, GX_ANALYTICS_ENABLED="true")
    given = json.loads(done.stdout)
    assert given["GX_ANALYTICS_ENABLED"] == "true"
    assert {k: given[k] for k in QUIET.keys() - {"GX_ANALYTICS_ENABLED"}} == {
        k: v for k, v in QUIET.items() if k != "GX_ANALYTICS_ENABLED"
    }


def test_importing_the_flow_switches_telemetry_off_before_prefect_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys, os, builtins\nreal = builtins.__import__\n"
        "def spy(name, *a, **k):\n"
        "    if name.partition('.')[0] in ('prefect', 'great_expectations'):\n"
        "        assert os.environ.get('DO_NOT_TRACK') == '1', name\n"
        "    return real(name, *a, **k)\n"
        "builtins.__import__ = spy\nimport flows.nightly\nassert 'prefect' in sys.modules"
    )
    done, _ = spied(tmp_path, "-c", code, PREFECT_HOME=str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr[-800:]


@pytest.mark.slow
@pytest.mark.timeout(250)
def test_a_whole_night_talks_to_nobody_else(tmp_path: Path) -> None:
    """The demo, with Great Expectations at both doors, Data Docs, reports and charts."""
    done, seen = spied(tmp_path, "-m", "flows.cli", "demo", "--no-prefect", "--folder", str(tmp_path / "demo"))
    assert done.returncode == 0, done.stderr[-800:]
    assert (tmp_path / "demo" / "out" / "data-docs" / "index.html").exists()
    assert seen == []


@pytest.mark.slow
def test_without_a_server_prefect_is_not_even_imported(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom flows.cli import app\n"
        "try: app(['sync', '--config', 'huikuan.toml'], standalone_mode=False)\nexcept SystemExit: pass\n"
        "sys.exit(any(m.partition('.')[0] in ('prefect', 'great_expectations') for m in sys.modules))"
    )
    (tmp_path / "huikuan.toml").write_text("", encoding="utf-8")
    done, seen = spied(tmp_path, "-c", code)
    assert (done.returncode, seen) == (0, []), done.stderr[-800:]
    assert (tmp_path / "huikuan.db").exists()


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.timeout(250)
def test_a_night_on_a_temporary_prefect_server_talks_to_nobody_else(tmp_path: Path) -> None:
    arguments = ("demo", "--prefect", "--folder", str(tmp_path / "demo"))
    done, seen = spied(tmp_path, "-m", "flows.cli", *arguments, PREFECT_HOME=str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr[-800:]
    assert seen == []
    processes = (tmp_path / "seen.processes").read_text(encoding="utf-8")
    assert "uvicorn" in processes  # the server was watched too
