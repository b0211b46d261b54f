"""Asana: milestones, approvals, the tasks of a section or of a custom type, as milestones."""

from connectors.asana.connector import CONNECTOR

__all__ = ["CONNECTOR"]
