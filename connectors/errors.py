"""Why a source did not give us what we asked for, sorted by what the caller must do.

Messages are built from method, path and status, never from full URLs: those can carry secrets.
"""

from __future__ import annotations


class SourceError(Exception):
    """A source system did not give us what we asked for. `advice` says what a person can do."""

    retry = False

    def __init__(self, message: str, *, advice: str = "", where: str = "") -> None:
        super().__init__(message)
        self.advice = advice
        self.where = where


class SourceConfig(SourceError):
    """The configuration cannot work: a missing key, a bad base URL, an unknown project."""


class SourceRefused(SourceError):
    """No use trying again: the credentials or the request are wrong."""


class SourceUnavailable(SourceError):
    """Worth another try: a timeout, a 429, a 5xx, no network."""

    retry = True

    def __init__(self, message: str, *, advice: str = "", where: str = "", wait: float | None = None) -> None:
        super().__init__(message, advice=advice, where=where)
        self.wait = wait  # seconds the source asked us to wait


class BadPayload(SourceError):
    """The answer came, but not in the shape we agreed on."""
