"""Tokens of Microsoft Entra ID for an application (client credentials); `expires_in` is a number of seconds.

Source: learn.microsoft.com, identity platform, client credentials flow.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from urllib.parse import quote, urlencode

import httpx

from connectors.http.client import Bearer, Send, Token, checked_base, token_answer, token_end

LOGIN = "https://login.microsoftonline.com"


def application(
    login_url: str, tenant: str, client_id: str, client_secret: str, resource: str, clock: Callable[[], datetime]
) -> Bearer:
    """Credentials for `resource` (its root address). Raises SourceConfig for a login address that is none."""
    url = f"{checked_base(login_url)}/{quote(tenant, safe='')}/oauth2/v2.0/token"
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": client_secret,
        "scope": f"{resource}/.default",
    }
    content, kind = urlencode(form).encode(), {"content-type": "application/x-www-form-urlencoded"}

    async def fetch(send: Send) -> Token:
        found = token_answer(await send(httpx.Request("POST", url, content=content, headers=kind)), clock)
        return Token(str(found["access_token"]), token_end(found, clock))

    return Bearer(fetch, clock)
