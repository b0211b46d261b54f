"""The first schema: facts, decisions, claims, and what runs need."""

from alembic import op

from models.tables import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables. Later changes get a migration of their own; this one then lists its tables itself."""
    metadata.create_all(op.get_bind())


def downgrade() -> None:
    """Going back is restoring a backup."""
    raise NotImplementedError("restore a backup instead")
