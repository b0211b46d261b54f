"""Which systems there are: the built-in connectors and those of other packages (entry points).

A package of its own adds a connector with the entry-point group `huikuan.connectors`:
`mytool = "mypackage.connector:CONNECTOR"`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from connectors.errors import SourceConfig, SourceRefused
from connectors.http.hooks import OWN, Hook
from models.domain.trouble import Words
from models.domain.words import catalogue
from models.ports import Commenter, Source

GROUP = "huikuan.connectors"
BUILT_IN = {
    "asana": "connectors.asana",
    "azure_devops": "connectors.azure_devops",
    "clickup": "connectors.clickup",
    "dlt": "connectors.dlt",
    "feishu_project": "connectors.feishu_project",
    "github": "connectors.github",
    "gitlab": "connectors.gitlab",
    "icalendar": "connectors.ical",
    "jira": "connectors.jira",
    "linear": "connectors.linear",
    "monday": "connectors.monday",
    "ms_planner": "connectors.ms_planner",
    "ms_project": "connectors.ms_project",
    "mspdi": "connectors.msproject",
    "odoo": "connectors.odoo",
    "openproject": "connectors.openproject",
    "pingcode": "connectors.pingcode",
    "redmine": "connectors.redmine",
    "singer": "connectors.singer",
    "smartsheet": "connectors.smartsheet",
    "table": "connectors.spreadsheet",
    "tapd": "connectors.tapd",
    "teambition": "connectors.teambition",
    "worktile": "connectors.worktile",
    "yunxiao": "connectors.yunxiao",
    "zentao": "connectors.zentao",
}


@dataclass(frozen=True, slots=True)
class Option:
    """One key of [connections.NAME]; a secret never stands in the file itself.

    Values come in the type of `default`: a tuple takes a list of texts (or one), None and "" take a text.
    """

    name: str
    required: bool = False
    secret: bool = False
    default: object = None
    help: str = ""
    path: bool = False  # names files: relative ones begin at the folder of the configuration
    choices: Sequence[str] = ()  # the values that are allowed (of a tuple: for each of its texts); none: all


@dataclass(frozen=True, slots=True)
class ConnectorInfo:
    """What the program knows of a connector before it is built."""

    system: str
    title: str
    options: tuple[Option, ...]
    build: Callable[..., Source]  # build(name, options, *, clock, transport=None, sleep=asyncio.sleep)
    fake: Callable[[], object] | None = None  # a scripted vendor for the conformance suite (connectors.kit.fakes)
    reads: str = "api"  # or "files" (files, and programs that give records): which conformance suite applies
    hook: Hook = OWN  # how the vendor's webhooks are signed; OWN: by a secret of ours
    commenter: Callable[[Any], Commenter] | None = None  # of a source as built: where it can be written back


def option_help(system: str, option: Option, language: str) -> str:
    """What an option means, in the language; a connector of another package has its own words only."""
    return catalogue(language).get(f"connector_option.{system}.{option.name}", option.help)


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
    raise SourceConfig("system_unknown", system=repr(system), near=near)


def checked_options(name: str, info: ConnectorInfo, options: Mapping[str, object]) -> dict[str, Any]:
    """A value for every option: the given one in the type of its default, else the default.

    Raises SourceConfig with the closest valid key or value, or for a missing one.
    """
    known = {o.name: o for o in info.options}
    for key in options:
        if key not in known:
            near = ", ".join(difflib.get_close_matches(key, known, cutoff=0.4)) or ", ".join(known)
            raise SourceConfig("key_unknown", connection=name, key=repr(key), near=near)
    missing = [o.name for o in info.options if o.required and not options.get(o.name)]
    if missing:
        help_ = _meaning(info.system, known[missing[0]])
        raise SourceConfig("key_missing", connection=name, keys=", ".join(missing), key=missing[0], help=help_)
    return {k: _allowed(name, info.system, o, options[k]) if k in options else o.default for k, o in known.items()}


def rooted(info: ConnectorInfo, options: Mapping[str, object], root: Path) -> dict[str, object]:
    """The options with relative paths made to begin at `root`."""
    paths = {o.name for o in info.options if o.path}
    return {k: _from_root(v, root) if k in paths else v for k, v in options.items()}


def _from_root(value: object, root: Path) -> object:
    if isinstance(value, list | tuple):
        return [_from_root(v, root) for v in value]
    return str(root / value) if isinstance(value, str) and value else value


def _meaning(system: str, option: Option) -> Words:
    return Words(f"connector_option.{system}.{option.name}", option.help)


def _allowed(name: str, system: str, option: Option, value: object) -> Any:
    """The value in the type of its default, and among the choices where there are some."""
    found = _fitting(name, system, option, value)
    if option.choices:
        for each in found if isinstance(found, tuple) else (found,):
            one_of(name, option.name, each, option.choices)
    return found


def _fitting(name: str, system: str, option: Option, value: object) -> Any:
    """The value in the type of the option's default. Raises SourceConfig for what does not fit."""
    default = option.default
    if isinstance(default, tuple):
        items = [value] if isinstance(value, str) else value
        if isinstance(items, list | tuple) and all(isinstance(i, str) for i in items):
            return tuple(items)
        raise _misfit(name, system, option, "texts")
    if isinstance(default, bool):
        return _truth(name, system, option, value)
    if isinstance(default, int | float):
        return _number(name, system, option, value, whole=isinstance(default, int))
    if not isinstance(value, str):
        raise _misfit(name, system, option, "text")
    return value


