"""The JSON Schema of the contract file, for editors: completion, hover texts and red lines while writing.

It knows the shapes, long and short. What adds up, refers or circles is checked when the file is read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from models.domain import contracts as m
from models.domain.receivables.dunning import Tone
from models.records.contract_file import RECEIVABLES_KEYS, SIZES
from models.records.receivables_schema import receivables_schemas

Schema = dict[str, object]
Schemas = Mapping[str, Any]

_AMOUNT = r"^[+]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?$"
_PERCENT = r"^0*(100(\.0+)?|\d{1,2}(\.\d+)?)\s*[%％]?$"
_WORDS = r"^\s*[^\s\x00-\x1f]([^\x00-\x08\x0b-\x1f]*[^\s\x00-\x1f])?\s*$"  # something to read, nothing invisible
_DAY = r"^\d{4}-\d{2}-\d{2}$"


def json_schema() -> Schema:
    """The schema of a contract file: one contract, or a list of them."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Huikuan contract file",
        "description": "One contract, or a list of contracts. 一份合同，或多份合同的列表。",
        "anyOf": [_ref("contract"), _list(_ref("contract"))],
        "$defs": {
            "contract": _contract(),
            "amount": {"type": ["string", "number"], "pattern": _AMOUNT, "description": "Exact, best in quotes. 精确金额，最好加引号。"},
            "percent": {"type": ["string", "number"], "pattern": _PERCENT, "minimum": 0, "maximum": 100, "description": '30%, 30 or "30".'},
            "day": {"type": "string", "pattern": _DAY, "description": "YYYY-MM-DD"},
            "whole": {"type": "integer", "minimum": 0},
            "share": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 2, "maxItems": 2},
            "text": {"type": ["string", "number", "boolean"], "pattern": _WORDS},
            "party": _either(_text("The name. 名称。"), _object({"name": _ref("text"), "tax_id": _ref("text"), "size": _enum(SIZES), "size_declared_on": _ref("day")}, "name")),
            "line": _object({"id": _ref("text"), "name": _ref("text"), "amount": _ref("amount"), "tax_rate": _ref("percent")}, "id", "amount", "tax_rate"),
            "term": _term(),
            "condition": _condition(),
            "due": _due(),
            "binding": _binding(),
            "guarantee": _guarantee(),
        },
    }  # fmt: skip


def schema_text() -> str:
    """The schema as the committed file holds it."""
    return json.dumps(json_schema(), ensure_ascii=False, indent=1) + "\n"


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _enum(values: object) -> Schema:
    return {"enum": [str(v) for v in values]}  # type: ignore[attr-defined]


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _either(*shapes: Schemas) -> Schema:
    return {"anyOf": list(shapes)}


def _object(properties: Schemas, *required: str, description: str = "") -> Schema:
    body: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        body["required"] = list(required)
    return body | ({"description": description} if description else {})


def _one_of(properties: Schemas, extra: Schemas | None = None) -> Schema:
    """A mapping with exactly one of the keys, and any of the extra ones."""
    kinds: list[Schema] = [{"required": [k]} for k in properties]
    return _object({**properties, **(extra or {})}) | {"oneOf": kinds}


def _contract() -> Schema:
    kept: dict[str, Schema] = {k: {} for k in RECEIVABLES_KEYS} | receivables_schemas()
    properties: dict[str, Schema] = {
        "contract": _text("The contract's number, unique over all files. 合同编号，全部文件中唯一。"),
        "title": _ref("text"),
        "customer": _ref("party"),
        "supplier": _ref("party"),
        "customer_size": _enum(SIZES),
        "supplier_size": _enum(SIZES),
        "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
        "minor_units": _ref("whole"),
        "timezone": _text("Like Asia/Shanghai. 如 Asia/Shanghai。"),
        "calendar": {"type": "string", "pattern": "^(WEEKEND_ONLY|[A-Z]{2})$", "description": "CN knows adjusted working days. CN 含调休。"},
        "price_basis": _enum(m.PriceBasis),
        "tax_rounding": _enum(m.TaxRounding),
        "lines": _list(_ref("line")) | {"minItems": 1},
        "terms": _list(_ref("term")) | {"minItems": 1},
        "events": {"type": "object", "additionalProperties": _ref("binding")},
        "contacts": _list(_contact()),
        "guarantees": _list(_ref("guarantee")),
        "approval": _enum(("required", "none")),
        "notify_customer": {"type": "boolean"},
    }  # fmt: skip
    properties |= _contract_rules() | kept
    needed = ("contract", "customer", "supplier", "currency", "timezone", "calendar", "price_basis", "lines", "terms")
    return _object(properties, *needed)


