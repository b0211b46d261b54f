"""Great Expectations at both doors: what came in, what goes out.

Failing rows are named one by one, so that they wait in quarantine and the others go on; a batch that is
wrong as a whole (most of it missing against the last time) stops its connection only. Great Expectations
is imported when there is something to look at, not before.
"""

from __future__ import annotations

import html
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd

from flows.night import OutResult
from flows.steps.decide import Plan
from flows.steps.evaluation.columns import day_number
from flows.steps.match import Matched
from flows.steps.pull import GateResult
from models.domain.findings import Finding, Place, Severity
from models.domain.observations import Observation
from models.expectations import incoming, outgoing


@dataclass(slots=True)
class Checks:
    """The checks of one run, and their results for the Data Docs."""

    now: datetime
    drop_ratio: int  # percent of rows that may be missing against the last run
    results: dict[str, Any] = field(default_factory=dict)

    def gate(self, connection: str, batch: Sequence[Observation], seen: int, before: int | None) -> GateResult:
        """Look at what a connection brought. A full pull that lost most of its rows stops the connection."""
        if (
            before is not None
            and before > 20
            and seen * 100 < before * (100 - self.drop_ratio)
            and seen >= len(batch) > before // 10
        ):
            place = Place(connection=connection)
            stop = Finding(
                "ROWS_DROPPED", Severity.ERROR, place, {"seen": seen, "before": before, "allowed": self.drop_ratio}
            )
            return GateResult(stop=stop)
        if not batch:
            return GateResult()
        frame = incoming_frame(batch)
        result = validate(frame, incoming.incoming_suite(day_number(self.now.date())), f"in-{connection}")
        self.results[f"in-{connection}"] = result
        bad = {row: (code, shown) for row, code, shown in failing_rows(result, incoming.CODES, frame)}
        return GateResult(tuple((row, code, {"found": shown}) for row, (code, shown) in sorted(bad.items())))

    def out_check(self, plan: Plan, matched: Matched) -> OutResult:
        """Look at the records about to be posted; the contracts of failing ones are held back whole."""
        frame = outgoing_frame(plan, matched)
        if frame.empty:
            return OutResult()
        as_of = int(matched.out.as_of[0])
        result = validate(frame, outgoing.outgoing_suite(as_of), "out")
        self.results["out"] = result
        numbers = {h.id: h.number for h in matched.heads}
        findings, held = [], set()
        for row, code, shown in failing_rows(result, outgoing.CODES, frame):
            contract = int(frame["contract_id"].iloc[row])
            held.add(contract)
            findings.append(
                Finding(
                    code,
                    Severity.ERROR,
                    Place(contract=numbers[contract]),
                    {"contract": numbers[contract], "found": shown},
                )
            )
        return OutResult(frozenset(held), tuple(findings))

    def write_docs(self, folder: Path) -> str | None:
        """Data Docs beside the report: a page for each batch of this run, and their index."""
        if not self.results:
            return None
        from great_expectations.render.renderer import ValidationResultsPageRenderer
        from great_expectations.render.view import DefaultJinjaPageView

        target = folder / "data-docs"
        target.mkdir(parents=True, exist_ok=True)
        for name, result in self.results.items():
            page = DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(result))
            (target / f"{_file(name)}.html").write_text(page, encoding="utf-8")
        (target / "index.html").write_text(_index(self.results), encoding="utf-8")
        return "data-docs/index.html"


def _file(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name)


def _index(results: dict[str, Any]) -> str:
    rows = "".join(
        f'<li><a href="{_file(name)}.html">{html.escape(name)}</a>: {"OK" if r.success else "!"} '
        f"({r.statistics['successful_expectations']}/{r.statistics['evaluated_expectations']})</li>"
        for name, r in sorted(results.items())
    )
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Data Docs</title><h1>Data Docs</h1><ul>{rows}</ul></html>'


def incoming_frame(batch: Sequence[Observation]) -> pd.DataFrame:
    """The columns of `incoming.COLUMNS`, one row for each observation; absent numbers are missing values."""

    def days(moment: datetime | None) -> int | None:
        return None if moment is None else day_number(moment.date())

    return pd.DataFrame(
        {
            "milestone_id": [o.milestone_id for o in batch],
            "name": [o.name for o in batch],
            "state": [o.state for o in batch],
            "percent_bp": pd.array([o.percent_bp for o in batch], dtype="Int64"),
            "done_day": pd.array(
                [days(o.done_at) if o.done_on is None else day_number(o.done_on) for o in batch], dtype="Int64"
            ),
            "planned_day": pd.array(
                [days(o.planned_at) if o.planned_on is None else day_number(o.planned_on) for o in batch], dtype="Int64"
            ),
        }
    )


def outgoing_frame(plan: Plan, matched: Matched) -> pd.DataFrame:
    """The columns of `outgoing.COLUMNS`, one row for each new record."""
    over = price_exceeded(matched)
    position = {h.id: i for i, h in enumerate(matched.heads)}
    return pd.DataFrame(
        {
            "contract_id": [r.contract_id for r in plan.records],
            "record_id": [r.record_id for r in plan.records],
            "gross": np.array([r.gross for r in plan.records], dtype=np.int64),
            "currency": [r.currency for r in plan.records],
            "ready_day": np.array([r.ready_day for r in plan.records], dtype=np.int64),
            "evidence_count": np.array([len(orjson.loads(r.evidence)) for r in plan.records], dtype=np.int64),
            "over_price": over[[position[r.contract_id] for r in plan.records]]
            if plan.records
            else np.zeros(0, dtype=np.int64),
        }
    )


def price_exceeded(matched: Matched) -> np.ndarray:
    """By contract: how far live and invoiced terms exceed the (amended) price, in the price basis; 0 where they do not."""
    out, batch = matched.out, matched.batch
    claimed = np.zeros(batch.contracts, dtype=np.int64)
    counted = (out.ready | out.fixed)[out.rows.term]
    apart = np.zeros(len(batch.terms), dtype=bool)
    retainers = batch.head["retainer_term"]
    apart[retainers[retainers >= 0]] = True
    counted &= ~apart[out.rows.term]
    np.add.at(claimed, out.rows.contract[counted], out.amounts.base[counted])
    price = np.zeros(batch.contracts, dtype=np.int64)
    np.add.at(price, np.repeat(np.arange(batch.contracts), np.diff(batch.line_at)), out.amounts.line_total)
    over: np.ndarray = np.maximum(claimed - price, 0)
    return over


def validate(frame: pd.DataFrame, suite: Any, name: str) -> Any:
    """Run a suite over a frame; the result names the failing rows by position."""
    import great_expectations as gx

    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas(f"source-{name}").add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe(name).get_batch({"dataframe": frame})
    return batch.validate(suite, result_format={"result_format": "COMPLETE"})


def failing_rows(result: Any, codes: dict[str, str], frame: pd.DataFrame) -> list[tuple[int, str, str]]:
    """(row, finding code, what was found) of every row that failed an expectation."""
    found = []
    for one in result.results:
        if one.success:
            continue
        column = one.expectation_config.kwargs["column"]
        rows = [int(r) for r in one.result.get("unexpected_index_list") or []]
        found += [(row, codes[column], f"{column}={frame[column].iloc[row]}") for row in rows]
    return found
