"""A tap as a process of its own: no shell, a time limit, its stderr kept short and without secrets."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import orjson

from connectors.errors import BadPayload, SourceConfig, SourceUnavailable
from connectors.http.redaction import masked

LINE_MAX = 16 << 20  # bytes of one message
STDERR_LINES = 5
STOP_SECONDS = 5.0


class Tap:
    """A running tap; an async context manager that never leaves it running."""

    def __init__(self, argv: Sequence[str], *, quiet: float, longest: float, secrets: Iterable[str]) -> None:
        self.argv, self.quiet, self.longest, self.secrets = tuple(argv), quiet, longest, tuple(secrets)
        self._ends = 0.0  # by the clock of the loop
        self.name = Path(argv[0]).name
        self._process: asyncio.subprocess.Process
        self._heard: deque[str] = deque(maxlen=STDERR_LINES)
        self._listening: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        pipe = asyncio.subprocess.PIPE
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.argv, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, limit=LINE_MAX
            )
        except (FileNotFoundError, PermissionError, OSError) as problem:
            raise SourceConfig("tap_absent", tap=self.argv[0], why=type(problem).__name__) from None
        self._listening = asyncio.create_task(self._listen())
        self._ends = asyncio.get_running_loop().time() + self.longest
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
                await self._process.wait()
        self._listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listening

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """What it writes, line by line, to its good end. Raises SourceUnavailable where it fails or falls silent."""
        while line := await self._patiently(self._line()):
            if line.strip():
                yield line
        code = await self._patiently(self._process.wait())
        await self._patiently(asyncio.wait([self._listening]))
        if code != 0:
            raise SourceUnavailable("tap_failed", tap=self.name, code=code, said=self.said)

    async def _patiently(self, wanted: Any) -> Any:
        left = max(0.0, self._ends - asyncio.get_running_loop().time())
        try:
            return await asyncio.wait_for(wanted, min(self.quiet, left))
        except TimeoutError:
            if left < self.quiet:
                raise SourceUnavailable("tap_endless", tap=self.name, seconds=f"{self.longest:g}") from None
            raise SourceUnavailable("tap_silent", tap=self.name, seconds=f"{self.quiet:g}", said=self.said) from None

    async def _line(self) -> bytes:
        assert self._process.stdout is not None
        try:
            return await self._process.stdout.readline()
        except ValueError:
            raise BadPayload("tap_line_too_long", tap=self.name, limit=LINE_MAX >> 20) from None

    async def _listen(self) -> None:
        """Keeps the last lines of stderr, and keeps it flowing."""
        assert self._process.stderr is not None
        rest = b""
        while data := await self._process.stderr.read(1 << 16):
            *whole, rest = (rest + data)[-LINE_MAX:].split(b"\n")
            self._heard += [t for w in whole if (t := w.decode("utf-8", "replace").strip())]
        if rest.strip():
            self._heard.append(rest.decode("utf-8", "replace").strip())

    @property
    def said(self) -> str:
        """The end of its stderr, for a person."""
        return masked(" | ".join(line[:2000] for line in self._heard), self.secrets)[-600:] or "-"


def secrets_in(file: str) -> list[str]:
    """The texts of a configuration: any of them may be a secret, none belongs into a message."""
    try:
        tree = orjson.loads(Path(file).read_bytes())
    except (OSError, orjson.JSONDecodeError) as problem:
        raise SourceConfig("tap_config", file=file, why=type(problem).__name__) from None
    return sorted(set(_texts(tree)), key=len, reverse=True)


def _texts(tree: object) -> Iterable[str]:
    if isinstance(tree, dict):
        for value in tree.values():
            yield from _texts(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _texts(value)
    elif isinstance(tree, str | int) and not isinstance(tree, bool) and len(str(tree)) >= 6:
        yield str(tree)
