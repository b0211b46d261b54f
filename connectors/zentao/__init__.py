"""ZenTao: stages flagged as milestones, or executions; snapshot and diff."""

from connectors.zentao.connector import CONNECTOR

__all__ = ["CONNECTOR"]
