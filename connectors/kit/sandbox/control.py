"""The control API: what a person would do at the vendor's, and how the sandbox shall misbehave.

`POST /_control/VERB` with a JSON body. Milestones are named by `id`, or by `title` (and `project` where
that is not enough); moments (`at`) are Unix seconds, the world's clock where left out. Every answer is
JSON; a wrong body is a 400 that says what was expected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from starlette.responses import Response

from connectors.kit.sandbox.answers import answer
from connectors.kit.sandbox.gate import RETRY_STYLES, Gate
from connectors.kit.sandbox.world import STATES, Fault, Milestone, Release, Sprint, World

Body = Mapping[str, Any]
Verb = Callable[[World, Body], dict[str, Any] | None]
FAULTS = (
    "status", "throttle", "html", "truncated", "hang", "drop", "empty", "shrink", "drop_rows", "duplicate", "reorder", "expire",
)  # fmt: skip
LIMITS = (
    "per_minute", "latency", "token_requests", "token_seconds", "generations", "retry_style", "bulk_touches", "order", "plan_kinds",
)  # fmt: skip
DONE, REOPENED = "已完成", "进行中"


def answer_control(gate: Gate, verb: str, body: Any) -> Response:
    """Do what the verb says."""
    if verb not in VERBS:
        return answer({"error": f"unknown verb {verb!r}", "known": sorted(VERBS)}, 404)
    given = body if isinstance(body, dict) else {}
    try:
        done = VERBS[verb](gate.world, given)
    except (KeyError, StopIteration, TypeError, ValueError) as problem:
        why = "nothing has that id, title or name" if isinstance(problem, StopIteration) else repr(problem)
        return answer({"error": f"{verb}: {why}", "body": given}, 400)
    if verb == "limits":
        gate.forget()
    return answer(done or {"ok": True})


# --- milestones --------------------------------------------------------------------------------------


def _pick(world: World, body: Body) -> Milestone:
    if "id" in body:
        return world.milestones[body["id"]]
    project = world.project(body["project"]).id if "project" in body else None
    return next(m for m in world.milestones.values() if m.title == body["title"] and project in (None, m.project))


def _at(world: World, body: Body) -> int:
    return int(body.get("at", world.now))


def _move(world: World, body: Body) -> None:
    """state, at, by; silent: no history."""
    world.move(_pick(world, body), body.get("state", DONE), _at(world, body), body.get("by", "control"), silent=bool(body.get("silent")))  # fmt: skip


def _reopen(world: World, body: Body) -> None:
    world.move(_pick(world, body), body.get("state", REOPENED), _at(world, body), body.get("by", "control"))


def _bulk(world: World, body: Body) -> dict[str, Any]:
    """ids, state: a change without history."""
    found = [world.milestones[i] for i in body["ids"]]
    return {"changed": world.bulk(found, body.get("state", DONE), _at(world, body))}


def _edit(name: str, default: bool | None = None) -> Verb:  # noqa: FBT001 - a field's value, not a switch
    """Sets a field to the body's `value`, or to the default where there is one."""

    def change(world: World, body: Body) -> None:
        milestone = _pick(world, body)
        setattr(milestone, name, body["value"] if default is None else body.get("value", default))
        milestone.updated_at = _at(world, body)

    return change


def _relocate(world: World, body: Body) -> None:
    """Into the project `to`."""
    world.relocate(_pick(world, body), world.project(body["to"]), _at(world, body))


def _add(world: World, body: Body) -> dict[str, Any]:
    """project, title; planned, kind, salt."""
    extra = {k: body[k] for k in ("planned", "kind", "salt", "parent") if k in body}
    return {"id": world.add(world.project(body["project"]), body["title"], **extra).id}


def _spoil(world: World, body: Body) -> None:
    """Lay fields over the row, as an upgrade of the vendor's would; {} cleans it."""
    milestone = _pick(world, body)
    milestone.extra = dict(body["fields"])
    milestone.updated_at = _at(world, body)


# --- projects, sprints, releases, proof --------------------------------------------------------------


def _add_project(world: World, body: Body) -> dict[str, Any]:
    """identifier, name; kind, system."""
    extra = {k: body[k] for k in ("kind", "system") if k in body}
    return {"id": world.add_project(body["identifier"], body["name"], **extra).id}


def _progress(world: World, body: Body) -> None:
    """project, total, completed: the counts of work items."""
    project = world.project(body["project"])
    project.total, project.completed, project.updated_at = int(body["total"]), int(body["completed"]), _at(world, body)


def _project_flag(world: World, body: Body) -> None:
    """project; archived, deleted: true or false."""
    project = world.project(body["project"])
    for name in ("archived", "deleted"):
        if name in body:
            setattr(project, name, bool(body[name]))
    project.updated_at = _at(world, body)


