"""Lines and notices to try."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from models.domain.notice_texts import News, Recipient, plan_notices
from models.domain.notices import Notice, NoticeKind, Role
from models.domain.outlook import MoveLine
from models.domain.ready import ConnectionLine, Evidence, ExceptionLine, ReadyLine, RecordStatus, record_id
from models.domain.receivables.forecast import Why
from models.domain.trouble import Trouble

DAY = date(2026, 11, 20)
#: What [[notify]] entries are told; reminders go to customers alone.
TOLD = tuple(k for k in NoticeKind if k is not NoticeKind.REMINDER)
ALL = frozenset(TOLD)
PROOF = Evidence("m_final", date(2026, 11, 18), "王芳", "rd", "https://pm.example/m/1?a=1&b=2", "history", 3)


def line(contract: str = "HT-1", term: str = "T1", **changes) -> ReadyLine:
    made = ReadyLine(
        str(record_id(contract, term, 1)), contract, term, "初验款", "苏州恒拓", "CNY", 128888888, 121593291, 7295597,
        DAY, DAY, RecordStatus.READY, (PROOF,), project_manager="李雷",
    )  # fmt: skip
    return replace(made, **changes)


def gone(contract: str = "HT-1", term: str = "T9") -> ReadyLine:
    return line(contract, term, status=RecordStatus.WITHDRAWN, withdrawn_on=DAY)


def trouble(contract: str = "HT-1", **changes) -> ExceptionLine:
    return replace(ExceptionLine(contract, "T1", "INVOICED_BEFORE_READY", DAY, "INV-7"), **changes)


def moved(contract: str = "HT-1", **changes) -> MoveLine:
    why = Why("plan", "初验款", "acceptance", 21)
    return replace(MoveLine(contract, "T2", "苏州恒拓", "CNY", 515_555_55, "2026-06", "2026-07", why), **changes)


def news(**changes) -> News:
    failed = ConnectionLine("ops", "worktile", "failed", 0, 0, 0, Trouble("HTTP 502"))
    return replace(News(DAY, [line()], [gone()], [trouble()], [failed], 3, 2, [moved()]), **changes)


def entry(role: Role = Role.FINANCE, on: frozenset[str] = ALL, language: str = "en", **changes) -> Recipient:
    return replace(Recipient(str(role), role, on, language), **changes)


def every_notice(language: str, **changes) -> list[Notice]:
    """One notice of each kind, and one to a customer."""
    from models.domain.notice_texts import Payer, reminder_notice

    payer = Payer("HT-1", "payer@customer.example", language, enabled=True)
    mail = entry(Role.CUSTOMER_PAYER, personal=True)
    said = {"name": news(**changes).ready[0].name, "text": f"{news(**changes).ready[0].name}: 1,288,888.88"}
    reminder = reminder_notice("payer@customer.example", language, ("HT-1", "T1"), (2, DAY), said)
    return [*plan_notices(news(**changes), [entry(language=language), mail], [payer]), reminder]
