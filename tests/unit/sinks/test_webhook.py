"""The webhook against a real server, its signature verified as a receiver would."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from connectors.errors import SourceConfig, SourceRefused, SourceUnavailable
from connectors.sinks.webhook import signature
from tests.unit.sinks.pushing import NOW, check, push, ready, withdrawn

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()


class Receiver:
    """Takes what is signed and not too old, once for each webhook-id."""

    def __init__(self, status: int = 202, body: str = "thanks", content_type: str = "text/html") -> None:
        self.status, self.body, self.content_type = status, body, content_type
        self.taken: dict[str, dict] = {}
        self.calls: list[Request] = []

    def __call__(self, request: Request) -> Response:
        self.calls.append(request)
        head = request.headers
        signed = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + request.get_data()
        wanted = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
        assert head["webhook-signature"] == f"v1,{wanted}"
        assert abs(int(head["webhook-timestamp"]) - NOW.timestamp()) < 300
        if self.status < 300:
            self.taken.setdefault(head["webhook-id"], json.loads(request.get_data()))
        return Response(self.body, self.status, content_type=self.content_type)


def _served(server: HTTPServer, receiver: Receiver) -> dict:
    server.expect_request("/in", method="POST").respond_with_handler(receiver)
    return {"url": server.url_for("/in") + "?tenant=1", "secret": SECRET, "timeout": 5.0}


def test_the_example_of_the_specification() -> None:
    """https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_signed_message_with_the_keys_of_the_list(httpserver: HTTPServer) -> None:
    receiver = Receiver()
    options = _served(httpserver, receiver)
    record = ready()
    assert push("webhook", options, record).reference == f"{record.key}:ready"
    assert receiver.calls[0].headers["idempotency-key"] == record.key
    assert receiver.calls[0].args["tenant"] == "1"
    body = receiver.taken[f"{record.key}:ready"]
    assert (body["type"], body["format"], body["timestamp"]) == ("record.ready", 1, "2026-11-18")
    assert set(record.line.as_json()) <= set(body["data"])
    assert (body["data"]["gross"], body["data"]["record_id"]) == ("400.00", record.key)
    assert body["data"]["tax_lines"] == [{"rate": "6%", "net": "377.36", "tax": "22.64"}]


def test_sent_again_it_is_the_same_message(httpserver: HTTPServer) -> None:
    """What the receiver needs to drop the second: one webhook-id, one Idempotency-Key, the same bytes."""
    receiver = Receiver()
    options = _served(httpserver, receiver)
    for _ in range(2):
        push("webhook", options, ready())
    first, second = receiver.calls
    assert first.get_data() == second.get_data()
    assert len(receiver.taken) == 1
    push("webhook", options, withdrawn())
    assert sorted(k.partition(":")[2] for k in receiver.taken) == ["ready", "withdrawn"]


def test_a_receiver_may_name_its_document(httpserver: HTTPServer) -> None:
    options = _served(httpserver, Receiver(200, '{"reference": "INV-7"}', "application/json"))
    assert push("webhook", options, ready()).reference == "INV-7"


def test_a_hostile_reference_is_not_taken(httpserver: HTTPServer) -> None:
    options = _served(httpserver, Receiver(200, '{"reference": "<script>"}', "application/json"))
    assert push("webhook", options, ready()).reference == f"{ready().key}:ready"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(500, SourceUnavailable), (503, SourceUnavailable), (429, SourceUnavailable), (400, SourceRefused),
     (401, SourceRefused), (410, SourceRefused), (302, SourceRefused)],
)  # fmt: skip
def test_one_try_and_what_it_means(httpserver: HTTPServer, status: int, kind: type[Exception]) -> None:
    receiver = Receiver(status)
    options = _served(httpserver, receiver)
    with pytest.raises(kind) as caught:
        push("webhook", options, ready())
    assert len(receiver.calls) == 1
    assert SECRET not in str(caught.value)
    assert "/in" not in str(caught.value)  # the path of an address is often its key


@pytest.mark.parametrize(
    "secret", ["geheim", "whsec_", "whsec_c2hvcnQ=", "whsec_" + "A" * 200, SECRET.removeprefix("whsec_")]
)
def test_a_weak_or_broken_key_is_refused_without_showing_it(secret: str) -> None:
    with pytest.raises(SourceConfig) as caught:
        check("webhook", {"url": "https://books.example/in", "secret": secret})
    assert secret.removeprefix("whsec_") == "" or secret not in str(caught.value)


def test_a_check_sends_nothing(httpserver: HTTPServer) -> None:
    receiver = Receiver()
    check("webhook", _served(httpserver, receiver))
    assert receiver.calls == []
