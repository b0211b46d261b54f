"""SAP S/4HANA: the milestone of a sales order item's billing plan loses its billing block, and gets its date.

The milestone is there already, so nothing can be made twice: what is unblocked is found unblocked.
Not run against a real server: written after SAP's description of API_SALES_ORDER_SRV, see docs/sinks.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import httpx

from connectors.errors import BadPayload, NeedsPerson, SourceError, SourceUnavailable
from connectors.http.client import Answer, Http, Json
from connectors.registry import Option
from connectors.sinks.registry import SinkInfo
from connectors.sinks.rest import TIMEOUT, RestSink, basic, field, one_of, one_try
from models.domain.pushes import Push, Pushed, PushKind

SERVICE = "/sap/opu/odata/sap/API_SALES_ORDER_SRV"
ENTITY = "A_SlsOrderItemBillingPlanItem"
KEYS = ("SalesOrder", "SalesOrderItem", "BillingPlan", "BillingPlanItem")
BILLED = ("B", "C")  # partly, completely
_MAPPED = re.compile(r"\d{1,10}/\d{1,6}/\d{1,10}/\d{1,6}", re.ASCII)


class SapMilestones(RestSink):
    """One system."""

    def __init__(self, name: str, http: Http, options: Mapping[str, Any]) -> None:
        super().__init__(name, http)
        self._set = options
        self._client = {"sap-client": options["client"]} if options["client"] else {}

    async def check(self) -> str:
        """May we read billing plans?"""
        await self._ask("GET", f"{SERVICE}/{ENTITY}", {"$top": "1", "$format": "json"})
        return ENTITY

    async def push(self, push: Push) -> Pushed:
        """Unblock the milestone, or block it again."""
        path, reference = self._milestone(push)
        answer = await self._ask("GET", path, {"$format": "json"}, {"X-CSRF-Token": "Fetch"})
        milestone = field(answer.body, "d", f"GET {ENTITY}")
        field(milestone, "BillingPlanItem", f"GET {ENTITY}")
        wanted = self._wanted(push, milestone, reference)
        if all(milestone.get(k) == v for k, v in wanted.items()):
            return Pushed(reference, found=True)
        headers = {"X-CSRF-Token": answer.headers.get("x-csrf-token", ""), "If-Match": _etag(answer)}
        await self._ask("PATCH", path, {}, headers, wanted)
        return Pushed(reference)

    def _milestone(self, push: Push) -> tuple[str, str]:
        """The address of the milestone that a person named for this term."""
        mapped = str(self._set["milestones"].get(push.which, ""))
        if not _MAPPED.fullmatch(mapped):
            raise NeedsPerson("milestone_unmapped", sink=self.name, which=push.which)
        keys = ",".join(f"{k}='{v}'" for k, v in zip(KEYS, mapped.split("/"), strict=True))
        return f"{SERVICE}/{ENTITY}({keys})", mapped

    def _wanted(self, push: Push, milestone: Mapping[str, Any], reference: str) -> dict[str, Any]:
        """The fields as they should be. Raises NeedsPerson where the milestone is not what we think it is."""
        billed = milestone.get("BillingPlanRelatedBillgStatus") in BILLED
        if push.kind is PushKind.WITHDRAWN:
            if billed:
                raise NeedsPerson("document_issued", reference=reference)
            return {"BillingBlockReason": self._set["block"]}
        if billed:
            return {}
        ours = push.amount(push.line.gross if self._set["amount"] == "gross" else push.line.net)
        theirs, currency = milestone.get("BillingPlanAmount"), milestone.get("TransactionCurrency")
        if _decimal(theirs) != Decimal(ours) or currency != push.line.currency:
            raise NeedsPerson(
                "milestone_differs",
                reference=reference,
                theirs=f"{currency} {theirs}",
                ours=f"{push.line.currency} {ours}",
            )
        return {"BillingBlockReason": "", "BillingPlanBillingDate": odata_day(push.line.ready_on)}

    async def _ask(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Answer:
        given = {"Accept": "application/json", **(headers or {})}
        return await self._http.ask(method, path, params={**params, **self._client}, body=body, headers=given)


def judge(status: int, body: Json, headers: Mapping[str, str]) -> SourceError | None:
    """Somebody changed the milestone since we looked: the next try looks anew."""
    del body, headers
    return SourceUnavailable("changed_meanwhile") if status == 412 else None


def odata_day(day: date) -> str:
    """A day as OData 2 writes it: milliseconds since 1970."""
    return f"/Date({int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000})/"


def _decimal(text: object) -> Decimal | None:
    """OData 2 writes decimals as text: exact."""
    try:
        return Decimal(text) if isinstance(text, str) else None
    except InvalidOperation:
        return None


def _etag(answer: Answer) -> str:
    """So that nobody's change is overwritten."""
    own = answer.body["d"].get("__metadata", {}).get("etag") or answer.headers.get("etag")
    if not isinstance(own, str):
        raise BadPayload("no_object", where=f"GET {ENTITY}")
    return own


def build(
    name: str,
    options: Mapping[str, Any],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
) -> SapMilestones:
    """Raises SourceConfig."""
    one_of(name, "amount", options["amount"], ("net", "gross"))
    http = Http(
        options["base_url"],
        basic(options["user"], options["password"]),
        clock=clock,
        policy=one_try(options),
        judge=judge,
        transport=transport,
        secrets=(options["password"],),
    )
    return SapMilestones(name, http, options)


SINK = SinkInfo(
    "sap",
    "SAP S/4HANA",
    (
        Option("base_url", required=True, default=""),
        Option("user", required=True, default=""),
        Option("password", required=True, default="", secret=True),
        Option("block", required=True, default=""),
        Option("milestones", required=True, default={}),
        Option("amount", default="net"),
        Option("client", default=""),
        TIMEOUT,
    ),
    build,
)
