"""[ladders.CLASS]: read, and refused in words where steps overlap."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.settings import SettingsError, load_settings
from models.domain.receivables.dunning import STANDARD, Step, Tone, ladder_of


def config(folder: Path, text: str) -> Path:
    path = folder / "huikuan.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_ladders_are_read(tmp_path: Path) -> None:
    text = '[ladders.default]\nsteps = [{level = 2, from_day = 5}, {level = 1, from_day = -3, tone = "friendly"}]\n'
    ladders = load_settings(config(tmp_path, text), {}).ladders
    assert ladders == {"default": (Step(1, -3, Tone.FRIENDLY), Step(2, 5))}
    assert ladder_of(ladders, "public") == ladders["default"]
    assert ladder_of({}, "public") == STANDARD


@pytest.mark.parametrize(
    ("steps", "code", "line"),
    [
        ("[{level = 1, from_day = 10}, {level = 2, from_day = 10}]", "LADDER_OVERLAPS", 3),
        ("[{level = 2, from_day = 1}, {level = 2, from_day = 10}]", "LADDER_OVERLAPS", 3),
        ("[{level = 1, from_days = 10}]", "UNKNOWN_KEY", None),
        ("[{level = 1, from_day = 10, tone = 'angry'}]", "CONFIG_CHOICE", None),
        ("[]", "CONFIG_VALUE", 3),
    ],
)
def test_a_ladder_that_cannot_be_used(tmp_path: Path, steps: str, code: str, line: int | None) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(config(tmp_path, f"\n[ladders.public]\nsteps = {steps}\n"), {})
    assert code in [f.code for f in caught.value.findings]
    finding = next(f for f in caught.value.findings if f.code == code)
    assert line is None or finding.place.line == line
    assert finding.text("zh-CN")