def _sprint(world: World, body: Body) -> dict[str, Any]:
    """project, name, start, end: adds one; with `finish: true` completes it (`script: true`: without dates)."""
    if body.get("finish"):
        sprint: Sprint = next(s for s in world.sprints.values() if body["name"] == s.name)
        world.finish_sprint(sprint, _at(world, body), script=bool(body.get("script")))
        return {"id": sprint.id}
    return {"id": world.add_sprint(world.project(body["project"]), body["name"], int(body["start"]), int(body["end"])).id}  # fmt: skip


def _release(world: World, body: Body) -> dict[str, Any]:
    """project, name, start, end: adds one; with `stage` moves it there."""
    if "stage" in body:
        release: Release = next(r for r in world.releases.values() if body["name"] == r.name)
        world.stage(release, body["stage"], _at(world, body), body.get("by", "control"))
        return {"id": release.id}
    return {"id": world.add_release(world.project(body["project"]), body["name"], int(body["start"]), int(body["end"])).id}  # fmt: skip


def _deliverable(world: World, body: Body) -> dict[str, Any]:
    """A deliverable `name` of a milestone; with `href` it is delivered."""
    milestone = _pick(world, body)
    mine = (d for d in world.deliverables.values() if d.item == milestone.id and d.name == body["name"])
    found = next(mine, None) or world.add_deliverable(milestone, body["name"])
    if "href" in body:
        world.deliver(found, body["name"], body["href"], _at(world, body), body.get("by", "control"))
    return {"id": found.id}


def _review(world: World, body: Body) -> dict[str, Any]:
    """A review `name` of a milestone, completed at `at` by `by` unless `open: true`."""
    review = world.add_review([_pick(world, body)], body["name"])
    if not body.get("open"):
        world.complete_review(review, _at(world, body), body.get("by", "control"))
    return {"id": review.id}


# --- clock, faults, limits ---------------------------------------------------------------------------


def _now(world: World, body: Body) -> dict[str, Any]:
    """value: set the clock. It stands still by itself."""
    world.now = int(body["value"])
    return {"now": world.now}


def _advance(world: World, body: Body) -> dict[str, Any]:
    """seconds and/or days: move the clock on."""
    world.now += int(body.get("seconds", 0)) + int(body.get("days", 0)) * 86_400
    return {"now": world.now}


def _fault(world: World, body: Body) -> dict[str, Any]:
    """path, kind; times, status, headers, seconds, style, method."""
    fault = Fault(**body)
    if fault.kind not in FAULTS or fault.style not in RETRY_STYLES:
        raise ValueError(f"kind is one of {', '.join(FAULTS)}; style one of {', '.join(RETRY_STYLES)}")
    world.faults.append(fault)
    return {"waiting": sum(f.times > 0 for f in world.faults)}


def _behave(world: World, body: Body) -> None:
    """Forget all faults."""
    del body
    world.faults.clear()


def _limits(world: World, body: Body) -> dict[str, Any]:
    """Set any of: per_minute, latency, token_requests, token_seconds, generations, retry_style …"""
    unknown = set(body) - set(LIMITS)
    if unknown:
        raise ValueError(f"unknown {sorted(unknown)}; known: {', '.join(LIMITS)}")
    for name, value in body.items():
        setattr(world, name, tuple(value) if isinstance(value, list) else value)
    return {n: getattr(world, n) for n in LIMITS}


def _state(world: World, body: Body) -> dict[str, Any]:
    """What is there now."""
    del body
    return {
        "now": world.now, "states": list(STATES), "projects": [asdict(p) for p in world.projects.values()],
        "milestones": [asdict(m) for m in world.milestones.values()],
    }  # fmt: skip


def _log(world: World, body: Body) -> dict[str, Any]:
    """Method and path of the last requests."""
    rows = list(world.log)[-int(body.get("last", 1000)) :]
    if body.get("clear"):
        world.log.clear()
    return {"log": rows, "requests": len(rows)}


VERBS: dict[str, Verb] = {
    "move": _move,
    "reopen": _reopen,
    "bulk": _bulk,
    "rename": _edit("title"),
    "plan": _edit("planned"),
    "delete": _edit("deleted", default=True),
    "restore": _edit("deleted", default=False),
    "archive": _edit("archived", default=True),
    "relocate": _relocate,
    "add": _add,
    "spoil": _spoil,
    "add_project": _add_project,
    "project": _project_flag,
    "progress": _progress,
    "sprint": _sprint,
    "release": _release,
    "deliverable": _deliverable,
    "review": _review,
    "now": _now,
    "advance": _advance,
    "fault": _fault,
    "behave": _behave,
    "limits": _limits,
    "state": _state,
    "log": _log,
}
