"""The register of guarantees and deposits: papers, what happened to them, what is due."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from uuid import uuid5

from sqlalchemy.engine import Connection

from connectors.store.bulk import bulk_insert, fetch
from flows.steps.evaluation.columns import as_date, day_number
from flows.steps.receivables.agreements import said
from flows.steps.receivables.reading import Refused
from models.domain.findings import Finding, Place, Severity
from models.domain.money import amount_text, minor_digits
from models.domain.ready import NAMESPACE
from models.domain.receivables.guarantees import (
    EXPIRY_ALERTS,
    Decrease,
    GuaranteeForm,
    GuaranteeKind,
    GuaranteePaper,
    GuaranteeState,
    amount_on,
    ends_too_early,
    guarantee_state,
)
from models.tables import guarantee_events, guarantee_papers

_PAPER = (
    "key", "contract_id", "code", "kind", "form", "given", "currency", "gross", "issued_day", "expires_day",
    "obligation_day", "return_day", "issuer", "original_at", "on_demand", "recorded_at",
)  # fmt: skip
_EVENT = ("key", "guarantee_id", "kind", "day", "gross", "until_day", "by", "recorded_at")
_GONE = frozenset({GuaranteeState.EXPIRED, GuaranteeState.RETURNED})


@dataclass(frozen=True, slots=True)
class GuaranteeLine:
    """A paper as it stands on a day; `minor` what it secures now."""

    contract: str
    paper: GuaranteePaper
    minor: int
    state: GuaranteeState
    days_left: int | None


def add_paper(connection: Connection, contract: str, paper: GuaranteePaper, recorded_at: int) -> int:
    """Write a paper down; the same one twice is one, another one under its code is refused. Raises Refused."""
    found = fetch(connection, "SELECT id FROM contracts WHERE number = :n AND active", {"n": contract})
    if not found:
        raise Refused("ROW_CONTRACT_UNKNOWN", contract=contract, closest="-")
    if paper.minor <= 0:
        raise Refused("AGREEMENT_NOT_POSITIVE", found=said(paper.minor, paper.currency))
    if paper.expires is not None and paper.expires < paper.issued:
        raise Refused("AGREEMENT_BACKWARDS", found=paper.expires.isoformat(), made=paper.issued.isoformat())
    days = (paper.issued, paper.expires, paper.obligation_ends, paper.return_due)
    numbers = tuple(None if d is None else day_number(d) for d in days)
    body = (paper.id, paper.kind.value, paper.form.value, paper.given, paper.currency, paper.minor, *numbers, paper.issuer, paper.original_at, paper.on_demand)  # fmt: skip
    key = str(uuid5(NAMESPACE, f"guarantee\x1f{contract}\x1f{body}"))
    there = dict(fetch(connection, "SELECT code, key FROM guarantee_papers WHERE contract_id = :c", {"c": found[0][0]}))
    if paper.id in there and there[paper.id] != key:
        raise Refused("GUARANTEE_DIFFERS", guarantee=paper.id, contract=contract)
    return bulk_insert(connection, guarantee_papers, _PAPER, [(key, found[0][0], *body, recorded_at)], ignore=True)


def add_event(
    connection: Connection,
    contract: str,
    code: str,
    kind: str,
    day: date,
    by: str,
    recorded_at: int,
    *,
    gross: int | None = None,
    until: date | None = None,
) -> int:
    """A paper was reduced, extended, returned or called. Raises Refused."""
    found = fetch(
        connection,
        "SELECT p.id FROM guarantee_papers p JOIN contracts c ON c.id = p.contract_id WHERE c.number = :n AND p.code = :g",
        {"n": contract, "g": code},
    )
    if not found:
        raise Refused("GUARANTEE_ABSENT", guarantee=code, contract=contract)
    line = next(g for g in guarantee_lines(connection, day) if (g.contract, g.paper.id) == (contract, code))
    known = _events(connection, date.max).get(found[0][0], [])
    if (kind, day, gross, until) in known:
        return 0  # the same once more
    _possible(line, kind, day, gross, until)
    key = str(uuid5(NAMESPACE, f"guarantee event\x1f{contract}\x1f{code}\x1f{kind}\x1f{day}\x1f{gross}\x1f{until}"))
    row = (
        key,
        found[0][0],
        kind,
        day_number(day),
        gross,
        None if until is None else day_number(until),
        by,
        recorded_at,
    )
    return bulk_insert(connection, guarantee_events, _EVENT, [row], ignore=True)


def _possible(line: GuaranteeLine, kind: str, day: date, gross: int | None, until: date | None) -> None:
    """Can it happen to the paper as it stands that day? Raises Refused."""
    paper = line.paper
    if line.state is GuaranteeState.RETURNED:
        raise Refused("GUARANTEE_GONE", guarantee=paper.id, day=paper.returned)
    for later in (day, until):
        if later is not None and later < paper.issued:
            raise Refused("AGREEMENT_BACKWARDS", found=later.isoformat(), made=paper.issued.isoformat())
    if kind in ("reduced", "called") and gross is not None:
        if gross <= 0:
            raise Refused("AGREEMENT_NOT_POSITIVE", found=said(gross, paper.currency))
        if gross > line.minor:
            sums = {"found": said(gross, paper.currency), "left": said(line.minor, paper.currency)}
            raise Refused("GUARANTEE_REDUCED_TOO_MUCH", guarantee=paper.id, **sums)


def guarantee_lines(connection: Connection, as_of: date) -> list[GuaranteeLine]:
    """Every paper as of a day, the first to expire first."""
    events = _events(connection, as_of)
    lines = []
    for id_, contract, *columns in fetch(
        connection,
        "SELECT p.id, c.number, p.code, p.kind, p.gross, p.currency, p.issued_day, p.expires_day, p.form, p.given, "
        "p.on_demand, p.issuer, p.original_at, p.obligation_day, p.return_day FROM guarantee_papers p "
        "JOIN contracts c ON c.id = p.contract_id",
    ):
        paper, decreases = _with_events(_paper(columns), events.get(id_, []))
        left = None if paper.expires is None else (paper.expires - as_of).days
        state = guarantee_state(paper, as_of)
        lines.append(GuaranteeLine(contract, paper, amount_on(paper, decreases, as_of), state, left))
    return sorted(lines, key=lambda g: (g.paper.expires or date.max, g.contract, g.paper.id))


def _paper(c: list[object]) -> GuaranteePaper:
    code, kind, gross, currency, issued, expires, form, given, on_demand, issuer, original, obligation, returns = c
    return GuaranteePaper(
        id=str(code), kind=GuaranteeKind(str(kind)), minor=int(str(gross)), currency=str(currency),
        issued=_date(issued) or date.min, expires=_date(expires), form=GuaranteeForm(str(form)), given=bool(given),
        on_demand=bool(on_demand), issuer=str(issuer), original_at=str(original), obligation_ends=_date(obligation),
        return_due=_date(returns),
    )  # fmt: skip


def _date(number: object) -> date | None:
    return None if number is None else as_date(int(str(number)))


Event = tuple[str, date, int | None, date | None]  # kind, day, sum, until


def _events(connection: Connection, as_of: date) -> dict[int, list[Event]]:
    found: dict[int, list[Event]] = {}
    for id_, kind, day, gross, until in fetch(
        connection,
        "SELECT guarantee_id, kind, day, gross, until_day FROM guarantee_events WHERE day <= :d ORDER BY day, id",
        {"d": day_number(as_of)},
    ):
        on = _date(day)
        assert on is not None
        found.setdefault(id_, []).append((kind, on, gross, _date(until)))
    return found


def _with_events(paper: GuaranteePaper, events: list[Event]) -> tuple[GuaranteePaper, list[Decrease]]:
    decreases = []
    for kind, day, gross, until in events:
        if kind == "returned":
            paper = replace(paper, returned=day)
        elif kind == "extended":
            paper = replace(paper, expires=until)
        elif gross:
            decreases.append(Decrease(paper.id, day, gross))
    return paper, decreases


def guarantee_findings(connection: Connection, as_of: date) -> list[Finding]:
    """Papers that expire soon, ran out, end before what they secure, or should have come back."""
    findings = []
    for line in guarantee_lines(connection, as_of):
        place = Place(contract=line.contract)
        params = _said(line)
        if line.state is GuaranteeState.RETURN_DUE:
            findings.append(Finding("GUARANTEE_RETURN_DUE", Severity.WARNING, place, params))
        if line.state in _GONE:
            continue
        if ends_too_early(line.paper):
            findings.append(Finding("GUARANTEE_ENDS_EARLY", Severity.WARNING, place, params))
        if line.days_left is not None and line.days_left <= max(EXPIRY_ALERTS):
            findings.append(Finding("GUARANTEE_EXPIRES", Severity.WARNING, place, params))
    return findings


def _said(line: GuaranteeLine) -> Mapping[str, object]:
    paper = line.paper
    days = (paper.expires, paper.obligation_ends, paper.return_due)
    expires, obligation, returns = (d.isoformat() if d else "-" for d in days)
    return {
        "guarantee": paper.id, "contract": line.contract, "expires": expires, "days": line.days_left,
        "amount": f"{paper.currency} {amount_text(line.minor, minor_digits(paper.currency))}",
        "obligation": obligation, "returns": returns,
    }  # fmt: skip
