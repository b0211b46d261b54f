"""Jira (Cloud and Data Center): versions, and issues of chosen types, as milestones."""

from connectors.jira.connector import CONNECTOR

__all__ = ["CONNECTOR"]
