"""How long a source asks us to wait, in every form in which they say it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: Seconds to wait, or an HTTP date. PingCode's own header first: it is the documented one.
_RETRY = ("x-pc-retry-after", "retry-after", "x-ratelimit-retry-after")
#: The moment the budget is full again: unix seconds, an ISO instant, or (small numbers) seconds from now.
_RESET = ("x-ratelimit-reset", "ratelimit-reset", "ratelimit-resettime")
#: What is left of the source's budget, as the header says it.
_LEFT = ("x-ratelimit-remaining", "ratelimit-remaining", "x-pc-ratelimit-remaining")
#: More than this we do not wait inside a run; the night ends in part and comes again.
WAIT_MAX = 300.0


def asked_wait(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait, at least 0; None where the answer does not say."""
    for name in _RETRY:
        if name in headers:
            return _seconds(headers[name], now, relative=True)
    if headers.get("x-ratelimit-remaining", headers.get("ratelimit-remaining", "0")).strip() not in ("0", ""):
        return None
    for name in _RESET:
        if name in headers:
            return _seconds(headers[name], now, relative=False)
    return None


def rate_left(headers: Mapping[str, str]) -> str | None:
    """How many requests the source says are left; None where it does not say."""
    return next((headers[n] for n in _LEFT if n in headers), None)


def _seconds(text: str, now: datetime, *, relative: bool) -> float | None:
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        moment = _moment(text)
        return None if moment is None else max(0.0, (moment - now).total_seconds())
    if not relative and number > 1_000_000_000:
        return max(0.0, number - now.timestamp())
    return max(0.0, number)


def _moment(text: str) -> datetime | None:
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = parse(text)
        except ValueError:
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None
