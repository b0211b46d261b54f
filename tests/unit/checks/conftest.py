"""What the tests of the checks share: quiet Great Expectations, sound rows to spoil."""

from __future__ import annotations

import pytest

from flows.environment import be_quiet
from flows.steps.checks import Checks
from tests.unit.checks.rows import NOW

be_quiet()


@pytest.fixture
def checks() -> Checks:
    return Checks(NOW)
