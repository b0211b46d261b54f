"""What went wrong at a source, and what a person can do about it: sayable later, in either language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.domain.words import catalogue


@dataclass(frozen=True, slots=True)
class Words:
    """A part of a sentence that has words of its own: the catalogue's under `key`, else `otherwise`."""

    key: str
    otherwise: str

    def text(self, language: str) -> str:
        """In the language."""
        return catalogue(language).get(self.key, self.otherwise)


@dataclass(frozen=True, slots=True)
class Trouble:
    """`code` names the sentences `source.<code>` and `source_advice.<code>`; where there are none, it is the
    sentence itself, and `params["advice"]` what to do. `where`: method and path of the request."""

    code: str
    where: str = ""
    params: Mapping[str, object] = field(default_factory=dict)

    def text(self, language: str) -> str:
        """What happened, in the language."""
        template = catalogue(language).get(f"source.{self.code}")
        said = self.code if template is None else template.format_map(self._said(language))
        return f"{self.where}: {said}" if self.where else said

    def advice(self, language: str) -> str:
        """What to do, in the language."""
        template = catalogue(language).get(f"source_advice.{self.code}")
        return str(self.params.get("advice", "")) if template is None else template.format_map(self._said(language))

    @property
    def remedy(self) -> Remedy:
        """What to do, as a part of another sentence."""
        return Remedy(self)

    def _said(self, language: str) -> dict[str, object]:
        return {k: v.text(language) if isinstance(v, Words) else v for k, v in self.params.items()}


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do about a trouble."""

    of: Trouble

    def text(self, language: str) -> str:
        """In the language."""
        return self.of.advice(language)
