"""Sinks of other packages, and kinds that do not exist."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from connectors.errors import SourceConfig
from connectors.registry import Option
from connectors.sinks import registry
from connectors.sinks.csv_drop import build
from connectors.sinks.registry import SinkInfo, built, kinds, meaning, sink
from tests.unit.sinks.pushing import NOW

MINE = SinkInfo("mine", "Mine", (Option("folder", required=True, default="", help="where", path=True),), build)


@pytest.fixture
def other_package(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("mine", f"{__name__}:MINE", registry.GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda _self: MINE)
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry] if group == registry.GROUP else [])


@pytest.mark.usefixtures("other_package")
def test_a_sink_of_another_package_is_found_and_explained_in_its_own_words(tmp_path: Path) -> None:
    assert "mine" in kinds()
    assert built("x", "mine", {"folder": "drop"}, tmp_path, lambda: NOW).name == "x"
    assert meaning("mine", sink("mine").options[0]).text("zh-CN") == "where"


def test_an_unknown_kind_names_the_closest() -> None:
    with pytest.raises(SourceConfig) as caught:
        sink("webhok")
    assert "webhook" in caught.value.advice
