"""A scripted Odoo for the conformance suite, over JSON-2 and JSON-RPC.

It answers domains, field lists and paging as the ORM does: an unknown field is an error, an unset value `false`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import httpx

from connectors.kit.fakes import PROJECTS, START, Item, Row, ScriptedVendor, body_of, reply

KEY = "6578616d706c65206f646f6f206b657920303031"
USER_ZONE = ZoneInfo("Asia/Shanghai")  # of whoever ticks the box
FIELDS = {
    "project.milestone": {
        "id": "integer", "name": "char", "project_id": "many2one", "deadline": "date", "is_reached": "boolean",
        "reached_date": "date", "task_ids": "one2many", "task_count": "integer", "done_task_count": "integer",
        "write_date": "datetime", "create_date": "datetime", "write_uid": "many2one",
    },
    "project.project": {"id": "integer", "name": "char", "active": "boolean"},
    "res.users": {"id": "integer", "login": "char"},
}  # fmt: skip


class OdooFake(ScriptedVendor):
    """One database."""

    system = "odoo"
    secrets: ClassVar[tuple[str, ...]] = (KEY,)
    skips: ClassVar[Mapping[str, str]] = {
        "token_call_hangs": "there is no token call: the key is sent with every request",
        "token_expires_in_mid_pull": "a key that ends cannot be renewed by the one who uses it",
        "many_requests_share_one_new_token": "there is no token call: the key is sent with every request",
        "done_is_seen": "reached_date is a day without a time; the tests of odoo look at the day",
        "zone_edge": "reached_date is a day without a time; the tests of odoo look at the day",
        "done_again": "reached_date is a day without a time; the tests of odoo look at the day",
        "done_by": "is_reached is not tracked, and write_uid is the last writer of anything",
    }

    def __init__(self, protocol: str = "json2") -> None:
        super().__init__()
        self.protocol = protocol
        self.hidden: set[str] = set()  # fields this user may not see, or this version does not have
        self.forbidden: set[str] = set()  # models this user may not read
        self.tasks: dict[str, list[tuple[bool, int]]] = {}  # of a milestone: closed, when last written

    def options(self, **changes: object) -> dict[str, object]:
        given: dict[str, object] = {"base_url": "https://odoo.example", "api_key": KEY, "database": "prod"}
        if self.protocol == "jsonrpc":
            given |= {"protocol": "jsonrpc", "login": "robot@example.com"}
        return {**given, "timeout": 0.05, **changes}

    def bad_options(self) -> dict[str, object]:
        return self.options(api_key="0000000000000000000000000000000000000000")

    def milestone_id(self, item: Item) -> str:
        return f"milestone:{item.id}"

    def next_id(self) -> str:
        return str(len(self.items) + 1)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/jsonrpc":
            return self._rpc(body_of(request))
        if not request.url.path.startswith("/json/2/"):
            return _error(404, "werkzeug.exceptions.NotFound", "Did you mean POST /json/2/<model>/<method>?")
        if request.headers.get("authorization") != f"bearer {KEY}":
            return _error(401, "werkzeug.exceptions.Unauthorized", "Invalid apikey")
        model, method = request.url.path.removeprefix("/json/2/").split("/")
        try:
            return reply(self._call(model, method, body_of(request)))
        except _Refusal as problem:
            return _error(problem.status, problem.name, str(problem))

    def _rpc(self, body: Row) -> httpx.Response:
        """Errors come inside HTTP 200."""
        params = body["params"]
        service, method, args = params["service"], params["method"], params["args"]
        envelope = {"jsonrpc": "2.0", "id": body.get("id")}
        if (service, method) == ("common", "authenticate"):
            return reply({**envelope, "result": 2 if args[:3] == ["prod", "robot@example.com", KEY] else False})
        try:
            _known(args[:3])
            return reply({**envelope, "result": self._call(args[3], args[4], args[6])})
        except _Refusal as problem:
            data = {"name": problem.name, "message": str(problem), "debug": "Traceback (most recent call last) …"}
            return reply({**envelope, "error": {"code": 200, "message": "Odoo Server Error", "data": data}})

    def _call(self, model: str, method: str, given: Row) -> object:
        if model not in FIELDS:
            raise _Refusal(404, "werkzeug.exceptions.NotFound", f"the model {model!r} does not exist")
        if model in self.forbidden:
            raise _Refusal(403, "odoo.exceptions.AccessError", f"You are not allowed to access {model}")
        if method == "context_get":
            return {"lang": "zh_CN", "tz": "Asia/Shanghai", "uid": 2}
        if method == "fields_get":
            return {n: {"type": t} for n, t in FIELDS[model].items() if n not in self.hidden}
        return self._search_read(
            model, given["domain"], given["fields"], given.get("limit", 80), given.get("order", "id")
        )

    def _search_read(self, model: str, domain: list[Any], fields: list[str], limit: int, order: str) -> list[Row]:
        rows = sorted(self._matching(model, domain), key=lambda r: r[order])
        answer = [self._picked(model, r, fields) for r in rows[:limit]]
        if model == "project.milestone":
            self.served(not any(leaf[:2] == ["id", ">"] for leaf in domain), len(rows) > limit)
        return answer

    def _picked(self, model: str, row: Row, fields: list[str]) -> Row:
        for name in fields:
            if name not in FIELDS[model] or name in self.hidden:
                raise _Refusal(422, "builtins.ValueError", f"Invalid field {name!r} on {model!r}")
        unknown = {k: v for k, v in row.items() if k.startswith("zz_")}
        return {"id": row["id"], **{n: row[n] for n in fields if n in row}, **unknown}

    def _matching(self, model: str, domain: list[Any]) -> list[Row]:
        return [r for r in self._all(model) if self._meets(r, domain)]

    def _all(self, model: str) -> list[Row]:
        if model == "project.milestone":
            return [self._row(i) for i in self.items.values() if not i.removed]
        if model == "project.project":
            return [{"id": n + 1, "name": key, "active": True} for n, (key, _) in enumerate(PROJECTS)]
        return [{"id": 2, "login": "robot@example.com"}]

    def _meets(self, row: Row, domain: list[Any]) -> bool:
        return _holds(domain, lambda leaf: self._leaf(row, *leaf))

    def _leaf(self, row: Row, name: str, operator: str, value: Any) -> bool:
        if name == "task_ids.write_date":
            return any(_text(at) >= value for _, at in self.tasks.get(str(row["id"]), []))
        found = row[name][0] if isinstance(row.get(name), list) else row.get(name)
        compare: Mapping[str, Callable[[], bool]] = {
            "=": lambda: found == value,
            "in": lambda: found in value,
            ">=": lambda: found >= value,
            ">": lambda: found > value,
        }
        return compare[operator]()

    def _row(self, item: Item) -> Row:
        tasks = self.tasks.get(item.id, [])
        row: Row = {
            "id": int(item.id), "name": item.name, "project_id": [item.project + 1, PROJECTS[item.project][0]],
            "deadline": "2026-12-20", "is_reached": item.done, "task_count": len(tasks),
            "reached_date": _day(item.done_at) if item.done and item.done_at else False,
            "done_task_count": sum(c for c, _ in tasks), "write_date": _text(item.updated_at),
            "create_date": _text(START - 86_400), "write_uid": [2, "robot"], **item.unknown,
        }  # fmt: skip
        if item.spoiled == "missing":
            del row["is_reached"]
        elif item.spoiled == "retyped":
            row["is_reached"] = "yes"
        return row


class _Refusal(Exception):
    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(message)
        self.status, self.name = status, name


def _known(who: list[Any]) -> None:
    if who != ["prod", 2, KEY]:
        raise _Refusal(403, "odoo.exceptions.AccessDenied", "Access Denied")


def _holds(domain: list[Any], leaf: Callable[[Any], bool]) -> bool:
    """Odoo's domains: prefix operators, terms side by side are joined by 'and'."""
    left = list(domain)

    def term() -> bool:
        head = left.pop(0)
        if head not in ("&", "|", "!"):
            return leaf(head)
        if head == "!":
            return not term()
        first, second = term(), term()
        return (first and second) if head == "&" else (first or second)

    found = True
    while left:
        found = term() and found
    return found


def _error(status: int, name: str, message: str) -> httpx.Response:
    body = {"name": name, "message": message, "arguments": [message], "context": {}, "debug": "Traceback …"}
    return reply(body, status)


def _text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _day(seconds: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).astimezone(USER_ZONE).date().isoformat()
