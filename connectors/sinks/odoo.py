"""Odoo: a draft customer invoice (`account.move`), found again by the field that carries the key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx

from connectors.errors import BadPayload, NeedsPerson, SourceConfig
from connectors.http.client import ApiKey, Http
from connectors.http.headers import Dressed, NoCredentials
from connectors.odoo.client import Caller, judge
from connectors.odoo.connector import PROTOCOLS
from connectors.registry import Option
from connectors.sinks.registry import SinkInfo
from connectors.sinks.rest import SEVERAL, TIMEOUT, RestSink, number, one_of, one_try
from models.domain.pushes import Push, Pushed, PushKind

MOVE = "account.move"
FIELDS = ["name", "state", "payment_state", "amount_total"]


@dataclass(frozen=True, slots=True)
class Books:
    """How a company keeps its books in Odoo: see `SINK.options`."""

    key_field: str
    taxes: Mapping[str, int]
    customers: Mapping[str, int]
    company: int
    journal: int
    product: int


class OdooInvoices(RestSink):
    """One database."""

    def __init__(self, name: str, http: Http, caller: Caller, books: Books) -> None:
        super().__init__(name, http)
        self._odoo, self._books = caller, books
        # Taxes, journals and what may be seen hang on the company one works in.
        self._in = {"context": {"allowed_company_ids": [books.company]}} if books.company else {}

    async def check(self) -> str:
        """May we see invoices, and is there a field for the key?"""
        known = await self._odoo.call(MOVE, "fields_get", attributes=["type"])
        if not isinstance(known, dict):
            raise BadPayload("no_object", where=f"{MOVE}.fields_get")
        if self._books.key_field not in known:
            raise SourceConfig("key_field_absent", sink=self.name, field=self._books.key_field, document=MOVE)
        return MOVE

    async def push(self, push: Push) -> Pushed:
        """A draft where there is none; a withdrawn one is cancelled while it is a draft."""
        found = await self._documents(push.key)
        if push.kind is PushKind.WITHDRAWN:
            return await self._take_back(found)
        alive = [d for d in found if d["state"] != "cancel"] or found
        if len(alive) > 1:
            raise NeedsPerson("document_twice", references=", ".join(_reference(d) for d in alive))
        if alive:
            return _judged(push, alive[0], found=True)
        created = await self._create(await self._invoice(push))
        rows = await self._odoo.rows(MOVE, domain=[["id", "=", created]], fields=FIELDS, **self._in)
        return _judged(push, rows[0]) if rows else Pushed(f"{MOVE}/{created}")

    async def _documents(self, key: str) -> list[dict[str, Any]]:
        domain = [[self._books.key_field, "=", key], ["move_type", "=", "out_invoice"]]
        return await self._odoo.rows(MOVE, domain=domain, fields=FIELDS, limit=SEVERAL, order="id", **self._in)

    async def _take_back(self, found: list[dict[str, Any]]) -> Pushed:
        for document in found:
            if document["state"] == "posted" and document.get("payment_state") != "reversed":
                raise NeedsPerson("document_issued", reference=_reference(document))
        for document in found:
            if document["state"] == "draft":
                await self._odoo.call(MOVE, "button_cancel", ids=[document["id"]], **self._in)
        names = ", ".join(_reference(d) for d in found)
        return Pushed(names or "-", found=not found)

    async def _create(self, values: Mapping[str, Any]) -> int:
        made = await self._odoo.call(MOVE, "create", vals_list=[values], **self._in)
        number_ = made[0] if isinstance(made, list) and made else made
        if isinstance(number_, bool) or not isinstance(number_, int):
            raise BadPayload("no_object", where=f"{MOVE}.create")
        return number_

    async def _invoice(self, push: Push) -> dict[str, Any]:
        line, books = push.line, self._books
        values: dict[str, Any] = {
            "move_type": "out_invoice",
            "partner_id": await self._partner(push),
            "currency_id": await self._currency(line.currency),
            "invoice_origin": push.which,
            books.key_field: push.key,
            "invoice_line_ids": [[0, 0, self._line(push, p.rate, p.net)] for p in push.parts],
        }
        values |= {"invoice_date_due": line.due_on.isoformat()} if line.due_on else {}
        values |= {k: v for k, v in (("company_id", books.company), ("journal_id", books.journal)) if v}
        return values

    def _line(self, push: Push, rate: str, net: int) -> dict[str, Any]:
        if rate not in self._books.taxes:
            raise NeedsPerson("tax_unmapped", sink=self.name, rate=rate)
        line = {
            "name": push.title,
            "quantity": 1,
            "price_unit": number(push.amount(net)),
            "tax_ids": [[6, 0, [self._books.taxes[rate]]]],
        }
        return line | ({"product_id": self._books.product} if self._books.product else {})

    async def _partner(self, push: Push) -> int:
        """By the mapping a person wrote, by tax number, by name: exactly one, or nobody is taken."""
        name = push.line.customer
        if name in self._books.customers:
            return self._books.customers[name]
        for field, value in (("vat", push.tax_id), ("name", name)):
            if not value:
                continue
            domain = [[field, "=", value], ["parent_id", "=", False]]
            rows = await self._odoo.rows("res.partner", domain=domain, fields=["name"], limit=SEVERAL, **self._in)
            if len(rows) > 1:
                raise NeedsPerson("customer_ambiguous", customer=name, by=value, sink=self.name)
            if rows:
                return int(rows[0]["id"])
        raise NeedsPerson("customer_unknown", customer=name, tax_id=push.tax_id or "-", sink=self.name)

    async def _currency(self, code: str) -> int:
        rows = await self._odoo.rows("res.currency", domain=[["name", "=", code]], fields=["name"], limit=1)
        if not rows:
            raise NeedsPerson("currency_absent", currency=code)
        return int(rows[0]["id"])


def _reference(document: Mapping[str, Any]) -> str:
    """The number once it has one; a draft is called `/` or false."""
    name = document.get("name")
    return f"{name if isinstance(name, str) and name != '/' else MOVE} #{document['id']}"


def _judged(push: Push, document: Mapping[str, Any], *, found: bool = False) -> Pushed:
    """Odoo computes the tax itself: a total that is not ours is told."""
    total, reference = document.get("amount_total"), _reference(document)
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
) -> OdooInvoices:
    """Over JSON-2, or JSON-RPC for Odoo 18 and older. Raises SourceConfig."""
    one_of(name, "protocol", options["protocol"], PROTOCOLS)
    rpc = options["protocol"] == "jsonrpc"
    missing = [k for k in ("database", "login") if rpc and not options[k]]
    if missing:
        raise SourceConfig("sink_key_missing", sink=name, keys=", ".join(missing))
    database = {"X-Odoo-Database": options["database"]} if options["database"] else {}
    http = Http(
        options["base_url"],
        NoCredentials() if rpc else Dressed(ApiKey("Authorization", f"bearer {options['api_key']}"), database),
        clock=clock,
        policy=one_try(options),
        judge=judge,
        transport=transport,
        secrets=(options["api_key"],),
    )
    login = options["login"] if rpc else ""
    caller = Caller(http, database=options["database"], login=login, key=options["api_key"])
    for key in ("taxes", "customers"):
        if not all(isinstance(v, int) for v in options[key].values()):
            raise SourceConfig("sink_numbers", sink=name, key=key)
    books = Books(**{k: options[k] for k in Books.__dataclass_fields__})
    return OdooInvoices(name, http, caller, books)


SINK = SinkInfo(
    "odoo",
    "Odoo",
    (
        Option("base_url", required=True, default=""),
        Option("api_key", required=True, default="", secret=True),
        Option("database", default=""),
        Option("protocol", default="json2"),
        Option("login", default=""),
        Option("key_field", default="ref"),
        Option("taxes", required=True, default={}),
        Option("customers", default={}),
        Option("company", default=0),
        Option("journal", default=0),
        Option("product", default=0),
        TIMEOUT,
    ),
    build,
)
