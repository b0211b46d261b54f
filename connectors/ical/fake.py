"""Two calendars of to-dos."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

from connectors.kit.fakes import PROJECTS, Item
from connectors.kit.folders import ScriptedFolder, planned


class IcalFake(ScriptedFolder):
    """ALPHA.ics and BETA.ics."""

    system = "icalendar"
    skips: ClassVar[dict[str, str]] = {"done_by": "a calendar does not say who completed a to-do"}

    def settings(self) -> dict[str, object]:
        """Both calendars."""
        return {"path": [str(self.folder / "*.ics")], "project": "file"}

    def absent(self) -> dict[str, object]:
        """A calendar that is not there."""
        return {"path": [str(self.folder / "GAMMA.ics")]}

    def write(self) -> None:
        """Both calendars."""
        for number, (key, name) in enumerate(PROJECTS):
            lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//huikuan//fake//", f"X-WR-CALNAME:{name}"]
            for item in self.here(number):
                lines += _todo(item)
            text = "\r\n".join([*lines, "END:VCALENDAR", ""])
            (self.folder / f"{key}.ics").write_bytes(text.encode())

    def write_broken(self) -> None:
        """No calendar."""
        (self.folder / "ALPHA.ics").write_text("it works!", encoding="utf-8")


def _todo(item: Item) -> list[str]:
    lines = ["BEGIN:VTODO", f"DUE;VALUE=DATE:{planned(item).replace('-', '')}"]
    lines += [] if item.spoiled == "nameless" else [f"UID:{item.id}"]
    lines += [] if item.spoiled == "missing" else [f"SUMMARY:{item.name.replace(';', chr(92) + ';')}"]
    state = "FROBNICATED" if item.spoiled == "retyped" else "COMPLETED" if item.done else "NEEDS-ACTION"
    lines += [f"STATUS:{state}", f"PERCENT-COMPLETE:{100 if item.done else 0}"]
    if item.done and item.done_at:
        lines += [f"COMPLETED:{datetime.fromtimestamp(item.done_at, UTC):%Y%m%dT%H%M%SZ}"]
    return [*lines, "END:VTODO"]
