"""Azure DevOps (Services and Server): work items of chosen types, and iterations, as milestones."""

from connectors.azure_devops.connector import CONNECTOR

__all__ = ["CONNECTOR"]
