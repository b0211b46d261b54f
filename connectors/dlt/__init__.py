"""Any dlt resource: its items as milestones. Needs the extra `huikuan[dlt]`."""

from connectors.dlt.connector import CONNECTOR

__all__ = ["CONNECTOR"]
