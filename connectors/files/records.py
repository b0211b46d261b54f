"""The pull that dlt resources and Singer taps share: records into milestones, their own state as our cursor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from connectors.errors import SourceConfig
from connectors.files.field_map import FieldMap, Mapped, Record
from connectors.files.source import PAGE
from connectors.http.fields import BadRow
from connectors.http.redaction import masked
from connectors.registry import missing_projects
from models.domain.observations import Observation, Page, Rejected
from models.ports import PullRequest
from models.records.reading import closest


@dataclass(slots=True)
class RecordMemory:
    """What the cursor carries: the foreign state, and the projects that were seen."""

    state: Any = None
    projects: set[str] = field(default_factory=set)
    mark: str = ""  # of the configuration: with another mapping everything is read again

    @classmethod
    def load(cls, request: PullRequest, mark: str) -> RecordMemory:
        """A cursor that cannot be read, or was left by another configuration, is none; so is one with `full`."""
        try:
            found, state, projects = orjson.loads(request.cursor or "null")
            known = {str(p) for p in projects}
        except (ValueError, TypeError):
            return cls(mark=mark)
        return cls(None if request.full or found != mark else state, known, mark)

    def dump(self) -> str:
        """As the cursor's text."""
        return orjson.dumps([self.mark, self.state, sorted(self.projects)]).decode()


class Intake:
    """Takes records, gives pages. A record that comes again replaces the one before it, as Singer means it."""

    def __init__(self, mapped: Mapped, project: str, request: PullRequest, memory: RecordMemory) -> None:
        self.mapped, self.project, self.wanted, self.memory = mapped, project, request.projects, memory
        self._good: list[Observation] = []
        self._bad: list[Rejected] = []
        self._seen = 0
        self._here: set[str] = set()
        self._unsure = False

    def take(self, record: Record) -> Page | None:
        """One record; a page where enough have come."""
        self._seen += 1
        if self.mapped.is_milestone(record):
            self._map(record)
        return self._page() if len(self._good) + len(self._bad) >= PAGE else None

    def _map(self, record: Record) -> None:
        project = self.mapped.project(record, self.project)
        if project is not None:
            self._here.add(project)
            if self.wanted and project not in self.wanted:
                return
        try:
            self._good.append(self.mapped.observe(record, self.project))
        except BadRow as problem:
            self._bad.append(self._rejected(record, problem))

    def _rejected(self, record: Record, problem: BadRow) -> Rejected:
        try:
            key = self.mapped.identity(record)
        except BadRow:
            key, self._unsure = None, True
        raw = masked(orjson.dumps(dict(record), default=str).decode()[:8000])
        return Rejected(self.mapped.connection, key, problem.code, problem.params, raw)

    def _page(self) -> Page:
        page = Page(tuple(self._good), tuple(self._bad), seen=self._seen)
        self._good, self._bad, self._seen = [], [], 0
        return page

    def rest(self, *, whole: bool) -> list[Page]:
        """What is left, what is gone where everything came, and the last page with the cursor."""
        if not self.mapped.fields.project_field:
            self._here.add(self.mapped.fields.project_name or self.project)
        known = self._here | self.memory.projects
        if self.wanted:
            missing_projects(self.mapped.connection, self.wanted, [(p, p) for p in sorted(known)])
        gone = sorted(p for p in known if not self.wanted or p in self.wanted) if whole and not self._unsure else []
        self.memory.projects = self._here if whole else known
        pages = [self._page(), Page((), snapshot_of=tuple(gone))]
        return [*pages, Page((), cursor=self.memory.dump(), last=True)]


def fields_there(connection: str, fields: FieldMap, known: Sequence[str], where: str) -> None:
    """Raise SourceConfig for a mapped field that the description of the records does not have."""
    for name in fields.fields():
        if name not in known and name.partition(".")[0] not in known:
            near = closest(name, list(known)) or ", ".join(known)
            raise SourceConfig("field_absent", connection=connection, field=name, stream=where, near=near)
