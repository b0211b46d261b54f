"""Singer taps: their messages, their state, their failures. The taps are real processes."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.errors import SourceError, SourceUnavailable
from connectors.singer import CONNECTOR
from models.domain.observations import Page
from models.ports import PullRequest

NOW = datetime(2026, 11, 23, tzinfo=UTC)
MAP = {"id_field": "id", "name_field": "title", "done_field": "done", "done_values": ["true"], "date_field": "at"}
SCHEMA = {"type": "SCHEMA", "stream": "ms", "schema": {"properties": {"id": {}, "title": {}, "done": {}, "at": {}}}}
TAP = """
import json, pathlib, sys, time
here = pathlib.Path(__file__).parent
(here / "argv.json").write_text(json.dumps(sys.argv[1:]))
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if "--state" in given:
    (here / "state.json").write_text(pathlib.Path(given["--state"]).read_text())
"""


def tap(tmp_path: Path, *messages: object, then: str = "") -> dict[str, object]:
    lines = [m if isinstance(m, str) else json.dumps(m) for m in messages]
    said = "".join(f"print({line!r}, flush=True)\n" for line in lines)
    (tmp_path / "tap.py").write_text(TAP + said + then, encoding="utf-8")
    return {"command": [sys.executable, str(tmp_path / "tap.py")], "stream": "ms", **MAP}


def row(id_: int, **fields: object) -> dict[str, object]:
    return {"type": "RECORD", "stream": "ms", "record": {"id": id_, "title": f"M{id_}", "done": False, **fields}}


def read(options: dict[str, object], cursor: str | None = None, *, full: bool = False) -> list[Page]:
    source = CONNECTOR.build("c", options, clock=lambda: NOW)

    async def pull() -> list[Page]:
        async with source:
            return [p async for p in source.pull(PullRequest((), cursor, full=full, now=NOW))]

    return asyncio.run(pull())


def test_the_last_state_is_the_cursor_and_is_given_back(tmp_path: Path) -> None:
    state = {"type": "STATE", "value": {"bookmarks": {"ms": "2026-11-20"}}}
    early = {"type": "STATE", "value": {"bookmarks": {}}}
    options = tap(tmp_path, SCHEMA, early, row(1, done=True, at="2026-11-20T09:00:00Z"), state)
    first = read(options)
    assert first[0].observations[0].done_at == datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert not (tmp_path / "state.json").exists()
    read(options, first[-1].cursor)
    assert json.loads((tmp_path / "state.json").read_text()) == state["value"]
    (tmp_path / "state.json").unlink()
    read(options, first[-1].cursor, full=True)
    assert not (tmp_path / "state.json").exists()
    read({**options, "name_field": "id"}, first[-1].cursor)
    assert not (tmp_path / "state.json").exists(), "with another mapping everything is read again"


def test_a_state_is_kept_where_a_run_brings_none(tmp_path: Path) -> None:
    first = read(tap(tmp_path, SCHEMA, {"type": "STATE", "value": 7}))
    second = read(tap(tmp_path, SCHEMA), first[-1].cursor)
    assert second[-1].cursor == first[-1].cursor


def test_nothing_is_taken_for_gone_unless_every_run_is_whole(tmp_path: Path) -> None:
    options = tap(tmp_path, SCHEMA, row(1))
    assert [p.snapshot_of for p in read(options)] == [(), (), ()]
    assert ("ms",) in [p.snapshot_of for p in read({**options, "whole": True})]


def test_a_deleted_record_says_so(tmp_path: Path) -> None:
    options = tap(
        tmp_path, {**SCHEMA, "schema": {}}, row(1, _sdc_deleted_at="2026-11-20T00:00:00Z"), row(2, _sdc_deleted_at=None)
    )
    (page, *_) = read({**options, "deleted_field": "_sdc_deleted_at"})
    assert [o.deleted for o in page.observations] == [True, False]


def test_the_config_is_handed_over_by_its_path_and_no_shell_reads_the_command(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    options = tap(tmp_path, SCHEMA)
    read({**options, "command": [*options["command"], "; touch x", "$(id)"], "config": str(tmp_path / "config.json")})
    assert json.loads((tmp_path / "argv.json").read_text()) == [
        "; touch x",
        "$(id)",
        "--config",
        str(tmp_path / "config.json"),
    ]


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        (["hello"], "tap_no_message"),
        (["[1]"], "tap_no_message"),
        ([row(1)], "tap_no_schema"),
        ([{"type": "BATCH", "stream": "ms"}], "tap_batch"),
        ([{"type": "SCHEMA", "stream": "mss", "schema": {}}], "stream_absent"),
        ([{**SCHEMA, "schema": {"properties": {"id": {}}}}], "field_absent"),
        ([SCHEMA, {"type": "RECORD", "stream": "ms", "record": [1]}], "tap_no_message"),
    ],
)
def test_what_a_tap_may_do_wrong(tmp_path: Path, messages: list[object], code: str) -> None:
    with pytest.raises(SourceError) as problem:
        read(tap(tmp_path, *messages))
    assert problem.value.trouble.code == code
    assert problem.value.advice


def test_a_tap_that_fails_late_leaves_no_last_page(tmp_path: Path) -> None:
    """The cursor is on the last page only: what came before is not committed."""
    source = CONNECTOR.build(
        "c",
        tap(tmp_path, SCHEMA, *(row(n) for n in range(600)), {"type": "STATE", "value": 1}, then="sys.exit(3)"),
        clock=lambda: NOW,
    )
    seen: list[Page] = []

    async def pull() -> None:
        async for page in source.pull(PullRequest((), None, full=False, now=NOW)):
            seen.append(page)

    with pytest.raises(SourceUnavailable) as problem:
        asyncio.run(pull())
    assert problem.value.trouble.params["code"] == 3
    assert seen
    assert not any(p.last or p.cursor for p in seen)


def test_stderr_is_shown_without_what_stands_in_the_config(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auth": {"pin": 48151623, "pass": "s3cr3t-of-tap"}, "site": "x"}))
    then = "print('denied for s3cr3t-of-tap pin 48151623 token=abcdef', file=sys.stderr); sys.exit(1)"
    with pytest.raises(SourceUnavailable) as problem:
        read({**tap(tmp_path, SCHEMA, then=then), "config": str(tmp_path / "config.json")})
    said = str(problem.value)
    assert "denied for ***" in said
    assert not any(s in said for s in ("s3cr3t", "48151623", "abcdef"))


def test_a_silent_tap_is_stopped(tmp_path: Path) -> None:
    begin = time.monotonic()
    with pytest.raises(SourceUnavailable) as problem:
        read({**tap(tmp_path, SCHEMA, then="time.sleep(60)"), "timeout": 0.8})
    assert problem.value.trouble.code == "tap_silent"
    assert time.monotonic() - begin < 30


def test_a_tap_that_talks_for_ever_is_stopped(tmp_path: Path) -> None:
    then = f"while True:\n    print({json.dumps(json.dumps(row(1)))}, flush=True); time.sleep(0.05)"
    with pytest.raises(SourceUnavailable) as problem:
        read({**tap(tmp_path, SCHEMA, then=then), "longest": 1.5})
    assert problem.value.trouble.code == "tap_endless"


def test_much_stderr_does_not_block_the_tap(tmp_path: Path) -> None:
    then = "sys.stderr.write('x' * 3_000_000); sys.stderr.flush()\n" + f"print({json.dumps(json.dumps(row(1)))})"
    assert len(read(tap(tmp_path, SCHEMA, then=then))[0].observations) == 1
