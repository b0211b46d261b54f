"""What decisions must look like before they may be posted."""

from __future__ import annotations

from typing import Any

COLUMNS = ("contract_id", "record_id", "gross", "currency", "ready_day", "evidence_count", "over_price")

CODES = {
    "record_id": "RECORD_NOT_UNIQUE",
    "gross": "AMOUNT_NOT_POSITIVE",
    "currency": "CURRENCY_MISSING",
    "ready_day": "READY_IN_FUTURE",
    "evidence_count": "EVIDENCE_MISSING",
    "over_price": "PRICE_EXCEEDED",
}


def outgoing_suite(as_of: int) -> Any:
    """Amounts positive and within the price, currency set, evidence present, nothing twice, nothing of tomorrow."""
    import great_expectations as gx

    expect = gx.expectations
    return gx.ExpectationSuite(
        name="outgoing",
        expectations=[
            expect.ExpectColumnValuesToBeUnique(column="record_id"),
            expect.ExpectColumnValuesToBeBetween(column="gross", min_value=1),
            expect.ExpectColumnValueLengthsToEqual(column="currency", value=3),
            expect.ExpectColumnValuesToBeBetween(column="ready_day", max_value=as_of),
            expect.ExpectColumnValuesToBeBetween(column="evidence_count", min_value=1),
            expect.ExpectColumnValuesToBeBetween(column="over_price", max_value=0),
        ],
    )
