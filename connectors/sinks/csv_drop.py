"""Files in a folder: one for each record and kind, named by its key, complete the moment it is there."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from connectors.errors import SourceConfig, SourceUnavailable
from connectors.registry import Option
from connectors.reports.text import disarmed
from connectors.sinks.registry import SinkInfo
from models.domain.pushes import Push, Pushed

KEYS = (
    "message", "record_id", "contract", "term", "name", "customer", "customer_tax_id", "currency", "gross", "net", "tax",
    "ready_on", "noticed_on", "due_on", "withdrawn_on", "occurrence",
)  # fmt: skip
_OURS = frozenset({"gross", "net", "tax"})  # digits only: a minus sign here is a number, not a formula


class CsvDrop:
    """One folder."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self._folder = name, folder

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def check(self) -> str:
        """Raises SourceConfig where nothing can be written; the folder is not made."""
        if not self._folder.is_dir():
            raise SourceConfig("drop_folder", folder=self._folder.name)
        if not os.access(self._folder, os.W_OK | os.X_OK):
            raise SourceConfig("drop_denied", folder=self._folder.name)
        return self._folder.name

    async def push(self, push: Push) -> Pushed:
        """Write the file, unless it is there."""
        target = self._folder / f"{push.kind}-{push.key}.csv"
        if target.exists():
            return Pushed(target.name, found=True)
        part = target.with_name(f".{target.name}.part")
        try:
            with part.open("wb") as file:
                file.write(_csv(push))
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        except OSError as problem:
            raise SourceUnavailable("drop_failed", why=problem.strerror or type(problem).__name__) from problem
        return Pushed(target.name)


def _csv(push: Push) -> bytes:
    """A head and one row; UTF-8 with a byte order mark, so that Excel reads Chinese."""
    values = {"message": push.kind.value, **push.as_json()}
    row = [_cell(key, values[key]) for key in KEYS]
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows([KEYS, row])
    return b"\xef\xbb\xbf" + out.getvalue().encode("utf-8", errors="replace")


def _cell(key: str, value: object) -> str:
    text = "" if value is None else str(value)
    return text if key in _OURS else disarmed(text)


def build(
    name: str, options: Mapping[str, Any], *, clock: Callable[..., Any] | None = None, transport: object = None
) -> CsvDrop:
    """A folder needs neither clock nor transport."""
    del clock, transport
    return CsvDrop(name, Path(options["folder"]))


SINK = SinkInfo("csv_drop", "CSV", (Option("folder", required=True, default="", path=True),), build)
