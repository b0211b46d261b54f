"""Great Expectations at both doors: what came in, what goes out.

Failing rows are named one by one, so that they wait in quarantine and the others go on; a batch that is
wrong as a whole (most of it missing against the last time) stops its connection only. A check that could
not run is a failed check. Great Expectations is imported when there is something to look at, not before.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd

from flows.environment import be_quiet
from flows.night import OutResult
from flows.steps import data_docs
from flows.steps.decide import Plan
from flows.steps.evaluation.columns import as_date, day_number
from flows.steps.match import Matched
from flows.steps.pull import Arrived, GateResult
from models.domain.findings import Finding, Place, Severity
from models.domain.observations import Observation
from models.expectations import incoming, outgoing

#: Below this many known milestones a percentage says little; then only the loss of all of them stops.
FEW = 20
#: This many known milestones do not all vanish by themselves.
NOT_BY_THEMSELVES = 3
_INT64 = range(-(2**63), 2**63)
_SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that failed an expectation. `row` is its position; -1 where the check itself could not run."""

    row: int
    code: str
    column: str
    found: str


@dataclass(slots=True)
class Checks:
    """The checks of one run, and their results for the Data Docs."""

    now: datetime
    drop_ratio: int = 50  # percent of the known milestones that may be missing
    stale_days: int = 30  # how much older than the last pull the newest change may be
    results: dict[str, Any] = field(default_factory=dict)
    # Great Expectations keeps its context in a global: one connection at a time.
    lock: threading.Lock = field(default_factory=threading.Lock)
    loading: threading.Thread | None = None

    @property
    def today(self) -> int:
        """The day number of the run, in UTC."""
        return day_number(self.now.date())

    def make_ready(self) -> None:
        """Load Great Expectations beside the pull: it takes seconds, and a pull mostly waits for the source."""
        if self.loading is None:
            be_quiet()
            self.loading = threading.Thread(target=lambda: import_module("great_expectations"), name="load checks")
            self.loading.start()

    def _ready(self) -> None:
        """Wait for the loading. Two threads must not import it at once: its modules import each other in circles."""
        if self.loading is not None:
            self.loading.join()

    def gate(self, came: Arrived) -> GateResult:
        """Look at what a connection brought, and at what it did not bring."""
        self._ready()
        with self.lock:
            stop, told = self._arrival(came)
            if stop is not None or not came.batch:
                return GateResult(stop=stop, findings=told)
            frame = incoming_frame(came.batch)
            name = f"in-{came.connection}"
            result = self.results[name] = validate(frame, incoming.incoming_suite(self.today), name)
        bad = {b.row: b for b in reversed(failing_rows(result, frame))}
        if -1 in bad:
            return GateResult(stop=_could_not_run(Place(connection=came.connection), bad[-1]), findings=told)
        return GateResult(tuple((row, bad[row].code, _params(bad[row])) for row in sorted(bad)), findings=told)

    def _arrival(self, came: Arrived) -> tuple[Finding | None, tuple[Finding, ...]]:
        """The pull as a whole: a reason to stop, and what else to tell."""
        oldest = None if came.last_pull is None else came.last_pull // _SECONDS_A_DAY - self.stale_days
        frame = arrival_frame(came)
        name = f"arrival-{came.connection}"
        result = self.results[name] = validate(frame, incoming.arrival_suite(self.drop_ratio, oldest), name)
        place = Place(connection=came.connection)
        told = []
        for bad in failing_rows(result, frame):
            if bad.row < 0:
                return _could_not_run(place, bad), ()
            if bad.code == "ROWS_DROPPED":
                seen = {"seen": came.in_view - came.gone, "before": came.in_view, "allowed": self.drop_ratio}
                return Finding(bad.code, Severity.ERROR, place, seen), ()
            told.append(Finding(bad.code, Severity.WARNING, place, {"found": bad.found, "days": self.stale_days}))
        return None, tuple(told)

    def out_check(self, plan: Plan, matched: Matched) -> OutResult:
        """Look at the records about to be posted; the contracts of failing ones are held back whole."""
        frame = outgoing_frame(plan, matched)
        if frame.empty:
            return OutResult()
        numbers = {h.id: h.number for h in matched.heads}
        return self.look_out(frame, int(matched.out.as_of[0]), numbers)

    def look_out(self, frame: pd.DataFrame, as_of: int, numbers: dict[int, str]) -> OutResult:
        """Look at a frame of `outgoing.COLUMNS`; `numbers` names the contracts by their id in the store."""
        self._ready()
        with self.lock:
            result = validate(frame, outgoing.outgoing_suite(as_of), "out")
            self._keep_out(result)
        findings, held = {}, set()
        for bad in failing_rows(result, frame):
            rows = range(len(frame)) if bad.row < 0 else (bad.row,)
            for contract in dict.fromkeys(int(frame["contract_id"].iloc[r]) for r in rows):
                held.add(contract)
                finding = _held_back(numbers[contract], bad)
                findings[contract, finding.code] = finding
        return OutResult(frozenset(held), tuple(findings.values()))

    def _keep_out(self, result: Any) -> None:
        """Of many chunks the last and the failing ones are kept."""
        before = self.results.get("out")
        if before is not None and not before.success:
            self.results[f"out-{len(self.results)}"] = before
        self.results["out"] = result

    def write_docs(self, folder: Path) -> str | None:
        """Data Docs beside the report: a page for each batch of this run, and their index."""
        return data_docs.write_pages(self.results, folder) if self.results else None


