"""Every file source does what every file source does; the same list as `huikuan connectors test NAME`."""

from __future__ import annotations

import pytest

from connectors.kit.conformance import run_case, run_conformance
from connectors.kit.file_conformance import FILE_CASES
from connectors.registry import BUILT_IN, ConnectorInfo, connector

SYSTEMS = [s for s in BUILT_IN if connector(s).reads == "files"]


@pytest.mark.parametrize("case", FILE_CASES)
@pytest.mark.parametrize("system", SYSTEMS)
def test_conformance(system: str, case: str) -> None:
    result = run_case(connector(system), case)
    if result.outcome == "skipped":
        pytest.skip(result.reason)
    assert result.outcome == "passed", result.reason


def test_the_suite_for_files_is_chosen_by_itself() -> None:
    assert [r.name for r in run_conformance("table")] == list(FILE_CASES)


def test_a_source_that_forgets_what_is_gone_fails_the_suite() -> None:
    found = connector("table")

    def forgetful(*args, **kwargs):
        source = found.build(*args, **kwargs)
        whole = source.pull

        async def pull(request):
            async for page in whole(request):
                if not page.snapshot_of:
                    yield page

        source.pull = pull
        return source

    broken = ConnectorInfo(found.system, found.title, found.options, forgetful, found.fake, reads="files")
    assert run_case(broken, "deleted").outcome == "failed"
    assert run_case(broken, "done_is_seen").outcome == "passed"
