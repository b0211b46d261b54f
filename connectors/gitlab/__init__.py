"""GitLab: milestones of projects and groups."""

from connectors.gitlab.connector import CONNECTOR

__all__ = ["CONNECTOR"]
