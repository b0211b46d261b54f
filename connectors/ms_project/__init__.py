"""Microsoft Project for the web (Planner premium): tasks in Dataverse; snapshot and diff."""

from connectors.ms_project.connector import CONNECTOR

__all__ = ["CONNECTOR"]
