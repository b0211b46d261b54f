"""GitHub: milestones of repositories."""

from connectors.github.connector import CONNECTOR

__all__ = ["CONNECTOR"]
