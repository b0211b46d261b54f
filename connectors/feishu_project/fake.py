"""A scripted Feishu Project for the conformance suite: everything is a POST, errors stand in `err_code`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import httpx

from connectors.kit.fakes import PROJECTS, START, Item, Row, ScriptedVendor, body_of, reply

MONTH = 30 * 86_400
PLUGIN, SECRET, TOKEN, USER = "MII_65F0A1B2C3D4E5F6", "FS0D8A-plugin-secret", "p-feishu-token-", "7541721806923694188"
PLANNED = "field_plan_end"


class FeishuProjectFake(ScriptedVendor):
    """One tenant with two spaces; work items of the type `milestone`."""

    system = "feishu_project"
    token_path = "/open_api/authen/plugin_token"  # noqa: S105 - a path
    secrets: ClassVar[tuple[str, ...]] = (SECRET, TOKEN)
    skips: ClassVar[Mapping[str, str]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.tokens = 0
        self.nodes: dict[str, list[Row]] = {}  # of a work item: the nodes of its flow
        self.people: dict[str, str] = {}  # name -> user key
        self.gone: set[str] = set()  # items without a flow: deleted since the list was read

    def options(self, **changes: object) -> dict[str, object]:
        given = {
            "base_url": "https://project.example", "plugin_id": PLUGIN, "plugin_secret": SECRET, "user_key": USER,
            "type_keys": ["milestone"], "planned_field": PLANNED,
        }  # fmt: skip
        return {**given, "per_minute": 0, "timeout": 0.05, **changes}

    def bad_options(self) -> dict[str, object]:
        return self.options(plugin_secret="wrong-wrong-wrong")  # noqa: S106 - invented

    def milestone_id(self, item: Item) -> str:
        return f"item:{item.id}"

    def next_id(self) -> str:
        return str(5_300_000_000 + len(self.items))

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path == self.token_path:
            return self._token(request)
        if self.expired or request.headers.get("x-plugin-token") != f"{TOKEN}{self.tokens}":
            return _problem(10211, "Token Info Is Invalid", 403)
        if request.headers.get("x-user-key") != USER:
            return _problem(30006, "User not found", 404)
        body, steps = body_of(request), path.removeprefix("/open_api/").split("/")
        if steps == ["projects"]:
            return _data([_space(n)["project_key"] for n in range(len(PROJECTS))])
        if steps == ["projects", "detail"]:
            return _data(
                {k: s for n in range(len(PROJECTS)) if (k := (s := _space(n))["project_key"]) in body["project_keys"]}
            )
        if steps[1:] == ["work_item", "filter"]:
            return self._filter(steps[0], body)
        if steps[-2:] == ["workflow", "query"]:
            if steps[3] in self.gone:
                return _problem(30005, "WorkItem Not Found", 404)
            return _data({"workflow_nodes": self.nodes.get(steps[3], []), "connections": []})
        return reply({"message": "not found"}, 404)

    def _token(self, request: httpx.Request) -> httpx.Response:
        given = body_of(request)
        if (given.get("plugin_id"), given.get("plugin_secret")) != (PLUGIN, SECRET):
            return reply({"data": {}, "error": {"code": 10212, "msg": "plugin secret is invalid"}}, 400)
        self.tokens += 1
        self.expired = False
        return reply(
            {"data": {"token": f"{TOKEN}{self.tokens}", "expire_time": 7200}, "error": {"code": 0, "msg": "success"}}
        )

    def _filter(self, space: str, body: Row) -> httpx.Response:
        if body.get("work_item_type_keys") != ["milestone"]:
            return _problem(30014, "work item type not found", 404)
        page, size = body.get("page_num", 1), min(body.get("page_size", 20), 200)
        own = [i for i in self.items.values() if _space(i.project)["project_key"] == space and not i.removed]
        if (since := body.get("updated_at", {}).get("start")) is not None:
            own = [i for i in own if i.updated_at * 1000 >= since]
        shown = [self._row(i) for i in own[(page - 1) * size : page * size]]
        pagination = {"page_num": page, "page_size": size, "total": len(own)}
        answer = reply({"data": shown, "pagination": pagination, "err_code": 0, "err_msg": "", "err": {}})
        self.served(page == 1, page * size < len(own))
        return answer

    def _row(self, item: Item) -> Row:
        steps = [self._state(at, by, done=done) for at, done, by in item.history]
        present = steps[-1] if steps else {**self._state(START - MONTH, "admin", done=False), "is_init_state": True}
        row: Row = {
            "id": int(item.id), "name": item.name, "work_item_type_key": "milestone", "project_key": _space(item.project)["project_key"],
            "simple_name": _space(item.project)["simple_name"], "template_id": 12, "pattern": "State", "current_nodes": [],
            "created_by": USER, "updated_by": USER, "created_at": (START - MONTH) * 1000, "updated_at": item.updated_at * 1000,
            "deleted_by": "", "deleted_at": 0, "sub_stage": "", "work_item_status": {**present, "history": steps},
            "fields": [{"field_key": PLANNED, "field_type_key": "date", "field_value": (START + MONTH) * 1000}],
            "user_details": [{"user_key": k, "name_cn": n, "name_en": "", "username": n} for n, k in self.people.items()], **item.unknown,
        }  # fmt: skip
        if item.spoiled == "missing":
            del row["work_item_status"]
        elif item.spoiled == "retyped":
            row["work_item_status"] = "archived"
        return row

    def _state(self, at: int, by: str, *, done: bool) -> Row:
        who = self.people.setdefault(by, f"75{len(self.people):017d}")
        return {
            "state_key": "end" if done else "doing", "is_archived_state": done, "is_init_state": False,
            "updated_at": at * 1000, "updated_by": who,
        }  # fmt: skip


def _space(number: int) -> Row:
    key, name = PROJECTS[number]
    return {
        "project_key": f"650069aeb1232854aca226f{number}",
        "name": name,
        "simple_name": key.lower(),
        "administrators": [USER],
    }


def _data(data: object) -> httpx.Response:
    return reply({"data": data, "err_code": 0, "err_msg": "", "err": {}})


def _problem(code: int, message: str, status: int = 200) -> httpx.Response:
    return reply({"err_code": code, "err_msg": message, "err": {"code": code, "msg": message}}, status)
