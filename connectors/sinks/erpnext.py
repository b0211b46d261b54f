"""ERPNext: a draft Sales Invoice, found again by a field of its own that carries the key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from connectors.errors import NeedsPerson, SourceConfig, SourceError, SourceRefused
from connectors.http.client import ApiKey, Http, Json
from connectors.http.paging import Row, objects
from connectors.registry import Option
from connectors.sinks.registry import SinkInfo
from connectors.sinks.rest import SEVERAL, TIMEOUT, RestSink, field, number, one_try
from models.domain.pushes import Push, Pushed, PushKind

INVOICE, CUSTOMER = "Sales Invoice", "Customer"
DRAFT, SUBMITTED = 0, 1


class ErpNext(RestSink):
    """One site."""

    def __init__(self, name: str, http: Http, options: Mapping[str, Any], clock: Callable[[], datetime]) -> None:
        super().__init__(name, http)
        self._set, self._clock = options, clock

    async def check(self) -> str:
        """May we read invoices, and is there a field for the key?"""
        try:
            await self._found(INVOICE, self._set["key_field"], "-", ["name"])
        except SourceRefused as problem:
            if problem.trouble.code != "vendor_refused":  # nothing else could be wrong with this question
                raise
            field_ = self._set["key_field"]
            raise SourceConfig("key_field_absent", sink=self.name, field=field_, document=INVOICE) from None
        return INVOICE

    async def push(self, push: Push) -> Pushed:
        """A draft where there is none; a withdrawn one is deleted while it is a draft."""
        found = await self._found(
            INVOICE, self._set["key_field"], push.key, ["name", "docstatus", "grand_total", "outstanding_amount"]
        )
        if push.kind is PushKind.WITHDRAWN:
            return await self._take_back(found)
        alive = [d for d in found if d["docstatus"] in (DRAFT, SUBMITTED)] or found
        if len(alive) > 1:
            raise NeedsPerson("document_twice", references=", ".join(str(d["name"]) for d in alive))
        if alive:
            return _judged(push, alive[0], found=True)
        answer = await self._http.ask("POST", _path(INVOICE), body=await self._invoice(push))
        return _judged(push, field(answer.body, "data", f"POST {INVOICE}"))

    async def _take_back(self, found: list[Row]) -> Pushed:
        for document in found:
            if document["docstatus"] == SUBMITTED:
                raise NeedsPerson("document_issued", reference=str(document["name"]))
        for document in found:
            if document["docstatus"] == DRAFT:
                await self._http.ask("DELETE", f"{_path(INVOICE)}/{quote(str(document['name']), safe='')}")
        return Pushed(", ".join(str(d["name"]) for d in found) or "-", found=not found)

    async def _found(self, kind: str, name: str, value: str, fields: list[str], limit: int = SEVERAL) -> list[Row]:
        query = {
            "filters": orjson.dumps([[name, "=", value]]).decode(),
            "fields": orjson.dumps(fields).decode(),
            "limit_page_length": str(limit),
        }
        answer = await self._http.ask("GET", _path(kind), params=query)
        return objects(field(answer.body, "data", f"GET {kind}"), f"GET {kind}")

    async def _invoice(self, push: Push) -> dict[str, Any]:
        """Net amounts as items, our own tax as actual amounts: the total is ours to the cent."""
        line = push.line
        body: dict[str, Any] = {
            "docstatus": DRAFT,
            "customer": await self._customer(push),
            "company": self._set["company"],
            "currency": line.currency,
            "ignore_pricing_rule": 1,
            "disable_rounded_total": 1,
            "remarks": f"{push.which} {push.key}",
            self._set["key_field"]: push.key,
            "items": [self._item(push, p.rate, p.net) for p in push.parts],
            "taxes": [self._tax(push, p.rate, p.tax) for p in push.parts if p.tax],
        }
        # A site refuses a day before its own today, wherever that is; then the customer's payment terms decide.
        tomorrow = self._clock().date() + timedelta(days=1)
        return body | ({"due_date": line.due_on.isoformat()} if line.due_on and line.due_on > tomorrow else {})

    def _item(self, push: Push, rate: str, net: int) -> dict[str, Any]:
        item = {
            "item_code": self._set["item"],
            "item_name": push.title[:140],
            "description": f"{push.title} ({rate})",
            "qty": 1,
            "rate": number(push.amount(net)),
        }
        return item | ({"income_account": self._set["income_account"]} if self._set["income_account"] else {})

    def _tax(self, push: Push, rate: str, tax: int) -> dict[str, Any]:
        if rate not in self._set["taxes"]:
            raise NeedsPerson("tax_unmapped", sink=self.name, rate=rate)
        return {
            "charge_type": "Actual",
            "account_head": self._set["taxes"][rate],
            "description": rate,
            "tax_amount": number(push.amount(tax)),
        }

    async def _customer(self, push: Push) -> str:
        """By the mapping a person wrote, by tax number, by name: exactly one, or nobody is taken."""
        name = push.line.customer
        if name in self._set["customers"]:
            return str(self._set["customers"][name])
        for key, value in (("tax_id", push.tax_id), ("customer_name", name)):
            rows = await self._found(CUSTOMER, key, value, ["name"]) if value else []
            if len(rows) > 1:
                raise NeedsPerson("customer_ambiguous", customer=name, by=value, sink=self.name)
            if rows:
                return str(rows[0]["name"])
        raise NeedsPerson("customer_unknown", customer=name, tax_id=push.tax_id or "-", sink=self.name)


#: How Frappe says that a field does not exist, by its version.
_NO_FIELD = ("OperationalError", "DataError", "InvalidColumnName")


def judge(status: int, body: Json, headers: Mapping[str, str]) -> SourceError | None:
    """Frappe names its exception; a wrong field is an OperationalError with status 500, and no later try helps."""
    del headers
    kind = body.get("exc_type") if isinstance(body, dict) else None
    if status < 400 or not isinstance(kind, str) or status in (401, 403, 429):
        return None
    if status >= 500 and kind not in _NO_FIELD:
        return None
    return SourceRefused("vendor_refused", status=status, code=kind[:60])


def _path(kind: str) -> str:
    return f"/api/resource/{quote(kind)}"


def _judged(push: Push, document: Mapping[str, Any], *, found: bool = False) -> Pushed:
    """A total that is not ours is told: somebody changed the draft, or the site adds something."""
    reference, total = str(document["name"]), document.get("grand_total")
    if isinstance(total, int | float) and Decimal(str(total)) != Decimal(push.amount(push.line.gross)):
        params = {"reference": reference, "theirs": str(total), "ours": push.amount(push.line.gross)}
        return Pushed(reference, found, "TOTAL_DIFFERS", params)
    return Pushed(reference, found)


def build(
    name: str,
    options: Mapping[str, Any],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
) -> ErpNext:
    """Raises SourceConfig."""
    key, secret = options["api_key"], options["api_secret"]
    http = Http(
        options["base_url"],
        ApiKey("Authorization", f"token {key}:{secret}"),
        clock=clock,
        policy=one_try(options),
        judge=judge,
        transport=transport,
        secrets=(key, secret),
    )
    return ErpNext(name, http, options, clock)


SINK = SinkInfo(
    "erpnext",
    "ERPNext",
    (
        Option("base_url", required=True, default=""),
        Option("api_key", required=True, default="", secret=True),
        Option("api_secret", required=True, default="", secret=True),
        Option("company", required=True, default=""),
        Option("item", required=True, default=""),
        Option("taxes", required=True, default={}),
        Option("customers", default={}),
        Option("income_account", default=""),
        Option("key_field", default="custom_huikuan_key"),
        TIMEOUT,
    ),
    build,
)
