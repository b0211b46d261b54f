"""Feishu Project (Meegle): work items of named types, or the milestone nodes of their flows."""

from connectors.feishu_project.connector import CONNECTOR

__all__ = ["CONNECTOR"]
