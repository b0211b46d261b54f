"""zentao."""
