"""Each connector against a bare httpx loop over the same pages: `python -m bench connectors`.

The connector's own fake makes the answers once; a server in another process then gives them after 20 ms, over real
HTTP. The bare loop asks for exactly what the connector asked (an uncounted list of several pages is read twice by a
first pull, until two walks agree), with as many requests at once as the connector usually
had in the air (one, where a page tells the next one's token), and parses the JSON. Beside it: requests of a night in which nothing changed, for each project more; and
memory that a pull of many milestones adds to the process.
"""

from __future__ import annotations

import asyncio
import gc
import pickle
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import orjson

from connectors.http.transport import fast_transport
from connectors.kit.fakes import START, ScriptedVendor
from connectors.registry import BUILT_IN, ConnectorInfo, connector
from models.ports import PullRequest

LATENCY = 0.02
ROOT = Path(__file__).parents[1]
ASKED = "x-asked"  # the address that the connector meant
NOW = datetime.fromtimestamp(START + 60, UTC)
Key = tuple[str, str, bytes, str]  # method, address, body, the tag of If-None-Match
Recorded = tuple[int, dict[str, str], bytes]


class Recorder(httpx.AsyncBaseTransport):
    """The fake's answers, kept by what was asked."""

    def __init__(self, vendor: ScriptedVendor) -> None:
        self.vendor, self.answers, self.asked = vendor, dict[Key, Recorded](), list[Key]()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self.vendor.handle_async_request(request)
        kept = {k: v for k, v in answer.headers.items() if k not in ("content-length", "transfer-encoding")}
        key = (request.method, str(request.url), request.content, request.headers.get("if-none-match", ""))
        self.asked.append(key)
        self.answers[key] = (answer.status_code, kept, answer.content)
        return answer


class Elsewhere(httpx.AsyncBaseTransport):
    """Sends every request to the page server, whatever its host."""

    def __init__(self, url: str, connections: int) -> None:
        self.url, self.inner = url, fast_transport(url, connections)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        meant = str(request.url)
        request.url = httpx.URL(self.url)
        request.headers["host"] = request.url.netloc.decode()
        request.headers[ASKED] = meant
        return await self.inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self.inner.aclose()


def serve(file: str, port: int) -> None:
    """In a process of its own: the recorded answers, and at /in-the-air how many were usually asked for at once."""
    import uvicorn

    recorded: dict[Key, Recorded] = pickle.loads(Path(file).read_bytes())
    in_the_air, now = list[int](), 0

    async def app(scope, receive, send) -> None:
        nonlocal now
        if scope["path"] == "/in-the-air":
            answer = (200, {}, str(int(statistics.median(in_the_air or [1]))).encode())
            in_the_air.clear()
        else:
            told = {k: v.decode() for k, v in scope["headers"]}
            body, more = b"", True
            while more:
                message = await receive()
                body, more = body + message.get("body", b""), message.get("more_body", False)
            now += 1
            in_the_air.append(now)
            await asyncio.sleep(LATENCY)
            now -= 1
            answer = recorded.get((scope["method"], told[ASKED.encode()], body, told.get(b"if-none-match", ""))) or (
                599,
                {},
                b"",
            )
        headers = [(k.encode(), v.encode()) for k, v in answer[1].items()]
        headers.append((b"content-length", str(len(answer[2])).encode()))
        await send({"type": "http.response.start", "status": answer[0], "headers": headers})
        await send({"type": "http.response.body", "body": answer[2]})

    uvicorn.run(app, port=port, log_level="error", lifespan="off", access_log=False)


@contextmanager
def page_server(recorded: dict[Key, Recorded], port: int = 18_998) -> Iterator[str]:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "answers"
        file.write_bytes(pickle.dumps(recorded))
        code = f"from bench.connectors import serve; serve({str(file)!r}, {port})"
        process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
        url = f"http://127.0.0.1:{port}"
        try:
            for _ in range(200):
                try:
                    httpx.get(f"{url}/in-the-air", trust_env=False)
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield url
        finally:
            process.terminate()
            process.wait()


def options_for(info: ConnectorInfo, vendor: ScriptedVendor) -> dict[str, object]:
    """Of the fake's connection, without our own limit of requests a minute."""
    known = {o.name for o in info.options}
    patient = {"per_minute": 0, "timeout": 30.0}
    return vendor.options(**{k: v for k, v in patient.items() if k in known})


@dataclass(slots=True)
class Pulled:
    rows: set[str] = field(default_factory=set)
    cursor: str | None = None
    project: str = ""
    seconds: float = 0.0


