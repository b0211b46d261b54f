"""What all tests share: the reference material beside the checkout, and a clock that stands still."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The reference material kept beside the checkout; a test that needs it is skipped, visibly, without."""
    for place in (ROOT.parent / "shared", ROOT.parent.parent / "shared"):
        if (place / "golden").is_dir():
            return place
    pytest.skip("the reference material is not beside this checkout")


_skipped: list[tuple[str, str]] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember what was skipped, and why."""
    if report.skipped and isinstance(report.longrepr, tuple):
        _skipped.append((report.nodeid, str(report.longrepr[2])))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI a test is skipped only for a reason on the committed list."""
    if not os.environ.get("CI") or exitstatus or hasattr(session.config, "workerinput"):
        return
    lines = (ROOT / "tests" / "skips_allowed.txt").read_text(encoding="utf-8").splitlines()
    allowed = [x for x in lines if x and not x.startswith("#")]
    surprises = [(name, why) for name, why in _skipped if not any(a in why for a in allowed)]
    for name, why in surprises:
        sys.stderr.write(f"skipped without leave: {name}: {why}\n")
    if surprises:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
