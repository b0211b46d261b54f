"""Pushes to where invoices are made."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """One row for each sink, record and kind."""
    op.create_table(
        "pushes",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("sink", sa.Text(), nullable=False),
        sa.Column("record_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("claimed_by", sa.String(length=36), nullable=True),
        sa.Column("claimed_until", sa.BigInteger(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["record_id"], ["ready_records.record_id"], name=op.f("fk_pushes_record_id_ready_records")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pushes")),
        sa.UniqueConstraint("sink", "record_id", "kind", name=op.f("uq_pushes_sink_record_id_kind")),
    )
    op.create_index("ix_pushes_state", "pushes", ["state", "next_at"], unique=False)


def downgrade() -> None:
    """Going back is restoring a backup."""
    raise NotImplementedError("restore a backup instead")
