"""How vendors sign what they send us, and what their message hints at.

A connector says it as a `Hook` in its `ConnectorInfo`; the receiver (`flows.listen`) does the rest. A message is
never believed: it only says that something may have changed, and at most in which project.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, urlsafe_b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

Json = Any
DAY = 86_400
#: Longer names of projects are none.
PROJECT_MAX = 200
#: Our own header for vendors that sign nothing, but let an administrator compose the request.
OWN_HEADER, OWN_DELIVERY = "x-huikuan-secret", "x-huikuan-delivery"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it came. `key`: what followed the connection's name in the address."""

    headers: Mapping[str, str]  # by name in lower case
    body: bytes
    key: str = ""

    def json(self) -> Json:
        """The body; None for what is no JSON."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None


class Proof(Protocol):
    """One way to show that a message comes from who knows the secret."""

    def holds(self, delivery: Delivery, secret: bytes, now: int) -> bool:
        """Does it? Compared in constant time; `now` is in epoch seconds."""


def _same(found: str, wanted: bytes) -> bool:
    return hmac.compare_digest(found.encode("utf-8", "surrogateescape"), wanted)


@dataclass(frozen=True, slots=True)
class Signed:
    """An HMAC over the body, in a header, in hexadecimal after a prefix."""

    header: str
    algorithm: str = "sha256"
    prefix: str = ""

    def holds(self, delivery: Delivery, secret: bytes, now: int) -> bool:
        """The whole body is covered, so nothing in it can have been changed."""
        del now
        found = delivery.headers.get(self.header, "")
        made = hmac.new(secret, delivery.body, self.algorithm).hexdigest()
        return found.startswith(self.prefix) and _same(found.removeprefix(self.prefix).lower(), made.encode())


@dataclass(frozen=True, slots=True)
class Shared:
    """The secret itself in a header: nothing is signed, but only who knows it can send it."""

    header: str

    def holds(self, delivery: Delivery, secret: bytes, now: int) -> bool:
        """The header is the secret."""
        del now
        return _same(delivery.headers.get(self.header, ""), secret)


@dataclass(frozen=True, slots=True)
class Password:
    """The secret as the password of basic authentication, whatever the name of the user."""

    def holds(self, delivery: Delivery, secret: bytes, now: int) -> bool:
        """The password is the secret."""
        del now
        scheme, _, value = delivery.headers.get("authorization", "").partition(" ")
        try:
            _, _, password = b64decode(value, validate=True).partition(b":")
        except (NotBase64, ValueError):
            return False
        return scheme.lower() == "basic" and hmac.compare_digest(password, secret)


@dataclass(frozen=True, slots=True)
class InAddress:
    """The secret as the last part of the address, for vendors that can set nothing else."""

    def holds(self, delivery: Delivery, secret: bytes, now: int) -> bool:
        """The last part is the secret."""
        del now
        return _same(delivery.key, secret)


@dataclass(frozen=True, slots=True)
class SignedToken:
    """A JSON Web Token (HS256) in the Authorization header; it says who sends and until when, not what."""

    def holds(self, delivery: Delivery, secret: bytes, now: int) -> bool:
        """Signed with the secret, by no other algorithm, and not over."""
        token = delivery.headers.get("authorization", "").removeprefix("Bearer ")
        signed, _, signature = token.rpartition(".")
        head, _, claims = signed.partition(".")
        try:
            made = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
            sound = hmac.compare_digest(_unpadded(signature), made)
            algorithm, until = _field(_unpadded(head), "alg"), _field(_unpadded(claims), "exp")
        except (NotBase64, ValueError):
            return False
        return sound and algorithm == "HS256" and _number(until) and until > now


def _unpadded(text: str) -> bytes:
    return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))


def _field(text: bytes, name: str) -> Any:
    found = orjson.loads(text)
    return found.get(name) if isinstance(found, dict) else None


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


# --- handshakes --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Greeting:
    """What to answer a vendor who asks whether we listen; `secret`: what it will sign with from now on."""

    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, str] = field(default_factory=dict)
    secret: str = ""


def _echo(text: object) -> str | None:
    """What may be said back: short, printable, nothing that ends a header."""
    return text if isinstance(text, str) and 0 < len(text) <= 512 and text.isascii() and text.isprintable() else None


def _no_greeting(delivery: Delivery) -> Greeting | None:
    del delivery
    return None


def _monday_greeting(delivery: Delivery) -> Greeting | None:
    body = delivery.json()
    said = _echo(body.get("challenge")) if isinstance(body, dict) and "event" not in body else None
    return None if said is None else Greeting(body={"challenge": said})


def _smartsheet_greeting(delivery: Delivery) -> Greeting | None:
    said = _echo(delivery.headers.get("smartsheet-hook-challenge"))
    return None if said is None else Greeting({"Smartsheet-Hook-Response": said}, {"smartsheetHookResponse": said})


def _asana_greeting(delivery: Delivery) -> Greeting | None:
    said = _echo(delivery.headers.get("x-hook-secret"))
    return None if said is None else Greeting({"X-Hook-Secret": said}, secret=said)


# --- hints -------------------------------------------------------------------------------------------


def _no_project(body: Json) -> object:
    del body
    return None


def at(*paths: str) -> Callable[[Json], object]:
    """What stands at the first of the paths (names joined by dots) that leads somewhere."""

    def found(body: Json) -> object:
        for path in paths:
            here = body
            for name in path.split("."):
                here = here.get(name) if isinstance(here, dict) else None
            if here is not None:
                return here
        return None

    return found


def _of_work_package(body: Json) -> object:
    told = at("work_package._embedded.project.id", "project.id")(body)
    link = at("work_package._links.project.href")(body)
    return link.rpartition("/")[2] if told is None and isinstance(link, str) else told


def _of_task(body: Json) -> object:
    """The list: named by events about lists; in those about tasks it is the parent of what changed."""
    items = at("history_items")(body)
    first = items[0] if isinstance(items, list) and items else None
    return at("list_id")(body) or at("parent_id")(first)


@dataclass(frozen=True, slots=True)
class Hook:
    """What a vendor's webhooks look like."""

    proofs: tuple[Proof, ...]  # one of them must hold
    project: Callable[[Json], object] = _no_project  # a hint at the project: its id or key
    delivery: str = ""  # the header that names a delivery, the same when it is sent again
    sent: str = ""  # the field of the body with the moment of sending, epoch milliseconds: part of what is signed
    tolerance: int = 300  # seconds between that moment and ours
    remembered: int = 30 * DAY  # how long the same delivery, or the same body, is refused
    bodies_repeat: bool = False  # a delivery with a name may have the body of another
    greet: Callable[[Delivery], Greeting | None] = _no_greeting

    def is_genuine(self, delivery: Delivery, secrets: Sequence[str], now: int) -> bool:
        """From somebody who knows one of the secrets, and sent just now where the vendor says when."""
        known = [p.holds(delivery, s.encode(), now) for p in self.proofs for s in secrets if s]
        return any(known) and self._is_fresh(delivery, now)

    def _is_fresh(self, delivery: Delivery, now: int) -> bool:
        if not self.sent:
            return True
        moment = at(self.sent)(delivery.json())
        return _number(moment) and abs(moment / 1000 - now) <= self.tolerance  # type: ignore[operator]

    def keys(self, connection: str, delivery: Delivery) -> tuple[str, ...]:
        """What tells that a delivery came before: its name, which no vendor signs, and its body, which most do."""
        named = delivery.headers.get(self.delivery, "") if self.delivery else ""
        parts = [("body", delivery.body)]
        if named:
            parts = [*([] if self.bodies_repeat else parts), ("name", named.encode("utf-8", "surrogateescape"))]
        return tuple(
            hashlib.sha256(b"\x1f".join((connection.encode(), kind.encode(), part))).hexdigest() for kind, part in parts
        )

    def hint(self, delivery: Delivery) -> str | None:
        """The project that the message names; None: it may be any."""
        found = self.project(delivery.json())
        told = str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""
        return told if 0 < len(told) <= PROJECT_MAX and told.isprintable() else None


