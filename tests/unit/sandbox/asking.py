"""A client that asks the sandbox in-process, without a socket."""

from __future__ import annotations

from typing import Any

import httpx

from connectors.kit.sandbox.app import build_app
from connectors.kit.sandbox.world import World


class Asker:
    """One client with a token of each vendor."""

    def __init__(self, world: World) -> None:
        self.world = world
        transport = httpx.ASGITransport(app=build_app(world), raise_app_exceptions=True)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://sandbox")

    async def sign_in(self) -> Asker:
        """Fetch a token of each vendor."""
        await self.pingcode_token()
        secret = {"client_id": self.world.client_id, "client_secret": self.world.client_secret}
        self.worktile_token = (await self.http.post("/open-api/tenant-access-token", json=secret)).json()[
            "tenant_access_token"
        ]
        return self

    async def pingcode_token(self, **changes: str) -> httpx.Response:
        """Ask for a PingCode token and use it from now on."""
        given = {
            "grant_type": "client_credentials", "client_id": self.world.client_id, "client_secret": self.world.client_secret,
        }  # fmt: skip
        answer = await self.http.get("/v1/auth/token", params=given | changes)
        if answer.status_code == 200:
            self.http.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        return answer

    async def get(self, path: str, **params: Any) -> httpx.Response:
        """GET with the token."""
        return await self.http.get(path, params=params)

    async def rows(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """The rows of a page; the answer must be a good one."""
        answer = await self.get(path, **params)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        return body["values"] if "values" in body else body["value"]

    async def search(self, payload: dict[str, Any]) -> httpx.Response:
        """The newer generation's search."""
        return await self.http.post("/v1/pjm/work_items/search", json={"mode": "query", "payload": payload})

    async def worktile(self, path: str, **params: Any) -> httpx.Response:
        """GET at Worktile, the token in the query."""
        given = {"access_token": self.worktile_token, **params}
        return await self.http.get(f"/open-api{path}", params=given, headers={"authorization": ""})

    async def control(self, verb: str, **body: Any) -> httpx.Response:
        """POST to the control API."""
        return await self.http.post(f"/_control/{verb}", json=body)