def _contract_rules() -> dict[str, Schema]:
    progress = {
        "pay_percent": _ref("percent"),
        "advance_term": _ref("text"),
        "recover_percent": _ref("percent"),
        "invoice_basis": _enum(("payable",)),
    }
    release = _object({"term": _ref("text"), "share": _ref("share"), "remaining": {"const": True}}, "term")
    opening = {
        "term": _ref("text"),
        "invoiced": _ref("amount"),
        "paid": _ref("amount"),
        "invoiced_on": _ref("day"),
        "paid_on": _ref("day"),
    }
    amendment = {
        "id": _ref("text"), "effective": _ref("day"), "new_total": _ref("amount"),
        "lines": {"type": "object", "additionalProperties": _ref("amount")},
        "policy": _enum(("freeze_invoiced_spread_remaining_by_weight",)),
    }  # fmt: skip
    return {
        "progress": _object(progress, "pay_percent"),
        "retention": _object({"percent": _ref("percent"), "releases": _list(release)}, "percent", "releases"),
        "not_to_exceed": _object({"amount": _ref("amount"), "terms": _list(_ref("text"))}, "amount", "terms"),
        "retainer": _object({"term": _ref("text"), "amount": _ref("amount"), "apply": _enum(("oldest_first",))}, "term", "amount"),
        "amendments": _list(_object(amendment, "id", "effective")),
        "opening": _list(_object(opening, "term", "invoiced")),
    }  # fmt: skip


def _contact() -> Schema:
    roles = _enum(("finance", "project_manager", "customer_payer", "operator"))
    fields = {
        "role": roles,
        "name": _ref("text"),
        "email": _ref("text"),
        "phone": _ref("text"),
        "language": _enum(("zh-CN", "en")),
        "tone": _enum(tuple(Tone)),
    }
    return _object(fields, "role", "name")


def _guarantee() -> Schema:
    fields = {
        "id": _ref("text"),
        "kind": _ref("text"),
        "amount": _ref("amount"),
        "issued": _ref("day"),
        "expires": _ref("day"),
    }
    more: dict[str, Schema] = {k: {} for k in ("issuer", "original_location", "on_demand", "reduces_with")}
    return _object(fields | more, "id", "amount")


def _term() -> Schema:
    rules = _one_of(
        {
            "percent": _ref("percent"), "share": _ref("share"), "fixed": _ref("amount"), "remaining": {"const": True},
            "cumulative_percent": _ref("percent"), "certificate": _ref("amount"), "valuation": _ref("amount"), "retention_release": {"const": True},
        },
        {"weight": _ref("percent")},
    )  # fmt: skip
    short = {"type": ["string", "number"], "description": '30% | remaining | "5000.00"'}
    fields = {
        "id": _ref("text"),
        "name": _ref("text"),
        "amount": _either(short, rules),
        "when": _ref("condition"),
        "due": _ref("due"),
        "approval": _enum(("required", "none")),
    }
    return _object(fields, "id", "amount", "when")


def _condition() -> Schema:
    parts = _list(_ref("condition")) | {"minItems": 1}
    elapsed = _object(
        {"after": _ref("condition"), "months": _ref("whole"), "days": _ref("whole"), "business_days": _ref("whole")},
        "after",
    )
    deemed = {
        "submitted": _ref("text"),
        "accepted": _ref("text"),
        "rejected": _ref("text"),
        "business_days": _ref("whole"),
        "days": _ref("whole"),
    }
    nodes = {
        "event": _ref("text"), "all": parts, "any": parts,
        "at_least": _object({"n": {"type": "integer", "minimum": 1}, "of": parts}, "n", "of"),
        "elapsed": elapsed,
        "progress": _object({"of": _ref("text"), "gte": _ref("percent"), "at_least": _ref("percent")}, "of"),
        "deemed": _object(deemed, "submitted"),
        "guarantee": _either(_text("Its id. 编号。"), _object({"id": _ref("text"), "min_amount": _ref("amount")}, "id")),
        "term_ready": _ref("text"), "term_invoiced": _ref("text"), "term_paid": _ref("text"), "date": _ref("day"),
        "approved": _either(_text("The role. 角色。"), _object({"role": _ref("text")}, "role")),
    }  # fmt: skip
    return _either(_text("The name of an event, or a date. 事件名，或日期。"), _one_of(nodes, {"tag": _ref("text")}))


def _due() -> Schema:
    adds = {
        "days": _ref("whole"),
        "business_days": _ref("whole"),
        "months": _ref("whole"),
        "end_of_month_then_days": _ref("whole"),
        "day_of_next_month": _ref("whole"),
        "end_of_next_month": {"const": True},
    }
    long = {"start": _enum(m.DueStart), "add": _one_of(adds, {"then": _enum(("end_of_month",))}), "roll": _enum(m.Roll)}
    return _either(_text("30 days after invoice_date | 收到发票后15个工作日"), _object(long, "start", "add"))


def _binding() -> Schema:
    grade = _enum(("number", "state", "history", "review"))
    state = _enum(("done", "accepted"))
    there = {
        "connection": _ref("text"),
        "project": _ref("text"),
        "id": _ref("text"),
        "name": _ref("text"),
        "min_grade": grade,
    }
    kinds = {
        "milestone": _object(there | {"state": state}, "connection", "project"),
        "progress": _object(there | {"at_least": _ref("percent")}, "connection", "project"),
        "document": _ref("text"), "sign_off": _ref("text"), "date": _ref("day"),
    }  # fmt: skip
    return _either(_ref("day"), _one_of(kinds, {"state": state, "min_grade": grade}))
