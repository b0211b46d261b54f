"""Register the nightly flow and its schedule with a Prefect server."""

from __future__ import annotations

import asyncio
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.schedules import Cron

from flows.nightly import nightly

ROOT = Path(__file__).parents[1]


def deploy(config: Path, cron: str, timezone: str, pool: str) -> str:
    """Create or update the deployment `huikuan-nightly/nightly`; returns its name.

    One run at a time: Prefect keeps the others waiting, the lease in the database keeps them out.
    """
    return asyncio.run(_deploy(config, cron, timezone, pool))


async def _deploy(config: Path, cron: str, timezone: str, pool: str) -> str:
    await _ensure_pool(pool)
    deployment = await nightly.ato_deployment(
        name="nightly",
        parameters={"config": str(config)},
        schedule=Cron(cron, timezone=timezone),
        concurrency_limit=1,
        work_pool_name=pool,
        tags=["huikuan"],
    )
    deployment.entrypoint = "flows.nightly.nightly"
    await deployment.aapply()
    return "huikuan-nightly/nightly"


async def _ensure_pool(name: str) -> None:
    async with get_client() as client:
        try:
            await client.create_work_pool(WorkPoolCreate(name=name, type="process"))
        except ObjectAlreadyExists:
            return
