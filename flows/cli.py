"""The commands. Thin: parse, wire, call a step, print, exit code. Heavy imports wait until a command runs.

Exit codes: 0 done; 1 done, and something waits for a person; 2 could not run; 3 ran in part.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.environment import be_quiet
from flows.spoken import LANGUAGE, SpokenCommand, SpokenGroup, t
from models.domain.words import catalogue

app = typer.Typer(
    no_args_is_help=True,
    help=t("help.app"),
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
db_app = typer.Typer(no_args_is_help=True, help=t("help.db"), rich_markup_mode=None)
connectors_app = typer.Typer(no_args_is_help=True, help=t("help.connectors"), rich_markup_mode=None)
import_app = typer.Typer(no_args_is_help=True, help=t("help.import"), rich_markup_mode=None)
app.add_typer(db_app, name="db")
app.add_typer(connectors_app, name="connectors")
app.add_typer(import_app, name="import")

Config = Annotated[Path, typer.Option("--config", help=t("option.config"))]
AsOf = Annotated[str | None, typer.Option("--as-of", help=t("option.as_of"), metavar="YYYY-MM-DD")]
Json = Annotated[bool, typer.Option("--json", help=t("option.json"))]
DEFAULT_CONFIG = Path("huikuan.toml")


def finish(code: int) -> None:
    """End with an exit code."""
    raise typer.Exit(code)


def _commands() -> Any:
    from flows import commands

    return commands


@app.command(help=t("help.demo"))
def demo(
    folder: Annotated[Path, typer.Option(help=t("option.demo_folder"))] = Path("out/demo"),
    prefect: Annotated[bool, typer.Option("--prefect/--no-prefect", help=t("option.prefect"))] = True,
) -> None:
    finish(_commands().demo(folder, prefect=prefect, language=LANGUAGE))


@app.command(help=t("help.init"))
def init(folder: Annotated[Path, typer.Argument(help=t("option.folder"))] = Path()) -> None:
    finish(_commands().init(folder, LANGUAGE))


@app.command(help=t("help.check"))
def check(config: Config = DEFAULT_CONFIG, json: Json = False) -> None:
    finish(_commands().check(config, LANGUAGE, as_json=json))


@app.command(help=t("help.sync"))
def sync(
    config: Config = DEFAULT_CONFIG,
    as_of: AsOf = None,
    connection: Annotated[str | None, typer.Option(help=t("option.connection"))] = None,
    full: Annotated[bool, typer.Option("--full", help=t("option.full"))] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=t("option.dry_run"))] = False,
    known_at: Annotated[str | None, typer.Option("--known-at", help=t("option.known_at"))] = None,
    prefect: Annotated[bool, typer.Option("--prefect", help=t("option.prefect"))] = False,
    json: Json = False,
) -> None:
    finish(
        _commands().sync(
            config,
            as_of=as_of,
            only=connection,
            full=full,
            dry_run=dry_run,
            known_at=known_at,
            prefect=prefect,
            as_json=json,
            language=LANGUAGE,
        )
    )


@app.command(help=t("help.ready"))
def ready(
    config: Config = DEFAULT_CONFIG,
    as_of: AsOf = None,
    everything: Annotated[bool, typer.Option("--all", help=t("option.all"))] = False,
    json: Json = False,
) -> None:
    finish(_commands().ready(config, as_of=as_of, everything=everything, as_json=json, language=LANGUAGE))


@app.command(help=t("help.forecast"))
def forecast(
    config: Config = DEFAULT_CONFIG,
    by: Annotated[str, typer.Option(help=t("option.forecast_by"))] = "month",
    currency: Annotated[str | None, typer.Option(help=t("option.forecast_currency"))] = None,
    moves: Annotated[bool, typer.Option("--moves", help=t("option.forecast_moves"))] = False,
    as_of: AsOf = None,
    json: Json = False,
) -> None:
    finish(
        _commands().forecast(
            config, by=by, currency=currency, moves=moves, as_of=as_of, as_json=json, language=LANGUAGE
        )
    )


@app.command(help=t("help.explain"))
def explain(
    which: Annotated[str, typer.Argument(metavar="CONTRACT[/TERM]", help=t("option.which"))],
    config: Config = DEFAULT_CONFIG,
    as_of: AsOf = None,
    json: Json = False,
) -> None:
    finish(_commands().explain(which, config, as_of=as_of, as_json=json, language=LANGUAGE))


@app.command(help=t("help.evaluate"))
def evaluate(file: Annotated[Path, typer.Argument(help=t("option.case_file"))], json: Json = False) -> None:
    finish(_commands().evaluate(file, as_json=json, language=LANGUAGE))


@app.command(help=t("help.bind"))
def bind(
    contract: Annotated[str | None, typer.Argument(help=t("option.contract"))] = None,
    event: Annotated[str | None, typer.Argument(help=t("option.event"))] = None,
    milestone: Annotated[str | None, typer.Argument(help=t("option.milestone"))] = None,
    by: Annotated[str | None, typer.Option(help=t("option.by"))] = None,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    finish(_commands().bind(config, contract, event, milestone, by, as_json=json, language=LANGUAGE))


@app.command(help=t("help.record"))
def record(
    contract: Annotated[str, typer.Argument(help=t("option.contract"))],
    event: Annotated[str, typer.Argument(help=t("option.event"))],
    day: Annotated[str, typer.Argument(metavar="DATE", help=t("option.day"))],
    by: Annotated[str, typer.Option(help=t("option.by"))],
    undone: Annotated[bool, typer.Option("--undone", help=t("option.undone"))] = False,
    config: Config = DEFAULT_CONFIG,
) -> None:
    finish(_commands().record(config, contract, event, day, by, value=not undone, language=LANGUAGE))


def _intervene(kind: str, config: Path, which: str, by: str, reason: str) -> None:
    finish(_commands().intervene(config, kind, which, by, reason, LANGUAGE))


Which = Annotated[str, typer.Argument(metavar="CONTRACT/TERM", help=t("option.which"))]
By = Annotated[str, typer.Option(help=t("option.by"))]
Reason = Annotated[str, typer.Option(help=t("option.reason"))]


@app.command(help=t("help.hold"))
def hold(which: Which, by: By, reason: Reason, config: Config = DEFAULT_CONFIG) -> None:
    _intervene("hold", config, which, by, reason)


@app.command(help=t("help.release"))
def release(which: Which, by: By, reason: Reason = "", config: Config = DEFAULT_CONFIG) -> None:
    _intervene("release", config, which, by, reason)


@app.command(help=t("help.approve"))
def approve(which: Which, by: By, reason: Reason = "", config: Config = DEFAULT_CONFIG) -> None:
    _intervene("approve", config, which, by, reason)


@app.command("go-live", help=t("help.go_live"))
def go_live(config: Config = DEFAULT_CONFIG) -> None:
    finish(_commands().go_live(config, LANGUAGE))


@app.command(help=t("help.notices"))
def notices(
    config: Config = DEFAULT_CONFIG,
    retry: Annotated[bool, typer.Option("--retry", help=t("option.retry"))] = False,
    json: Json = False,
) -> None:
    finish(_commands().notices(config, retry=retry, as_json=json, language=LANGUAGE))


@app.command(help=t("help.sinks"))
def sinks(
    config: Config = DEFAULT_CONFIG,
    retry: Annotated[bool, typer.Option("--retry", help=t("option.sinks_retry"))] = False,
    backfill: Annotated[bool, typer.Option("--backfill", help=t("option.sinks_backfill"))] = False,
    settle: Annotated[str | None, typer.Option(metavar="RECORD", help=t("option.sinks_settle"))] = None,
    by: Annotated[str | None, typer.Option(help=t("option.by"))] = None,
    json: Json = False,
) -> None:
    finish(
        _commands().sinks(
            config, retry=retry, backfill=backfill, settled=settle, by=by, as_json=json, language=LANGUAGE
        )
    )


@app.command(help=t("help.listen"))
def listen(
    config: Config = DEFAULT_CONFIG,
    host: Annotated[str, typer.Option(help=t("option.listen_host"))] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help=t("option.listen_port"))] = 8787,
    wait: Annotated[int, typer.Option(min=0, max=600, help=t("option.listen_wait"))] = 5,
    handshake: Annotated[list[str] | None, typer.Option(metavar="NAME=FILE", help=t("option.handshake"))] = None,
) -> None:
    finish(_commands().listen(config, host=host, port=port, wait=wait, handshakes=handshake or [], language=LANGUAGE))


@app.command(help=t("help.deploy"))
def deploy(
    config: Config = DEFAULT_CONFIG,
    cron: Annotated[str, typer.Option(help=t("option.cron"))] = "30 2 * * *",
    pool: Annotated[str, typer.Option(help=t("option.pool"))] = "huikuan",
) -> None:
    finish(_commands().deploy(config, cron, pool, LANGUAGE))


@db_app.command("upgrade", help=t("help.db_upgrade"))
def db_upgrade(config: Config = DEFAULT_CONFIG) -> None:
    finish(_commands().db_upgrade(config, LANGUAGE))


@db_app.command("backup", help=t("help.db_backup"))
def db_backup(target: Annotated[Path, typer.Argument()], config: Config = DEFAULT_CONFIG) -> None:
    finish(_commands().db_backup(config, target, LANGUAGE))


@db_app.command("restore", help=t("help.db_restore"))
def db_restore(
    source: Annotated[Path, typer.Argument()],
    config: Config = DEFAULT_CONFIG,
    overwrite: Annotated[bool, typer.Option("--overwrite", help=t("option.overwrite"))] = False,
) -> None:
    finish(_commands().db_restore(config, source, overwrite=overwrite, language=LANGUAGE))


@connectors_app.command("list", help=t("help.connectors_list"))
def connectors_list(json: Json = False) -> None:
    finish(_commands().connectors_list(as_json=json, language=LANGUAGE))


@import_app.command("contracts", help=t("help.import_contracts"))
def import_contracts(
    file: Annotated[Path, typer.Argument()],
    template: Annotated[bool, typer.Option("--template", help=t("option.template"))] = False,
    config: Config = DEFAULT_CONFIG,
) -> None:
    finish(_commands().import_contracts(config, file, template=template, language=LANGUAGE))


@connectors_app.command("test", help=t("help.connectors_test"))
def connectors_test(system: Annotated[str, typer.Argument(help=t("option.system"))], json: Json = False) -> None:
    finish(_commands().connectors_test(system, as_json=json, language=LANGUAGE))


@connectors_app.command("new", help=t("help.connectors_new"))
def connectors_new(
    name: Annotated[str, typer.Argument(help=t("option.system"))],
    folder: Annotated[Path, typer.Option(help=t("option.folder"))] = Path(),
) -> None:
    finish(_commands().connectors_new(name, folder, LANGUAGE))


@import_app.command("documents", help=t("help.import_documents"))
def import_documents(file: Annotated[Path, typer.Argument()], config: Config = DEFAULT_CONFIG) -> None:
    finish(_commands().import_documents(config, file, LANGUAGE))


@import_app.command("invoices", help=t("help.import_invoices"))
def import_invoices(
    file: Annotated[Path, typer.Argument()], config: Config = DEFAULT_CONFIG, as_of: AsOf = None, json: Json = False
) -> None:
    finish(_commands().import_invoices(config, file, as_of=as_of, as_json=json, language=LANGUAGE))


@import_app.command("payments", help=t("help.import_payments"))
def import_payments(
    file: Annotated[Path, typer.Argument()],
    config: Config = DEFAULT_CONFIG,
    currency: Annotated[str | None, typer.Option(help=t("option.currency"))] = None,
    as_of: AsOf = None,
    json: Json = False,
) -> None:
    finish(_commands().import_payments(config, file, currency=currency, as_of=as_of, as_json=json, language=LANGUAGE))


@app.command(help=t("help.allocate"))
def allocate(
    line: Annotated[int | None, typer.Argument(help=t("option.line"))] = None,
    which: Annotated[str | None, typer.Argument(metavar="CONTRACT/TERM", help=t("option.which"))] = None,
    amount: Annotated[str | None, typer.Option(help=t("option.amount"))] = None,
    counts_as: Annotated[str | None, typer.Option(help=t("option.counts_as"))] = None,
    aside: Annotated[str | None, typer.Option(help=t("option.aside"), metavar="REASON")] = None,
    undo: Annotated[str | None, typer.Option(help=t("option.undo"), metavar="REASON")] = None,
    returned: Annotated[str | None, typer.Option(help=t("option.money_returned"), metavar="YYYY-MM-DD")] = None,
    reason: Annotated[str | None, typer.Option(help=t("option.returned_reason"))] = None,
    by: Annotated[str | None, typer.Option(help=t("option.by"))] = None,
    config: Config = DEFAULT_CONFIG,
    json: Json = False,
) -> None:
    finish(
        _commands().allocate(
            config,
            line,
            which,
            amount,
            by,
            counts_as=counts_as,
            aside=aside,
            undo=undo,
            returned=returned,
            reason=reason,
            as_json=json,
            language=LANGUAGE,
        )
    )


Today = Annotated[str | None, typer.Option("--day", help=t("option.day"), metavar="YYYY-MM-DD")]
Note = Annotated[str | None, typer.Option(help=t("option.note"))]


@app.command(help=t("help.ageing"))
def ageing(
    by: Annotated[str, typer.Option(help=t("option.ageing_by"))] = "customer",
    config: Config = DEFAULT_CONFIG,
    as_of: AsOf = None,
    json: Json = False,
) -> None:
    finish(_commands().ageing(config, by, as_of=as_of, as_json=json, language=LANGUAGE))


@app.command(help=t("help.remind"))
def remind(
    which: Annotated[str | None, typer.Argument(metavar="CONTRACT/TERM", help=t("option.which"))] = None,
    log: Annotated[str | None, typer.Option(help=t("option.log"))] = None,
    by: Annotated[str | None, typer.Option(help=t("option.by"))] = None,
    day: Today = None,
    channel: Annotated[str, typer.Option(help=t("option.channel"))] = "mail",
    proof: Annotated[str | None, typer.Option(help=t("option.proof"))] = None,
    code: Annotated[str | None, typer.Option(help=t("option.delay_reason"))] = None,
    amount: Annotated[str | None, typer.Option(help=t("option.amount"))] = None,
    paused: Annotated[bool, typer.Option("--paused", help=t("option.paused"))] = False,
    config: Config = DEFAULT_CONFIG,
    as_of: AsOf = None,
    json: Json = False,
) -> None:
    finish(
        _commands().remind(
            config,
            which,
            log,
            by,
            day=day,
            channel=channel,
            proof=proof,
            code=code,
            amount=amount,
            show_paused=paused,
            as_of=as_of,
            as_json=json,
            language=LANGUAGE,
        )
    )


@app.command(help=t("help.promise"))
def promise(
    which: Annotated[str | None, typer.Argument(metavar="CONTRACT/TERM", help=t("option.which"))] = None,
    pay_by: Annotated[str | None, typer.Argument(metavar="DATE", help=t("option.pay_by"))] = None,
    amount: Annotated[str | None, typer.Argument(metavar="AMOUNT", help=t("option.amount"))] = None,
    by: Annotated[str | None, typer.Option(help=t("option.by"))] = None,
    day: Today = None,
    note: Note = None,
    config: Config = DEFAULT_CONFIG,
    as_of: AsOf = None,
    json: Json = False,
) -> None:
    finish(
        _commands().promise(
            config, which, pay_by, amount, by, day=day, note=note, as_of=as_of, as_json=json, language=LANGUAGE
        )
    )


@app.command(help=t("help.plan"))
def plan(
    which: Which,
    by: By,
    parts: Annotated[list[str] | None, typer.Argument(metavar="DATE=AMOUNT", help=t("option.parts"))] = None,
    until: Annotated[str | None, typer.Option(help=t("option.until"), metavar="YYYY-MM-DD")] = None,
    default_clause: Annotated[bool, typer.Option("--default-clause", help=t("option.default_clause"))] = False,
    day: Today = None,
    note: Note = None,
    config: Config = DEFAULT_CONFIG,
) -> None:
    finish(
        _commands().plan(
            config,
            which,
            parts or [],
            by,
            until=until,
            default_clause=default_clause,
            day=day,
            note=note,
            language=LANGUAGE,
        )
    )


@app.command(help=t("help.dossier"))
def dossier(
    which: Annotated[str | None, typer.Argument(metavar="CONTRACT/TERM", help=t("option.which"))] = None,
    customer: Annotated[str | None, typer.Option(help=t("option.dossier_customer"), metavar="NAME")] = None,
    out: Annotated[Path | None, typer.Option(help=t("option.dossier_out"), metavar="FOLDER")] = None,
    language: Annotated[str | None, typer.Option(help=t("option.dossier_language"))] = None,
    reference_rate: Annotated[str | None, typer.Option(help=t("option.reference_rate"), metavar="PERCENT")] = None,
    config: Config = DEFAULT_CONFIG,
    as_of: AsOf = None,
    json: Json = False,
) -> None:
    finish(
        _commands().dossier(
            config,
            which,
            customer,
            out=out,
            page_language=language,
            reference_rate=reference_rate,
            as_of=as_of,
            as_json=json,
            language=LANGUAGE,
        )
    )


def _given(key: str) -> Any:
    return typer.Option(help=t(f"option.guarantee_{key}"))


@app.command(help=t("help.guarantees"))
def guarantees(
    contract: Annotated[str | None, typer.Argument(help=t("option.contract"))] = None,
    code: Annotated[str | None, typer.Argument(metavar="ID", help=t("option.guarantee"))] = None,
    kind: Annotated[str | None, _given("kind")] = None,
    form: Annotated[str | None, _given("form")] = None,
    amount: Annotated[str | None, typer.Option(help=t("option.amount"))] = None,
    issued: Annotated[str | None, _given("issued")] = None,
    expires: Annotated[str | None, _given("expires")] = None,
    obligation: Annotated[str | None, _given("obligation")] = None,
    return_due: Annotated[str | None, _given("return_due")] = None,
    issuer: Annotated[str | None, _given("issuer")] = None,
    original_at: Annotated[str | None, _given("original_at")] = None,
    taken: Annotated[bool, typer.Option("--taken", help=t("option.guarantee_taken"))] = False,
    returned: Annotated[str | None, _given("returned")] = None,
    extended: Annotated[str | None, _given("extended")] = None,
    reduced: Annotated[str | None, _given("reduced")] = None,
    by: Annotated[str | None, typer.Option(help=t("option.by"))] = None,
    day: Today = None,
    config: Config = DEFAULT_CONFIG,
    as_of: AsOf = None,
    json: Json = False,
) -> None:
    given = {
        "kind": kind, "form": form, "amount": amount, "issued": issued, "expires": expires, "obligation": obligation,
        "return_due": return_due, "issuer": issuer, "original_at": original_at, "returned": returned,
        "extended": extended, "reduced": reduced, "by": by, "day": day,
    }  # fmt: skip
    finish(
        _commands().guarantees(config, contract, code, given, taken=taken, as_of=as_of, as_json=json, language=LANGUAGE)
    )


def _teach(group: typer.Typer, prefix: str = "") -> None:
    """Every command's help ends with what a user would type."""
    group.info.cls = SpokenGroup
    for command in group.registered_commands:
        name = str(command.name or getattr(command.callback, "__name__", ""))
        command.cls = SpokenCommand
        examples = catalogue(LANGUAGE).get(f"cli.example.{prefix}{name.replace('-', '_')}")
        if examples:
            shown = "\n".join(f"  {line}" for line in examples.splitlines())
            command.help = f"{command.help}\n\n\b\n{t('heading.examples')}\n{shown}"
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        _teach(inner.typer_instance, f"{inner.name}_")


_teach(app)


def main() -> None:
    """The console script."""
    be_quiet()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    app()


if __name__ == "__main__":
    main()
