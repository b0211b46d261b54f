"""A notice as it reads in one dialect and language: a subject line and a body, short enough for the channel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateError
from markupsafe import Markup

from connectors.notify.dialects import LETTER_MAX, Dialect, plain_line, safe
from connectors.notify.errors import Undeliverable
from models.domain.notices import Notice, NoticeKind, Role

SUBJECT_MAX = 150
_FEWER = (30, 20, 12, 8, 5, 3, 2, 1, 0)


@dataclass(frozen=True, slots=True)
class Message:
    """A notice as it travels."""

    subject: str
    body: str
    dialect: Dialect


def rendered(
    notice: Notice, dialect: Dialect, *, attached: bool = False, fits: Callable[[str], bool] = lambda _body: True
) -> Message:
    """The message of a notice. Lines that do not fit are counted instead.

    Raises Undeliverable where no message can be made of it.
    """
    try:
        plain = Dialect.PLAIN if dialect is Dialect.HTML else dialect
        subject = plain_line(_made(notice, "subject", plain, notice.payload), SUBJECT_MAX)
        body = next(b for b in _bodies(notice, dialect, attached=attached) if fits(b))
    except (TemplateError, TypeError, ValueError) as problem:
        raise Undeliverable(f"no message can be made of it: {type(problem).__name__}: {problem}"[:200]) from None
    except StopIteration:
        raise Undeliverable("the channel allows too few characters for this notice") from None
    return Message(subject, body, dialect)


def _bodies(notice: Notice, dialect: Dialect, *, attached: bool):  # type: ignore[no-untyped-def] # noqa: ANN202
    """The body with ever fewer lines, the longest first."""
    lines = notice.payload.get("lines")
    for most in _FEWER if isinstance(lines, list) else (0,):
        payload: dict[str, Any] = {**notice.payload, "attached": attached}
        if isinstance(lines, list):
            left_out = max(0, len(lines) - most)
            payload |= {"lines": lines[:most], "more": int(str(notice.payload.get("more", 0))) + left_out}
        yield _made(notice, dialect.template, dialect, payload).strip() + "\n"


def _made(notice: Notice, ending: str, dialect: Dialect, payload: Mapping[str, object]) -> str:
    to_customer = notice.role is Role.CUSTOMER_PAYER and notice.kind is not NoticeKind.REMINDER
    name = "payer" if to_customer else notice.kind.value
    return _templates(dialect).get_template(f"{notice.language}/{name}.{ending}.j2").render(payload)


@cache
def _templates(dialect: Dialect) -> Environment:
    """Every value passes through the dialect's escaping; a template cannot forget it."""

    def finalize(value: object) -> object:
        return Markup(safe(value, dialect)) if isinstance(value, str) and not isinstance(value, Markup) else value  # noqa: S704

    made = Environment(
        loader=PackageLoader("connectors.notify"),
        autoescape=dialect is Dialect.HTML,  # noqa: S701 - finalize escapes for all dialects
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["whole"] = lambda text: Markup(safe(text, dialect, LETTER_MAX))  # noqa: S704 - escaped by safe
    made.globals["bold"] = Markup("*" if dialect is Dialect.SLACK else "**")  # noqa: S704 - our own
    made.tests["web"] = lambda url: str(url).startswith(("https://", "http://"))
    return made
