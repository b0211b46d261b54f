"""Findings: problems in data, with a stable code, a place, and words people understand.

A finding is returned, never raised. The words come from `models.domain.words` in both languages,
under the key `finding.<CODE>`, filled with `params`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from models.domain.trouble import Remedy, Trouble, Words
from models.domain.words import catalogue, say


class Severity(StrEnum):
    """What a finding does: an error refuses its contract or row, a warning only tells."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a problem is: as much of it as is known."""

    file: str | None = None
    line: int | None = None
    contract: str | None = None
    term: str | None = None
    connection: str | None = None
    path: str | None = None  # key path in a file (terms[2].when) or method + path of an API call

    def __str__(self) -> str:
        where = ":".join(str(p) for p in (self.file, self.line) if p is not None)
        owner = "/".join(p for p in (self.contract, self.term) if p)
        return " ".join(p for p in (where, owner, self.connection, self.path) if p)


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem: `code` is stable and public, `params` fill the sentence of `code`."""

    code: str
    severity: Severity = Severity.ERROR
    place: Place = Place()
    params: Mapping[str, object] = field(default_factory=dict)

    def text(self, language: str) -> str:
        """The sentence a contract manager reads, in `language` (zh-CN or en)."""
        shapes = catalogue(language)
        params = {k: _said(v, shapes, language) for k, v in self.params.items()}
        return say(f"finding.{self.code}", language, **params)


def _said(value: object, shapes: Mapping[str, str], language: str) -> object:
    if isinstance(value, str):
        return shapes.get(f"shape.{value}", value)
    return value.text(language) if isinstance(value, Trouble | Remedy | Words) else value
