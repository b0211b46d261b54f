"""The long form says all of a contract: reading it again gives the same contract."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.records.contract_file import load_contract_bytes, load_contract_text, long_form
from tests.unit.contracts.strategies import as_yaml, contracts

CALM = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@CALM
@given(contracts())
def test_the_long_form_reads_as_the_same_contract(written: Mapping[str, object]) -> None:
    first = load_contract_text(as_yaml(written), "a.yaml")
    assert first.findings == ()
    (contract,) = first.contracts
    again = load_contract_text(as_yaml(long_form(contract)), "a.yaml")
    assert again.findings == ()
    assert again.contracts == (contract,)
    as_json = load_contract_text(json.dumps(long_form(contract), ensure_ascii=False, indent=1), "a.yaml")
    assert as_json.contracts[0].content_hash == contract.content_hash


@CALM
@given(contracts(), st.randoms())
def test_the_hash_does_not_depend_on_the_order_of_keys(written: Mapping[str, object], chance: object) -> None:
    items = list(written.items())
    chance.shuffle(items)  # type: ignore[attr-defined]
    one = load_contract_text(as_yaml(written), "a.yaml").contracts[0]
    two = load_contract_text(as_yaml(dict(items), sort_keys=False), "b.yaml").contracts[0]
    assert one.content_hash == two.content_hash


def test_the_hash_is_the_sha256_of_the_canonical_long_form() -> None:
    contract = load_contract_text(VALID, "v.yaml").contracts[0]
    body = json.dumps(long_form(contract), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert contract.content_hash == hashlib.sha256(body.encode()).hexdigest()


VALID = (Path(__file__).parent / "valid.yaml").read_text("utf-8")


@CALM
@given(st.data())
def test_no_text_makes_the_reader_raise(data: st.DataObject) -> None:
    """Cut, swap and spoil a valid file anywhere: findings or contracts come back, never an exception."""
    text = VALID
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        to = min(len(text), at + data.draw(st.integers(0, 12)))
        token = data.draw(
            st.one_of(
                st.text(max_size=4),
                st.sampled_from(
                    ["{", "}", "[", "]", ": ", "- ", "\n", "\t", "null", "0x1F", "1e999999", "&a ", "*a", "!!python/object:x ",
                     "? ", "<<: ", "| ", "9" * 400, ".nan", "true", "2026-02-30", "-", "''", "0b1", "1:30", "\x00", "\ud800", "---\n"]
                ),
            )
        )  # fmt: skip
        text = text[:at] + token + text[to:]
    loaded = load_contract_text(text, "spoiled.yaml")
    for finding in loaded.findings:
        assert finding.text("en")
        assert finding.text("zh-CN")


@CALM
@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_raise(data: bytes) -> None:
    load_contract_bytes(data, "noise.yaml")


def test_a_spoiled_value_anywhere_gives_findings_or_a_contract() -> None:
    """Every scalar of the file replaced, one at a time, by every kind of wrong value."""
    tree = yaml.safe_load(VALID)
    for spoiled in ("", None, [], {}, -1, "x", 10**30, True, [1], {"a": 1}, "2026-13-01"):
        for path in _paths(tree):
            copy = json.loads(json.dumps(tree, default=str))
            _put(copy, path, spoiled)
            load_contract_text(json.dumps(copy, ensure_ascii=False), "s.yaml")


def _paths(tree: object, here: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [p for k, v in inside for p in [(*here, k), *_paths(v, (*here, k))]]


def _put(tree: object, path: tuple[object, ...], value: object) -> None:
    for key in path[:-1]:
        tree = tree[key]  # type: ignore[index]
    tree[path[-1]] = value  # type: ignore[index]
