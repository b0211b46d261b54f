"""Real Apprise, real HTTP: what arrives, what is believed, and what never shows."""

from __future__ import annotations

import base64
import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from connectors.notify.channel import Channel
from connectors.notify.errors import NotSent, Undeliverable
from connectors.store import Store
from connectors.store.bulk import fetch
from flows.steps.notify import ATTEMPTS_MAX, Drained, dead_letters, drain
from models.domain.notices import Notice, NoticeKind
from tests.integration.conftest import free_port
from tests.integration.notify.conftest import Clock, put
from tests.unit.notify.notices import every_notice, line

SECRET = "tOpSeCrEt0815"
HOSTILE = '@all @所有人 <at user_id="all">x</at> <!channel> !here> **b** [x](https://evil.example)\r\nsecond line 👍'


def ready(language: str = "en", count: int = 1, name: str = "初验款") -> Notice:
    return every_notice(language, ready=[line("HT-1", f"T{n}", name=name) for n in range(count)])[0]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


@pytest.fixture
def caught(httpserver: HTTPServer) -> list[Request]:
    """All requests to /hook/…, answered with 200."""
    requests: list[Request] = []

    def take(request: Request) -> Response:
        requests.append(request)
        return Response("{}", 200)

    httpserver.expect_request(f"/hook/{SECRET}").respond_with_handler(take)
    return requests


def hook(httpserver: HTTPServer, more: str = "") -> Channel:
    return Channel(f"json://{httpserver.host}:{httpserver.port}/hook/{SECRET}{more}")


def test_a_webhook_gets_subject_text_and_list(httpserver: HTTPServer, caught: list[Request], tmp_path: Path) -> None:
    (tmp_path / "ready-to-invoice.xlsx").write_bytes(b"PK the list")
    hook(httpserver).send(ready(), tmp_path)
    (request,) = caught
    body = json.loads(request.data)
    assert body["title"] == "1 payment term is ready to invoice: CNY 1,288,888.88"
    assert "HT-1/T0 初验款 (苏州恒拓): CNY 1,288,888.88" in body["message"]
    (attached,) = body["attachments"]
    assert attached["filename"] == "ready-to-invoice.xlsx"
    assert base64.b64decode(attached["base64"]) == b"PK the list"


def test_an_absent_list_is_not_promised(httpserver: HTTPServer, caught: list[Request], tmp_path: Path) -> None:
    hook(httpserver).send(ready(count=40), tmp_path)
    body = json.loads(caught[0].data)
    assert body["attachments"] == []
    assert "and 10 more, see the list." in body["message"]


@pytest.mark.parametrize("name", ["../ready-to-invoice.xlsx", "清单.xlsx", "/etc/hostname"])
def test_only_an_ascii_name_inside_the_folder_is_attached(
    httpserver: HTTPServer, caught: list[Request], tmp_path: Path, name: str
) -> None:
    inner = tmp_path / "out"
    inner.mkdir()
    for place in (tmp_path / "ready-to-invoice.xlsx", inner / "清单.xlsx"):
        place.write_bytes(b"x")
    hook(httpserver).send(replace(ready(), attachment=name), inner)
    assert json.loads(caught[0].data)["attachments"] == []


def test_a_webhook_may_want_markdown(httpserver: HTTPServer, caught: list[Request], tmp_path: Path) -> None:
    hook(httpserver, "?format=markdown").send(ready(name=HOSTILE), tmp_path)
    text = json.loads(caught[0].data)["message"]
    assert "**HT-1/T0**" in text
    assert r"\*\*b\*\*" in text
    assert r"\[x\]" in text
    assert "@all" not in text


@pytest.mark.parametrize(("status", "why"), [(500, "HTTP 500"), (404, "HTTP 404"), (429, "HTTP 429")])
def test_a_refusal_says_its_status(httpserver: HTTPServer, tmp_path: Path, status: int, why: str) -> None:
    httpserver.expect_request(f"/hook/{SECRET}").respond_with_data("no", status)
    with pytest.raises(NotSent, match=why):
        hook(httpserver).send(ready(), tmp_path)


def test_nobody_listens_until_the_letter_is_dead(store: Store, clock: Clock, tmp_path: Path) -> None:
    put(store, [ready()])
    url = f"json://user:{SECRET}@127.0.0.1:{free_port()}/{SECRET}"
    for attempt in range(1, ATTEMPTS_MAX + 1):
        came = drain(store, {"finance": Channel(url)}, tmp_path, clock, pause=lambda _s: None)
        assert came == (Drained(dead=1) if attempt == ATTEMPTS_MAX else Drained(failed=1))
        clock.now += 10**6
    (letter,) = dead_letters(store)
    assert letter.reason == "no connection to the channel, or it broke off"
    with store.read() as connection:
        assert SECRET not in repr(fetch(connection, "SELECT * FROM outbox"))


