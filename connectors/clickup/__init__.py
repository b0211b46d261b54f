"""ClickUp: tasks of the type milestone, of other types, or of a list, as milestones."""

from connectors.clickup.connector import CONNECTOR

__all__ = ["CONNECTOR"]
