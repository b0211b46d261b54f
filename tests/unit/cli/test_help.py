"""`--help` teaches: every command shows what a user would type, and what it shows can be typed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from flows import cli
from models.domain.words import LANGUAGES, say

ROOT = typer.main.get_command(cli.app)


def _leaves(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _leaves(command, (*path, name))
        else:
            yield (*path, name), command


LEAVES = dict(_leaves(ROOT))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_example_of_a_command_can_be_typed(path: tuple[str, ...], language: str) -> None:
    """The line is read as that command, with options that it has; it is not run."""
    examples = say(f"cli.example.{'_'.join(path).replace('-', '_')}", language).splitlines()
    for line in examples:
        typed, mark, meaning = line.partition("  # ")
        words = shlex.split(typed)
        assert mark
        assert meaning
        assert tuple(words[: len(path) + 1]) == ("huikuan", *path)
        LEAVES[path].make_context(path[-1], words[len(path) + 1 :])  # raises on an unknown option or a missing argument


def test_an_example_is_of_a_command_that_is_there() -> None:
    from models.domain.words import catalogue

    known = {f"cli.example.{'_'.join(path).replace('-', '_')}" for path in LEAVES}
    assert {k for k in catalogue("en") if k.startswith("cli.example.")} == known


def test_a_page_of_help_has_no_english_left_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "LANGUAGE", "zh-CN")
    for name, command in (("sync", LEAVES["sync",]), ("db restore", LEAVES["db", "restore"]), ("huikuan", ROOT)):
        shown = command.get_help(typer.Context(command, info_name=name))
        for word in ("Usage:", "Options:", "Arguments:", "Commands:", "Show this", "[default", "[required"):
            assert word not in shown
