"""Smartsheet: rows of sheets as milestones, with the history of the cell that says they are done."""

from connectors.smartsheet.connector import CONNECTOR

__all__ = ["CONNECTOR"]
