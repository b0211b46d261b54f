"""The published JSON Schema: it accepts what the reader accepts, and is the file that is committed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from models.records.conditions import CONDITION_KEYS
from models.records.contract_file import CONTRACT_KEYS, load_contract_text, long_form
from models.records.contract_schema import json_schema, schema_text
from tests.unit.contracts.strategies import as_yaml, contracts

ROOT = Path(__file__).resolve().parents[3]
CHECK = jsonschema.Draft202012Validator(json_schema())


def as_json(text: str) -> object:
    """YAML as an editor hands it to a schema: dates are texts."""
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


def test_the_committed_schema_is_the_generated_one() -> None:
    assert (ROOT / "docs" / "contract.schema.json").read_text("utf-8") == schema_text()


def test_it_is_a_valid_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_it_knows_the_keys_the_reader_knows() -> None:
    defs = json_schema()["$defs"]
    assert set(defs["contract"]["properties"]) == set(CONTRACT_KEYS)  # type: ignore[index]
    assert set(defs["condition"]["anyOf"][1]["properties"]) == {*CONDITION_KEYS, "tag"}  # type: ignore[index]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(contracts())
def test_what_the_reader_accepts_is_valid_in_short_and_in_long_form(written: Mapping[str, object]) -> None:
    CHECK.validate(written)
    CHECK.validate(long_form(load_contract_text(as_yaml(written), "a.yaml").contracts[0]))


def test_the_file_that_says_everything_is_valid() -> None:
    CHECK.validate(as_json((Path(__file__).parent / "valid.yaml").read_text("utf-8")))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("currency: CNY", "curency: CNY"),
        ("price_basis: tax_inclusive", "price_basis: inclusive"),
        ("when: {all: [contract_signed", "when: {al: [contract_signed"),
        ("{remaining: true, weight: 5}", "{remaining: true, fixed: 5}"),
        ("roll: none}", "roll: back}"),
    ],
)  # fmt: skip
def test_a_slip_of_the_pen_is_underlined(old: str, new: str) -> None:
    text = (Path(__file__).parent / "valid.yaml").read_text("utf-8")
    assert old in text
    assert not CHECK.is_valid(as_json(text.replace(old, new, 1)))


#: What no schema can know: sums, references, uniqueness, catalogues, and what YAML itself has lost by then.
BEYOND = frozenset(
    "AMENDMENT_NEEDS_LINES CALENDAR_UNKNOWN CURRENCY_UNKNOWN TIMEZONE_UNKNOWN CYCLIC_TERMS UNKNOWN_TERM DUPLICATE_KEY "
    "DUPLICATE_LINE_ID DUPLICATE_TERM_ID MINOR_UNITS MULTIPLE_REMAINING NEGATIVE_REMAINING PERCENT_SUM_NOT_100 "
    "STAGED_NEEDS_ONE_LINE CERTIFICATE_WITHOUT_RULE RELEASE_WITHOUT_RULE AMOUNT_OVERFLOW YAML_ALIASES YAML_BROKEN".split()
)
INVALID = sorted((ROOT / "tests" / "golden" / "invalid").glob("*.yaml"))


@pytest.mark.parametrize("path", INVALID, ids=lambda p: p.stem)
def test_what_the_reader_refuses_is_underlined_unless_no_schema_can_know(path: Path) -> None:
    text = path.read_text("utf-8")
    codes = {c.partition("@")[0] for c in text.splitlines()[1].removeprefix("# expect: ").split()}
    try:
        documents = [json.loads(json.dumps(d, default=str)) for d in yaml.safe_load_all(text)]
    except (yaml.YAMLError, ValueError):
        return  # an editor underlines broken YAML, and days that no calendar has, by itself
    accepted = bool(documents) and all(CHECK.is_valid(d) for d in documents)
    assert accepted == (codes <= BEYOND)
