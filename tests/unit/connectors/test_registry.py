"""Systems by name, and options that say what is wrong with them."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from connectors import registry
from connectors.errors import SourceConfig
from connectors.registry import BUILT_IN, Option, checked_options, connector, rooted, systems

GOOD = {"base_url": "https://x.example", "client_id": "a", "client_secret": "hunter2-hunter2"}


@pytest.mark.parametrize("system", BUILT_IN)
def test_every_connector_declares_itself(system: str) -> None:
    found = connector(system)
    assert found.system == system
    assert all(o.help for o in found.options)
    assert found.fake is not None
    if found.reads == "api":
        assert {"base_url", "timeout", "concurrency", "per_minute"} <= {o.name for o in found.options}
        assert [o.name for o in found.options if o.secret]


def test_relative_paths_begin_at_the_configuration(tmp_path: Path) -> None:
    given = {"path": ["plans/*.xml", "/elsewhere/a.xml"], "project": "file"}
    found = rooted(connector("mspdi"), given, tmp_path)
    assert found == {"path": [str(tmp_path / "plans/*.xml"), "/elsewhere/a.xml"], "project": "file"}


def test_an_unknown_system_names_the_closest() -> None:
    with pytest.raises(SourceConfig) as problem:
        connector("pingcod")
    assert "pingcode" in problem.value.advice


def test_another_package_adds_a_connector_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("mytool", "connectors.redmine:CONNECTOR", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [entry] if group == registry.GROUP else [])
    assert "mytool" in systems()
    assert connector("mytool").title == "Redmine"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("per_minute", "many"),
        ("per_minute", -1),
        ("per_minute", True),
        ("timeout", 0),
        ("timeout", "inf"),
        ("milestones", 3),
        ("milestones", [3]),
        ("progress", "perhaps"),
        ("client_id", 5),
        ("client_secret", ["hunter2-hunter2"]),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_and_not_shown(key: str, value: object) -> None:
    with pytest.raises(SourceConfig) as problem:
        checked_options("rd", connector("pingcode"), {**GOOD, key: value})
    assert f"[connections.rd] {key}" in str(problem.value)
    assert "hunter2" not in str(problem.value) + problem.value.advice


def test_values_come_in_the_kind_of_their_default() -> None:
    """The environment has texts only."""
    given = {**GOOD, "per_minute": "60", "timeout": "2.5", "progress": "true", "milestones": "milestone"}
    found = checked_options("rd", connector("pingcode"), given)
    assert (found["per_minute"], found["timeout"], found["progress"], found["milestones"]) == (
        60,
        2.5,
        True,
        ("milestone",),
    )


@pytest.mark.parametrize("system", BUILT_IN)
def test_an_option_that_is_not_given_has_its_default(system: str) -> None:
    info = connector(system)
    given = {o.name: "a" for o in info.options if o.required}
    found = checked_options("rd", info, given)
    assert list(found) == [o.name for o in info.options]
    assert {k: v for k, v in found.items() if k not in given} == {
        o.name: o.default for o in info.options if not o.required
    }


def test_an_option_of_a_text_may_have_none() -> None:
    info = replace(connector("redmine"), options=(Option("proxy"), Option("kinds", default=("a",), choices=("a", "b"))))
    assert checked_options("rd", info, {}) == {"proxy": None, "kinds": ("a",)}
    assert checked_options("rd", info, {"proxy": "x", "kinds": "b"}) == {"proxy": "x", "kinds": ("b",)}


@pytest.mark.parametrize("system", BUILT_IN)
def test_defaults_are_among_the_choices(system: str) -> None:
    for option in connector(system).options:
        default = option.default if isinstance(option.default, tuple) else (option.default,)
        assert not option.choices or set(default) <= set(option.choices)


@pytest.mark.parametrize(
    ("system", "key", "value", "near"),
    [
        ("github", "open_issues", "confirmed", "confirm"),
        ("gitlab", "milestones", ["project", "groups"], "group"),
        ("mspdi", "planned", "baseline:11", "baseline:1"),
        ("zentao", "date_from", "realend", "real_end"),
    ],
)
def test_a_value_that_is_none_of_the_choices_names_the_closest(system: str, key: str, value: object, near: str) -> None:
    info = connector(system)
    with pytest.raises(SourceConfig) as problem:
        checked_options("rd", info, {**{o.name: "a" for o in info.options if o.required}, key: value})
    assert f"[connections.rd] {key}" in str(problem.value)
    assert problem.value.advice.startswith(f"One of: {near}")


@pytest.mark.parametrize(
    ("key", "value", "near"), [("api_flavour", "pjn", "pjm"), ("milestones", ["milestones"], "milestone")]
)
def test_a_value_that_is_not_allowed_names_the_closest(key: str, value: object, near: str) -> None:
    with pytest.raises(SourceConfig) as problem:
        connector("pingcode").build("rd", {**GOOD, key: value}, clock=lambda: None)
    assert near in problem.value.advice


@pytest.mark.parametrize("system", BUILT_IN)
def test_every_option_is_explained_in_both_languages(system: str) -> None:
    from connectors.registry import option_help

    for option in connector(system).options:
        assert option_help(system, option, "en") == option.help
        assert option_help(system, option, "zh-CN") != option.help
    assert option_help("mytool", Option("x", help="as it is"), "zh-CN") == "as it is"
