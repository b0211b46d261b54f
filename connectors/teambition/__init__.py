"""Teambition: sprints, and tasks that a query picks; snapshot and diff."""
