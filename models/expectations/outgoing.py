"""What decisions must look like before they may be posted."""

from __future__ import annotations

from typing import Any

#: One row for each record about to be posted. `over_price` is by how many minor units the live and invoiced
#: terms of its contract exceed the price; `record_id` is made of contract, term and occurrence.
COLUMNS = ("contract_id", "record_id", "gross", "currency", "ready_day", "evidence_count", "over_price")


def outgoing_suite(as_of: int) -> Any:
    """Amounts positive and within the price, currency set, evidence present, nothing twice, nothing of tomorrow.

    `as_of` is a day number; `meta.code` is the finding that a failing record gets.
    """
    import great_expectations as gx

    expect = gx.expectations

    def between(column: str, code: str, **limits: int) -> Any:
        return expect.ExpectColumnValuesToBeBetween(column=column, meta={"code": code}, **limits)

    return gx.ExpectationSuite(
        name="outgoing",
        expectations=[
            expect.ExpectColumnValuesToBeUnique(column="record_id", meta={"code": "RECORD_NOT_UNIQUE"}),
            between("gross", "AMOUNT_NOT_POSITIVE", min_value=1),
            expect.ExpectColumnValuesToNotBeNull(column="currency", meta={"code": "CURRENCY_MISSING"}),
            expect.ExpectColumnValuesToMatchRegex(
                column="currency", regex=r"^[A-Z]{3}$", meta={"code": "CURRENCY_MISSING"}
            ),
            between("ready_day", "READY_IN_FUTURE", max_value=as_of),
            between("evidence_count", "EVIDENCE_MISSING", min_value=1),
            between("over_price", "PRICE_EXCEEDED", max_value=0),
        ],
    )
