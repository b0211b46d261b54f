"""One channel: an Apprise URL. The URL is a secret and never shows in an error."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from connectors.http.redaction import masked
from models.domain.notices import Notice


class NotSent(Exception):
    """The channel did not take a notice; worth another try later."""


@dataclass(frozen=True, slots=True)
class Message:
    """A notice as it travels: one line of subject, HTML, an attachment."""

    subject: str
    html: str
    attachment: Path | None


_templates = Environment(
    loader=PackageLoader("connectors.notify"),
    autoescape=select_autoescape(("html.j2",)),
    undefined=StrictUndefined,
    trim_blocks=True,
)


def rendered(notice: Notice, folder: Path) -> Message:
    """The message of a notice, in its language. Text from outside is escaped and cannot call everybody (@all)."""
    payload = _inert(dict(notice.payload))
    where = f"{notice.language}/{notice.kind.value}"
    subject = _templates.get_template(f"{where}.subject.j2").render(payload)
    html = _templates.get_template(f"{where}.html.j2").render(payload)
    attachment = folder / notice.attachment if notice.attachment else None
    return Message(" ".join(subject.split())[:200], html, attachment if attachment and attachment.is_file() else None)


def _inert(value: Any) -> Any:
    """No mention, no control characters: a zero-width space after @ takes its power."""
    if isinstance(value, str):
        return "".join(c for c in value if c >= " " or c == "\n").replace("@", "@\u200b")
    if isinstance(value, dict):
        return {k: _inert(v) for k, v in value.items()}
    return [_inert(v) for v in value] if isinstance(value, list) else value


class Channel:
    """Sends over one Apprise URL."""

    def __init__(self, url: str) -> None:
        self._url = url

    def send(self, message: Message, to: str | None = None) -> None:
        """Send, to `to` where the channel is mail. Raises NotSent with a sentence that holds no secret."""
        import apprise

        logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it logs URLs
        sender = apprise.Apprise()
        if not sender.add(_addressed(self._url, to)):
            raise NotSent("the notify url is not one that Apprise understands")
        attach = apprise.AppriseAttachment(str(message.attachment)) if message.attachment else None
        try:
            sent = sender.notify(
                title=message.subject, body=message.html, body_format=apprise.NotifyFormat.HTML, attach=attach
            )
        except Exception as problem:  # noqa: BLE001 - a plugin may raise anything; the notice must stay owed
            raise NotSent(masked(f"{type(problem).__name__}: {problem}", (self._url,))[:300]) from None
        if not sent:
            raise NotSent("the channel did not take the notice")


def _addressed(url: str, to: str | None) -> str:
    """A mail URL with its recipient; others have theirs built in."""
    if to is None or not url.startswith(("mailto://", "mailtos://")) or "@" not in to:
        return url
    from urllib.parse import quote

    return f"{url}{'&' if '?' in url else '?'}to={quote(to)}"
