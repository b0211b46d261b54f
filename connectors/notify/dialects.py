"""How a notice is written for each kind of channel, and how text from outside is made harmless there.

Everything that a template puts in goes through the dialect's `safe`: names of customers and milestones come
from other systems, and may hold markup, a mention of everybody, or a line break.
"""

from __future__ import annotations

import re
import unicodedata
from enum import StrEnum

from markupsafe import escape

FIELD_MAX = 240  # characters of one value in a message; the list has it whole
LETTER_MAX = 2000  # of a text that is itself what the message says
_INVISIBLE = "\u200b"
_MARKDOWN = re.compile(r"([\\`*_\[\]<>~|#])")
_WORD_EDGE = re.compile(r"(?<!\w)_|_(?!\w)")
#: Characters that turn the reading direction: they make a text show another thing than it says.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


class Dialect(StrEnum):
    """What a channel reads. The value is the ending of its templates."""

    HTML = "html"
    MARKDOWN = "md"
    SLACK = "slack"
    TEXT = "txt"
    PLAIN = "plain"  # the subject of a mail: one line, nothing is read into it

    @property
    def template(self) -> str:
        """The ending of the template; Slack's marks are close enough to Markdown's to share one."""
        return "md" if self is Dialect.SLACK else self.value


def safe(text: str, dialect: Dialect, limit: int = FIELD_MAX) -> str:
    """`text` from outside, harmless in a dialect and on one line."""
    plain = plain_line(text, limit)
    match dialect:
        case Dialect.HTML:
            return str(escape(plain))
        case Dialect.MARKDOWN:
            return _unlinked(_MARKDOWN.sub(r"\\\1", plain))
        case Dialect.SLACK:
            return _unlinked(_slack(plain))
        case Dialect.PLAIN:
            return plain
        case Dialect.TEXT:  # Feishu reads <at user_id="all"> even in plain text
            return _unmentioned(plain).replace("<", f"<{_INVISIBLE}")


def plain_line(text: str, limit: int = FIELD_MAX) -> str:
    """One line without control characters and direction marks, cut at `limit` characters."""
    kept = "".join(_kept(c) for c in text)
    line = " ".join(kept.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _kept(char: str) -> str:
    if char in _TURNING or "\ud800" <= char <= "\udfff":
        return ""
    return " " if unicodedata.category(char) in ("Cc", "Zl", "Zp") else char


def _unmentioned(text: str) -> str:
    """@all, @所有人 call nobody once something invisible stands behind the @."""
    return text.replace("@", f"@{_INVISIBLE}")


def _unlinked(text: str) -> str:
    return _unmentioned(text).replace("://", f":{_INVISIBLE}//")


def _slack(text: str) -> str:
    """Slack has no escape for its marks, and reads <!channel> and `!channel>`: other signs that look alike."""
    marks = str.maketrans({"<": "‹", ">": "›", "*": "∗", "~": "∼", "`": "ˋ"})
    return _WORD_EDGE.sub(f"_{_INVISIBLE}", text.translate(marks))
