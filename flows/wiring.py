"""The composition root: the only place that picks real things for ports, and the only one with a clock."""