def _truth(name: str, system: str, option: Option, value: object) -> bool:
    found = {"true": True, "1": True, "false": False, "0": False}.get(str(value).lower())
    if found is None:
        raise _misfit(name, system, option, "truth")
    return found


def _number(name: str, system: str, option: Option, value: object, *, whole: bool) -> float:
    expected = "whole" if whole else "number"
    try:
        number = int(str(value)) if whole else float(str(value))
    except ValueError:
        raise _misfit(name, system, option, expected) from None
    if isinstance(value, bool) or not (number >= 0 if whole else 0 < number < float("inf")):
        raise _misfit(name, system, option, expected)
    return number


def _misfit(name: str, system: str, option: Option, expected: str) -> SourceConfig:
    """Says what is expected; the value itself is not shown, it may be a secret in the wrong place."""
    shape = Words(f"source_shape.{expected}", expected)
    return SourceConfig("value_misfit", connection=name, key=option.name, expected=shape, help=_meaning(system, option))


def one_of(name: str, key: str, value: str, allowed: Sequence[str]) -> None:
    """Raise SourceConfig, with the closest, for a value that is not among the allowed."""
    if value not in allowed:
        near = difflib.get_close_matches(value, allowed, n=1, cutoff=0.5)
        listed = ", ".join([*near, *(a for a in allowed if a not in near)])
        raise SourceConfig("value_unknown", connection=name, key=key, found=repr(value), allowed=listed)


def counting_rule(name: str, open_issues: str, *, counts: bool) -> None:
    """Raise SourceConfig where open issues are to keep a milestone from being done, and nobody counts them."""
    if open_issues == "not_done" and not counts:
        raise SourceConfig("rule_uncounted", connection=name)


def none_left(name: str, before: Collection[str], now: Collection[object]) -> None:
    """Raise SourceRefused where the account saw projects the last time, and sees none at all now."""
    if before and not now:
        raise SourceRefused("projects_gone", connection=name, seen=len(before))


def missing_projects(name: str, wanted: Sequence[str], known: Sequence[tuple[str, str]]) -> None:
    """Raise SourceConfig for wanted projects that the account does not see, with the closest it does."""
    names = {n for pair in known for n in pair}
    absent = [w for w in wanted if w not in names]
    if absent:
        keys = sorted({k for k, _ in known})
        near = sorted({m for a in absent for m in difflib.get_close_matches(a, keys, cutoff=0.3)}) or keys[:10]
        listed, closest = ", ".join(absent), ", ".join(near) or "-"
        raise SourceConfig("project_absent", connection=name, projects=listed, near=closest, seen=len(known))
