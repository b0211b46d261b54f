"""Token answers that some systems wrap: {"data": {"token": …}}."""

from __future__ import annotations

import httpx
import orjson


def unwrapped(answer: httpx.Response, name: str = "data") -> httpx.Response:
    """The answer with what stands under `name` as its body; as it is where there is no such object."""
    try:
        body = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return answer
    inner = body.get(name) if isinstance(body, dict) else None
    if not isinstance(inner, dict):
        return answer
    headers = {k: v for k, v in answer.headers.items() if k.lower() in ("retry-after", "x-ratelimit-reset")}
    headers["content-type"] = "application/json"
    return httpx.Response(answer.status_code, headers=headers, content=orjson.dumps(inner), request=answer.request)
