"""What ends up in the folder: whole files, the same bytes each time, the old ones where it fails."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from string import Formatter

import pytest

from connectors.reports import ReportsNotWritten, write_all
from models.domain.words import catalogue
from tests.unit.reports import nights

ROOT = Path(__file__).parents[3]


def written(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def test_both_languages_are_written(tmp_path: Path) -> None:
    """The plain names are in the report's language; the other one stands beside with its suffix."""
    done = write_all(nights.usual("zh-CN"), tmp_path / "out", ("en", "zh-CN"))
    assert sorted(p.name for p in done.paths) == sorted(
        f"ready-to-invoice{s}" for s in (".csv", ".en.csv", ".en.html", ".en.xlsx", ".html", ".json", ".xlsx")
    )
    assert set(done.paths) == set((tmp_path / "out").iterdir())
    assert '<html lang="zh-CN">' in done.html.read_text(encoding="utf-8")
    assert done.csv.read_text(encoding="utf-8-sig").startswith("记录编号")
    assert (tmp_path / "out" / "ready-to-invoice.en.csv").read_text(encoding="utf-8-sig").startswith("Record ID")


@pytest.mark.parametrize("night", [nights.empty, nights.usual, nights.hostile])
def test_the_same_report_gives_the_same_bytes(night: object, tmp_path: Path) -> None:
    """Also in another process, where hashes and clocks differ."""
    write_all(night(), tmp_path / "a", ("zh-CN", "en"))  # type: ignore[operator]
    script = f"from tests.unit.reports import nights; from connectors.reports import write_all; from pathlib import Path; write_all(nights.{night.__name__}(), Path({str(tmp_path / 'b')!r}), ('zh-CN', 'en'))"  # type: ignore[attr-defined]
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
    assert written(tmp_path / "a") == written(tmp_path / "b")


def test_a_full_disk_leaves_the_old_files_and_says_what_to_do(tmp_path: Path) -> None:
    """A real limit of the operating system on the size of files stands in for the full disk."""
    write_all(nights.empty("en"), tmp_path, ("en",))
    before = written(tmp_path)
    script = """
        import resource, sys
        from pathlib import Path
        from connectors.reports import ReportsNotWritten, write_all
        from tests.unit.reports import nights
        report, folder = nights.usual("en", count=300), Path(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
        try:
            write_all(report, folder, ("en",))
        except ReportsNotWritten as problem:
            print(problem, problem.advice)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert "no room left on the disk" in done.stdout
    assert "Free some space" in done.stdout
    assert written(tmp_path) == before


def test_a_file_that_cannot_be_replaced_is_named(tmp_path: Path) -> None:
    (tmp_path / "ready-to-invoice.xlsx").mkdir()
    with pytest.raises(ReportsNotWritten, match=r"ready-to-invoice\.xlsx may not be replaced") as caught:
        write_all(nights.empty("en"), tmp_path, ("en",))
    assert "Excel locks an open file" in caught.value.advice
    assert [p.name for p in tmp_path.iterdir()] == ["ready-to-invoice.xlsx"]


def test_a_folder_that_is_a_file_is_refused_in_the_readers_language(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x", encoding="utf-8")
    with pytest.raises(ReportsNotWritten, match="不是文件夹"):
        write_all(nights.empty(), tmp_path / "out", ("zh-CN",))


def test_no_known_language_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReportsNotWritten, match="at least one language"):
        write_all(nights.empty("en"), tmp_path, ("fr",))


def test_both_languages_say_the_same_things() -> None:
    """Same keys, same slots."""
    chinese, english = ({k: v for k, v in catalogue(x).items() if k.startswith("report.")} for x in ("zh-CN", "en"))
    assert chinese.keys() == english.keys()
    for key in english:
        assert slots(chinese[key]) == slots(english[key]), key


def slots(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def test_nothing_heavy_is_imported_before_something_is_written() -> None:
    """`ready --json` needs `as_json` only."""
    script = "import sys, connectors.reports; print(*sorted({'altair', 'vl_convert', 'xlsxwriter', 'jinja2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == []
