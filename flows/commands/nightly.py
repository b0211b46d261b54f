"""`sync`, `demo`, `check`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from connectors.errors import SourceError
from connectors.registry import connector
from connectors.store import Store
from flows import wiring
from flows.commands.shared import (
    command,
    complain,
    day_of,
    err,
    moment_of,
    out,
    print_findings,
    print_json,
    settings,
    table,
)
from flows.commands.sinks import check_sinks, counts_text, show_checks
from flows.commands.stored import look_into_store
from flows.environment import prefect_api
from flows.night import Night, NightOutcome, forbid_posted_replay, run_night, where_in
from flows.settings import ConnectionSettings, Loaded
from flows.steps.bind import unknown_in_files
from flows.steps.contracts import read_files
from models.domain.contracts import Contract
from models.domain.findings import Finding, Place, Severity
from models.domain.money import amount_text, minor_digits
from models.domain.ready import ExceptionLine, NightReport, RecordStatus
from models.domain.trouble import Trouble
from models.domain.words import catalogue, say
from models.ports import PullRequest, Source


@command
def sync(
    config: Path,
    *,
    as_of: str | None,
    only: str | None,
    full: bool,
    dry_run: bool,
    known_at: str | None,
    prefect: bool,
    as_json: bool,
    language: str,
) -> int:
    """The nightly run, once, now."""
    forbid_posted_replay(known_at, dry_run=dry_run)  # before a database is made
    loaded = settings(config)
    if only is not None and only not in loaded.settings.connections:
        known = ", ".join(loaded.settings.connections) or "-"
        err.print(say("cli.unknown_connection", language, name=only, known=known))
        return 2
    day = day_of(as_of, wiring.today(loaded))
    store = wiring.the_store(loaded, create=True)
    with _progress(language) as tell:
        night = wiring.the_night(
            loaded,
            store,
            as_of=day,
            only=only,
            full=full,
            dry_run=dry_run,
            known_at=moment_of(known_at),
            say=lambda step: tell(say(f"cli.step.{step}", language)),
        )
        if not as_json:
            tell(say("cli.with_prefect" if prefect or prefect_api() else "cli.without_prefect", language))
        outcome = _run(night, prefect=prefect)
    store.dispose()
    if as_json:
        print_json(summary(outcome))
    else:
        show(outcome, language, loaded)
    return outcome.exit_code


def _run(night: Night, *, prefect: bool) -> NightOutcome:
    """With Prefect where a server is configured or wanted, else directly: the same steps in the same order."""
    if prefect or prefect_api():
        from flows.nightly import run_with_prefect

        return run_with_prefect(night)
    return asyncio.run(run_night(night))


class _progress:  # noqa: N801 - used like a function
    """A spinner on the terminal's error stream with what is being done; silent when nobody watches."""

    def __init__(self, language: str) -> None:
        del language
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=err,
            transient=True,
            disable=not err.is_terminal,
        )

    def __enter__(self) -> Callable[[str], None]:
        self._bar.start()
        task = self._bar.add_task("…", total=None)
        return lambda text: self._bar.update(task, description=text)

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()


def summary(outcome: NightOutcome) -> dict[str, Any]:
    """`sync --json`."""
    report = outcome.report
    return {
        "run_id": report.run_id,
        "as_of": report.as_of.isoformat(),
        "state": outcome.state,
        "evaluated": outcome.evaluated,
        "posted": outcome.posted.records,
        "withdrawn": outcome.posted.withdrawn,
        "ready": sum(r.status is RecordStatus.READY for r in report.ready),
        "exceptions": len(report.exceptions),
        "open_exceptions": [
            {
                "contract": e.contract,
                "term": e.term,
                "code": e.code,
                "opened_on": e.opened_on.isoformat(),
                "text": exception_text(e, "en"),
            }
            for e in report.exceptions
        ],
        "findings": [
            {"code": f.code, "severity": f.severity.value, "place": str(f.place), "text": f.text("en")}
            for f in report.findings
        ],
        "connections": [
            {
                "name": c.name,
                "system": c.system,
                "state": c.state,
                "seen": c.seen,
                "changed": c.changed,
                "quarantined": c.quarantined,
                "message": c.message("en") or None,
            }
            for c in report.connections
        ],
        "files": [p.name for p in outcome.files],
        "notices": dict(outcome.notices),
        "pushes": dict(outcome.pushes),
        "written_back": dict(outcome.written_back),
    }


def show(outcome: NightOutcome, language: str, loaded: Loaded) -> None:
    """What a person sees after a run."""
    report = outcome.report
    _connections(report, language)
    show_ready(report, language)
    if report.findings:
        out.print(say("cli.findings", language, n=len(report.findings)))
        print_findings(report.findings, language)
    show_exceptions(report.exceptions, language)
    posted = outcome.posted
    out.print(
        say(
            f"cli.done.{outcome.state}",
            language,
            new=posted.records,
            withdrawn=posted.withdrawn,
            evaluated=outcome.evaluated,
        )
    )
    if outcome.pushes:
        out.print(Text(counts_text(outcome.pushes, language, dry_run=outcome.dry_run)))
    if loaded.settings.sinks and outcome.dry_run and outcome.foreseen:
        out.print(say("cli.would_push_new", language, n=outcome.foreseen))
    for path in outcome.files:
        out.print(f"  {path.relative_to(loaded.root) if path.is_relative_to(loaded.root) else path}")