def _params(bad: BadRow) -> dict[str, object]:
    if bad.column != "odd":
        return {"field": bad.column, "found": bad.found}
    name, _, found = bad.found.partition("=")
    return {"field": name, "found": found, "expected": _EXPECTED[name]}


def _could_not_run(place: Place, bad: BadRow) -> Finding:
    return Finding("CHECK_NOT_RUN", Severity.ERROR, place, {"field": bad.column, "why": bad.found})


def _held_back(contract: str, bad: BadRow) -> Finding:
    place = Place(contract=contract)
    if bad.row < 0:
        return _could_not_run(place, bad)
    return Finding(bad.code, Severity.ERROR, place, {"contract": contract, "found": bad.found})


# --- frames ------------------------------------------------------------------------------------------

_TEXTS = ("milestone_id", "name", "state")
_EXPECTED = dict.fromkeys(_TEXTS, "text") | {"percent_bp": "int"}


def incoming_frame(batch: Sequence[Observation]) -> pd.DataFrame:
    """The columns of `incoming.COLUMNS`, one row for each observation; absent numbers are missing values.

    A value of a wrong type is missing too, and named in `odd`: it must not spoil its column.
    """

    def days(moment: datetime | None) -> int | None:
        return None if moment is None else day_number(moment.date())

    texts = {n: pd.Series([_text(getattr(o, n)) for o in batch], dtype="str") for n in _TEXTS}
    numbers = {
        "percent_bp": [_whole(o.percent_bp) for o in batch],
        "done_day": [days(o.done_at) if o.done_on is None else day_number(o.done_on) for o in batch],
        "planned_day": [days(o.planned_at) if o.planned_on is None else day_number(o.planned_on) for o in batch],
    }
    odd = pd.Series([_odd(o) for o in batch], dtype="object")
    return pd.DataFrame({**texts, **{n: pd.array(v, dtype="Int64") for n, v in numbers.items()}, "odd": odd})


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: object) -> int | None:
    return value if type(value) is int and value in _INT64 else None


def _odd(seen: Observation) -> str | None:
    for name in _TEXTS:
        value = getattr(seen, name)
        if value is not None and not isinstance(value, str):
            return f"{name}={value!r}"[:80]
    percent = seen.percent_bp
    return None if percent is None or _whole(percent) is not None else f"percent_bp={percent!r}"[:80]


def arrival_frame(came: Arrived) -> pd.DataFrame:
    """The one row of `incoming.ARRIVAL_COLUMNS`."""
    stamps = [o.updated_at for o in came.batch]
    newest = None if None in stamps or not stamps else max(day_number(s.date()) for s in stamps if s)
    return pd.DataFrame({"missing_percent": [_missing_percent(came)], "newest_day": pd.array([newest], dtype="Int64")})


def _missing_percent(came: Arrived) -> int:
    """Percent of the known milestones that did not come, rounded up; few of them are not counted in percent."""
    if came.in_view < FEW:
        return 100 if came.gone >= max(came.in_view, NOT_BY_THEMSELVES) else 0
    return -(-came.gone * 100 // came.in_view)


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


# --- Great Expectations ------------------------------------------------------------------------------


def validate(frame: pd.DataFrame, suite: Any, name: str) -> Any:
    """Run a suite over a frame; the result names the failing rows by position."""
    be_quiet()  # a worker of Prefect starts no command line
    import great_expectations as gx

    for chatty in ("great_expectations", "great_expectations.data_context.types.base"):  # it sets a level of its own
        logging.getLogger(chatty).setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas(f"source-{name}").add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe(name).get_batch({"dataframe": frame})
    return batch.validate(suite, result_format={"result_format": "COMPLETE"})


def failing_rows(result: Any, frame: pd.DataFrame) -> list[BadRow]:
    """Every row that failed an expectation, expectation by expectation. One that failed without a row did not run."""
    found: list[BadRow] = []
    for one in result.results:
        if one.success:
            continue
        column, code = one.expectation_config.kwargs["column"], one.expectation_config.meta["code"]
        rows: Iterable[int] = one.result.get("unexpected_index_list") or ()
        found += [BadRow(int(r), code, column, _shown(frame[column].iloc[int(r)], column)) for r in rows]
        if not rows:
            found.append(BadRow(-1, code, column, _why(one.exception_info)))
    return found


def _why(info: Any) -> str:
    """The message of an expectation's exception, which may be filed under the metric that raised it."""
    entries = [info, *info.values()] if isinstance(info, dict) else []
    messages = [e.get("exception_message") for e in entries if isinstance(e, dict) and e.get("exception_message")]
    return str(messages[0])[:200] if messages else "?"


def _shown(value: object, column: str) -> str:
    """A value as people read it: a day number as a date."""
    if pd.isna(value):  # type: ignore[call-overload]
        return "-"
    if column.endswith("_day"):
        day = as_date(int(value))  # type: ignore[call-overload]
        return str(value) if day is None else day.isoformat()
    return str(value)[:200]