@pytest.mark.parametrize(
    "url",
    [
        "", "nothing", f"json://127.0.0.1/{SECRET}, json://127.0.0.1/b", f"nosuch://{SECRET}", f"wecombot://{SECRET}!!", f"mailto://{SECRET}",
        f"slack://{SECRET}", f"dingtalk://{SECRET}@%20", f"https://{SECRET}.example/x",
    ],
)  # fmt: skip
def test_a_url_that_is_none_says_so_without_showing_it(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(NotSent) as problem:
        Channel(url).check()
    shown = (
        str(problem.value)
        + repr(problem.value.__cause__)
        + caplog.text
        + "".join(capfd.readouterr())
        + repr(Channel(url))
    )
    assert SECRET not in shown


@pytest.mark.parametrize("port_open", [True, False])
def test_a_secret_shows_in_no_log_and_no_error(
    httpserver: HTTPServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    port_open: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from apprise.plugins.wecombot import NotifyWeComBot

    port = httpserver.port if port_open else free_port()
    monkeypatch.setattr(NotifyWeComBot, "notify_url", f"http://127.0.0.1:{port}/send?key={{key}}")
    problems = []
    with caplog.at_level(1):
        for url in (
            f"json://user:{SECRET}@127.0.0.1:{port}/{SECRET}?+X-Key={SECRET}",
            f"wecombot://{SECRET}",
            f"mailto://user:{SECRET}@127.0.0.1:{port}?from=a@example.com&to=b@example.com",
        ):
            with pytest.raises(NotSent) as problem:
                Channel(url).send(ready(), tmp_path)
            problems.append(str(problem.value))
    assert len(problems) == 3
    ours = "\n".join(r.getMessage() for r in caplog.records if r.name != "werkzeug")  # the catcher's own log
    assert SECRET not in "\n".join(problems) + ours + "".join(capfd.readouterr())


# --- bots that answer 200 with an error inside --------------------------------------------------------

BOTS = {
    "wecom": (f"wecombot://{SECRET}", {"errcode": 0, "errmsg": "ok"}, {"errcode": 93000, "errmsg": "invalid webhook url"}),
    "dingtalk": (f"dingtalk://SEC{SECRET}@{SECRET}", {"errcode": 0, "errmsg": "ok"}, {"errcode": 310000, "errmsg": "keywords not in content"}),
    "feishu": (f"feishu://{SECRET}", {"StatusCode": 0, "code": 0, "msg": "success"}, {"code": 19024, "msg": "Key Words Not Found"}),
    "lark": (f"lark://{SECRET}", {"code": 0, "msg": "success"}, {"code": 9499, "msg": "Bad Request"}),
}  # fmt: skip


@pytest.fixture
def bots(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> HTTPServer:
    """The four vendors' addresses, turned to this machine."""
    from apprise.plugins import dingtalk, feishu, lark, wecombot

    here = httpserver.url_for("")
    monkeypatch.setattr(wecombot.NotifyWeComBot, "notify_url", f"{here}/send?key={{key}}")
    monkeypatch.setattr(dingtalk.NotifyDingTalk, "notify_url", f"{here}/send?access_token={{token}}")
    monkeypatch.setattr(feishu.NotifyFeishu, "notify_url", f"{here}/send/{{token}}/")
    monkeypatch.setattr(lark.NotifyLark, "notify_url", f"{here}/send/")
    return httpserver


def answering(server: HTTPServer, answer: object, status: int = 200) -> list[Request]:
    import re

    requests: list[Request] = []

    def take(request: Request) -> Response:
        requests.append(request)
        text = answer if isinstance(answer, str) else json.dumps(answer)
        return Response(text, status, content_type="application/json")

    server.expect_request(re.compile(r"/send.*")).respond_with_handler(take)
    return requests


def text_of(request: Request) -> str:
    body = json.loads(request.data)
    assert body.get("msgtype", body.get("msg_type")) == "text"
    return str((body.get("text") or body["content"]).get("content") or body["content"]["text"])


@pytest.mark.parametrize("bot", BOTS)
def test_a_bot_that_took_it_is_believed(bots: HTTPServer, tmp_path: Path, bot: str) -> None:
    url, yes, _ = BOTS[bot]
    requests = answering(bots, yes)
    Channel(url).send(ready("zh-CN", name=HOSTILE), tmp_path)
    (request,) = requests
    assert SECRET in request.url  # the key still reaches the vendor
    text = text_of(request)
    assert text.splitlines()[0] == "1 期款项可开票：CNY 1,288,888.88"
    assert "CNY 1,288,888.88" in text
    for call in ("@all", "@所有人", "<at", "<!channel"):
        assert call not in text
    if bot == "dingtalk":
        assert json.loads(request.data)["at"]["isAtAll"] is False


@pytest.mark.parametrize("bot", BOTS)
def test_a_bot_that_refuses_with_http_200_is_not_believed(bots: HTTPServer, tmp_path: Path, bot: str) -> None:
    url, _, no = BOTS[bot]
    answering(bots, no)
    code = no.get("errcode", no.get("code"))
    with pytest.raises(NotSent, match=f"code {code}"):
        Channel(url).send(ready(), tmp_path)


@pytest.mark.parametrize(
    ("answer", "status", "why"),
    [
        ("<html>log in</html>", 200, "not JSON"),
        ([], 200, "without a code"),
        ({}, 200, "code None"),
        ({}, 502, "HTTP 502"),
    ],
)
def test_a_bot_that_says_something_else_is_not_believed(bots, tmp_path, answer, status, why) -> None:
    answering(bots, answer, status)
    with pytest.raises(NotSent, match=why):
        Channel(BOTS["wecom"][0]).send(ready(), tmp_path)


def test_a_signature_of_dingtalk_is_encoded_once(bots: HTTPServer, tmp_path: Path) -> None:
    """Apprise quotes it and hands it to a client that quotes again; DingTalk answers 310000 to that."""
    import hashlib
    import hmac

    requests = answering(bots, {"errcode": 0})
    Channel(BOTS["dingtalk"][0]).send(ready(), tmp_path)
    moment, sign = requests[0].args["timestamp"], requests[0].args["sign"]
    secret = f"SEC{SECRET}"
    wanted = hmac.new(secret.encode(), f"{moment}\n{secret}".encode(), hashlib.sha256).digest()
    assert base64.b64decode(sign) == wanted


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_a_long_list_fits_into_what_wecom_takes(bots: HTTPServer, tmp_path: Path, language: str) -> None:
    requests = answering(bots, {"errcode": 0})
    Channel(BOTS["wecom"][0]).send(ready(language, 60, name="很长的款项名称" * 20), tmp_path)
    (request,) = requests
    text = text_of(request)
    assert len(text.encode()) <= 2048
    assert "HT-1/T0" in text
    assert ("另有 " if language == "zh-CN" else " more, see the list") in text


# --- Slack and Teams --------------------------------------------------------------------------------


@pytest.mark.parametrize("more", ["", "?blocks=yes"])
def test_slack_calls_nobody_and_gets_one_message(
    httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    from apprise.plugins.slack import NotifySlack

    monkeypatch.setattr(NotifySlack, "webhook_url", httpserver.url_for("/send"))
    requests = answering(httpserver, "ok")
    Channel(f"slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ{more}").send(ready(count=40, name=HOSTILE), tmp_path)
    (request,) = requests
    said = json.dumps(json.loads(request.data), ensure_ascii=False)
    assert "*HT-1/T0*" in said
    for call in ("<!", "<@", "@all", "&lt;!", "<http"):
        assert call not in said
    assert "Apprise" not in said


def test_teams_gets_one_message_within_its_limit(
    httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import requests as transport

    sent: list[str] = []

    def post(url: str, **options: object) -> transport.Response:
        sent.append(str(options.get("data")))
        answer = transport.Response()
        answer.status_code = 202
        return answer

    monkeypatch.setattr(transport, "post", post)
    Channel(f"workflows://prod-1.logic.azure.com:443/abc{SECRET}/sig{SECRET}").send(ready(count=40), tmp_path)
    (body,) = sent
    assert "HT-1/T0" in body
    assert "more, see the list" in body


# --- contacts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["", "nobody", "a@b", "a@example.com,b@example.com", "a@example.com\r\nBcc: b@example.com", "a b@example.com",
     "Name <a@example.com>", "a@example.com?cc=b@example.com", "a@example.com;b@example.com"],
)  # fmt: skip
def test_an_address_that_is_not_one_address_is_dead_at_once(address: str, tmp_path: Path) -> None:
    with pytest.raises(Undeliverable, match="not one e-mail address"):
        Channel("mailto://127.0.0.1?from=a@example.com&to=b@example.com").send(ready(), tmp_path, to=address)


def test_a_contact_cannot_be_written_to_over_a_chat(tmp_path: Path) -> None:
    with pytest.raises(NotSent, match="only be written to over a mail URL"):
        Channel(f"wecombot://{SECRET}").send(ready(), tmp_path, to="li@example.com")


@pytest.mark.parametrize(
    "url",
    [
        "mailtos://smtp.example.com:465?user=huikuan@example.com&pass=secret&from=huikuan@example.com&to=f@example.com&mode=ssl",
        "wecombot://633a31f6-7f9c-4bc4-97a0-0ec1eefa589", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=633a31f6",
        "dingtalk://SEC0123abcd@9876fedc", "feishu://abcd-ef01", "lark://abcd-ef01",
        "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "workflows://prod-03.westeurope.logic.azure.com:443/0123abcd/sig_0123", "jsons://host.example/path",
    ],
)  # fmt: skip
def test_the_forms_of_the_handbook_are_understood(url: str) -> None:
    """docs/notices.md shows these."""
    Channel(url).check()


def test_what_is_mail() -> None:
    assert Channel("mailtos://u:p@example.com").is_mail
    assert not Channel("wecombot://key").is_mail
    assert Channel("mailto://x").__repr__() == "Channel(mailto://***)"


def test_all_kinds_travel(httpserver: HTTPServer, caught: list[Request], tmp_path: Path) -> None:
    for language in ("zh-CN", "en"):
        for notice in every_notice(language):
            hook(httpserver).send(notice, tmp_path)
    assert len(caught) == 2 * (len(NoticeKind) + 1)
