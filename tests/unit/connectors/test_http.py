"""The one client: waiting, budget, tokens, pages, and what never gets out."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from connectors.errors import BadPayload, SourceConfig, SourceUnavailable
from connectors.http.budget import Budget
from connectors.http.client import ApiKey, Bearer, Http, Missing, Policy, Token, checked_base, token_end
from connectors.http.paging import RawPage, Walk, settled, together, total_of
from connectors.http.redaction import masked
from connectors.http.waiting import asked_wait
from connectors.kit.conformance import Clock

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-pc-retry-after": "7"}, 7),
        ({"Retry-After": "7.5"}, 7.5),
        ({"Retry-After": "Fri, 20 Nov 2026 04:00:09 GMT"}, 9),
        ({"Retry-After": "Fri, 20 Nov 2026 03:00:00 GMT"}, 0),
        ({"X-RateLimit-Retry-After": "3"}, 3),
        ({"X-RateLimit-Reset": "1795147230"}, 30),
        ({"X-RateLimit-Reset": "2026-11-20T12:00:05+08:00"}, 5),
        ({"RateLimit-Reset": "12"}, 12),
        ({"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "1795147230"}, None),
        ({"Retry-After": "soon"}, None),
        ({}, None),
        ({"x-pc-retry-after": "2", "Retry-After": "99"}, 2),
    ],
)
def test_every_form_of_asking_us_to_wait(headers: dict, seconds: float | None) -> None:
    assert asked_wait(httpx.Headers(headers), NOW) == seconds


async def test_no_window_of_a_minute_holds_more_than_the_budget() -> None:
    clock = Clock(1_000_000)
    budget, passed = Budget(180, clock.now, clock.sleep), []
    for number in range(900):
        await budget.acquire()
        passed.append(clock.seconds)
        clock.seconds += 0.01 * (number % 7)
    assert all(later - first >= 60 for first, later in zip(passed, passed[180:], strict=False))
    assert passed[-1] - passed[0] < 300  # and no slower than it must be


def _client(handler, **changes) -> tuple[Http, Clock]:
    clock = Clock(1_000_000)
    policy = changes.pop("policy", Policy(timeout=1, concurrency=4))
    credentials = changes.pop("credentials", ApiKey("X-Key", "sesame-123456"))
    http = Http(
        "https://pm.example/root/", credentials, clock=clock.now, sleep=clock.sleep, policy=policy,
        transport=httpx.MockTransport(handler), secrets=("sesame-123456",), **changes,
    )  # fmt: skip
    return http, clock


async def test_patience_is_bounded_in_time_as_well_as_in_attempts() -> None:
    http, clock = _client(lambda r: httpx.Response(429, headers={"retry-after": "50"}), policy=Policy(attempts=99, patience=120))  # fmt: skip
    async with http:
        with pytest.raises(SourceUnavailable):
            await http.get("/x")
    assert clock.slept <= 120
    assert http.requests == 3


async def test_a_404_is_told_apart_and_the_message_has_no_query() -> None:
    http, _ = _client(lambda r: httpx.Response(404, json={"message": "secret=hunter2"}))
    async with http:
        with pytest.raises(Missing) as problem:
            await http.get("/things", {"access_token": "sesame-123456"})
    assert str(problem.value) == "GET /things: not there (404)"


async def test_requests_side_by_side_stay_within_the_concurrency() -> None:
    running, most = 0, 0

    async def handler(request: httpx.Request) -> httpx.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return httpx.Response(200, json={})

    http, _ = _client(handler)
    async with http:
        await together([http.get(f"/{n}") for n in range(40)])
    assert most == 4


async def test_a_token_that_one_request_renewed_is_not_thrown_away_by_another() -> None:
    fetched = []

    async def fetch(_send) -> Token:
        fetched.append(f"t{len(fetched)}")
        return Token(fetched[-1], 9e9)

    async def handler(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.001)
        return httpx.Response(401 if request.headers["authorization"] == "Bearer t0" else 200, json={})

    http, clock = _client(handler, credentials=Bearer(fetch, lambda: NOW))
    async with http:
        await together([http.get(f"/{n}") for n in range(12)])
    assert fetched == ["t0", "t1"]
    del clock


@pytest.mark.parametrize(
    ("expires", "ends"), [(7200, 7200), (1_800_000_000, None), (None, 3600), ("x", 3600), (0, 3600)]
)
def test_the_end_of_a_token_is_a_moment_or_a_duration(expires: object, ends: int | None) -> None:
    wanted = 1_800_000_000 if ends is None else NOW.timestamp() + ends
    assert token_end({"expires_in": expires}, lambda: NOW) == wanted


@pytest.mark.parametrize("bad", ["", "pm.example", "ftp://pm.example", "https://", 7])
def test_a_base_url_that_is_none(bad: object) -> None:
    with pytest.raises(SourceConfig):
        checked_base(bad)  # type: ignore[arg-type]


def test_known_secrets_and_whatever_follows_a_secrets_name_are_masked() -> None:
    text = 'GET /x?client_secret=abc&page=2 "api_key": "k-1" Authorization: Bearer tok X-Redmine-API-Key: zz {"identifier_key":"ZHYQ"}'
    shown = masked(text + " sesame-123456", ["sesame-123456"])
    assert not any(s in shown for s in ("abc", "k-1", "tok", "zz", "sesame"))
    assert "page=2" in shown
    assert "ZHYQ" in shown


# --- pages ---


def _list(rows: list[int], *, total: bool = True, cap: int = 100, lie: int = 0):
    calls = []

    async def fetch(number: int, size: int) -> RawPage:
        size = min(size, cap)
        calls.append(number)
        page = [{"id": n} for n in rows[number * size : (number + 1) * size]]
        return RawPage(page, len(rows) + lie if total else None)

    return fetch, calls


async def _walked(walk: Walk) -> list[int]:
    return [row["id"] async for rows in walk.pages() for row in rows]


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250, 1000])
@pytest.mark.parametrize("total", [True, False])
async def test_every_row_once_whatever_the_number(count: int, total: bool) -> None:
    fetch, _ = _list(list(range(count)), total=total)
    walk = Walk(fetch, 100, "id")
    assert await _walked(walk) == list(range(count))
    assert walk.complete


async def test_a_source_that_gives_smaller_pages_than_asked_loses_nothing() -> None:
    fetch, _ = _list(list(range(250)), cap=30)
    walk = Walk(fetch, 100, "id")
    assert await _walked(walk) == list(range(250))
    assert walk.complete


@pytest.mark.parametrize("count", [0, 1, 29, 30, 31, 60, 100, 250])
@pytest.mark.parametrize("told", [None, True])
async def test_a_limit_of_its_own_loses_nothing_where_the_source_tells_no_total(count: int, told: bool | None) -> None:
    """A first page of 30 rows where 100 were asked for is no end."""
    plain, calls = _list(list(range(count)), total=False, cap=30)

    async def fetch(number: int, size: int) -> RawPage:
        page = await plain(number, size)
        return RawPage(page.rows, more=(number + 1) * min(size, 30) < count if told else None)

    walk = Walk(fetch, 100, "id")
    assert await _walked(walk) == list(range(count))
    assert walk.complete
    pages = -(-count // 30)
    assert len(calls) == max(1, pages if told or count % 30 else pages + 1) + (told is None and 0 < count < 30)


@pytest.mark.parametrize(("total", "more"), [(True, None), (False, False)])
async def test_a_single_page_costs_one_request_where_the_source_says_that_it_is_the_last(
    total: bool, more: bool | None
) -> None:
    plain, calls = _list(list(range(7)), total=total)

    async def fetch(number: int, size: int) -> RawPage:
        page = await plain(number, size)
        return RawPage(page.rows, page.total, more)

    assert await _walked(Walk(fetch, 100, "id")) == list(range(7))
    assert calls == [0]


async def test_a_source_that_does_not_heed_the_page_is_not_taken_for_one_of_a_single_page() -> None:
    """It may have 200 rows, and gives the first 30 whatever it is asked."""

    async def fetch(number: int, size: int) -> RawPage:
        return RawPage([{"id": n} for n in range(30)])

    with pytest.raises(BadPayload, match="same page") as problem:
        await _walked(Walk(fetch, 100, "id"))
    assert "more=False" in problem.value.advice


@pytest.mark.parametrize(
    ("told", "total"),
    [(70, 70), ("70", 70), ("0", 0), (-1, None), ("-1", None), ("７０", None), ("", None), (True, None), (7.0, None)],
)
def test_a_total_may_be_a_text(told: object, total: int | None) -> None:
    assert total_of(told) == total
    assert total_of("9" * 5000) is None


async def test_a_walk_that_missed_rows_knows_it() -> None:
    fetch, _ = _list(list(range(250)), lie=5)
    walk = Walk(fetch, 100, "id")
    await _walked(walk)
    assert not walk.complete
    rows, whole = await settled(lambda: Walk(fetch, 100, "id"))
    assert (len(rows), whole) == (250, False)


async def test_a_list_that_does_not_end_is_stopped() -> None:
    async def fetch(number: int, size: int) -> RawPage:
        return RawPage([{"id": n} for n in range(size)], None, more=True)

    with pytest.raises(BadPayload, match="same page"):
        await _walked(Walk(fetch, 100, "id"))


async def test_an_absurd_total_is_refused() -> None:
    async def fetch(number: int, size: int) -> RawPage:
        return RawPage([{"id": 1}], 10**12)

    with pytest.raises(BadPayload, match="pages announced"):
        await _walked(Walk(fetch, 100, "id"))


async def test_a_failing_page_calls_off_the_others() -> None:
    started = []

    async def fetch(number: int, size: int) -> RawPage:
        started.append(number)
        await asyncio.sleep(0)
        if number == 2:
            raise SourceUnavailable("down", advice="x")
        return RawPage([{"id": number * size + n} for n in range(size)], 100 * size)

    with pytest.raises(SourceUnavailable):
        await _walked(Walk(fetch, 100, "id", ahead=4))
    assert len(started) < 20


async def test_a_moment_far_in_the_future_is_not_waited_for() -> None:
    http, clock = _client(lambda r: httpx.Response(429, headers={"x-ratelimit-reset": str(1_000_000 + 10**9)}))
    async with http:
        with pytest.raises(SourceUnavailable):
            await http.get("/x")
    assert clock.slept == 0
    assert timedelta(0) == clock.now() - datetime.fromtimestamp(1_000_000, UTC)
