"""From ready to paid: credits, bank lines and their allocation, agreements, reminders, guarantees."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0001"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables, those that others point to first."""
    _credits()
    _bank_lines()
    _allocations()
    _agreements()
    _reminders()
    _guarantee_papers()
    _guarantee_events()


def downgrade() -> None:
    """Going back is restoring a backup."""
    raise NotImplementedError("restore a backup instead")


def _credits() -> None:
    """Red invoices, credit notes, cancellations."""
    op.create_table(
        "credits",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=36), nullable=False),
        sa.Column("contract_id", ID, nullable=False),
        sa.Column("term_id", ID, nullable=False),
        sa.Column("invoice_id", ID, nullable=False),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("gross", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name=op.f("fk_credits_contract_id_contracts")),
        sa.ForeignKeyConstraint(["invoice_id"], ["invoices.id"], name=op.f("fk_credits_invoice_id_invoices")),
        sa.ForeignKeyConstraint(["term_id"], ["terms.id"], name=op.f("fk_credits_term_id_terms")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credits")),
        sa.UniqueConstraint("key", name=op.f("uq_credits_key")),
    )
    op.create_index("ix_credits_contract_id", "credits", ["contract_id"], unique=False)


def _bank_lines() -> None:
    """Money as a bank or a list states it."""
    op.create_table(
        "bank_lines",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=36), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("minor", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("payer", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("maturity_day", sa.Integer(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_lines")),
        sa.UniqueConstraint("key", name=op.f("uq_bank_lines_key")),
    )


def _allocations() -> None:
    """Which part of it a receipt is."""
    op.create_table(
        "allocations",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("receipt_id", ID, nullable=False),
        sa.Column("bank_line_id", ID, nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["bank_line_id"], ["bank_lines.id"], name=op.f("fk_allocations_bank_line_id_bank_lines")
        ),
        sa.ForeignKeyConstraint(["receipt_id"], ["receipts.id"], name=op.f("fk_allocations_receipt_id_receipts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_allocations")),
        sa.UniqueConstraint("receipt_id", name=op.f("uq_allocations_receipt_id")),
    )
    op.create_index("ix_allocations_bank_line_id", "allocations", ["bank_line_id"], unique=False)


def _agreements() -> None:
    """Promises, extensions, instalments."""
    op.create_table(
        "agreements",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=36), nullable=False),
        sa.Column("contract_id", ID, nullable=False),
        sa.Column("term_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("made_day", sa.Integer(), nullable=False),
        sa.Column("until_day", sa.Integer(), nullable=False),
        sa.Column("gross", sa.BigInteger(), nullable=True),
        sa.Column("plan", sa.String(length=36), nullable=True),
        sa.Column("default_clause", sa.Boolean(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name=op.f("fk_agreements_contract_id_contracts")),
        sa.ForeignKeyConstraint(["term_id"], ["terms.id"], name=op.f("fk_agreements_term_id_terms")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agreements")),
        sa.UniqueConstraint("key", name=op.f("uq_agreements_key")),
    )
    op.create_index("ix_agreements_contract_id", "agreements", ["contract_id"], unique=False)


def _reminders() -> None:
    """Every touch with the customer."""
    op.create_table(
        "reminders",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=36), nullable=False),
        sa.Column("contract_id", ID, nullable=False),
        sa.Column("term_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("level", sa.Integer(), nullable=True),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("due_day", sa.Integer(), nullable=True),
        sa.Column("gross", sa.BigInteger(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("proof", sa.Text(), nullable=True),
        sa.Column("code", sa.String(length=20), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name=op.f("fk_reminders_contract_id_contracts")),
        sa.ForeignKeyConstraint(["term_id"], ["terms.id"], name=op.f("fk_reminders_term_id_terms")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reminders")),
        sa.UniqueConstraint("key", name=op.f("uq_reminders_key")),
    )
    op.create_index("ix_reminders_contract_id", "reminders", ["contract_id"], unique=False)


def _guarantee_papers() -> None:
    """Guarantees and deposits."""
    op.create_table(
        "guarantee_papers",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=36), nullable=False),
        sa.Column("contract_id", ID, nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("form", sa.String(length=5), nullable=False),
        sa.Column("given", sa.Boolean(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("gross", sa.BigInteger(), nullable=False),
        sa.Column("issued_day", sa.Integer(), nullable=False),
        sa.Column("expires_day", sa.Integer(), nullable=True),
        sa.Column("obligation_day", sa.Integer(), nullable=True),
        sa.Column("return_day", sa.Integer(), nullable=True),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("original_at", sa.Text(), nullable=False),
        sa.Column("on_demand", sa.Boolean(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["contract_id"], ["contracts.id"], name=op.f("fk_guarantee_papers_contract_id_contracts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_guarantee_papers")),
        sa.UniqueConstraint("contract_id", "code", name=op.f("uq_guarantee_papers_contract_id_code")),
        sa.UniqueConstraint("key", name=op.f("uq_guarantee_papers_key")),
    )


def _guarantee_events() -> None:
    """What happened to them."""
    op.create_table(
        "guarantee_events",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=36), nullable=False),
        sa.Column("guarantee_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("gross", sa.BigInteger(), nullable=True),
        sa.Column("until_day", sa.Integer(), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["guarantee_id"], ["guarantee_papers.id"], name=op.f("fk_guarantee_events_guarantee_id_guarantee_papers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_guarantee_events")),
        sa.UniqueConstraint("key", name=op.f("uq_guarantee_events_key")),
    )
    op.create_index("ix_guarantee_events_guarantee_id", "guarantee_events", ["guarantee_id"], unique=False)
