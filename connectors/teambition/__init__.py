"""Teambition: sprints, and tasks that a query picks; snapshot and diff."""

from connectors.teambition.connector import CONNECTOR

__all__ = ["CONNECTOR"]
