"""The configuration before it is checked: the file and the environment in one tree, secrets fetched.

Values are looked up where they live only when nothing nearer overrides them, and every problem is collected.
"""

from __future__ import annotations

import asyncio
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import SecretStr

from models.domain.findings import Finding, Place

PREFIX = "HUIKUAN_"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
#: Options that are secrets whatever a connector says of them.
_SECRETS = frozenset({"client_secret", "api_key", "token", "password", "secret", "hook_secret"})
#: URLs that carry no key by themselves, only where a password is written into them.
_PLAIN_SCHEMES = frozenset({"mailto", "mailtos", "json", "jsons", "xml", "xmls", "form", "forms"})
#: Tables with options of their own, whose values have no type that would hide them.
_NAMED = ("connections", "sinks")
_KINDS = ("env", "file", "secret_block")

Trail = tuple[str, ...]


@dataclass(slots=True)
class RawConfig:
    """The tree of one configuration, and what is wrong with it so far."""

    path: Path
    text: str
    environ: Mapping[str, str]
    is_secret: Callable[[Mapping[str, Any], str], bool]  # of a connection's table and a key of it
    tree: dict[str, Any] = field(default_factory=dict)
    from_environment: dict[Trail, str] = field(default_factory=dict)  # where a key came from, by its trail
    findings: list[Finding] = field(default_factory=list)

    def place(self, trail: Trail) -> Place:
        """Where a key stands: the variable that set it, or the line of the file that most likely holds it."""
        for length in range(len(trail), 0, -1):
            if trail[:length] in self.from_environment:
                return Place(file="environment", path=self.from_environment[trail[:length]])
        line = _line(self.text, trail)
        below = [name for t, name in self.from_environment.items() if t[: len(trail)] == trail]
        if line is None and below:
            return Place(file="environment", path=below[0])
        return Place(file=self.path.name, line=line, path=".".join(trail))

    def complain(self, code: str, trail: Trail, **params: object) -> None:
        """Add a finding about a key."""
        self.findings.append(Finding(code, place=self.place(trail), params={"key": ".".join(trail), **params}))


def read_config(
    path: Path, environ: Mapping[str, str], is_secret: Callable[[Mapping[str, Any], str], bool]
) -> RawConfig:
    """The file with the environment over it and every secret fetched. What is wrong is in `findings`."""
    config = RawConfig(path, "", environ, is_secret)
    try:
        config.text = path.read_text(encoding="utf-8-sig")
        config.tree = tomllib.loads(config.text)
    except FileNotFoundError:
        config.findings.append(Finding("CONFIG_ABSENT", place=Place(file=path.name), params={"file": path.name}))
        return config
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        line = re.search(r"line (\d+)", str(problem))
        place = Place(file=path.name, line=int(line[1]) if line else None)
        config.findings.append(Finding("CONFIG_BROKEN", place=place, params={"why": str(problem)}))
        return config
    _lay_environment_over(config)
    config.tree = _fetched(config)
    return config


# --- the environment ---------------------------------------------------------------------------------


def _lay_environment_over(config: RawConfig) -> None:
    """HUIKUAN_STORE__URL is [store] url; HUIKUAN_NOTIFY__0__URL the url of the first [[notify]]."""
    for name in sorted(config.environ):
        # A name without the double underscore may be anybody's (Kubernetes: HUIKUAN_SERVICE_HOST).
        if name.upper().startswith(PREFIX) and "__" in name:
            _lay_one(config, name, config.environ[name])


def _lay_one(config: RawConfig, name: str, text: str) -> None:
    here: Any = config.tree
    trail: list[str] = []
    parts = name[len(PREFIX) :].split("__")
    for depth, part in enumerate(parts):
        key = _known(here, part)
        if key is None:
            config.findings.append(
                Finding("ENV_PLACE", place=Place(file="environment", path=name), params={"key": name})
            )
            return
        trail.append(str(key))
        if depth < len(parts) - 1:
            here = here.setdefault(key, {}) if isinstance(here, dict) else here[key]
            if isinstance(here, dict) and set(here) <= set(_KINDS):
                here.clear()  # another place for a secret
    config.from_environment[tuple(trail)] = name
    here[_known(here, parts[-1])] = _value(config, tuple(trail), text)


def _known(here: Any, part: str) -> str | int | None:
    """The key that a part of a variable's name means here: a name of whatever case, or the number of an entry."""
    if isinstance(here, list):
        return int(part) if part.isascii() and part.isdigit() and int(part) < len(here) else None
    if not isinstance(here, dict) or not part:
        return None
    return next((k for k in here if k.lower() == part.lower()), part.lower())


def _value(config: RawConfig, trail: Trail, text: str) -> Any:
    """A text, or where it looks like one a list or table in JSON."""
    if not text.lstrip().startswith(("[", "{")) or trail[-1] == "url" or trail[-1] in _SECRETS:
        return text
    try:
        return json.loads(text)
    except ValueError:
        config.complain("ENV_NOT_JSON", trail)
        return text


