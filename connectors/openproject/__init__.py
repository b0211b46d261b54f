"""OpenProject: work packages of milestone types, and versions, as milestones."""

from connectors.openproject.connector import CONNECTOR

__all__ = ["CONNECTOR"]
