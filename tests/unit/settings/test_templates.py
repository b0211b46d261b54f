"""What `huikuan init` writes: usable as it is, and usable with every comment taken as meant."""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from pathlib import Path

import pytest

from flows.settings import load_settings
from flows.steps.contracts import read_files
from models.domain.words import LANGUAGES


def template(language: str, name: str) -> str:
    return resources.files("flows.templates").joinpath(language, name).read_text(encoding="utf-8")


def with_examples(text: str) -> str:
    """The commented examples switched on: lines that are TOML once their # is gone."""
    return re.sub(r"(?m)^# (?=\[|\w+ = )", "", text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_loads_as_it_is(tmp_path: Path, language: str) -> None:
    (tmp_path / "huikuan.toml").write_text(template(language, "huikuan.toml"), encoding="utf-8")
    settings = load_settings(tmp_path / "huikuan.toml", {}).settings
    assert settings.reports.language == language
    assert settings.connections == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_its_examples_are_right(tmp_path: Path, language: str) -> None:
    (tmp_path / "huikuan.toml").write_text(with_examples(template(language, "huikuan.toml")), encoding="utf-8")
    secrets = {"PINGCODE_CLIENT_ID": "i", "PINGCODE_CLIENT_SECRET": "s", "FINANCE_NOTIFY_URL": "wecombot://k"}
    settings = load_settings(tmp_path / "huikuan.toml", secrets).settings
    assert settings.connections["rd"].system == "pingcode"
    assert [n.role for n in settings.notify] == ["finance"]


def test_both_languages_say_the_same() -> None:
    first, second = (tomllib.loads(with_examples(template(x, "huikuan.toml"))) for x in LANGUAGES)
    first["reports"]["language"] = second["reports"]["language"] = "?"
    assert first == second


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_first_contract_is_accepted(tmp_path: Path, language: str) -> None:
    (tmp_path / "first.yaml").write_text(template(language, "first.yaml"), encoding="utf-8")
    found, findings = read_files([tmp_path / "first.yaml"], tmp_path)
    assert len(found) == 1
    assert findings == []
