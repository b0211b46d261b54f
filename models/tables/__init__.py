"""The tables of the store (SQLAlchemy 2): facts, decisions, claims, and what runs need.

Money is BIGINT minor units. Legal dates are day numbers (days since 1970-01-01), instants are epoch
seconds UTC, and `recorded_at`, `changed_at`, `evaluated_at` epoch microseconds, so that two runs never
share one: all sort, compare and load as plain integers on SQLite and PostgreSQL alike. Ledgers are
append-only; a status is a view over them, never a column.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = BigInteger().with_variant(Integer, "sqlite")


def _id() -> Column[int]:
    return Column("id", Id, primary_key=True, autoincrement=True)


def _contract() -> Column[int]:
    return Column("contract_id", Id, ForeignKey("contracts.id"), nullable=False)


def _recorded() -> Column[int]:
    return Column("recorded_at", BigInteger, nullable=False)


def _run() -> Column[str]:
    return Column("run_id", String(36), nullable=False)


# --- contracts ---------------------------------------------------------------------------------------

contracts = Table(
    "contracts",
    metadata,
    _id(),
    Column("number", Text, nullable=False, unique=True),
    Column("title", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("timezone", Text, nullable=False),
    Column("project_manager", Text),
    Column("file", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("version_id", Id),
)

contract_versions = Table(
    "contract_versions",
    metadata,
    _id(),
    _contract(),
    Column("content_hash", String(64), nullable=False),
    Column("long_form", Text, nullable=False),
    Column("compiled", LargeBinary, nullable=False),
    Column("rule_version", Integer, nullable=False),
    _recorded(),
    UniqueConstraint("contract_id", "content_hash", "rule_version"),
)

terms = Table(
    "terms",
    metadata,
    _id(),
    _contract(),
    Column("code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("position", Integer, nullable=False),
    UniqueConstraint("contract_id", "code"),
)

#: Contract files as last read, so that an unchanged file costs one hash.
contract_files = Table(
    "contract_files",
    metadata,
    Column("path", Text, primary_key=True),
    Column("sha256", String(64), nullable=False),
    Column("numbers", Text, nullable=False),
    Column("findings", Text, nullable=False),
    _recorded(),
)

#: What fills the events and guarantees of the current version of each contract, one row a name.
bindings = Table(
    "bindings",
    metadata,
    _id(),
    _contract(),
    Column("event", Text, nullable=False),
    Column("kind", String(10), nullable=False),  # milestone, progress, date, document, sign_off, guarantee
    Column("spec", Text, nullable=False),  # the binding as written, to notice a change
    Column("connection", Text),
    Column("project", Text),
    Column("vendor_id", Text),
    Column("name", Text),
    Column("accepted", Boolean, nullable=False),
    Column("threshold_bp", Integer),
    Column("min_grade", Integer),
    Column("day", Integer),
    Column("until_day", Integer),
    Column("amount", BigInteger),
    Column("milestone_id", Id, ForeignKey("milestones.id")),
    Column("confirmed_by", Text),  # None: exact by id or name
    _recorded(),
    UniqueConstraint("contract_id", "event", "kind"),
    Index("ix_bindings_milestone_id", "milestone_id"),
)

# --- facts -------------------------------------------------------------------------------------------

milestones = Table(
    "milestones",
    metadata,
    _id(),
    Column("connection", Text, nullable=False),
    Column("vendor_id", Text, nullable=False),
    Column("project_id", Text, nullable=False),
    Column("project_key", Text, nullable=False),
    Column("project_name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False),  # NFKC-normalised, trimmed
    Column("url", Text),
    Column("planned_day", Integer),
    Column("deleted", Boolean, nullable=False),
    Column("content_hash", String(32), nullable=False),
    Column("changed_at", BigInteger, nullable=False),  # when an observation was last appended
    UniqueConstraint("connection", "vendor_id"),
    Index("ix_milestones_name", "connection", "name_key"),
)

observations = Table(
    "observations",
    metadata,
    _id(),
    Column("milestone_id", Id, ForeignKey("milestones.id"), nullable=False),
    Column("content_hash", String(32), nullable=False),
    Column("state", Text, nullable=False),
    Column("done", Boolean, nullable=False),
    Column("accepted", Boolean, nullable=False),
    Column("percent_bp", Integer),
    Column("done_at", BigInteger),
    Column("done_day", Integer),
    Column("done_by", Text),
    Column("updated_at", BigInteger),
    Column("observed_at", BigInteger, nullable=False),
    _recorded(),
    _run(),
    Column("deleted", Boolean, nullable=False),
    Column("unproven", Boolean, nullable=False),
    Column("grade", Integer, nullable=False),
    Column("provenance", Text, nullable=False),  # date/person/percent
    Column("url", Text),
    Column("name", Text, nullable=False),
    Column("history", Text),
    Column("extra", Text),
    Index("ix_observations_milestone_id", "milestone_id"),
)

#: What observations mean for conditions: one row for each time a milestone became done or not,
#: accepted or not, or its percentage moved. Exactly one of `at` (instant) and `day` is set.
milestone_changes = Table(
    "milestone_changes",
    metadata,
    _id(),
    Column("milestone_id", Id, ForeignKey("milestones.id"), nullable=False),
    Column("observation_id", Id, nullable=False),
    Column("what", Integer, nullable=False),  # 0 done, 1 accepted, 2 percent
    Column("at", BigInteger),
    Column("day", Integer),
    Column("value", Integer, nullable=False),  # 0/1, or basis points
    Column("corrects", Boolean, nullable=False),  # replaces the change before it (a corrected date)
    Column("by", Text),
    Column("grade", Integer, nullable=False),
    Column("provenance", Text, nullable=False),
    _recorded(),
    Index("ix_milestone_changes_milestone_id", "milestone_id"),
)

cursors = Table(
    "cursors",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("value", Text),
    Column("seen", BigInteger, nullable=False),
    _run(),
    _recorded(),
)

facts = Table(
    "facts",
    metadata,
    _id(),
    Column("key", String(36), nullable=False, unique=True),
    _contract(),
    Column("event", Text, nullable=False),
    Column("at", BigInteger),
    Column("day", Integer),
    Column("value", Boolean, nullable=False),
    Column("by", Text, nullable=False),
    Column("source", Text, nullable=False),  # recorded, document, sign_off, import
    Column("note", Text),
    _recorded(),
    Index("ix_facts_contract_id", "contract_id"),
)

# --- claims ------------------------------------------------------------------------------------------

invoices = Table(
    "invoices",
    metadata,
    _id(),
    Column("key", String(36), nullable=False, unique=True),
    _contract(),
    Column("term_id", Id, ForeignKey("terms.id"), nullable=False),
    Column("number", Text),
    Column("issued_day", Integer, nullable=False),
    Column("received_day", Integer),
    Column("gross", BigInteger),
    Column("cancelled_day", Integer),
    Column("kind", String(8)),  # special, general; none: not said
    _recorded(),
    Index("ix_invoices_contract_id", "contract_id"),
)

receipts = Table(
    "receipts",
    metadata,
    _id(),
    Column("key", String(36), nullable=False, unique=True),
    _contract(),
    Column("term_id", Id, ForeignKey("terms.id"), nullable=False),
    Column("day", Integer, nullable=False),
    Column("gross", BigInteger, nullable=False),
    Column("method", Text, nullable=False),
    Column("maturity_day", Integer),
    Column("reverses", Id),  # a receipt that this one, with the same sum below zero, takes back
    _recorded(),
    Index("ix_receipts_contract_id", "contract_id"),
    Index("uq_receipts_reverses", "reverses", unique=True),
)

#: Red invoices, credit notes and cancellations: so much less is owed on an invoice from `day` on.
credits_ = Table(
    "credits",
    metadata,
    _id(),
    Column("key", String(36), nullable=False, unique=True),
    _contract(),
    Column("term_id", Id, ForeignKey("terms.id"), nullable=False),
    Column("invoice_id", Id, ForeignKey("invoices.id"), nullable=False),
    Column("number", Text),
    Column("day", Integer, nullable=False),
    Column("gross", BigInteger, nullable=False),
    Column("kind", String(12), nullable=False),  # red, credit_note, cancelled
    Column("reason", Text, nullable=False),
    _recorded(),
    Index("ix_credits_contract_id", "contract_id"),
)

#: Money as a bank or a list states it, before anybody says what it is for.
bank_lines = Table(
    "bank_lines",
    metadata,
    _id(),
    Column("key", String(36), nullable=False, unique=True),
    Column("currency", String(3), nullable=False),
    Column("minor", BigInteger, nullable=False),
    Column("day", Integer, nullable=False),
    Column("payer", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("maturity_day", Integer),
    Column("source", Text, nullable=False),  # the file it came in, and where
    Column("bank_id", Text),  # the bank's own reference
    _recorded(),
)

#: Set aside: money that pays no term (rent, a bill that bounced), or the same money once more. The last word stands.
line_notes = Table(
    "line_notes",
    metadata,
    _id(),
    Column("bank_line_id", Id, ForeignKey("bank_lines.id"), nullable=False),
    Column("kind", String(8), nullable=False),  # aside, back
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    _recorded(),
    Index("ix_line_notes_bank_line_id", "bank_line_id"),
)

#: Which part of a bank line a receipt of a term is. A receipt without one was recorded by itself.
allocations = Table(
    "allocations",
    metadata,
    _id(),
    Column("receipt_id", Id, ForeignKey("receipts.id"), nullable=False, unique=True),
    Column("bank_line_id", Id, ForeignKey("bank_lines.id"), nullable=False),
    Column("why", Text, nullable=False),  # what spoke for it: reference_and_amount, …, or confirmed
    Column("by", Text, nullable=False),
    Column("minor", BigInteger),  # of the bank line, where its currency is not the receipt's
    _recorded(),
    Index("ix_allocations_bank_line_id", "bank_line_id"),
)

#: Promises, extensions and instalments of plans. They change what is due when, never what happened.
agreements = Table(
    "agreements",
    metadata,
    _id(),
    Column("key", String(36), nullable=False, unique=True),
    _contract(),
    Column("term_id", Id, ForeignKey("terms.id"), nullable=False),
    Column("kind", String(12), nullable=False),  # promise, extension, instalment
    Column("made_day", Integer, nullable=False),
    Column("until_day", Integer, nullable=False),
    Column("gross", BigInteger),
    Column("plan", String(36)),  # the plan an instalment belongs to
    Column("default_clause", Boolean, nullable=False),
    Column("by", Text, nullable=False),
    Column("note", Text),
    _recorded(),
    Index("ix_agreements_contract_id", "contract_id"),
)

#: Every touch with the customer about a term: reminders owed and sent, demands, deliveries, answers, disputes.
reminders = Table(
    "reminders",
    metadata,
    _id(),
    Column("key", String(36), nullable=False, unique=True),
    _contract(),
    Column("term_id", Id, ForeignKey("terms.id"), nullable=False),
    Column(
        "kind", String(12), nullable=False
    ),  # reminder, demand, delivered, answer, dispute, credit_note, settled, reason
    Column("level", Integer),
    Column("day", Integer, nullable=False),
    Column("due_day", Integer),
    Column("gross", BigInteger),  # open that day, or in dispute
    Column("channel", Text, nullable=False),  # draft, outbox, mail, letter, phone …
    Column("proof", Text),
    Column("code", String(20)),  # a delay reason
    Column("by", Text, nullable=False),
    _recorded(),
    Index("ix_reminders_contract_id", "contract_id"),
)

guarantee_papers = Table(
    "guarantee_papers",
    metadata,
    _id(),
    Column("key", String(36), nullable=False, unique=True),
    _contract(),
    Column("code", Text, nullable=False),
    Column("kind", String(12), nullable=False),  # bid, advance, performance, quality, payment
    Column("form", String(5), nullable=False),  # bank, cash
    Column("given", Boolean, nullable=False),  # by us; else to us
    Column("currency", String(3), nullable=False),
    Column("gross", BigInteger, nullable=False),
    Column("issued_day", Integer, nullable=False),
    Column("expires_day", Integer),
    Column("obligation_day", Integer),  # how long it must hold
    Column("return_day", Integer),
    Column("issuer", Text, nullable=False),
    Column("original_at", Text, nullable=False),
    Column("on_demand", Boolean, nullable=False),
    _recorded(),
    UniqueConstraint("contract_id", "code"),
)

#: What happened to a guarantee: reduced, extended, returned, called.
guarantee_events = Table(
    "guarantee_events",
    metadata,
    _id(),
    Column("key", String(36), nullable=False, unique=True),
    Column("guarantee_id", Id, ForeignKey("guarantee_papers.id"), nullable=False),
    Column("kind", String(10), nullable=False),  # reduced, extended, returned, called
    Column("day", Integer, nullable=False),
    Column("gross", BigInteger),
    Column("until_day", Integer),
    Column("by", Text, nullable=False),
    _recorded(),
    Index("ix_guarantee_events_guarantee_id", "guarantee_id"),
)

# --- decisions ---------------------------------------------------------------------------------------

decisions = Table(
    "decisions",
    metadata,
    _id(),
    _contract(),
    Column("version_id", Id, nullable=False),
    _run(),
    Column("as_of", Integer, nullable=False),
    Column("rule_version", Integer, nullable=False),
    Column("content_hash", String(32), nullable=False),
    Column("body", Text, nullable=False),
    _recorded(),
    Index("ix_decisions_contract_id", "contract_id"),
)

#: Where each contract's evaluation stands: which decision is current, and when to look again without a change.
standing = Table(
    "standing",
    metadata,
    Column("contract_id", Id, ForeignKey("contracts.id"), primary_key=True, autoincrement=False),
    Column("version_id", Id, nullable=False),
    Column("content_hash", String(32), nullable=False),
    Column("as_of", Integer, nullable=False),
    Column("next_look", Integer, nullable=False, index=True),
    Column("evaluated_at", BigInteger, nullable=False),
)

#: What each contract was expected to bring, and when, in the runs that found something new about it.
forecasts = Table(
    "forecasts",
    metadata,
    _id(),
    _contract(),
    Column("as_of", Integer, nullable=False),
    _run(),
    Column("content_hash", String(32), nullable=False),
    Column("body", Text, nullable=False),
    _recorded(),
    UniqueConstraint("contract_id", "run_id"),
)

ready_records = Table(
    "ready_records",
    metadata,
    Column("record_id", String(36), primary_key=True),
    _contract(),
    Column("term_id", Id, ForeignKey("terms.id"), nullable=False),
    Column("occurrence", Integer, nullable=False),
    Column("gross", BigInteger, nullable=False),
    Column("net", BigInteger, nullable=False),
    Column("tax", BigInteger, nullable=False),
    Column("lines", Text, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("ready_day", Integer, nullable=False),
    Column("legal_day", Integer, nullable=False),
    Column("noticed_day", Integer, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("version_id", Id, nullable=False),
    _run(),
    _recorded(),
    UniqueConstraint("term_id", "occurrence"),
    Index("ix_ready_records_contract_id", "contract_id"),
)

withdrawals = Table(
    "withdrawals",
    metadata,
    Column("record_id", String(36), ForeignKey("ready_records.record_id"), primary_key=True),
    Column("withdrawn_day", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    _run(),
    _recorded(),
)

exceptions = Table(
    "exceptions",
    metadata,
    Column("exception_id", String(36), primary_key=True),
    _contract(),
    Column("term_id", Id),
    Column("code", Text, nullable=False),
    Column("opened_day", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    _run(),
    _recorded(),
    Index("ix_exceptions_contract_id", "contract_id"),
)

exception_closings = Table(
    "exception_closings",
    metadata,
    Column("exception_id", String(36), ForeignKey("exceptions.exception_id"), primary_key=True),
    Column("closed_day", Integer, nullable=False),
    _run(),
    _recorded(),
)

#: Holds, releases, approvals, waivers: what a person decided about a term, with who and why.
interventions = Table(
    "interventions",
    metadata,
    _id(),
    Column("key", String(36), nullable=False, unique=True),
    _contract(),
    Column("term_id", Id, ForeignKey("terms.id"), nullable=False),
    Column("kind", String(16), nullable=False),  # hold, release, approve, waive
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("day", Integer, nullable=False),
    _recorded(),
    Index("ix_interventions_contract_id", "contract_id"),
)

# --- what runs need ----------------------------------------------------------------------------------

quarantine = Table(
    "quarantine",
    metadata,
    _id(),
    Column("key", String(36), nullable=False, unique=True),
    _run(),
    Column("connection", Text, nullable=False),
    Column("vendor_id", Text),
    Column("code", Text, nullable=False),
    Column("params", Text, nullable=False),
    Column("raw", Text, nullable=False),
    _recorded(),
    Column("cleared_at", BigInteger),
    Index("ix_quarantine_connection", "connection", "cleared_at"),
)

findings = Table(
    "findings",
    metadata,
    _id(),
    _run(),
    Column("code", Text, nullable=False),
    Column("severity", String(8), nullable=False),
    Column("place", Text, nullable=False),
    Column("params", Text, nullable=False),
    Index("ix_findings_run_id", "run_id"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("key", String(36), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("role", String(20), nullable=False),
    Column("recipient", Text, nullable=False),
    Column("language", String(8), nullable=False),
    Column("payload", Text, nullable=False),
    Column("draft", Boolean, nullable=False),
    Column("attachment", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_attempt_at", BigInteger, nullable=False),
    Column("claimed_by", String(36)),
    Column("claimed_until", BigInteger),
    Column("delivered_at", BigInteger),
    Column("dead_at", BigInteger),
    Column("last_error", Text),
    Index("ix_outbox_due", "delivered_at", "dead_at", "next_attempt_at"),
)

#: What goes to where invoices are made: one row for each sink, record and kind, claimed before it goes out.
pushes = Table(
    "pushes",
    metadata,
    _id(),
    Column("sink", Text, nullable=False),
    Column("record_id", String(36), ForeignKey("ready_records.record_id"), nullable=False),
    Column("kind", String(10), nullable=False),  # ready, withdrawn
    Column("state", String(10), nullable=False),  # pending, claimed, retry, waits, done, dead, dropped
    Column("attempts", Integer, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("claimed_by", String(36)),
    Column("claimed_until", BigInteger),
    Column("reference", Text),  # what the sink calls it: the number of the draft
    Column("error", Text),  # code, place and parameters as JSON, without secrets
    Column("created_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    UniqueConstraint("sink", "record_id", "kind"),
    Index("ix_pushes_state", "state", "next_at"),
)

#: What a webhook hints at and no pull has looked at yet; `project` is empty where the whole connection is meant.
hook_hints = Table(
    "hook_hints",
    metadata,
    Column("connection", Text, primary_key=True),
    Column("project", Text, primary_key=True),
    Column("mark", String(36), nullable=False),  # another one with each hint: one that comes during a pull stays
    Column("received_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", BigInteger, nullable=False),
)

#: Deliveries of webhooks that were let in: a second one of the same key is refused while `until` has not come.
hook_deliveries = Table(
    "hook_deliveries",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("until", BigInteger, nullable=False, index=True),
)

#: Comments owed to milestones, once for each record, stage and milestone. `place` is written down
#: before the vendor is asked: where its answer was lost, we look there for ours before writing again.
comments = Table(
    "comments",
    metadata,
    Column("key", String(36), primary_key=True),
    Column("record_id", String(36), ForeignKey("ready_records.record_id"), nullable=False),
    Column("kind", String(10), nullable=False),  # ready, invoiced, paid
    Column("connection", Text, nullable=False),
    Column("milestone_id", Id, ForeignKey("milestones.id"), nullable=False),
    Column("place", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", BigInteger, nullable=False),
    Column("claimed_by", String(36)),
    Column("claimed_until", BigInteger),
    Column("sent_at", BigInteger),
    Column("dead_at", BigInteger),
    Column("last_error", Text),
    UniqueConstraint("record_id", "kind", "milestone_id"),
    Index("ix_comments_due", "sent_at", "dead_at", "next_attempt_at"),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", String(36), primary_key=True),
    Column("as_of", Integer, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("state", String(16), nullable=False),
    Column("code_version", Text, nullable=False),
    Column("counts", Text, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("holder", Text, nullable=False),
    Column("token", String(36), nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

settings = Table(
    "settings",
    metadata,
    Column("key", String(60), primary_key=True),
    Column("value", Text, nullable=False),
)
