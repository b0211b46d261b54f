"""GraphQL's errors in our families: whatever the status, whatever the shape."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from connectors.errors import BadPayload, SourceError, SourceRefused, SourceUnavailable
from connectors.http.client import TokenRefused
from connectors.http.graphql import Dialect, connection, judge

NOW = datetime(2026, 11, 20, 22, 0, 0, tzinfo=UTC)
DIALECT = Dialect(throttled=("RATELIMITED", "COMPLEXITY_BUDGET_EXHAUSTED"), spent=("DAILY_LIMIT_EXCEEDED",), login=("AUTHENTICATION_ERROR",))  # fmt: skip


def _judged(body: object, status: int = 200, **headers: str) -> SourceError | None:
    given = httpx.Headers({k.replace("_", "-"): v for k, v in headers.items()})
    return judge(DIALECT, lambda: NOW)(status, body, given)


def _error(code: str, **more: object) -> dict:
    return {"data": None, "errors": [{"message": "no", "extensions": {"code": code, **more}}]}


def test_an_answer_without_errors_is_left_to_its_status() -> None:
    assert _judged({"data": {}}) is None
    assert _judged({"errors": []}) is None
    assert _judged(None, 500) is None
    assert _judged([1]) is None


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("RATELIMITED", SourceUnavailable, "graphql_throttled"),
        ("ratelimited", SourceUnavailable, "graphql_throttled"),
        ("ComplexityBudgetExhausted", SourceUnavailable, "graphql_throttled"),
        ("DAILY_LIMIT_EXCEEDED", SourceUnavailable, "graphql_spent"),
        ("INTERNAL_SERVER_ERROR", SourceUnavailable, "system_failed"),
        ("AUTHENTICATION_ERROR", TokenRefused, "not_authorised"),
        ("FORBIDDEN", SourceRefused, "no_permission"),
        ("GRAPHQL_VALIDATION_FAILED", SourceRefused, "graphql_refused"),
    ],
)
def test_codes_have_families(code: str, kind: type[SourceError], said: str) -> None:
    problem = _judged(_error(code))
    assert type(problem) is kind
    assert problem.trouble.code == said
    assert problem.trouble.advice("zh-CN")
    assert problem.trouble.text("zh-CN")


def test_a_partial_answer_is_an_error() -> None:
    assert isinstance(_judged({"data": {"projects": {"nodes": []}}, "errors": [{"message": "half"}]}), SourceRefused)


@pytest.mark.parametrize(
    "body",
    [{"errors": ["Not Authenticated"]}, {"error_code": "X", "error_message": "no"}, {"errors": {"message": "no"}}],
)
def test_odd_shapes_are_errors_too(body: dict) -> None:
    assert isinstance(_judged(body), SourceRefused)


def test_a_throttled_one_among_several_decides() -> None:
    both = {"errors": [{"message": "x", "extensions": {"code": "WHATEVER"}}, _error("RATELIMITED")["errors"][0]]}
    assert isinstance(_judged(both), SourceUnavailable)


def test_how_long_to_wait() -> None:
    later = str(int((NOW.timestamp() + 42) * 1000))
    assert _judged(_error("RATELIMITED", retry_in_seconds=17)).wait == 17
    assert _judged(_error("RATELIMITED"), 429, Retry_After="9").wait == 9
    empty = {"X_RateLimit_Requests_Remaining": "0", "X_RateLimit_Requests_Reset": later}
    full = {"X_RateLimit_Complexity_Remaining": "77", "X_RateLimit_Complexity_Reset": later + "0"}
    assert _judged(_error("RATELIMITED"), 400, **empty, **full).wait == pytest.approx(42, abs=1)
    assert _judged(_error("RATELIMITED"), 400, **full).wait is None
    assert _judged(_error("RATELIMITED", retry_in_seconds="soon")).wait is None


def test_a_spent_day_waits_for_midnight_utc() -> None:
    assert _judged(_error("DAILY_LIMIT_EXCEEDED", retry_in_seconds=5)).wait == 2 * 3600


def test_the_vendors_sentence_is_cut() -> None:
    problem = _judged({"errors": [{"message": "x" * 10_000, "extensions": {"code": "ODD"}}]})
    assert len(str(problem)) < 400


def test_a_connection_names_its_next_page_or_ends() -> None:
    page = {"nodes": [{"id": 1}], "pageInfo": {"hasNextPage": True, "endCursor": "c"}}
    assert connection(page, "x") == ([{"id": 1}], "c")
    assert connection({**page, "pageInfo": {"hasNextPage": False, "endCursor": "c"}}, "x")[1] is None
    for broken in (None, {"nodes": [1], "pageInfo": {}}, {"nodes": []}, {**page, "pageInfo": {"hasNextPage": True}}):
        with pytest.raises(BadPayload):
            connection(broken, "x")
