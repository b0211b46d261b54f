"""What was known at an earlier instant can be looked at, and never posted."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from connectors.store.errors import StoreError
from flows.commands import sync
from tests.fakes.company import Company, company


@pytest.fixture
def firm(tmp_path: Path):
    with company(tmp_path) as it:
        it.contract("C-1")
        it.world.move(it.world.find("M1"), "已完成", it.at(date(2026, 11, 10)), "Li")
        it.night(day=date(2026, 11, 12))
        yield it


EARLIER = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1_000_000)


def test_a_night_does_not_post_a_replay(firm: Company) -> None:
    """What was not known then looks as if it had stopped: it would be withdrawn."""
    with pytest.raises(StoreError, match="replay"):
        firm.night(day=date(2026, 11, 13), full=True, known_at=EARLIER)
    assert firm.records() == [("C-1", "T1", 1, "ready")]
    seen = firm.night(day=date(2026, 11, 13), full=True, known_at=EARLIER, dry_run=True)
    assert (seen.posted.records, firm.records()) == (0, [("C-1", "T1", 1, "ready")])


@pytest.mark.parametrize(("language", "word"), [("en", "must not be posted"), ("zh-CN", "不得入账")])
def test_the_command_refuses_it_and_says_what_to_add(
    firm: Company, capsys: pytest.CaptureFixture[str], language: str, word: str
) -> None:
    asked = {"as_of": "2026-11-13", "only": None, "full": True, "prefect": False, "as_json": True}
    moment = "2026-11-01T00:00:00+08:00"
    config = firm.folder / "huikuan.toml"
    assert sync(config, **asked, dry_run=False, known_at=moment, language=language) == 2
    told = capsys.readouterr().err
    assert word in told.replace("\n", "")
    assert "--dry-run" in told
    assert firm.records() == [("C-1", "T1", 1, "ready")]
