"""The part of the JSON Schema for the time after the invoice, for `models.records.contract_schema`."""

from __future__ import annotations

from models.domain.receivables.dunning import Tone
from models.domain.receivables.interest import InterestRounding
from models.domain.receivables.rules import BillPolicy
from models.records.receivables import REMINDERS

Schema = dict[str, object]

_RATE: Schema = {"type": ["string", "number"], "description": 'A rate: "0.0005", 0.05% or 4.5. 利率。'}
_DAY: Schema = {"$ref": "#/$defs/day"}
_TEXT: Schema = {"$ref": "#/$defs/text"}
_WHOLE: Schema = {"$ref": "#/$defs/whole"}


def _closed(properties: Schema, *required: str, description: str = "") -> Schema:
    body: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    body |= {"required": list(required)} if required else {}
    return body | ({"description": description} if description else {})


def receivables_schemas() -> dict[str, Schema]:
    """One schema for each key that `models.records.receivables` reads."""
    period = _closed({"from": _DAY, "to": {"anyOf": [_DAY, {"type": "null"}]}, "pct": _RATE}, "from", "pct")
    late: Schema = {
        "daily_rate": _RATE,
        "annual_pct": _RATE,
        "rates": {"type": "array", "items": period, "minItems": 1},
        "lpr_pct": _RATE,
        "lpr_rates": {"type": "array", "items": period, "minItems": 1},
        "lpr_factor": _RATE,
        "day_base": _WHOLE,
        "fixed_sum": {"$ref": "#/$defs/amount"},
        "basis": _TEXT,
        "rounding": {"enum": [r.value for r in InterestRounding]},
    }
    statutory: Schema = {
        "days": _WHOLE,
        "from_event": _TEXT,
        "roll": {"enum": ["following", "none"]},
        "lpr_1y_pct": _RATE,
        "daily_rate": _RATE,
        "day_base": _WHOLE,
    }
    tone: Schema = {"enum": [t.value for t in Tone]}
    step = _closed({"level": _WHOLE, "from_day": {"type": "integer"}, "tone": tone}, "level", "from_day")
    return {
        "late": _closed(late, description="The rate for what is late; exactly one kind. 逾期利率，只写一种。"),
        "statutory": _closed(statutory, "days", "from_event", description="The reference a statute gives. 法定参照。"),
        "bill_policy": {"enum": [p.value for p in BillPolicy]},
        "ladder": {"type": "array", "items": step, "description": "Days after the due date. 到期日后天数。"},
        "customer_class": _TEXT
        | {"description": "Chooses [ladders.NAME] of the configuration. 客户分级，对应配置中的催款阶梯。"},
        "reminders": {
            "enum": list(REMINDERS),
            "description": "send: reminders go to customer_payer. 催款是否直接发送给客户。",
        },
        "ageing": {"type": "array", "items": _TEXT, "description": "1-30, 31-60, 61-"},
    }
