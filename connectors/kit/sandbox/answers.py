"""How PingCode answers: pages, errors with code strings, 400 where one expects 404."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response

PAGE_SIZE, PAGE_MAX = 30, 100
T = TypeVar("T")
SECONDS_DIGITS = 10  # a moment with more digits is in milliseconds, which are refused


class Refusal(Exception):
    """The vendor refuses: a code string and a Chinese message, mostly with 400."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status

    def answer(self) -> Response:
        """As the vendor writes it."""
        return answer({"code": self.code, "message": str(self)}, self.status)


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(body), status, headers, "application/json")


def page(given: Mapping[str, Any], rows: Sequence[T], build: Callable[[T], Any]) -> Response:
    """One page. A page past the end is empty, with 200; `total` ignores paging."""
    index, size = number(given, "page_index", 0), min(PAGE_MAX, number(given, "page_size", PAGE_SIZE))
    values = [build(r) for r in rows[index * size : (index + 1) * size]]
    return answer({"page_size": size, "page_index": index, "total": len(rows), "values": values})


def number(given: Mapping[str, Any], name: str, default: int) -> int:
    """A whole number that is not negative. Raises Refusal (100004)."""
    value = str(given.get(name, default))
    if not value.isdecimal():
        raise Refusal("100004", f"{name} 不是有效的数字")
    return int(value)


def flag(given: Mapping[str, Any], name: str) -> bool:
    """true or false. Raises Refusal (100005)."""
    value = str(given.get(name, "false")).lower()
    if value not in ("true", "false"):
        raise Refusal("100005", f"{name} 不是有效的布尔值")
    return value == "true"


def moment(value: Any, name: str) -> int:
    """Ten-digit Unix seconds. Raises Refusal (100004): milliseconds are refused."""
    text = str(value)
    if isinstance(value, bool) or not text.isdecimal() or len(text) > SECONDS_DIGITS:
        raise Refusal("100004", f"{name} 不是有效的时间戳（10 位秒）")
    return int(text)


def between(given: Mapping[str, Any], name: str) -> tuple[int, int] | None:
    """`a,b` between, `,b` before, `a` or `a,` after. None: not asked for."""
    if not given.get(name):
        return None
    low, _, high = str(given[name]).partition(",")
    return (moment(low, name) if low else 0), (moment(high, name) if high else 9_999_999_999)


def required(request: Request, *names: str) -> list[str]:
    """Query parameters that must be there. Raises Refusal (100008)."""
    missing = [n for n in names if not request.query_params.get(n)]
    if missing:
        raise Refusal("100008", f"缺少必填参数 {', '.join(missing)}")
    return [request.query_params[n] for n in names]


def object_id(text: str) -> str:
    """24 hex digits. Raises Refusal (100002, a real 404): a malformed id makes the path a wrong one."""
    if len(text) != 24 or not set(text) <= set("0123456789abcdef"):
        raise bad_path()
    return text


def bad_path() -> Refusal:
    """A path that does not exist."""
    return Refusal("100002", "资源路径不正确", 404)
