"""A scripted monday.com for the conformance suite: every item of two boards is a milestone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

import httpx
import orjson

from connectors.kit.fakes import PROJECTS, START, Item, Row, ScriptedVendor, body_of, reply

KEY = "eyJhbGciOiJIUzI1NiJ9.monday-key-0123456789abcdef"
MONTH = 30 * 86_400
_OPERATION = re.compile(r"\s*query (\w+)")
COLUMNS = (
    {"id": "name", "title": "Name", "type": "name", "archived": False},
    {"id": "status", "title": "状态", "type": "status", "archived": False},
    {"id": "date4", "title": "计划", "type": "date", "archived": False},
)


class MondayFake(ScriptedVendor):
    """One account; a board's name is its key."""

    system = "monday"
    secrets: ClassVar[tuple[str, ...]] = (KEY,)
    skips: ClassVar[Mapping[str, str]] = {
        "token_expires_in_mid_pull": "a key has no end and cannot be renewed",
        "token_call_hangs": "there is no token call: the key is sent with every request",
        "many_requests_share_one_new_token": "there is no token call: the key is sent with every request",
        "unknown_field_is_kept": "GraphQL answers with the fields that were asked for, never with others",
    }

    def __init__(self) -> None:
        super().__init__()
        self.asked_for: list[str] = []  # the names of the queries
        self.people: list[str] = []
        self.columns: list[Row] = [dict(c) for c in COLUMNS]
        self.boards_more: list[Row] = []
        self.events: list[tuple[int, int]] = []  # when, on which board: what the script moved away
        self.forgotten = 0  # the log reaches back to this second only
        self.cells: dict[str, list[Row]] = {}  # item id -> further column values
        self.groups: dict[str, str] = {}  # item id -> title of its group
        self.titles: dict[int, list[str]] = {}  # of a board's groups, where they are not the usual ones
        self.labels = ("Working on it", "Done")

    def options(self, **changes: object) -> dict[str, object]:
        return {"base_url": "https://api.monday.example", "api_key": KEY, "timeout": 0.05, **changes}

    def bad_options(self) -> dict[str, object]:
        return self.options(api_key="eyJ.wrong.wrong")

    def milestone_id(self, item: Item) -> str:
        return f"item:{item.id}"

    def next_id(self) -> str:
        return str(1_800_000_000 + len(self.items))

    def relocate(self, item: Item, project: int) -> None:
        self.events.append((self.now, item.project))
        super().relocate(item, project)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.headers.get("authorization") != KEY:
            return reply({"errors": ["Not Authenticated"]}, 401)
        question = body_of(request)
        found = _OPERATION.match(question["query"])
        name = found[1] if found else ""
        self.asked_for.append(name)
        answers: Mapping[str, Callable[[Row], Row]] = {
            "Me": _me, "Boards": self._boards, "Events": self._events, "Items": self._items,
            "NextItems": self._next_items, "History": self._history, "Users": self._users,
        }  # fmt: skip
        if name not in answers:
            return failed("Cannot query that", "undefinedField")
        return reply({"data": answers[name](question["variables"]), "account_id": 7})

    def _boards(self, given: Row) -> Row:
        rows = [
            {
                "id": board_id(n), "name": key, "url": f"https://acme.monday.com/boards/{board_id(n)}", "type": "board",
                "state": "active", "items_count": len(self._of(n)), "columns": self.columns,
                "groups": [{"id": f"group{i}", "title": t} for i, t in enumerate(self.titles.get(n, ["Milestones", "里程碑", "任务"]))],
            }
            for n, (key, _) in enumerate(PROJECTS)
        ]  # fmt: skip
        start = (given["page"] - 1) * given["limit"]
        return {"boards": [*rows, *self.boards_more][start : start + given["limit"]]}

    def _of(self, board: int) -> list[Item]:
        return [i for i in self.items.values() if i.project == board and not i.removed]

    def _events(self, given: Row) -> Row:
        low = datetime.fromisoformat(given["since"]).timestamp()
        moved = {board_id(i.project) for i in self.items.values() if i.updated_at >= low}
        moved |= {board_id(board) for at, board in self.events if at >= low}
        return {"boards": [{"id": b, "activity_logs": [{"id": "e1"}] if b in moved else []} for b in given["boards"]]}

    def _items(self, given: Row) -> Row:
        board = int(given["board"]) - 900_001
        return {"boards": [{"id": given["board"], "items_page": self._page(board, None, given["limit"])}]}

    def _next_items(self, given: Row) -> Row:
        board, _, after = given["cursor"].partition(":")
        return {"next_items_page": self._page(int(board), after, given["limit"])}

    def _page(self, board: int, after: str | None, limit: int) -> Row:
        """A page after the cursor, which names the last item seen: it may be gone by now."""
        order = list(self.items)
        start = order.index(after) + 1 if after else 0
        left = [i for i in (self.items[k] for k in order[start:]) if i.project == board and not i.removed]
        rows = [self._row(i) for i in left[:limit]]
        self.served(after is None, len(left) > limit)
        return {"cursor": f"{board}:{left[limit - 1].id}" if len(left) > limit else None, "items": rows}

    def _row(self, item: Item) -> Row:
        changed = item.history[-1][0] if item.history else None
        status: Row = {
            "__typename": "StatusValue", "id": "status", "type": "status", "text": self.labels[item.done],
            "label": self.labels[item.done], "is_done": item.done, "updated_at": _iso(changed) if changed else None,
        }  # fmt: skip
        if item.spoiled == "missing":
            del status["label"], status["is_done"]
        elif item.spoiled == "retyped":
            status["is_done"] = "yes"
        planned = {
            "__typename": "DateValue",
            "id": "date4",
            "type": "date",
            "text": "2026-12-20",
            "date": "2026-12-20",
            "time": "",
        }
        return {
            "id": item.id, "name": item.name, "state": "active", "url": f"https://acme.monday.com/pulses/{item.id}",
            "created_at": _iso(START - MONTH), "updated_at": _iso(item.updated_at),
            "group": {"id": "topics", "title": self.groups.get(item.id, "Milestones")},
            "column_values": [status, planned, *self.cells.get(item.id, [])],
        }  # fmt: skip

    def _history(self, given: Row) -> Row:
        rows = [e for i in given["items"] for e in self._log(self.items[i])]
        start = (given["page"] - 1) * given["limit"]
        rows.sort(key=lambda r: str(r["created_at"]), reverse=True)
        return {"boards": [{"id": given["board"], "activity_logs": rows[start : start + given["limit"]]}]}

    def _log(self, item: Item) -> list[Row]:
        found, before = [], False
        for number, (at, done, by) in enumerate(item.history):
            data = {"board_id": 1, "pulse_id": int(item.id), "column_id": "status", "column_type": "color",
                    "value": {"label": self._label(done=done)}, "previous_value": {"label": self._label(done=before)}}  # fmt: skip
            if at >= self.forgotten:
                found.append({"id": f"{item.id}-{number}", "event": "update_column_value", "created_at": str(at * 10_000_000),
                              "user_id": self._number(by), "data": orjson.dumps(data).decode()})  # fmt: skip
            before = done
        return found

    def _label(self, *, done: bool) -> Row:
        return {"index": int(done), "text": self.labels[done], "is_done": done}

    def _number(self, person: str) -> str:
        if person not in self.people:
            self.people.append(person)
        return str(self.people.index(person) + 5000)

    def _users(self, given: Row) -> Row:
        known = {str(n + 5000): name for n, name in enumerate(self.people) if name != "automation"}
        return {"users": [{"id": i, "name": known[i]} for i in given["ids"] if i in known]}


def board_id(number: int) -> str:
    """The id of a board of the fake."""
    return str(900_001 + number)


def failed(message: str, code: str, status: int = 200, **more: Any) -> httpx.Response:
    """An answer with an error, as monday.com gives it."""
    return reply({"errors": [{"message": message, "extensions": {"code": code, **more}}], "data": None}, status)


def _me(_given: Row) -> Row:
    me = {"id": "41", "name": "robot", "email": "robot@acme.example", "account": {"name": "Acme"}}
    return {"me": me, "complexity": {"after": 4_999_000, "reset_in_x_seconds": 40}}


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
