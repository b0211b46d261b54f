"""The pull that REST sources share, on a vendor of a few lines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest

from connectors.errors import SourceRefused
from connectors.http.client import ApiKey, Http
from connectors.http.fields import need_text
from connectors.http.paging import Chain, RawPage, Row, Walk
from connectors.http.source import Listing, Project, RestSource
from connectors.kit.conformance import Bench
from connectors.registry import connector, systems
from models.domain.observations import Observation, Page
from models.ports import PullRequest

NOW = datetime(2026, 11, 20, 4, tzinfo=UTC)


class Vendor(httpx.AsyncBaseTransport):
    """Two projects; tasks of pages of two, each naming the next."""

    def __init__(self) -> None:
        self.tasks: dict[str, list[Row]] = {"p1": [], "p2": []}
        self.asked: list[str] = []
        self.move: Row | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        given = request.url.params
        if request.url.path == "/me":
            return _json({"name": "robot"})
        if request.url.path == "/projects":
            return _json([{"id": p, "key": p.upper()} for p in self.tasks])
        rows = self.tasks[request.url.path.split("/")[2]]
        if "since" in given:
            rows = [r for r in rows if r["updated"] >= given["since"]]
        start = int(given.get("after", 0))
        answer = {"tasks": rows[start : start + 2], "next": str(start + 2) if start + 2 < len(rows) else None}
        if self.move is not None:
            rows.insert(0, self.move)
            self.move = None
        return _json(answer)


def _json(body: object) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "application/json"}, content=orjson.dumps(body))


class Tool(RestSource):
    """The smallest connector there is."""

    async def account(self) -> str:
        return str((await self.http.get("/me"))["name"])

    async def projects(self) -> list[Project]:
        return [Project(r["id"], r["key"], r["key"]) for r in await self.http.get("/projects")]

    def listings(self, project: Project) -> Sequence[Listing]:
        def start(since: datetime | None) -> Chain:
            return Chain(lambda token: self._tasks(project, since, token), "id")

        return [Listing(start, lambda row, _: self._observed(project, row), kind="task", incremental=True)]

    async def _tasks(self, project: Project, since: datetime | None, token: str | None) -> tuple[list[Row], str | None]:
        asked: dict[str, Any] = {"since": since.isoformat()} if since else {}
        body = await self.http.get(f"/projects/{project.id}/tasks", asked | ({"after": token} if token else {}))
        return body["tasks"], body["next"]

    def _observed(self, project: Project, row: Row) -> Observation | None:
        if row.get("kind") == "note":
            return None
        return Observation(self.name, project.id, project.key, project.name, f"task:{need_text(row, 'id')}", "task",
                           need_text(row, "title"), "done" if row["done"] else "open", row["done"])  # fmt: skip


def task(number: int, *, done: bool = False, at: datetime = NOW, **more: object) -> Row:
    return {"id": str(number), "title": f"T{number}", "done": done, "updated": at.isoformat(), **more}


async def pull(vendor: Vendor, cursor: str | None = None, at: datetime = NOW, **asked: Any) -> list[Page]:
    tool = Tool("c", Http("https://tool.example", ApiKey("X-Key", "k"), clock=lambda: at, transport=vendor))
    async with tool:
        request = PullRequest(asked.get("projects", ()), cursor, asked.get("full", False), at)
        return [page async for page in tool.pull(request)]


def ids(pages: Sequence[Page]) -> list[str]:
    return sorted(o.milestone_id for p in pages for o in p.observations)


async def test_the_first_pull_reads_all_and_says_what_is_there() -> None:
    vendor = Vendor()
    vendor.tasks["p1"] = [task(n) for n in range(5)] + [task(9, kind="note")]
    pages = await pull(vendor)
    assert ids(pages) == [f"task:{n}" for n in range(5)]
    assert {p.snapshot_of for p in pages if p.snapshot_of} == {("p1",), ("p2",)}
    assert [p.last for p in pages] == [False] * (len(pages) - 1) + [True]


async def test_the_next_pull_asks_only_for_changes_and_claims_nothing_gone() -> None:
    vendor = Vendor()
    vendor.tasks["p1"] = [task(1, at=NOW - timedelta(days=3)), task(2)]
    cursor = (await pull(vendor))[-1].cursor
    vendor.tasks["p1"][1] = task(2, done=True, at=NOW + timedelta(hours=1))
    later = await pull(vendor, cursor, NOW + timedelta(days=1))
    assert ids(later) == ["task:2"]
    assert not any(p.snapshot_of or p.alive for p in later)


async def test_a_project_that_is_new_to_the_connection_is_read_whole() -> None:
    vendor = Vendor()
    vendor.tasks["p2"] = [task(7, at=NOW - timedelta(days=30))]
    cursor = (await pull(vendor, projects=("P1",)))[-1].cursor
    assert ids(await pull(vendor, cursor, NOW + timedelta(hours=1))) == ["task:7"]


async def test_everything_is_read_again_after_the_days_of_reconciling() -> None:
    vendor = Vendor()
    vendor.tasks["p1"] = [task(1, at=NOW - timedelta(days=30))]
    cursor = (await pull(vendor))[-1].cursor
    assert ids(await pull(vendor, cursor, NOW + timedelta(days=6))) == []
    again = await pull(vendor, cursor, NOW + timedelta(days=7))
    assert ids(again) == ["task:1"]
    assert ("p1",) in [p.snapshot_of for p in again]


async def test_rows_that_move_while_they_are_read_are_walked_again() -> None:
    vendor = Vendor()
    vendor.tasks["p1"] = [task(n) for n in range(4)]
    vendor.move = task(8)
    assert ids(await pull(vendor, projects=("P1",)))[-1] == "task:8"


async def test_a_row_that_cannot_be_trusted_waits_and_is_not_taken_for_gone() -> None:
    vendor = Vendor()
    vendor.tasks["p1"] = [task(1), {"id": "2", "title": "", "done": True, "updated": NOW.isoformat()}]
    pages = await pull(vendor)
    assert [r.milestone_id for p in pages for r in p.rejected] == ["task:2"]
    assert ids(pages) == ["task:1"]


async def test_what_one_project_raises_ends_the_whole_pull() -> None:
    vendor = Vendor()
    vendor.tasks["p2"] = [{"id": "1", "title": "a row without the field that the connector takes for granted"}]
    try:
        await pull(vendor)
    except KeyError:
        return
    raise AssertionError("an error of one project was swallowed")


class Numbered(Tool):
    """Its list has numbered pages of two rows, and says neither how many rows there are nor if there is a next page."""

    def __init__(self, rows: list[Row]) -> None:
        super().__init__("c", Http("https://tool.example", ApiKey("X-Key", "k"), clock=lambda: NOW, transport=Vendor()))
        self.rows, self.asked, self.then = rows, list[int](), list[Callable[[], object]]()

    def listings(self, project: Project) -> Sequence[Listing]:
        async def fetch(number: int, size: int) -> RawPage:
            self.asked.append(number)
            found = self.rows[number * size : (number + 1) * size] if project.id == "p1" else []
            if number == 1 and self.then:
                self.then.pop()()
            return RawPage(found)

        return [Listing(lambda _: Walk(fetch, 2, "id"), lambda row, _: self._observed(project, row))]

    async def read(self, cursor: str | None = None) -> tuple[list[str], str | None]:
        """Which milestones are known after a pull (empty: nothing is claimed), and the cursor."""
        self.asked.clear()
        pages = [page async for page in self.pull(PullRequest((), cursor, False, NOW))]
        told = any("p1" in p.snapshot_of for p in pages)
        return sorted(set(ids(pages))) if told else [], pages[-1].cursor


async def test_a_row_that_slips_to_the_page_before_is_not_taken_for_deleted_where_nobody_counts() -> None:
    tool = Numbered([task(n) for n in range(7)])
    tool.then = [lambda: tool.rows.pop(0)]  # 4 slips from the third page to the second, which was read
    known, _ = await tool.read()
    assert known == [f"task:{n}" for n in range(7)]  # 0 was seen before it went; 4 by the walks after


async def test_a_list_that_nobody_counts_is_read_once_where_it_is_as_it_was() -> None:
    tool = Numbered([task(n) for n in range(7)])
    known, cursor = await tool.read()
    first = len(tool.asked)
    again, cursor = await tool.read(cursor)
    assert known == again == [f"task:{n}" for n in range(7)]
    assert (first, len(tool.asked)) == (9, 5)  # four pages of p1, once or twice; one of p2
    tool.rows.pop()
    assert (await tool.read(cursor))[0] == [f"task:{n}" for n in range(6)]


async def test_a_list_that_nobody_counts_and_that_keeps_moving_claims_nothing() -> None:
    tool = Numbered([task(n) for n in range(9)])
    tool.then = [lambda: tool.rows.pop(0)] * 3
    assert (await tool.read())[0] == []


# --- projects that the account does not see any more --------------------------------------------------------


def _pages(vendor: Vendor, cursor: str | None, day: int, **asked: Any) -> list[Page]:
    at = NOW + timedelta(days=day)
    tool = Tool("c", Http("https://tool.example", ApiKey("X-Key", "k"), clock=lambda: at, transport=vendor))
    request = PullRequest((), cursor, asked.get("full", False), at)

    async def read() -> list[Page]:
        async with tool:
            return [page async for page in tool.pull(request)]

    return asyncio.run(read())


def _night(vendor: Vendor, cursor: str | None, day: int, **asked: Any) -> str:
    return _pages(vendor, cursor, day, **asked)[-1].cursor or ""


def test_the_last_page_says_which_projects_are_seen() -> None:
    vendor = Vendor()
    first = _pages(vendor, None, 0)[-1]
    assert first.projects == ("p1", "p2")
    vendor.tasks.pop("p2")
    assert _pages(vendor, first.cursor, 1)[-1].projects == ("p1",)


def test_no_project_at_all_where_there_were_some_is_no_quiet_night() -> None:
    vendor = Vendor()
    cursor = _night(vendor, None, 0)
    vendor.tasks.clear()
    for day in (1, 20):
        with pytest.raises(SourceRefused, match="saw 2 projects") as problem:
            _night(vendor, cursor, day)
        assert "--full" in problem.value.advice
    cursor = _night(vendor, cursor, 21, full=True)
    _night(vendor, cursor, 22)


def test_an_account_that_never_saw_a_project_is_not_complained_about() -> None:
    vendor = Vendor()
    vendor.tasks.clear()
    cursor = _night(vendor, None, 0)
    _night(vendor, cursor, 1)


@pytest.mark.parametrize("system", [s for s in systems() if connector(s).reads == "api"])
def test_every_connector_tells_that_no_project_is_left(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    info = connector(system)
    assert info.fake is not None
    fake: Any = info.fake()
    bench = Bench(info, fake)
    bench.item()
    none = "_projects" if system in ("pingcode", "redmine", "worktile") else "projects"

    async def nothing(*_: object) -> list[Any]:
        return []

    monkeypatch.setattr(type(bench.source()), none, nothing)
    bench.at(86_400)
    assert bench.fails(SourceRefused, bench.pull).trouble.code == "projects_gone"
