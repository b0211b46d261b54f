"""The composition root: the only place that picks real things for ports, and the only one with a clock."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection as DbConnection

from connectors.calendars import calendar_specs
from connectors.errors import SourceConfig
from connectors.http.hooks import Hook
from connectors.registry import connector, rooted
from connectors.store import Store, open_store
from flows.night import Connection, Night, Pusher, Sooner, WriteBack, run_sooner
from flows.settings import ConnectionSettings, Loaded
from flows.steps.receivables.reminders import ReminderRules
from models.domain.ready import NAMESPACE, NightReport
from models.ports import Commenter, Source

if TYPE_CHECKING:
    from flows.steps.checks import Checks
    from flows.steps.push import Configured, PushOutcome


def utc_now() -> datetime:
    """The moment."""
    return datetime.now(UTC)


def epoch_now() -> int:
    """The moment in whole seconds."""
    return int(time.time())


def demo_moment(day: date) -> datetime:
    """The demo's evening, so that two demos give the same bytes."""
    return datetime(day.year, day.month, day.day, 10, 30, tzinfo=UTC)


def demo_run(day: date) -> str:
    """The demo's run, the same every time."""
    return str(uuid.uuid5(NAMESPACE, f"demo\x1f{day}"))


def today(loaded: Loaded) -> date:
    """Today where the company is."""
    return utc_now().astimezone(ZoneInfo(loaded.settings.company.timezone)).date()


def code_version() -> str:
    """The version of huikuan that runs."""
    try:
        return version("huikuan")
    except PackageNotFoundError:
        return "source"


def the_store(loaded: Loaded, *, create: bool = False) -> Store:
    """The configured store."""
    return open_store(loaded.store_url, create=create)


def build_source(name: str, settings: ConnectionSettings, root: Path) -> Source:
    """The source of a connection; its paths begin at `root`. Raises SourceConfig where its keys are wrong."""
    info = connector(settings.system)
    return info.build(name, rooted(info, settings.options, root), clock=utc_now)


def connections(loaded: Loaded, only: str | None = None) -> tuple[Connection, ...]:
    """The configured connections, or the one named."""
    return tuple(
        Connection(
            name,
            s.system,
            partial(build_source, name, s, loaded.root),
            () if s.projects == "all" else tuple(s.projects),
        )
        for name, s in loaded.settings.connections.items()
        if only in (None, name)
    )


