"""Answers of another shape than a connector was written for: told as such, with the request they came to.

Rows of lists have the quarantine. What is read before them - who we are, the projects, the states - has not, and a
reader's error there would otherwise leave the connector as what it is in Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from connectors.errors import BadPayload
from connectors.http.client import Http
from connectors.http.fields import BadRow

#: What reading a list as an object, or a field that is not there, raises.
_UNFIT = (BadRow, LookupError, AttributeError, TypeError)


@contextmanager
def as_agreed(http: Http) -> Iterator[None]:
    """Raise BadPayload for what cannot be read, naming the last request that was answered and the field."""
    try:
        yield
    except _UNFIT as problem:
        raise http.of_last_answer(_told(problem)) from problem


def _told(problem: Exception) -> BadPayload:
    if isinstance(problem, BadRow):
        params = problem.params
        if "found" in params:
            return BadPayload("field_unfit", field=params.get("field"), found=params["found"], expected=params.get("expected", "-"))  # fmt: skip
        return BadPayload("field_missing", field=params.get("field"))
    if isinstance(problem, KeyError):
        return BadPayload("field_missing", field=problem.args[0] if problem.args else "?")
    return BadPayload("shape_unfit", what=str(problem)[:200])
