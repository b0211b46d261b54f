"""A store of its own, a clock that can be turned, and a MailDev for the session."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from connectors.store import Store, open_store
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


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store(f"sqlite:///{tmp_path / 'huikuan.db'}", create=True)
    yield made
    made.dispose()


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
