"""What the cursor of a PingCode connection remembers between two nights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from connectors.http.fields import seconds
from connectors.pingcode.mapping import Review


@dataclass(slots=True)
class KnownReview:
    """A formal review as last seen: unix seconds, who, and the work items it is about."""

    updated_at: int
    order: int
    completed_at: int | None
    by: str | None
    items: list[str]


@dataclass(slots=True)
class Memory:
    """Everything in unix seconds; an unreadable cursor is none, and everything is pulled."""

    watermark: int = 0
    full_at: int = 0
    names: str = ""  # the configured type names that `types` was learned with
    types: dict[str, dict[str, str]] = field(default_factory=dict)  # project id -> type id -> milestone or phase
    reviews: dict[str, KnownReview] = field(default_factory=dict)

    def dump(self) -> str:
        """As the text that the store keeps."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def load(cls, cursor: str | None) -> Memory:
        """From the text that the store kept."""
        try:
            kept: Any = orjson.loads(cursor or "{}")
            reviews = {k: KnownReview(**v) for k, v in kept.pop("reviews", {}).items()}
            return cls(**kept, reviews=reviews)
        except (orjson.JSONDecodeError, TypeError, AttributeError):
            return cls()

    def since(self, now: datetime, reconcile: timedelta) -> datetime | None:
        """From when on to ask for changes; None: for everything, at first and once every `reconcile`."""
        if self.watermark == 0 or now.timestamp() - self.full_at >= reconcile.total_seconds():
            return None
        return datetime.fromtimestamp(min(self.watermark, int(now.timestamp())), now.tzinfo)

    def reviewed(self) -> Mapping[str, Review]:
        """The last review of each work item, where it was completed."""
        last: dict[str, KnownReview] = {}
        for review in sorted(self.reviews.values(), key=lambda r: r.order):
            last |= dict.fromkeys(review.items, review)
        return {
            item: Review(datetime.fromtimestamp(r.completed_at, UTC), r.by)
            for item, r in last.items()
            if r.completed_at is not None
        }


def known_review(row: Mapping[str, Any], items: list[str]) -> KnownReview:
    """A review row, with the work items that it is about. Raises BadRow."""
    completed = seconds(row, "completed_at") if row.get("status") == "completed" else None
    begun = seconds(row, "created_at") or completed
    person = row.get("completed_by")
    name = person.get("display_name") or person.get("name") if isinstance(person, dict) else None
    updated = seconds(row, "updated_at")
    return KnownReview(
        updated_at=0 if updated is None else int(updated.timestamp()),
        order=0 if begun is None else int(begun.timestamp()),
        completed_at=None if completed is None else int(completed.timestamp()),
        by=name if isinstance(name, str) else None,
        items=items,
    )
