"""What a line of the report says in words, the same in every output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from connectors.reports.text import one_line, safe_url, word
from models.domain.findings import Finding, Severity
from models.domain.observations import Provenance
from models.domain.ready import BlockedLine, Blocker, Evidence, ExceptionLine, NightReport, ReadyLine, RecordStatus
from models.domain.words import say

#: Proofs or blockers told in one cell; beyond that a reader needs `huikuan explain`.
PARTS_MAX = 12
#: Where a date comes from that is not the fact's own: always told, whatever the grade.
WEAK = frozenset({Provenance.FIRST_OBSERVED, Provenance.CHILDREN, Provenance.ABSENT})


@dataclass(frozen=True, slots=True)
class Attention:
    """One thing a person must look at, in words."""

    kind: str  # exception, error, warning, closed
    contract: str
    term: str
    code: str
    text: str
    place: str
    opened_on: date | None
    closed_on: date | None = None


def evidence_text(evidence: Evidence, language: str) -> str:
    """Event · day · person · source · how good the proof is."""
    source = word(f"report.provenance.{evidence.source}", language, evidence.source)
    parts = [evidence.event, evidence.on.isoformat(), evidence.by, source, *_quality(evidence, language)]
    return " · ".join(dict.fromkeys(one_line(p) for p in parts if p))


def _quality(evidence: Evidence, language: str) -> Iterator[str]:
    # A grade says it all, but not that a date is only the day we looked, or was added up from parts.
    if evidence.grade is None or evidence.provenance in WEAK:
        yield word(f"report.provenance.{evidence.provenance}", language, evidence.provenance)
    if evidence.grade is not None:
        yield word(f"report.grade.{int(evidence.grade)}", language, str(int(evidence.grade)))


def evidence_lines(line: ReadyLine, language: str) -> list[str]:
    """A note (why held, who must approve) first, then the proofs."""
    note = [f"{status_word(line.status, language)}: {one_line(line.note)}"] if line.note else []
    told = _limited([evidence_text(e, language) for e in line.evidence], language)
    return note + (told or [say("report.no_evidence", language)])


def blocker_text(blocker: Blocker, language: str, as_of: date, *, with_contact: bool = True) -> str:
    """Kind: event · planned day · source · contact."""
    kind = word(f"report.blocker.{blocker.kind}", language, blocker.kind)
    named = blocker.event != blocker.kind  # a period has no name of its own
    parts = [
        f"{one_line(kind)}: {one_line(blocker.event)}" if named else one_line(kind),
        _planned(blocker.planned_on, language, as_of),
    ]
    parts += [one_line(p) for p in (blocker.source, blocker.contact if with_contact else None) if p]
    return " · ".join(p for p in parts if p)


def blocker_lines(line: BlockedLine, language: str, as_of: date) -> list[str]:
    """All that a term waits for; each with its contact where they differ (a column of their own names them all)."""
    several = len(contacts(line)) > 1
    told = [blocker_text(b, language, as_of, with_contact=several) for b in line.blockers]
    return _limited(told, language)


def contacts(line: BlockedLine) -> list[str]:
    """Whom to ask, each once."""
    return list(dict.fromkeys(one_line(b.contact) for b in line.blockers if b.contact))


def status_word(status: RecordStatus, language: str) -> str:
    """The status as people say it."""
    return word(f"status.{status.value}", language, status.value)


def first_url(parts: Sequence[Evidence] | Sequence[Blocker]) -> str | None:
    """The first link that is safe to follow."""
    return next((url for part in parts if (url := safe_url(part.url))), None)


def attention(report: NightReport, language: str) -> list[Attention]:
    """Open exceptions, then errors, then warnings, then what was closed."""
    opened = [_exception(x, language) for x in report.exceptions]
    found = [_finding(x, language) for x in report.findings]
    rank = {"exception": 0, Severity.ERROR.value: 1, Severity.WARNING.value: 2, "closed": 3}
    return sorted([*opened, *found], key=lambda a: rank[a.kind])


def finding_text(finding: Finding, language: str) -> str:
    """The finding's sentence; where it has none yet, its code and what is known."""
    try:
        return one_line(finding.text(language))
    except (KeyError, IndexError, ValueError):
        known = ", ".join(f"{k}={v}" for k, v in finding.params.items())
        return one_line(f"{finding.code} {known}")


def _exception(line: ExceptionLine, language: str) -> Attention:
    title = word(f"exception.{line.code}", language, line.code)
    title = line.code if "{" in title else title
    text = " · ".join(p for p in (title, one_line(line.detail)) if p)
    kind = "closed" if line.closed_on else "exception"
    return Attention(kind, line.contract, line.term or "", line.code, text, "", line.opened_on, line.closed_on)


def _finding(finding: Finding, language: str) -> Attention:
    place = finding.place
    return Attention(
        kind=finding.severity.value,
        contract=place.contract or "",
        term=place.term or "",
        code=finding.code,
        text=finding_text(finding, language),
        place=one_line(str(place)),
        opened_on=None,
    )


def _planned(planned_on: date | None, language: str, as_of: date) -> str:
    if planned_on is None:
        return ""
    late = f" ({say('report.overdue_plan', language)})" if planned_on < as_of else ""
    return say("report.planned", language, date=planned_on.isoformat()) + late


def _limited(parts: list[str], language: str) -> list[str]:
    if len(parts) <= PARTS_MAX:
        return parts
    return [*parts[:PARTS_MAX], say("report.more", language, n=len(parts) - PARTS_MAX)]


def summary(report: NightReport, language: str) -> Iterator[str]:
    """How many may be invoiced, how many wait for a person."""
    ready = [x for x in report.ready if x.status is RecordStatus.READY]
    new = sum(x.record_id in report.new_records for x in ready)
    yield say("report.count", language, n=len(ready), new=new)
    waiting = sum(x.status in (RecordStatus.HELD, RecordStatus.AWAITING_APPROVAL) for x in report.ready)
    if waiting:
        yield say("report.count_waiting", language, n=waiting)
