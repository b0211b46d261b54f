"""Microsoft Project XML (MSPDI): tasks of a plan as milestones."""

from connectors.msproject.connector import CONNECTOR

__all__ = ["CONNECTOR"]
