"""What `check` may know from the store: how the last pulls left it. It opens it to read, and makes none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from connectors.store import Store
from connectors.store.errors import StoreError
from flows import wiring
from flows.settings import Loaded
from flows.steps.bind import foresee
from flows.steps.pull import stored_milestones
from models.domain.contracts import Contract
from models.domain.findings import Finding

#: No night has run yet: nothing is wrong with that.
_NOT_YET = ("NO_DATABASE", "NO_SCHEMA")


@dataclass(frozen=True, slots=True)
class Stored:
    """The milestones of each connection at its last pull, and what they say of the contract files; or why not."""

    state: str  # ok, none, failed
    milestones: Mapping[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    trouble: StoreError | None = None

    def as_json(self, language: str) -> dict[str, object]:
        """For `check --json`."""
        if self.trouble is None:
            return {"state": self.state}
        return {"state": self.state, "message": self.trouble.text(language), "advice": self.trouble.help(language)}


def look_into_store(loaded: Loaded, contracts: Sequence[Contract]) -> Stored:
    """What the store says of the contracts that the files hold now."""
    try:
        with _disposed(wiring.the_store(loaded)) as store:
            counts = stored_milestones(store)
            with store.read() as connection:
                found = foresee(connection, contracts)
    except StoreError as problem:
        return Stored("none") if problem.code in _NOT_YET else Stored("failed", trouble=problem)
    return Stored("ok", counts, tuple(f for f in found if f.place.connection in loaded.settings.connections))


@contextmanager
def _disposed(store: Store) -> Iterator[Store]:
    try:
        yield store
    finally:
        store.dispose()
