"""A plan of 100 MB in Microsoft Project XML: memory beyond the base process, and seconds, of one whole pull.

python bench/plan_file.py [MEGABYTES]
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from connectors.msproject import CONNECTOR
from models.ports import PullRequest

HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<Project xmlns="http://schemas.microsoft.com/project"><Title>big</Title><Tasks>\n'
ASSIGNMENT = "<TimephasedData><Type>1</Type><UID>{0}</UID><Start>2026-01-01T08:00:00</Start><Finish>2026-01-02T08:00:00</Finish><Unit>2</Unit><Value>PT8H0M0S</Value></TimephasedData>"
TASK = (
    "<Task><UID>{0}</UID><ID>{0}</ID><Name>里程碑 {0}</Name><Type>0</Type><IsNull>0</IsNull><WBS>1.{0}</WBS><OutlineNumber>1.{0}</OutlineNumber>"
    "<OutlineLevel>1</OutlineLevel><Start>2026-01-01T08:00:00</Start><Finish>2026-11-20T17:00:00</Finish><Duration>PT0H0M0S</Duration>"
    "<Milestone>{1}</Milestone><Summary>0</Summary><PercentComplete>100</PercentComplete><ActualFinish>2026-11-20T17:00:00</ActualFinish>"
    "<Notes>…</Notes><Baseline><Number>0</Number><Finish>2026-10-01T17:00:00</Finish></Baseline>"
    + ASSIGNMENT * 3
    + "</Task>\n"
)


def write(file: Path, size: int) -> int:
    """A plan of so many bytes; half of its tasks are milestones."""
    tasks = 0
    with file.open("w", encoding="utf-8") as stream:
        stream.write(HEAD)
        while stream.tell() < size:
            tasks += 1
            stream.write(TASK.format(tasks, tasks % 2))
        stream.write("</Tasks></Project>\n")
    return tasks


async def pull(file: Path) -> int:
    """How many milestones a whole pull brings."""
    now = datetime(2026, 11, 23, tzinfo=UTC)
    seen = 0
    async with CONNECTOR.build("c", {"path": [str(file)]}, clock=lambda: now) as source:
        async for page in source.pull(PullRequest((), None, full=False, now=now)):
            seen += len(page.observations)
    return seen


def peak() -> float:
    """MiB that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    size = int(sys.argv[1] if len(sys.argv) > 1 else 100) * 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "big.xml"
        tasks = write(file, size)
        base, begin = peak(), time.perf_counter()
        seen = asyncio.run(pull(file))
        seconds = time.perf_counter() - begin
        size = file.stat().st_size
    print(
        f"{size / 1e6:.0f} MB, {tasks} tasks, {seen} milestones: {seconds:.1f} s, {peak() - base:.1f} MiB beyond {base:.1f}"
    )
    if seen != (tasks + 1) // 2 or peak() - base > 300:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
