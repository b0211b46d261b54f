"""Sound observations and records, to be spoilt one field at a time."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pandas as pd

from flows.steps.evaluation.columns import day_number
from models.domain.observations import Observation

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
TODAY = day_number(NOW.date())

SOUND = Observation(
    "rd", "P", "P", "Project", "m", "milestone", "Go-live", state="done", done=True,
    percent_bp=10_000, done_at=NOW, planned_on=date(2026, 12, 1), updated_at=NOW,
)  # fmt: skip


def observed(key: str, **changes: Any) -> Observation:
    return SOUND._replace(milestone_id=key, **changes)


def batch(**spoilt: Any) -> list[Observation]:
    """Three sound rows, the one in the middle spoilt."""
    return [observed("a"), observed("b")._replace(**spoilt), observed("c")]


def records(**spoilt: Any) -> pd.DataFrame:
    """Three sound records of contracts 1, 2 and 3, the one in the middle spoilt."""
    columns: dict[str, list[Any]] = {
        "contract_id": [1, 2, 3],
        "record_id": ["r1", "r2", "r3"],
        "gross": [100, 200, 300],
        "currency": ["CNY", "CNY", "JPY"],
        "ready_day": [TODAY, TODAY - 1, TODAY - 400],
        "evidence_count": [1, 2, 1],
        "over_price": [0, 0, 0],
    }
    for name, value in spoilt.items():
        columns[name][1] = value
    return pd.DataFrame(columns)
