"""A calendar's file cut into its entries, and each read by the library on its own.

The library makes objects of a whole file at once, in half a gigabyte for a hundred thousand to-dos. Here a file is
cut along its BEGIN and END lines; of an entry only the properties that say something here are parsed.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from icalendar import Calendar, ComponentFactory, Todo
from icalendar.parser import Contentline
from icalendar.parser.ical.component import ComponentIcalParser

from connectors.ical import mapping

ENTRIES = frozenset((b"VTODO", b"VEVENT"))
IDENTITY = frozenset(("UID", "RECURRENCE-ID"))
CATEGORIES = frozenset(("CATEGORIES",))
_BOM = b"\xef\xbb\xbf"
_OWN_NAME = re.compile(r"([A-Za-z0-9-]+)[:;]")
_IDENTITY_LINE = re.compile(rb"(?im)^(?:UID|RECURRENCE-ID)\b.*")


class NoCalendar(ValueError):
    """The file is no calendar, or a damaged one: what was found where."""


@dataclass(slots=True)
class CalendarText:
    """One calendar, unfolded and uncut within: its own lines with its time zones, and its entries."""

    head: list[bytes] = field(default_factory=list)
    entries: deque[bytes] = field(default_factory=deque)

    def component(self) -> Any:
        """The calendar without its entries; the library knows its time zones from now on. Raises what the library does."""
        lines = [b"BEGIN:VCALENDAR", *self.head, b"END:VCALENDAR"]
        return _parsed(b"\n".join(lines).decode().split("\n"))


def calendars(lines: Iterable[bytes], wanted: frozenset[bytes]) -> Iterator[CalendarText]:
    """The calendars of a file, with their entries of the wanted kinds. Raises NoCalendar, UnicodeDecodeError."""
    cutter = _Cutter(wanted)
    found = False
    for line in unfolded(lines):
        calendar = cutter.take(line)
        if calendar is not None:
            found = True
            yield calendar
    if cutter.path:
        raise NoCalendar(f"END:{cutter.path[-1].decode()} is missing")
    if not found:
        raise NoCalendar("BEGIN:VCALENDAR is missing")


def unfolded(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines as they were before they were folded, which may be within a character (RFC 5545, 3.1)."""
    parts: list[bytes] = []
    for number, raw in enumerate(lines):
        line = raw.rstrip(b"\r\n")
        if number == 0:
            line = line.removeprefix(_BOM)
        if line[:1] in (b" ", b"\t") and parts:
            parts.append(line[1:])
        elif line:  # an empty line may stand within a fold
            yield from _whole(parts)
            parts = [line]
    yield from _whole(parts)


def _whole(parts: list[bytes]) -> Iterator[bytes]:
    if parts:
        line = b"".join(parts)
        if not line.isascii():
            line.decode()  # only to see that it can be
        yield line


class _Cutter:
    """Takes line after line; where a calendar ends, gives it."""

    def __init__(self, wanted: frozenset[bytes]) -> None:
        self.wanted, self.path = wanted, list[bytes]()
        self.calendar = CalendarText()
        self.block: list[bytes] | None = None  # the entry or time zone that is being taken
        self.depth = 0  # where it began

    def take(self, line: bytes) -> CalendarText | None:
        """One line. Raises NoCalendar."""
        if line[:6].upper() == b"BEGIN:":
            self._begin(line[6:].strip().upper())
        elif not self.path and not line.upper().startswith(b"X-COMMENT"):
            raise NoCalendar(f"{_shown(line)} outside of a calendar")
        if self.block is not None:
            self.block.append(line)
        elif len(self.path) == 1 and line[:6].upper() != b"BEGIN:" and line[:4].upper() != b"END:":
            self.calendar.head.append(line)
        return self._end(line[4:].strip().upper()) if line[:4].upper() == b"END:" else None

    def _begin(self, name: bytes) -> None:
        if name in ENTRIES and self.path and self.path[-1] in ENTRIES:
            raise NoCalendar(f"{_shown(b'BEGIN:' + name)} before {_shown(b'END:' + self.path[-1])}")
        if not self.path:
            self.calendar = CalendarText()
        elif self.block is None and (name in self.wanted or name == b"VTIMEZONE"):
            self.block, self.depth = [], len(self.path)
        self.path.append(name)

    def _end(self, name: bytes) -> CalendarText | None:
        if self.path[-1] != name:
            raise NoCalendar(f"{_shown(b'END:' + name)} where {_shown(b'END:' + self.path[-1])} is expected")
        self.path.pop()
        if self.block is not None and len(self.path) == self.depth:
            (self.calendar.head if name == b"VTIMEZONE" else self.calendar.entries).append(b"\n".join(self.block))
            self.block = None
        return self.calendar if not self.path and name == b"VCALENDAR" else None


def _shown(line: bytes) -> str:
    return repr(line[:40].decode("utf-8", "replace"))


# --- one entry -----------------------------------------------------------------------------------------


class PatientTodo(Todo):
    """A to-do whose broken properties are kept with what is wrong, as the library does for events."""

    ignore_exceptions = True


def _patient() -> ComponentFactory:
    factory = ComponentFactory()
    factory.add_component_class(PatientTodo)
    return factory


_FACTORY = _patient()


def component(entry: bytes, names: frozenset[str]) -> Any:
    """An entry with the properties of these names, and with lines that bear none. Raises ValueError and its like."""
    return _parsed(_own_lines(entry.decode().split("\n"), names))


def identity(entry: bytes) -> str | None:
    """The id that the mapping finds too; None where there is none. Raises as `component` does."""
    lines = _IDENTITY_LINE.findall(entry)
    if len(lines) == 1 and lines[0][:4] == b"UID:" and b"\\" not in lines[0]:  # nearly always
        return lines[0][4:].decode().strip() or None
    return mapping.identity(component(entry, IDENTITY))


def _own_lines(lines: list[str], names: frozenset[str]) -> list[str]:
    """Not those of an alarm within: it has an id and dates of its own."""
    kept = [lines[0]]
    depth = 0
    for line in lines[1:-1]:
        mark = line[:6].upper()
        if mark == "BEGIN:":
            depth += 1
        elif mark[:4] == "END:":
            depth -= 1
        elif not depth:
            name = _OWN_NAME.match(line)
            if name is None or name[1].upper() in names:
                kept.append(line)
    return [*kept, lines[-1]]


def _parsed(lines: Iterable[str]) -> Any:
    own = [Contentline(line) for line in lines]  # type: ignore[no-untyped-call]
    parser = ComponentIcalParser(own, _FACTORY, Calendar.types_factory)
    (found,) = parser.parse()
    return found
