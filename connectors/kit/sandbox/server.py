"""Run the sandbox on loopback, in a thread; for the demo, tests and connector authors."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette

HOST = "127.0.0.1"
START_SECONDS = 10.0
STOP_SECONDS = 5.0


@contextmanager
def served(app: Starlette, port: int = 0) -> Iterator[str]:
    """Serve on 127.0.0.1; yields the base URL. The port is free unless named. Raises OSError where it is taken."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        # Broken-off answers are meant; uvicorn would report each one as an error.
        config = uvicorn.Config(
            app, log_config=None, log_level="critical", lifespan="off", access_log=False, ws="none",
            timeout_graceful_shutdown=1, timeout_keep_alive=60,
        )  # fmt: skip
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True, name="sandbox")
        thread.start()
        try:
            _wait(server, thread)
            yield f"http://{HOST}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=STOP_SECONDS)


def _wait(server: uvicorn.Server, thread: threading.Thread) -> None:
    """Until it answers. Raises RuntimeError where it does not start."""
    end = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > end:
            raise RuntimeError("the sandbox did not start")
        time.sleep(0.005)
