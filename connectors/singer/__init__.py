"""Any Singer tap: a stream's records as milestones."""

from connectors.singer.connector import CONNECTOR

__all__ = ["CONNECTOR"]
