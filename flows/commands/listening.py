"""`listen`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from rich.text import Text

from flows import wiring
from flows.commands.shared import Stop, command, out, settings
from flows.settings import Loaded
from models.domain.words import say


@command
def listen(config: Path, *, host: str, port: int, wait: int, handshakes: Sequence[str], language: str) -> int:
    """Receive webhooks until stopped."""
    import uvicorn

    from flows.listen import Receiver, Worker, ears_of, receiver_app

    loaded = settings(config)
    known = wiring.the_hooks(loaded)
    waiting = _waiting(loaded, handshakes, language)
    known |= {n: wiring.hook_of(loaded, n) for n in waiting if n not in known}
    if not known:
        raise Stop(say("cli.listen_for_nothing", language))
    store = wiring.the_store(loaded, create=True)
    ears = ears_of(known, waiting)
    worker = Worker(store, list(ears), partial(wiring.pull_sooner, loaded, store), wiring.epoch_now)
    receiver = Receiver(store, ears, wiring.epoch_now, wait)
    _say_where(ears, host, port, language)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    logging.getLogger("huikuan").setLevel(logging.INFO)
    # No access log: a secret may stand in the address.
    uvicorn.run(receiver_app(receiver, worker), host=host, port=port, access_log=False, log_level="warning", ws="none")
    store.dispose()
    return 0


def _waiting(loaded: Loaded, handshakes: Sequence[str], language: str) -> dict[str, Path]:
    """NAME=FILE: where the secret goes that a vendor will choose."""
    found = {}
    for text in handshakes:
        name, _, file = text.partition("=")
        if not file or name not in loaded.settings.connections:
            names = ", ".join(loaded.settings.connections) or "-"
            raise Stop(say("cli.handshake_wrong", language, text=repr(text), names=names))
        found[name] = loaded.root / file
    return found


def _say_where(ears: Mapping[str, object], host: str, port: int, language: str) -> None:
    out.print(Text(say("cli.listening", language, url=f"http://{host}:{port}")))
    for name in ears:
        out.print(Text(f"  POST /hooks/{name}"))
