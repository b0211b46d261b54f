"""The register of guarantees and deposits: papers, what happened to them, what is due.

A guarantee that a contract file describes is in it from the start; what people write down under the same id completes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from uuid import uuid5

import orjson
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
    if paper.minor <= 0 or paper.issued is None:
        raise Refused("AGREEMENT_NOT_POSITIVE", found=said(paper.minor, paper.currency))
    if paper.expires is not None and paper.expires < paper.issued:
        raise Refused("AGREEMENT_BACKWARDS", found=paper.expires.isoformat(), made=paper.issued.isoformat())
    stated = _of_files(connection).get((contract, paper.id))
    if stated is not None and _contradicts(paper, stated):
        raise Refused("GUARANTEE_DIFFERS", what=_what(stated), guarantee=paper.id, contract=contract)
    days = (paper.issued, paper.expires, paper.obligation_ends, paper.return_due)
    numbers = tuple(None if d is None else day_number(d) for d in days)
    body = (paper.id, paper.kind.value, paper.form.value, paper.given, paper.currency, paper.minor, *numbers, paper.issuer, paper.original_at, paper.on_demand)  # fmt: skip
    key = str(uuid5(NAMESPACE, f"guarantee\x1f{contract}\x1f{body}"))
    there = dict(fetch(connection, "SELECT code, key FROM guarantee_papers WHERE contract_id = :c", {"c": found[0][0]}))
    if paper.id in there and there[paper.id] != key:
        raise Refused("GUARANTEE_DIFFERS", what=_what(paper), guarantee=paper.id, contract=contract)
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
    found = _written(connection, contract, code)
    stated = _of_files(connection).get((contract, code)) if not found else None
    if stated is not None and stated.issued is not None:
        # So far only the contract file says that there is one.
        add_paper(connection, contract, stated, recorded_at)
        found = _written(connection, contract, code)
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


def _written(connection: Connection, contract: str, code: str) -> Sequence[tuple[int]]:
    """The id of a paper that people wrote down."""
    return fetch(
        connection,
        "SELECT p.id FROM guarantee_papers p JOIN contracts c ON c.id = p.contract_id WHERE c.number = :n AND p.code = :g",
        {"n": contract, "g": code},
    )


def _possible(line: GuaranteeLine, kind: str, day: date, gross: int | None, until: date | None) -> None:
    """Can it happen to the paper as it stands that day? Raises Refused."""
    paper = line.paper
    if line.state is GuaranteeState.RETURNED:
        raise Refused("GUARANTEE_GONE", what=_what(paper), guarantee=paper.id, day=paper.returned)
    for later in (day, until):
        if later is not None and paper.issued is not None and later < paper.issued:
            raise Refused("AGREEMENT_BACKWARDS", found=later.isoformat(), made=paper.issued.isoformat())
    if kind in ("reduced", "called") and gross is not None:
        if gross <= 0:
            raise Refused("AGREEMENT_NOT_POSITIVE", found=said(gross, paper.currency))
        if gross > line.minor:
            sums = {"found": said(gross, paper.currency), "left": said(line.minor, paper.currency)}
            raise Refused("GUARANTEE_REDUCED_TOO_MUCH", what=_what(paper), guarantee=paper.id, **sums)


def guarantee_lines(connection: Connection, as_of: date) -> list[GuaranteeLine]:
    """Every paper as of a day, the first to expire first."""
    events, stated = _events(connection, as_of), _of_files(connection)
    lines = []
    for id_, contract, *columns in fetch(
        connection,
        "SELECT p.id, c.number, p.code, p.kind, p.gross, p.currency, p.issued_day, p.expires_day, p.form, p.given, "
        "p.on_demand, p.issuer, p.original_at, p.obligation_day, p.return_day FROM guarantee_papers p "
        "JOIN contracts c ON c.id = p.contract_id",
    ):
        written = _paper(columns)
        of_file = stated.pop((contract, written.id), None)
        lines.append(_line(contract, written, of_file, events.get(id_, []), as_of))
    lines += [_line(contract, paper, None, [], as_of) for (contract, _), paper in stated.items()]
    return sorted(lines, key=lambda g: (g.paper.expires or date.max, g.contract, g.paper.id))


def _line(
    contract: str, written: GuaranteePaper, of_file: GuaranteePaper | None, happened: Sequence[Event], as_of: date
) -> GuaranteeLine:
    """A paper with what its contract file states and what happened to it."""
    paper, decreases = _with_events(written if of_file is None else _completed(of_file, written), happened)
    if of_file is not None and of_file.expires and paper.expires and of_file.expires > paper.expires:
        paper = replace(paper, expires=of_file.expires)  # a later version of the contract extended it further
    left = None if paper.expires is None else (paper.expires - as_of).days
    return GuaranteeLine(contract, paper, amount_on(paper, decreases, as_of), guarantee_state(paper, as_of), left)


# --- what contract files say ---------------------------------------------------------------------------


def _of_files(connection: Connection) -> dict[tuple[str, str], GuaranteePaper]:
    """The guarantees of the current versions of the active contracts, by contract and id."""
    found = {}
    for contract, currency, code, minor, issued, expires, text in fetch(
        connection,
        "SELECT c.number, c.currency, b.event, b.amount, b.day, b.until_day, v.long_form FROM bindings b "
        "JOIN contracts c ON c.id = b.contract_id JOIN contract_versions v ON v.id = c.version_id "
        "WHERE b.kind = 'guarantee' AND c.active ORDER BY c.number, b.event",
    ):
        kinds = {g["id"]: g.get("kind", "") for g in orjson.loads(text).get("guarantees", ())}
        kind = kinds.get(code, "")
        known = GuaranteeKind(kind) if kind in list(GuaranteeKind) else GuaranteeKind.OTHER
        paper = GuaranteePaper(code, known, int(minor), currency, _date(issued), _date(expires))
        found[contract, code] = paper
    return found


def _completed(of_file: GuaranteePaper, written: GuaranteePaper) -> GuaranteePaper:
    """What the contract file states stands; the entry says the rest."""
    kind = written.kind if of_file.kind is GuaranteeKind.OTHER else of_file.kind
    return replace(
        written, kind=kind, minor=of_file.minor, issued=of_file.issued or written.issued,
        expires=of_file.expires or written.expires,
    )  # fmt: skip


def _contradicts(paper: GuaranteePaper, of_file: GuaranteePaper) -> bool:
    """Does an entry say something else than the contract file?"""
    return (paper.minor, paper.currency) != (of_file.minor, of_file.currency) or any(
        None not in (own, stated) and own != stated
        for own, stated in ((paper.issued, of_file.issued), (paper.expires, of_file.expires))
    )


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


def _with_events(paper: GuaranteePaper, events: Sequence[Event]) -> tuple[GuaranteePaper, list[Decrease]]:
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


def _what(paper: GuaranteePaper) -> str:
    """The key of what people call it: a deposit is no paper."""
    return "a_deposit" if paper.form is GuaranteeForm.CASH else "a_guarantee"


def _said(line: GuaranteeLine) -> Mapping[str, object]:
    paper = line.paper
    days = (paper.expires, paper.obligation_ends, paper.return_due)
    expires, obligation, returns = (d.isoformat() if d else "-" for d in days)
    return {
        "what": _what(paper), "guarantee": paper.id, "contract": line.contract, "expires": expires, "days": line.days_left,
        "amount": f"{paper.currency} {amount_text(line.minor, minor_digits(paper.currency))}",
        "obligation": obligation, "returns": returns,
    }  # fmt: skip
