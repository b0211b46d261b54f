"""Excel and CSV: rows as milestones, by a mapping of columns."""

from connectors.spreadsheet.connector import CONNECTOR

__all__ = ["CONNECTOR"]
