"""Which work items a request asks for: plural filters once, single ones now, a search by whole days.

Unknown filters are ignored with 200, as the vendor does it. Fields the sandbox holds nothing for (boards,
swimlanes, tags …) are honoured: nothing has them, so nothing is found.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.kit.sandbox.answers import Refusal, between, flag, moment
from connectors.kit.sandbox.world import Milestone, World, day_of

Test = Callable[[Milestone], bool]
IDS_MAX = 20
#: Reference fields by what they are called once (`project_ids`), now (`project_id`) and in a search (`project.id`).
REFERENCES: dict[str, Callable[[World, Milestone], Any]] = {
    "project": lambda _w, m: m.project,
    "type": lambda w, m: w.type_id(m.kind),
    "parent": lambda _w, m: m.parent,
    "assignee": lambda w, m: w.person(m.assignee) if m.assignee else None,
    "state": lambda w, m: w.state_id(m.state),
    "created_by": lambda w, _m: w.person("admin"),
    "updated_by": lambda w, m: w.person(m.updated_by),
}
NOTHING_HELD = ("priority", "bug_type", "tag", "sprint", "board", "entry", "swimlane", "phase", "version")
TIMES: dict[str, Callable[[Milestone], int | None]] = {
    "start": lambda _m: None,  # milestones have no start
    "end": lambda m: m.planned,
    "created": lambda m: m.created_at,
    "updated": lambda m: m.updated_at,
    "completed": lambda m: m.completed_at,
}
PLURAL = tuple(f"{n}_ids" for n in (*REFERENCES, *NOTHING_HELD) if n != "updated_by")
SINGLE = tuple(
    "created_by" if n == "created_by" else f"{n}_id" for n in (*REFERENCES, *NOTHING_HELD) if n != "updated_by"
)
RANGES = ("start_between", "end_between", "created_between", "updated_between")
COMMON = ("identifier", "keywords", "participant_id", "include_public_image_token", "include_deleted", "include_archived")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for: a key that names it, the projects it is confined to (None: all), and a test."""

    key: Hashable
    projects: tuple[str, ...] | None
    test: Test


def plural(world: World, given: Mapping[str, str]) -> Wanted:
    """The older generation: CSV of up to 20 ids, ranges to the second. Raises Refusal."""
    tests = [_visible(given), *_common(world, given), *_ranges(given)]
    tests += [_one_of(world, n.removesuffix("_ids"), _csv(given[n], n)) for n in PLURAL if given.get(n)]
    projects = _csv(given["project_ids"], "project_ids") if given.get("project_ids") else None
    return Wanted(("plural", _asked(given)), projects, _all(tests))


def single(world: World, given: Mapping[str, str]) -> Wanted:
    """The newer generation: one id a filter, no dates (a date that is sent is ignored, like all unknown filters)."""
    tests = [_visible(given), *_common(world, given)]
    tests += [_one_of(world, n.removesuffix("_id"), (given[n],)) for n in SINGLE if given.get(n)]
    projects = (given["project_id"],) if given.get("project_id") else None
    return Wanted(("single", _asked(given)), projects, _all(tests))


def search(world: World, payload: Mapping[str, Any]) -> Wanted:
    """One operator a field, fields AND-ed, times by whole day. Raises Refusal (100039, 100043, 100044)."""
    asked = payload.get("filter", {})
    if not isinstance(asked, dict):
        raise Refusal("100039", "filter 格式不正确")
    tests, projects = [_visible(payload), *_common(world, payload)], None
    for name, rule in asked.items():
        if not isinstance(rule, dict) or len(rule) != 1:
            raise Refusal("100039", f"{name}: 每个字段只能有一个操作符")
        operator, value = next(iter(rule.items()))
        tests.append(_rule(world, name, operator, value))
        if (name, operator) == ("project.id", "in"):
            projects = tuple(value)
    return Wanted(("search", repr(asked), _asked(payload)), projects, _all(tests))


# --- parts -------------------------------------------------------------------------------------------


def _asked(given: Mapping[str, Any]) -> Hashable:
    return tuple(sorted((k, str(v)) for k, v in given.items() if k not in ("page_index", "page_size", "access_token")))


def _all(tests: Iterable[Test]) -> Test:
    kept = tuple(tests)
    return lambda m: all(test(m) for test in kept)


def _visible(given: Mapping[str, Any]) -> Test:
    """Deleted and archived rows hide unless asked for."""
    deleted, archived = flag(given, "include_deleted"), flag(given, "include_archived")
    return lambda m: (deleted or not m.deleted) and (archived or not m.archived)


