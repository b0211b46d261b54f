"""What flows need from connectors, as Protocols. Each has a real implementation and a fake in tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, Self

from models.domain.observations import Page
from models.domain.pushes import Push, Pushed


@dataclass(frozen=True, slots=True)
class PullRequest:
    """What to pull. `cursor` is what the last complete pull left (None: everything)."""

    projects: tuple[str, ...]  # identifiers or ids; empty: all the account can see
    cursor: str | None
    full: bool
    now: datetime  # aware UTC: the moment the run began


@dataclass(frozen=True, slots=True)
class Spot:
    """A milestone as the store knows it, to write something on."""

    milestone_id: str  # the vendor's, as the connector made it
    project_id: str
    project_key: str
    kind: str
    url: str | None = None

    @property
    def bare_id(self) -> str:
        """The id without the kind that some connectors put before it."""
        return self.milestone_id.rpartition(":")[2]


@dataclass(frozen=True, slots=True)
class Reachability:
    """What `huikuan check` says of a connection."""

    account: str
    projects: int
    milestones: int | None = None
    rate_left: str | None = None
    missing: tuple[str, ...] = ()  # permissions that are missing
    notes: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


class Source(Protocol):
    """A connection to one project-management system. Used as an async context manager."""

    name: str

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def check(self) -> Reachability:
        """Who we are and what we may see. Raises SourceError with a sentence for the operator."""

    def pull(self, request: PullRequest) -> AsyncIterator[Page]:
        """All that changed since the cursor, page by page; the last page carries the new cursor."""


class Sink(Protocol):
    """Where invoices are made. Used as an async context manager.

    A push may be repeated after an answer was lost: whoever implements this looks its key up before creating.
    """

    name: str

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def check(self) -> str:
        """What was reached, in a few words. Changes nothing. Raises SourceError with a sentence for the operator."""

    async def push(self, push: Push) -> Pushed:
        """Make sure the sink has it, once. Raises SourceUnavailable (later), NeedsPerson, or SourceRefused (never)."""


class Commenter(Protocol):
    """Writes comments into a system; made of a source that is in use. All of it raises SourceError."""

    async def place(self, spot: Spot) -> str | None:
        """Where a comment on the milestone goes, as text that is kept; None: nowhere."""

    async def written(self, place: str, mark: str) -> bool:
        """Is a comment there that holds the mark?"""

    async def write(self, place: str, text: str) -> None:
        """Write one, asking the system once: where its answer is lost, nobody knows whether it is there."""
