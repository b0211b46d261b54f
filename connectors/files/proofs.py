"""Files that show a touch with a customer: found below one folder only, read, and given a harmless name.

Whoever writes a touch down types the name of its proof; it must not fetch anything else from the machine.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

#: Larger ones are named, not copied.
BYTES_MAX = 25_000_000
#: Kinds of papers; pages that run scripts, databases and configurations are not among them.
ENDINGS = frozenset(
    ".pdf .ofd .png .jpg .jpeg .tif .tiff .heic .eml .msg .txt .doc .docx .xls .xlsx .csv .xml .zip .p7s".split()
)
_ODD = re.compile(r"[^A-Za-z0-9]+")
NAME_MAX = 60


@dataclass(frozen=True, slots=True)
class ProofFile:
    """A proof as a file. `why_not` where it was not taken: outside, kind, large, unreadable."""

    data: bytes | None = None
    ending: str = ""
    stem: str = ""
    why_not: str | None = None

    @property
    def sha256(self) -> str | None:
        """Of its bytes."""
        return None if self.data is None else hashlib.sha256(self.data).hexdigest()


def read_proof(text: str, root: Path) -> ProofFile | None:
    """The file that `text` names, relative to `root` or below it; None where it names none (a receipt's number)."""
    try:
        named = (root / text.strip()).resolve()
        if not text.strip() or "\n" in text or not named.is_file():
            return None
        if not named.is_relative_to(root.resolve()):
            return ProofFile(why_not="outside")
        ending = named.suffix.lower()
        if ending not in ENDINGS:
            return ProofFile(why_not="kind")
        if named.stat().st_size > BYTES_MAX:
            return ProofFile(why_not="large")
        return ProofFile(named.read_bytes(), ending, safe_name(named.stem))
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, a ring of links
        return ProofFile(why_not="unreadable") if len(text) < NAME_MAX else None


def safe_name(text: str) -> str:
    """`text` as a part of a file name: ASCII letters, digits and dashes; a hash stands for what was lost."""
    plain = _ODD.sub("-", text).strip("-")
    if plain == text and len(plain) <= NAME_MAX:
        return plain
    return f"{plain[:NAME_MAX].rstrip('-')}-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:8]}".lstrip(
        "-"
    )
