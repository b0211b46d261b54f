"""The composition root: the only place that picks real things for ports, and the only one with a clock."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from connectors.calendars import calendar_specs
from connectors.registry import connector, rooted
from connectors.store import Store, open_store
from flows.night import Connection, Night
from flows.settings import ConnectionSettings, Loaded
from flows.steps.receivables.reminders import ReminderRules
from models.domain.ready import NAMESPACE, NightReport
from models.ports import Source

if TYPE_CHECKING:
    from flows.steps.checks import Checks


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
    full: bool = False,
    dry_run: bool = False,
    known_at: datetime | None = None,
    now: datetime | None = None,
    run_id: str | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> Night:
    """A run with everything real in its place."""
    from flows.steps.checks import Checks

    moment = now or utc_now()
    run = loaded.settings.run
    checks = Checks(moment, run.drop_ratio, run.stale_days)
    return Night(
        run_id=run_id or str(uuid.uuid4()),
        as_of=as_of or today(loaded),
        now=moment,
        recorded_at=int(utc_now().timestamp() * 1_000_000),
        store=store,
        connections=connections(loaded, only),
        contract_files=tuple(loaded.contract_files()),
        root=loaded.root,
        calendars=calendar_specs,
        language=loaded.settings.reports.language,
        code_version=code_version(),
        lease_seconds=run.lease_seconds,
        clock=epoch_now,
        write_reports=partial(_write_reports, loaded.out, checks),
        notify=_notifier(loaded, store),
        gate=checks.gate if run.checks else None,
        on_news=checks.make_ready if run.checks else _nothing,
        out_check=checks.out_check if run.checks else None,
        reminders=_reminder_rules(loaded),
        dask=run.dask,
        config=str((loaded.root / loaded.file).resolve()),
        full=full,
        dry_run=dry_run,
        known_at=None if known_at is None else int(known_at.timestamp() * 1_000_000),
        say=say,
    )


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
