"""What is written on a milestone when a term comes so far. No amounts: a customer may read there too."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from models.domain.words import say

Stage = Literal["ready", "invoiced", "paid"]
#: In the order in which a term comes to them.
STAGES: tuple[Stage, ...] = ("ready", "invoiced", "paid")

TEXT_MAX = 200

#: What any of the vendors' markups (Markdown, Textile, HTML, macros, mentions, references) could take for its own,
#: and what looks the same and means nothing.
_INERT = str.maketrans({c: chr(ord(c) + 0xFEE0) for c in '<>[]{}`*~|\\@#!^"&$'})
_EDGE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")


@dataclass(frozen=True, slots=True)
class About:
    """The term a comment is about."""

    record_id: str
    contract: str
    term: str
    name: str


def inert(text: str) -> str:
    """One line that no markup formats, that mentions nobody, and that leads nowhere."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    line = _EDGE.sub("\uff3f", line.translate(_INERT))
    line = line.replace("://", "\uff1a//").replace("www.", "www\uff0e").replace("WWW.", "WWW\uff0e")
    return line if len(line) <= TEXT_MAX else line[: TEXT_MAX - 1] + "…"


def mark(record_id: str, stage: str) -> str:
    """What tells our comment from all others, for ever."""
    return f"huikuan-{stage}-{record_id}"


def link(base: str, about: About) -> str:
    """The address of the evidence; empty where none is configured."""
    filled = {"{contract}": about.contract, "{term}": about.term, "{record}": about.record_id}
    for slot, value in filled.items():
        base = base.replace(slot, quote(value, safe=""))
    return base


def comment_text(about: About, stage: Stage, language: str, base: str) -> str:
    """The comment: what happened, where the evidence is, our mark."""
    contract, term, name = (inert(t) for t in (about.contract, about.term, about.name))
    where = link(base, about) or f"huikuan explain {contract}/{term}"
    said = say(f"comment.{stage}", language, contract=contract, term=term, name=name if name != term else "")
    evidence = say("comment.evidence", language, where=where)
    return f"{' '.join(said.split())}\n\n{evidence}\n\n{mark(about.record_id, stage)}"
