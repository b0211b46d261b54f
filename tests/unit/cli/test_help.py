"""`--help` teaches: every command shows what a user would type, and what it shows can be typed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from flows import cli, spoken
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
    monkeypatch.setattr(spoken, "LANGUAGE", "zh-CN")
    for name, command in (("sync", LEAVES["sync",]), ("db restore", LEAVES["db", "restore"]), ("huikuan", ROOT)):
        shown = command.get_help(typer.Context(command, info_name=name))
        for word in ("Usage:", "Options:", "Arguments:", "Commands:", "Show this", "[default", "[required"):
            assert word not in shown


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sycn", "没有“sycn”这个命令。是不是 'sync'？"),
        ("db x", "没有“x”这个命令。"),
        ("sync --confg x", "没有 --confg 这个选项。可用的相近选项：--config, --json。"),
        ("sync --zzz", "没有 --zzz 这个选项。"),
        ("sync --as-of", "选项 '--as-of' 后面须有一个值。"),
        ("ready --json=x", "选项 '--json' 不带值。"),
        ("explain", "缺少 'CONTRACT[/TERM]'。"),
        ("explain a b c", "多出的内容：b c。"),
        ("listen --port x", "'--port' 的值无效。应为整数。"),
        ("listen --port 0", "'--port' 的值无效。最小为 1。"),
        ("listen --port 70000", "'--port' 的值无效。最大为 65535。"),
    ],
)
def test_a_line_that_cannot_be_read_is_refused_in_the_users_language(
    line: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(spoken, "LANGUAGE", "zh-CN")
    with pytest.raises(SystemExit) as stopped:
        ROOT.main(shlex.split(line), prog_name="huikuan")
    assert stopped.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.endswith(f"错误：{said}\n")
    assert "Usage:" not in shown.err
    monkeypatch.setattr(spoken, "LANGUAGE", "en")
    with pytest.raises(SystemExit) as stopped:
        ROOT.main(shlex.split(line), prog_name="huikuan")
    assert stopped.value.code == 2
    assert "Error: " in capsys.readouterr().err


def test_a_group_without_a_command_shows_its_page_and_an_interrupted_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(spoken, "LANGUAGE", "zh-CN")
    with pytest.raises(SystemExit) as stopped:
        ROOT.main(["db"], prog_name="huikuan")
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("用法：")

    def interrupted(*_args: object, **_more: object) -> None:
        raise EOFError

    monkeypatch.setattr(spoken.SpokenGroup, "invoke", interrupted)
    with pytest.raises(SystemExit) as stopped:
        ROOT.main(["db"], prog_name="huikuan")
    assert stopped.value.code == 1
    assert capsys.readouterr().err.strip() == "已中止。"
