"""A dlt resource as a source, by configuration alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from connectors.dlt.items import items, loaded, plain_state, restored
from connectors.files.field_map import FIELD_NAMES, FIELD_OPTIONS, FieldMap, Mapped
from connectors.files.own_thread import in_own_thread
from connectors.files.records import Intake, RecordMemory
from connectors.files.source import fingerprint
from connectors.registry import ConnectorInfo, Option, checked_options
from models.domain.observations import Page
from models.ports import PullRequest, Reachability


@dataclass(frozen=True, slots=True)
class DltOptions:
    """What can be set in [connections.NAME] beside the fields; see `CONNECTOR.options`."""

    source: str
    resource: str = ""
    folder: str = ""
    whole: bool = False


class Dlt:
    """One dlt resource."""

    def __init__(self, name: str, options: DltOptions, fields: FieldMap) -> None:
        self.name, self.options = name, options
        self.mapped = Mapped(name, fields, "record")
        self._mark = fingerprint([options.source, options.resource, repr(fields)])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def check(self) -> Reachability:
        """Reads the resource from its beginning: dlt has no cheaper question."""
        beginning = PullRequest((), None, full=True, now=datetime.fromtimestamp(0, UTC))
        milestones, projects = 0, set[str]()
        async with aclosing(self.pull(beginning)) as pages:
            async for page in pages:
                milestones += len(page.observations)
                projects |= {o.project_id for o in page.observations}
        shown = f"{self.options.source} {self.options.resource}".strip()
        return Reachability(shown, len(projects), milestones)

    async def pull(self, request: PullRequest) -> AsyncGenerator[Page, None]:
        """What the resource gives from its last state on."""
        memory = RecordMemory.load(request, self._mark)
        project = self.options.resource or self.options.source.partition(":")[2]
        intake, left = Intake(self.mapped, project, request, memory), list[Any]()
        async with aclosing(in_own_thread(lambda: self._pages(intake, memory.state, left))) as pages:
            async for page in pages:
                yield page
        memory.state = left[0]
        for page in intake.rest(whole=self.options.whole):
            yield page

    def _pages(self, intake: Intake, state: Any, left: list[Any]) -> Iterator[Page]:
        """The resource's items as pages; the state it leaves goes into `left`. All in one thread: dlt's contexts are."""
        make = loaded(self.name, self.options.source, self.options.folder)
        ours = restored(state)
        for record in items(self.name, make, self.options.resource, ours):
            page = intake.take(record)
            if page is not None:
                yield page
        left.append(plain_state(ours))


def build(
    name: str, options: Mapping[str, object], *, clock: Callable[[], datetime], transport: Any = None, sleep: Any = None
) -> Dlt:
    """A source on a dlt resource from checked options. dlt itself is loaded when it is read."""
    del clock, transport, sleep  # dlt talks, not we
    values = checked_options(name, CONNECTOR, options)
    fields = FieldMap(**{k: v for k, v in values.items() if k in FIELD_NAMES})
    rest = {k: v for k, v in values.items() if k not in FIELD_NAMES}
    return Dlt(name, DltOptions(**rest), fields)


def _fake() -> object:
    from connectors.dlt.fake import DltFake

    return DltFake()


CONNECTOR = ConnectorInfo(
    system="dlt",
    title="dlt resource",
    options=(
        Option("source", required=True, help="module:function that gives a dlt resource or source"),
        Option("resource", default="", help="which resource, where the function gives a source of several"),
        Option("folder", default="", help="where modules of your own lie", path=True),
        Option("whole", default=False, help="every run gives all items: what no longer comes is gone"),
        *FIELD_OPTIONS,
    ),
    build=build,
    fake=_fake,
    reads="files",
)
