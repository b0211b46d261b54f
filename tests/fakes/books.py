"""Where invoices are made, as fakes behind real HTTP clients: Odoo, ERPNext, Oracle, SAP.

Each keeps its documents, checks what it is sent against the published description, and can lose an answer: the work is
done and the caller never hears of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import jsonschema

DESCRIPTIONS = Path(__file__).parents[1] / "contract" / "descriptions"
Row = dict[str, Any]


def described(name: str) -> Row:
    """A description derived from what the vendor publishes; the file says from where."""
    return json.loads((DESCRIPTIONS / f"{name}.json").read_text(encoding="utf-8"))


class Books:
    """What all share: the requests, a switch that loses the answer of the next change, one that refuses."""

    kind = ""

    def __init__(self) -> None:
        self.documents: list[Row] = []
        self.requests: list[httpx.Request] = []
        self.lose = 0  # answers to changes that never arrive
        self.answer_with: int | None = None  # a status for everything

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._taken)

    def options(self) -> Row:
        return {"base_url": "https://books.example", "timeout": 1.0}

    def _taken(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.answer_with:
            return httpx.Response(self.answer_with, json={})
        before = json.dumps(self.documents, default=str)
        answer = self.answer(request)
        if self.lose and json.dumps(self.documents, default=str) != before:
            self.lose -= 1
            raise httpx.ReadTimeout("lost")
        return answer

    def answer(self, request: httpx.Request) -> httpx.Response:
        raise NotImplementedError

    def alive(self) -> int:
        """Documents that would become an invoice."""
        return len(self.documents)

    def issue(self) -> None:
        """A person issues every document."""
        raise NotImplementedError


def body_of(request: httpx.Request) -> Any:
    """Numbers as they were written."""
    return json.loads(request.content, parse_float=Decimal)


def reply(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.Response(status, content=json.dumps(body, default=float), headers=headers)


class OdooBooks(Books):
    """account.move over JSON-2 or JSON-RPC."""

    kind = "odoo"

    def __init__(self, protocol: str = "json2") -> None:
        super().__init__()
        self.protocol = protocol
        self.partners = [{"id": 7, "name": "Customer", "vat": False, "parent_id": False}]
        self.tax = {6: Decimal("0.06"), 13: Decimal("0.13")}

    def options(self) -> Row:
        more = {"database": "prod", "login": "robot"} if self.protocol == "jsonrpc" else {}
        return (
            super().options() | {"api_key": "k" * 40, "taxes": {"6%": 6, "13%": 13}, "protocol": self.protocol} | more
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        body = body_of(request)
        if request.url.path != "/jsonrpc":
            model, method = request.url.path.removeprefix("/json/2/").split("/")
            return reply(self._call(model, method, body.pop("ids", []), body), 200)
        args = body["params"]["args"]
        found = (
            2
            if body["params"]["method"] == "authenticate"
            else self._call(args[3], args[4], *_placed(args[5]), args[6])
        )
        return reply({"jsonrpc": "2.0", "id": 1} | ({} if found is None else {"result": found}), 200)

    def _call(self, model: str, method: str, ids: list[int], given: Row) -> Any:
        if method == "fields_get":
            return {n: {} for n in described("odoo_account_move")["properties"]}
        if method == "button_cancel":
            for row in self.documents:
                row["state"] = "cancel" if row["id"] in ids else row["state"]
            return None
        if method == "create":
            return [self._made(v) for v in given["vals_list"]]
        rows = {
            "account.move": self.documents,
            "res.partner": self.partners,
            "res.currency": [{"id": 3, "name": "CNY"}],
        }
        return [r for r in rows[model] if all(r.get(leaf[0]) == leaf[2] for leaf in given["domain"])][
            : given.get("limit", 80)
        ]

    def _made(self, values: Row) -> int:
        jsonschema.validate(values, described("odoo_account_move"))
        lines = [x[2] for x in values["invoice_line_ids"]]
        total = sum((x["price_unit"] * (1 + self.tax[x["tax_ids"][0][2][0]]) for x in lines), Decimal())
        state = {"id": len(self.documents) + 1, "name": "/", "state": "draft", "payment_state": "not_paid"}
        self.documents.append({**values, **state, "amount_total": float(round(total, 2))})
        return len(self.documents)

    def alive(self) -> int:
        return sum(d["state"] != "cancel" for d in self.documents)

    def issue(self) -> None:
        for row in self.documents:
            row |= {"state": "posted", "name": "INV/2026/00001"}


def _placed(records: list[Any]) -> list[Any]:
    return records or [[]]


class ErpNextBooks(Books):
    """Sales Invoice over /api/resource."""

    kind = "erpnext"

    def __init__(self) -> None:
        super().__init__()
        self.customers = [{"name": "CUST-1", "customer_name": "Customer", "tax_id": None}]
        self.fields = {"custom_huikuan_key", "name"}

    def options(self) -> Row:
        keys = {"api_key": "key0", "api_secret": "secret0", "company": "Star", "item": "MILESTONE"}
        return super().options() | keys | {"taxes": {"6%": "Output VAT 6% - S", "13%": "Output VAT 13% - S"}}

    def answer(self, request: httpx.Request) -> httpx.Response:
        kind, _, name = unquote(request.url.path.removeprefix("/api/resource/")).partition("/")
        if request.headers["authorization"] != "token key0:secret0":
            return reply({"exc_type": "AuthenticationError"}, 401)
        if request.method == "POST":
            if body_of(request).get("due_date", "9999") < "2026-11-20":
                return reply({"exc_type": "ValidationError"}, 417)
            return reply({"data": self._made(body_of(request))}, 200)
        if request.method == "DELETE":
            self.documents = [d for d in self.documents if d["name"] != name]
            return reply({"data": "ok"}, 202)
        rows = self.documents if kind == "Sales Invoice" else self.customers
        ((field, _, value),) = json.loads(request.url.params["filters"])
        if kind == "Sales Invoice" and field not in self.fields:
            return reply({"exc_type": "OperationalError"}, 500)
        return reply({"data": [r for r in rows if r.get(field) == value]}, 200)

    def _made(self, values: Row) -> Row:
        jsonschema.validate(values, described("erpnext_sales_invoice"))
        total = sum(i["rate"] for i in values["items"]) + sum(t["tax_amount"] for t in values["taxes"])
        row = {**values, "name": f"ACC-SINV-2026-{len(self.documents) + 1:05}", "grand_total": float(total)}
        self.documents.append(row)
        return json.loads(json.dumps(row, default=float))

    def issue(self) -> None:
        for row in self.documents:
            row["docstatus"] = 1


class OracleBooks(Books):
    """projectBillingEvents."""

    kind = "oracle"

    def options(self) -> Row:
        keys = {"user": "robot", "password": "password0", "contract_type": "Sell : Project lines"}
        return super().options() | keys | {"event_type": "Milestone"}

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            event = body_of(request)
            jsonschema.validate(event, described("oracle_project_billing_event"))
            number = len(self.documents) + 1
            href = f"https://books.example/fscmRestApi/resources/11.13.18.05/projectBillingEvents/HASH{number}"
            row = event | {
                "EventId": 300_000 + number,
                "EventNumber": number,
                "Invoiced": "U",
                "links": [{"rel": "self", "href": href}],
            }
            self.documents.append(row)
            return reply(row, 201)
        if request.method == "DELETE":
            self.documents = [d for d in self.documents if not d["links"][0]["href"].endswith(request.url.path)]
            return httpx.Response(204)
        wanted = dict(part.split("=") for part in request.url.params.get("q", "").split(";") if part)
        rows = [r for r in self.documents if all(r[k] == v.strip("'") for k, v in wanted.items())]
        return reply({"items": rows, "hasMore": False}, 200)

    def issue(self) -> None:
        for row in self.documents:
            row["Invoiced"] = "F"


class SapBooks(Books):
    """One milestone of a billing plan."""

    kind = "sap"
    PATH = (
        "/sap/opu/odata/sap/API_SALES_ORDER_SRV/A_SlsOrderItemBillingPlanItem"
        "(SalesOrder='4711',SalesOrderItem='10',BillingPlan='123',BillingPlanItem='1')"
    )

    def __init__(self) -> None:
        super().__init__()
        self.documents = [
            {
                "SalesOrder": "4711", "SalesOrderItem": "10", "BillingPlan": "123", "BillingPlanItem": "1",
                "BillingPlanAmount": "400.00", "TransactionCurrency": "CNY", "BillingBlockReason": "02",
                "BillingPlanBillingDate": "/Date(1798675200000)/", "BillingPlanRelatedBillgStatus": "A",
            }
        ]  # fmt: skip

    def options(self) -> Row:
        keys = {"user": "robot", "password": "password0", "block": "02", "amount": "gross"}
        return super().options() | keys | {"milestones": {"C-1/T1": "4711/10/123/1", "C-2/T1": "4711/10/123/1"}}

    def answer(self, request: httpx.Request) -> httpx.Response:
        path, (row,) = unquote(request.url.path), self.documents
        if not path.endswith(")"):
            return reply({"d": {"results": [row]}}, 200)
        if path != self.PATH:
            return reply({}, 404)
        etag = f'W/"{row["BillingBlockReason"]}"'
        if request.method == "GET":
            return httpx.Response(
                200, json={"d": {**row, "__metadata": {"etag": etag}}}, headers={"x-csrf-token": "t0"}
            )
        if request.headers.get("x-csrf-token") != "t0":
            return reply({}, 403)
        if request.headers.get("if-match") != etag:
            return reply({}, 412)
        jsonschema.validate(body_of(request), described("sap_billing_plan_item"))
        row |= body_of(request)
        return httpx.Response(204)

    def alive(self) -> int:
        return sum(not d["BillingBlockReason"] for d in self.documents)

    def issue(self) -> None:
        self.documents[0]["BillingPlanRelatedBillgStatus"] = "C"


ALL: tuple[Callable[[], Books], ...] = (
    OdooBooks,
    lambda: OdooBooks("jsonrpc"),
    ErpNextBooks,
    OracleBooks,
    SapBooks,
)
NAMES = ("odoo", "odoo-jsonrpc", "erpnext", "oracle", "sap")
