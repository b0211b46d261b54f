"""What carries the requests: aiohttp under httpx.

httpx's own pool asks every idle connection whether it is still there before each request; at sixteen
connections that costs a third of a page's time. The transport has the same face, so nothing above knows.
"""

from __future__ import annotations

import ssl
from functools import cache
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

_HEADER_MAX = 65_536  # bytes of one header: aiohttp allows 8 KiB, some Link headers are longer
_BUFFER = 262_144  # bytes read ahead of the parser: a page of a hundred rows fits


def fast_transport(base_url: str, connections: int) -> httpx.AsyncBaseTransport:
    """A transport of so many connections; certificates and proxy come from the environment, as with httpx."""
    secure, proxy = _certificates(), _proxy(base_url)

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=secure),
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=_HEADER_MAX,
            max_field_size=_HEADER_MAX,
            read_bufsize=_BUFFER,
        )

    return AiohttpTransport(verify=secure, proxy=proxy, client=session)


@cache
def _certificates() -> ssl.SSLContext:
    """Read once: it takes as long as twenty pages. SSL_CERT_FILE and SSL_CERT_DIR are heeded."""
    return httpx.create_ssl_context()


def _proxy(base_url: str) -> httpx.Proxy | None:
    """The proxy for a connection (HTTPS_PROXY, NO_PROXY …), asked for once; aiohttp would ask for every request."""
    parts = urlsplit(base_url)
    found = getproxies().get(parts.scheme) or getproxies().get("all")
    return httpx.Proxy(found) if found and not proxy_bypass(parts.netloc) else None


def timed_out(problem: BaseException) -> bool:
    """Was it a time-out? The transport calls a refused connection one too; aiohttp's own error below tells."""
    cause = problem.__cause__
    if isinstance(cause, aiohttp.ClientError):
        return isinstance(cause, TimeoutError)
    return isinstance(problem, httpx.TimeoutException | TimeoutError)
