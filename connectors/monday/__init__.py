"""monday.com: items of boards as milestones."""

from connectors.monday.connector import CONNECTOR

__all__ = ["CONNECTOR"]
