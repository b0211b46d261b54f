"""Messages in the chatter of Odoo's milestones."""

from __future__ import annotations

from connectors.odoo.client import Caller
from models.ports import Spot

MODEL = "project.milestone"


class Comments:
    """Needs a user who may write milestones: Odoo lets nobody else post a message on a record (`mail.thread`)."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def place(self, spot: Spot) -> str | None:
        """The milestone's number."""
        return spot.bare_id

    async def written(self, place: str, mark: str) -> bool:
        """Have Odoo look for the mark."""
        domain = [["model", "=", MODEL], ["res_id", "=", int(place)], ["body", "ilike", mark]]
        return bool(await self._caller.rows("mail.message", domain=domain, fields=["id"], limit=1))

    async def write(self, place: str, text: str) -> None:
        """A note that goes to nobody by mail; a plain text is shown as it is."""
        await self._caller.tell(MODEL, "message_post", [int(place)], body=text, subtype_xmlid="mail.mt_note")
