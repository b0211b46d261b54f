"""Credentials with what some systems want besides a bearer token: fixed headers, a header of another name."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.http.client import Credentials, Send

_BEARER = "Bearer "


class Dressed:
    """Other credentials and fixed headers; `token_header` takes the bearer token in place of Authorization."""

    def __init__(self, inner: Credentials, fixed: Mapping[str, str], *, token_header: str = "") -> None:
        self._inner, self._fixed, self._token_header = inner, dict(fixed), token_header

    async def headers(self, send: Send) -> Mapping[str, str]:
        """All of them."""
        found = await self._inner.headers(send)
        if self._token_header:
            found = {self._token_header: found["Authorization"].removeprefix(_BEARER)}
        return {**found, **self._fixed}

    def expire(self, used: Mapping[str, str]) -> bool:
        """Forget the token that was used."""
        if self._token_header:
            used = {"Authorization": _BEARER + used.get(self._token_header, "")}
        return self._inner.expire(used)


class NoCredentials:
    """Nothing in the headers: who we are stands in the request's body."""

    async def headers(self, send: Send) -> Mapping[str, str]:
        """None."""
        del send
        return {}

    def expire(self, used: Mapping[str, str]) -> bool:
        """There is nothing to renew."""
        del used
        return False
