"""A scripted folder: what the fakes of file sources have in common. The same script as a vendor's, told in files."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import httpx

from connectors.kit.fakes import PROJECTS, Item, ScriptedVendor

CHINA = timezone(timedelta(hours=8))
BY = 2  # the place of the person in an item's history


class ScriptedFolder(ScriptedVendor):
    """Files that the script writes anew whenever a source is made; a subclass writes its own format."""

    secrets: ClassVar[tuple[str, ...]] = ()
    #: Do the bytes decide whether anything is read? A program has to be asked.
    silent_when_unchanged: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._kept = TemporaryDirectory(prefix="huikuan-fake-")
        self.folder = Path(self._kept.name)
        self.broken = False

    def options(self, **changes: object) -> dict[str, object]:
        """The keys of a working connection; the files are as the script says."""
        if self.broken:
            self.write_broken()
        else:
            self.write()
        return {**self.settings(), **changes}

    def settings(self) -> dict[str, object]:
        """The keys of a working connection."""
        raise NotImplementedError

    def absent(self) -> dict[str, object]:
        """The same, with a file or program that is not there."""
        raise NotImplementedError

    def write(self) -> None:
        """Write what stands in the script."""
        raise NotImplementedError

    def write_broken(self) -> None:
        """Write something that is not of this format."""
        raise NotImplementedError

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Nobody asks over a network."""
        raise AssertionError(f"{request.method} {request.url.path}: a file source asks nobody")

    def here(self, project: int | None = None) -> list[Item]:
        """The items that are there, of one project or all."""
        return [i for i in self.items.values() if not i.removed and project in (None, i.project)]


def china(seconds: int) -> str:
    """An instant as a clock in China shows it, without its zone."""
    return datetime.fromtimestamp(seconds, CHINA).strftime("%Y-%m-%dT%H:%M:%S")


def planned(item: Item) -> str:
    """The day on which the script plans an item."""
    return "2026-12-31" if item.project == 0 else "2027-01-31"


def record(item: Item) -> dict[str, Any]:
    """An item as a record of no vendor in particular."""
    by = item.history[-1][BY] if item.done and item.history else None
    found: dict[str, Any] = {
        "key": item.id,
        "title": item.name,
        "project": PROJECTS[item.project][0],
        "state": {"name": "完成" if item.done else "进行中"},
        "finished": china(item.done_at) if item.done and item.done_at else None,
        "by": by,
        "due": planned(item),
    }
    if item.spoiled:
        found["state"] = {} if item.spoiled == "missing" else {"name": {"a": 1}}
    return found


#: How `record` is read.
RECORD_FIELDS = {
    "id_field": "key", "name_field": "title", "project_field": "project", "done_field": "state.name",
    "done_values": ["完成"], "date_field": "finished", "person_field": "by", "planned_field": "due", "whole": True,
}  # fmt: skip
