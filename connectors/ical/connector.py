"""Calendars in files, or at an address, as a source."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import httpx

from connectors.errors import BadPayload, SourceConfig, SourceError
from connectors.files.field_map import plain
from connectors.files.moments import zone_of
from connectors.files.source import Bad, FileSource, Item, fingerprint
from connectors.http.budget import Sleep
from connectors.http.client import ApiKey, Http, Policy
from connectors.http.fields import BadRow, wrong_type
from connectors.http.redaction import masked
from connectors.ical import mapping
from connectors.ical.entries import CATEGORIES, CalendarText, NoCalendar, calendars, component, identity
from connectors.registry import ConnectorInfo, Option, checked_options
from models.domain.observations import Page, Rejected
from models.ports import PullRequest, Reachability

BYTES_MAX = 50_000_000
WHERE = "GET calendar"
COMPONENTS = {"todo": b"VTODO", "event": b"VEVENT"}


@dataclass(frozen=True, slots=True)
class IcalOptions:
    """What can be set in [connections.NAME]; see `CONNECTOR.options`."""

    path: tuple[str, ...] = ()
    url: str = ""
    token: str = ""
    milestones: tuple[str, ...] = ("todo",)
    categories: tuple[str, ...] = ()
    project: str = "name"
    timezone: str = "Asia/Shanghai"
    timeout: float = 30.0


class Ical(FileSource):
    """Calendars; one calendar is one project. One at an address is fetched into a file first."""

    def __init__(self, name: str, options: IcalOptions, http: Http | None) -> None:
        marked = (options.milestones, options.categories, options.project, options.timezone)
        super().__init__(name, options.path, fingerprint(repr(marked)))
        self.options, self.http, self.zone = options, http, zone_of(name, options.timezone)
        self._folder: TemporaryDirectory[str] | None = None

    async def __aenter__(self) -> Self:
        if self.http is not None:
            await self.http.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self.http is not None:
            await self.http.__aexit__(*exc)
        if self._folder is not None:
            self._folder.cleanup()

    async def check(self) -> Reachability:
        """The calendars, and what stands in them."""
        await self._fetched()
        return await super().check()

    async def pull(self, request: PullRequest) -> AsyncIterator[Page]:
        """Everything, where the calendar changed."""
        await self._fetched()
        async for page in super().pull(request):
            yield page

    async def _fetched(self) -> None:
        """The calendar at the address, as a file."""
        if self.http is None:
            return
        address = httpx.URL(self.options.url)
        secrets = (self.options.token, address.raw_path.decode(), *address.path.split("/"))
        try:
            data = await self.http.download(address.raw_path.decode())
        except SourceError as problem:
            problem.at(WHERE, tuple(s for s in secrets if len(s) > 5))
            raise
        folder = self._folder = self._folder or TemporaryDirectory(prefix="huikuan-")
        file = Path(folder.name) / "calendar.ics"
        await asyncio.to_thread(file.write_bytes, data)
        self.paths = (str(file),)

    def read(self, file: Path) -> Iterator[Item]:
        """The to-dos and events of one file; those that share an id are put aside."""
        for calendar in _calendars(file, frozenset(COMPONENTS[m] for m in self.options.milestones)):
            whole = _head(calendar, file)
            named = str(whole.get("X-WR-CALNAME") or whole.get("NAME") or "").strip()
            project = named if named and self.options.project == "name" else file.stem
            entries = deque(e for e in calendar.entries if self._wanted(e))
            calendar.entries.clear()
            ids = Counter(map(_identity, entries))
            while entries:
                yield self._item(entries.popleft(), project, ids)
            yield project

    def _wanted(self, entry: bytes) -> bool:
        """Is it of a category that is asked for? One that cannot be read is, so that it is put aside."""
        if not self.options.categories:
            return True
        try:
            given = component(entry, CATEGORIES).get("CATEGORIES")
        except _BROKEN:
            return True
        lists = given if isinstance(given, list) else [given] if given is not None else []
        own = {plain(c) for each in lists for c in getattr(each, "cats", ())}
        return bool(own & {plain(c) for c in self.options.categories})

    def _item(self, entry: bytes, project: str, ids: Mapping[str | None, int]) -> Item:
        identity = _identity(entry)
        try:
            if identity is not None and ids[identity] > 1:
                raise BadRow("KEY_NOT_UNIQUE", found=identity)  # noqa: TRY301 - put aside below, as all others
            return mapping.observe(_component(entry), self.name, project, self.zone)
        except BadRow as problem:
            raw = masked(entry[:20_000].decode("utf-8", "ignore"))[:8000]
            return Bad(Rejected(self.name, identity, problem.code, problem.params, raw), project)


#: What the library raises over a line that is not as RFC 5545 has it.
_BROKEN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def _identity(entry: bytes) -> str | None:
    try:
        return identity(entry)
    except _BROKEN:
        return None


def _component(entry: bytes) -> Any:
    """An entry as the library reads it. Raises BadRow."""
    try:
        return component(entry, mapping.PROPERTIES)
    except _BROKEN as problem:
        raise wrong_type("-", str(problem), "RFC 5545") from None


def _head(calendar: CalendarText, file: Path) -> Any:
    """What a calendar says of itself. Raises BadPayload."""
    try:
        return calendar.component()
    except _BROKEN as problem:
        raise BadPayload("calendar_broken", file=file.name, why=str(problem)[:120]) from None


def _calendars(file: Path, wanted: frozenset[bytes]) -> Iterator[CalendarText]:
    """The calendars of a file. Raises BadPayload for what is none."""
    if file.stat().st_size > BYTES_MAX:
        raise BadPayload("file_too_large", file=file.name, limit=BYTES_MAX // 1_000_000)
    with file.open("rb") as stream:
        try:
            yield from calendars(stream, wanted)
        except UnicodeDecodeError as problem:
            found = problem.object[problem.start : problem.start + 4].hex(" ")
            raise BadPayload("encoding_wrong", file=file.name, declared="utf-8", found=found) from None
        except NoCalendar as problem:
            raise BadPayload("calendar_broken", file=file.name, why=str(problem)[:120]) from None


def build(
    name: str,
    options: Mapping[str, object],
    *,
    clock: Callable[[], datetime],
    transport: httpx.AsyncBaseTransport | None = None,
    sleep: Sleep = asyncio.sleep,
) -> Ical:
    """A source of calendars from checked options."""
    values = IcalOptions(**checked_options(name, CONNECTOR, options))
    if bool(values.path) == bool(values.url):
        raise SourceConfig("path_or_url", connection=name)
    return Ical(name, values, _http(values, clock, transport, sleep) if values.url else None)


def _http(
    values: IcalOptions, clock: Callable[[], datetime], transport: httpx.AsyncBaseTransport | None, sleep: Sleep
) -> Http:
    try:
        origin = httpx.URL(values.url).copy_with(raw_path=b"/")
    except httpx.InvalidURL:
        raise SourceConfig("base_url") from None
    key = ApiKey("Authorization", f"Bearer {values.token}") if values.token else ApiKey("Accept", "text/calendar")
    policy = Policy(timeout=values.timeout, concurrency=1)
    return Http(str(origin), key, clock=clock, sleep=sleep, policy=policy, transport=transport, secrets=(values.token,))


def _fake() -> object:
    from connectors.ical.fake import IcalFake

    return IcalFake()


CONNECTOR = ConnectorInfo(
    system="icalendar",
    title="iCalendar",
    options=(
        Option("path", default=(), help='files, with globs: ["calendars/*.ics"]', path=True),
        Option("url", default="", secret=True, help="or an address; who knows it may read the calendar, so it is a secret"),
        Option("token", default="", secret=True, help="a token that the address asks for (Bearer)"),
        Option("milestones", default=("todo",), choices=tuple(COMPONENTS), help="todo (may be done), event (planned dates only)"),
        Option("categories", default=(), help="only entries of these categories; none: all"),
        Option("project", default="name", choices=("name", "file"), help="what names the project: name (of the calendar, else of the file) or file"),
        Option("timezone", default="Asia/Shanghai", help="the zone of times that bear none"),
        Option("timeout", default=30.0, help="seconds to wait for the address"),
    ),
    build=build,
    fake=_fake,
    reads="files",
)  # fmt: skip
