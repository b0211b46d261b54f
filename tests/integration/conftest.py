"""Real servers: Redmine and PostgreSQL, one of each for the whole session."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import psycopg
import pytest

from connectors.store.engine import open_unchecked, upgrade

SCRIPTS = Path(__file__).parents[1] / "servers"
KEY = "0123456789abcdef0123456789abcdef01234567"


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(script: str, folder: Path, *arguments: str) -> int:
    done = subprocess.run(
        ["bash", str(SCRIPTS / script), str(folder), *arguments], capture_output=True, text=True, timeout=180
    )
    if done.returncode:
        pytest.fail(f"{script}: {done.stderr[-500:]}")
    return int(done.stdout.split()[-1])


@pytest.fixture(scope="session")
def redmine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, int]]:
    """(base url, key, pid) of a fresh Redmine."""
    if not Path("/usr/share/redmine/Gemfile.local").exists():
        pytest.skip("Redmine is not installed (tests/servers/install.sh does it)")
    folder, port = tmp_path_factory.mktemp("redmine"), free_port()
    pid = _start("redmine_start.sh", folder, str(port), KEY)
    yield f"http://127.0.0.1:{port}", KEY, pid
    os.kill(pid, signal.SIGCONT)
    os.kill(pid, signal.SIGTERM)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a fresh PostgreSQL; user postgres, password pg."""
    if shutil.which("initdb") is None and not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        pytest.skip("PostgreSQL is not installed")
    folder, port = tmp_path_factory.mktemp("pg"), free_port()
    folder.chmod(0o755)
    for parent in takewhile(lambda p: p != Path(tempfile.gettempdir()), folder.parents):
        parent.chmod(0o755)  # the server is another user
    pid = _start("postgres_start.sh", folder, str(port))
    yield port
    os.kill(pid, signal.SIGINT)


@pytest.fixture
def url(postgres: int) -> str:
    """A new, empty database with the schema in it."""
    name = f"h{uuid.uuid4().hex[:8]}"
    with psycopg.connect(host="127.0.0.1", port=postgres, user="postgres", password="pg", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    address = f"postgresql+psycopg://postgres:pg@127.0.0.1:{postgres}/{name}"
    store = open_unchecked(address)
    upgrade(store)
    store.dispose()
    return address
