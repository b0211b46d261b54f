"""Why a source did not give us what we asked for, sorted by what the caller must do.

A code names two sentences in the catalogue, `source.<code>` and `source_advice.<code>`; messages are built
from method, path and status, never from full URLs: those can carry secrets.
"""

from __future__ import annotations

from collections.abc import Iterable

from connectors.http.redaction import masked
from models.domain.trouble import Trouble


class SourceError(Exception):
    """A source system did not give us what we asked for.

    `code` names the sentences; a connector of another package, which has no words in the catalogue, writes
    its own sentence instead and what to do as `advice`.
    """

    retry = False

    def __init__(self, code: str, /, *, where: str = "", wait: float | None = None, **params: object) -> None:
        super().__init__(code)
        self.trouble = Trouble(code, where, params)
        self.wait = wait  # seconds the source asked us to wait

    def __str__(self) -> str:
        return self.trouble.text("en")

    @property
    def advice(self) -> str:
        """What a person can do, in English; `trouble` says it in both languages."""
        return self.trouble.advice("en")

    def at(self, where: str, secrets: Iterable[str] = ()) -> None:
        """Say at which request it happened, and keep known secrets out of what is said."""
        hidden = tuple(secrets)
        told = {k: masked(v, hidden) if isinstance(v, str) else v for k, v in self.trouble.params.items()}
        self.trouble = Trouble(masked(self.trouble.code, hidden), where, told)


class SourceConfig(SourceError):
    """The configuration cannot work: a missing key, a bad base URL, an unknown project."""


class SourceRefused(SourceError):
    """No use trying again: the credentials or the request are wrong."""


class SourceUnavailable(SourceError):
    """Worth another try: a timeout, a 429, a 5xx, no network."""

    retry = True


class BadPayload(SourceError):
    """The answer came, but not in the shape we agreed on."""


class NeedsPerson(SourceError):
    """Nothing is wrong with the request, but a person must decide or put something right first."""
