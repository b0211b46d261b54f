from __future__ import annotations

import shutil

import pytest


@pytest.fixture
def soffice() -> str:
    """LibreOffice, which calculates and prints as a second opinion; a visible skip where it is absent."""
    found = shutil.which("soffice")
    if found is None:
        pytest.skip("LibreOffice (soffice) is not installed: apt-get install libreoffice-calc")
    return found
