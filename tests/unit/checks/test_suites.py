"""The suites as plain objects: what they look at, and that every failure has its words."""

from __future__ import annotations

from collections import Counter

import pytest

from models.domain.words import LANGUAGES, catalogue
from models.expectations import incoming, outgoing
from tests.unit.checks.rows import TODAY


def _looks(suite) -> Counter:
    return Counter(e.column for e in suite.expectations)


SUITES = {
    "incoming": lambda: incoming.incoming_suite(TODAY),
    "arrival": lambda: incoming.arrival_suite(50, TODAY),
    "outgoing": lambda: outgoing.outgoing_suite(TODAY),
}


def test_every_column_of_what_comes_in_is_looked_at() -> None:
    assert _looks(SUITES["incoming"]()).keys() == set(incoming.COLUMNS)


def test_a_pull_is_looked_at_as_a_whole_and_for_age_only_after_an_earlier_one() -> None:
    assert _looks(SUITES["arrival"]()).keys() == set(incoming.ARRIVAL_COLUMNS)
    assert _looks(incoming.arrival_suite(50, None)).keys() == {"missing_percent"}


def test_every_column_of_what_goes_out_but_the_contract_is_looked_at() -> None:
    assert _looks(SUITES["outgoing"]()).keys() == set(outgoing.COLUMNS) - {"contract_id"}


@pytest.mark.parametrize("name", SUITES)
def test_every_expectation_names_its_finding_and_the_finding_has_words(name: str) -> None:
    for expectation in SUITES[name]().expectations:
        for language in LANGUAGES:
            assert f"finding.{expectation.meta['code']}" in catalogue(language)


def test_a_suite_is_made_anew_for_each_day() -> None:
    first, second = (incoming.incoming_suite(day) for day in (TODAY, TODAY + 1))
    limits = [next(e.max_value for e in s.expectations if e.column == "done_day") for s in (first, second)]
    assert limits == [TODAY + 1, TODAY + 2]
