"""The worked table of docs/conditions.md is evaluated, row by row, in both languages: the page cannot lie."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connectors.calendars import calendar_specs
from flows.steps.evaluation.cases import evaluate_snapshot
from models.records.case_file import load_cases

DOCS = Path(__file__).resolve().parents[3] / "docs"
ROW = re.compile(r"^\| `(?P<when>[^`]+)` \| (?P<legal>\S+) \| (?P<ready>\S+) \| [^|]+ \|$", re.MULTILINE)
CASE = """
cases:
  - id: DOC
    contract:
      customer: A
      supplier: B
      currency: EUR
      timezone: Europe/Berlin
      calendar: WEEKEND_ONLY
      price_basis: tax_inclusive
      lines: [{{id: L, amount: "5000.00", tax_rate: 0%}}]
      terms:
        - {{id: T0, amount: "1000.00", when: a, due: 30 days after invoice_date}}
        - {{id: T, amount: remaining, when: {when}, due: {{start: ready, add: {{days: 0}}, roll: none}}}}
    facts:
{facts}
    snapshots: [{{as_of: 2026-06-30}}]
"""


def rows(page: str) -> list[tuple[str, str, str]]:
    table = (DOCS / page).read_text("utf-8").rpartition("```")[2]
    return [(m["when"], m["legal"], m["ready"]) for m in ROW.finditer(table)]


def test_both_languages_show_the_same_table() -> None:
    assert rows("conditions.md") == rows("conditions.zh-CN.md")
    assert len(rows("conditions.md")) == 20


@pytest.mark.parametrize(("when", "legal", "ready"), rows("conditions.md"))
def test_a_row_of_the_table(when: str, legal: str, ready: str) -> None:
    facts = (DOCS / "conditions.md").read_text("utf-8").partition("```yaml\n")[2].partition("```")[0]
    indented = "".join(f"      {line}\n" for line in facts.splitlines())
    loaded = load_cases(CASE.format(when=when, facts=indented), "doc")
    assert loaded.findings == ()
    (case,) = loaded.cases
    term = evaluate_snapshot(case, case.snapshots[0], calendar_specs(["WEEKEND_ONLY"]))["terms"]["T"]  # type: ignore[index]
    assert (term.get("ready_on") or "-", term.get("due_on") or "-") == (ready, legal)
