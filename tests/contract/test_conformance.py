"""Every connector does what every connector does; the same list as `huikuan connectors test NAME`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connectors.kit.conformance import CASES, run_case, run_conformance
from connectors.pingcode.fake import PingCodeFake
from connectors.registry import BUILT_IN, ConnectorInfo, connector


def _older_pingcode() -> ConnectorInfo:
    """The same connector against the older generation of paths."""
    found = connector("pingcode")
    return ConnectorInfo(found.system, found.title, found.options, found.build, lambda: PingCodeFake("project"))


APIS = [name for name in BUILT_IN if connector(name).reads == "api"]  # for the others see test_file_conformance
CONNECTORS = {**{name: lambda name=name: connector(name) for name in APIS}, "pingcode-older": _older_pingcode}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("system", CONNECTORS)
def test_conformance(system: str, case: str) -> None:
    result = run_case(CONNECTORS[system](), case)
    if result.outcome == "skipped":
        pytest.skip(result.reason)
    assert result.outcome == "passed", result.reason


def test_the_whole_suite_runs_without_pytest() -> None:
    results = run_conformance("worktile")
    assert [r.name for r in results] == list(CASES)
    assert all(r.reason for r in results if r.outcome == "skipped")


def test_a_connector_that_does_nothing_fails_the_suite() -> None:
    """The suite can fail: a connector that forgets deletions is found out."""
    found = connector("worktile")

    def forgetful(*args, **kwargs):
        source = found.build(*args, **kwargs)
        whole = source._project

        async def without_snapshots(*given):
            pages, mark = await whole(*given)
            return [p for p in pages if not p.snapshot_of], mark

        source._project = without_snapshots
        return source

    broken = ConnectorInfo(found.system, found.title, found.options, forgetful, found.fake)
    assert run_case(broken, "deleted").outcome == "failed"
    assert run_case(broken, "done_is_seen").outcome == "passed"


def test_a_connector_that_keeps_a_milestone_in_its_first_project_fails_the_suite() -> None:
    found, homes = connector("redmine"), dict[str, str]()

    def build(*args, **kwargs):
        source = found.build(*args, **kwargs)
        whole = source.pull

        async def pull(request):
            async for page in whole(request):
                kept = tuple(
                    o._replace(project_key=homes.setdefault(o.milestone_id, o.project_key)) for o in page.observations
                )
                yield replace(page, observations=kept)

        source.pull = pull
        return source

    stuck = ConnectorInfo(found.system, found.title, found.options, build, found.fake)
    assert run_case(stuck, "a_row_changes_project_while_paging").outcome == "failed"
    assert run_case(stuck, "renamed").outcome == "passed"


@pytest.mark.parametrize(
    ("broken", "case"),
    [
        ("believes", "changes_after_a_304"),
        ("reads_all", "unchanged_costs_a_304"),
        ("always_asks", "a_304_is_trusted_only_where_it_was_asked_for"),
    ],
)
def test_a_connector_that_uses_etags_wrongly_fails_the_suite(broken: str, case: str) -> None:
    found = connector("github")

    def build(*args, **kwargs):
        source = found.build(*args, **kwargs)
        if broken == "always_asks":
            ask = source.http.ask
            source.http.ask = lambda method, path, *, headers, **more: ask(
                method, path, headers={"If-None-Match": "x", **headers}, **more
            )
            return source
        listings = source.listings

        async def answer() -> bool:
            return broken == "believes" and bool(source.before.since)

        source.listings = lambda project: [replace(one, unchanged=answer) for one in listings(project)]
        return source

    spoiled = ConnectorInfo(found.system, found.title, found.options, build, found.fake)
    assert run_case(spoiled, case).outcome == "failed"
    assert run_case(spoiled, "one_page").outcome == "passed"
