"""Calendars: to-dos and events, their false friends, an address that is a secret."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import httpx
import pytest

from connectors.errors import SourceConfig, SourceError
from connectors.ical import CONNECTOR
from models.domain.observations import Page
from models.ports import PullRequest, Source

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def calendar(*components: str, name: str = "智慧园区") -> bytes:
    inner = "\n".join(components)
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//t//t//\nX-WR-CALNAME:{name}\n{inner}\nEND:VCALENDAR\n"
    return text.replace("\n", "\r\n").encode()


def todo(uid: str, *lines: str) -> str:
    return "\n".join(["BEGIN:VTODO", f"UID:{uid}", "SUMMARY:初验", *lines, "END:VTODO"])


def read(source: Source, cursor: str | None = None) -> list[Page]:
    async def pull() -> list[Page]:
        async with source:
            return [p async for p in source.pull(PullRequest((), cursor, full=False, now=NOW))]

    return asyncio.run(pull())


def pages(tmp_path: Path, data: bytes, **options: object) -> list[Page]:
    file = tmp_path / "plan.ics"
    file.write_bytes(data)
    return read(CONNECTOR.build("c", {"path": [str(file)], **options}, clock=lambda: NOW))


def test_a_completed_to_do(tmp_path: Path) -> None:
    data = calendar(
        todo("u1", "STATUS:COMPLETED", "COMPLETED:20261120T090000Z", "PERCENT-COMPLETE:100", "DUE;VALUE=DATE:20261201")
    )
    (found,) = pages(tmp_path, data)[0].observations
    assert (found.milestone_id, found.project_key, found.done, found.percent_bp) == ("u1", "智慧园区", True, 10_000)
    assert found.done_at == datetime(2026, 11, 20, 9, tzinfo=UTC)
    assert found.planned_on == date(2026, 12, 1)


@pytest.mark.parametrize(
    ("lines", "done", "unproven"),
    [
        (["STATUS:NEEDS-ACTION", "COMPLETED:20261120T090000Z"], False, False),  # reopened by a careless client
        (["STATUS:CANCELLED", "PERCENT-COMPLETE:100"], False, False),
        (["PERCENT-COMPLETE:100"], False, False),
        (["COMPLETED:20261120T090000Z"], True, False),
        (["STATUS:COMPLETED"], True, True),
        (["STATUS:completed", "COMPLETED:20261120T090000Z"], True, False),
    ],
)
def test_what_means_done(tmp_path: Path, lines: list[str], done: bool, unproven: bool) -> None:
    (found,) = pages(tmp_path, calendar(todo("u1", *lines)))[0].observations
    assert (found.done, found.unproven) == (done, unproven)


def test_events_are_planned_dates_and_floating_times_are_in_the_configured_zone(tmp_path: Path) -> None:
    event = "BEGIN:VEVENT\nUID:e1\nSUMMARY:终验\nDTSTART:20261201T090000\nEND:VEVENT"
    zoned = "BEGIN:VEVENT\nUID:e2\nSUMMARY:x\nDTSTART;TZID=Europe/Berlin:20261201T090000\nEND:VEVENT"
    found = {
        o.milestone_id: o
        for o in pages(tmp_path, calendar(event, zoned, todo("u1")), milestones=["event"])[0].observations
    }
    assert found["e1"].planned_at == datetime(2026, 12, 1, 1, tzinfo=UTC)
    assert found["e2"].planned_at == datetime(2026, 12, 1, 8, tzinfo=UTC)
    assert not found["e1"].done
    assert set(found) == {"e1", "e2"}


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (["STATUS:DONE"], "STATE_UNKNOWN"),
        (["STATUS:COMPLETED", "COMPLETED:yesterday"], "PROOF_FIELD_TYPE"),
        (["PERCENT-COMPLETE:130"], "PERCENT_RANGE"),
        (["PERCENT-COMPLETE:half"], "PROOF_FIELD_TYPE"),
        (["RRULE:FREQ=MONTHLY"], "PROOF_FIELD_TYPE"),
        (["STATUS:COMPLETED", "STATUS:NEEDS-ACTION"], "PROOF_FIELD_TYPE"),
        (["COMPLETED:20261120T090000Z", "COMPLETED:20261121T090000Z"], "PROOF_FIELD_TYPE"),
        (["SUMMARY:终验"], "PROOF_FIELD_TYPE"),
    ],
)
def test_odd_entries_are_put_aside(tmp_path: Path, lines: list[str], code: str) -> None:
    (page, *_) = pages(tmp_path, calendar(todo("bad", *lines), todo("good")))
    assert [(r.milestone_id, r.code) for r in page.rejected] == [("bad", code)]
    assert [o.milestone_id for o in page.observations] == ["good"]


@pytest.mark.parametrize("line", ["UID:other", "RECURRENCE-ID:20261201T090000Z\nRECURRENCE-ID:20261202T090000Z"])
def test_an_entry_with_two_ids_may_be_either(tmp_path: Path, line: str) -> None:
    told = pages(tmp_path, calendar(todo("a", line), todo("b")))
    assert [(r.milestone_id, r.code) for r in told[0].rejected] == [(None, "PROOF_FIELD_TYPE")]
    assert told[1].snapshot_of == ()


def test_a_last_change_that_cannot_be_read_is_not_told(tmp_path: Path) -> None:
    (found,) = pages(tmp_path, calendar(todo("a", "LAST-MODIFIED:lately")))[0].observations
    assert found.updated_at is None


def test_the_same_id_twice_puts_both_aside_and_recurrences_are_told_apart(tmp_path: Path) -> None:
    (page, *_) = pages(tmp_path, calendar(todo("a"), todo("a"), todo("b"), todo("b", "RECURRENCE-ID:20261201T090000Z")))
    assert [r.code for r in page.rejected] == ["KEY_NOT_UNIQUE"] * 2
    assert [o.milestone_id for o in page.observations] == ["b", "b/20261201T090000Z"]


def test_only_entries_of_a_category(tmp_path: Path) -> None:
    data = calendar(todo("a", "CATEGORIES:Work,里程碑"), todo("b", "CATEGORIES:Work"), todo("c"))
    assert [o.milestone_id for o in pages(tmp_path, data, categories=["里程碑"])[0].observations] == ["a"]


def test_a_fold_may_split_a_character(tmp_path: Path) -> None:
    """RFC 5545, 3.1: lines are folded by octets."""
    name = "里程碑" * 14
    line = f"SUMMARY:{name}".encode()
    folded = b"\r\n ".join([line[:75], *(line[at : at + 74] for at in range(75, len(line), 74))])
    data = calendar(todo("a")).replace("SUMMARY:初验".encode(), folded)
    (found,) = pages(tmp_path, data)[0].observations
    assert found.name == name


def test_what_a_calendar_says_of_itself_counts_wherever_it_stands(tmp_path: Path) -> None:
    zone = "BEGIN:VTIMEZONE\nTZID:Site time\nBEGIN:STANDARD\nDTSTART:19700101T000000\nTZOFFSETFROM:+0300\nTZOFFSETTO:+0300\nEND:STANDARD\nEND:VTIMEZONE"
    data = calendar(todo("a", "DUE;TZID=Site time:20261201T090000"), zone, "NAME:x", name="")
    data = data.replace(b"X-WR-CALNAME:\r\n", b"")
    (found,) = pages(tmp_path, data)[0].observations
    assert (found.project_key, found.planned_at) == ("x", datetime(2026, 12, 1, 6, tzinfo=UTC))


def test_an_alarm_within_says_nothing_of_its_to_do(tmp_path: Path) -> None:
    alarm = "BEGIN:VALARM\nUID:alarm\nTRIGGER:soon\nSTATUS:x\nEND:VALARM"
    (page, *_) = pages(tmp_path, calendar(todo("a", alarm), todo("b", alarm)))
    assert ([o.milestone_id for o in page.observations], page.rejected) == (["a", "b"], ())


def test_an_id_is_the_same_however_it_is_written(tmp_path: Path) -> None:
    other = todo("a").replace("UID:a", "uid;X-BY=me:a")
    (page, *_) = pages(tmp_path, calendar(todo("a"), other, todo("a\\,b"), todo("c")))
    assert [(r.milestone_id, r.code) for r in page.rejected] == [("a", "KEY_NOT_UNIQUE")] * 2
    assert [o.milestone_id for o in page.observations] == ["a,b", "c"]


def test_what_is_put_aside_is_kept_as_it_was_written(tmp_path: Path) -> None:
    (page, *_) = pages(tmp_path, calendar(todo("a", "STATUS:DONE", "X-NOTE:kept", "X-TOKEN:token=hunter2")))
    assert "X-NOTE:kept" in page.rejected[0].raw
    assert "hunter2" not in page.rejected[0].raw


@pytest.mark.parametrize("lost", [b"END:VTODO", b"END:VCALENDAR", b"BEGIN:VTODO"])
def test_a_calendar_that_is_cut_off_deletes_nothing(tmp_path: Path, lost: bytes) -> None:
    whole = calendar(todo("a"), todo("b"))
    at = whole.rindex(lost)
    with pytest.raises(SourceError) as problem:
        pages(tmp_path, calendar(todo("c")) + whole[:at] + whole[at + len(lost) + 2 :])
    assert problem.value.trouble.code == "calendar_broken"


def test_a_long_calendar_takes_little_memory(tmp_path: Path) -> None:
    file = tmp_path / "plan.ics"
    done = ("STATUS:COMPLETED", "COMPLETED:20261120T090000Z", "PERCENT-COMPLETE:100", "DUE;VALUE=DATE:20261201")
    file.write_bytes(calendar(*(todo(f"u{n}", *done) for n in range(2000))))
    source = CONNECTOR.build("c", {"path": [str(file)]}, clock=lambda: NOW)
    tracemalloc.start()
    try:
        assert sum(1 for item in source.read(file) if not isinstance(item, str)) == 2000
        assert tracemalloc.get_traced_memory()[1] < 2 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"hello", "calendar_broken"), (b"", "calendar_broken"), (b"BEGIN:VCALENDAR\r\n\xff\xfe", "encoding_wrong")],
)
def test_what_is_no_calendar_says_so(tmp_path: Path, data: bytes, code: str) -> None:
    with pytest.raises(SourceError) as problem:
        pages(tmp_path, data)
    assert problem.value.trouble.code == code


def at_address(answer: Callable[[httpx.Request], httpx.Response]) -> Source:
    address = "https://cal.example/private-hunter2hunter2/basic.ics?k=v"
    options = {"url": address, "token": "hunter2-token"}

    async def nowhere(_seconds: float) -> None:
        return None

    return CONNECTOR.build("c", options, clock=lambda: NOW, transport=httpx.MockTransport(answer), sleep=nowhere)


def test_an_address_is_fetched_with_its_token_and_not_told_again() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, content=calendar(todo("a")), headers={"content-type": "text/calendar"})

    first = read(at_address(answer))
    assert [o.milestone_id for p in first for o in p.observations] == ["a"]
    assert str(asked[0].url) == "https://cal.example/private-hunter2hunter2/basic.ics?k=v"
    assert asked[0].headers["authorization"] == "Bearer hunter2-token"
    assert [p.observations for p in read(at_address(answer), first[-1].cursor)] == [()]


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_refused_address_does_not_show_itself(status: int) -> None:
    with pytest.raises(SourceError) as problem:
        read(at_address(lambda _request: httpx.Response(status)))
    assert "hunter2" not in f"{problem.value} {problem.value.advice} {problem.value!r}"


def test_a_log_in_page_is_no_calendar() -> None:
    with pytest.raises(SourceError) as problem:
        read(at_address(lambda _request: httpx.Response(200, html="<html>log in</html>")))
    assert problem.value.trouble.code == "html_page"


def test_a_path_or_an_address() -> None:
    for options in ({}, {"path": ["a.ics"], "url": "https://x.example/a.ics"}):
        with pytest.raises(SourceConfig):
            CONNECTOR.build("c", options, clock=lambda: NOW)
