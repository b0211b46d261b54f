"""Odoo: project milestones over JSON-2 or JSON-RPC, read where something was written."""

from connectors.odoo.connector import CONNECTOR

__all__ = ["CONNECTOR"]
