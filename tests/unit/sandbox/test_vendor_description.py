"""The sandbox's answers and parameters against the vendor's own description, and the validator against wrong answers."""

from __future__ import annotations

import copy

import pytest

from connectors.kit.sandbox import pingcode
from connectors.kit.sandbox.pingcode import Endpoint
from tests.unit.sandbox import vendor_description as vendor
from tests.unit.sandbox.asking import Asker

G2 = pingcode.endpoints("project")
G3 = pingcode.endpoints("pjm")
#: Served, though the stored copy of the description has only their lists; rows are held against the list's.
SINGLE_FORMS = {
    "/work_items/{item_id}": "/v1/project/work_items",
    "/work_items/{item_id}/transition_histories/{history_id}": "/v1/project/work_items/{}/transition_histories",
    "/projects/{project_id}": "/v1/project/projects",
    "/projects/{project_id}/sprints/{sprint_id}": "/v1/project/projects/{}/sprints",
    "/projects/{project_id}/versions/{version_id}": "/v1/project/projects/{}/versions",
    "/deliverables/{deliverable_id}": "/v1/project/deliverables",
    "/reviews/{review_id}": "/v1/reviews",
    "/directory/users/{user_id}": "/v1/directory/users",
}


def _path(found: Endpoint, area: str) -> str:
    return ("/v1" if found.shared else f"/v1/{area}") + found.path


def _name(found: Endpoint) -> str:
    return f"{found.method} {found.path}"


@pytest.fixture(scope="session")
def described(shared_dir):
    return vendor.load(shared_dir / "specs" / "pingcode_api_data.json")


@pytest.fixture(scope="session")
def indexed(shared_dir):
    return vendor.load_index(shared_dir / "specs" / "pingcode_endpoint_index_2026-08-03.json")


def _ids(world) -> dict[str, str]:
    first = world.find("初验")
    history = "first"
    return {
        "item_id": first.id, "history_id": history, "sprint_id": next(iter(world.sprints)), "version_id": next(iter(world.releases)),
        "deliverable_id": next(iter(world.deliverables)), "review_id": next(iter(world.reviews)), "user_id": world.person("李强"),
    }  # fmt: skip


async def _answered(ask: Asker, found: Endpoint, area: str):
    world = ask.world
    ids = _ids(world)
    plan = world.project("APP" if "sprint" in found.path or "version" in found.path else "PARK")
    ids["project_id"] = plan.id
    if "{history_id}" in found.path:
        ids["history_id"] = (await ask.rows(f"/v1/{area}/work_items/{ids['item_id']}/transition_histories"))[0]["id"]
    query = {
        "project_id": plan.id, "work_item_type_id": world.type_id("里程碑"), "principal_type": "work_item",
        "principal_id": ids["item_id"], "pilot_id": world.project("PARK").id,
    }  # fmt: skip
    body = {"ids": [ids["item_id"]], "property_name": "title", "property_value": "初验"}
    if "comments" in found.path:
        body = {"principal_type": "work_item", "principal_id": ids["item_id"], "content": "已可开票"}
        world.comments[ids["item_id"]] = ["验收了"]
    wanted = {k: v for k, v in query.items() if k in found.query}
    url = _path(found, area).format(**ids)
    answer = await ask.http.request(found.method, url, params=wanted, json=None if found.method == "GET" else body)
    assert answer.status_code == 200, answer.text
    return answer.json()


# --- the older generation: fields and parameters ---


@pytest.mark.shared
@pytest.mark.parametrize("found", [e for e in G2 if e.path not in SINGLE_FORMS], ids=_name)
async def test_an_answer_has_the_fields_and_types_of_the_vendors_examples(described, ask, found) -> None:
    body = await _answered(ask, found, "project")
    if "values" in body:
        assert body["values"], "an empty page proves nothing"
    assert described[found.method, vendor.blank(_path(found, "project"))].shape.problems(body) == []


@pytest.mark.shared
@pytest.mark.parametrize("found", [e for e in G2 if e.path in SINGLE_FORMS and e.method == "GET"], ids=_name)
async def test_a_single_answer_has_the_fields_of_its_list(described, ask, found) -> None:
    rows = described["GET", SINGLE_FORMS[found.path]].shape.fields["values"].items
    assert rows.problems(await _answered(ask, found, "project")) == []


@pytest.mark.shared
@pytest.mark.parametrize("found", [e for e in G2 if e.path not in SINGLE_FORMS], ids=_name)
def test_only_described_parameters_are_honoured(described, found) -> None:
    one = described[found.method, vendor.blank(_path(found, "project"))]
    assert set(found.query) | set(found.body) <= one.parameters
    assert one.required <= set(found.query) | set(found.body)


@pytest.mark.shared
def test_the_list_of_work_items_honours_every_described_filter(described) -> None:
    found = next(e for e in G2 if e.path == "/work_items" and e.method == "GET")
    assert set(found.query) == described["GET", "/v1/project/work_items"].parameters


@pytest.mark.shared
async def test_the_token_answer_is_as_described(described, ask) -> None:
    one = described["GET", "/v1/auth/token"]
    body = (await ask.pingcode_token()).json()
    assert {p for p in one.shape.problems(body) if "refresh_token" not in p} == set()
    assert body["expires_in"] > 1_000_000_000  # a moment


@pytest.mark.shared
async def test_a_phase_and_a_milestone_without_anything_are_described_too(described, ask) -> None:
    ask.world.add(ask.world.project("PARK"), "bare")
    shape = described["GET", "/v1/project/work_items"].shape
    assert shape.problems((await ask.get("/v1/project/work_items")).json()) == []


# --- the newer generation: paths and parameters ---


@pytest.mark.shared
@pytest.mark.parametrize("found", G3, ids=_name)
def test_the_newer_generation_serves_described_paths_and_parameters(indexed, found) -> None:
    one = indexed[found.method, vendor.blank(_path(found, "pjm"))]
    tops = {p.partition(".")[0] for p in one.parameters}
    assert set(found.query) | set(found.body) <= tops
    assert {r for r in one.required if "." not in r} <= set(found.query) | set(found.body)


@pytest.mark.shared
def test_the_newer_list_honours_every_described_filter_and_no_date(indexed) -> None:
    found = next(e for e in G3 if e.path == "/work_items" and e.method == "GET")
    assert set(found.query) == indexed["GET", "/v1/pjm/work_items"].parameters
    assert not [q for q in found.query if "between" in q]


# --- the validator itself ---


@pytest.mark.shared
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda r: r.update(completed_by="李强"), "completed_by: unknown"),
        (lambda r: r.pop("state"), "state: missing"),
        (lambda r: r.update(updated_at="2026-11-20"), "updated_at: string"),
        (lambda r: r.update(is_deleted=False), "is_deleted: boolean"),
        (lambda r: r["state"].update(type=None), "state.type: null"),
        (lambda r: r["project"].update(key="PARK"), "project.key: unknown"),
    ],
)
async def test_the_validator_finds_a_wrong_field(described, ask, spoil, said) -> None:
    body = (await ask.get("/v1/project/work_items")).json()
    wrong = copy.deepcopy(body)
    spoil(wrong["values"][0])
    found = described["GET", "/v1/project/work_items"].shape.problems(wrong)
    assert len(found) == 1
    assert said in found[0]
