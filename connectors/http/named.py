"""Names that the configuration gives to parts of a source: sections, buckets, groups, lists, labels.

A milestone is one because it stands in a part of that name. Rename the part, and all its milestones seem to be gone and
what was done seems undone, though nothing happened. So a name that is nowhere, or is gone from where it was the last
time, is told to a person, and nothing of the pull is believed.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import orjson

from connectors.errors import SourceConfig

_KEPT = "named:"  # before a place's id, in what the cursor carries
_NEAR_MAX = 10


@dataclass(frozen=True, slots=True)
class Place:
    """Something that has named parts: a project with its sections; `title` is what people call it."""

    id: str
    title: str
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Named:
    """The names that `key` of a connection gives."""

    connection: str
    key: str
    wanted: Collection[str]

    def compare(self, places: Sequence[Place], before: Mapping[str, str]) -> dict[str, str]:
        """What the cursor is to carry. Raises SourceConfig for a name that is gone from a place, or that none has.

        `before` is what it carried; places that are not among these (only some are read, or one is away) still count.
        """
        away = {k: v for k, v in before.items() if k.startswith(_KEPT)}
        for place in places:
            was = frozenset(orjson.loads(away.pop(_KEPT + place.id, "[]")))
            self._nothing_gone(place, was)
        elsewhere = {name for kept in away.values() for name in orjson.loads(kept)}
        self._nothing_absent(places, elsewhere)
        here = {_KEPT + p.id: sorted(p.names.intersection(self.wanted)) for p in places}
        return away | {k: orjson.dumps(names).decode() for k, names in here.items() if names}

    def ids_of(self, before: Mapping[str, str]) -> set[str]:
        """The places that had one of these names the last time."""
        return {k.removeprefix(_KEPT) for k in before if k.startswith(_KEPT)}

    def _nothing_gone(self, place: Place, was: frozenset[str]) -> None:
        gone = sorted(was.intersection(self.wanted) - place.names)
        if gone:
            near = _near(gone, place.names)
            raise SourceConfig(
                "name_gone", connection=self.connection, key=self.key, project=place.title, absent=", ".join(gone), near=near
            )  # fmt: skip

    def _nothing_absent(self, places: Sequence[Place], elsewhere: Collection[str]) -> None:
        known = {name for p in places for name in p.names}
        absent = [w for w in self.wanted if w not in known and w not in elsewhere]
        if absent and places:
            near = _near(absent, known)
            raise SourceConfig(
                "name_absent", connection=self.connection, key=self.key, absent=", ".join(absent), near=near
            )


def _near(absent: Sequence[str], known: Collection[str]) -> str:
    """What could be meant: the closest first, then what else there is."""
    rest = sorted(known)
    close = [m for a in absent for m in difflib.get_close_matches(a, rest, cutoff=0.3)]
    return ", ".join(list(dict.fromkeys([*close, *rest]))[:_NEAR_MAX]) or "-"
