"""Which systems there are: the built-in connectors and those of other packages (entry points).

A package of its own adds a connector with the entry-point group `huikuan.connectors`:
`mytool = "mypackage.connector:CONNECTOR"`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from connectors.errors import SourceConfig
from models.ports import Source

GROUP = "huikuan.connectors"
BUILT_IN = {
    "pingcode": "connectors.pingcode",
    "worktile": "connectors.worktile",
    "redmine": "connectors.redmine",
}


@dataclass(frozen=True, slots=True)
class Option:
    """One key of [connections.NAME]; a secret never stands in the file itself."""

    name: str
    required: bool = False
    secret: bool = False
    default: object = None
    help: str = ""


@dataclass(frozen=True, slots=True)
class ConnectorInfo:
    """What the program knows of a connector before it is built."""

    system: str
    title: str
    options: tuple[Option, ...]
    build: Callable[..., Source]


def systems() -> list[str]:
    """The names that `system` may take."""
    return sorted(set(BUILT_IN) | {e.name for e in entry_points(group=GROUP)})


def connector(system: str) -> ConnectorInfo:
    """The connector of a system. Raises SourceConfig for an unknown one."""
    if system in BUILT_IN:
        found: ConnectorInfo = import_module(BUILT_IN[system]).CONNECTOR
        return found
    for entry in entry_points(group=GROUP):
        if entry.name == system:
            loaded: ConnectorInfo = entry.load()
            return loaded
    near = ", ".join(difflib.get_close_matches(system, systems(), cutoff=0.4)) or ", ".join(systems())
    raise SourceConfig(f"system = {system!r} is not known", advice=f"one of: {near}")


def checked_options(name: str, info: ConnectorInfo, options: Mapping[str, object]) -> dict[str, Any]:
    """Options with known keys only. Raises SourceConfig with the closest valid key, or for a missing one."""
    known = {o.name: o for o in info.options}
    for key in options:
        if key not in known:
            near = ", ".join(difflib.get_close_matches(key, known, cutoff=0.4)) or ", ".join(known)
            raise SourceConfig(f"[connections.{name}] has an unknown key {key!r}", advice=f"did you mean: {near}")
    missing = [o.name for o in info.options if o.required and not options.get(o.name)]
    if missing:
        raise SourceConfig(
            f"[connections.{name}] lacks {', '.join(missing)}",
            advice="; ".join(f"{m}: {known[m].help}" for m in missing),
        )
    return {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}


def missing_projects(name: str, wanted: Sequence[str], known: Sequence[tuple[str, str]]) -> None:
    """Raise SourceConfig for wanted projects that the account does not see, with the closest it does."""
    names = {n for pair in known for n in pair}
    absent = [w for w in wanted if w not in names]
    if absent:
        keys = sorted({k for k, _ in known})
        near = sorted({m for a in absent for m in difflib.get_close_matches(a, keys, cutoff=0.3)}) or keys[:10]
        raise SourceConfig(
            f"[connections.{name}] project {', '.join(absent)} is not among the {len(known)} that the account sees",
            advice=f"closest: {', '.join(near) or 'none'}; check `projects` and the account's permissions",
        )
