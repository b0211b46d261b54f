"""Text from outside on its way into a file that people open: harmless, complete, readable.

Names, notes and links come from project-management systems and contracts; anybody may have typed them.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from functools import lru_cache
from urllib.parse import urlsplit

from models.domain.money import amount_text, minor_digits
from models.domain.words import catalogue

#: Excel shows at most this many characters in a cell; more makes it repair the file.
CELL_MAX = 32_767
#: Longest link Excel accepts.
URL_MAX = 2_079
#: Excel keeps 15 digits of a number; what is beyond becomes 0 without a word.
EXACT_BELOW = 1_000_000_000_000_000

# C0 and C1 controls but for tab and line ends, lone surrogates, non-characters, and the marks that turn
# the reading direction round (they can make "exe.pdf" look like "fdp.exe").
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)
_FORMULA_STARTS = tuple("=+-@\t\r＝＋－＠")
_CODE = re.compile(r"[A-Z]{3}")


def clean(text: str) -> str:
    """`text` without control characters; line ends become a plain line feed."""
    return _UNSEEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n"))


def one_line(text: str) -> str:
    """`text` cleaned and on one line, spaces folded."""
    return " ".join(clean(text).split())


def is_formula_like(text: str) -> bool:
    """Would a spreadsheet take this text for a formula, now or when somebody edits the cell?"""
    return text.startswith(_FORMULA_STARTS) or text.lstrip().startswith(_FORMULA_STARTS)


def disarmed(text: str) -> str:
    """`text` for a CSV cell: an apostrophe keeps a spreadsheet from running it."""
    # Look before the cleaning: a leading tab or CR is itself a known way in.
    line = one_line(text)
    return f"'{line}" if is_formula_like(text) or is_formula_like(line) else line


def fitted(text: str, limit: int = CELL_MAX) -> str:
    """`text`, cut with an ellipsis where it is longer than `limit`."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def safe_url(url: str | None) -> str | None:
    """`url` if it is a plain web address, else None: no javascript:, no file:, no password inside."""
    if not url or url != one_line(url) or any(c in url for c in ' "<>\\^`{|}'):
        return None
    try:
        parts = urlsplit(url)
        harmless = parts.scheme.lower() in {"http", "https"} and parts.hostname and "@" not in parts.netloc
    except ValueError:
        return None
    return url if harmless else None


def safe_relative(link: str | None) -> str | None:
    """`link` if it points below the report's own folder, else None."""
    if not link or link != one_line(link) or link.startswith(("/", "\\")):
        return None
    parts = urlsplit(link)
    inside = not parts.scheme and not parts.netloc and ".." not in parts.path.split("/")
    return link if inside and ":" not in link else None


def display_width(text: str) -> int:
    """Columns the longest line takes: a Chinese character is two wide."""
    return max(_line_width(line) for line in text.split("\n"))


@lru_cache(maxsize=8192)
def _line_width(line: str) -> int:
    # Most lines are plain; asking for each character is worth it only for the others.
    if line.isascii():
        return len(line)
    return len(line) + sum(unicodedata.east_asian_width(c) in "WFA" for c in line)


def grouped(minor: int, currency: str) -> str:
    """An amount for the eye: 123456789 CNY is "1,234,567.89"."""
    whole, _, cents = amount_text(abs(minor), minor_digits(currency)).partition(".")
    sign = "-" if minor < 0 else ""
    return f"{sign}{int(whole):,}" + (f".{cents}" if cents else "")


def plain_number(minor: int, currency: str) -> Decimal:
    """An amount as an exact decimal, to be written as digits."""
    return Decimal(amount_text(minor, minor_digits(currency)))


def fits_excel(minor: int) -> bool:
    """Can Excel keep every digit of this amount?"""
    return abs(minor) < EXACT_BELOW


def is_currency_code(currency: str) -> bool:
    """Three capital letters, as in ISO 4217: safe inside formats, formulas and charts."""
    return _CODE.fullmatch(currency) is not None


def word(key: str, language: str, otherwise: str) -> str:
    """The sentence for `key`, or `otherwise`: a report must come out even where a word is missing."""
    return catalogue(language).get(key, otherwise)
