"""PingCode: milestones, phases, sprints and releases of projects, and project progress."""

from connectors.pingcode.connector import CONNECTOR

__all__ = ["CONNECTOR"]
