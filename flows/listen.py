"""The receiver of webhooks: one route for each connection with a `hook_secret`; what comes is never believed.

A message that is signed as its vendor signs leaves a hint and is answered at once. A worker beside it, in a thread
of its own, pulls what the hints are about, through the night's own steps and under the night's lease. A hint is
cleared by a pull that succeeded, and by nothing else. The nightly pull stays the source of truth.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connectors.http.hooks import Delivery, Greeting, Hook, InAddress
from connectors.store import Store
from connectors.store.errors import StoreBusy, StoreError
from flows.night import Sooner
from flows.steps import hints
from flows.steps.hints import Hint

log = logging.getLogger("huikuan.listen")

BODY_MAX = 2 * 1024 * 1024
LENGTH_MAX = 12  # digits of a length
BODY_SECONDS = 10.0
#: Messages a minute from one address to one connection; vendors send far fewer.
PER_MINUTE = 240
#: More addresses than this are not remembered apart.
ADDRESSES_MAX = 10_000
#: How often the worker looks for hints that another receiver took, or that wait for another try.
LOOK_SECONDS = 5.0
#: How often deliveries of long ago are forgotten.
FORGET_SECONDS = 3600


@dataclass(slots=True)
class Ear:
    """What is known of a connection: how its vendor signs, and with which secrets (more than one while they change)."""

    name: str
    hook: Hook
    secrets: list[str]
    keep: Path | None = None  # where a secret goes that the vendor makes up in its greeting; None: it is refused

    @property
    def may_be_addressed(self) -> bool:
        """May the secret stand in the address?"""
        return any(isinstance(p, InAddress) for p in self.hook.proofs)

    def learn(self, secret: str) -> bool:
        """Keep a secret that the vendor chose: once, and only where somebody waits for it. Raises OSError."""
        if secret in self.secrets:
            return True
        if self.keep is None:
            return False
        self.keep.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.keep.touch(mode=0o600)
        with self.keep.open("a", encoding="utf-8") as file:
            file.write(f"{secret}\n")
        self.secrets.append(secret)
        self.keep = None
        return True


@dataclass(slots=True)
class Turnstile:
    """Lets so many a minute through, each address by itself."""

    clock: Callable[[], int]
    per_minute: int = PER_MINUTE
    _minute: int = 0
    _seen: dict[tuple[str, str], int] = field(default_factory=dict)

    def lets(self, name: str, address: str) -> bool:
        """One more from there?"""
        minute = self.clock() // 60
        if minute != self._minute:
            self._minute = minute
            self._seen.clear()
        key = (name, address) if len(self._seen) < ADDRESSES_MAX else (name, "")
        self._seen[key] = self._seen.get(key, 0) + 1
        return self._seen[key] <= self.per_minute


@dataclass(slots=True)
class Receiver:
    """Takes messages in. Answers tell nothing: neither which connections there are, nor why something was refused."""

    store: Store
    ears: Mapping[str, Ear]
    clock: Callable[[], int]
    wait: int
    news: asyncio.Event = field(default_factory=asyncio.Event)
    turnstile: Turnstile = field(init=False)

    def __post_init__(self) -> None:
        self.turnstile = Turnstile(self.clock)

    def routes(self) -> list[Route]:
        """/hooks/NAME for each connection; with /SECRET behind it where the secret may stand in the address."""
        return [
            Route("/health", _healthy, methods=["GET"]),
            Route("/hooks/{name}", self._take, methods=["POST"]),
            Route("/hooks/{name}/{key}", self._take, methods=["POST"]),
        ]

    async def _take(self, request: Request) -> Response:
        ear = self.ears.get(request.path_params["name"])
        if ear is None or ("key" in request.path_params and not ear.may_be_addressed):
            return Response(status_code=404)
        response = await self._answer(ear, request)
        log.info("%s: %d", ear.name, response.status_code)
        return response

    async def _answer(self, ear: Ear, request: Request) -> Response:
        address = request.client.host if request.client else ""
        if not self.turnstile.lets(ear.name, address):
            return Response(status_code=429, headers={"Retry-After": "60"})
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(request)
        except (TimeoutError, ClientDisconnect):
            return Response(status_code=408)
        if body is None:
            return Response(status_code=413)
        headers = {k.lower(): v for k, v in request.headers.items()}
        return await self._judge(ear, Delivery(headers, body, request.path_params.get("key", "")))

    async def _judge(self, ear: Ear, delivery: Delivery) -> Response:
        greeting = ear.hook.greet(delivery)
        if greeting is not None:
            return _greeted(ear, greeting)
        now = self.clock()
        if not ear.hook.is_genuine(delivery, ear.secrets, now):
            return Response(status_code=401)
        kept = (ear.hook.keys(ear.name, delivery), ear.hook.hint(delivery), now, ear.hook.remembered, self.wait)
        try:
            fresh = await asyncio.to_thread(hints.receive, self.store, ear.name, *kept)
        except StoreError:
            return Response(status_code=503, headers={"Retry-After": "60"})
        if fresh:
            self.news.set()
        # One that came before is done with: an error would have the vendor send it again, or give the webhook up.
        return Response(status_code=202 if fresh else 200)


async def _body(request: Request) -> bytes | None:
    """The body; None for one that is too large, without reading it to the end."""
    told = request.headers.get("content-length", "")
    if told.isdecimal() and (len(told) > LENGTH_MAX or int(told) > BODY_MAX):
        return None
    found = bytearray()
    async for part in request.stream():
        found += part
        if len(found) > BODY_MAX:
            return None
    return bytes(found)


def _greeted(ear: Ear, greeting: Greeting) -> Response:
    try:
        if greeting.secret and not ear.learn(greeting.secret):
            return Response(status_code=401)
    except OSError as problem:
        log.warning("%s: the secret cannot be kept: %s", ear.name, problem.strerror)
        return Response(status_code=503)
    return JSONResponse(dict(greeting.body), headers=dict(greeting.headers))


async def _healthy(request: Request) -> Response:
    del request
    return Response("ok")


# --- the worker --------------------------------------------------------------------------------------

#: Pulls some projects of a connection (none: all of them), matches and posts.
Pull = Callable[[str, tuple[str, ...]], Sooner]


@dataclass(slots=True)
class Worker:
    """Pulls what hints are about, one connection after the other."""

    store: Store
    names: Sequence[str]
    pull: Pull
    clock: Callable[[], int]
    _forgot: int = 0

    async def run(self, news: asyncio.Event) -> None:
        """Until it is cancelled. What goes wrong is told and tried again: a hint waits as long as it must."""
        while True:
            try:
                await asyncio.to_thread(self.once)
            except StoreError as problem:
                log.warning("%s", problem)
            except Exception as problem:  # noqa: BLE001 - a worker that ended would leave every later hint lying
                log.warning("%s", type(problem).__name__)
            try:
                async with asyncio.timeout(LOOK_SECONDS if not news.is_set() else 1.0):
                    await news.wait()
                    news.clear()
                    await asyncio.sleep(1.0)
            except TimeoutError:
                pass

    def once(self) -> None:
        """All hints that are due."""
        now = self.clock()
        if now - self._forgot > FORGET_SECONDS:
            hints.forget(self.store, now)
            self._forgot = now
        for name in self.names:
            waiting = hints.due(self.store, name, now)
            if waiting:
                self._follow(name, waiting)

    def _follow(self, name: str, waiting: Sequence[Hint]) -> None:
        if hints.pulled_since(self.store, waiting):
            hints.clear(self.store, waiting)
            return
        try:
            done = self.pull(name, hints.projects_of(waiting))
        except StoreBusy:  # the night runs, or another receiver: it may not have seen what these are about
            hints.postpone(self.store, waiting, self.clock(), failed=False)
            return
        except Exception as problem:  # noqa: BLE001 - whatever it is, the next hint must still be followed
            log.warning("%s: %s", name, type(problem).__name__)
            hints.postpone(self.store, waiting, self.clock(), failed=True)
            return
        if done.is_done:
            hints.clear(self.store, waiting)
            log.info("%s: pulled, %d new, %d withdrawn", name, done.posted.records, done.posted.withdrawn)
        else:
            log.warning("%s: %s", name, "; ".join(p.trouble.text("en") for p in done.pulls if p.trouble))
            hints.postpone(self.store, waiting, self.clock(), failed=True)


def receiver_app(receiver: Receiver, worker: Worker) -> Starlette:
    """The receiver with its worker, as an ASGI application."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        del app
        working = asyncio.create_task(worker.run(receiver.news))
        try:
            yield
        finally:
            working.cancel()

    return Starlette(routes=receiver.routes(), lifespan=lifespan)


def ears_of(known: Mapping[str, tuple[Hook, str]], waiting: Mapping[str, Path]) -> dict[str, Ear]:
    """What to listen for, by the name of the connection: its hook, and its secrets, one a line."""
    return {name: Ear(name, hook, secrets.split(), waiting.get(name)) for name, (hook, secrets) in known.items()}
