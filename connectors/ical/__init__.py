"""iCalendar: to-dos as milestones, events as planned dates."""

from connectors.ical.connector import CONNECTOR

__all__ = ["CONNECTOR"]
