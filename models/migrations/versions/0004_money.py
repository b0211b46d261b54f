"""Money taken back, bank lines set aside, the kind of an invoice, sums counted in the claim's currency."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add columns that are empty for what is there, and one table."""
    op.add_column("invoices", sa.Column("kind", sa.String(length=8), nullable=True))
    op.add_column("receipts", sa.Column("reverses", ID, nullable=True))
    op.create_index("uq_receipts_reverses", "receipts", ["reverses"], unique=True)
    op.add_column("bank_lines", sa.Column("bank_id", sa.Text(), nullable=True))
    op.add_column("allocations", sa.Column("minor", sa.BigInteger(), nullable=True))
    op.create_table(
        "line_notes",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("bank_line_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["bank_line_id"], ["bank_lines.id"], name=op.f("fk_line_notes_bank_line_id_bank_lines")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_line_notes")),
    )
    op.create_index("ix_line_notes_bank_line_id", "line_notes", ["bank_line_id"], unique=False)


def downgrade() -> None:
    """Going back is restoring a backup."""
    raise NotImplementedError("restore a backup instead")
