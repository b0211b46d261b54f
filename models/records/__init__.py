"""Shapes of what comes from outside, checked at the door with pydantic."""
