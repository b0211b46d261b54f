"""Data Docs: beside the report, whole in themselves, and no more of them than there are batches."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from flows.steps.checks import Checks
from flows.steps.data_docs import self_contained
from flows.steps.pull import Arrived
from tests.unit.checks.rows import NOW, batch, records


class Fetches(HTMLParser):
    """What a browser would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "link", "iframe", "object") or str(given.get("src", "")).startswith("http"):
            self.found.append(tag)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    checks = Checks(NOW)
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    checks.gate(Arrived("研发/rd", batch(milestone_id=evil, percent_bp=-1, state=evil)))
    checks.gate(Arrived("ops", [*batch(milestone_id=evil), *batch(milestone_id=evil)]))
    checks.look_out(records(), 20_777, {})
    folder = tmp_path_factory.mktemp("out")
    assert checks.write_docs(folder) == "data-docs/index.html"
    return folder / "data-docs"


def test_a_page_for_each_batch_and_an_index_that_leads_to_them(written: Path) -> None:
    index = (written / "index.html").read_text(encoding="utf-8")
    links = set(re.findall(r'href="([^"]+)"', index))
    assert links == {p.name for p in written.glob("*.html")} - {"index.html"}
    assert len(links) == 5
    assert "研发/rd" in index


def test_a_page_says_what_was_expected_and_found(written: Path) -> None:
    page = (written / "in-研发_rd.html").read_text(encoding="utf-8")
    assert "percent_bp" in page
    assert "10000" in page.replace(" ", "").replace(",", "")


def test_nothing_is_fetched_and_nothing_runs(written: Path) -> None:
    for path in written.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "default-src 'none'" in text
        reader = Fetches()
        reader.feed(text)
        assert reader.found == [], path.name
        assert "amazonaws" not in text
        assert "newsletter" not in text


def test_pages_of_earlier_runs_go(tmp_path: Path) -> None:
    first, second = Checks(NOW), Checks(NOW)
    first.gate(Arrived("rd", batch()))
    first.write_docs(tmp_path)
    second.gate(Arrived("ops", batch()))
    second.write_docs(tmp_path)
    assert {p.name for p in (tmp_path / "data-docs").iterdir()} == {"index.html", "in-ops.html", "arrival-ops.html"}


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        checks = Checks(NOW)
        checks.gate(Arrived("rd", batch(percent_bp=-1, name="")))
        checks.look_out(records(gross=0), 20_777, {2: "C-2"})
        checks.write_docs(tmp_path / name)
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / n / "data-docs").iterdir()} for n in ("a", "b"))
    assert first == second


def test_nothing_looked_at_nothing_written(tmp_path: Path) -> None:
    assert Checks(NOW).write_docs(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_tags_are_stripped_however_they_are_written() -> None:
    page = (
        '<HTML><HEAD lang="x"><LINK href=a></HEAD><SCRIPT src="https://x">1</SCRIPT ><a href="https://y">z</a></HTML>'
    )
    bare = self_contained(page)
    assert "SCRIPT" not in bare
    assert "LINK" not in bare
    assert "https://" not in bare
    assert bare.index("Content-Security-Policy") < bare.index("</HEAD>")
