"""dlt resources: their state is our cursor, their failures are said without secrets."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.dlt import CONNECTOR
from connectors.errors import SourceConfig, SourceError
from models.domain.observations import Page
from models.ports import PullRequest

NOW = datetime(2026, 11, 23, tzinfo=UTC)
MAP = {"id_field": "id", "name_field": "title", "done_field": "state.name", "done_values": ["done"], "date_field": "at"}
MODULE = """
import json, pathlib
from datetime import UTC, datetime
import dlt

@dlt.resource(name="ms")
def ms(changed=dlt.sources.incremental("changed", initial_value=datetime(2026, 1, 1, tzinfo=UTC))):
    here = pathlib.Path(__file__).parent
    (here / "since.txt").write_text(str(changed.last_value))
    for n, row in enumerate(json.loads((here / "rows.json").read_text())):
        yield {"id": n, "title": f"M{n}", "changed": datetime.fromisoformat(row), "state": {"name": "done"}, "at": datetime.fromisoformat(row)}

@dlt.source
def several():
    return [ms, dlt.resource([{"id": 1}], name="users")]

@dlt.resource
def unconfigured(api_key: str = dlt.secrets.value):
    yield {"id": 1}

@dlt.resource
def odd():
    yield 42
"""


@pytest.fixture
def options(tmp_path: Path) -> dict[str, object]:
    module = f"tracker_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{module}.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "rows.json").write_text('["2026-11-20T09:00:00+00:00"]')
    return {"source": f"{module}:ms", "folder": str(tmp_path), **MAP}


def read(options: dict[str, object], cursor: str | None = None, *, full: bool = False) -> list[Page]:
    source = CONNECTOR.build("c", options, clock=lambda: NOW)

    async def pull() -> list[Page]:
        async with source:
            return [p async for p in source.pull(PullRequest((), cursor, full=full, now=NOW))]

    return asyncio.run(pull())


def ids(pages: list[Page]) -> list[str]:
    return [o.milestone_id for p in pages for o in p.observations]


def test_an_increment_remembers_in_our_cursor(options: dict[str, object], tmp_path: Path) -> None:
    first = read(options)
    assert ids(first) == ["0"]
    done_at = first[0].observations[0].done_at
    assert done_at == datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert type(done_at) is datetime  # and not a pendulum of dlt's
    second = read(options, first[-1].cursor)
    assert ids(second) == []
    assert (tmp_path / "since.txt").read_text().startswith("2026-11-20")
    (tmp_path / "rows.json").write_text('["2026-11-20T09:00:00+00:00", "2026-11-21T09:00:00+00:00"]')
    assert ids(read(options, second[-1].cursor)) == ["1"]
    assert ids(read(options, second[-1].cursor, full=True)) == ["0", "1"]


def test_a_pull_that_failed_remembers_nothing(options: dict[str, object], tmp_path: Path) -> None:
    first = read(options)
    (tmp_path / "rows.json").write_text('["2026-11-21T09:00:00+00:00", "no date"]')
    with pytest.raises(SourceError):
        read(options, first[-1].cursor)
    (tmp_path / "rows.json").write_text('["2026-11-21T09:00:00+00:00"]')
    assert ids(read(options, first[-1].cursor)) == ["0"]


def test_one_resource_of_several_is_named(options: dict[str, object]) -> None:
    several = str(options["source"]).replace(":ms", ":several")
    assert ids(read({**options, "source": several, "resource": "ms"})) == ["0"]
    with pytest.raises(SourceConfig) as problem:
        read({**options, "source": several})
    assert "ms" in problem.value.advice


@pytest.mark.parametrize(
    ("function", "code"),
    [("mss", "dlt_absent"), ("unconfigured", "dlt_config"), ("odd", "dlt_failed"), ("MODULE", "dlt_absent")],
)
def test_what_may_be_wrong(options: dict[str, object], function: str, code: str) -> None:
    with pytest.raises(SourceError) as problem:
        read({**options, "source": str(options["source"]).replace(":ms", f":{function}")})
    assert problem.value.trouble.code == code
    assert problem.value.advice


def test_a_name_without_a_function() -> None:
    with pytest.raises(SourceConfig):
        read({"source": "tracker", **MAP})
