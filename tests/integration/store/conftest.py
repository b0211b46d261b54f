"""The same suite on both databases: a file of SQLite, a new database of PostgreSQL for each test."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from connectors.store import Store, open_store
from connectors.store.engine import open_unchecked, upgrade

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.server)]


@pytest.fixture(params=BOTH)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without a schema."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store' / 'huikuan.db'}"
    port = request.getfixturevalue("postgres")
    name = f"s{uuid.uuid4().hex[:10]}"
    with psycopg.connect(host="127.0.0.1", port=port, user="postgres", password="pg", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    return f"postgresql+psycopg://postgres:pg@127.0.0.1:{port}/{name}"


@pytest.fixture
def url(empty_url: str) -> str:
    """A database with the schema."""
    store = open_unchecked(empty_url)
    upgrade(store)
    store.dispose()
    return empty_url


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """An open store."""
    opened = open_store(url)
    yield opened
    opened.dispose()


def in_a_child(work: Callable[[], object]) -> int:
    """Do something in a process of its own; its exit code (0: well, 9 with a minus: killed)."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die() -> None:
    """As a power cut does it: nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)
