"""The index page and the demand letters: no script, no request to anywhere, everything from outside escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import cache
from importlib import resources
from typing import Any

import jinja2
import yaml
from markupsafe import Markup

from connectors.reports.dossier.table import candidate_base, formula, rate_text
from connectors.reports.phrases import evidence_text
from connectors.reports.text import clean, fitted, grouped, one_line, safe_url, word
from models.domain.money import minor_digits
from models.domain.receivables.capitals import capitals
from models.domain.receivables.dossier import Dossier, DossierTerm, totals
from models.domain.words import LANGUAGES, catalogue, say

#: How long the letter gives, as the reminders before it do.
LETTER_DAYS = 7
TEXT_MAX = 300
_FOLDER = resources.files(__package__).joinpath("templates")
#: Touches the night drafted are no touch with anybody.
UNSENT = ("draft", "outbox")


@cache
def _environment() -> jinja2.Environment:
    source = jinja2.FunctionLoader(lambda name: _FOLDER.joinpath(name).read_text(encoding="utf-8"))
    made = jinja2.Environment(
        loader=source, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {"money": grouped, "brief": _brief, "url": safe_url, "capitals": _in_capitals, "clean": clean}
    made.finalize = _shown
    return made


def _brief(text: object) -> str:
    return fitted(one_line(str(text or "")), TEXT_MAX)


def _shown(value: object) -> object:
    """Text from outside loses its control characters wherever it appears."""
    if isinstance(value, Markup):
        return value
    return "" if value is None else clean(value) if isinstance(value, str) else value


def _in_capitals(minor: int, currency: str) -> str:
    """大写 for renminbi; nothing for the others."""
    return capitals(minor, minor_digits(currency)) if currency == "CNY" else ""


def _style() -> dict[str, str]:
    style = _FOLDER.joinpath("dossier.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    # The text is ours; Markup keeps the quotes of the font names.
    return {"style": Markup(style), "style_hash": digest}  # noqa: S704


def index_page(dossier: Dossier, files: Sequence[str], language: str) -> bytes:
    """What is in the pack, on one page that prints on A4."""
    words = catalogue(language)

    def t(key: str, /, **params: object) -> str:
        return say(f"dossier.{key}", language, **params)

    def w(key: str, otherwise: str = "") -> str:
        return words.get(key, otherwise or key.rpartition(".")[2])

    view: dict[str, Any] = {
        **_style(), "t": t, "w": w, "language": language, "dossier": dossier, "totals": totals(dossier.terms),
        "files": files, "proof_line": lambda e: evidence_text(e, language), "clause": _clause, "rate": rate_text,
        "formula": formula, "candidate_base": candidate_base, "finding": lambda f: f.text(language),
        "grade": lambda n: word(f"report.grade.{n}", language, str(n)), "provenance": lambda p: _provenance(p, language),
        "unsent": UNSENT,
    }  # fmt: skip
    return _environment().get_template("index.html.j2").render(view).encode("utf-8", errors="replace")


def _provenance(text: str, language: str) -> str:
    """Of date, person and percentage, each once."""
    return " / ".join(dict.fromkeys(word(f"report.provenance.{p}", language, p) for p in text.split("/")))


def _clause(body: Mapping[str, object]) -> str:
    return yaml.safe_dump(dict(body), allow_unicode=True, sort_keys=False, width=100)


# --- the letters -------------------------------------------------------------------------------------


def letters(dossier: Dossier) -> dict[str, bytes]:
    """A demand for what is late by the contracts themselves: one for each of our companies, in each language."""
    by_supplier: dict[str, list[DossierTerm]] = {}
    for term in dossier.demanded:
        by_supplier.setdefault(term.supplier.name, []).append(term)
    files = {}
    for number, terms in enumerate(by_supplier.values(), start=1):
        part = "" if len(by_supplier) == 1 else f"-{number}"
        for language in LANGUAGES:
            files[f"letter{part}.{language}.html"] = _letter(terms, dossier.as_of, language)
    return files


def _letter(terms: Sequence[DossierTerm], as_of: date, language: str) -> bytes:
    first = terms[0]
    small = ("micro", "small", "medium", "sme")
    view: dict[str, Any] = {
        **_style(),
        "terms": terms,
        "supplier": first.supplier.name,
        "customer": first.customer.name,
        "as_of": as_of,
        "until": as_of + timedelta(days=LETTER_DAYS),
        "days": LETTER_DAYS,
        "totals": totals(terms),
        "with_interest": (stated := [t for t in terms if t.interest_is_clear]),
        # Nothing is said of the days for which no rate is stated, so they are reserved.
        "cut": (cut := any(t.interest and t.interest.unknown_from for t in stated)),
        "reserved": cut or len(stated) < len(terms),
        "chinese": any(t.limitation is not None for t in terms),
        "protected": all(t.supplier.size in small and t.customer.size in ("large", "public") for t in terms),
        "disputed": any(t.disputed for t in terms),
        "pending": any(t.pending for t in terms),
        "broken": [(t, p) for t in terms for p in t.broken],
        "sent": dict.fromkeys(
            (t.which, x.on) for t in terms for x in t.touches if x.channel not in UNSENT and x.kind in _ASKED
        ),
    }
    return _environment().get_template(f"letter.{language}.html.j2").render(view).encode("utf-8", errors="replace")


#: Touches in which we asked for the money.
_ASKED = ("reminder", "demand")
