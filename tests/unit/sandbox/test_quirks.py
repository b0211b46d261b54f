"""What surprises in the two vendors, one sentence each (vendors/china.md, sections 1 and 2)."""

from __future__ import annotations

import pytest

from connectors.kit.sandbox.gate import RETRY_STYLES
from connectors.kit.sandbox.world import World
from tests.unit.sandbox.asking import Asker

G2, G3 = "/v1/project", "/v1/pjm"
DAY = 86_400


def _refused(answer, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert isinstance(answer.json()["code"], str)


def _titles(rows) -> list[str]:
    return sorted(r["title"] for r in rows)


# --- tokens ---


async def test_the_end_of_a_token_is_a_moment_at_one_vendor_and_a_duration_at_the_other(ask: Asker) -> None:
    ask.world.token_seconds = 600
    body = (await ask.pingcode_token()).json()
    assert set(body) == {"access_token", "token_type", "expires_in"}
    assert body["expires_in"] == ask.world.now + 600
    secret = {"client_id": ask.world.client_id, "client_secret": ask.world.client_secret}
    assert (await ask.http.post("/open-api/tenant-access-token", json=secret)).json()["expires_in"] == 600


async def test_a_wrong_client_is_400_and_a_wrong_token_is_401(ask: Asker) -> None:
    _refused(await ask.pingcode_token(client_secret="wrong"), 400, "100024")
    ask.http.headers["authorization"] = "Bearer wrong"
    assert (await ask.get(f"{G3}/projects")).status_code == 401


async def test_a_second_token_leaves_the_first_alive(ask: Asker) -> None:
    first = ask.http.headers["authorization"]
    await ask.pingcode_token()
    assert ask.http.headers["authorization"] != first
    ask.http.headers["authorization"] = first
    assert (await ask.get(f"{G3}/projects")).status_code == 200


async def test_a_token_ends_with_the_clock_and_after_so_many_requests(ask: Asker) -> None:
    ask.world.token_seconds = 600
    await ask.pingcode_token()
    await ask.control("advance", seconds=599)
    assert (await ask.get("/v1/directory/team")).status_code == 200
    await ask.control("advance", seconds=1)
    assert (await ask.get("/v1/directory/team")).status_code == 401
    ask.world.token_requests = 2
    await ask.pingcode_token()
    assert [(await ask.get("/v1/directory/team")).status_code for _ in range(3)] == [200, 200, 401]


# --- generations and pages ---


@pytest.mark.parametrize(("served", "absent"), [("project", G3), ("pjm", G2)])
async def test_a_generation_that_is_not_served_is_a_real_404(ask: Asker, served: str, absent: str) -> None:
    ask.world.generations = (served,)
    _refused(await ask.get(f"{absent}/projects"), 404, "100002")
    assert (await ask.get(f"/v1/{served}/projects")).status_code == 200


async def test_pages_echo_what_was_asked_and_end_empty_with_200(ask: Asker) -> None:
    body = (await ask.get(f"{G2}/work_items", page_index=7, page_size=2)).json()
    assert (body["page_index"], body["page_size"], body["total"], body["values"]) == (7, 2, 3, [])
    body = (await ask.get(f"{G2}/work_items")).json()
    assert (body["page_index"], body["page_size"]) == (0, 30)


async def test_a_page_has_at_most_a_hundred_rows() -> None:
    ask = await Asker(World.generated(1, 250)).sign_in()
    pages = [(await ask.get(f"{G2}/work_items", page_size=500, page_index=n)).json() for n in range(3)]
    assert [(p["page_size"], len(p["values"])) for p in pages] == [(100, 100), (100, 100), (100, 50)]
    assert len({r["id"] for p in pages for r in p["values"]}) == 250


async def test_the_order_means_nothing_and_is_the_same_twice() -> None:
    ask = await Asker(World.generated(1, 60)).sign_in()
    first = await ask.rows(f"{G2}/work_items", page_size=100)
    titles = [r["title"] for r in first]
    assert titles not in (sorted(titles), sorted(titles, reverse=True))
    assert sorted(first, key=lambda r: r["updated_at"]) != first
    assert await ask.rows(f"{G2}/work_items", page_size=100) == first


# --- filters ---


async def test_unknown_filters_are_ignored_with_200(ask: Asker) -> None:
    everything = await ask.rows(f"{G3}/work_items")
    bound = f"{ask.world.now},{ask.world.now}"
    assert await ask.rows(f"{G3}/work_items", updated_between=bound, project_ids="x", nonsense="1") == everything
    assert len(await ask.rows(f"{G2}/work_items", project_id="x")) == len(everything)


async def test_the_older_list_takes_several_ids_and_ranges_to_the_second(ask: Asker) -> None:
    world, first = ask.world, ask.world.find("初验")
    park = world.project("PARK").id
    assert _titles(await ask.rows(f"{G2}/work_items", project_ids=f"{park},{world.project('APP').id}")) == [
        "一期",
        "初验",
        "终验",
    ]
    kinds = f"{world.type_id('里程碑')},{world.type_id('阶段')}"
    assert len(await ask.rows(f"{G2}/work_items", type_ids=kinds)) == 3
    exactly = f"{first.updated_at},{first.updated_at}"
    assert _titles(await ask.rows(f"{G2}/work_items", updated_between=exactly)) == ["初验"]
    assert _titles(await ask.rows(f"{G2}/work_items", updated_between=f",{first.updated_at}")) == ["初验"]
    assert _titles(await ask.rows(f"{G2}/work_items", updated_between=f"{first.updated_at + 1}")) == ["一期", "终验"]
    assert _titles(await ask.rows(f"{G2}/work_items", state_ids=world.state_id("已完成"))) == ["初验"]
    assert await ask.rows(f"{G2}/work_items", board_ids="b") == []


async def test_more_than_twenty_ids_and_milliseconds_are_refused(ask: Asker) -> None:
    _refused(await ask.get(f"{G2}/work_items", type_ids=",".join("abcdefghijklmnopqrstu")), 400, "100006")
    _refused(await ask.get(f"{G2}/work_items", updated_between=f"{ask.world.now}000,"), 400, "100004")
    _refused(await ask.search({"filter": {"updated_at": {"gte": ask.world.now * 1000}}}), 400, "100004")
    _refused(await ask.get(f"{G2}/work_items", page_index="first"), 400, "100004")
    _refused(await ask.get(f"{G2}/work_items", include_deleted="yes"), 400, "100005")


async def test_the_newer_list_takes_one_id_a_filter(ask: Asker) -> None:
    world = ask.world
    park = world.project("PARK").id
    assert _titles(await ask.rows(f"{G3}/work_items", project_id=park, type_id=world.type_id("里程碑"))) == [
        "初验",
        "终验",
    ]
    assert await ask.rows(f"{G3}/work_items", project_id=f"{park},{park}") == []
    assert _titles(await ask.rows(f"{G3}/work_items", parent_id=world.find("一期").id)) == ["初验"]
    assert _titles(await ask.rows(f"{G3}/work_items", assignee_id=world.person("王敏"))) == ["终验"]
    assert _titles(await ask.rows(f"{G3}/work_items", keywords="终")) == ["终验"]


async def test_a_search_compares_whole_days_of_the_tenants_zone(ask: Asker) -> None:
    noon = ask.world.find("初验").updated_at
    for bound, found in ((noon, True), (noon + 11 * 3600, True), (noon + 12 * 3600, False)):
        answer = await ask.search({"filter": {"updated_at": {"gte": bound}}})
        assert ("初验" in _titles(answer.json()["values"])) is found
    answer = await ask.search({"filter": {"updated_at": {"between": [noon - DAY, noon - 13 * 3600]}}})
    assert answer.json()["values"] == []


async def test_a_search_joins_fields_by_and_and_takes_one_operator_each(ask: Asker) -> None:
    park, now = ask.world.project("PARK").id, ask.world.now
    both = {"project.id": {"in": [park]}, "completed_at": {"exists": True}}
    assert _titles((await ask.search({"filter": both})).json()["values"]) == ["初验"]
    assert (await ask.search({"filter": {"project.id": {"nin": [park]}}})).json()["values"] == []
    _refused(await ask.search({"filter": {"updated_at": {"gte": now, "lte": now}}}), 400, "100039")
    _refused(await ask.search({"filter": {"identifier": {"in": ["PARK-1"]}}}), 400, "100043")
    _refused(await ask.search({"filter": {"title": {"in": ["x"]}}}), 400, "100044")
    _refused(await ask.search({"filter": {"project.id": {"in": park}}}), 400, "100006")
    _refused(await ask.http.post(f"{G3}/work_items/search", json={"filter": {}}), 400, "100039")


async def test_a_search_pages_by_its_body(ask: Asker) -> None:
    body = (await ask.search({"page_size": 2, "page_index": 1})).json()
    assert (body["page_size"], body["page_index"], len(body["values"]), body["total"]) == (2, 1, 1, 3)


# --- what hides, and what is missing ---


@pytest.mark.parametrize("area", [G2, G3])
@pytest.mark.parametrize(("verb", "flag"), [("delete", "include_deleted"), ("archive", "include_archived")])
async def test_deleted_and_archived_rows_hide_unless_asked_for(ask: Asker, area: str, verb: str, flag: str) -> None:
    key = ask.world.find("初验").id
    await ask.control(verb, id=key)
    assert "初验" not in _titles(await ask.rows(f"{area}/work_items"))
    rows = await ask.rows(f"{area}/work_items", **{flag: "true"})
    assert [r["is_deleted"] + r["is_archived"] for r in rows if r["id"] == key] == [1]
    _refused(await ask.get(f"{area}/work_items/{key}"), 400, "100317")
    assert (await ask.get(f"{area}/work_items/{key}", **{flag: "true"})).status_code == 200


async def test_hidden_rows_hide_in_a_search_too(ask: Asker) -> None:
    await ask.control("delete", title="初验")
    assert (await ask.search({})).json()["total"] == 2
    assert (await ask.search({"include_deleted": True})).json()["total"] == 3


async def test_what_is_missing_is_400_with_a_code_and_a_malformed_id_is_404(ask: Asker) -> None:
    nobody, app = "0" * 24, ask.world.project("APP").id
    park = ask.world.project("PARK").id
    for path, code in (
        (f"work_items/{nobody}", "100317"),
        (f"work_items/{nobody}/transition_histories", "100317"),
        (f"projects/{nobody}", "100300"),
        (f"projects/{nobody}/sprints", "100300"),
        (f"projects/{park}/sprints/{nobody}", "100300"),  # it has no sprints at all
        (f"projects/{app}/sprints/{nobody}", "100308"),
        (f"projects/{app}/versions/{nobody}", "100304"),
        ("work_item/types", "100008"),
        ("work_item/states?project_id=" + app, "100008"),
    ):
        _refused(await ask.http.get(f"{G3}/{path}"), 400, code)
    _refused(await ask.get(f"{G3}/work_items/not-an-id"), 404, "100002")
    _refused(await ask.get(f"{G3}/nothing/here"), 404, "100002")
    _refused(await ask.get("/v1/activities", principal_type="idea", principal_id=nobody), 400, "100049")


async def test_the_newer_generation_also_takes_short_ids(ask: Asker) -> None:
    item = ask.world.find("初验")
    assert (await ask.get(f"{G3}/work_items/{item.id[:8]}")).json()["id"] == item.id
    _refused(await ask.get(f"{G2}/work_items/{item.id[:8]}"), 404, "100002")


# --- types, history, proof ---


async def test_type_ids_differ_from_tenant_to_tenant_and_only_plans_have_milestones(ask: Asker) -> None:
    other = await Asker(World(tenant="other")).sign_in()
    p = other.world.add_project("PARK", "x")
    kinds = {}
    for who, project in ((ask, ask.world.project("PARK")), (other, p)):
        rows = await who.rows(f"{G3}/work_item/types", project_id=project.id)
        kinds[who.world.tenant] = {r["name"]: r["id"] for r in rows if r["group"] == "plan"}
    assert kinds["unit"].keys() == kinds["other"].keys() == {"里程碑", "阶段"}
    assert not set(kinds["unit"].values()) & set(kinds["other"].values())
    scrum = other.world.add_project("S", "s", "scrum")
    assert all(r["group"] != "plan" for r in await other.rows(f"{G3}/work_item/types", project_id=scrum.id))


async def test_an_english_tenant_names_its_types_in_english() -> None:
    ask = await Asker(World(tenant="en", plan_kinds=("Milestone", "Phase"))).sign_in()
    p = ask.world.add_project("P", "p")
    rows = await ask.rows(f"{G2}/work_item/types", project_id=p.id)
    assert {r["name"] for r in rows if r["group"] == "plan"} == {"Milestone", "Phase"}


async def test_the_history_says_who_and_when_and_begins_with_the_creation(ask: Asker) -> None:
    rows = await ask.rows(f"{G2}/work_items/{ask.world.find('初验').id}/transition_histories")
    assert [r["from_state"] and r["from_state"]["name"] for r in rows] == [None, "未开始", "进行中"]
    assert [r["to_state"]["type"] for r in rows] == ["pending", "in_progress", "completed"]
    assert rows[-1]["created_by"]["display_name"] == "李强"


async def test_a_change_of_one_item_leaves_a_history_and_a_bulk_change_none(ask: Asker) -> None:
    item = ask.world.find("终验")
    history = f"{G3}/work_items/{item.id}/transition_histories"
    bulk = {"ids": [item.id], "property_name": "state_id", "property_value": ask.world.state_id("已完成"), "unknown": 1}
    answer = await ask.http.patch(f"{G3}/work_items", json=bulk)
    assert answer.json() == {"inserts": 0, "updates": 1, "deletes": 0}
    row = (await ask.get(f"{G3}/work_items/{item.id}")).json()
    assert (row["state"]["type"], row["completed_at"]) == ("completed", ask.world.now)
    assert len(await ask.rows(history)) == 1
    assert await ask.rows("/v1/activities", principal_type="work_item", principal_id=item.id) == []
    await ask.http.patch(f"{G3}/work_items/{item.id}", json={"state_id": ask.world.state_id("进行中"), "unknown": 1})
    assert len(await ask.rows(history)) == 2
    _refused(await ask.http.patch(f"{G3}/work_items/{item.id}", json={"state_id": "0" * 24}), 400, "100303")
    many = {"ids": ["0" * 24] * 101, "property_name": "title"}
    _refused(await ask.http.patch(f"{G3}/work_items", json=many), 400, "100006")


async def test_a_bulk_change_may_leave_updated_at_alone(ask: Asker) -> None:
    item, ask.world.bulk_touches = ask.world.find("终验"), False
    before = item.updated_at
    await ask.control("advance", days=1)
    await ask.control("bulk", ids=[item.id])
    assert (item.state, item.updated_at) == ("已完成", before)


async def test_a_sprint_completed_by_a_script_has_no_date(ask: Asker) -> None:
    app = ask.world.project("APP").id
    await ask.control("sprint", name="Sprint 2", finish=True, script=True)
    rows = {r["name"]: r for r in await ask.rows(f"{G3}/projects/{app}/sprints", status="completed")}
    assert rows["Sprint 1"]["completed_at"] == ask.world.now
    assert (rows["Sprint 2"]["started_at"], rows["Sprint 2"]["completed_at"]) == (None, None)
    starts = rows["Sprint 1"]["start_at"], rows["Sprint 1"]["end_at"] + 1
    assert [(s + 8 * 3600) % DAY for s in starts] == [0, 0]  # whole days of the tenant's zone
    assert await ask.rows(f"{G3}/projects/{ask.world.project('PARK').id}/sprints") == []


async def test_a_release_tells_the_date_of_each_stage_and_only_its_editor(ask: Asker) -> None:
    (row,) = await ask.rows(f"{G2}/projects/{ask.world.project('APP').id}/versions", status="published")
    assert (row["stage"]["type"], row["operate_at"]) == ("published", ask.world.now)
    assert [s["operate_at"] for s in row["stages"]] == [None, None, ask.world.now]


async def test_a_deliverable_without_content_is_not_delivered(ask: Asker) -> None:
    rows = await ask.rows(f"{G2}/deliverables", project_id=ask.world.project("PARK").id)
    assert {r["name"]: r["content"] is not None for r in rows} == {"初验报告": True, "终验报告": False}


async def test_a_review_has_a_date_and_a_person(ask: Asker) -> None:
    pilot = {"principal_type": "work_item", "pilot_id": ask.world.project("PARK").id}
    (row,) = await ask.rows("/v1/reviews", **pilot, status="completed")
    assert (row["completed_at"], row["completed_by"]["name"]) == (ask.world.now, "陈总")
    items = await ask.rows(f"/v1/reviews/{row['id']}/principals", principal_type="work_item")
    assert [i["principal"]["title"] for i in items] == ["初验"]
    assert await ask.rows("/v1/reviews", **pilot, status="pending") == []


async def test_progress_counts_work_items_by_type_of_state(ask: Asker) -> None:
    path = f"{G2}/projects/{ask.world.project('PARK').id}/progress"
    counts = {"total": 3, "pending_count": 2, "in_progress_count": 0, "completed_count": 1}
    assert (await ask.get(path)).json() == {"work_item": counts}
    await ask.control("progress", project="PARK", total=40, completed=23)
    assert (await ask.get(path)).json()["work_item"]["completed_count"] == 23


# --- the limit of requests ---


@pytest.mark.parametrize("style", RETRY_STYLES)
async def test_beyond_the_limit_comes_429_with_the_chosen_headers(ask: Asker, style: str) -> None:
    await ask.control("limits", per_minute=3, retry_style=style)
    answers = [await ask.get("/v1/directory/team") for _ in range(4)]
    assert [a.status_code for a in answers] == [200, 200, 200, 429]
    assert "x-ratelimit" not in str(answers[0].headers)
    _refused(answers[-1], 429, "100038")
    names = {"pc": "x-pc-retry-after", "retry-after": "retry-after", "date": "retry-after", "none": ""}
    wanted = names.get(style, "x-ratelimit-retry-after")
    given = {n for n in answers[-1].headers if "retry-after" in n}
    assert given == ({wanted} if wanted else set())
    if style not in ("date", "none"):
        assert 1 <= int(answers[-1].headers[wanted]) <= 61
    if style in ("team", "burst"):
        assert answers[-1].headers["x-ratelimit-reason"] == f"pingcode-{style}"


# --- Worktile ---


async def test_worktiles_errors_come_inside_200(ask: Asker) -> None:
    answer = await ask.worktile("/mission/get-projects-by-page", access_token="wrong")
    assert (answer.status_code, answer.json()) == (200, {"ok": False, "error_code": 1103})
    bad = await ask.http.post("/open-api/tenant-access-token", json={"client_id": "x", "client_secret": "y"})
    assert (bad.status_code, bad.json()["ok"]) == (200, False)
    assert (await ask.worktile("/mission/tasks/nothing", columns="properties")).json()["ok"] is False


async def test_worktile_takes_the_token_from_header_or_query(ask: Asker) -> None:
    header = {"authorization": f"Bearer {ask.worktile_token}"}
    by_header = await ask.http.get("/open-api/mission/get-projects-by-page", headers=header)
    assert by_header.json() == (await ask.worktile("/mission/get-projects-by-page")).json()
    assert by_header.json()["total"] == 2


async def test_worktile_throttles_with_a_page_of_nginx(ask: Asker) -> None:
    await ask.control("limits", per_minute=1, retry_style="none")
    answers = [await ask.worktile("/mission/get-projects-by-page") for _ in range(2)]
    assert [a.status_code for a in answers] == [200, 429]
    assert answers[1].headers["content-type"].startswith("text/html")
    assert "nginx" in answers[1].text


async def test_the_forms_of_worktiles_lists(ask: Asker) -> None:
    world = ask.world
    park, last = world.project("PARK").id, world.find("终验")
    old = (await ask.worktile("/mission/get-project-tasks-by-page", project_id=park, page_size=2)).json()
    assert (len(old["value"]), old["total"], old["has_more"]) == (2, 3, True)
    new = (await ask.worktile(f"/mission/projects/{park}/tasks", page_size=200)).json()
    assert (new["meta"], len(new["value"])) == ({"has_more": False}, 3)
    row = next(r for r in new["value"] if r["_id"] == last.id)
    assert row["properties"]["assignee"] == {"value": world.person("王敏")}
    assert row["properties"]["due"]["value"] == {"date": last.planned, "with_time": 0}
    assert new["references"]["users"][0]["display_name"] == "王敏"
    (by_id,) = (await ask.worktile("/mission/get-tasks-by-ids", task_ids=f"{last.id},none", fields="due")).json()
    assert by_id["properties"] == {"due": {"date": last.planned, "with_time": 0}}
    short = (await ask.worktile(f"/mission/tasks/{last.id}")).json()["data"]["value"]
    assert set(short) == {"_id", "title"}
    full = (await ask.worktile(f"/mission/tasks/{last.id}", columns="properties")).json()["data"]["value"]
    assert full["task_type"]["name"] == "里程碑"


async def test_all_end_states_share_worktiles_three_and_deleted_tasks_are_gone(ask: Asker) -> None:
    park = ask.world.project("PARK").id
    await ask.control("move", title="终验", state="已关闭")
    await ask.control("delete", title="一期")
    rows = (await ask.worktile(f"/mission/projects/{park}/tasks")).json()["value"]
    assert {r["title"]: (r["task_state"]["type"], bool(r["completed_at"])) for r in rows} == {
        "初验": (3, True),
        "终验": (3, False),
    }


async def test_a_project_can_belong_to_one_vendor_only(ask: Asker) -> None:
    ops = ask.world.add_project("OPS", "运维", system="worktile")
    item = ask.world.add(ops, "上线")
    assert "OPS" not in {p["identifier"] for p in await ask.rows(f"{G3}/projects")}
    assert "上线" not in _titles(await ask.rows(f"{G3}/work_items"))
    _refused(await ask.get(f"{G3}/work_items/{item.id}"), 400, "100317")
    names = [p["identifier"] for p in (await ask.worktile("/mission/get-projects-by-page")).json()["items"]]
    assert "OPS" in names
