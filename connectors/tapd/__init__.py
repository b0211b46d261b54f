"""tapd."""
