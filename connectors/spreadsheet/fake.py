"""A progress table as people keep it: one CSV file."""

from __future__ import annotations

import csv

from connectors.kit.fakes import PROJECTS, Item
from connectors.kit.folders import BY, ScriptedFolder, china, planned

HEADS = ("编号", "里程碑", "项目", "状态", "完成时间", "负责人", "计划日期", "备注")


class SpreadsheetFake(ScriptedFolder):
    """progress.csv."""

    system = "table"

    def settings(self) -> dict[str, object]:
        """Its columns."""
        return {
            "path": [str(self.folder / "progress.csv")], "id_field": "编号", "name_field": "里程碑", "project_field": "项目",
            "done_field": "状态", "done_values": ["已完成"], "open_values": ["进行中"], "date_field": "完成时间",
            "person_field": "负责人", "planned_field": "计划日期",
        }  # fmt: skip

    def absent(self) -> dict[str, object]:
        """A file that is not there."""
        return self.settings() | {"path": [str(self.folder / "progres.csv")]}

    def write(self) -> None:
        """All rows."""
        with (self.folder / "progress.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(HEADS)
            writer.writerows(map(_row, self.here()))

    def write_broken(self) -> None:
        """Bytes in no encoding."""
        (self.folder / "progress.csv").write_bytes(b"\xff\xff\xff\xff")


def _row(item: Item) -> tuple[str, ...]:
    state = {"missing": "", "retyped": "42"}.get(item.spoiled, "已完成" if item.done else "进行中")
    return (
        "" if item.spoiled == "nameless" else item.id,
        item.name,
        PROJECTS[item.project][0],
        state,
        china(item.done_at) if item.done and item.done_at else "",
        str(item.history[-1][BY]) if item.done and item.history else "",
        planned(item),
        "",
    )
