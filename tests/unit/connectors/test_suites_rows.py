"""Rows of Planner, Project for the web, TAPD, ZenTao, Feishu Project and Teambition: what looks done and is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.feishu_project import mapping as feishu
from connectors.http.fields import BadRow, millis
from connectors.http.source import Project
from connectors.ms_planner import mapping as planner
from connectors.ms_project import mapping as dataverse
from connectors.tapd import mapping as tapd
from connectors.tapd.fake import form
from connectors.teambition import mapping as teambition
from connectors.zentao import mapping as zentao
from models.domain.contracts import EvidenceGrade
from models.domain.observations import Observation, Provenance

CHINA = ZoneInfo("Asia/Shanghai")
PLACE = Project("p1", "ALPHA", "Alpha")
AT = datetime(2026, 11, 20, 4, tzinfo=UTC)
MS = int(AT.timestamp() * 1000)

TASK = {
    "id": "t1", "title": "初验", "planId": "p1", "percentComplete": 100, "completedDateTime": "2026-11-20T04:00:00Z",
    "completedBy": {"user": {"displayName": None, "id": "u-2"}, "application": {"displayName": None, "id": "a-9"}},
    "dueDateTime": "2026-12-20T10:00:00Z",
}  # fmt: skip
ROW_DATAVERSE = {
    "msdyn_projecttaskid": "g1", "msdyn_subject": "初验", "msdyn_progress": 1, "msdyn_ismilestone": True,
    "msdyn_finish": "2026-12-20T09:00:00Z", "msdyn_actualend": "2026-11-20T04:00:00Z", "modifiedon": "2026-11-21T00:00:00Z",
}  # fmt: skip
ITERATION = {
    "id": "101", "name": "初验", "workspace_id": "61000001", "status": "done", "enddate": "2026-12-20",
    "modified": "2026-11-21 08:00:00", "completed": "2026-11-20 12:00:00", "custom_field_7": "HT-2026-018",
}  # fmt: skip
STAGE = {
    "id": 11, "name": "初验", "type": "stage", "status": "closed", "milestone": "1", "end": "2026-12-20", "progress": 33.3,
    "closedBy": {"id": 3, "account": "wm", "realname": "王敏"}, "closedDate": "2026-11-20T04:00:00Z", "realEnd": "2026-11-15",
    "lastEditedDate": "2026-11-20T04:00:00Z",
}  # fmt: skip
ENDED = {"state_key": "end", "is_archived_state": True, "updated_at": MS, "updated_by": "75"}
ITEM = {
    "id": 5_300_000_001, "name": "初验", "work_item_type_key": "milestone", "updated_at": MS + 60_000, "work_item_status": ENDED,
    "user_details": [{"user_key": "75", "name_cn": "王敏", "name_en": "", "username": "wm"}],
}  # fmt: skip
NODE = {
    "id": "n1", "state_key": "acceptance", "name": "验收", "status": 3, "milestone": True, "actual_finish_time": str(MS),
    "sub_status": [{"owner": "75", "checked_time": MS, "status": 1}], "node_schedule": {"estimate_end_date": MS},
}  # fmt: skip
SPRINT = {
    "id": "s1",
    "name": "初验",
    "status": "complete",
    "accomplished": "2026-11-20T04:00:00.000Z",
    "updated": "2026-11-21T00:00:00.000Z",
}
TODO = {
    "id": "k1",
    "content": "初验",
    "isDone": True,
    "accomplishTime": "2026-11-20T04:00:00.000Z",
    "updated": "2026-11-21T00:00:00.000Z",
}

Maker = Callable[[Mapping[str, Any]], Observation]
MAKERS: dict[str, tuple[Maker, Mapping[str, Any]]] = {
    "planner": (lambda r: planner.task("c", r, PLACE, "tenant"), TASK),
    "dataverse": (lambda r: dataverse.task("c", r, PLACE, "https://x.example"), ROW_DATAVERSE),
    "tapd": (lambda r: tapd.iteration("c", r, PLACE, (), ("done",), CHINA), ITERATION),
    "tapd_form": (lambda r: tapd.launch_form("c", r, PLACE, ("sign_agree",), (), CHINA), form(1, signed="2026-11-20 12:00:00", signer_result="sign_agree", signed_by="王敏")),
    "zentao": (lambda r: zentao.execution("c", r, PLACE, "https://x.example", "closed"), STAGE),
    "feishu": (lambda r: feishu.item("c", r, PLACE, "https://x.example", (), ""), ITEM),
    "feishu_node": (lambda r: feishu.node("c", r, ITEM, PLACE, "https://x.example"), NODE),
    "teambition": (lambda r: teambition.sprint("c", r, PLACE), SPRINT),
    "teambition_task": (lambda r: teambition.task("c", r, PLACE), TODO),
}  # fmt: skip


@pytest.mark.parametrize("system", MAKERS)
def test_a_finished_milestone_has_the_instant_that_the_vendor_gives(system: str) -> None:
    make, row = MAKERS[system]
    seen = make(row)
    assert (seen.done, seen.done_at, seen.date_provenance) == (True, AT, Provenance.NATIVE)
    assert not seen.extra


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["id", "status", "user", "state_key"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@pytest.mark.parametrize("system", MAKERS)
@given(st.data())
def test_no_value_makes_more_than_a_row_put_aside(system: str, data: st.DataObject) -> None:
    make, row = MAKERS[system]
    field = data.draw(st.sampled_from(sorted(row)))
    try:
        seen = make({**row, field: data.draw(ANYTHING)})
    except BadRow:
        return
    assert seen.done or seen.done_at is None


# --- Planner ---


@pytest.mark.parametrize("percent", [0, 50, 99])
def test_a_planner_task_short_of_a_hundred_is_open_whatever_its_date_says(percent: int) -> None:
    seen = planner.task("c", {**TASK, "percentComplete": percent}, PLACE, "tenant")
    assert (seen.done, seen.done_at, seen.done_by, seen.percent_bp) == (False, None, None, percent * 100)


@pytest.mark.parametrize(
    ("who", "named"),
    [
        ({"user": {"displayName": "王敏", "id": "u"}}, "王敏"),
        ({"user": {"displayName": None, "id": "u"}}, "u"),
        ({"user": None, "application": {"displayName": "Power Automate", "id": "a"}}, "Power Automate"),
        ({"user": {}}, None),
        (None, None),
        ("王敏", None),
    ],
)
def test_who_completed_a_planner_task(who: object, named: str | None) -> None:
    assert planner.person(who) == named


@pytest.mark.parametrize(
    ("percent", "code"),
    [(None, "PROOF_FIELD_MISSING"), (101, "PERCENT_RANGE"), ("100", "PROOF_FIELD_TYPE"), (True, "PROOF_FIELD_TYPE")],
)
def test_a_planner_task_with_another_percentage_is_put_aside(percent: object, code: str) -> None:
    with pytest.raises(BadRow) as problem:
        planner.task("c", {**TASK, "percentComplete": percent}, PLACE, "tenant")
    assert problem.value.code == code


def test_the_link_to_a_task_cannot_be_broken_by_its_id() -> None:
    seen = planner.task("c", {**TASK, "id": "a/../b?x=1"}, PLACE, "tenant")
    assert seen.url == "https://tasks.office.com/tenant/Home/Task/a%2F..%2Fb%3Fx%3D1"


# --- Dataverse ---


@pytest.mark.parametrize(
    ("progress", "bp", "done"),
    [(0, 0, False), (0.34, 3400, False), (0.99999, 9999, False), (1, 10_000, True), (1.0, 10_000, True)],
)
def test_progress_is_a_share_of_one(progress: float, bp: int, *, done: bool) -> None:
    seen = dataverse.task("c", {**ROW_DATAVERSE, "msdyn_progress": progress}, PLACE, "https://x.example")
    assert (seen.percent_bp, seen.done) == (bp, done)


@pytest.mark.parametrize("progress", [1.5, -0.1, float("nan"), float("inf"), "1", True, None, 100])
def test_a_progress_out_of_range_is_put_aside(progress: object) -> None:
    with pytest.raises(BadRow):
        dataverse.task("c", {**ROW_DATAVERSE, "msdyn_progress": progress}, PLACE, "https://x.example")


def test_done_without_an_actual_end_has_the_moment_of_the_last_change_and_says_so() -> None:
    seen = dataverse.task("c", {**ROW_DATAVERSE, "msdyn_actualend": None}, PLACE, "https://x.example")
    assert (seen.date_provenance, seen.done_at) == (Provenance.FIRST_OBSERVED, datetime(2026, 11, 21, tzinfo=UTC))


# --- TAPD ---


def test_a_time_in_tapd_is_chinas() -> None:
    assert tapd.local({"t": "2026-11-30 23:59:59"}, "t", CHINA) == datetime(2026, 11, 30, 15, 59, 59, tzinfo=UTC)
    assert tapd.local({"t": "0000-00-00 00:00:00"}, "t", CHINA) is None


def test_a_status_of_the_companys_own_is_not_done_unless_named() -> None:
    row = {**ITERATION, "status": "已上线"}
    assert not tapd.iteration("c", row, PLACE, (), ("done",), CHINA).done
    assert tapd.iteration("c", row, PLACE, (), ("done", "已上线"), CHINA).done


def test_the_last_run_of_closed_states_says_who() -> None:
    rows = [
        {"field": "status", "new_value": "done", "author": "甲", "created": "2026-11-18 12:00:00"},
        {"field": "status", "new_value": "open", "author": "乙", "created": "2026-11-19 12:00:00"},
        {"field": "name", "new_value": "done", "author": "戊", "created": "2026-11-19 13:00:00"},
        {"field": "status", "new_value": "done", "author": "丙", "created": "2026-11-20 12:00:00"},
    ]
    seen = tapd.iteration(
        "c", {**ITERATION, "completed": None}, PLACE, tapd.changes(rows, ("done",), CHINA), ("done",), CHINA
    )
    assert (seen.done_by, seen.done_at, seen.date_provenance) == ("丙", AT, Provenance.HISTORY)
    assert [c.done for c in seen.history] == [True, False, True]


def test_a_companys_own_fields_are_expected_others_are_reported() -> None:
    seen = tapd.iteration("c", {**ITERATION, "zz": 1}, PLACE, (), ("done",), CHINA)
    assert dict(seen.extra) == {"zz": 1}


def _review(**changes: object) -> Observation:
    return tapd.launch_form("c", form(1, **changes), PLACE, ("sign_agree",), ("sign_refuse",), CHINA)


def test_a_review_signed_with_consent_is_done_and_accepted_by_its_signer() -> None:
    seen = _review(signed="2026-11-20 12:00:00", signer_result="sign_agree", signed_by="王敏")
    assert (seen.done, seen.accepted, seen.accepted_at, seen.done_by) == (True, True, AT, "王敏")
    assert seen.grade is EvidenceGrade.REVIEW


@pytest.mark.parametrize(
    "changes", [{}, {"signer_result": "sign_agree"}, {"signed": "2026-11-20 12:00:00", "signer_result": "sign_refuse"}]
)
def test_a_review_without_signature_or_refused_is_not_done(changes: dict[str, object]) -> None:
    seen = _review(**changes)
    assert not seen.done
    assert not seen.accepted


@pytest.mark.parametrize("verdict", [None, "sign_maybe", "同意"])
def test_a_signature_with_a_verdict_nobody_named_waits_for_a_person(verdict: str | None) -> None:
    with pytest.raises(BadRow) as problem:
        _review(signed="2026-11-20 12:00:00", signer_result=verdict)
    assert problem.value.code == "STATE_UNKNOWN"


# --- ZenTao ---


def test_the_day_typed_by_hand_counts_only_where_it_was_asked_for() -> None:
    closed = zentao.execution("c", STAGE, PLACE, "https://x.example", "closed")
    typed = zentao.execution("c", STAGE, PLACE, "https://x.example", "real_end")
    assert (closed.done_at, closed.done_on) == (AT, None)
    assert (typed.done_at, typed.done_on) == (None, date(2026, 11, 15))
    assert (closed.done_by, closed.grade) == ("王敏", EvidenceGrade.HISTORY)


@pytest.mark.parametrize("state", ["wait", "doing", "suspended"])
def test_only_closed_is_done(state: str) -> None:
    seen = zentao.execution("c", {**STAGE, "status": state}, PLACE, "https://x.example", "closed")
    assert (seen.done, seen.done_at, seen.done_by) == (False, None, None)


def test_a_state_nobody_knows_is_put_aside() -> None:
    with pytest.raises(BadRow) as problem:
        zentao.execution("c", {**STAGE, "status": "done"}, PLACE, "https://x.example", "closed")
    assert problem.value.code == "STATE_UNKNOWN"


@pytest.mark.parametrize(("value", "flagged"), [("1", True), (1, True), ("0", False), (0, False)])
def test_the_flag_of_a_stage_comes_as_number_or_text(value: object, *, flagged: bool) -> None:
    assert zentao.is_milestone({**STAGE, "milestone": value}) is flagged


@pytest.mark.parametrize("value", [None, "yes", [], True])
def test_a_stage_that_does_not_say_whether_it_is_a_milestone_is_put_aside(value: object) -> None:
    with pytest.raises(BadRow):
        zentao.is_milestone({**STAGE, "milestone": value})


def test_stages_below_stages_are_seen_in_both_shapes() -> None:
    listed = [{"id": 1, "children": [{"id": 2, "children": {"3": {"id": 3}}}]}]
    assert [r["id"] for r in zentao.flat(listed)] == [1, 2, 3]
    assert list(zentao.flat("x")) == []


@pytest.mark.parametrize(("value", "bp"), [(33.3, 3330), ("100", 10_000), ("12.5%", 1250), (None, None), (0, 0)])
def test_the_progress_of_a_stage(value: object, bp: int | None) -> None:
    assert zentao.execution("c", {**STAGE, "progress": value}, PLACE, "https://x.example", "closed").percent_bp == bp


@pytest.mark.parametrize("value", ["nan", "Infinity", "-1", 101, 1e400, True, "ten"])
def test_a_progress_that_is_no_percentage_is_put_aside(value: object) -> None:
    with pytest.raises(BadRow):
        zentao.execution("c", {**STAGE, "progress": value}, PLACE, "https://x.example", "closed")


# --- Feishu Project ---


def test_the_state_says_since_when_and_by_whom() -> None:
    seen = feishu.item("c", ITEM, PLACE, "https://x.example", (), "")
    assert (seen.done_by, seen.grade, seen.url) == (
        "王敏",
        EvidenceGrade.HISTORY,
        "https://x.example/ALPHA/milestone/detail/5300000001",
    )


def test_named_states_count_instead_of_the_archived_ones() -> None:
    assert not feishu.item("c", ITEM, PLACE, "https://x.example", ("accepted",), "").done
    assert feishu.item("c", ITEM, PLACE, "https://x.example", ("end",), "").done


def test_a_reopened_item_is_open_and_keeps_its_history() -> None:
    now = {**ENDED, "state_key": "doing", "is_archived_state": False, "updated_at": MS + 1000, "history": [ENDED]}
    seen = feishu.item("c", {**ITEM, "work_item_status": now}, PLACE, "https://x.example", (), "")
    assert (seen.done, seen.done_at, [c.done for c in seen.history]) == (False, None, [True, False])


@pytest.mark.parametrize("value", [int(AT.timestamp()), 17, -5, 10**20, "x", 1.5, True])
def test_seconds_and_other_numbers_are_no_milliseconds(value: object) -> None:
    with pytest.raises(BadRow):
        millis({"t": value}, "t")


@pytest.mark.parametrize(("status", "done"), [(1, False), (2, False), (3, True)])
def test_a_node_is_done_when_it_was_passed(status: int, *, done: bool) -> None:
    seen = feishu.node("c", {**NODE, "status": status}, ITEM, PLACE, "https://x.example")
    assert (seen.done, seen.done_by, seen.name) == (done, "王敏" if done else None, "初验 / 验收")


def test_without_a_finish_time_the_last_confirmation_counts() -> None:
    checks = [
        {"owner": "75", "checked_time": MS - 5000, "status": 1},
        {"owner": "76", "checked_time": MS, "status": 1},
        {"owner": "77", "checked_time": MS + 9000, "status": 0},
    ]
    seen = feishu.node("c", {**NODE, "actual_finish_time": "", "sub_status": checks}, ITEM, PLACE, "https://x.example")
    assert (seen.done_at, seen.done_by) == (AT, "76")


def test_nodes_count_by_their_flag_or_by_name() -> None:
    assert feishu.is_milestone(NODE, ())
    assert not feishu.is_milestone({**NODE, "milestone": False}, ())
    assert feishu.is_milestone({**NODE, "milestone": False}, ("验收",))


def test_the_planned_date_is_in_the_field_that_was_named() -> None:
    row = {
        **ITEM,
        "fields": [
            {"field_key": "f1", "field_value": MS},
            {"field_key": "f2", "field_value": {"start_time": 0, "end_time": MS}},
        ],
    }
    assert feishu.item("c", row, PLACE, "https://x.example", (), "f1").planned_at == AT
    assert feishu.item("c", row, PLACE, "https://x.example", (), "f2").planned_at == AT
    assert feishu.item("c", row, PLACE, "https://x.example", (), "").planned_at is None


# --- Teambition ---


@pytest.mark.parametrize("state", ["future", "active"])
def test_a_sprint_that_is_not_complete_is_open_whatever_its_date_says(state: str) -> None:
    seen = teambition.sprint("c", {**SPRINT, "status": state}, PLACE)
    assert (seen.done, seen.done_at) == (False, None)


def test_a_task_in_the_bin_is_archived() -> None:
    assert teambition.task("c", {**TODO, "isArchived": True}, PLACE).archived


@pytest.mark.parametrize("value", [None, "", 0, "0"])
def test_no_milliseconds_are_no_moment(value: object) -> None:
    assert millis({"t": value}, "t") is None


@pytest.mark.parametrize("value", [1_795_147_200_000, "1795147200000"])
def test_milliseconds_come_as_numbers_or_in_digits(value: object) -> None:
    moment = millis({"t": value}, "t")
    assert moment is not None
    assert moment.timestamp() == 1_795_147_200
