"""The items of a dlt resource, in process and without a pipeline; its state goes in and comes out as a value.

dlt keeps what `dlt.sources.incremental` remembers in the state of a pipeline. We lend it one, so that the
state can be committed with our data instead of in dlt's own folder.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from connectors.errors import SourceConfig, SourceError, SourceUnavailable
from connectors.http.redaction import masked


def loaded(connection: str, named: str, folder: str) -> Callable[..., Any]:
    """The function behind `module:function`; `folder` is where modules of one's own lie. Raises SourceConfig."""
    module, sign, function = named.partition(":")
    if not sign or not module or not function:
        raise SourceConfig("dlt_name", connection=connection, found=repr(named))
    if folder and folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found = getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as problem:
        if problem.name == "dlt":
            raise SourceConfig("dlt_extra", connection=connection) from None
        raise SourceConfig("dlt_absent", connection=connection, found=named, why=str(problem)) from None
    except (AttributeError, ImportError, SyntaxError) as problem:
        raise SourceConfig("dlt_absent", connection=connection, found=named, why=str(problem)[:200]) from None
    if not callable(found):
        raise SourceConfig("dlt_absent", connection=connection, found=named, why="not callable")
    made: Callable[..., Any] = found
    return made


def items(
    connection: str, make: Callable[..., Any], resource: str, state: dict[str, Any]
) -> Iterator[Mapping[str, Any]]:
    """The items of a resource, or of one resource of a source; `state` is changed in place.

    To be run in one thread. Raises SourceConfig for an unknown resource, SourceUnavailable for what dlt raises.
    """
    try:
        from dlt.common.configuration.container import Container
        from dlt.common.pipeline import StateInjectableContext
    except ModuleNotFoundError:
        raise SourceConfig("dlt_extra", connection=connection) from None
    try:
        chosen = _chosen(connection, make(), resource)
        with Container().injectable_context(StateInjectableContext(state=state)):  # type: ignore[arg-type]
            found = iter(chosen)
        for item in found:
            yield from _records(item)
    except SourceError:
        raise
    except Exception as problem:  # noqa: BLE001 - a source of another package may raise anything
        raise _told(connection, problem) from None


def _told(connection: str, problem: BaseException) -> SourceError:
    """dlt wraps what a resource raises; the innermost says why. Its words may hold a secret."""
    while problem.__cause__ is not None:
        problem = problem.__cause__
    why = masked(f"{type(problem).__name__}: {problem}")[:300]
    if type(problem).__module__.startswith("dlt.common.configuration"):
        return SourceConfig("dlt_config", connection=connection, why=why)
    return SourceUnavailable("dlt_failed", connection=connection, why=why)


def _chosen(connection: str, made: Any, resource: str) -> Any:
    resources = getattr(made, "resources", None)
    if resources is None:
        return made
    names = list(resources.keys())
    name = resource or (names[0] if len(names) == 1 else "")
    if name not in names:
        raise SourceConfig("resource_absent", connection=connection, resource=resource or "-", near=", ".join(names))
    return made.with_resources(name)


def _records(item: Any) -> Iterator[Mapping[str, Any]]:
    """Items come one by one, in lists, or as tables of a data-frame library."""
    if isinstance(item, Mapping):
        yield item
    elif isinstance(item, list):
        for each in item:
            yield from _records(each)
    elif hasattr(item, "to_pylist"):  # an Arrow table
        yield from item.to_pylist()
    else:
        raise TypeError(f"an item of type {type(item).__name__} is no record")


def plain_state(state: Mapping[str, Any]) -> Any:
    """The state as plain JSON values: a cursor is a text."""
    from dlt.common import json

    return orjson.loads(json.typed_dumpb(state))


def restored(state: Any) -> dict[str, Any]:
    """The state as dlt left it, its dates and decimals again what they were."""
    if not isinstance(state, dict):
        return {}
    from dlt.common import json

    found: dict[str, Any] = json.typed_loadb(orjson.dumps(state))
    return found
