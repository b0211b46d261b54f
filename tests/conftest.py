"""What all tests share: the reference material beside the checkout, and a clock that stands still."""

from __future__ import annotations

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
