"""A channel that keeps what it was given, and fails as told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from models.domain.notices import Notice


@dataclass
class FakeChannel:
    """`failures` are raised one a call, before anything is taken; `during` runs while the channel holds a notice."""

    failures: list[Exception] = field(default_factory=list)
    during: Callable[[], None] = lambda: None
    sent: list[tuple[Notice, str | None]] = field(default_factory=list)
    calls: int = 0

    def send(self, notice: Notice, folder: Path, to: str | None = None) -> None:
        """Take a notice, or raise the next failure."""
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        self.during()
        self.sent.append((notice, to))

    @property
    def keys(self) -> list[str]:
        """What was taken."""
        return [n.key for n, _ in self.sent]
