"""What the suites' connectors share: agreement of walks, credentials in other headers, tokens of Entra ID, wrapped answers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import httpx
import pytest

from connectors.errors import SourceConfig, SourceRefused
from connectors.http import entra
from connectors.http.agreement import Agreements
from connectors.http.client import Bearer, Send, Token
from connectors.http.headers import Dressed, NoCredentials
from connectors.http.paging import Row, settled
from connectors.http.wrapped import unwrapped
from connectors.kit.fakes import reply
from connectors.registry import connector
from models.domain.words import LANGUAGES, catalogue

SYSTEMS = ("feishu_project", "ms_planner", "ms_project", "odoo", "tapd", "teambition", "zentao")
NOW = datetime(2026, 11, 20, 4, tzinfo=UTC)


async def _unused(_request: httpx.Request) -> httpx.Response:
    raise AssertionError


class Slippery:
    """A list of pages of two, by offset; a row goes after the first page of the first walk."""

    def __init__(self, rows: list[str]) -> None:
        self.rows, self.lost = rows, False

    async def fetch(self, token: str | None) -> tuple[list[Row], str | None]:
        at = int(token or 0)
        page = [{"id": i} for i in self.rows[at : at + 2]]
        more = at + 2 < len(self.rows)
        if not self.lost:
            self.rows, self.lost = self.rows[1:], True
        return page, str(at + 2) if more else None


def test_a_row_that_slips_between_pages_is_not_missed_by_the_walk_that_is_believed() -> None:
    source, agreements = Slippery(list("abcde")), Agreements()
    after: dict[str, str] = {}
    rows, whole = asyncio.run(settled(lambda: agreements.chain("l", source.fetch, "id", {}, after)))
    assert whole
    assert {r["id"] for r in rows} >= set("bcde")
    assert set(after) == {"l"}


def test_one_page_needs_no_second_walk_and_several_agree_with_the_last_pull() -> None:
    asked: list[str | None] = []

    async def fetch(token: str | None) -> tuple[list[Row], str | None]:
        asked.append(token)
        return [{"id": token or "1"}], None if token == "2" else "2"

    kept: dict[str, str] = {}
    last, tonight = Agreements(), Agreements()
    asyncio.run(settled(lambda: last.chain("l", fetch, "id", {}, kept)))
    first = len(asked)
    asked.clear()
    asyncio.run(settled(lambda: tonight.chain("l", fetch, "id", dict(kept), {})))
    assert (first, len(asked)) == (4, 2)


def test_a_token_in_a_header_of_its_own_is_forgotten_when_it_is_refused() -> None:
    given = iter(("one", "two"))

    async def fetch(_send: Send) -> Token:
        return Token(next(given), NOW.timestamp() + 3600)

    dressed = Dressed(Bearer(fetch, lambda: NOW), {"X-User-Key": "7"}, token_header="Token")
    first = asyncio.run(dressed.headers(_unused))
    assert first == {"Token": "one", "X-User-Key": "7"}
    assert dressed.expire(first)
    assert asyncio.run(dressed.headers(_unused))["Token"] == "two"


def test_nothing_in_the_headers_cannot_be_renewed() -> None:
    assert asyncio.run(NoCredentials().headers(_unused)) == {}
    assert not NoCredentials().expire({})


def test_a_token_of_entra_is_asked_for_with_a_form_that_cannot_be_broken() -> None:
    asked: list[httpx.Request] = []

    async def send(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        answer = reply({"access_token": "t", "expires_in": 3599})
        answer.request = request
        return answer

    bearer = entra.application(
        "https://login.example/", "a/../b", "id&x=1", "s=&", "https://graph.example", lambda: NOW
    )
    assert asyncio.run(bearer.headers(send)) == {"Authorization": "Bearer t"}
    assert asked[0].url.raw_path == b"/a%2F..%2Fb/oauth2/v2.0/token"
    assert b"client_id=id%26x%3D1" in asked[0].content
    assert b"scope=https%3A%2F%2Fgraph.example%2F.default" in asked[0].content


def test_a_refused_token_of_entra_says_so_without_the_secret() -> None:
    async def send(request: httpx.Request) -> httpx.Response:
        answer = reply({"error": "invalid_client", "error_description": "AADSTS7000215: s3cr3t-value"}, 401)
        answer.request = request
        return answer

    bearer = entra.application("https://login.example", "t", "id", "s3cr3t-value", "https://graph.example", lambda: NOW)
    with pytest.raises(SourceRefused) as problem:
        asyncio.run(bearer.headers(send))
    assert "s3cr3t" not in f"{problem.value} {problem.value.advice}"


def test_a_login_address_that_is_none_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(SourceConfig):
        entra.application("login.example", "t", "id", "s", "https://graph.example", lambda: NOW)


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'{"data": 5}', b"{}"])
def test_an_answer_without_the_wrapping_stays_as_it_is(content: bytes) -> None:
    answer = httpx.Response(200, content=content, request=httpx.Request("POST", "https://x.example/t"))
    assert unwrapped(answer) is answer


def test_a_wrapped_answer_keeps_its_status_and_what_it_asks_us_to_wait() -> None:
    request = httpx.Request("POST", "https://x.example/t")
    inner = unwrapped(
        httpx.Response(
            429, headers={"Retry-After": "7", "Set-Cookie": "a=b"}, json={"data": {"token": "t"}}, request=request
        )
    )
    assert (inner.status_code, inner.headers["retry-after"], inner.json()) == (429, "7", {"token": "t"})
    assert "set-cookie" not in inner.headers


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_option_has_its_meaning_in_both_languages_and_no_meaning_is_left_over(system: str, language: str) -> None:
    words = {k.rpartition(".")[2] for k in catalogue(language) if k.startswith(f"connector_option.{system}.")}
    assert words == {o.name for o in connector(system).options}


@pytest.mark.parametrize("system", SYSTEMS)
def test_secrets_are_marked_as_such(system: str) -> None:
    named = {"api_key", "client_secret", "api_password", "access_token", "password", "plugin_secret", "app_secret"}
    assert {o.name for o in connector(system).options if o.secret} == {
        o.name for o in connector(system).options
    } & named