def the_night(
    loaded: Loaded,
    store: Store,
    *,
    as_of: date | None = None,
    only: str | None = None,
    part: Sequence[str] = (),
    full: bool = False,
    dry_run: bool = False,
    known_at: datetime | None = None,
    now: datetime | None = None,
    run_id: str | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> Night:
    """A run with everything real in its place. `part`: of the `only` connection just these projects."""
    from flows.steps.checks import Checks

    moment = now or utc_now()
    run = loaded.settings.run
    checks = Checks(moment, run.drop_ratio, run.stale_days)
    return Night(
        run_id=run_id or str(uuid.uuid4()),
        as_of=as_of or today(loaded),
        now=moment,
        zone=ZoneInfo(loaded.settings.company.timezone),
        recorded_at=int(utc_now().timestamp() * 1_000_000),
        store=store,
        connections=tuple(
            replace(c, projects=tuple(part), part=True) if part else c for c in connections(loaded, only)
        ),
        configured=frozenset(loaded.settings.connections),
        contract_files=tuple(loaded.contract_files()),
        root=loaded.root,
        calendars=calendar_specs,
        language=loaded.settings.reports.language,
        code_version=code_version(),
        lease_seconds=run.lease_seconds,
        clock=epoch_now,
        write_reports=partial(_write_reports, loaded.out, checks),
        notify=_notifier(loaded, store),
        push=_pusher(loaded, store) if loaded.settings.sinks else None,
        write_back=_writer(loaded, store),
        gate=checks.gate if run.checks else None,
        on_news=checks.make_ready if run.checks else _nothing,
        threshold=loaded.settings.forecast.threshold,
        out_check=checks.out_check if run.checks else None,
        reminders=_reminder_rules(loaded),
        dask=run.dask,
        config=str((loaded.root / loaded.file).resolve()),
        full=full,
        dry_run=dry_run,
        known_at=None if known_at is None else int(known_at.timestamp() * 1_000_000),
        say=say,
    )


def the_hooks(loaded: Loaded) -> dict[str, tuple[Hook, str]]:
    """Connections that listen for webhooks: how their vendor signs, and the secrets, one a line."""
    given = {n: (s.system, s.hook_secret) for n, s in loaded.settings.connections.items()}
    return {n: (connector(system).hook, s.get_secret_value()) for n, (system, s) in given.items() if s is not None}


def hook_of(loaded: Loaded, name: str) -> tuple[Hook, str]:
    """How the vendor of a connection signs, before there is a secret."""
    return connector(loaded.settings.connections[name].system).hook, ""


def pull_sooner(loaded: Loaded, store: Store, name: str, part: tuple[str, ...]) -> Sooner:
    """Pull some projects of a connection (none: all), match and post, now. Contract files are looked for anew.

    Projects that are not configured (any more) are not asked for by name.
    """
    configured = loaded.settings.connections[name].projects
    if part and configured != "all":
        from flows.steps.hints import within

        part = within(store, name, part, configured)
    return asyncio.run(run_sooner(the_night(loaded, store, only=name, part=part)))


def _reminder_rules(loaded: Loaded) -> ReminderRules:
    """The ladders, and each mail entry of role customer_payer that listens to `overdue`."""
    from connectors.notify.channel import Channel

    ways = [
        None if entry.contracts is None else frozenset(entry.contracts)
        for entry in loaded.settings.notify
        if entry.role == "customer_payer" and "overdue" in entry.on and Channel(entry.url.get_secret_value()).is_mail
    ]
    return ReminderRules(loaded.ladders, tuple(ways))


def _nothing() -> None:
    """Nothing has to be made ready."""


def _write_reports(folder: Path, checks: Checks, report: NightReport) -> Sequence[Path]:
    from connectors.reports import write_all

    docs = checks.write_docs(folder)
    return write_all(replace(report, data_docs=docs), folder, ("zh-CN", "en")).paths


def sinks(loaded: Loaded) -> list[Configured]:
    """The configured sinks; building one may raise SourceConfig."""
    from connectors.sinks.registry import built
    from flows.steps.push import Configured

    return [
        Configured(name, s.kind, partial(built, name, s.kind, s.options, loaded.root, utc_now))
        for name, s in loaded.settings.sinks.items()
    ]


def _pusher(loaded: Loaded, store: Store) -> Pusher:
    """Owe the sinks what is on the list, and send what is owed; a dry run only counts."""

    async def push(report: NightReport, prolong: Callable[[DbConnection], None], *, dry_run: bool) -> PushOutcome:
        from flows.steps.push import PushOutcome, owe, send, would_owe

        configured = sinks(loaded)
        names = [s.name for s in configured]
        if dry_run:
            return PushOutcome(would_owe(store, names, report))
        owe(store, names, report, epoch_now())
        return await send(store, configured, report, epoch_now, prolong)

    return push


def _writer(loaded: Loaded, store: Store) -> WriteBack | None:
    """Comments into the connections that want them; None where there is none."""
    switched = {n: frozenset(s.write_back) for n, s in loaded.settings.connections.items() if s.write_back}
    if not switched:
        return None

    async def using(name: str, each: Callable[[Commenter], Awaitable[None]]) -> None:
        entry = loaded.settings.connections[name]
        commenter = connector(entry.system).commenter
        if commenter is None:
            raise SourceConfig("takes_no_comments", connection=name, system=entry.system)
        async with build_source(name, entry, loaded.root) as source:
            await each(commenter(source))

    async def write(still_ours: Callable[[Any], None], recorded_at: int) -> Mapping[str, int]:
        from flows.steps.write_back import Writing, write_back

        reports = loaded.settings.reports
        writing = Writing(store, epoch_now, reports.language, reports.base_link, still_ours)
        return (await write_back(writing, switched, recorded_at, using)).counts()

    return write


def _notifier(loaded: Loaded, store: Store) -> Callable[[NightReport], Awaitable[Mapping[str, int]]]:
    """Owe the night's notices and drain the outbox over the configured channels."""

    async def notify(report: NightReport) -> Mapping[str, int]:
        from connectors.notify.channel import Channel
        from flows.steps.notify import drain, owe_news
        from models.domain.notice_texts import Recipient
        from models.domain.notices import Role

        recipients, channels = [], {}
        for number, entry in enumerate(loaded.settings.notify):
            name = entry.name or f"{entry.role}-{number + 1}"
            language = entry.language or loaded.settings.reports.language
            only = None if entry.contracts is None else frozenset(entry.contracts)
            channel = Channel(entry.url.get_secret_value())
            on = frozenset(entry.on)
            recipients.append(Recipient(name, Role(entry.role), on, language, only, personal=channel.is_mail))
            channels[name] = channel
            role = f"role:{entry.role}"  # who writes to contacts, or stands in for an entry that is gone
            channels[role] = channel if channel.is_mail else channels.get(role, channel)
        owe_news(store, report, recipients, epoch_now())
        return drain(store, channels, loaded.out, epoch_now).counts()

    return notify
