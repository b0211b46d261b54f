"""`huikuan evaluate`: a case file, evaluated without any database and held against what it expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from flows.steps.evaluation import outcome
from flows.steps.evaluation.columns import day_number
from flows.steps.evaluation.days import Calendars
from flows.steps.evaluation.gather import gather
from flows.steps.evaluation.history import history
from flows.steps.evaluation.receivable import receivable_values
from flows.steps.evaluation.run import evaluate
from models.domain.calendars_spec import CalendarSpec
from models.domain.contract_checks import contract_warnings
from models.records.case_file import Case, CaseFile, InvalidContract, Snapshot


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that is not what the case expects."""

    case: str
    as_of: date | None
    key: str
    expected: object
    found: object


@dataclass(frozen=True, slots=True)
class CaseRun:
    """The outcome of a case file: what `--json` prints, and the differences."""

    entries: tuple[Mapping[str, object], ...]
    differences: tuple[Difference, ...]
    compared: int


def run_cases(cases: CaseFile, library: Mapping[str, CalendarSpec]) -> CaseRun:
    """Evaluate every snapshot; the file's own calendars override those of the same name."""
    specs = {**library, **cases.calendars}
    entries: list[Mapping[str, object]] = []
    differences: list[Difference] = []
    compared = 0
    for case in cases.cases:
        for snapshot in case.snapshots:
            entry = evaluate_snapshot(case, snapshot, specs)
            entries.append(entry)
            pairs = _expectations(snapshot, entry)
            compared += len(pairs)
            differences += [Difference(case.id, snapshot.as_of, k, want, got) for k, want, got in pairs if want != got]
    for sketch in cases.invalid:
        compared += 1
        codes = _codes(sketch, specs)
        if sketch.error not in codes:
            differences.append(Difference(sketch.id, None, "error", sketch.error, ", ".join(codes) or "accepted"))
    return CaseRun(tuple(entries), tuple(differences), compared)


def _codes(sketch: InvalidContract, specs: Mapping[str, CalendarSpec]) -> list[str]:
    codes = [f.code for f in sketch.findings]
    if sketch.due_probe is not None and probe_due(sketch.due_probe, specs):
        codes.append("CALENDAR_HORIZON")
    return codes


def probe_due(probe: Mapping[str, object], specs: Mapping[str, CalendarSpec]) -> bool:
    """Does a business-day due date fall past its calendar's horizon?"""
    calendars = Calendars.named([str(probe["calendar"])], specs)
    start = np.array([day_number(date.fromisoformat(str(probe["start"])))], dtype=np.int32)
    days = np.array([int(str(probe["business_days"]))], dtype=np.int32)
    _, beyond = calendars.add_business(start, days, np.zeros(1, dtype=np.int64))
    return bool(beyond[0])


def evaluate_snapshot(case: Case, snapshot: Snapshot, specs: Mapping[str, CalendarSpec]) -> dict[str, object]:
    """One entry of `evaluate --json`."""
    facts = replace(case.facts, events={**case.facts.events, **snapshot.extra_events})
    contract, as_of = case.contract, day_number(snapshot.as_of)
    batch, columns = gather([contract], [facts])
    calendars = Calendars.named(batch.calendars, specs)
    out = evaluate(batch, columns, calendars, as_of)
    past = history(batch, columns, calendars, as_of)
    names = outcome.blocker_names(0, out)
    guarantees = (*contract.guarantees, *facts.guarantees)
    warnings = [f"{w.code}:{w.params['subject']}" for w in contract_warnings(contract)]
    warnings += outcome.expired_guarantees(contract, guarantees, as_of) + outcome.beyond_horizon(contract, 0, out)
    return {
        "case": case.id,
        "as_of": snapshot.as_of.isoformat(),
        "terms": {
            t.id: outcome.term_values(contract, i, out, past, names.get(i, []))
            | receivable_values(contract, facts, i, out, calendars)
            for i, t in enumerate(contract.terms)
        },
        "exceptions": outcome.exceptions(contract, 0, out),
        "warnings": warnings,
        "holds": outcome.holds(contract, 0, out),
        "totals": outcome.totals(contract, 0, out),
    }


def _expectations(snapshot: Snapshot, entry: Mapping[str, object]) -> list[tuple[str, object, object]]:
    """(key, expected, found) for all that the snapshot states."""
    terms = entry["terms"]
    assert isinstance(terms, dict)
    pairs: list[tuple[str, object, object]] = []
    for term, values in snapshot.terms.items():
        found = terms.get(term, {})
        pairs += [(f"{term}.{key}", want, found.get(key)) for key, want in values.items()]
    for name in ("exceptions", "warnings", "holds"):
        stated: Sequence[str] | None = getattr(snapshot, name)
        if stated is not None:
            pairs.append((name, sorted(stated), sorted(entry[name])))  # type: ignore[call-overload]
    if snapshot.totals is not None:
        totals = entry["totals"]
        assert isinstance(totals, dict)
        pairs += [(f"totals.{k}", want, totals.get(k)) for k, want in snapshot.totals.items()]
    return pairs
