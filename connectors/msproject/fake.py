"""Plans as Microsoft Project writes them, one file a project."""

from __future__ import annotations

from typing import ClassVar
from xml.sax.saxutils import escape

from connectors.kit.fakes import PROJECTS, Item
from connectors.kit.folders import ScriptedFolder, china, planned


class MsProjectFake(ScriptedFolder):
    """ALPHA.xml and BETA.xml."""

    system = "mspdi"
    skips: ClassVar[dict[str, str]] = {
        "done_by": "a plan does not say who completed a task",
        "moved": "a task that is pasted into another plan is a new task there, with another UID",
    }

    def settings(self) -> dict[str, object]:
        """Both plans."""
        return {"path": [str(self.folder / "*.xml")]}

    def absent(self) -> dict[str, object]:
        """A plan that is not there."""
        return {"path": [str(self.folder / "GAMMA.xml")]}

    def next_id(self) -> str:
        """UIDs are small numbers."""
        return str(len(self.items) + 1)

    def milestone_id(self, item: Item) -> str:
        """A UID within its plan."""
        return f"{PROJECTS[item.project][0]}/{item.id}"

    def write(self) -> None:
        """Both plans."""
        for number, (key, name) in enumerate(PROJECTS):
            tasks = "".join(map(_task, self.here(number)))
            (self.folder / f"{key}.xml").write_text(_PLAN.format(name=escape(name), tasks=tasks), encoding="utf-8")

    def write_broken(self) -> None:
        """A plan that was only written in part."""
        (self.folder / "ALPHA.xml").write_text("<Project><Tasks><Task><UID>1</UID>", encoding="utf-8")


def _task(item: Item) -> str:
    uid = "" if item.spoiled == "nameless" else f"<UID>{item.id}</UID>"
    percent = {"missing": "", "retyped": "<PercentComplete>soon</PercentComplete>"}.get(
        item.spoiled, f"<PercentComplete>{100 if item.done else 0}</PercentComplete>"
    )
    finish = f"<ActualFinish>{china(item.done_at)}</ActualFinish>" if item.done and item.done_at else ""
    return (
        f"<Task>{uid}<ID>{item.id}</ID><Name>{escape(item.name)}</Name><IsNull>0</IsNull><OutlineLevel>1</OutlineLevel>"
        f"<Finish>{planned(item)}T17:00:00</Finish><Milestone>1</Milestone><Summary>0</Summary>{percent}{finish}</Task>\n"
    )


_PLAN = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Project xmlns="http://schemas.microsoft.com/project"><SaveVersion>14</SaveVersion><Name>{name}</Name><Title>{name}</Title>
<Tasks><Task><UID>0</UID><ID>0</ID><Name>{name}</Name><OutlineLevel>0</OutlineLevel><Milestone>0</Milestone><Summary>1</Summary>
<PercentComplete>0</PercentComplete></Task>
{tasks}</Tasks></Project>
"""
