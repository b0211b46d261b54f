"""What a payer's reference names: invoices, terms, contracts - told apart as people write them.

Full-width forms, case, blanks and dashes do not count, but digits are not glued together over them: the day
2026-03-12 is not the invoice 20260312. Names of claims that are paid are known too: whoever names one means it.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

#: A shorter name turns up in references by accident.
NAME_MIN = 4
_GAPS = frozenset("-_/.:#\u2010\u2011\u2012\u2013\u2014\u2212")
#: What joins the parts of a longer number; a full stop and a colon may as well end a sentence.
_JOINS = frozenset("-_/")


class NameKind(StrEnum):
    """What a name belongs to."""

    INVOICE = "invoice"
    TERM = "term"
    CONTRACT = "contract"


@dataclass(frozen=True, slots=True)
class Name:
    """What a payer may write. `keys`: of the claims it means; none: of an invoice that was taken back."""

    text: str
    kind: NameKind
    keys: tuple[str, ...]
    customer: str = ""


@dataclass(frozen=True, slots=True)
class _Folded:
    """A text without its gaps; `gaps[i]` stood before character i, the last one at the end."""

    text: str
    gaps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Names:
    """All names, to be looked up in references: the time this takes does not depend on how many there are."""

    by_text: Mapping[str, Sequence[tuple[Name, _Folded]]]
    lengths: tuple[int, ...]


_Hit = tuple[int, int, Name]  # first character, the one after the last


def plain(text: str) -> str:
    """A reference or name as it is compared: full-width forms, case, gaps and dashes do not count."""
    return _fold(text).text


def party(text: str) -> str:
    """A customer or payer as they are compared: letters and digits only."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


def same_party(one: str, other: str) -> bool:
    """May both be one company? Banks cut names off, and lists leave the legal form out."""
    one, other = party(one), party(other)
    return one in other or other in one


def name_index(names: Iterable[Name]) -> Names:
    """Names ready to be looked up."""
    by_text: dict[str, list[tuple[Name, _Folded]]] = defaultdict(list)
    for name in names:
        folded = _fold(name.text)
        if len(folded.text) >= NAME_MIN:
            by_text[folded.text].append((name, folded))
    return Names(by_text, tuple(sorted({len(t) for t in by_text})))


def named(reference: str, names: Names) -> tuple[list[Name], bool]:
    """The names that stand in a reference, and whether they can mean only one thing.

    A name inside a longer one does not count, nor does a contract where a term or an invoice is named.
    """
    hits = list(_hits(_fold(reference), names))
    hits = [h for h in hits if not any(o[0] <= h[0] and h[1] <= o[1] and o[:2] != h[:2] for o in hits)]
    exact = [h for h in hits if h[2].kind is not NameKind.CONTRACT]
    contracts = [h for h in hits if h[2].kind is NameKind.CONTRACT]
    if not exact:
        return _names(contracts), _clear(contracts)
    meant = {key for _, _, name in exact for key in name.keys}
    elsewhere = any(meant.isdisjoint(name.keys) for at, to, name in contracts if (at, to) not in _spans(exact))
    return _names(exact), _clear(exact) and not elsewhere


def _names(hits: Iterable[_Hit]) -> list[Name]:
    return list(dict.fromkeys(name for _, _, name in hits))


def _spans(hits: Iterable[_Hit]) -> set[tuple[int, int]]:
    return {(at, to) for at, to, _ in hits}


def _clear(hits: Sequence[_Hit]) -> bool:
    """Without their gaps two names may be spelled alike, as A-1/12 and A-11/2 are."""
    spelled = {(at, to, unicodedata.normalize("NFKC", name.text).casefold()) for at, to, name in hits}
    return len(spelled) == len(_spans(hits))


def _fold(text: str) -> _Folded:
    letters, gaps, gap = [], [], ""
    for c in unicodedata.normalize("NFKC", text).casefold():
        if c in _GAPS or c.isspace():
            gap += c
        else:
            letters.append(c)
            gaps.append(gap)
            gap = ""
    return _Folded("".join(letters), (*gaps, gap))


def _hits(text: _Folded, names: Names) -> Iterator[_Hit]:
    for at in range(len(text.text)):
        for length in names.lengths:
            to = at + length
            if to > len(text.text):
                break
            for name, folded in names.by_text.get(text.text[at:to], ()):
                if _same_digits(text, at, folded) and _begins(text, at, name) and _ends(text, to, name):
                    yield at, to, name


def _same_digits(text: _Folded, at: int, name: _Folded) -> bool:
    """No gap between digits that the name itself does not have."""
    return not any(
        text.gaps[at + i] and not name.gaps[i] and name.text[i - 1].isdigit() and name.text[i].isdigit()
        for i in range(1, len(name.text))
    )


def _begins(text: _Folded, at: int, name: Name) -> bool:
    """Does the name begin here, and is not the end of a longer one?"""
    if at == 0:
        return True
    before, gap = text.text[at - 1], text.gaps[at]
    if text.text[at].isdigit() and before.isdigit() and _joined(gap):
        return False
    return name.kind is not NameKind.CONTRACT or not (_ascii(before) and before.isalpha() and _joined(gap, _JOINS))


def _ends(text: _Folded, to: int, name: Name) -> bool:
    """Does the name end here, and is not the beginning of a longer one?"""
    if to == len(text.text):
        return True
    last, after, gap = text.text[to - 1], text.text[to], text.gaps[to]
    if last.isdigit() and after.isdigit() and _joined(gap):
        return False
    if not gap and _ascii(after) and after.isalnum() and (name.kind is not NameKind.INVOICE or not last.isdigit()):
        return False
    # HT-1/B means no other term of HT-1, whether we know that term or not.
    return name.kind is not NameKind.CONTRACT or not (gap and after.isalnum() and ("/" in gap or _joined(gap, _JOINS)))


def _joined(gap: str, joins: frozenset[str] = _GAPS) -> bool:
    """Do both sides belong together: nothing between them, or only what joins parts?"""
    return set(gap) <= joins


def _ascii(letter: str) -> bool:
    return letter.isascii()
