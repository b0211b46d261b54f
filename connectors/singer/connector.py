"""A Singer tap as a source. Its STATE is the cursor: given back at the next pull, committed with the data."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import orjson

from connectors.errors import BadPayload, SourceConfig
from connectors.files.field_map import FIELD_NAMES, FIELD_OPTIONS, FieldMap, Mapped
from connectors.files.records import Intake, RecordMemory, fields_there
from connectors.files.source import fingerprint
from connectors.registry import ConnectorInfo, Option, checked_options
from connectors.singer.messages import message, properties_of, record_of
from connectors.singer.process import Tap, secrets_in
from models.domain.observations import Page
from models.ports import PullRequest, Reachability


@dataclass(frozen=True, slots=True)
class SingerOptions:
    """What can be set in [connections.NAME] beside the fields; see `CONNECTOR.options`."""

    command: tuple[str, ...]
    stream: str
    config: str = ""
    catalog: str = ""
    whole: bool = False
    timeout: float = 300.0
    longest: float = 3600.0


@dataclass(slots=True)
class _Run:
    """Where one run of the tap stands."""

    described: bool = False
    state: Any = None
    streams: set[str] = field(default_factory=set)


class Singer:
    """One stream of one tap."""

    def __init__(self, name: str, options: SingerOptions, fields: FieldMap) -> None:
        self.name, self.options = name, options
        self.mapped = Mapped(name, fields, "record")
        self._mark = fingerprint([options.stream, repr(fields)])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def check(self) -> Reachability:
        """Runs the tap from its beginning: there is no cheaper question that every tap answers."""
        beginning = PullRequest((), None, full=True, now=datetime.fromtimestamp(0, UTC))
        milestones, projects = 0, set[str]()
        async with aclosing(self.pull(beginning)) as pages:
            async for page in pages:
                milestones += len(page.observations)
                projects |= {o.project_id for o in page.observations}
        return Reachability(f"{Path(self.options.command[0]).name} {self.options.stream}", len(projects), milestones)

    async def pull(self, request: PullRequest) -> AsyncGenerator[Page, None]:
        """What the tap gives from its last STATE on."""
        memory = RecordMemory.load(request, self._mark)
        intake, run = Intake(self.mapped, self.options.stream, request, memory), _Run(state=memory.state)
        secrets = secrets_in(self.options.config) if self.options.config else []
        with TemporaryDirectory(prefix="huikuan-") as folder:
            argv = await asyncio.to_thread(self._argv, memory.state, Path(folder))
            async with (
                Tap(argv, quiet=self.options.timeout, longest=self.options.longest, secrets=secrets) as tap,
                aclosing(tap.lines()) as lines,
            ):
                async for line in lines:
                    page = self._heard(line, tap.name, intake, run)
                    if page is not None:
                        yield page
        if not run.described:
            near = ", ".join(sorted(run.streams)) or "-"
            raise SourceConfig("stream_absent", connection=self.name, stream=self.options.stream, near=near)
        memory.state = run.state
        for page in intake.rest(whole=self.options.whole):
            yield page

    def _argv(self, state: Any, folder: Path) -> list[str]:
        """The command with the files that the specification names; the state's is readable by us only."""
        argv = list(self.options.command)
        for flag, file in (("--config", self.options.config), ("--catalog", self.options.catalog)):
            argv += [flag, file] if file else []
        if state is not None:
            remembered = folder / "state.json"
            remembered.write_bytes(orjson.dumps(state))
            argv += ["--state", str(remembered)]
        return argv

    def _heard(self, line: bytes, tap: str, intake: Intake, run: _Run) -> Page | None:
        found = message(line, tap)
        kind, stream = found["type"], found.get("stream")
        if kind == "STATE":
            run.state = found.get("value")
        elif kind == "SCHEMA":
            run.streams.add(str(stream))
            if stream == self.options.stream:
                self._described(found, run)
        elif kind == "RECORD" and stream == self.options.stream:
            if not run.described:
                raise BadPayload("tap_no_schema", tap=tap, stream=str(stream))
            return intake.take(record_of(found, tap))
        return None  # ACTIVATE_VERSION, other streams, and kinds to come

    def _described(self, found: Mapping[str, Any], run: _Run) -> None:
        run.described = True
        known = properties_of(found)
        if known:
            fields_there(self.name, self.mapped.fields, known, self.options.stream)


def build(
    name: str, options: Mapping[str, object], *, clock: Callable[[], datetime], transport: Any = None, sleep: Any = None
) -> Singer:
    """A source on a tap from checked options."""
    del clock, transport, sleep  # the tap talks, not we
    values = checked_options(name, CONNECTOR, options)
    fields = FieldMap(**{k: v for k, v in values.items() if k in FIELD_NAMES})
    rest = {k: v for k, v in values.items() if k not in FIELD_NAMES}
    return Singer(name, SingerOptions(**rest), fields)


def _fake() -> object:
    from connectors.singer.fake import SingerFake

    return SingerFake()


CONNECTOR = ConnectorInfo(
    system="singer",
    title="Singer tap",
    options=(
        Option("command", required=True, default=(), help='the tap and its own arguments: ["tap-jira"]; no shell'),
        Option("stream", required=True, help="the stream whose records are milestones"),
        Option("config", default="", secret=True, help="path of the tap's config file, from the environment: {env = \"TAP_CONFIG\"}"),
        Option("catalog", default="", help="path of the catalog that selects streams", path=True),
        Option("whole", default=False, help="every run gives all records: what no longer comes is gone"),
        Option("timeout", default=300.0, help="seconds that the tap may be silent"),
        Option("longest", default=3600.0, help="seconds that one run may take in all"),
        *FIELD_OPTIONS,
    ),
    build=build,
    fake=_fake,
    reads="files",
)  # fmt: skip