# --- secrets -----------------------------------------------------------------------------------------


def _fetched(config: RawConfig) -> dict[str, Any]:
    """The tree with {env = …}, {file = …} and {secret_block = …} replaced; a secret written out is refused."""

    def visit(value: Any, trail: Trail, table: Mapping[str, Any]) -> Any:
        if isinstance(value, dict):
            if len(value) == 1 and next(iter(value)) in _KINDS:
                return _wrapped(_fetch(config, trail, *next(iter(value.items()))), trail)
            return {k: visit(v, (*trail, k), value) for k, v in value.items()}
        if isinstance(value, list):
            return [visit(v, (*trail, str(i)), table) for i, v in enumerate(value)]
        if not isinstance(value, str) or not _secret_here(config, trail, table, value):
            return value
        if trail not in config.from_environment and not _on_this_machine(table, value):
            config.complain("SECRET_IN_FILE", trail)
        return _wrapped(value, trail)

    return {k: visit(v, (k,), config.tree) for k, v in config.tree.items()}


def _secret_here(config: RawConfig, trail: Trail, table: Mapping[str, Any], value: str) -> bool:
    if trail[0] in _NAMED and len(trail) == 3 and (trail[2] in _SECRETS or config.is_secret(table, trail[2])):
        return True
    if trail[0] == "sinks":
        return trail[2:] == ("url",) and _url_holds_a_secret(value, store=True)
    if trail[0] not in ("store", "notify"):
        return False
    return trail[-1] == "url" and _url_holds_a_secret(value, store=trail[0] == "store")


def _url_holds_a_secret(url: str, *, store: bool) -> bool:
    """A database's URL with a password; a notice's URL, whose parts are its key (a bot's token)."""
    try:
        parts = urlsplit(url)
        written_out = bool(parts.password) or bool({"pass", "password"} & parse_qs(parts.query).keys())
    except ValueError:
        return True
    return written_out or not (store or parts.scheme.lower() in _PLAIN_SCHEMES)


def _on_this_machine(table: Mapping[str, Any], value: str) -> bool:
    """A sandbox or a catcher: an address of loopback is nobody's secret."""
    url = table.get("base_url", value)
    try:
        return isinstance(url, str) and urlsplit(url).hostname in _LOOPBACK
    except ValueError:
        return False


def _wrapped(found: str, trail: Trail) -> str | SecretStr:
    """Options of a connection or a sink have no type of their own that would hide them."""
    return SecretStr(found) if trail[0] in _NAMED else found


def _fetch(config: RawConfig, trail: Trail, kind: str, name: object) -> str:
    """The secret at its place; where there is none, a finding and a stand-in."""
    found: str | None = None
    if not isinstance(name, str) or not name:
        config.complain("CONFIG_TYPE", (*trail, kind), found=str(name), expected="text")
        return "absent"
    if kind == "env":
        found = config.environ.get(name)
    elif kind == "file":
        found = _from_file(config.path.parent / name)
    else:
        found = _from_block(name)
    if not found:
        config.complain("SECRET_ABSENT", trail, kind=kind, name=name)
        return "absent"
    return found


def _from_file(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _from_block(name: str) -> str | None:
    """A Prefect secret block. In a thread of its own, since the flow that asks may be running a loop."""
    from prefect.blocks.system import Secret  # only where a block is named

    def load() -> str:
        block: Any = asyncio.run(Secret.aload(name))
        return str(block.get())

    with ThreadPoolExecutor(1) as thread:
        try:
            return thread.submit(load).result()
        except Exception:  # noqa: BLE001 - no such block, no server, no network: the finding says where it should be
            return None


# --- lines -------------------------------------------------------------------------------------------


def _line(text: str, trail: Trail) -> int | None:
    """The line that most likely holds a key: the last of its names, after the head of the table it stands in."""
    lines = text.splitlines()
    names = [t for t in trail if not t.isdigit()]
    start = _table_start(lines, trail)
    end = next((n for n in range(start + 1, len(lines)) if lines[n].lstrip().startswith("[")), len(lines))
    for first, last in ((start, end), (0, len(lines))):
        for number in range(first, last):
            if re.match(rf"""\s*\[*(?:[\w"'.-]+\.)?["']?{re.escape(names[-1])}["']?\s*(?:[=.\]])""", lines[number]):
                return number + 1
    return start + 1 if start else None


def _table_start(lines: list[str], trail: Trail) -> int:
    """The line of the innermost table of a trail; `0` in `notify.0.url` counts the [[notify]]."""
    for length in range(len(trail), 0, -1):
        head = trail[:length]
        numbers = [int(t) for t in head if t.isdigit()]
        name = ".".join(t for t in head if not t.isdigit())
        found = [n for n, line in enumerate(lines) if re.fullmatch(rf"\s*\[+\s*{re.escape(name)}\s*\]+\s*(#.*)?", line)]
        wanted = numbers[0] if numbers else 0
        if wanted < len(found):
            return found[wanted]
    return 0