def exception_text(line: ExceptionLine, language: str) -> str:
    """What happened, and to what."""
    title = catalogue(language).get(f"exception.{line.code}", line.code)
    return f"{title}: {line.detail}" if line.detail else title


def show_exceptions(exceptions: Sequence[ExceptionLine], language: str) -> None:
    """What a person must look at: where it stands, since when, what happened."""
    if not exceptions:
        return
    heads = [(say(f"cli.column.{k}", language), "left") for k in ("contract", "term", "opened_on", "message")]
    rows = [(e.contract, e.term, e.opened_on, exception_text(e, language)) for e in exceptions]
    table(say("cli.title.exceptions", language, n=len(exceptions)), heads, rows)


def _connections(report: NightReport, language: str) -> None:
    heads = [
        (say(f"cli.column.{k}", language), j)
        for k, j in (
            ("connection", "left"),
            ("state", "left"),
            ("seen", "right"),
            ("changed", "right"),
            ("quarantined", "right"),
            ("message", "left"),
        )
    ]
    rows = [
        (
            f"{c.name} ({c.system})",
            say(f"cli.pull.{c.state}", language),
            c.seen,
            c.changed,
            c.quarantined,
            c.message(language),
        )
        for c in report.connections
    ]
    if rows:
        table(say("cli.title.connections", language), heads, rows)


def show_ready(report: NightReport, language: str) -> None:
    """The list as a table."""
    living = [
        r for r in report.ready if r.status in (RecordStatus.READY, RecordStatus.AWAITING_APPROVAL, RecordStatus.HELD)
    ]
    if not living:
        out.print(say("cli.nothing_ready", language))
        return
    heads = [
        (say(f"cli.column.{k}", language), j)
        for k, j in (
            ("contract", "left"),
            ("term", "left"),
            ("customer", "left"),
            ("gross", "right"),
            ("ready_on", "left"),
            ("status", "left"),
        )
    ]
    rows = [
        (
            r.contract,
            f"{r.term} {r.name}",
            r.customer,
            f"{r.currency} {amount_text(r.gross, minor_digits(r.currency))}",
            r.ready_on,
            say(f"status.{r.status}", language),
        )
        for r in living
    ]
    table(say("cli.title.ready", language, n=len(living)), heads, rows)


def _demo_night(
    loaded: Loaded, store: Store, day: date, language: str, tell: Callable[[str], None], *, full: bool = False
) -> Night:
    """A night at a fixed moment, under a fixed name."""
    return wiring.the_night(
        loaded,
        store,
        as_of=day,
        now=wiring.demo_moment(day),
        run_id=wiring.demo_run(day),
        full=full,
        say=lambda step: tell(say(f"cli.step.{step}", language)),
    )


def _earlier(night: Night) -> Night:
    """A week before: the older contracts and their project only, and no reports; for the forecast to compare with."""
    from connectors.kit.demo import HISTORY, HISTORY_PROJECT

    return replace(
        night,
        connections=tuple(replace(c, projects=(HISTORY_PROJECT,)) for c in night.connections if c.name == "rd"),
        contract_files=tuple(f for f in night.contract_files if f.name == HISTORY),
        gate=None,
        out_check=None,
        write_reports=lambda _report: (),
    )


@command
def demo(folder: Path, *, prefect: bool, language: str) -> int:
    """The main job against the bundled sandbox: real HTTP on loopback, no account."""
    from connectors.kit.demo import AS_OF, EARLIER, before_the_slip, demo_world, write_demo
    from connectors.kit.sandbox.app import build_app
    from connectors.kit.sandbox.server import served

    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("huikuan.db*"):  # a demo begins anew, so that two of them give the same bytes
        old.unlink()
    world = demo_world()
    with served(build_app(world)) as url, _progress(language) as tell:
        loaded = settings(write_demo(folder, url))
        store = wiring.the_store(loaded, create=True)
        with before_the_slip(world):
            asyncio.run(run_night(_earlier(_demo_night(loaded, store, EARLIER, language, tell))))
        # Everything is pulled again: the night is shown as a company's first one, with what the earlier one knew.
        outcome = _run(_demo_night(loaded, store, AS_OF, language, tell, full=True), prefect=prefect)
        store.dispose()
    out.print(say("cli.demo_intro", language))
    show(outcome, language, loaded)
    out.print(say("cli.demo_next", language, folder=folder))
    return 0


def _unknown_classes(found: Sequence[Contract], loaded: Loaded) -> list[Finding]:
    """Contracts whose customer class has no ladder."""
    from flows.steps.receivables.reminders import class_finding

    return [
        finding
        for c in found
        if "ladder" not in c.rules.stated
        for finding in class_finding(
            c.number, c.rules.customer_class, loaded.ladders, Place(file=c.file, line=c.line, contract=c.number)
        )
    ]


