"""Nights of GitLab and GitHub with anything happening between them: what is known is what a first pull would see."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.github.fake import GitHubFake
from connectors.gitlab.fake import GitLabFake
from connectors.kit.conformance import Bench
from connectors.kit.fakes import Item, Row, ScriptedVendor
from connectors.registry import connector
from models.domain.observations import Observation

DAY = 86_400
EVENTS = ("add", "finish", "reopen", "rename", "remove", "issue", "close", "open", "move")


def _happens(vendor: ScriptedVendor, what: str, chance: random.Random, settled: set[str]) -> None:
    """One thing, to something that is picked by chance; nothing where it cannot happen."""
    alive = [i for i in vendor.items.values() if not i.removed]
    item = chance.choice(alive) if alive else None
    if what == "add":
        new = vendor.add(f"M{len(vendor.items)}", chance.randrange(2))
        if isinstance(vendor, GitLabFake) and chance.random() < 0.3:
            vendor.in_group.add(new.id)
    elif item is not None and what in ("finish", "reopen"):
        if item.done is (what == "reopen"):
            (vendor.finish if what == "finish" else vendor.reopen)(item)
    elif item is not None and what == "rename":
        vendor.rename(item, f"{item.name}'")
    elif item is not None and what == "remove":
        vendor.remove(item)
        if isinstance(vendor, GitLabFake):  # Milestones::DestroyService takes it from its issues first
            for row in vendor.issues.values():
                if row["milestone"] is item:
                    _moved(vendor, row, None)
    elif isinstance(vendor, GitLabFake):
        _happens_to_issues(vendor, what, item, chance, settled)
    elif isinstance(vendor, GitHubFake) and item is not None:
        vendor.counts[item.id] = (chance.randrange(3), chance.randrange(3))


def _happens_to_issues(
    vendor: GitLabFake, what: str, item: Item | None, chance: random.Random, settled: set[str]
) -> None:
    if what == "issue":
        vendor.issue(item if chance.random() < 0.8 else None, project=0 if item is None else item.project)
    elif vendor.issues:
        row = chance.choice(list(vendor.issues.values()))
        if what in ("close", "open"):
            vendor.touch(row, vendor.now if what == "close" else None)
        elif row["milestone"] is None or row["milestone"].id not in settled:
            _moved(vendor, row, item)


def _settled(vendor: ScriptedVendor) -> set[str]:
    """Closed with nothing open: an issue that leaves such a milestone is noticed at the next full reading only."""
    rows = list(vendor.issues.values()) if isinstance(vendor, GitLabFake) else []
    waiting = {r["milestone"].id for r in rows if r["milestone"] is not None and r["state"] == "opened"}
    return {i.id for i in vendor.items.values() if i.done} - waiting


def _moved(vendor: GitLabFake, row: Row, item: Item | None) -> None:
    row["milestone"] = item
    vendor.touch(row, vendor.now if row["state"] == "closed" else None)


def _alive(bench: Bench) -> dict[str, Observation]:
    return {k: o for k, o in bench.known.milestones.items() if not o.deleted}


@pytest.mark.parametrize("system", ["gitlab", "github"])
@settings(max_examples=80, deadline=None)
@given(nights=st.lists(st.lists(st.sampled_from(EVENTS), max_size=5), min_size=1, max_size=6), seed=st.integers(0, 999))
def test_what_is_known_is_what_a_first_pull_would_see(system: str, nights: list[list[str]], seed: int) -> None:
    vendor = GitLabFake() if system == "gitlab" else GitHubFake()
    bench, chance = Bench(connector(system), vendor), random.Random(seed)
    for what in ("add", "add", "issue", "finish"):
        _happens(vendor, what, chance, set())
    bench.pull()
    for number, events in enumerate(nights, 1):
        bench.at(number * DAY - 7200)
        settled = _settled(vendor)
        for what in events:
            _happens(vendor, what, chance, settled)
        bench.at(number * DAY)
        bench.pull()
        first = Bench(bench.info, vendor)
        first.clock = bench.clock
        first.pull()
        assert _alive(bench) == _alive(first)