async def pull(
    info: ConnectorInfo, options: dict[str, object], transport: httpx.AsyncBaseTransport, request: PullRequest
) -> Pulled:
    found, begin = Pulled(), time.perf_counter()
    source = info.build("b", options, clock=lambda: NOW, transport=transport)
    gc.disable()  # as the night does while it works
    try:
        async with source:
            async for page in source.pull(request):
                found.rows |= {o.milestone_id for o in page.observations}
                found.cursor = page.cursor or found.cursor
                found.project = page.observations[0].project_key if page.observations else found.project
    finally:
        gc.enable()
    found.seconds = time.perf_counter() - begin
    return found


async def bare(url: str, keys: list[Key], connections: int) -> float:
    """What anyone would write: gather over the pages, with a limit."""
    begin = time.perf_counter()
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    gate = asyncio.Semaphore(connections)
    async with httpx.AsyncClient(limits=limits, timeout=30, trust_env=False) as client:

        async def one(key: Key) -> object:
            async with gate:
                headers = {ASKED: key[1], **({"if-none-match": key[3]} if key[3] else {})}
                answer = await client.request(key[0], url, content=key[2], headers=headers)
            return orjson.loads(answer.content) if answer.content[:1] in (b"{", b"[") else None

        await asyncio.gather(*(one(k) for k in keys))
    return time.perf_counter() - begin


def vendor_with(info: ConnectorInfo, milestones: int) -> ScriptedVendor:
    """A fake with so many milestones, most of them open, as most are."""
    assert info.fake is not None
    vendor = info.fake()
    assert isinstance(vendor, ScriptedVendor)
    vendor.now = START - 30 * 86_400  # long before: nothing of it is news to a second night
    for number in range(milestones):
        vendor.add(f"M{number} 初验")
    vendor.now = START
    return vendor


@dataclass(frozen=True, slots=True)
class Figures:
    requests: int
    at_once: int
    ours: float
    bare: float
    ratio: float
    quiet: int  # requests of a night without news, all projects
    quiet_more: int  # of these, what one project more costs


def measure(info: ConnectorInfo, milestones: int, rounds: int = 3) -> Figures:
    vendor = vendor_with(info, milestones)
    recorder, options = Recorder(vendor), options_for(info, vendor)
    first = asyncio.run(pull(info, options, recorder, PullRequest((), None, False, NOW)))
    assert len(first.rows) == milestones, f"{info.system}: {len(first.rows)} of {milestones}"
    quiet = [_quiet(info, options, vendor, projects) for projects in ((), (first.project,))]
    with page_server(recorder.answers) as url:
        pairs, usual = [], 1
        for _ in range(rounds):
            httpx.get(f"{url}/in-the-air", trust_env=False)
            mine = asyncio.run(pull(info, options, Elsewhere(url, 16), PullRequest((), None, False, NOW)))
            assert len(mine.rows) == milestones
            usual = int(httpx.get(f"{url}/in-the-air", trust_env=False).text)
            pairs.append((mine.seconds, asyncio.run(bare(url, recorder.asked, usual))))
    ours, other = (statistics.median(x) for x in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    return Figures(len(recorder.asked), usual, ours, other, ratio, quiet[0], quiet[0] - quiet[1])


def _quiet(info: ConnectorInfo, options: dict[str, object], vendor: ScriptedVendor, projects: tuple[str, ...]) -> int:
    """Requests of the second night, in which nothing changed."""
    first = asyncio.run(pull(info, options, vendor, PullRequest(projects, None, False, NOW)))
    later = datetime.fromtimestamp(START + 86_400, UTC)
    before = len(vendor.requests)
    asyncio.run(pull(info, options, vendor, PullRequest(projects, first.cursor, False, later)))
    return len(vendor.requests) - before


def memory(system: str, milestones: int) -> int:
    """MiB that a pull adds to the process that has everything loaded, in a process of its own."""
    info = connector(system)
    recorder = Recorder(vendor_with(info, milestones))
    asyncio.run(pull(info, options_for(info, recorder.vendor), recorder, PullRequest((), None, False, NOW)))
    with page_server(recorder.answers, 18_997) as url:
        code = f"from bench.connectors import added; print(added({system!r}, {url!r}))"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout)


def added(system: str, url: str) -> int:
    """Pull from the page server; what the peak grew by, in MiB."""
    info = connector(system)
    vendor = vendor_with(info, 0)
    options, transport = options_for(info, vendor), Elsewhere(url, 16)
    before = _peak()
    asyncio.run(pull(info, options, transport, PullRequest((), None, False, NOW)))
    return (_peak() - before) // 1024


def _peak() -> int:
    """The most KiB this process ever held; `ru_maxrss` begins with what the parent held."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0])


def api_systems() -> list[str]:
    return [s for s in sorted(BUILT_IN) if connector(s).reads == "api"]
