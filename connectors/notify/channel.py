"""One channel: an Apprise URL. The URL is a secret and never shows in an error or a log."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from connectors.http.redaction import quiet_http_logs
from connectors.notify.dialects import Dialect
from connectors.notify.errors import NotSent, Undeliverable
from connectors.notify.rendering import Message, rendered
from models.domain.notices import Notice

if TYPE_CHECKING:
    from apprise import NotifyBase

_MAIL = frozenset({"mailto", "mailtos"})
#: One address and nothing that could become a second one or a header.
_ADDRESS = re.compile(r"[^\s@,;:<>()\[\]\"\\%?&]+@[^\s@,;:<>()\[\]\"\\%?&]+\.[^\s@,;:<>()\[\]\"\\%?&.]+")
#: The head line of a mail that names its notice.
NOTICE_HEADER = "X-Huikuan-Notice"
_STATUS = re.compile(r"error=(\d{3})")
_SECOND_URL = re.compile(r"[,\s]\s*[a-zA-Z][\w+.-]*://")
_SECRET_MIN = 4  # shorter parts of a URL are words like "to" or "v2"


class Channel:
    """Sends over one Apprise URL."""

    def __init__(self, url: str) -> None:
        self._url = url.strip()

    def __repr__(self) -> str:
        return f"Channel({urlsplit(self._url).scheme}://***)"

    @property
    def is_mail(self) -> bool:
        """Can it write to a person by address?"""
        return urlsplit(self._url).scheme.lower() in _MAIL

    def check(self) -> None:
        """Raise NotSent where the URL is not one to send over. Nothing is sent."""
        with _overheard():
            self._opened()

    def send(self, notice: Notice, folder: Path, to: str | None = None) -> None:
        """Send; `to` is the address of a person, for mail. `folder` holds the attachments.

        Raises NotSent with a sentence that holds no secret, Undeliverable where no later try can help.
        """
        quiet_http_logs()
        with _overheard() as heard:
            server = self._opened()
            if to is not None:
                _address(server, to)
            _numbered(server, notice)
            attachment = _attachment(server, notice, folder)
            message = rendered(notice, _dialect(server), attached=attachment is not None, fits=_fits(server))
            sent = self._notified(server, message, attachment)
        if not sent:
            raise NotSent(self._hidden(getattr(server, "refusal", None) or _reason(heard)))

    def _opened(self) -> NotifyBase:
        """The Apprise plugin behind the URL. It takes about a second to import, hence here."""
        import apprise

        from connectors.notify.chat_bots import checked

        asset = apprise.AppriseAsset(app_id="Huikuan", app_desc="Huikuan", app_url="", image_url_mask="")
        one = self._url and not _SECOND_URL.search(self._url)
        server = apprise.Apprise.instantiate(self._url, asset=asset) if one else None
        if server is None:
            raise NotSent("the [[notify]] url is not one URL that Apprise understands; docs/notices.md shows the forms")
        return checked(server)

    def _notified(self, server: NotifyBase, message: Message, attachment: Path | None) -> bool:
        import apprise

        sender = apprise.Apprise()
        sender.add(server)
        try:
            # From apprise 2 on this is an object that is never `True`; only its truth value says how it went.
            return bool(
                sender.notify(
                    title=message.subject,
                    body=message.body,
                    body_format=server.notify_format,
                    attach=str(attachment) if attachment else None,
                )
            )
        except Exception as problem:  # noqa: BLE001 - a plugin may raise anything; the notice must stay owed
            raise NotSent(self._hidden(f"the channel failed: {type(problem).__name__}: {problem}")) from None

    def _hidden(self, text: str) -> str:
        """`text` without any part of the URL: keys stand in hosts, paths, users and queries alike."""
        parts = re.split(r"[/:@?&=#,;]+", self._url)
        secrets = {p for part in parts for p in (part, unquote(part)) if len(p) >= _SECRET_MIN}
        for secret in sorted(secrets - {urlsplit(self._url).scheme}, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text[:300]


def _address(server: Any, to: str) -> None:
    """Write to one person and nobody else, whoever the URL names."""
    if not _ADDRESS.fullmatch(to):
        raise Undeliverable("the contact's address is not one e-mail address; correct it in the contract's contacts")
    if not hasattr(server, "targets") or not hasattr(server, "bcc"):
        raise NotSent("a contact can only be written to over a mail URL (mailto:// or mailtos://)")
    server.targets = [(False, to)]
    server.cc, server.bcc = set(), set()


def _numbered(server: Any, notice: Notice) -> None:
    """A mail carries the key of its notice, so that one in a mailbox or a server's log can be held against ours."""
    if isinstance(getattr(server, "headers", None), dict) and hasattr(server, "bcc"):
        server.headers = {**server.headers, NOTICE_HEADER: notice.key}


def _attachment(server: NotifyBase, notice: Notice, folder: Path) -> Path | None:
    """The file, where it exists, the channel carries files and its name is safe to carry."""
    name = notice.attachment
    if not name or not name.isascii() or Path(name).name != name or not server.attachment_support:
        return None
    return folder / name if (folder / name).is_file() else None


def _dialect(server: NotifyBase) -> Dialect:
    from apprise import NotifyFormat

    if server.notify_format == NotifyFormat.HTML:
        return Dialect.HTML
    if server.notify_format == NotifyFormat.MARKDOWN:
        slack = type(server).__module__.rsplit(".", 1)[-1] == "slack"
        return Dialect.SLACK if slack else Dialect.MARKDOWN
    return Dialect.TEXT


def _fits(server: NotifyBase) -> Callable[[str], bool]:
    """Whether a body goes out in one piece: a part that fails would repeat the others."""
    from connectors.notify.chat_bots import TEXT_BYTES
    from connectors.notify.rendering import SUBJECT_MAX

    if type(server) in TEXT_BYTES:
        room = TEXT_BYTES[type(server)] - 3 * SUBJECT_MAX
        return lambda body: len(body.encode()) <= room
    if _dialect(server) is Dialect.HTML:
        return lambda _body: True
    room = server.body_maxlen - SUBJECT_MAX - 2
    return lambda body: len(body) <= room


def _reason(heard: list[str]) -> str:
    """Why Apprise says it failed, in words of ours: its own hold addresses."""
    for line in heard:
        if found := _STATUS.search(line):
            return f"the channel answered HTTP {found[1]}"
    if any("onnection" in line for line in heard):
        return "no connection to the channel, or it broke off"
    return "the channel did not take the notice"


@contextmanager
def _overheard() -> Iterator[list[str]]:
    """What Apprise warns of, kept from every log: it logs URLs, and urllib3 logs paths with keys in them."""
    heard: list[str] = []
    ear = _Ear(heard)
    log = logging.getLogger("apprise")
    was = (log.propagate, log.level)
    log.propagate = False
    log.setLevel(logging.WARNING)
    log.addHandler(ear)
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    try:
        yield heard
    finally:
        log.removeHandler(ear)
        log.propagate = was[0]
        log.setLevel(was[1])


class _Ear(logging.Handler):
    def __init__(self, heard: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard.append(record.getMessage())
