"""Microsoft Planner (basic plans): tasks over Graph; snapshot and diff."""

from connectors.ms_planner.connector import CONNECTOR

__all__ = ["CONNECTOR"]
