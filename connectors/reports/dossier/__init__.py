"""The escalation pack as a folder: an index page, a demand letter in each language, the interest as a table,
the same as JSON, the files that prove what was sent, and the SHA-256 of all of them.

The same dossier gives the same bytes; nothing in it says when it was made, only the day it is about.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from connectors.files.proofs import safe_name
from connectors.reports.dossier.page import index_page, letters
from connectors.reports.dossier.table import as_json, interest_csv, json_bytes
from connectors.reports.folder import replace_all
from models.domain.receivables.dossier import Dossier

#: In the form of sha256sum, so that anybody can check it: `sha256sum -c manifest.sha256`.
MANIFEST = "manifest.sha256"
_OURS = re.compile(r"(index\.html|letter[-.][\w.-]+\.html|interest\.csv|dossier\.json|manifest\.sha256)")
_OUR_PROOF = re.compile(r"\d{3}-[A-Za-z0-9-]+\.[a-z0-9]+")

__all__ = ["MANIFEST", "as_json", "dossier_files", "folder_name", "write_dossier"]


def folder_name(dossier: Dossier) -> str:
    """ASCII and dated, whatever the customer is called."""
    if dossier.of_customer:
        return f"dossier-customer-{safe_name(dossier.subject)}-{dossier.as_of.isoformat()}"
    number, _, term = dossier.subject.rpartition("/")
    return f"dossier-{safe_name(number)}_{safe_name(term)}-{dossier.as_of.isoformat()}"


def dossier_files(dossier: Dossier, proofs: Mapping[str, bytes], language: str) -> dict[str, bytes]:
    """Every file by its place in the folder; the index in `language`, the letters in both."""
    files = dict(letters(dossier))
    files["interest.csv"] = interest_csv(dossier, language)
    files["dossier.json"] = json_bytes(dossier)
    files |= proofs
    files["index.html"] = index_page(dossier, sorted(files), language)
    files[MANIFEST] = _manifest(files)
    return files


def _manifest(files: Mapping[str, bytes]) -> bytes:
    return "".join(f"{hashlib.sha256(files[n]).hexdigest()}  {n}\n" for n in sorted(files)).encode()


def write_dossier(folder: Path, files: Mapping[str, bytes], language: str) -> tuple[Path, ...]:
    """Put the pack into its folder. What an earlier pack of the same day left there and this one lacks goes:
    a letter for money that has come since must not lie beside the new list.

    Raises ReportsNotWritten.
    """
    written = replace_all(folder, files, language)
    old = [*_named(folder, _OURS), *_named(folder / "proofs", _OUR_PROOF)]
    for path in set(old) - set(written):
        with suppress(OSError):
            path.unlink()
    return written


def _named(folder: Path, ours: re.Pattern[str]) -> list[Path]:
    return [p for p in folder.glob("*") if ours.fullmatch(p.name)] if folder.is_dir() else []
