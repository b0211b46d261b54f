"""`python -m connectors.kit.sandbox [PORT]`: a sandbox to write connectors against."""

import sys
import threading

from connectors.kit.sandbox.app import build_app
from connectors.kit.sandbox.server import served
from connectors.kit.sandbox.world import World

world = World.generated(3, 12)
with served(build_app(world), int(sys.argv[1]) if len(sys.argv) > 1 else 0) as url:
    sys.stdout.write(
        f"PingCode  base_url = {url}\nWorktile  base_url = {url}\nclient_id = {world.client_id}\nclient_secret = {world.client_secret}\n"
    )
    sys.stdout.flush()
    threading.Event().wait()
