"""Webhooks and what is written back: hints, deliveries, comments."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    _hints()
    _deliveries()
    _comments()


def downgrade() -> None:
    """Going back is restoring a backup."""
    raise NotImplementedError("restore a backup instead")


def _hints() -> None:
    """What a webhook hints at."""
    op.create_table(
        "hook_hints",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("mark", sa.String(length=36), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "project", name=op.f("pk_hook_hints")),
    )


def _deliveries() -> None:
    """Which deliveries were let in."""
    op.create_table(
        "hook_deliveries",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_hook_deliveries")),
    )
    op.create_index("ix_hook_deliveries_until", "hook_deliveries", ["until"], unique=False)


def _comments() -> None:
    """Comments owed to milestones."""
    op.create_table(
        "comments",
        sa.Column("key", sa.String(length=36), nullable=False),
        sa.Column("record_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("milestone_id", ID, nullable=False),
        sa.Column("place", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=False),
        sa.Column("claimed_by", sa.String(length=36), nullable=True),
        sa.Column("claimed_until", sa.BigInteger(), nullable=True),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("dead_at", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["milestone_id"], ["milestones.id"], name=op.f("fk_comments_milestone_id_milestones")),
        sa.ForeignKeyConstraint(
            ["record_id"], ["ready_records.record_id"], name=op.f("fk_comments_record_id_ready_records")
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_comments")),
        sa.UniqueConstraint("record_id", "kind", "milestone_id", name=op.f("uq_comments_record_id_kind_milestone_id")),
    )
    op.create_index("ix_comments_due", "comments", ["sent_at", "dead_at", "next_attempt_at"], unique=False)
