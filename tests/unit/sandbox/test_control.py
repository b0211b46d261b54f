"""The control API: what a person does at the vendor's, the clock, and misbehaviour on demand."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import pytest

from connectors.kit.sandbox import __main__ as command
from connectors.kit.sandbox.app import build_app
from connectors.kit.sandbox.control import FAULTS, VERBS
from connectors.kit.sandbox.server import served
from connectors.kit.sandbox.world import World
from tests.unit.sandbox.asking import Asker

ITEMS = "/v1/pjm/work_items"


async def _row(ask: Asker, key: str, **flags: str) -> dict:
    return (await ask.get(f"{ITEMS}/{key}", **flags)).json()


# --- what a person does ---


async def test_a_person_completes_and_reopens_a_milestone(ask: Asker) -> None:
    key = ask.world.find("终验").id
    await ask.control("move", id=key, state="已验收", at=ask.world.now - 60, by="王敏")
    assert (await _row(ask, key))["completed_at"] == ask.world.now - 60
    await ask.control("reopen", id=key, by="赵倩")
    row = await _row(ask, key)
    assert (row["state"]["type"], row["completed_at"]) == ("in_progress", None)
    history = await ask.rows(f"{ITEMS}/{key}/transition_histories")
    assert [r["created_by"]["name"] for r in history] == ["admin", "王敏", "赵倩"]


async def test_rename_plan_relocate_and_restore_keep_the_id(ask: Asker) -> None:
    key = ask.world.find("终验").id
    await ask.control("rename", id=key, value="Final acceptance")
    await ask.control("plan", id=key, value=1_800_000_000)
    await ask.control("relocate", id=key, to="APP", at=ask.world.now + 5)
    row = await _row(ask, key)
    assert (row["title"], row["end_at"], row["project"]["identifier"]) == ("Final acceptance", 1_800_000_000, "APP")
    assert row["updated_at"] == ask.world.now + 5
    await ask.control("delete", id=key)
    assert (await ask.get(f"{ITEMS}/{key}")).status_code == 400
    await ask.control("restore", id=key)
    assert (await _row(ask, key))["is_deleted"] == 0


async def test_new_projects_milestones_and_proof_appear(ask: Asker) -> None:
    project = (await ask.control("add_project", identifier="NEW", name="New")).json()["id"]
    key = (await ask.control("add", project="NEW", title="Go-live", planned=1_800_000_000)).json()["id"]
    assert [r["id"] for r in await ask.rows(ITEMS, project_id=project)] == [key]
    await ask.control("deliverable", id=key, name="Report", href="https://example.com/r", by="Li")
    assert (await ask.rows("/v1/pjm/deliverables", work_item_id=key))[0]["updated_by"]["name"] == "Li"
    await ask.control("review", id=key, name="Review", by="Chen")
    (review,) = await ask.rows("/v1/reviews", principal_type="work_item", pilot_id=project)
    assert review["completed_by"]["name"] == "Chen"
    await ask.control("sprint", project="APP", name="S9", start=1_800_000_000, end=1_800_100_000)
    await ask.control("release", project="APP", name="2.0", start=1_800_000_000, end=1_800_100_000)
    await ask.control("release", name="2.0", stage="已发布", by="Li")
    assert ask.world.releases[next(k for k, r in ask.world.releases.items() if r.name == "2.0")].progress == 100


async def test_an_archived_project_hides(ask: Asker) -> None:
    await ask.control("project", project="APP", archived=True)
    assert {p["identifier"] for p in await ask.rows("/v1/pjm/projects")} == {"PARK"}
    assert len(await ask.rows("/v1/pjm/projects", include_archived="true")) == 2


async def test_any_field_of_a_row_can_be_spoilt_and_cleaned(ask: Asker) -> None:
    key = ask.world.find("终验").id
    await ask.control("spoil", id=key, fields={"completed_at": "soon", "brand_new": 1})
    row = await _row(ask, key)
    assert (row["completed_at"], row["brand_new"]) == ("soon", 1)
    ask.world.milestones[key].extra["brand_new"] = 2  # changed in place, unseen
    assert [r["brand_new"] for r in await ask.rows(ITEMS, keywords="终验")] == [2]
    await ask.control("spoil", id=key, fields={})
    assert "brand_new" not in await _row(ask, key)


async def test_a_change_in_python_shows_at_once(ask: Asker) -> None:
    await ask.rows(ITEMS)
    ask.world.find("终验").title = "changed"
    assert "changed" in {r["title"] for r in await ask.rows(ITEMS)}
    ask.world.project("PARK").name = "renamed"
    assert {r["project"]["name"] for r in await ask.rows(ITEMS)} == {"renamed"}
    del ask.world.milestones[ask.world.find("changed").id]
    assert "changed" not in {r["title"] for r in await ask.rows(ITEMS)}


async def test_the_clock_stands_still_until_somebody_moves_it(ask: Asker) -> None:
    assert (await ask.control("now", value=1_800_000_000)).json() == {"now": 1_800_000_000}
    assert (await ask.control("advance", days=1, seconds=5)).json() == {"now": 1_800_086_405}


async def test_the_state_and_the_log_can_be_read(ask: Asker) -> None:
    await ask.rows(ITEMS)
    state = (await ask.control("state")).json()
    assert {m["title"] for m in state["milestones"]} == {"一期", "初验", "终验"}
    assert (await ask.control("log")).json()["log"][-1] == f"GET {ITEMS}"


@pytest.mark.parametrize(
    ("verb", "body", "status"),
    [
        ("nonsense", {}, 404),
        ("move", {"title": "nothing like that"}, 400),
        ("move", {"title": "终验", "state": "unknown"}, 400),
        ("rename", {"title": "终验"}, 400),
        ("fault", {"path": "/v1", "kind": "unknown"}, 400),
        ("fault", {"path": "/v1", "kind": "status", "colour": 1}, 400),
        ("limits", {"per_hour": 1}, 400),
    ],
)
async def test_a_wrong_order_changes_nothing_and_says_why(ask: Asker, verb: str, body: dict, status: int) -> None:
    before = (await ask.control("state")).json()
    answer = await ask.control(verb, **body)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert (await ask.control("state")).json() == before


# --- misbehaviour ---


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ({"kind": "status", "status": 502}, lambda a: a.status_code == 502),
        ({"kind": "html"}, lambda a: a.status_code == 200 and a.text.startswith("<!DOCTYPE html>")),
        ({"kind": "html", "status": 503}, lambda a: a.status_code == 503),
        ({"kind": "truncated"}, lambda a: a.status_code == 200 and a.text[-1] != "}"),
        ({"kind": "hang", "seconds": 0.01}, lambda a: a.status_code == 500),
        ({"kind": "throttle", "seconds": 7}, lambda a: a.headers["x-pc-retry-after"] == "7"),
        ({"kind": "throttle", "seconds": 7, "style": "burst"}, lambda a: a.headers["x-ratelimit-retry-after"] == "7"),
        ({"kind": "throttle", "headers": {"Retry-After": "soon"}}, lambda a: a.headers["retry-after"] == "soon"),
        ({"kind": "empty"}, lambda a: a.json()["values"] == [] and a.json()["total"] == 3),
        ({"kind": "shrink"}, lambda a: len(a.json()["values"]) == 1 and a.json()["total"] == 3),
        ({"kind": "drop_rows"}, lambda a: len(a.json()["values"]) == 2),
        (
            {"kind": "duplicate"},
            lambda a: len({r["id"] for r in a.json()["values"]}) == 2 and len(a.json()["values"]) == 3,
        ),
        ({"kind": "expire"}, lambda a: a.status_code == 401),
    ],
    ids=lambda v: v["kind"] if isinstance(v, dict) else "",
)
async def test_the_next_answer_is_spoilt_and_the_one_after_is_good(ask: Asker, fault: dict, check) -> None:
    answer = await ask.control("fault", path="/work_items", **fault)
    assert answer.json() == {"waiting": 1}
    assert (await ask.get("/v1/pjm/projects")).status_code == 200  # another path
    assert check(await ask.get(ITEMS))
    if fault["kind"] == "expire":
        await ask.pingcode_token()
    assert len(await ask.rows(ITEMS)) == 3


async def test_rows_move_while_one_pages() -> None:
    ask = await Asker(World.generated(1, 40)).sign_in()
    first = await ask.rows(ITEMS, page_size=20)
    await ask.control("fault", path="/work_items", kind="reorder")
    second = await ask.rows(ITEMS, page_size=20, page_index=1)
    assert len({r["id"] for r in (*first, *second)}) < 40


async def test_a_date_in_retry_after_lies_ahead(ask: Asker) -> None:
    await ask.control("fault", path="/work_items", kind="throttle", seconds=60, style="date")
    when = parsedate_to_datetime((await ask.get(ITEMS)).headers["retry-after"])
    assert 50 < (when - datetime.now(UTC)).total_seconds() < 70


async def test_worktile_throttles_in_html_and_expires_inside_200(ask: Asker) -> None:
    await ask.control("fault", path="/mission/", kind="throttle", seconds=2, style="retry-after")
    answer = await ask.worktile("/mission/get-projects-by-page")
    assert (answer.status_code, answer.headers["retry-after"], answer.text[:6]) == (429, "2", "<html>")
    await ask.control("fault", path="/mission/", kind="expire")
    assert (await ask.worktile("/mission/get-projects-by-page")).json()["error_code"] == 1103


async def test_a_fault_can_be_for_one_method_and_be_forgotten(ask: Asker) -> None:
    await ask.control("fault", path="/work_items", kind="status", method="POST", times=9)
    assert (await ask.get(ITEMS)).status_code == 200
    assert (await ask.search({})).status_code == 500
    await ask.control("behave")
    assert (await ask.search({})).status_code == 200


async def test_latency_is_added_to_every_answer(ask: Asker) -> None:
    await ask.control("limits", latency=0.05)
    clock = asyncio.get_running_loop().time
    began = clock()
    await ask.get(ITEMS)
    assert clock() - began >= 0.05


async def test_every_fault_and_verb_is_documented() -> None:
    from tests.conftest import ROOT

    for page in ("sandbox.md", "sandbox.zh-CN.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        assert [w for w in (*FAULTS, *VERBS) if f"`{w}`" not in text] == []


# --- the server ---


def test_it_serves_on_loopback_drops_connections_and_stops_cleanly() -> None:
    world = World.generated(1, 3)
    with served(build_app(world)) as url:
        assert url.startswith("http://127.0.0.1:")
        with httpx.Client(base_url=url, trust_env=False) as client:
            assert client.post("/_control/fault", json={"path": "/v1/", "kind": "drop"}).status_code == 200
            with pytest.raises(httpx.RemoteProtocolError):
                client.get("/v1/pjm/projects")
            assert client.get("/v1/pjm/projects").status_code == 401
            client.post("/_control/fault", json={"path": "/v1/", "kind": "hang"})
            with pytest.raises(httpx.ReadTimeout):
                client.get("/v1/pjm/projects", timeout=0.1)
    with pytest.raises(httpx.ConnectError), httpx.Client(trust_env=False) as client:
        client.get(url)


def test_the_command_prints_where_and_with_which_credentials(capsys) -> None:
    assert command.main(["--seconds", "0.01", "--projects", "2", "--milestones", "2", "--generations", "pjm"]) == 0
    said = capsys.readouterr().out
    for part in (
        "base_url = http://127.0.0.1:",
        "sandbox-client",
        "sandbox-secret",
        "P00000, P00001",
        "/_control/VERB",
    ):
        assert part in said


def test_a_generated_world_is_the_same_for_the_same_seed_and_large() -> None:
    one, two, other = (World.generated(20, 50, seed) for seed in (7, 7, 8))
    assert one.milestones == two.milestones
    assert one.milestones != other.milestones
    assert len(one.milestones) == 1000
    assert 300 < sum(m.state == "已完成" for m in one.milestones.values()) < 700


async def test_a_full_walk_is_served_from_the_shelf_until_something_changes() -> None:
    """Rows are built once; a change throws them away. The benchmark measures the puller, not the sandbox."""
    ask = await Asker(World.generated(3, 100)).sign_in()
    first = [(await ask.get(ITEMS, page_size=100, page_index=n)).content for n in range(3)]
    assert [(await ask.get(ITEMS, page_size=100, page_index=n)).content for n in range(3)] == first
    await ask.control("rename", project="P00001", title="M0007", value="seven")
    later = [(await ask.get(ITEMS, page_size=100, page_index=n)).json()["values"] for n in range(3)]
    assert sum(r["title"] == "seven" for page in later for r in page) == 1
    assert len({r["id"] for page in later for r in page}) == 300
