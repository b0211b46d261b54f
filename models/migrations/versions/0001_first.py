"""The first schema: facts, decisions, claims, and what runs need.

Written out, not made from `models.tables`: a migration says what it did on the day it was written, and a
test says that all of them together give the tables of today.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make all tables, those that others point to first."""
    _contracts()
    _milestones()
    _observations()
    _bindings_and_facts()
    _claims()
    _decisions()
    _records()
    _people()
    _runs()
    _service()


def downgrade() -> None:
    """Going back is restoring a backup."""
    raise NotImplementedError("restore a backup instead")


def _contracts() -> None:
    """Contracts, their versions and terms, and the files they were read from."""
    op.create_table(
        "contracts",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("project_manager", sa.Text(), nullable=True),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("version_id", ID, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contracts")),
        sa.UniqueConstraint("number", name=op.f("uq_contracts_number")),
    )
    op.create_table(
        "contract_versions",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("contract_id", ID, nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("long_form", sa.Text(), nullable=False),
        sa.Column("compiled", sa.LargeBinary(), nullable=False),
        sa.Column("rule_version", sa.Integer(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["contract_id"], ["contracts.id"], name=op.f("fk_contract_versions_contract_id_contracts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contract_versions")),
        sa.UniqueConstraint(
            "contract_id",
            "content_hash",
            "rule_version",
            name=op.f("uq_contract_versions_contract_id_content_hash_rule_version"),
        ),
    )
    op.create_table(
        "terms",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("contract_id", ID, nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name=op.f("fk_terms_contract_id_contracts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_terms")),
        sa.UniqueConstraint("contract_id", "code", name=op.f("uq_terms_contract_id_code")),
    )
    op.create_table(
        "contract_files",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("numbers", sa.Text(), nullable=False),
        sa.Column("findings", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_contract_files")),
    )


def _milestones() -> None:
    """What a source said about each milestone."""
    op.create_table(
        "milestones",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("vendor_id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=False),
        sa.Column("project_key", sa.Text(), nullable=False),
        sa.Column("project_name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("planned_day", sa.Integer(), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("content_hash", sa.String(length=32), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_milestones")),
        sa.UniqueConstraint("connection", "vendor_id", name=op.f("uq_milestones_connection_vendor_id")),
    )
    op.create_index("ix_milestones_name", "milestones", ["connection", "name_key"], unique=False)
    op.create_table(
        "milestone_changes",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("milestone_id", ID, nullable=False),
        sa.Column("observation_id", ID, nullable=False),
        sa.Column("what", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=True),
        sa.Column("day", sa.Integer(), nullable=True),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.Column("corrects", sa.Boolean(), nullable=False),
        sa.Column("by", sa.Text(), nullable=True),
        sa.Column("grade", sa.Integer(), nullable=False),
        sa.Column("provenance", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["milestone_id"], ["milestones.id"], name=op.f("fk_milestone_changes_milestone_id_milestones")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_milestone_changes")),
    )
    op.create_index("ix_milestone_changes_milestone_id", "milestone_changes", ["milestone_id"], unique=False)
    op.create_table(
        "cursors",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("connection", name=op.f("pk_cursors")),
    )


def _observations() -> None:
    """Each thing a source said, never edited."""
    op.create_table(
        "observations",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("milestone_id", ID, nullable=False),
        sa.Column("content_hash", sa.String(length=32), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("percent_bp", sa.Integer(), nullable=True),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.Column("done_day", sa.Integer(), nullable=True),
        sa.Column("done_by", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=True),
        sa.Column("observed_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("unproven", sa.Boolean(), nullable=False),
        sa.Column("grade", sa.Integer(), nullable=False),
        sa.Column("provenance", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("history", sa.Text(), nullable=True),
        sa.Column("extra", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["milestone_id"], ["milestones.id"], name=op.f("fk_observations_milestone_id_milestones")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_observations")),
    )
    op.create_index("ix_observations_milestone_id", "observations", ["milestone_id"], unique=False)


def _bindings_and_facts() -> None:
    """What fills the events of contracts."""
    op.create_table(
        "bindings",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("contract_id", ID, nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=True),
        sa.Column("project", sa.Text(), nullable=True),
        sa.Column("vendor_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("threshold_bp", sa.Integer(), nullable=True),
        sa.Column("min_grade", sa.Integer(), nullable=True),
        sa.Column("day", sa.Integer(), nullable=True),
        sa.Column("until_day", sa.Integer(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("milestone_id", ID, nullable=True),
        sa.Column("confirmed_by", sa.Text(), nullable=True),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name=op.f("fk_bindings_contract_id_contracts")),
        sa.ForeignKeyConstraint(["milestone_id"], ["milestones.id"], name=op.f("fk_bindings_milestone_id_milestones")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bindings")),
        sa.UniqueConstraint("contract_id", "event", "kind", name=op.f("uq_bindings_contract_id_event_kind")),
    )
    op.create_index("ix_bindings_milestone_id", "bindings", ["milestone_id"], unique=False)
    op.create_table(
        "facts",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=36), nullable=False),
        sa.Column("contract_id", ID, nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=True),
        sa.Column("day", sa.Integer(), nullable=True),
        sa.Column("value", sa.Boolean(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name=op.f("fk_facts_contract_id_contracts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_facts")),
        sa.UniqueConstraint("key", name=op.f("uq_facts_key")),
    )
    op.create_index("ix_facts_contract_id", "facts", ["contract_id"], unique=False)


def _claims() -> None:
    """What is asked for and what came."""
    op.create_table(
        "invoices",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=36), nullable=False),
        sa.Column("contract_id", ID, nullable=False),
        sa.Column("term_id", ID, nullable=False),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("issued_day", sa.Integer(), nullable=False),
        sa.Column("received_day", sa.Integer(), nullable=True),
        sa.Column("gross", sa.BigInteger(), nullable=True),
        sa.Column("cancelled_day", sa.Integer(), nullable=True),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name=op.f("fk_invoices_contract_id_contracts")),
        sa.ForeignKeyConstraint(["term_id"], ["terms.id"], name=op.f("fk_invoices_term_id_terms")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoices")),
        sa.UniqueConstraint("key", name=op.f("uq_invoices_key")),
    )
    op.create_index("ix_invoices_contract_id", "invoices", ["contract_id"], unique=False)
    op.create_table(
        "receipts",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=36), nullable=False),
        sa.Column("contract_id", ID, nullable=False),
        sa.Column("term_id", ID, nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("gross", sa.BigInteger(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("maturity_day", sa.Integer(), nullable=True),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name=op.f("fk_receipts_contract_id_contracts")),
        sa.ForeignKeyConstraint(["term_id"], ["terms.id"], name=op.f("fk_receipts_term_id_terms")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipts")),
        sa.UniqueConstraint("key", name=op.f("uq_receipts_key")),
    )
    op.create_index("ix_receipts_contract_id", "receipts", ["contract_id"], unique=False)


def _decisions() -> None:
    """What was concluded, and where each contract stands."""
    op.create_table(
        "decisions",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("contract_id", ID, nullable=False),
        sa.Column("version_id", ID, nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("as_of", sa.Integer(), nullable=False),
        sa.Column("rule_version", sa.Integer(), nullable=False),
        sa.Column("content_hash", sa.String(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name=op.f("fk_decisions_contract_id_contracts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
    )
    op.create_index("ix_decisions_contract_id", "decisions", ["contract_id"], unique=False)
    op.create_table(
        "standing",
        sa.Column("contract_id", ID, autoincrement=False, nullable=False),
        sa.Column("version_id", ID, nullable=False),
        sa.Column("content_hash", sa.String(length=32), nullable=False),
        sa.Column("as_of", sa.Integer(), nullable=False),
        sa.Column("next_look", sa.Integer(), nullable=False),
        sa.Column("evaluated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name=op.f("fk_standing_contract_id_contracts")),
        sa.PrimaryKeyConstraint("contract_id", name=op.f("pk_standing")),
    )
    op.create_index(op.f("ix_standing_next_look"), "standing", ["next_look"], unique=False)


def _records() -> None:
    """Ready to invoice, and no longer."""
    op.create_table(
        "ready_records",
        sa.Column("record_id", sa.String(length=36), nullable=False),
        sa.Column("contract_id", ID, nullable=False),
        sa.Column("term_id", ID, nullable=False),
        sa.Column("occurrence", sa.Integer(), nullable=False),
        sa.Column("gross", sa.BigInteger(), nullable=False),
        sa.Column("net", sa.BigInteger(), nullable=False),
        sa.Column("tax", sa.BigInteger(), nullable=False),
        sa.Column("lines", sa.Text(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("ready_day", sa.Integer(), nullable=False),
        sa.Column("legal_day", sa.Integer(), nullable=False),
        sa.Column("noticed_day", sa.Integer(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("version_id", ID, nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name=op.f("fk_ready_records_contract_id_contracts")),
        sa.ForeignKeyConstraint(["term_id"], ["terms.id"], name=op.f("fk_ready_records_term_id_terms")),
        sa.PrimaryKeyConstraint("record_id", name=op.f("pk_ready_records")),
        sa.UniqueConstraint("term_id", "occurrence", name=op.f("uq_ready_records_term_id_occurrence")),
    )
    op.create_index("ix_ready_records_contract_id", "ready_records", ["contract_id"], unique=False)
    op.create_table(
        "withdrawals",
        sa.Column("record_id", sa.String(length=36), nullable=False),
        sa.Column("withdrawn_day", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["record_id"], ["ready_records.record_id"], name=op.f("fk_withdrawals_record_id_ready_records")
        ),
        sa.PrimaryKeyConstraint("record_id", name=op.f("pk_withdrawals")),
    )


def _people() -> None:
    """What people must look at, and what they decided."""
    op.create_table(
        "exceptions",
        sa.Column("exception_id", sa.String(length=36), nullable=False),
        sa.Column("contract_id", ID, nullable=False),
        sa.Column("term_id", ID, nullable=True),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("opened_day", sa.Integer(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name=op.f("fk_exceptions_contract_id_contracts")),
        sa.PrimaryKeyConstraint("exception_id", name=op.f("pk_exceptions")),
    )
    op.create_index("ix_exceptions_contract_id", "exceptions", ["contract_id"], unique=False)
    op.create_table(
        "exception_closings",
        sa.Column("exception_id", sa.String(length=36), nullable=False),
        sa.Column("closed_day", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["exception_id"], ["exceptions.exception_id"], name=op.f("fk_exception_closings_exception_id_exceptions")
        ),
        sa.PrimaryKeyConstraint("exception_id", name=op.f("pk_exception_closings")),
    )
    op.create_table(
        "interventions",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=36), nullable=False),
        sa.Column("contract_id", ID, nullable=False),
        sa.Column("term_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["contract_id"], ["contracts.id"], name=op.f("fk_interventions_contract_id_contracts")),
        sa.ForeignKeyConstraint(["term_id"], ["terms.id"], name=op.f("fk_interventions_term_id_terms")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_interventions")),
        sa.UniqueConstraint("key", name=op.f("uq_interventions_key")),
    )
    op.create_index("ix_interventions_contract_id", "interventions", ["contract_id"], unique=False)


def _runs() -> None:
    """Runs, what they found, and what they hold back."""
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("as_of", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.Column("counts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_runs")),
    )
    op.create_table(
        "findings",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("severity", sa.String(length=8), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("params", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_findings")),
    )
    op.create_index("ix_findings_run_id", "findings", ["run_id"], unique=False)
    op.create_table(
        "quarantine",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=36), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("vendor_id", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("params", sa.Text(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("cleared_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
        sa.UniqueConstraint("key", name=op.f("uq_quarantine_key")),
    )
    op.create_index("ix_quarantine_connection", "quarantine", ["connection", "cleared_at"], unique=False)


def _service() -> None:
    """Notices owed, who holds a run, and marks."""
    op.create_table(
        "outbox",
        sa.Column("key", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("language", sa.String(length=8), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("draft", sa.Boolean(), nullable=False),
        sa.Column("attachment", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.BigInteger(), nullable=False),
        sa.Column("claimed_by", sa.String(length=36), nullable=True),
        sa.Column("claimed_until", sa.BigInteger(), nullable=True),
        sa.Column("delivered_at", sa.BigInteger(), nullable=True),
        sa.Column("dead_at", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_outbox")),
    )
    op.create_index("ix_outbox_due", "outbox", ["delivered_at", "dead_at", "next_attempt_at"], unique=False)
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("token", sa.String(length=36), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "settings",
        sa.Column("key", sa.String(length=60), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_settings")),
    )
