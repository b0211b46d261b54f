"""PingCode's rows: full forms for lists and single answers, reference forms where one row names another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connectors.kit.sandbox.world import (
    SLUGS,
    STAGES,
    STATES,
    Deliverable,
    Milestone,
    Project,
    Release,
    Review,
    Sprint,
    World,
    identity,
)

Row = dict[str, Any]
ROOT = "https://open.pingcode.example"
SHORT = 8  # characters of a short id
COLOURS = {"pending": "#56abfb", "in_progress": "#f6c659", "completed": "#73d897", "closed": "#aaaaaa", "published": "#73d897"}  # fmt: skip
PROJECT_STATES = {"未开始": "pending", "正常": "in_progress", "预警": "in_progress", "延期": "in_progress", "已结束": "completed"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rows:
    """Builds the rows of one generation of the API (`area` is project or pjm)."""

    world: World
    area: str

    # --- references ---

    def _url(self, path: str) -> str:
        return f"{ROOT}/v1/{self.area}/{path}"

    def _link(self, short: str) -> str:
        return f"https://{self.world.tenant}.pingcode.example/pjm/items/{short}"

    def person(self, name: str) -> Row | None:
        """A user as others refer to him; nobody is null."""
        if not name:
            return None
        key = self.world.person(name)
        return {"id": key, "url": f"{ROOT}/v1/directory/users/{key}", "name": name, "display_name": name, "avatar": ""}

    def state(self, name: str) -> Row:
        """A state of a work item."""
        key, kind = self.world.state_id(name), STATES[name]
        return {"id": key, "url": self._url(f"work_item_states/{key}"), "name": name, "type": kind, "color": COLOURS[kind]}  # fmt: skip

    def _project_ref(self, key: str) -> Row:
        p = self.world.projects[key]
        return {
            "id": p.id, "url": self._url(f"projects/{p.id}"), "identifier": p.identifier, "name": p.name, "type": p.kind,
            "is_archived": int(p.archived), "is_deleted": int(p.deleted),
        }  # fmt: skip

    def _item_ref(self, m: Milestone) -> Row:
        return {
            "id": m.id, "url": self._url(f"work_items/{m.id}"), "identifier": self._identifier(m), "title": m.title,
            "type": self.world.type_id(m.kind), "start_at": None, "end_at": m.planned, "parent_id": m.parent,
            "short_id": m.id[:SHORT], "html_url": self._link(m.id[:SHORT]), "properties": {},
        }  # fmt: skip

    def _parent_ref(self, m: Milestone) -> Row:
        """A shorter form: a parent is not linked."""
        return {k: v for k, v in self._item_ref(m).items() if k not in ("short_id", "html_url")}

    def _identifier(self, m: Milestone) -> str:
        return f"{self.world.projects[m.project].identifier}-{m.number}"

    # --- full forms ---

    def project(self, p: Project) -> Row:
        """A project."""
        state = identity(self.world.tenant, "project-state", p.state)
        row: Row = {
            "id": p.id, "url": self._url(f"projects/{p.id}"), "type": p.kind, "process_id": identity(self.world.tenant, p.kind),
            "scope_type": "organization", "scope_id": identity(self.world.tenant), "name": p.name, "color": "#56abfb",
            "identifier": p.identifier, "visibility": "private", "description": "",
            "state": {"id": state, "url": self._url(f"project/states/{state}"), "name": p.state, "type": PROJECT_STATES[p.state]},
            "assignee": None, "start_at": None, "end_at": None, "properties": p.properties, "members": [],
            "created_at": p.created_at, "created_by": self.person("admin"), "updated_at": p.updated_at,
            "updated_by": self.person("admin"), "is_archived": int(p.archived), "is_deleted": int(p.deleted),
        }  # fmt: skip
        return row if self.area == "project" else row | {"is_local_config_enabled": 0}

    def item(self, m: Milestone) -> Row:
        """A work item. Milestones have no start; who completed it is in no field."""
        parent = self.world.milestones.get(m.parent or "")
        row: Row = {
            "id": m.id, "url": self._url(f"work_items/{m.id}"), "project": self._project_ref(m.project),
            "identifier": self._identifier(m), "title": m.title, "type": self.world.type_id(m.kind), "start_at": None,
            "end_at": m.planned, "parent_id": m.parent, "short_id": m.id[:SHORT], "html_url": self._link(m.id[:SHORT]),
            "parent": None if parent is None else self._parent_ref(parent), "assignee": self.person(m.assignee), "versions": None,
            "sprint": None, "state": self.state(m.state), "priority": None, "board": None, "entry": None, "swimlane": None,
            "phase": None, "description": "", "completed_at": m.completed_at, "story_points": None, "estimated_workload": None,
            "remaining_workload": None, "properties": {}, "tags": [], "participants": [],
            "created_at": m.created_at, "created_by": self.person("admin"), "updated_at": m.updated_at,
            "updated_by": self.person(m.updated_by), "is_archived": int(m.archived), "is_deleted": int(m.deleted),
        }  # fmt: skip
        return row | m.extra

    def histories(self, m: Milestone) -> list[Row]:
        """The changes of state; the first row is the creation."""
        moves = [(m.created_at, None, "未开始", "admin"), *m.history]
        return [
            {
                "id": identity(m.id, "history", n), "url": self._url(f"work_items/{m.id}/transition_histories/{identity(m.id, 'history', n)}"),
                "work_item": self._item_ref(m), "from_state": None if before is None else self.state(before),
                "to_state": self.state(after), "created_at": at, "created_by": self.person(by),
            }
            for n, (at, before, after, by) in enumerate(moves)
        ]  # fmt: skip

    def comment(self, item: str, text: str) -> Row:
        """A comment on a work item; by the API it is the application's."""
        key = identity(item, "comment", text)
        return {
            "id": key, "url": f"{ROOT}/v1/comments/{key}?principal_type=work_item&principal_id={item}", "content": text,
            "attachment_count": 0, "attachments": [], "is_reply_comment": False, "replied_comment": None,
            "created_at": self.world.now, "created_by": self.person("open-api"), "is_deleted": 0,
        }  # fmt: skip

    def activities(self, m: Milestone) -> list[Row]:
        """What was done to an item and with what; like the history, it knows nothing of bulk changes."""
        return [
            {
                "id": identity(m.id, "activity", n), "url": f"{ROOT}/v1/activities/{identity(m.id, 'activity', n)}",
                "template": "update-property", "type": "update", "summary": "修改了状态",
                "content": {"property_key": "state", "origin": self.state(before), "target": self.state(after)},
                "client": "web", "created_at": at, "created_by": self.person(by),
            }
            for n, (at, before, after, by) in enumerate(m.history)
        ]  # fmt: skip

    def type(self, name: str, group: str) -> Row:
        """A work-item type; the ids of all but the system's own words differ from tenant to tenant."""
        key = self.world.type_id(name)
        return {"id": key, "url": self._url(f"work_item_types/{key}"), "name": name, "group": group}

    def flagged(self, row: Row, *, system: bool) -> Row:
        """The tenant-wide lists say whether it is the system's: true/false once, 0/1 now."""
        return row | {"is_system": system if self.area == "project" else int(system)}

    def is_system(self, kind: str) -> bool:
        """Is this one of the nine types of the vendor?"""
        return kind in SLUGS or kind in self.world.plan_kinds

    def project_state(self, name: str) -> Row:
        """A state of projects."""
        key = identity(self.world.tenant, "project-state", name)
        return {"id": key, "url": self._url(f"project/states/{key}"), "name": name, "type": PROJECT_STATES[name]}

    def sprint(self, s: Sprint) -> Row:
        """A sprint."""
        return {
            "id": s.id, "url": self._url(f"projects/{s.project}/sprints/{s.id}"), "project": self._project_ref(s.project),
            "name": s.name, "status": s.status, "assignee": None, "start_at": s.start_at, "end_at": s.end_at, "description": "",
            "started_at": s.started_at, "completed_at": s.completed_at, "total_story_points": 0, "started_story_points": 0,
            "completed_story_points": 0, "categories": [], "created_at": s.created_at, "created_by": self.person("admin"),
            "updated_at": s.updated_at, "updated_by": self.person("admin"),
        }  # fmt: skip

    def _stage_ref(self, name: str) -> Row:
        key = identity(self.world.tenant, "stage", name)
        return {"id": key, "url": self._url(f"stages/{key}"), "name": name}

    def stage(self, name: str) -> Row:
        """A stage of releases."""
        return self._stage_ref(name) | {"type": STAGES[name], "color": COLOURS[STAGES[name]]}

    def release(self, r: Release) -> Row:
        """A release with the date each stage was reached."""
        return {
            "id": r.id, "url": self._url(f"projects/{r.project}/versions/{r.id}"), "project": self._project_ref(r.project),
            "name": r.name, "start_at": r.start_at, "end_at": r.end_at, "stage": self.stage(r.stage), "assignee": None,
            "stages": [self._stage_ref(s) | {"operate_at": r.reached.get(s)} for s in STAGES], "progress": r.progress,
            "changelog": "", "operate_at": r.reached.get(r.stage), "categories": [], "created_at": r.created_at,
            "created_by": self.person("admin"), "updated_at": r.updated_at, "updated_by": self.person(r.updated_by),
        }  # fmt: skip

    def deliverable(self, d: Deliverable) -> Row:
        """A deliverable; its content is null until somebody filled it."""
        item = self.world.milestones[d.item]
        return {
            "id": d.id, "url": self._url(f"deliverables/{d.id}"), "name": d.name, "content_type": d.content_type,
            "content": d.content, "project": self._project_ref(item.project), "work_item": self._item_ref(item),
            "created_at": d.created_at, "created_by": self.person("admin"), "updated_at": d.updated_at,
            "updated_by": self.person(d.updated_by), "is_archived": int(item.archived), "is_deleted": int(item.deleted),
        }  # fmt: skip

    def _review_ref(self, r: Review) -> Row:
        number = f"{self.world.projects[r.project].identifier}-R{r.number}"
        return {
            "id": r.id, "url": f"{ROOT}/v1/reviews/{r.id}", "identifier": number, "title": r.title, "status": r.status,
            "principal_type": "work_item", "short_id": r.id[:SHORT], "html_url": self._link(r.id[:SHORT]),
        }  # fmt: skip

    def review(self, r: Review) -> Row:
        """A review: the only row with a date and a person; the verdict is not in it."""
        p = self.world.projects[r.project]
        pilot = {
            "id": p.id, "url": self._url(f"projects/{p.id}"), "name": p.name, "identifier": p.identifier,
            "is_archived": int(p.archived), "is_deleted": int(p.deleted),
        }  # fmt: skip
        return self._review_ref(r) | {
            "pilot": pilot, "description": "", "participants": [], "submitted_at": r.submitted_at,
            "submitted_by": self.person(r.submitted_by), "completed_at": r.completed_at,
            "completed_by": self.person(r.completed_by), "created_at": r.created_at, "created_by": self.person("admin"),
            "updated_at": r.updated_at, "updated_by": self.person(r.completed_by or "admin"),
        }  # fmt: skip

    def principal(self, r: Review, m: Milestone) -> Row:
        """One item under review."""
        item = self._item_ref(m)
        kept = {k: item[k] for k in ("id", "url", "identifier", "title", "short_id", "html_url")}
        return {
            "id": m.id, "url": f"{ROOT}/v1/reviews/{r.id}/principals/{m.id}", "review": self._review_ref(r),
            "principal_type": "work_item", "principal": kept,
        }  # fmt: skip

    def user(self, name: str) -> Row:
        """A member of the team in full."""
        reference = self.person(name)
        assert reference is not None
        return reference | {
            "department": None, "job": None, "email": f"{reference['id'][:SHORT]}@example.com", "mobile": None,
            "status": "enabled", "employee_number": "",
        }  # fmt: skip
