"""Oracle Fusion Cloud Project Management: a project billing event, found again by its source and source reference.

Not run against a real server: written after Oracle's REST reference, see docs/sinks.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import httpx

from connectors.errors import BadPayload, NeedsPerson
from connectors.http.client import Http
from connectors.http.paging import Row, objects
from connectors.registry import Option
from connectors.sinks.registry import SinkInfo
from connectors.sinks.rest import SEVERAL, TIMEOUT, RestSink, basic, field, number, one_of, one_try, plain
from models.domain.pushes import Push, Pushed, PushKind

EVENTS = "/fscmRestApi/resources/11.13.18.05/projectBillingEvents"
UNINVOICED = "U"


class OracleEvents(RestSink):
    """One environment."""

    def __init__(self, name: str, http: Http, options: Mapping[str, Any]) -> None:
        super().__init__(name, http)
        self._set = options

    async def check(self) -> str:
        """May we read events?"""
        await self._http.ask("GET", EVENTS, params={"limit": "1", "fields": "EventId"})
        return "projectBillingEvents"

    async def push(self, push: Push) -> Pushed:
        """An event where there is none; a withdrawn one is deleted while nothing of it is invoiced."""
        found = await self._events(push.key)
        if len(found) > 1:
            raise NeedsPerson("document_twice", references=", ".join(map(_reference, found)))
        if push.kind is PushKind.WITHDRAWN:
            return await self._take_back(found)
        if found:
            return Pushed(_reference(found[0]), found=True)
        answer = await self._http.ask("POST", EVENTS, body=self._event(push))
        field(answer.body, "EventId", f"POST {EVENTS}")
        return Pushed(_reference(answer.body))

    async def _events(self, key: str) -> list[Row]:
        """Both are ours, without a quote in them: `source` is checked when the sink is built, the key is a UUID."""
        query = f"SourceName='{self._set['source']}';SourceReference='{key}'"
        answer = await self._http.ask("GET", EVENTS, params={"q": query, "limit": str(SEVERAL)})
        return objects(field(answer.body, "items", f"GET {EVENTS}"), f"GET {EVENTS}")

    async def _take_back(self, found: list[Row]) -> Pushed:
        for event in found:
            if event.get("Invoiced") != UNINVOICED:
                raise NeedsPerson("document_issued", reference=_reference(event))
            await self._http.ask("DELETE", f"{EVENTS}/{_self(event)}")
        return Pushed(", ".join(map(_reference, found)) or "-", found=not found)

    def _event(self, push: Push) -> dict[str, Any]:
        """Oracle computes taxes on its invoices: the amount is the net one unless the configuration says gross."""
        line, chosen = push.line, self._set
        number_, _, own = str(chosen["contracts"].get(line.contract, line.contract)).partition("#")
        event: dict[str, Any] = {
            "SourceName": chosen["source"],
            "SourceReference": push.key,
            "ContractTypeName": chosen["contract_type"],
            "ContractNumber": number_,
            "ContractLineNumber": own or chosen["contract_line"],
            "EventTypeName": chosen["event_type"],
            "EventDescription": push.title[:240],
            "CompletionDate": line.ready_on.isoformat(),
            "BillTrnsCurrencyCode": line.currency,
            "BillTrnsAmount": number(push.amount(line.gross if chosen["amount"] == "gross" else line.net)),
        }
        optional = (("BusinessUnitName", "business_unit"), ("OrganizationName", "organization"))
        return event | {key: chosen[name] for key, name in optional if chosen[name]}


def _reference(event: Mapping[str, Any]) -> str:
    return f"{event.get('EventNumber', '?')} (EventId {event.get('EventId', '?')})"


def _self(event: Mapping[str, Any]) -> str:
    """The hash key of an event: only its own link knows it."""
    for link in event.get("links") or ():
        if isinstance(link, dict) and link.get("rel") == "self":
            found = httpx.URL(str(link.get("href", ""))).raw_path.decode().partition("?")[0].rpartition("/")[2]
            if found:
                return found
    raise BadPayload("no_object", where=f"GET {EVENTS}")


def build(
    name: str,
    options: Mapping[str, Any],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
) -> OracleEvents:
    """Raises SourceConfig."""
    one_of(name, "amount", options["amount"], ("net", "gross"))
    plain(name, "source", options["source"])
    http = Http(
        options["base_url"],
        basic(options["user"], options["password"]),
        clock=clock,
        policy=one_try(options),
        transport=transport,
        secrets=(options["password"],),
    )
    return OracleEvents(name, http, options)


SINK = SinkInfo(
    "oracle",
    "Oracle Fusion Cloud Project Management",
    (
        Option("base_url", required=True, default=""),
        Option("user", required=True, default=""),
        Option("password", required=True, default="", secret=True),
        Option("contract_type", required=True, default=""),
        Option("event_type", required=True, default=""),
        Option("contracts", default={}),
        Option("contract_line", default="1"),
        Option("business_unit", default=""),
        Option("organization", default=""),
        Option("amount", default="net"),
        Option("source", default="HUIKUAN"),
        TIMEOUT,
    ),
    build,
)
