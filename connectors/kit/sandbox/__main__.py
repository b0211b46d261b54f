"""`python -m connectors.kit.sandbox`: a sandbox to write connectors against, until interrupted."""

from __future__ import annotations

import argparse
import sys
import threading

from connectors.kit.sandbox.app import AREAS, build_app
from connectors.kit.sandbox.server import served
from connectors.kit.sandbox.world import World


def main(arguments: list[str] | None = None) -> int:
    """Serve, and say where and with which credentials."""
    given = _parser().parse_args(arguments)
    world = _world(given)
    world.generations = tuple(given.generations.split(","))
    world.per_minute = given.per_minute or None
    with served(build_app(world), given.port) as url:
        sys.stdout.write(_greeting(url, world))
        sys.stdout.flush()
        try:
            threading.Event().wait(given.seconds or None)
        except KeyboardInterrupt:
            sys.stdout.write("stopped\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m connectors.kit.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--demo", action="store_true", help="the demo's world instead of a generated one")
    parser.add_argument("--projects", type=int, default=3, help="projects of a generated world")
    parser.add_argument("--milestones", type=int, default=12, help="milestones in each of them")
    parser.add_argument("--seed", type=int, default=1, help="another seed, another world")
    parser.add_argument("--generations", default=",".join(AREAS), help="PingCode's paths: project,pjm or one of them")
    parser.add_argument("--per-minute", type=int, default=200, help="requests a minute before 429; 0: no limit")
    parser.add_argument("--seconds", type=float, default=0, help="stop by itself after so long; 0: never")
    return parser


def _world(given: argparse.Namespace) -> World:
    if given.demo:
        from connectors.kit.demo import demo_world

        return demo_world()
    return World.generated(given.projects, given.milestones, given.seed)


def _greeting(url: str, world: World) -> str:
    return (
        f"PingCode       base_url = {url}\n"
        f"Worktile       base_url = {url}\n"
        f"client_id      = {world.client_id}\n"
        f"client_secret  = {world.client_secret}\n"
        f"projects       = {', '.join(p.identifier for p in world.projects.values())}\n"
        f"control        = POST {url}/_control/VERB\n"
    )


if __name__ == "__main__":
    raise SystemExit(main())
