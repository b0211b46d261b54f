"""A store of its own, a clock that can be turned, and a MailDev for the session."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from connectors.store import Store, open_store
from connectors.store.engine import open_unchecked, upgrade
from flows.steps.post import owe
from models.domain.notices import Notice
from tests.integration.conftest import SCRIPTS, _start, free_port


@dataclass
class Clock:
    """Epoch seconds, moved by hand."""

    now: int = 1_800_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.server)])
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    """An empty store, on both databases."""
    if request.param == "sqlite":
        made = open_store(f"sqlite:///{tmp_path / 'huikuan.db'}", create=True)
    else:
        made = open_unchecked(_database(request.getfixturevalue("postgres")))
        upgrade(made)
    yield made
    made.dispose()


def _database(port: int) -> str:
    name = f"n{uuid.uuid4().hex[:8]}"
    with psycopg.connect(host="127.0.0.1", port=port, user="postgres", password="pg", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    return f"postgresql+psycopg://postgres:pg@127.0.0.1:{port}/{name}"


def put(store: Store, notices: list[Notice], now: int = 1_800_000_000) -> int:
    """Owe notices; how many were new."""
    with store.begin() as connection:
        return owe(connection, notices, now)


@pytest.fixture(scope="session")
def maildev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The REST port of a MailDev; SMTP listens on the next one."""
    if not (SCRIPTS.parents[1] / ".cache/servers/node_modules/.bin/maildev").exists():
        pytest.skip("MailDev is not installed (tests/servers/install.sh does it)")
    port = free_port()
    pid = _start("maildev_start.sh", tmp_path_factory.mktemp("maildev"), str(port))
    yield port
    os.kill(pid, signal.SIGTERM)
