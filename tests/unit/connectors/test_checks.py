"""`check` tries the lists: what the night would be refused, and how many milestones there are, is told before it."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from connectors.errors import SourceRefused
from connectors.kit.conformance import Bench
from connectors.registry import connector, systems
from models.ports import Reachability

#: Asked only of what is done: a check cannot know.
DETAILS = re.compile(r"history|changes|activit|events|transition|reviews|changelog", re.IGNORECASE)
ALL = [s for s in systems() if connector(s).reads == "api"]
#: Its check counts by a question of another kind.
COUNTING_OTHERWISE = ("azure_devops",)
UNCOUNTED = ("pingcode",)


def _bench(system: str) -> Bench:
    info = connector(system)
    assert info.fake is not None
    fake: Any = info.fake()
    for number in range(3):
        fake.add(f"M{number}")
    return Bench(info, fake)


def _paths(bench: Bench) -> list[str]:
    return [r.url.path for r in bench.vendor.asked]


@pytest.mark.parametrize("system", [s for s in ALL if s not in COUNTING_OTHERWISE])
def test_a_list_that_may_not_be_read_is_told_by_check(system: str) -> None:
    """Every list that a pull reads of the first project, refused, is missing in the check, with its request."""
    pulled = _bench(system)
    pulled.pull()
    for path in dict.fromkeys(p for p in _paths(pulled) if not DETAILS.search(p)):
        bench = _bench(system)
        honest = bench.vendor.answer

        def answer(request: httpx.Request, path: str = path, honest: Any = honest) -> httpx.Response:
            if request.url.path == path:
                return httpx.Response(403, headers={"content-type": "application/json"}, content=b"{}")
            told: httpx.Response = honest(request)
            return told

        bench.vendor.answer = answer  # type: ignore[method-assign]
        try:
            found: Reachability = bench.check()
        except SourceRefused:
            continue
        assert found.missing, f"{path} is refused, and check says nothing"


@pytest.mark.parametrize("system", ALL)
def test_a_check_counts_what_its_first_pages_show_and_asks_little(system: str) -> None:
    bench = _bench(system)
    found = bench.check()
    assert found.milestones == (None if system in UNCOUNTED else 3)
    assert found.missing == ()
    assert len(bench.vendor.asked) <= 25
