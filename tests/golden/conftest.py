"""What golden tests share: the reference material kept beside the checkout, where there is any."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def shared_dir() -> Path:
    """The folder `shared` beside the checkout; a test that needs it is skipped, visibly, where it is absent."""
    for place in (ROOT.parent / "shared", ROOT.parent.parent / "shared"):
        if (place / "golden").is_dir():
            return place
    pytest.skip("the reference material is not beside this checkout")
