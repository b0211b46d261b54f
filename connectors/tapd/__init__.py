"""TAPD: iterations and release reviews; snapshot and diff, histories where something changed."""

from connectors.tapd.connector import CONNECTOR

__all__ = ["CONNECTOR"]
