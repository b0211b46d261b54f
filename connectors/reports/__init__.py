"""The outputs of a night: the ready-to-invoice list for Excel, CSV, the browser and other programs.

All of them show the same `NightReport`; the same report gives the same bytes. The files carry the report's
language in their plain names (`ready-to-invoice.xlsx`), the other languages beside it (`ready-to-invoice.en.xlsx`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from connectors.reports.csv_list import csv_bytes
from connectors.reports.errors import ReportsNotWritten
from connectors.reports.json_list import as_json, json_bytes
from models.domain.ready import NightReport
from models.domain.words import LANGUAGES

__all__ = ["NAME", "ReportsNotWritten", "Written", "as_json", "write_all"]

NAME = "ready-to-invoice"


@dataclass(frozen=True, slots=True)
class Written:
    """Where the files are: those in the report's own language, and all of them."""

    xlsx: Path
    csv: Path
    html: Path
    json: Path
    paths: tuple[Path, ...]


def write_all(report: NightReport, folder: Path, languages: tuple[str, ...]) -> Written:
    """Write every output in every language, whole files or none.

    The plain names are in `report.language` if it is among `languages`, else in the first of them.
    Raises ReportsNotWritten when there is no room, the folder cannot be written, or no language is known.
    """
    # Only the files of a night need these; `ready --json` must start fast.
    from connectors.reports.folder import replace_all

    known = _ordered(report, languages)
    paths = replace_all(folder, _contents(report, known), known[0])
    main = {kind: folder / f"{NAME}.{kind}" for kind in ("xlsx", "csv", "html", "json")}
    return Written(**main, paths=paths)


def _ordered(report: NightReport, languages: tuple[str, ...]) -> tuple[str, ...]:
    """Known languages, each once, the plain one first."""
    known = [x for x in dict.fromkeys(languages) if x in LANGUAGES]
    if not known:
        raise ReportsNotWritten("languages", report.language)
    return tuple(sorted(known, key=lambda x: x != report.language))


def _contents(report: NightReport, languages: tuple[str, ...]) -> dict[str, bytes]:
    from connectors.reports.excel import xlsx_bytes
    from connectors.reports.page import Page, Pictures, html_bytes

    pictures = Pictures.of(report)
    siblings = tuple((x, _name(x, languages, "html")) for x in languages)
    files: dict[str, bytes] = {}
    for language in languages:
        names = {kind: _name(language, languages, kind) for kind in ("xlsx", "csv", "html")}
        page = Page(language, siblings, names["xlsx"], names["csv"], f"{NAME}.json")
        files[names["xlsx"]] = xlsx_bytes(report, language)
        files[names["csv"]] = csv_bytes(report, language)
        files[names["html"]] = html_bytes(report, page, pictures)
    files[f"{NAME}.json"] = json_bytes(report)
    return files


def _name(language: str, languages: tuple[str, ...], kind: str) -> str:
    return f"{NAME}.{kind}" if language == languages[0] else f"{NAME}.{language}.{kind}"
