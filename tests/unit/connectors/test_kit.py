"""What the kit gives to authors of connectors: readers of fields, pages of fakes, one pull, the referee."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import httpx
import pytest

from connectors.http.fields import BadRow, day_of, need_whole
from connectors.kit.conformance import read_all
from connectors.kit.described import Described, DescribedGraphQL
from connectors.redmine.fake import RedmineFake
from connectors.registry import connector


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({}, "PROOF_FIELD_MISSING"),
        ({"n": None}, "PROOF_FIELD_MISSING"),
        *(({"n": odd}, "PROOF_FIELD_TYPE") for odd in ("3", True, 1.0, -1, [])),
    ],
)
def test_a_whole_number_is_no_text_and_no_truth(row: dict, code: str) -> None:
    with pytest.raises(BadRow) as problem:
        need_whole(row, "n")
    assert problem.value.code == code
    assert need_whole({"n": 0}, "n") == 0


@pytest.mark.parametrize("text", ["2026-12-31T23:59:59Z", "2026-12-31T00:00:00+08:00", "2026-12-31"])
def test_a_day_that_is_written_as_an_instant_is_that_day(text: str) -> None:
    assert day_of({"due": text}, "due") == date(2026, 12, 31)


def test_what_is_no_day_is_put_aside() -> None:
    assert day_of({"due": None}, "due") is None
    for odd in (5, "soon", ["2026-12-31"]):
        with pytest.raises(BadRow):
            day_of({"due": odd}, "due")


def test_the_script_goes_on_after_the_first_of_several_pages() -> None:
    fake, done = RedmineFake(), list[int]()
    rows = [{"id": n} for n in range(5)]
    fake.after_first_page = lambda: done.append(1)
    assert fake.cut(rows, 0, 5) == rows
    assert fake.cut(rows, 3, 2) == rows[3:]
    assert not done
    assert fake.cut(rows, 0, 3) == rows[:3]
    assert done == [1]


def test_one_pull_of_a_fake_gives_milestones_and_what_was_put_aside() -> None:
    fake = RedmineFake()
    good, bad = fake.add("初验"), fake.add("终验")
    fake.finish(good, by="王敏")
    fake.spoil(bad, "missing")
    found = read_all(connector("redmine"), fake)
    assert found.milestones[fake.milestone_id(good)].done_by == good.by == "王敏"
    assert list(found.rejected) == [fake.milestone_id(bad)]
    assert not read_all(connector("redmine"), fake, milestones=["version"]).milestones


def test_the_referee_says_which_library_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, inner = tmp_path / "spec.yaml", httpx.MockTransport(lambda r: httpx.Response(200))
    file.write_text("openapi: 3.0.0", encoding="utf-8")
    monkeypatch.setitem(sys.modules, "openapi_core", None)
    monkeypatch.setitem(sys.modules, "graphql", None)
    with pytest.raises(ImportError, match="pip install openapi-core"):
        Described.of(inner, file, "https://acme.example")
    with pytest.raises(ImportError, match="pip install graphql-core"):
        DescribedGraphQL.of(inner, file)