#: Vendors that sign nothing, or of whose signature we know too little: a secret of ours, in a header or the
#: address. Whoever composes the request may name the project, and should name the delivery; where he does not, the
#: same body counts as the same delivery for a minute only, since it may well be the same each time.
OWN = Hook(
    (Shared(OWN_HEADER), InAddress()),
    project=at("project", "project_id", "data.project_id", "payload.task.project.id", "payload.task.project"),
    delivery=OWN_DELIVERY,
    remembered=60,
    bodies_repeat=True,
)
ASANA = Hook((Signed("x-hook-signature"),), greet=_asana_greeting)  # events name resources, never their project
#: Service hooks sign nothing; they carry a header or a password of ours.
AZURE_DEVOPS = Hook(
    (Shared(OWN_HEADER), Password()), project=at("resourceContainers.project.id"), delivery="request-id"
)
CLICKUP = Hook((Signed("x-signature"),), project=_of_task)
GITHUB = Hook(
    (Signed("x-hub-signature-256", prefix="sha256="),), project=at("repository.id"), delivery="x-github-delivery"
)
GITLAB = Hook((Shared("x-gitlab-token"),), project=at("project.id", "project_id"), delivery="x-gitlab-event-uuid")
JIRA = Hook(
    (Signed("x-hub-signature", prefix="sha256="),),
    project=at("issue.fields.project.id", "version.projectId", "project.id"),
    delivery="x-atlassian-webhook-identifier",
)
LINEAR = Hook(
    (Signed("linear-signature"),),
    project=at("data.projectId", "data.project.id"),
    delivery="linear-delivery",
    sent="webhookTimestamp",
)
#: Board webhooks of an app carry a token signed with its signing secret; those of a person's token carry nothing.
MONDAY = Hook((SignedToken(), InAddress()), project=at("event.boardId"), greet=_monday_greeting)
OPENPROJECT = Hook((Signed("x-op-signature", "sha1", "sha1="),), project=_of_work_package)
REDMINE = Hook(
    (Signed("x-redmine-signature-256", prefix="sha256="),),
    project=at("data.issue.project.id", "data.version.project.id"),
)
SMARTSHEET = Hook((Signed("smartsheet-hmac-sha256"),), project=at("scopeObjectId"), greet=_smartsheet_greeting)
