"""`forecast`: expected cash by month or week, what moved, and how late each customer pays."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from connectors.calendars import calendar_specs
from connectors.reports.json_list import outlook_json
from connectors.store.bulk import fetch
from flows import wiring
from flows.commands.shared import Stop, command, day_of, out, print_json, settings, table
from models.domain.money import amount_text, minor_digits
from models.domain.outlook import BehaviourLine, Outlook, UndatedLine
from models.domain.receivables.forecast import MIN_HISTORY, PERIODS
from models.domain.receivables.wording import money_text
from models.domain.words import say

#: Lines of a table that a terminal shows; --json has all.
LINES_MAX = 40


@command
def forecast(
    config: Path, *, by: str, currency: str | None, moves: bool, as_of: str | None, as_json: bool, language: str
) -> int:
    """Expected cash; `moves` tells what moved since the last earlier run, and why."""
    from flows.steps.receivables.outlook import look_ahead

    if by not in PERIODS:
        raise Stop(say("cli.forecast.bad_by", language, found=by))
    loaded = settings(config)
    with wiring.the_store(loaded).read() as connection:
        day = day_of(as_of, _latest(connection, wiring.today(loaded)))
        looked = look_ahead(connection, day, calendar_specs, loaded.settings.forecast.threshold, period=by)
    found = _only(looked.outlook, currency)
    assumed = [a for a in looked.assumed if currency in (None, a.currency)]
    if as_json:
        print_json(_json(found, assumed, day, by, moves=moves))
        return 0
    _show(found, assumed, by, language)
    if moves:
        _show_moves(found, language)
    return 0


def _latest(connection: Any, today: date) -> date:
    """Today, or the day of the last run where that was later."""
    from flows.steps.evaluation.columns import as_date

    last = fetch(connection, "SELECT MAX(as_of) FROM runs WHERE state IN ('done', 'in_part')")[0][0]
    return max(today, as_date(last) or today) if last is not None else today


def _only(outlook: Outlook, currency: str | None) -> Outlook:
    if currency is None:
        return outlook
    kept = {n: tuple(x for x in getattr(outlook, n) if x.currency == currency) for n in ("months", "weeks", "undated", "moves")}  # fmt: skip
    return Outlook(**kept, compared_with=outlook.compared_with, behaviour=outlook.behaviour)


# --- JSON ----------------------------------------------------------------------------------------------


def _json(outlook: Outlook, assumed: Sequence[Any], day: date, by: str, *, moves: bool) -> dict[str, object]:
    """The stable keys of `forecast --json`: those of `outlook` in the JSON report, less what was not asked for."""
    told = outlook_json(outlook)
    wanted = [f"{by}s", "undated", "behaviour", *(("compared_with", "moves") if moves else ())]
    return {
        "as_of": day.isoformat(),
        **{k: told[k] for k in wanted},
        "terms_without_a_date": len({(x.contract, x.term) for x in outlook.undated}),
        "assumed": [
            {"currency": a.currency, "how": a.how, "gross": amount_text(a.gross, minor_digits(a.currency))}
            for a in assumed
        ],
    }


# --- the terminal --------------------------------------------------------------------------------------


def _heads(language: str, *columns: tuple[str, str]) -> list[tuple[str, str]]:
    return [(say(f"cli.column.{key}", language), justify) for key, justify in columns]


def _limited(title: str, heads: Sequence[tuple[str, str]], rows: Sequence[Sequence[object]], language: str) -> None:
    table(title, heads, rows[:LINES_MAX])
    if len(rows) > LINES_MAX:
        out.print(say("cli.forecast.more", language, n=len(rows) - LINES_MAX))


def _show(outlook: Outlook, assumed: Sequence[Any], by: str, language: str) -> None:
    lines = outlook.months if by == "month" else outlook.weeks
    if not lines and not outlook.undated:
        out.print(say("cli.forecast.nothing", language))
        return
    heads = _heads(language, ("period", "left"), ("expected", "right"), ("terms", "right"), ("of_it_overdue", "right"))
    rows = [(x.period, money_text(x.gross, x.currency), x.terms, money_text(x.overdue, x.currency) if x.overdue else "") for x in lines]  # fmt: skip
    _limited(say("cli.forecast.title", language, unit=say(f"cli.forecast.unit_{by}", language)), heads, rows, language)
    out.print(say("cli.forecast.note", language), style="dim")
    for how in dict.fromkeys(a.how for a in assumed):
        amounts = ", ".join(money_text(a.gross, a.currency) for a in assumed if a.how == how)
        out.print(say(f"forecast.assumed.{how}", language, amount=amounts), style="dim")
    _show_undated(outlook.undated, language)
    _show_behaviour(outlook.behaviour, language)


def _show_undated(lines: Sequence[UndatedLine], language: str) -> None:
    if lines:
        heads = _heads(language, ("which", "left"), ("by_customer", "left"), ("open", "right"), ("reason", "left"))
        rows = [(f"{x.contract}/{x.term} {x.name}", x.customer, money_text(x.gross, x.currency), say(f"forecast.undated.{x.reason}", language)) for x in lines]  # fmt: skip
        _limited(say("cli.forecast.undated", language, n=len(lines)), heads, rows, language)


def _show_behaviour(lines: Sequence[BehaviourLine], language: str) -> None:
    if lines:
        heads = _heads(language, ("by_customer", "left"), ("days_late", "right"), ("middle_half", "right"), ("paid_terms", "right"))  # fmt: skip
        rows = [_behaviour(x, language) for x in lines]
        _limited(say("cli.forecast.behaviour", language), heads, rows, language)


def _behaviour(line: BehaviourLine, language: str) -> tuple[object, ...]:
    if line.median is None:
        return line.customer, say("cli.forecast.too_little", language, n=line.terms, least=MIN_HISTORY), "", line.terms
    return line.customer, line.median, f"{line.early} – {line.late}", line.terms


def _show_moves(outlook: Outlook, language: str) -> None:
    since = outlook.compared_with
    if since is None:
        out.print(say("cli.forecast.no_earlier", language))
    elif not outlook.moves:
        out.print(say("cli.forecast.nothing_moved", language, day=since))
    else:
        heads = _heads(language, ("which", "left"), ("amount", "right"), ("from", "left"), ("to", "left"), ("reason", "left"))  # fmt: skip
        rows = [(f"{m.contract}/{m.term}", money_text(m.gross, m.currency), _period(m.start, language), _period(m.end, language), m.why.text(language)) for m in outlook.moves]  # fmt: skip
        _limited(say("cli.forecast.moves", language, day=since), heads, rows, language)


def _period(period: str | None, language: str) -> str:
    if period is None:
        return say("forecast.outside", language)
    return period or say("forecast.no_date", language)
