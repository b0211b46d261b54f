"""Plans in Microsoft Project XML as a source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from connectors.errors import SourceConfig
from connectors.files.field_map import plain
from connectors.files.moments import zone_of
from connectors.files.source import Bad, FileSource, Item, fingerprint
from connectors.http.fields import BadRow
from connectors.msproject import mapping
from connectors.msproject.mapping import Outline, Reading
from connectors.msproject.reader import Plan, Task, read_tasks
from connectors.registry import ConnectorInfo, Option, checked_options, one_of
from models.domain.observations import Observation, Rejected

KINDS = ("milestone", "summary:", "flag:", "zero_duration")
PROJECTS = ("file", "title", "name", "guid")
PLANNED = ("finish", "baseline", *(f"baseline:{n}" for n in range(11)))


@dataclass(frozen=True, slots=True)
class MsProjectOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    path: tuple[str, ...]
    milestones: tuple[str, ...] = ("milestone",)
    project: str = "file"
    names: str = "name"
    done: str = "percent"
    planned: str = "finish"
    timezone: str = "Asia/Shanghai"


class MsProject(FileSource):
    """Plans in files; one plan is one project."""

    def __init__(self, name: str, options: MsProjectOptions) -> None:
        super().__init__(name, options.path, fingerprint(repr(options)))
        self.options, self.zone = options, zone_of(name, options.timezone)

    def read(self, file: Path) -> Iterator[Item]:
        """The milestones of one plan."""
        plan, outline, reading = Plan(), Outline(), None
        for task in read_tasks(file, plan):
            reading = reading or self._reading(plan, file)
            item = self._item(task, outline, reading, plan)
            if item is not None:
                yield item
        yield (reading or self._reading(plan, file)).project

    def _item(self, task: Task, outline: Outline, reading: Reading, plan: Plan) -> Observation | Bad | None:
        try:
            if not mapping.is_row(task):
                return None
            name = task.fields.get("Name", "")
            outline.enter(mapping.number(task, "OutlineLevel"), name)
            kind = mapping.kind_of(task, reading)
            if kind is None:
                return None
            shown = outline.path if self.options.names == "path" else name
            return mapping.observe(task, kind, shown if name else "", reading, plan.head.get("LastSaved", ""))
        except BadRow as problem:
            return self._bad(task, problem, reading)

    def _bad(self, task: Task, problem: BadRow, reading: Reading) -> Bad:
        uid = task.fields.get("UID")
        whole = {**task.fields, "Baseline": task.baselines, "ExtendedAttribute": task.attributes}
        raw = orjson.dumps(whole).decode()[:8000]
        key = f"{reading.project}/{uid}" if uid else None
        return Bad(Rejected(self.name, key, problem.code, problem.params, raw), reading.project)

    def _reading(self, plan: Plan, file: Path) -> Reading:
        """How to read this plan. Raises SourceConfig for a title or a field that it does not have."""
        o = self.options
        project = (
            file.stem
            if o.project == "file"
            else plan.head.get({"title": "Title", "name": "Name"}.get(o.project, "GUID"), "")
        )
        if not project:
            raise SourceConfig("plan_unnamed", connection=self.name, file=file.name, key=o.project)
        flags = tuple(self._flag(k.partition(":")[2], plan, file) for k in o.milestones if k.startswith("flag:"))
        return Reading(self.name, project, self.zone, o.milestones, flags, o.planned, o.done)

    def _flag(self, wanted: str, plan: Plan, file: Path) -> frozenset[str]:
        found = frozenset(i for i, names in plan.attributes.items() if plain(wanted) in map(plain, names))
        if not found:
            known = ", ".join(sorted({n for names in plan.attributes.values() for n in names})) or "-"
            raise SourceConfig("flag_absent", connection=self.name, file=file.name, flag=wanted, known=known)
        return found


def build(
    name: str, options: Mapping[str, object], *, clock: Callable[[], datetime], transport: Any = None, sleep: Any = None
) -> MsProject:
    """A source of plans from checked options."""
    del clock, transport, sleep  # nothing is asked over a network
    values = MsProjectOptions(**checked_options(name, CONNECTOR, options))
    for kind in values.milestones:
        head, sign, rest = kind.partition(":")
        one_of(name, "milestones", head + sign if rest else head, KINDS)
        if head == "summary" and not (rest.isascii() and rest.isdigit() and len(rest) < 4):
            raise SourceConfig(
                "value_unknown", connection=name, key="milestones", found=repr(kind), allowed="summary:1, summary:2 …"
            )
    return MsProject(name, values)


def _fake() -> object:
    from connectors.msproject.fake import MsProjectFake

    return MsProjectFake()


CONNECTOR = ConnectorInfo(
    system="mspdi",
    title="Microsoft Project XML",
    options=(
        Option("path", required=True, default=(), help='XML files, with globs: ["plans/*.xml"]', path=True),
        Option("milestones", default=("milestone",), help='milestone (the flag), "summary:LEVEL", "flag:FIELD" (name or alias), zero_duration'),
        Option("project", default="file", choices=PROJECTS, help="what names the project: file (its name without .xml), title, name, guid"),
        Option("names", default="name", choices=("name", "path"), help="name, or path: with the names of the tasks above it"),
        Option("done", default="percent", choices=("percent", "actual_finish"), help="percent (100) or actual_finish (there is one)"),
        Option("planned", default="finish", choices=PLANNED, help="finish, baseline, or baseline:N"),
        Option("timezone", default="Asia/Shanghai", help="the zone of the plan's dates, which bear none"),
    ),
    build=build,
    fake=_fake,
    reads="files",
)  # fmt: skip
