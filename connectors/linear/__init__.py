"""Linear: project milestones, projects, and issues with a label, as milestones."""

from connectors.linear.connector import CONNECTOR

__all__ = ["CONNECTOR"]
