"""The pull that all file sources share: which files, whether they changed, what is gone.

Files are read whole. The cursor is a mark over their bytes and the configuration: as long as it is the same,
a pull yields nothing. Where anything changed all files of the connection are read again, since a project
may lie in several of them.
"""

from __future__ import annotations

import asyncio
import glob
import hashlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import orjson

from connectors.errors import BadPayload, SourceConfig, SourceUnavailable
from connectors.files.own_thread import in_own_thread
from connectors.registry import missing_projects
from models.domain.observations import Observation, Page, Rejected
from models.ports import PullRequest, Reachability

PAGE = 500
BYTES_MAX = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Bad:
    """A row put aside. `project` is None where even that is not known."""

    row: Rejected
    project: str | None


#: A milestone, a row put aside, or the name of a project that is there, with milestones or without.
Item = Observation | Bad | str


@dataclass(slots=True)
class Tally:
    """What one reading has seen: it says of which projects everything is known."""

    projects: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)  # a row without an id is missing from them
    unsure: bool = False  # a row of nobody knows which project
    ids: dict[str, str] = field(default_factory=dict)  # milestone -> the file it came from
    milestones: int = 0

    def take(self, file: str, items: Sequence[Item], wanted: Sequence[str]) -> Page:
        """The items as a page. Raises BadPayload where a milestone is told of twice."""
        good: list[Observation] = []
        bad: list[Rejected] = []
        for item in items:
            if isinstance(item, str):
                self.projects.add(item)
                continue
            if isinstance(item, Bad):
                self._doubt(item)
                if not wanted or item.project is None or item.project in wanted:
                    bad.append(item.row)
                continue
            self.projects.add(item.project_id)
            if wanted and item.project_key not in wanted:
                continue
            if item.milestone_id in self.ids:
                first = self.ids[item.milestone_id]
                raise BadPayload("id_in_two_places", id=item.milestone_id, first=first, second=file)
            self.ids[item.milestone_id] = file
            good.append(item)
        self.milestones += len(good)
        return Page(tuple(good), tuple(bad), seen=len(items))

    def _doubt(self, item: Bad) -> None:
        if item.project is not None:
            self.projects.add(item.project)
        if item.row.milestone_id is None:
            self.unsure |= item.project is None
            self.doubtful |= {item.project} if item.project is not None else set()

    def known_whole(self, before: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
        """The projects of which every milestone was seen, those of the last reading that are gone among them."""
        if self.unsure:
            return ()
        every = (self.projects | set(before)) - self.doubtful
        return tuple(sorted(p for p in every if not wanted or p in wanted))


class FileSource(ABC):
    """One connection to files. `read` says what stands in one of them."""

    def __init__(self, name: str, paths: Sequence[str], mark: str) -> None:
        self.name, self.paths = name, tuple(paths)
        self._mark = mark  # of the configuration: another mapping is another reading

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    @abstractmethod
    def read(self, file: Path) -> Iterator[Item]:
        """The milestones of one file, and the projects that are in it, in its order, in bounded memory. Raises SourceError for a broken file."""

    async def check(self) -> Reachability:
        """The files, and what stands in them."""
        files = await asyncio.to_thread(found_files, self.name, self.paths)
        tally, odd = Tally(), 0
        async for page in self._pages(files, (), tally):
            odd += len(page.rejected)
        shown = ", ".join(f.name for f in files[:3]) + (f" +{len(files) - 3}" if len(files) > 3 else "")
        return Reachability(shown, len(tally.projects), tally.milestones, facts={"rejected": str(odd)} if odd else {})

    async def pull(self, request: PullRequest) -> AsyncIterator[Page]:
        """Everything, where a byte or the configuration changed since the last pull; else nothing."""
        files = await asyncio.to_thread(found_files, self.name, self.paths)
        digests = await asyncio.to_thread(lambda: [digest(f) for f in files])
        named = sorted(zip((f.name for f in files), digests, strict=True))  # wherever the folder lies
        mark = fingerprint([self._mark, list(request.projects), named])
        last_mark, before = load_cursor(request.cursor)
        if mark == last_mark and not request.full:
            yield Page((), cursor=request.cursor, last=True)
            return
        tally = Tally()
        async for page in self._pages(files, request.projects, tally):
            yield page
        if await asyncio.to_thread(lambda: [digest(f) for f in files]) != digests:
            raise SourceUnavailable("file_moving", files=", ".join(f.name for f in files))
        if request.projects:
            missing_projects(self.name, request.projects, [(p, p) for p in sorted(tally.projects)])
        yield Page((), snapshot_of=tally.known_whole(before, request.projects))
        yield Page((), cursor=orjson.dumps([mark, sorted(tally.projects)]).decode(), last=True)

    async def _pages(self, files: Sequence[Path], wanted: Sequence[str], tally: Tally) -> AsyncIterator[Page]:
        for file in files:
            async with aclosing(in_own_thread(lambda f=file: chunks(self._read(f)))) as lots:  # type: ignore[misc]
                async for items in lots:
                    yield tally.take(str(file), items, wanted)

    def _read(self, file: Path) -> Iterator[Item]:
        with legible(file):
            yield from self.read(file)


def chunks(items: Iterator[Item]) -> Iterator[list[Item]]:
    """The items, a page at a time."""
    page: list[Item] = []
    for item in items:
        page.append(item)
        if len(page) == PAGE:
            yield page
            page = []
    if page:
        yield page


def found_files(connection: str, patterns: Sequence[str]) -> list[Path]:
    """The files that paths and globs name, sorted. Raises SourceConfig where one of them names none."""
    found: set[Path] = set()
    for pattern in patterns:
        here = [Path(p) for p in glob.glob(pattern, recursive=True)]  # noqa: PTH207 - absolute patterns too
        with legible(Path(pattern)):  # a folder that may not be entered
            files = {
                p for p in here or [Path(pattern)] if p.is_file() and not p.name.startswith(("~$", ".~"))
            }  # what Office locks with
        if not files:
            raise SourceConfig("file_absent", connection=connection, path=pattern)
        found |= files
    return sorted(found)


def digest(file: Path) -> str:
    """A hash over a file's bytes. Raises SourceUnavailable or SourceConfig where it cannot be read."""
    with legible(file):
        if file.stat().st_size > BYTES_MAX:
            raise BadPayload("file_too_large", file=file.name, limit=BYTES_MAX // 1_000_000)
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


@contextmanager
def legible(file: Path) -> Iterator[None]:
    """Whatever the system says against reading a file, as SourceConfig (may not) or SourceUnavailable (cannot now)."""
    try:
        yield
    except PermissionError:
        raise SourceConfig("file_forbidden", file=str(file)) from None
    except OSError as problem:
        raise SourceUnavailable("file_unreadable", file=str(file), why=type(problem).__name__) from None


def fingerprint(what: object) -> str:
    """A short hash over plain values."""
    return hashlib.blake2b(orjson.dumps(what, default=str), digest_size=16).hexdigest()


def load_cursor(cursor: str | None) -> tuple[str, list[str]]:
    """The mark and the projects of the last reading. A cursor that cannot be read is none."""
    try:
        mark, projects = orjson.loads(cursor or "null")
        return str(mark), [str(p) for p in projects]
    except (ValueError, TypeError):
        return "", []
