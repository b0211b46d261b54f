"""The escalation pack says the figures of the golden cases, whose arithmetic stands beside them."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from models.domain.money import to_minor
from models.records.case_file import load_cases
from tests.fakes.ledger import books

pytestmark = pytest.mark.shared


def pack(shared_dir: Path, folder: Path, case_id: str, term: str, day: str, code: int = 0):
    """The dossier of a golden term, by command out of a store; its JSON."""
    cases = load_cases((shared_dir / "golden" / "cases.yaml").read_text(encoding="utf-8"), "cases.yaml").cases
    case = next(c for c in cases if c.id == case_id)
    with books(folder) as own:
        own.contract(case.contract)
        own.facts(case.contract, case.facts)
        if case_id == "CN-08":
            own.touch(f"{case_id}/T1", "demand", date(2026, 4, 2), "EMS 1234567890123")
    config = ["--config", str(folder / "huikuan.toml"), "--as-of", day, "--json"]
    done = CliRunner().invoke(app, ["dossier", f"{case_id}/{term}", *config])
    assert done.exit_code == code, done.output
    if code:
        return done.output
    body = json.loads(done.stdout)
    (one,) = body["terms"]
    return one, Path(body["folder"])


def add_up(lines) -> int:
    return sum(to_minor(line["amount"], 2) for line in lines)


@pytest.mark.parametrize(
    ("case", "term", "day", "interest", "fixed_sum", "lines"),
    [
        ("CN-04", "T2", "2026-12-01", "1310.40", None, 1),
        ("CN-08", "T1", "2026-04-10", "591.78", None, 1),
        ("CN-08", "T1", "2026-06-15", "2808.49", None, 3),
        ("CN-08", "T1", "2026-07-10", "3363.29", None, 3),
        ("INT-01", "A", "2026-07-20", "1320.82", "40.00", 2),
        ("INT-02", "V2", "2026-07-31", "2840.47", "100.00", 1),
        ("INT-02", "V3", "2026-07-31", "496.65", "100.00", 1),
    ],
)
def test_the_lines_add_up_to_the_golden_interest(
    shared_dir: Path, tmp_path: Path, case: str, term: str, day: str, interest: str, fixed_sum: str | None, lines: int
) -> None:
    found, _ = pack(shared_dir, tmp_path, case, term, day)
    assert (found["interest"], found["fixed_sum"]) == (interest, fixed_sum)
    assert len(found["interest_lines"]) == lines
    assert add_up(found["interest_lines"]) == to_minor(interest, 2)


def test_cn_03_open_without_a_rate(shared_dir: Path, tmp_path: Path) -> None:
    found, folder = pack(shared_dir, tmp_path, "CN-03", "P2", "2026-05-20")
    assert (found["open"], found["due_on"], found["days_late"], found["interest"]) == (
        "1290123.39", "2026-05-06", 14, None,
    )  # fmt: skip
    letter = (folder / "letter.zh-CN.html").read_text(encoding="utf-8")
    assert "壹佰贰拾玖万零壹佰贰拾叁元叁角玖分" in letter
    assert "保留依法主张逾期付款利息" in letter


def test_cn_05_shows_both_candidates_and_writes_no_letter(shared_dir: Path, tmp_path: Path) -> None:
    found, folder = pack(shared_dir, tmp_path, "CN-05", "T1", "2026-07-31")
    assert (found["status"], found["due_on"], found["statutory_reference_due_on"]) == ("not_ready", None, "2026-06-22")
    figures = {c["statute"]: c["interest"] for c in found["candidates"]}
    assert figures["back_to_back_reply_2"] == "833.42"
    assert figures["sme_regulation_17"] == "5070.00"
    assert all(add_up(c["lines"]) == to_minor(c["interest"], 2) for c in found["candidates"])
    assert not list(folder.glob("letter*"))


def test_cn_08_bills_promise_and_limitation(shared_dir: Path, tmp_path: Path) -> None:
    found, folder = pack(shared_dir, tmp_path, "CN-08", "T1", "2026-07-10")
    assert (found["open"], found["bills_pending"], found["asked"]) == ("380000.00", "200000.00", "180000.00")
    assert found["limitation_expires"] == "2029-05-20"
    letter = (folder / "letter.zh-CN.html").read_text(encoding="utf-8")
    assert "该承诺未获履行" in letter
    assert "壹拾捌万元整" in letter


def test_nothing_open(shared_dir: Path, tmp_path: Path) -> None:
    assert "T1" in pack(shared_dir, tmp_path, "CN-04", "T1", "2026-12-01", code=2)
