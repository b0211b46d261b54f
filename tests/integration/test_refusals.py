"""What the commands refuse, and that they say so in the user's language."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows import cli, commands
from flows.cli import app
from models.domain.words import say
from tests.fakes.company import company

BLANK = "  "


@pytest.fixture(scope="module")
def firm(tmp_path_factory: pytest.TempPathFactory):
    with company(tmp_path_factory.mktemp("firm")) as it:
        it.contract("C-1")
        it.world.move(it.world.find("M1"), "已完成", it.at(date(2026, 11, 18)), "李强")
        it.night()
        yield it


@pytest.mark.parametrize(
    "line",
    [
        "record C-1 second 2026-11-19",
        "hold C-1/T1 --reason x",
        "release C-1/T1",
        "approve C-1/T1",
        "promise C-1/T1 2026-12-01 10.00",
        "plan C-1/T1 --until 2027-01-01",
        "allocate 1 C-1/T1",
        "remind C-1/T1 --log dispute",
        "guarantees C-1 G-1 --returned 2026-11-20",
        "bind C-1 first x",
    ],
)
def test_nobody_decides_without_a_name(firm, line: str) -> None:
    done = CliRunner().invoke(app, [*line.split(), "--by", BLANK, "--config", str(firm.folder / "huikuan.toml")])
    assert done.exit_code == 2
    assert say("cli.who", cli.LANGUAGE) in done.stderr.replace("\n", " ")


def test_a_hold_and_money_set_aside_have_a_reason(firm) -> None:
    config = firm.folder / "huikuan.toml"
    for line in (["hold", "C-1/T1", "--reason", BLANK], ["allocate", "1", "--aside", BLANK]):
        done = CliRunner().invoke(app, [*line, "--by", "Li", "--config", str(config)])
        assert (done.exit_code, say("cli.why_missing", cli.LANGUAGE) in " ".join(done.stderr.split())) == (2, True)


@pytest.mark.parametrize(
    ("language", "absent", "folder"), [("en", "There is no", "is a folder"), ("zh-CN", "没有", "是目录")]
)
def test_what_the_system_says_of_a_file_is_said_in_the_language(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], language: str, absent: str, folder: str
) -> None:
    def told(file: Path) -> str:
        assert commands.evaluate(file, as_json=False, language=language) == 2
        return "".join(capsys.readouterr().err.split())

    assert absent.replace(" ", "") in told(tmp_path / "none.yaml")
    assert folder.replace(" ", "") in told(tmp_path)


@pytest.mark.parametrize(("number", "word"), [(13, "may not be read"), (28, "no space left"), (5, "EIO")])
def test_rights_space_and_the_rest_have_their_words(capsys: pytest.CaptureFixture[str], number: int, word: str) -> None:
    class Refused(type(Path())):  # type: ignore[misc]
        def read_bytes(self) -> bytes:
            raise OSError(number, "text of the system", str(self))

    assert commands.evaluate(Refused("c.yaml"), as_json=False, language="en") == 2
    told = " ".join(capsys.readouterr().err.split())
    assert word in told
    assert "text of the system" not in told


@pytest.mark.parametrize(("language", "word"), [("en", "is a contract file"), ("zh-CN", "是合同文件")])
def test_a_contract_file_is_no_case_file(firm, capsys: pytest.CaptureFixture[str], language: str, word: str) -> None:
    assert commands.evaluate(firm.folder / "contracts" / "C-1.yaml", as_json=False, language=language) == 2
    told = "".join(capsys.readouterr().err.split())
    assert word.replace(" ", "") in told
    assert "cases:" in told


@pytest.mark.parametrize(("language", "word"), [("en", "neither a spreadsheet nor"), ("zh-CN", "既不是电子表格")])
def test_a_file_of_no_encoding_is_refused_in_the_language(
    firm, capsys: pytest.CaptureFixture[str], language: str, word: str
) -> None:
    bad = firm.folder / "bad.csv"
    bad.write_bytes(b"contract,\xff\xfe\x80\x81,title\n")
    config = firm.folder / "huikuan.toml"
    assert commands.import_contracts(config, bad, template=False, language=language) == 2
    assert commands.import_documents(config, bad, language) == 2
    told = "".join(capsys.readouterr().err.split())
    assert told.count(word.replace(" ", "")) == 2
    assert "codec" not in told
