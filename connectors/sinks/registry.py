"""Which sinks there are: the built-in ones and those of other packages (entry points).

A package of its own adds one with the entry-point group `huikuan.sinks`: `mine = "mypackage.sink:SINK"`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from connectors.errors import SourceConfig
from connectors.registry import Option
from models.domain.trouble import Words
from models.ports import Sink

GROUP = "huikuan.sinks"
BUILT_IN = {
    "csv_drop": "connectors.sinks.csv_drop",
    "erpnext": "connectors.sinks.erpnext",
    "odoo": "connectors.sinks.odoo",
    "oracle": "connectors.sinks.oracle",
    "sap": "connectors.sinks.sap",
    "sql_drop": "connectors.sinks.sql_drop",
    "webhook": "connectors.sinks.webhook",
}


@dataclass(frozen=True, slots=True)
class SinkInfo:
    """What the program knows of a sink before it is built."""

    kind: str
    title: str
    options: tuple[Option, ...]
    build: Callable[..., Sink]  # build(name, options, *, clock, transport=None); the options complete


def meaning(kind: str, option: Option) -> Words:
    """What an option means; a sink of another package has its own words only."""
    return Words(f"sink_option.{kind}.{option.name}", option.help)


def kinds() -> list[str]:
    """The names that `kind` may take."""
    return sorted(set(BUILT_IN) | {e.name for e in entry_points(group=GROUP)})


def sink(kind: str) -> SinkInfo:
    """The sink of a kind. Raises SourceConfig for an unknown one."""
    if kind in BUILT_IN:
        found: SinkInfo = import_module(BUILT_IN[kind]).SINK
        return found
    for entry in entry_points(group=GROUP):
        if entry.name == kind:
            loaded: SinkInfo = entry.load()
            return loaded
    near = ", ".join(difflib.get_close_matches(kind, kinds(), cutoff=0.4)) or ", ".join(kinds())
    raise SourceConfig("sink_kind_unknown", kind=repr(kind), near=near)


def built(name: str, kind: str, given: Mapping[str, object], root: Path, clock: Callable[..., Any]) -> Sink:
    """The sink of [sinks.NAME]: what is not given has its default, relative paths begin at `root`."""
    info = sink(kind)
    options = {o.name: given.get(o.name, o.default) for o in info.options}
    for option in info.options:
        if option.path:
            options[option.name] = _from_root(str(options[option.name]), root)
    return info.build(name, options, clock=clock)


_SQLITE = "sqlite:///"


def _from_root(text: str, root: Path) -> str:
    """A path, or the address of a SQLite file, made to begin at `root`; other addresses stay as they are."""
    if text.startswith(_SQLITE):
        return f"{_SQLITE}{(root / text.removeprefix(_SQLITE)).as_posix()}"
    return text if "://" in text else str(root / text)
