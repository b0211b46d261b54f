"""What a pulled batch must look like before it may become observations."""

from __future__ import annotations

from typing import Any

#: The columns that the suite looks at; days are day numbers (datetimes cost five times as much).
COLUMNS = ("milestone_id", "name", "state", "percent_bp", "done_day", "planned_day")
#: Nothing we bill was finished before this day (2000-01-01).
FIRST_DAY = 10_957
#: No plan reaches beyond this day (2099-12-31).
LAST_DAY = 47_481


def incoming_suite(today: int) -> Any:
    """Keys present and unique, names and states known, percentages and dates sane. `today` is a day number."""
    import great_expectations as gx

    expect = gx.expectations
    return gx.ExpectationSuite(
        name="incoming",
        expectations=[
            expect.ExpectColumnValuesToNotBeNull(column="milestone_id"),
            expect.ExpectColumnValuesToBeUnique(column="milestone_id"),
            expect.ExpectColumnValueLengthsToBeBetween(column="name", min_value=1),
            expect.ExpectColumnValueLengthsToBeBetween(column="state", min_value=1),
            expect.ExpectColumnValuesToBeBetween(column="percent_bp", min_value=0, max_value=10_000),
            expect.ExpectColumnValuesToBeBetween(column="done_day", min_value=FIRST_DAY, max_value=today + 1),
            expect.ExpectColumnValuesToBeBetween(column="planned_day", min_value=FIRST_DAY, max_value=LAST_DAY),
        ],
    )


#: Which finding a failed expectation means, by column.
CODES = {
    "milestone_id": "KEY_NOT_UNIQUE",
    "name": "NAME_MISSING",
    "state": "STATE_MISSING",
    "percent_bp": "PERCENT_RANGE",
    "done_day": "DATE_NOT_SANE",
    "planned_day": "DATE_NOT_SANE",
}
