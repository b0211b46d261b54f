"""The escalation pack of a term or a customer."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from connectors.calendars import calendar_specs
from connectors.reports.errors import ReportsNotWritten
from flows import wiring
from flows.commands.shared import Stop, command, day_of, out, print_json, settings
from flows.commands.waiting_money import refusals, said_money
from models.domain.money import MoneyError, exact_fraction
from models.domain.words import LANGUAGES, say

if TYPE_CHECKING:
    from models.domain.receivables.dossier import Dossier


@command
def dossier(
    config: Path,
    which: str | None,
    customer: str | None,
    *,
    out: Path | None,
    page_language: str | None,
    reference_rate: str | None,
    as_of: str | None,
    as_json: bool,
    language: str,
) -> int:
    """Collect, render, write; the same input gives the same bytes."""
    from connectors.reports.dossier import as_json as pack_json
    from connectors.reports.dossier import dossier_files, folder_name, write_dossier
    from flows.steps.receivables.dossier import customer_dossier, term_dossier, with_proofs

    if bool(which) == bool(customer):
        raise Stop(say("cli.dossier_what", language))
    if page_language not in (None, *LANGUAGES):
        raise Stop(f"--language {page_language}: {', '.join(LANGUAGES)}")
    loaded = settings(config)
    shown, reference = page_language or loaded.settings.reports.language, _rate(reference_rate, language)
    day = day_of(as_of, wiring.today(loaded))
    with wiring.the_store(loaded).begin() as connection, refusals(language):
        collect, subject = (term_dossier, which) if which else (customer_dossier, customer)
        found = collect(connection, str(subject), day, calendar_specs, reference)
    pack, proofs = with_proofs(found, loaded.root)
    files = dossier_files(pack, proofs, shown)
    folder = (out or loaded.out / "dossiers") / folder_name(pack)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_dossier(folder, files, shown)
    except ReportsNotWritten as problem:
        raise Stop(f"{problem} {problem.advice}") from None
    if as_json:
        print_json({"folder": str(folder), "files": sorted(files)} | pack_json(pack))
    else:
        _told(pack, folder, len(files), language)
    return 0


def _rate(text: str | None, language: str) -> Fraction | None:
    """A yearly rate in percent."""
    if text is None:
        return None
    try:
        rate = exact_fraction(text.removesuffix("%").strip()) / 100
    except MoneyError:
        raise Stop(say("cli.dossier_rate", language, found=text)) from None
    if not 0 <= rate < 1:
        raise Stop(say("cli.dossier_rate", language, found=text))
    return rate


def _told(pack: Dossier, folder: Path, count: int, language: str) -> None:
    from models.domain.receivables.dossier import totals

    out.print(
        say("cli.dossier_made", language, which=pack.subject, day=pack.as_of, n=count, folder=folder), markup=False
    )
    for t in totals(pack.terms):
        money = {n: said_money(getattr(t, n), t.currency) for n in ("asked", "interest")}
        out.print(say("cli.dossier_open", language, amount=said_money(t.open, t.currency), **money), markup=False)
        if t.unknown_from is not None:
            out.print(say("cli.dossier_rate_ends", language, currency=t.currency, day=t.unknown_from), markup=False)
    out.print(say("cli.dossier_letter" if pack.demanded else "cli.dossier_no_letter", language))
