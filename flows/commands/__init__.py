"""What the commands do: load the settings, wire, call a step, print. One function a command, exit code out."""

from flows.commands.admin import (
    connectors_list,
    connectors_new,
    connectors_test,
    db_backup,
    db_restore,
    db_upgrade,
    deploy,
    init,
)
from flows.commands.contract_import import import_contracts
from flows.commands.dossier import dossier
from flows.commands.forecast import forecast
from flows.commands.listening import listen
from flows.commands.nightly import check, demo, sync
from flows.commands.people import bind, go_live, import_documents, intervene, notices, record
from flows.commands.reading import evaluate, explain, ready
from flows.commands.receivable import (
    ageing,
    guarantees,
    import_invoices,
    import_payments,
    plan,
    promise,
    remind,
)
from flows.commands.sinks import sinks
from flows.commands.waiting_money import allocate

__all__ = [
    "ageing",
    "allocate",
    "bind",
    "check",
    "connectors_list",
    "connectors_new",
    "connectors_test",
    "db_backup",
    "db_restore",
    "db_upgrade",
    "demo",
    "deploy",
    "dossier",
    "evaluate",
    "explain",
    "forecast",
    "go_live",
    "guarantees",
    "import_contracts",
    "import_documents",
    "import_invoices",
    "import_payments",
    "init",
    "intervene",
    "listen",
    "notices",
    "plan",
    "promise",
    "ready",
    "record",
    "remind",
    "sinks",
    "sync",
]
