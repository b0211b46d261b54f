"""Worktile: tasks of a milestone type, snapshot and diff (the vendor has no filter by change)."""

from connectors.worktile.connector import CONNECTOR

__all__ = ["CONNECTOR"]
