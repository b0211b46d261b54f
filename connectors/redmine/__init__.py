"""Redmine: versions, and issues of chosen trackers, as milestones."""

from connectors.redmine.connector import CONNECTOR

__all__ = ["CONNECTOR"]
