"""WeCom, DingTalk, Feishu and Lark bots, asked whether they really took the message.

These four answer HTTP 200 also when they refuse (a wrong key, a missing keyword, too many messages) and say so
in the body only. Apprise looks at the status alone, so a refused notice would count as delivered. Their Apprise
URLs, signatures and settings stay as they are; only the sending is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
from apprise import NotifyBase, NotifyFormat
from apprise.plugins.dingtalk import NotifyDingTalk
from apprise.plugins.feishu import NotifyFeishu
from apprise.plugins.lark import NotifyLark
from apprise.plugins.wecombot import NotifyWeComBot

TIMEOUT_SECONDS = 10


class _Answering:
    """Sends plain text, and reads the answer. `refusal` says why the last message was not taken."""

    refusal: str | None = None

    def endpoint(self) -> tuple[str, Mapping[str, str]]:
        """Where to post, and with which query."""
        raise NotImplementedError

    def payload(self, text: str) -> Mapping[str, object]:
        """A text message in the vendor's form."""
        raise NotImplementedError

    def send(self, body: str, title: str = "", **_more: object) -> bool:
        """Called by Apprise's notify(). True only where the vendor's own code says so."""
        url, query = self.endpoint()
        text = f"{title}\n{body}" if title else body
        try:
            with httpx.Client(timeout=TIMEOUT_SECONDS, verify=self.verify_certificate) as client:  # type: ignore[attr-defined]
                answer = client.post(url, params=dict(query), json=self.payload(text))
        except httpx.HTTPError as problem:
            self.refusal = f"no connection to the channel ({type(problem).__name__})"  # the text would hold the URL
            return False
        self.refusal = _refusal(answer)
        return self.refusal is None


def _refusal(answer: httpx.Response) -> str | None:
    """Why the vendor did not take it, or None. The code is `errcode` (WeCom, DingTalk) or `code` (Feishu, Lark)."""
    if not answer.is_success:
        return f"the channel answered HTTP {answer.status_code}"
    try:
        said: Any = answer.json()
    except ValueError:
        return "the channel answered something that is not JSON; is a proxy in between?"
    if not isinstance(said, dict):
        return "the channel answered JSON without a code"
    code = next((said[k] for k in ("errcode", "code", "StatusCode") if k in said), None)
    if code == 0:
        return None
    why = said.get("errmsg") or said.get("msg") or said.get("StatusMessage") or ""
    return f"the channel refused with code {code}: {why}"[:200]


class CheckedWeCom(_Answering, NotifyWeComBot):  # type: ignore[misc]
    """wecombot://KEY"""

    def endpoint(self) -> tuple[str, Mapping[str, str]]:
        url, _, key = self.api_url.partition("?key=")
        return url, {"key": key}

    def payload(self, text: str) -> Mapping[str, object]:
        return {"msgtype": "text", "text": {"content": text}}


class CheckedDingTalk(_Answering, NotifyDingTalk):  # type: ignore[misc]
    """dingtalk://SECRET@TOKEN/PHONE"""

    def endpoint(self) -> tuple[str, Mapping[str, str]]:
        url, _, token = self.notify_url.partition("?access_token=")
        query = {"access_token": token.format(token=self.token)}
        if self.secret:
            moment, signature = self.get_signature()
            query |= {"timestamp": moment, "sign": httpx.QueryParams(f"s={signature}")["s"]}
        return url, query

    def payload(self, text: str) -> Mapping[str, object]:
        called = {"atMobiles": self.targets, "isAtAll": False}
        return {"msgtype": "text", "text": {"content": text}, "at": called}


class CheckedFeishu(_Answering, NotifyFeishu):  # type: ignore[misc]
    """feishu://TOKEN"""

    def endpoint(self) -> tuple[str, Mapping[str, str]]:
        return self.notify_url.format(token=self.token).rstrip("/"), {}

    def payload(self, text: str) -> Mapping[str, object]:
        return {"msg_type": "text", "content": {"text": text}}


class CheckedLark(_Answering, NotifyLark):  # type: ignore[misc]
    """lark://TOKEN"""

    def endpoint(self) -> tuple[str, Mapping[str, str]]:
        return self.webhook_url, {}

    def payload(self, text: str) -> Mapping[str, object]:
        return {"msg_type": "text", "content": {"text": text}}


_CHECKED: dict[type, type] = {
    NotifyWeComBot: CheckedWeCom,
    NotifyDingTalk: CheckedDingTalk,
    NotifyFeishu: CheckedFeishu,
    NotifyLark: CheckedLark,
}
#: Bytes that a text message may have, as the vendors document them, less some room for the subject.
TEXT_BYTES: dict[type, int] = {CheckedWeCom: 2048, CheckedDingTalk: 18_000, CheckedFeishu: 18_000, CheckedLark: 18_000}


def checked(server: NotifyBase) -> NotifyBase:
    """The same channel, believing answers instead of status codes; others unchanged."""
    kind = _CHECKED.get(type(server))
    if kind is not None:
        server.__class__ = kind
        server.notify_format = NotifyFormat.TEXT
    return server
