"""What a pulled batch must look like before it may become observations."""

from __future__ import annotations

from typing import Any

#: The columns that the suite looks at; days are day numbers (datetimes cost five times as much).
#: `odd` names a field of a type that no connector may deliver, as FIELD=VALUE; it is missing in a sound row.
COLUMNS = ("milestone_id", "name", "state", "percent_bp", "done_day", "planned_day", "odd")
#: The columns of the one row that describes a pull as a whole.
ARRIVAL_COLUMNS = ("missing_percent", "newest_day")
#: Nothing we bill was finished before this day (2000-01-01).
FIRST_DAY = 10_957
#: No plan reaches beyond this day (2099-12-31).
LAST_DAY = 47_481
#: Text with something to see in it.
VISIBLE = r"\S"


def incoming_suite(today: int) -> Any:
    """Keys present and unique, names and states known, percentages and dates sane. `today` is a day number.

    `meta.code` is the finding that a failing row gets.
    """
    import great_expectations as gx

    expect = gx.expectations

    def text(column: str, code: str) -> tuple[Any, Any]:
        meta = {"code": code}
        return (
            expect.ExpectColumnValuesToNotBeNull(column=column, meta=meta),
            expect.ExpectColumnValuesToMatchRegex(column=column, regex=VISIBLE, meta=meta),
        )

    def between(column: str, low: int, high: int, code: str) -> Any:
        return expect.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high, meta={"code": code})

    return gx.ExpectationSuite(
        name="incoming",
        expectations=[
            expect.ExpectColumnValuesToBeNull(column="odd", meta={"code": "PROOF_FIELD_TYPE"}),
            *text("milestone_id", "KEY_MISSING"),
            expect.ExpectColumnValuesToBeUnique(column="milestone_id", meta={"code": "KEY_NOT_UNIQUE"}),
            *text("name", "NAME_MISSING"),
            *text("state", "STATE_MISSING"),
            between("percent_bp", 0, 10_000, "PERCENT_RANGE"),
            # A day without a zone may have begun where days begin first.
            between("done_day", FIRST_DAY, today + 1, "DATE_NOT_SANE"),
            between("planned_day", FIRST_DAY, LAST_DAY, "DATE_NOT_SANE"),
        ],
    )


def arrival_suite(drop_ratio: int, oldest_news: int | None) -> Any:
    """A pull as a whole: not more than `drop_ratio` percent missing against the last run, and news that are new.

    `oldest_news` is the day number before which the newest change would be stale; None where nothing is known.
    """
    import great_expectations as gx

    expect = gx.expectations
    suite = [
        expect.ExpectColumnValuesToBeBetween(
            column="missing_percent", min_value=0, max_value=drop_ratio, meta={"code": "ROWS_DROPPED"}
        )
    ]
    if oldest_news is not None:
        suite.append(
            expect.ExpectColumnValuesToBeBetween(
                column="newest_day", min_value=oldest_news, meta={"code": "SOURCE_STALE"}
            )
        )
    return gx.ExpectationSuite(name="arrival", expectations=suite)
