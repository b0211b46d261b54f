"""Both ways into Odoo: JSON-2 with a bearer key (19 and newer), JSON-RPC (18 and older, to be removed in 22).

JSON-2 answers with real statuses, JSON-RPC with HTTP 200 and an `error`. Either way the error's `debug` is a traceback
of the server: it is never shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.errors import BadPayload, SourceError, SourceRefused, SourceUnavailable
from connectors.http.client import Http, Json
from connectors.http.paging import Row, objects

#: What is wrong with whom, by the exception's name; everything else is a wrong request.
_DENIED = ("odoo.exceptions.AccessDenied", "odoo.http.SessionExpiredException")
_FORBIDDEN = ("odoo.exceptions.AccessError",)
_PASSING = ("psycopg2.", "odoo.service.model.", "builtins.TimeoutError")


class Caller:
    """Calls methods of models."""

    def __init__(self, http: Http, *, database: str = "", login: str = "", key: str = "") -> None:
        self._http, self._database, self._login, self._key = http, database, login, key
        self._uid: int | None = None

    async def call(self, model: str, method: str, **named: Any) -> Json:
        """The method's return value. Raises SourceError."""
        if not self._login:
            return await self._http.post(f"/json/2/{model}/{method}", named)
        who = [self._database, await self._user(), self._key]
        records = [named.pop("ids")] if "ids" in named else []  # by place here, by name in JSON-2
        return await self._rpc("object", "execute_kw", [*who, model, method, records, named])

    async def tell(self, model: str, method: str, ids: list[int], **named: Any) -> None:
        """Call a method that changes something, asked once."""
        if not self._login:
            await self._http.tell("POST", f"/json/2/{model}/{method}", {"ids": ids, **named})
            return
        who = [self._database, await self._user(), self._key]
        params = {"service": "object", "method": "execute_kw", "args": [*who, model, method, [ids], named]}
        await self._http.tell("POST", "/jsonrpc", {"jsonrpc": "2.0", "method": "call", "id": 1, "params": params})

    async def rows(self, model: str, **named: Any) -> list[Row]:
        """The rows of search_read."""
        return objects(await self.call(model, "search_read", **named), f"{model}.search_read")

    async def _user(self) -> int:
        """The user's number. A wrong key gives no error but `false`."""
        if self._uid is None:
            found = await self._rpc("common", "authenticate", [self._database, self._login, self._key, {}])
            if isinstance(found, bool) or not isinstance(found, int):
                raise SourceRefused("not_authorised", where="POST /jsonrpc")
            self._uid = found
        return self._uid

    async def _rpc(self, service: str, method: str, args: list[Any]) -> Json:
        params = {"service": service, "method": method, "args": args}
        body = await self._http.post("/jsonrpc", {"jsonrpc": "2.0", "method": "call", "id": 1, "params": params})
        if not isinstance(body, dict) or body.get("jsonrpc") != "2.0":
            raise BadPayload("no_object", where="POST /jsonrpc")
        return body.get("result")  # left out where a method returns nothing


def judge(status: int, body: Json, headers: Mapping[str, str]) -> SourceError | None:
    """Errors inside HTTP 200 (JSON-RPC), and which of Odoo's exceptions a 4xx stands for."""
    del headers
    if status == 200:
        error = body.get("error") if isinstance(body, dict) else None
        return None if error is None else _rpc_error(error)
    name = body.get("name") if isinstance(body, dict) else None
    if status in (400, 403, 422) and isinstance(name, str):
        return SourceRefused("no_permission", status=status) if name in _FORBIDDEN else _refused(status, name)
    return None


def _rpc_error(error: object) -> SourceError:
    data = error.get("data") if isinstance(error, dict) else None
    name = str(data.get("name", "")) if isinstance(data, dict) else ""
    if name in _DENIED:
        return SourceRefused("not_authorised")
    if name in _FORBIDDEN:
        return SourceRefused("no_permission", status=200)
    if name.startswith(_PASSING):
        return SourceUnavailable("system_failed", status=200)
    return _refused(200, name)


def _refused(status: int, name: str) -> SourceRefused:
    return SourceRefused("vendor_refused", status=status, code=name[:80])