@command
def check(config: Path, language: str, *, as_json: bool) -> int:
    """Verify configuration, contracts, bindings and connections; change nothing."""
    loaded = settings(config)
    found, findings = read_files(loaded.contract_files(), loaded.root)
    stored = look_into_store(loaded, found)
    lines = asyncio.run(_check_connections(loaded, stored.milestones, language))
    sinks = asyncio.run(check_sinks(loaded, language))
    failed = [x for x in lines if x["state"] == "failed"]
    findings += unknown_in_files(found, loaded.settings.connections)
    findings += [*stored.findings, *_bad_channels(loaded), *_unknown_classes(found, loaded)]
    if as_json:
        print_json(
            {
                "contracts": len(found),
                "findings": [
                    {"code": f.code, "severity": f.severity.value, "place": str(f.place), "text": f.text("en")}
                    for f in findings
                ],
                "connections": lines,
                "sinks": sinks,
                "store": stored.as_json(language),
            }
        )
    else:
        out.print(say("cli.check_contracts", language, n=len(found), files=len(loaded.contract_files())))
        print_findings(findings, language)
        for line in lines:
            out.print(Text(say(f"cli.check_{line['state']}", language, **line)))
            for note in line.get("notes", ()):
                out.print(Text(say("cli.check_note", language, note=note)))
        show_checks(sinks, language)
    if stored.trouble is not None:
        complain(stored.trouble.text(language), stored.trouble.help(language), language)
        return 2
    if failed:
        return 3 if found else 2
    waits = any(f.severity is Severity.ERROR for f in findings) or any(x["state"] != "ok" for x in (*lines, *sinks))
    return 1 if waits else 0


def _bad_channels(loaded: Loaded) -> list[Finding]:
    """[[notify]] entries whose URL is none to send over; nothing is sent."""
    from connectors.notify.channel import Channel
    from connectors.notify.errors import NotSent

    found = []
    for number, entry in enumerate(loaded.settings.notify):
        try:
            Channel(entry.url.get_secret_value()).check()
        except NotSent as problem:
            place = Place(file=loaded.file, path=f"notify[{number}].url")
            found.append(Finding("NOTIFY_URL", place=place, params={"role": entry.role, "why": str(problem)}))
    return found


async def _check_connections(loaded: Loaded, stored: Mapping[str, int], language: str) -> list[dict[str, Any]]:
    lines = await asyncio.gather(*(_check(name, loaded, language) for name in loaded.settings.connections))
    return [line | _milestones(line, stored, language) for line in lines]


def _milestones(line: Mapping[str, Any], stored: Mapping[str, int], language: str) -> dict[str, Any]:
    """How many milestones there are: what the system told, else what the last pull left, and which of both."""
    if line["state"] == "failed":
        return {}
    told = line["milestones"]
    number = stored.get(line["name"]) if told is None else told
    where = "told" if told is not None else "last_pull" if number is not None else "not_yet"
    shown = say(f"cli.check_milestones.{where}", language, n=number)
    return {"milestones": number, "milestones_from": where, "milestones_shown": shown}


def _failed(told: Trouble, language: str) -> dict[str, Any]:
    return {"state": "failed", "message": told.text(language), "advice": told.advice(language)}


async def _check(name: str, loaded: Loaded, language: str) -> dict[str, Any]:
    configured = loaded.settings.connections[name]
    line: dict[str, Any] = {"name": name, "system": configured.system, "state": "ok"}
    try:
        source = wiring.build_source(name, configured, loaded.root)
        async with source:
            found = await source.check()
            if not found.missing:
                await _begin_to_pull(source, configured)
    except SourceError as problem:
        return line | _failed(problem.trouble, language)
    except Exception as problem:  # noqa: BLE001 - whatever a connector raises, the other lines are printed
        return line | _failed(Trouble("connector_bug", params={"what": where_in(problem)}), language)
    words = catalogue(language)
    aside = [say("cli.check_aside", language, n=found.facts["rejected"])] if "rejected" in found.facts else []
    return line | {
        "state": "lacking" if found.missing else "ok",
        "projects": found.projects,
        "milestones": found.milestones,
        "account": found.account,
        "rate_left": found.rate_left or "?",
        "missing": ", ".join(found.missing) or "-",
        "notes": [words.get(f"source_note.{n}", n) for n in found.notes] + aside,
        "facts": dict(found.facts),
    }


async def _begin_to_pull(source: Source, configured: ConnectionSettings) -> None:
    """What only a pull finds out: projects that are not there, lists that may not be read. Raises SourceError.

    Of a system the first page is asked for; files are read through, where projects of them are named.
    """
    projects = () if configured.projects == "all" else tuple(configured.projects)
    online = connector(configured.system).reads == "api"
    if not (online or projects):
        return
    pages = source.pull(PullRequest(projects, None, full=True, now=wiring.utc_now()))
    try:
        async for _ in pages:
            if online:
                return
    finally:
        if isinstance(pages, AsyncGenerator):
            await pages.aclose()
