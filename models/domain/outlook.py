"""What people read of the money that is expected: by month and week, what moved, who pays how late, what is open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from models.domain.receivables.forecast import UNDATED, Why
from models.domain.receivables.wording import from_to_text, money_text, period_text
from models.domain.words import say


@dataclass(frozen=True, slots=True)
class ExpectedLine:
    """Expected cash of a month ("2026-07") or week ("2026-W31") and currency; `overdue` of it should have come before."""

    period: str
    currency: str
    gross: int
    terms: int
    overdue: int


@dataclass(frozen=True, slots=True)
class UndatedLine:
    """Money without an expected day, and why it has none: no_plan, no_due_rule, no_invoice_date, horizon, held, disputed."""

    contract: str
    term: str
    name: str
    customer: str
    currency: str
    gross: int
    reason: str


@dataclass(frozen=True, slots=True)
class MoveLine:
    """Money that moved from one period to another since the last run; None: from or to outside the forecast."""

    contract: str
    term: str
    customer: str
    currency: str
    gross: int
    start: str | None
    end: str | None
    why: Why

    def text(self, language: str) -> str:
        """Acceptance of 初验 slipped 3 weeks: 515,555.55 CNY moves from June to July 2026"""
        return f"{self.why.text(language)}{say('forecast.colon', language)}{self.where(language)}"

    def where(self, language: str) -> str:
        """515,555.55 CNY moves from June to July 2026"""
        amount = money_text(self.gross, self.currency)
        start, end = (period_text(p, language) if p else "" for p in (self.start, self.end))
        if self.start is None:
            key = "enters_undated" if self.end == UNDATED else "enters"
        elif self.end is None:
            key = "leaves_undated" if self.start == UNDATED else "leaves"
        elif UNDATED in (self.start, self.end):
            key = "loses_date" if self.end == UNDATED else "gets_date"
        else:
            return say("forecast.moves", language, amount=amount, way=from_to_text(self.start, self.end, language))
        return say(f"forecast.{key}", language, amount=amount, start=start, end=end)

    def __str__(self) -> str:
        return self.text("en")


@dataclass(frozen=True, slots=True)
class BehaviourLine:
    """How many days after the due date a customer's `terms` fully paid ones were paid; negative: before it.

    The quartiles are days that really occurred; None where the history is too short to tell.
    """

    customer: str
    terms: int
    early: int | None
    median: int | None
    late: int | None


@dataclass(frozen=True, slots=True)
class AgeingLine:
    """What is open of a customer in a bucket of overdue days; `first` is the bucket's first day, 0 not due."""

    customer: str
    currency: str
    label: str
    first: int
    gross: int
    terms: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """Everything about expected money as of one day. `compared_with`: the day of the run that `moves` start from."""

    months: tuple[ExpectedLine, ...] = ()
    weeks: tuple[ExpectedLine, ...] = ()
    undated: tuple[UndatedLine, ...] = ()
    moves: tuple[MoveLine, ...] = ()  # by month
    compared_with: date | None = None
    alerts: tuple[MoveLine, ...] = ()  # moves of one cause together, where they pass the threshold
    behaviour: tuple[BehaviourLine, ...] = ()
    ageing: tuple[AgeingLine, ...] = ()
