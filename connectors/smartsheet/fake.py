"""A scripted Smartsheet for the conformance suite: two project sheets; the script's items are rows of no duration."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import ClassVar

import httpx
import orjson

from connectors.kit.fakes import PROJECTS, START, Item, Row, ScriptedVendor, reply

MONTH = 30 * 86_400
TOKEN = "ll352u9jujauoqz4gstvsae05fake"  # noqa: S105 - invented
NAME, DURATION, FINISH, PERCENT, STATUS, BOX = 11, 12, 13, 14, 15, 16
NEW_ROW = "a row that is moved to another sheet is a new row there, with another id"


class SmartsheetFake(ScriptedVendor):
    """One account with two sheets. A sheet's name is its key."""

    system = "smartsheet"
    secrets: ClassVar[tuple[str, ...]] = (TOKEN,)
    skips: ClassVar[Mapping[str, str]] = {
        "moved": NEW_ROW,
        "a_row_changes_project_while_paging": NEW_ROW,
        "token_call_hangs": "there is no token call: the key is sent with every request",
        "token_expires_in_mid_pull": "a key has no end and cannot be renewed",
        "many_requests_share_one_new_token": "there is no token call: the key is sent with every request",
    }

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []  # further rows, of ALPHA
        self.histories: dict[int, list[Row]] = {}  # of further rows
        self.columns = COLUMNS
        self.versions = True  # does the list of sheets say them
        self.scopes = True  # may the token read sheets

    def options(self, **changes: object) -> dict[str, object]:
        return {"base_url": "https://api.smartsheet.example/2.0", "token": TOKEN, "per_minute": 0, "timeout": 0.05, **changes}  # fmt: skip

    def bad_options(self) -> dict[str, object]:
        return self.options(token="wrong")  # noqa: S106 - invented

    def next_id(self) -> str:
        return str(7_000_000_000_001 + len(self.items))

    def milestone_id(self, item: Item) -> str:
        return f"row:{item.id}"

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return problem(401, 1002, "Your Access Token is invalid.")
        match request.url.path.removeprefix("/2.0/").split("/"):
            case ["users", "me"]:
                return reply(
                    {"id": 48569348493401200, "email": "robot@acme.example", "firstName": "Robot", "lastName": "One"}
                )
            case ["sheets"] if not self.scopes:
                return problem(403, 1004, "You are not authorized to perform this action.")
            case ["sheets"]:
                sheets = [self._listed(n) for n in range(len(PROJECTS))]
                return reply(
                    {
                        "pageNumber": 1,
                        "pageSize": len(sheets),
                        "totalPages": 1,
                        "totalCount": len(sheets),
                        "data": sheets,
                    }
                )
            case ["sheets", number] if number.isdecimal():
                return self._sheet(request, int(number) - 300)
            case ["sheets", number, "version"]:
                return reply({"version": self._version(int(number) - 300)})
            case ["sheets", _, "rows", row, "columns", column, "history"]:
                return self._history(request, row, int(column))
        return problem(404, 1006, "Not Found")

    def _inside(self, number: int) -> list[Row]:
        own = [self._row(i) for i in self.items.values() if i.project == number and not i.removed]
        return own + (self.rows if number == 0 else [])

    def _version(self, number: int) -> int:
        sign = blake2b(orjson.dumps([self._inside(number), self.columns]), digest_size=4).hexdigest()
        return int(sign, 16)

    def _listed(self, number: int) -> Row:
        row = {"id": 300 + number, "name": PROJECTS[number][0], "accessLevel": "VIEWER", "permalink": _link(number),
               "createdAt": iso(START - MONTH), "modifiedAt": iso(START)}  # fmt: skip
        return {**row, "version": self._version(number)} if self.versions else row

    def _sheet(self, request: httpx.Request, number: int) -> httpx.Response:
        rows = self._inside(number)
        page, size = int(request.url.params["page"]), min(100, int(request.url.params["pageSize"]))
        changed = max((r["modifiedAt"] for r in rows), default=iso(START - MONTH))
        body = {
            "id": 300 + number, "name": PROJECTS[number][0], "version": self._version(number), "totalRowCount": len(rows),
            "accessLevel": "VIEWER", "ganttEnabled": True, "dependenciesEnabled": True, "permalink": _link(number),
            "createdAt": iso(START - MONTH), "modifiedAt": changed, "columns": self.columns, "rows": rows[(page - 1) * size : page * size],
        }  # fmt: skip
        answer = reply(body)
        self.served(page == 1, more=len(rows) > size)
        return answer

    def _row(self, item: Item) -> Row:
        found = row(int(item.id), item.name, 1 if item.done else 0.25, modifiedAt=iso(item.updated_at)) | item.unknown
        if item.spoiled == "missing":
            del found["cells"]
        elif item.spoiled == "retyped":
            found["cells"] = [{"columnId": DURATION, "value": "0"}, {"columnId": PERCENT, "value": "yes"}]
        return found

    def _history(self, request: httpx.Request, identity: str, column: int) -> httpx.Response:
        item = self.items.get(identity)
        told = [entry(at, 1 if done else 0.5, by, column) for at, done, by in item.history] if item else []
        first = [entry(START - MONTH, 0, "李强", column)] if item else []
        found = [*first, *told, *self.histories.get(int(identity), [])][::-1]  # the newest first
        page, size = int(request.url.params["page"]), int(request.url.params["pageSize"])
        pages = -(-len(found) // size)
        body = {"pageNumber": page, "pageSize": size, "totalPages": pages, "totalCount": len(found)}
        return reply({**body, "data": found[(page - 1) * size : page * size]})


def column(identity: int, title: str, kind: str, *tags: str, **more: object) -> Row:
    """A column of a sheet."""
    return {"id": identity, "index": identity - 11, "title": title, "type": kind, "version": 0, "width": 150, **({"tags": [*tags]} if tags else {}), **more}  # fmt: skip


COLUMNS = [
    column(NAME, "Task Name", "TEXT_NUMBER", primary=True),
    column(DURATION, "Duration", "DURATION", "GANTT_DURATION"),
    column(FINISH, "Finish", "ABSTRACT_DATETIME", "GANTT_END_DATE"),
    column(PERCENT, "% Complete", "TEXT_NUMBER", "GANTT_PERCENT_COMPLETE"),
    column(STATUS, "Status", "PICKLIST", options=["Not Started", "Complete"]),
    column(BOX, "Signed", "CHECKBOX"),
]


def row(identity: int, name: str, percent: object = None, duration: object = "0", **changes: object) -> Row:
    """A row of a project sheet; a cell that is None is blank."""
    values = {NAME: name, DURATION: duration, FINISH: "2026-12-20T17:00:00", PERCENT: percent}
    cells = [{"columnId": c, **({} if v is None else {"value": v, "displayValue": str(v)})} for c, v in values.items()]
    found: Row = {
        "id": identity, "rowNumber": 1, "expanded": True, "createdAt": iso(START - MONTH), "modifiedAt": iso(START),
        "permalink": f"https://app.smartsheet.com/sheets/abc?rowId={identity}", "cells": cells,
    }  # fmt: skip
    return {**found, **changes}


def entry(at: int, value: object, by: str | None = "李强", column: int = PERCENT) -> Row:
    """A value in a cell's history."""
    who = {"modifiedBy": {"name": by, "email": "li@acme.example"}} if by else {}
    return {"columnId": column, "value": value, "displayValue": str(value), "modifiedAt": iso(at), **who}


def problem(status: int, code: int, message: str) -> httpx.Response:
    """An error as Smartsheet words it."""
    return reply({"errorCode": code, "message": message, "refId": "1jz5mpvlpsxwh"}, status)


def iso(seconds: int) -> str:
    """As Smartsheet writes a moment."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _link(number: int) -> str:
    return f"https://app.smartsheet.com/sheets/{PROJECTS[number][0].lower()}"
