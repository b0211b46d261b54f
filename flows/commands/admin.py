"""`init`, `deploy`, `db`, `connectors`."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from connectors.registry import connector, option_help, systems
from connectors.store import open_store
from connectors.store.engine import known_versions, upgrade
from flows.commands.shared import Stop, command, out, print_json, settings, table
from models.domain.words import say


@command
def init(folder: Path, language: str) -> int:
    """A commented configuration and a first contract; never overwrites."""
    written = []
    for source, target in (("huikuan.toml", "huikuan.toml"), ("first.yaml", "contracts/first.yaml")):
        path = folder / target
        if path.exists():
            out.print(say("cli.exists", language, path=path))
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        text = resources.files("flows.templates").joinpath(language, source).read_text(encoding="utf-8")
        path.write_text(text, encoding="utf-8")
        written.append(path)
    for path in written:
        out.print(say("cli.written", language, path=path))
    out.print(say("cli.init_next", language))
    return 0


@command
def deploy(config: Path, cron: str, pool: str, language: str) -> int:
    """Register the nightly flow and its schedule with a Prefect server."""
    from flows.deploy import deploy as register

    loaded = settings(config)
    name = register(config.resolve(), cron, loaded.settings.company.timezone, pool)
    out.print(say("cli.deployed", language, name=name, cron=cron, timezone=loaded.settings.company.timezone, pool=pool))
    return 0


@command
def db_upgrade(config: Path, language: str) -> int:
    """Make the database, or bring its schema up to date."""
    from connectors.store.engine import open_unchecked

    loaded = settings(config)
    store = open_unchecked(loaded.store_url)
    upgrade(store)
    out.print(say("cli.upgraded", language, version=known_versions()[-1]))
    return 0


@command
def db_backup(config: Path, target: Path, language: str) -> int:
    """A copy of the whole store that `restore` takes back."""
    from connectors.store.backup import backup

    store = open_store(settings(config).store_url)
    backup(store, target)
    out.print(say("cli.backed_up", language, path=target))
    return 0


@command
def db_restore(config: Path, source: Path, *, overwrite: bool, language: str) -> int:
    """Put a backup back; an existing database is replaced only when told."""
    from connectors.store.backup import restore

    restore(settings(config).store_url, source, overwrite=overwrite)
    out.print(say("cli.restored", language, path=source))
    return 0


@command
def connectors_list(*, as_json: bool, language: str) -> int:
    """The systems that `system` may name, with their options."""
    found = [connector(s) for s in systems()]
    if as_json:
        print_json(
            [
                {
                    "system": c.system,
                    "title": c.title,
                    "options": [
                        {
                            "name": o.name,
                            "required": o.required,
                            "secret": o.secret,
                            "default": o.default,
                            "choices": list(o.choices),
                            "help": option_help(c.system, o, language),
                        }
                        for o in c.options
                    ],
                }
                for c in found
            ]
        )
        return 0
    for one in found:
        heads = [(say(f"cli.column.{k}", language), "left") for k in ("option", "required", "help")]
        table(
            f'{one.title}: system = "{one.system}"',
            heads,
            [(o.name, "✔" if o.required else "", option_help(one.system, o, language)) for o in one.options],
        )
    return 0


@command
def connectors_test(system: str, *, as_json: bool, language: str) -> int:
    """The conformance suite on one connector; a case that is skipped says why."""
    from connectors.kit.conformance import run_conformance

    results = run_conformance(system)
    failed = [r for r in results if r.outcome == "failed"]
    if as_json:
        print_json([{"case": r.name, "outcome": r.outcome, "reason": r.reason} for r in results])
    else:
        heads = [(say(f"cli.column.{k}", language), "left") for k in ("case", "state", "message")]
        table(system, heads, [(r.name, say(f"cli.conformance.{r.outcome}", language), r.reason) for r in results])
        out.print(say("cli.conformance.sum", language, n=len(results), failed=len(failed)))
    return 1 if failed else 0


@command
def connectors_new(name: str, folder: Path, language: str) -> int:
    """A connector to fill in, with its test that is red at once."""
    from connectors.kit.scaffold import BadName, scaffold

    try:
        written = scaffold(name, folder)
    except BadName:
        raise Stop(say("cli.bad_name", language, name=name)) from None
    for path in written:
        out.print(say("cli.written", language, path=path))
    out.print(say("cli.connectors_new_next", language, folder=written[0].parent, name=name))
    return 0
