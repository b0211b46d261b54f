"""Expected cash: what each term is expected to bring and when, and why that moved since an earlier run.

Moves are book-keeping: for each term, currency and period, before + moves = after, to the minor unit. What
has no date stands in a period of its own, so that nothing is lost where a date is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from models.domain.receivables.wording import span_text
from models.domain.words import say

#: Fewer fully paid terms than this tell nothing about a customer.
MIN_HISTORY = 3
#: The period of what has no expected day.
UNDATED = ""

Period = Callable[[date], str]


def month_of(day: date) -> str:
    """2026-07"""
    return f"{day.year:04d}-{day.month:02d}"


def week_of(day: date) -> str:
    """2026-W31, as ISO 8601 counts weeks."""
    year, week, _ = day.isocalendar()
    return f"{year:04d}-W{week:02d}"


PERIODS: Mapping[str, Period] = {"month": month_of, "week": week_of}


@dataclass(frozen=True, slots=True)
class Part:
    """A part of what is open. `day` None: nobody can say when, and `basis` says why."""

    day: date | None
    minor: int
    basis: str  # planned, ready, invoiced, bill, promise, instalment, extension; no_plan, no_due_rule, no_invoice_date, horizon, held, disputed


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a term waits for, as its condition names it."""

    name: str
    kind: str
    planned: date | None


@dataclass(frozen=True, slots=True)
class Expectation:
    """One term in the forecast of one run: its parts, and all that they rest on."""

    status: str
    gross: int
    paid: int
    ready: date | None  # the day it became or is expected to become ready
    due: date | None  # by its due rule, from real dates or assumed ones
    late: int  # the customer's median days late, as added
    parts: tuple[Part, ...] = ()
    leaves: tuple[Leaf, ...] = ()


@dataclass(frozen=True, slots=True)
class Why:
    """The reason of a move, in words later. `days` is how much later (earlier where negative)."""

    code: str
    name: str = ""
    kind: str = ""
    days: int = 0

    def text(self, language: str) -> str:
        """In the language, without a full stop."""
        later = "" if self.code not in _DIRECTED else ".later" if self.days > 0 else ".earlier"
        name = say(f"forecast.leaf.{self.kind or 'event'}", language, name=self.name) if self.name else ""
        return say(f"forecast.why.{self.code}{later}", language, name=name, span=span_text(abs(self.days), language))

    def __str__(self) -> str:
        return self.text("en")


#: Reasons that say by how much.
_DIRECTED = frozenset({"plan", "ready", "behaviour", "due", "not_started"})


@dataclass(frozen=True, slots=True)
class Move:
    """Money of one term from one period to another; None: from or to outside of the forecast."""

    minor: int
    start: str | None
    end: str | None
    why: Why


def sums(terms: Iterable[Expectation], as_of: date, period: Period) -> dict[str, int]:
    """Minor units by period; what was expected before `as_of` and did not come is expected on that day."""
    found: dict[str, int] = {}
    for part in (p for t in terms for p in t.parts):
        key = UNDATED if part.day is None else period(max(part.day, as_of))
        found[key] = found.get(key, 0) + part.minor
    return found


