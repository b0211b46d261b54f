"""A tap: a small program that writes the script's items as Singer messages."""

from __future__ import annotations

import sys
from typing import ClassVar

import orjson

from connectors.kit.folders import RECORD_FIELDS, ScriptedFolder, record

_TAP = """
import json, pathlib, sys
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
config = json.loads(pathlib.Path(given["--config"]).read_text())
script = json.loads(pathlib.Path(config["script"]).read_text())
def say(**message):
    print(json.dumps(message), flush=True)
if script["broken"]:
    print("cannot log in with", config["access"], file=sys.stderr)
    sys.exit(1)
say(type="SCHEMA", stream="users", schema={}, key_properties=[])
say(type="SCHEMA", stream="milestones", schema={"properties": {n: {} for n in script["fields"]}}, key_properties=["key"])
say(type="RECORD", stream="users", record={"key": "u1"})
for row in script["rows"]:
    say(type="RECORD", stream="milestones", record=row)
say(type="STATE", value={"rows": len(script["rows"])})
"""


class SingerFake(ScriptedFolder):
    """tap.py with its config file."""

    system = "singer"
    secrets: ClassVar[tuple[str, ...]] = ("hunter2-of-the-tap",)
    silent_when_unchanged = False

    def settings(self) -> dict[str, object]:
        """The tap, run by the Python that runs us."""
        command = [sys.executable, str(self.folder / "tap.py")]
        return {"command": command, "stream": "milestones", "config": str(self.folder / "config.json"), **RECORD_FIELDS}

    def absent(self) -> dict[str, object]:
        """A tap that is not installed."""
        return self.settings() | {"command": [str(self.folder / "tap-absent")]}

    def write(self) -> None:
        """The tap, and what it is to say."""
        self._write(broken=False)

    def write_broken(self) -> None:
        """A tap that fails, and says a secret."""
        self._write(broken=True)

    def _write(self, *, broken: bool) -> None:
        rows = [record(i) for i in self.here()]
        for row, item in zip(rows, self.here(), strict=True):
            if item.spoiled == "nameless":
                del row["key"]
        fields = ["key", "title", "project", "state", "finished", "by", "due"]
        script, config = self.folder / "script.json", self.folder / "config.json"
        (self.folder / "tap.py").write_text(_TAP, encoding="utf-8")
        script.write_bytes(orjson.dumps({"broken": broken, "rows": rows, "fields": fields}))
        config.write_bytes(orjson.dumps({"script": str(script), "access": self.secrets[0]}))
