"""Hints and comments in PostgreSQL: the same keys, the same upserts, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

from connectors.store import Store, open_store
from connectors.store.bulk import fetch
from flows.steps import hints
from tests.integration.hooks.test_write_back import _done, later, texts, writing_company

pytestmark = pytest.mark.server


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    found = open_store(url)
    yield found
    found.dispose()


def test_of_many_receivers_one_lets_a_delivery_in(store: Store) -> None:
    with ThreadPoolExecutor(8) as many:
        came = list(many.map(lambda _: hints.receive(store, "rd", ("a", "b"), None, 100, 60, 5), range(16)))
    assert sorted(came) == [False] * 15 + [True]
    assert not hints.receive(store, "rd", ("new", "b"), None, 150, 60, 5)
    assert hints.receive(store, "rd", ("new",), None, 150, 60, 5)  # what was refused left nothing behind
    assert hints.receive(store, "rd", ("a", "b"), None, 161, 60, 5)


def test_a_hint_that_is_renewed_survives_its_clearing(store: Store) -> None:
    assert hints.receive(store, "rd", ("a",), None, 100, 60, 5)
    assert hints.due(store, "rd", 104) == []
    before = hints.due(store, "rd", 105)
    assert hints.receive(store, "rd", ("b",), None, 106, 60, 5)
    hints.clear(store, before)
    now = hints.due(store, "rd", 106)
    hints.postpone(store, now, 106, failed=True)
    assert hints.due(store, "rd", 106) == []
    again = hints.due(store, "rd", 106 + hints.FIRST_WAIT)
    assert [h.attempts for h in again] == [1]
    hints.clear(store, again)
    assert hints.due(store, "rd", 10**6) == []


def test_a_night_writes_back_once(url: str, tmp_path: Path) -> None:
    with writing_company(tmp_path, store_url=url) as firm:
        _done(firm)
        assert firm.night(day=date(2026, 11, 20)).written_back["sent"] == 1
        later(firm)
        firm.night(day=date(2026, 11, 20), full=True)
        assert len(texts(firm)) == 1
        with firm.store.read() as reader:
            assert fetch(reader, "SELECT COUNT(*) FROM comments WHERE sent_at IS NULL") == [(0,)]
