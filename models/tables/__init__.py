"""The tables of the store (SQLAlchemy 2)."""
