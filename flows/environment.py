"""The environment of the process: the only module that reads or sets it. Light, since every command starts here."""

from __future__ import annotations

import os
from collections.abc import Mapping

#: No dependency of ours phones home, unless the operator decided so himself.
QUIET = {
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
}


def be_quiet() -> None:
    """Switch telemetry off for this process; call before anything heavy is imported."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def environment() -> Mapping[str, str]:
    """The environment, for those who must read it."""
    return os.environ


def prefect_api() -> str | None:
    """The address of a Prefect server, where one is configured."""
    return os.environ.get("PREFECT_API_URL") or None
