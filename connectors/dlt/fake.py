"""A module with a dlt source, as a data engineer would have one."""

from __future__ import annotations

import orjson

from connectors.kit.folders import RECORD_FIELDS, ScriptedFolder, record

_MODULE = """
import json, pathlib
import dlt

@dlt.resource(name="milestones")
def milestones():
    script = json.loads((pathlib.Path(__file__).parent / "script.json").read_text())
    if script["broken"]:
        raise ConnectionError("no route, token=hunter2-of-dlt")
    yield script["rows"]

@dlt.resource(name="users")
def users():
    yield [{"key": "u1"}]

@dlt.source
def tracker():
    return [milestones, users]
"""


class DltFake(ScriptedFolder):
    """A module of its own name: Python keeps modules by name."""

    system = "dlt"
    secrets = ("hunter2-of-dlt",)
    silent_when_unchanged = False

    @property
    def module(self) -> str:
        """The module's name."""
        return self.folder.name.replace("-", "_")

    def settings(self) -> dict[str, object]:
        """One resource of the source."""
        named = {"source": f"{self.module}:tracker", "resource": "milestones", "folder": str(self.folder)}
        return {**named, **RECORD_FIELDS}

    def absent(self) -> dict[str, object]:
        """A function that is not there."""
        return self.settings() | {"source": f"{self.module}:tracer"}

    def write(self) -> None:
        """The module, and what it is to yield."""
        self._write(broken=False)

    def write_broken(self) -> None:
        """A resource that fails, and says a secret."""
        self._write(broken=True)

    def _write(self, *, broken: bool) -> None:
        rows = [record(i) for i in self.here()]
        for row, item in zip(rows, self.here(), strict=True):
            if item.spoiled == "nameless":
                del row["key"]
        (self.folder / f"{self.module}.py").write_text(_MODULE, encoding="utf-8")
        (self.folder / "script.json").write_bytes(orjson.dumps({"broken": broken, "rows": rows}))