@dataclass(frozen=True, slots=True)
class Compared:
    """Two forecasts of the same terms, and on which days they were made."""

    before: Mapping[str, Expectation]
    after: Mapping[str, Expectation]
    before_on: date
    after_on: date
    contract: str = ""  # new, gone, changed: what became of the contract's text

    def moves(self, term: str, period: Period) -> list[Move]:
        """What moved of a term; nothing where its sums by period are the same."""
        old, new = self.before.get(term), self.after.get(term)
        was = sums([old] if old else (), self.before_on, period)
        now = sums([new] if new else (), self.after_on, period)
        less = {k: was.get(k, 0) - now.get(k, 0) for k in sorted(was.keys() | now.keys(), key=_last_undated)}
        falls = [_Entry(k, v) for k, v in less.items() if v > 0]
        rises = [_Entry(k, -v) for k, v in less.items() if v < 0]
        left = sum(less.values())
        return list(_matched(falls, rises, left, lambda: self._amount(old, new), lambda: self._date(term, old, new)))

    # --- why ---

    def _amount(self, old: Expectation | None, new: Expectation | None) -> Why:
        """Why there is more or less of it."""
        if old is None or new is None:
            state = self.contract if self.contract in ("new", "gone") else ""
            return Why(f"{state}_contract" if state else "new_term" if old is None else "gone_term")
        if new.status == "waived":
            return Why("waived")
        if new.paid > old.paid:
            return Why("paid")
        return Why("payment_withdrawn" if new.paid < old.paid else "amount")

    def _date(self, term: str, old: Expectation | None, new: Expectation | None) -> Why:
        """Why the same money is expected on another day."""
        if old is None or new is None:
            return Why("amount")
        return (
            self._agreed(old, new) or self._happened(old, new) or self._planned(term, old, new) or self._rest(old, new)
        )

    @staticmethod
    def _agreed(old: Expectation, new: Expectation) -> Why | None:
        """Holds, disputes, promises, plans: what people said."""
        was, now = {p.basis for p in old.parts}, {p.basis for p in new.parts}
        for basis in ("held", "disputed", "promise", "instalment", "extension", "bill"):
            if basis in now - was:
                return Why(basis)
            if basis in was - now:
                return Why(f"{basis}_over")
        said = {p for p in old.parts if p.basis in _SAID} != {p for p in new.parts if p.basis in _SAID}
        return Why("agreement") if said else None

    @staticmethod
    def _happened(old: Expectation, new: Expectation) -> Why | None:
        """Became ready, was invoiced, fell back."""
        order = ("not_ready", "ready", "invoiced", "part_paid", "paid")
        if old.status == new.status or not {old.status, new.status} <= set(order):
            return None
        if order.index(new.status) < order.index(old.status):
            return Why("fell_back")
        return Why("became_ready" if new.status == "ready" else "invoiced")

    def _planned(self, term: str, old: Expectation, new: Expectation) -> Why | None:
        """A planned day moved: of a leaf of the term, or of one of a term that it waits for."""
        if old.ready == new.ready:
            return None
        later = _later(old.ready, new.ready)
        moved = [x for x in self._leaves(term, set()) if x[1] != x[2]]
        same_way = [x for x in moved if _later(x[1], x[2]) is later] or moved
        if not same_way:
            days = (new.ready - old.ready).days if old.ready and new.ready else 0
            passed = old.ready is not None and old.ready <= self.after_on
            return Why("time") if passed else Why("ready", days=days) if days else None
        leaf, was, now = max(same_way, key=lambda x: (x[2] == new.ready, x[2] or date.max, x[0].name))
        if was is None or now is None:
            return Why("plan_set" if was is None else "plan_gone", leaf.name, leaf.kind)
        return Why("plan", leaf.name, leaf.kind, (now - was).days)

    def _leaves(self, term: str, seen: set[str]) -> Iterator[tuple[Leaf, date | None, date | None]]:
        """(leaf, planned before, planned after) of what a term waited or waits for."""
        seen.add(term)
        sides = [{(x.name, x.kind): x for x in t.leaves} if t else {} for t in self._both(term)]
        for key in sorted(sides[0].keys() | sides[1].keys()):
            name, kind = key
            if kind == "term" and name not in seen:
                yield from self._leaves(name, seen)
            elif kind not in ("term", "time") and key in sides[0] and key in sides[1]:
                yield sides[1][key], sides[0][key].planned, sides[1][key].planned

    def _both(self, term: str) -> tuple[Expectation | None, Expectation | None]:
        return self.before.get(term), self.after.get(term)

    def _rest(self, old: Expectation, new: Expectation) -> Why:
        if old.late != new.late:
            return Why("behaviour", days=new.late - old.late)
        if self.contract == "changed":
            return Why("contract")
        if old.due and new.due and old.due != new.due:
            if new.status in ("ready", "invoiced") and new.due > old.due:
                return Why("not_started", days=(new.due - old.due).days)
            return Why("due", days=(new.due - old.due).days)
        return Why("time")


#: What people said about a date.
_SAID = frozenset({"promise", "instalment", "extension", "bill", "disputed"})


def _later(was: date | None, now: date | None) -> bool:
    """No day at all is later than any."""
    return bool(now is None or (was is not None and now > was))


def _last_undated(period: str) -> tuple[bool, str]:
    return period == UNDATED, period


@dataclass(slots=True)
class _Entry:
    """Money of a period that is still to be matched; None: outside of the forecast."""

    period: str | None
    minor: int


def _matched(
    falls: list[_Entry], rises: list[_Entry], left: int, amount: Callable[[], Why], moved: Callable[[], Why]
) -> Iterator[Move]:
    """Falls meet rises in the order of time. What left or came first is matched with the earliest."""
    outside = [_Entry(None, abs(left))] if left else []
    first = [*(outside if left < 0 else []), *falls]
    second = [*(outside if left > 0 else []), *rises]
    whys: dict[bool, Why] = {}
    while first and second:
        start, end = first[0], second[0]
        minor = min(start.minor, end.minor)
        inside = start.period is not None and end.period is not None
        if inside not in whys:
            whys[inside] = moved() if inside else amount()
        yield Move(minor, start.period, end.period, whys[inside])
        start.minor -= minor
        end.minor -= minor
        for side in (first, second):
            if not side[0].minor:
                side.pop(0)


# --- when it is worth an alert -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Threshold:
    """A move is told from this share of the month it leaves, or from this sum of its currency, on."""

    percent: int = 10
    minor: Mapping[str, int] = field(default_factory=dict)

    def passed(self, move: int, currency: str, month: int) -> bool:
        """Is this much of a month's sum worth telling?"""
        least = self.minor.get(currency)
        if least is not None:
            return move >= least
        return move * 100 >= self.percent * month


#: Money that came or was never there before is no alarm.
QUIET = frozenset({"paid", "new_contract", "new_term", "became_ready", "invoiced"})
