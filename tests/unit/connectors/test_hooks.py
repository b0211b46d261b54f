"""Signatures of webhooks, vendor by vendor: the right one holds, and nothing else does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.http import hooks
from connectors.http.hooks import Delivery, Hook
from connectors.registry import BUILT_IN, connector

SECRET, NOW = "a-secret-of-32-characters-or-more", 1_790_000_000
ALL = {
    "asana": hooks.ASANA,
    "azure_devops": hooks.AZURE_DEVOPS,
    "clickup": hooks.CLICKUP,
    "github": hooks.GITHUB,
    "gitlab": hooks.GITLAB,
    "jira": hooks.JIRA,
    "linear": hooks.LINEAR,
    "monday": hooks.MONDAY,
    "openproject": hooks.OPENPROJECT,
    "own": hooks.OWN,
    "redmine": hooks.REDMINE,
    "smartsheet": hooks.SMARTSHEET,
}


def _hex(body: bytes, algorithm: str = "sha256", secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, algorithm).hexdigest()


def _token(secret: str = SECRET, algorithm: str = "HS256", until: float = NOW + 60) -> str:
    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    signed = f"{part(json.dumps({'alg': algorithm}).encode())}.{part(json.dumps({'exp': until}).encode())}"
    return f"{signed}.{part(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())}"


def signed(system: str, body: bytes, secret: str = SECRET) -> dict[str, str]:
    """The headers with which a vendor would send a body, as its documentation says."""
    basic = base64.b64encode(f"huikuan:{secret}".encode()).decode()
    return {
        "asana": {"x-hook-signature": _hex(body, secret=secret)},
        "azure_devops": {"authorization": f"Basic {basic}"},
        "clickup": {"x-signature": _hex(body, secret=secret)},
        "github": {"x-hub-signature-256": f"sha256={_hex(body, secret=secret)}", "x-github-delivery": "d-1"},
        "gitlab": {"x-gitlab-token": secret, "x-gitlab-event-uuid": "d-1"},
        "jira": {"x-hub-signature": f"sha256={_hex(body, secret=secret)}"},
        "linear": {"linear-signature": _hex(body, secret=secret), "linear-delivery": "d-1"},
        "monday": {"authorization": _token(secret)},
        "openproject": {"x-op-signature": f"sha1={_hex(body, 'sha1', secret)}"},
        "own": {"x-huikuan-secret": secret},
        "redmine": {"x-redmine-signature-256": f"sha256={_hex(body, secret=secret)}"},
        "smartsheet": {"smartsheet-hmac-sha256": _hex(body, secret=secret)},
    }[system]


def body_of(system: str) -> bytes:
    return json.dumps({"webhookTimestamp": NOW * 1000} if system == "linear" else {"a": "里程碑"}).encode()


@pytest.mark.parametrize("system", ALL)
def test_a_vendors_own_signature_holds_and_no_other(system: str) -> None:
    hook, body = ALL[system], body_of(system)
    good = signed(system, body)
    assert hook.is_genuine(Delivery(good, body), ["an older one, still valid", SECRET], NOW)
    assert not hook.is_genuine(Delivery(signed(system, body, "another secret of some length"), body), [SECRET], NOW)
    assert not hook.is_genuine(Delivery({}, body), [SECRET], NOW)
    assert not hook.is_genuine(Delivery(dict.fromkeys(good, ""), body), [SECRET], NOW)
    assert not hook.is_genuine(Delivery(good, body), [], NOW)
    assert not hook.is_genuine(Delivery(good, body), [""], NOW)


SIGNING = [s for s, h in ALL.items() if any(isinstance(p, hooks.Signed) for p in h.proofs)]


@pytest.mark.parametrize("system", SIGNING)
def test_a_body_that_was_changed_is_refused(system: str) -> None:
    body = body_of(system)
    assert not ALL[system].is_genuine(Delivery(signed(system, body), body + b" "), [SECRET], NOW)


def test_a_known_example_of_githubs_documentation() -> None:
    """docs.github.com, Validating webhook deliveries: secret, payload and signature to test with."""
    said = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    delivery = Delivery({"x-hub-signature-256": said}, b"Hello, World!")
    assert hooks.GITHUB.is_genuine(delivery, ["It's a Secret to Everybody"], NOW)


@pytest.mark.parametrize("late", [301, -301])
def test_a_message_of_another_time_is_late(late: int) -> None:
    body = body_of("linear")
    delivery = Delivery(signed("linear", body), body)
    assert hooks.LINEAR.is_genuine(delivery, [SECRET], NOW + late // 2)
    assert not hooks.LINEAR.is_genuine(delivery, [SECRET], NOW + late)


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"not json", b'{"webhookTimestamp": "now"}', b'{"webhookTimestamp": true}']
)
def test_a_message_without_its_moment_is_refused(body: bytes) -> None:
    assert not hooks.LINEAR.is_genuine(Delivery(signed("linear", body), body), [SECRET], NOW)


def test_a_token_that_is_over_or_of_another_algorithm_is_refused() -> None:
    for token in (
        _token(until=NOW),
        _token(algorithm="none"),
        _token()[:-2],
        "a.b.c",
        "é.b.c",
        "",
        _token().rpartition(".")[0] + ".",
    ):
        assert not hooks.MONDAY.is_genuine(Delivery({"authorization": token}, b"{}"), [SECRET], NOW)


def test_the_last_part_of_the_address_may_be_our_secret() -> None:
    assert hooks.OWN.is_genuine(Delivery({}, b"", SECRET), [SECRET], NOW)
    assert not hooks.OWN.is_genuine(Delivery({}, b"", SECRET + "x"), [SECRET], NOW)
    assert not hooks.GITHUB.is_genuine(Delivery({}, b"", SECRET), [SECRET], NOW)


@pytest.mark.parametrize(
    ("hook", "body", "hint"),
    [
        (hooks.GITHUB, {"repository": {"id": 7}}, "7"),
        (hooks.GITLAB, {"object_kind": "milestone", "project": {"id": 15}}, "15"),
        (hooks.GITLAB, {"object_kind": "milestone", "group_id": 4}, None),
        (hooks.JIRA, {"issue": {"fields": {"project": {"id": "10000"}}}}, "10000"),
        (hooks.JIRA, {"version": {"projectId": 10000}}, "10000"),
        (hooks.AZURE_DEVOPS, {"resourceContainers": {"project": {"id": "be9b"}}}, "be9b"),
        (hooks.LINEAR, {"data": {"projectId": "p"}}, "p"),
        (hooks.CLICKUP, {"history_items": [{"parent_id": "162641062"}], "task_id": "1"}, "162641062"),
        (hooks.CLICKUP, {"history_items": [], "task_id": "1"}, None),
        (hooks.CLICKUP, {"event": "listUpdated", "list_id": "162641543"}, "162641543"),
        (hooks.MONDAY, {"event": {"boardId": 9771812698}}, "9771812698"),
        (hooks.SMARTSHEET, {"scopeObjectId": 4509506114742148}, "4509506114742148"),
        (hooks.OPENPROJECT, {"work_package": {"_embedded": {"project": {"id": 3}}}}, "3"),
        (hooks.OPENPROJECT, {"work_package": {"_links": {"project": {"href": "/api/v3/projects/3"}}}}, "3"),
        (hooks.REDMINE, {"data": {"issue": {"project": {"id": 1}}}}, "1"),
        (hooks.OWN, {"project": "RD"}, "RD"),
        (hooks.OWN, {"payload": {"task": {"project": {"id": "p9"}}}}, "p9"),
        (hooks.OWN, {"project": {"id": "nested"}}, None),
        (hooks.OWN, {"project": "x" * 201}, None),
        (hooks.OWN, {"project": "a\nb"}, None),
        (hooks.OWN, {"project": True}, None),
        (hooks.ASANA, {"events": [{"resource": {"gid": "1"}}]}, None),
    ],
)
def test_which_project_a_message_hints_at(hook: Hook, body: object, hint: str | None) -> None:
    assert hook.hint(Delivery({}, json.dumps(body).encode())) == hint


def test_a_delivery_is_known_by_its_body_whatever_it_is_called() -> None:
    """No vendor signs the name of a delivery: a replay under a new name is still a replay."""
    first = hooks.GITHUB.keys("rd", Delivery({"x-github-delivery": "1"}, b"{}"))
    second = hooks.GITHUB.keys("rd", Delivery({"x-github-delivery": "2"}, b"{}"))
    assert set(first) & set(second)
    assert not set(first) & set(hooks.GITHUB.keys("other", Delivery({"x-github-delivery": "1"}, b"{}")))
    named = [set(hooks.OWN.keys("rd", Delivery({"x-huikuan-delivery": n}, b"{}"))) for n in "12"]
    assert not named[0] & named[1]


def test_greetings_are_answered_and_odd_ones_are_not_echoed() -> None:
    greet = hooks.SMARTSHEET.greet(Delivery({"smartsheet-hook-challenge": "abc"}, b"{}"))
    assert greet is not None
    assert greet.headers["Smartsheet-Hook-Response"] == "abc"
    greet = hooks.MONDAY.greet(Delivery({}, b'{"challenge": "xyz"}'))
    assert greet is not None
    assert dict(greet.body) == {"challenge": "xyz"}
    assert hooks.MONDAY.greet(Delivery({}, b'{"challenge": "xyz", "event": {}}')) is None
    for odd in ("", "a\r\nSet-Cookie: x", "x" * 513, "中"):
        assert hooks.SMARTSHEET.greet(Delivery({"smartsheet-hook-challenge": odd}, b"{}")) is None
        assert hooks.ASANA.greet(Delivery({"x-hook-secret": odd}, b"{}")) is None


@given(
    st.sampled_from(sorted(ALL)),
    st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["project", "event", "data", "id", "webhookTimestamp", "work_package", "_links", "href"]), x)).map(lambda x: json.dumps(x).encode()),
    st.dictionaries(
        st.sampled_from(["authorization", "x-signature", "x-hub-signature-256", "x-gitlab-token", "x-hook-secret", "linear-signature", "x-op-signature"]),
        st.text(st.characters(max_codepoint=255), max_size=80),
    ),
    st.text(max_size=40),
)  # fmt: skip
def test_nothing_that_comes_breaks_it_or_is_taken_for_genuine(
    system: str, body: bytes, headers: dict[str, str], key: str
) -> None:
    delivery, hook = Delivery(headers, body, key), ALL[system]
    assert not hook.is_genuine(delivery, [SECRET], NOW)
    hook.greet(delivery)
    hint = hook.hint(delivery)
    assert hint is None or 0 < len(hint) <= 200
    assert all(len(k) == 64 for k in hook.keys("rd", delivery))


def test_every_connector_says_how_its_webhooks_are_signed() -> None:
    """Those that sign have their own, all others listen to a secret of ours."""
    for system in BUILT_IN:
        assert connector(system).hook is ALL.get(system, hooks.OWN), system