def _common(world: World, given: Mapping[str, Any]) -> list[Test]:
    tests: list[Test] = []
    if given.get("identifier"):
        tests.append(lambda m: given["identifier"] == f"{world.projects[m.project].identifier}-{m.number}")
    if given.get("keywords"):
        tests.append(lambda m: str(given["keywords"]) in (str(m.number), *_parts(m.title, str(given["keywords"]))))
    if given.get("participant_id"):
        tests.append(lambda _m: False)
    return tests


def _parts(title: str, words: str) -> tuple[str, ...]:
    return (words,) if words in title else ()


def _ranges(given: Mapping[str, str]) -> list[Test]:
    tests = []
    for name in RANGES:
        bounds = between(given, name)
        if bounds is not None:
            tests.append(_within(TIMES[name.removesuffix("_between")], *bounds))
    return tests


def _within(read: Callable[[Milestone], int | None], low: int, high: int) -> Test:
    def test(m: Milestone) -> bool:
        value = read(m)
        return value is not None and low <= value <= high

    return test


def _csv(text: str, name: str) -> tuple[str, ...]:
    ids = tuple(text.split(","))
    if len(ids) > IDS_MAX:
        raise Refusal("100006", f"{name} 最多只能 {IDS_MAX} 个")
    return ids


def _nothing(world: World, m: Milestone) -> None:
    """What the sandbox holds nothing for."""
    del world, m


def _one_of(world: World, field: str, ids: Iterable[Any], *, inside: bool = True) -> Test:
    read, kept = REFERENCES.get(field, _nothing), frozenset(ids)
    return lambda m: (read(world, m) in kept) is inside


# --- search ------------------------------------------------------------------------------------------

_TEXTS: dict[str, Callable[[Milestone], str]] = {"title": lambda m: m.title, "description": lambda _m: ""}
_HELD_PLURAL = {"versions": "version", "tags": "tag", "participants": "participant"}
_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda a, b: a > b,
    "lt": lambda a, b: a < b,
    "gte": lambda a, b: a >= b,
    "lte": lambda a, b: a <= b,
}


def _rule(world: World, name: str, operator: str, value: Any) -> Test:
    if name in _TEXTS:
        return _text_rule(name, operator, value)
    if name.endswith("_at") and name.removesuffix("_at") in TIMES:
        return _time_rule(name, operator, value)
    field = "type" if name == "type" else name.removesuffix(".id") if name.endswith(".id") else ""
    field = _HELD_PLURAL.get(field, field)
    if field not in (*REFERENCES, *NOTHING_HELD, "participant"):
        raise Refusal("100043", f"{name} 不支持筛选")
    return _reference_rule(world, name, field, operator, value)


def _text_rule(name: str, operator: str, value: Any) -> Test:
    read = _TEXTS[name]
    if operator == "exists":
        return lambda m: bool(read(m)) is bool(value)
    if operator == "contains":
        return lambda m: str(value) in read(m)
    raise Refusal("100044", f"{name} 不支持操作符 {operator}")


def _time_rule(name: str, operator: str, value: Any) -> Test:
    """By whole day in the tenant's zone: a bound at noon takes in the morning too."""
    read = TIMES[name.removesuffix("_at")]
    if operator == "exists":
        return lambda m: (read(m) is not None) is bool(value)
    if operator == "between":
        if not isinstance(value, list) or len(value) != 2:
            raise Refusal("100006", f"{name} 不是有效的数组")
        low, high = (day_of(moment(v, name)) for v in value)
        return lambda m: (at := read(m)) is not None and low <= day_of(at) <= high
    if operator not in _COMPARE:
        raise Refusal("100044", f"{name} 不支持操作符 {operator}")
    bound, compare = day_of(moment(value, name)), _COMPARE[operator]
    return lambda m: (at := read(m)) is not None and compare(day_of(at), bound)


def _reference_rule(world: World, name: str, field: str, operator: str, value: Any) -> Test:
    read = REFERENCES.get(field, _nothing)
    if operator == "exists":
        return lambda m: (read(world, m) is not None) is bool(value)
    if operator not in ("in", "nin"):
        raise Refusal("100044", f"{name} 不支持操作符 {operator}")
    if not isinstance(value, list):
        raise Refusal("100006", f"{name} 不是有效的数组")
    return _one_of(world, field, value, inside=operator == "in")
