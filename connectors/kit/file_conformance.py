"""What every source of files or of a program's records must be able to do; run by `connectors.kit.conformance`.

What has no meaning without a network (credentials, throttling, outages, tokens) is not here, rather than
skipped a dozen times; the cases of the milestones themselves are the same as for every other source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from connectors.errors import SourceConfig, SourceError
from connectors.kit.conformance import CASES, Bench, Known, NotConforming
from connectors.kit.folders import ScriptedFolder


def _folder(bench: Bench) -> ScriptedFolder:
    if not isinstance(bench.vendor, ScriptedFolder):
        raise NotConforming("the fake of a file source is a ScriptedFolder")
    return bench.vendor


def _demand(*, holds: bool, otherwise: str) -> None:
    if not holds:
        raise NotConforming(otherwise)


def options_are_declared(bench: Bench) -> None:
    """Missing and unknown keys are told by name."""
    good = bench.vendor.options()
    for option in bench.info.options:
        if option.required:
            bench.fails(SourceConfig, lambda o=option: bench.source({k: v for k, v in good.items() if k != o.name}))  # type: ignore[misc]
    key = next(iter(good))
    problem = bench.fails(SourceConfig, lambda: bench.source({**good, f"{key}y": "x"}))
    _demand(holds=key in problem.advice, otherwise="the closest valid key is not named")


def check_says_what_is_seen(bench: Bench) -> None:
    """Two projects, two milestones."""
    bench.vendor.add("初验")
    bench.vendor.add("终验", 1)
    found = bench.check()
    _demand(holds=found.projects == 2, otherwise=f"{found.projects} projects, where 2 are there")
    _demand(holds=found.milestones == 2, otherwise=f"{found.milestones} milestones, where 2 are there")
    _demand(holds=bool(found.account), otherwise="what was read is not named")


def absent_source_is_named(bench: Bench) -> None:
    """A file or program that is not there is a mistake in the configuration, and not an empty list."""
    folder = _folder(bench)
    folder.options()
    bench.fails(SourceConfig, lambda: bench.check(folder.absent()))


def unknown_project_is_named(bench: Bench) -> None:
    """A project that is nowhere in the files is a mistake, with the closest that is."""
    bench.vendor.add("初验")
    problem = bench.fails(SourceConfig, lambda: bench.pull(projects=("ALPHAA",)))
    _demand(holds="alpha" in problem.advice.lower(), otherwise="the closest project is not named")


def one_project_of_two(bench: Bench) -> None:
    """`projects` narrows; what is outside is neither told nor taken for deleted."""
    inside, outside = bench.vendor.add("初验"), bench.vendor.add("终验", 1)
    bench.pull()
    bench.pull(projects=("ALPHA",), full=True)
    _demand(holds=not bench.seen(inside).deleted, otherwise="a milestone inside was taken for deleted")
    _demand(holds=not bench.seen(outside).deleted, otherwise="a milestone of another project was taken for deleted")
    _demand(holds=bench.known.told == 1, otherwise=f"{bench.known.told} milestones were told, where 1 was asked for")


def unchanged_source_yields_nothing(bench: Bench) -> None:
    """Files whose bytes are the same are not told again; with `full` they are."""
    bench.item()
    bench.pull()
    quiet = _folder(bench).silent_when_unchanged
    _demand(holds=not (quiet and bench.known.told), otherwise="an unchanged file was told again")
    _demand(holds=not bench.known.news, otherwise="an unchanged source brought news")
    bench.pull(full=True)
    _demand(holds=bench.known.told == 1, otherwise="a full pull did not tell everything")


def broken_source_changes_nothing(bench: Bench) -> None:
    """What cannot be read is an error with advice, without a secret; then all goes on."""
    item = bench.item()
    cursor = bench.known.cursor
    bench.at(7200)
    _folder(bench).broken = True
    bench.fails(SourceError, bench.pull)
    _demand(holds=bench.known.cursor == cursor, otherwise="the cursor moved with a pull that failed")
    _folder(bench).broken = False
    bench.vendor.finish(item)
    bench.pull()
    _demand(holds=bench.seen(item).done, otherwise="after the error nothing came any more")


def row_without_an_id(bench: Bench) -> None:
    """It may be any of the known ones: none of them is taken for deleted."""
    bench.item()
    lost = bench.item("终验")
    bench.at(7200)
    lost.spoiled = "nameless"
    bench.pull()
    key = bench.vendor.milestone_id(lost)
    _demand(
        holds=not bench.known.milestones[key].deleted,
        otherwise="a milestone was taken for deleted whose row lost its id",
    )
    _demand(holds="None" in bench.known.rejected, otherwise="a row without an id was not put aside")


def a_new_reader_sees_the_same(bench: Bench) -> None:
    """A cursor of another configuration (or none) reads everything."""
    item = bench.item()
    bench.known = Known()
    bench.pull()
    bench.seen(item)


_SHARED = (
    "nothing_there", "one_page", "many_pages", "second_pull_brings_nothing_new", "incremental_equals_full",
    "cursor_from_the_future", "unreadable_cursor", "done_is_seen", "done_by", "zone_edge", "reopened", "done_again",
    "deleted", "the_last_one_deleted", "renamed", "moved", "proof_field_missing", "proof_field_of_another_type",
)  # fmt: skip
FILE_CASES: Mapping[str, Callable[[Bench], None]] = {
    "options_are_declared": options_are_declared,
    "check_says_what_is_seen": check_says_what_is_seen,
    "absent_source_is_named": absent_source_is_named,
    "unknown_project_is_named": unknown_project_is_named,
    "one_project_of_two": one_project_of_two,
    "unchanged_source_yields_nothing": unchanged_source_yields_nothing,
    "broken_source_changes_nothing": broken_source_changes_nothing,
    "row_without_an_id": row_without_an_id,
    "a_new_reader_sees_the_same": a_new_reader_sees_the_same,
    **{name: CASES[name] for name in _SHARED},
}
