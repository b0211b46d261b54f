"""Contract files into the store: read what changed, refuse what is wrong, keep the last good version.

A contract that is refused keeps the version it had; a contract that no file holds any more is set
inactive with a finding. Nothing of a contract is ever deleted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid5

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from connectors.store import Store
from connectors.store.bulk import bulk_insert, fetch
from flows.steps.evaluation.columns import day_number
from flows.steps.evaluation.compile import RULE_VERSION, CompileError, compile_contract
from models.domain import contracts as m
from models.domain.contract_checks import contract_warnings, duplicate_contracts
from models.domain.findings import Finding, Place, Severity
from models.domain.ready import NAMESPACE
from models.records.contract_file import load_contract_bytes, load_contract_text, long_form
from models.tables import bindings, contract_files, contract_versions, contracts, invoices, receipts, terms


@dataclass(frozen=True, slots=True)
class ContractsRead:
    """What reading the files gave."""

    files: int
    changed_files: int
    saved: int  # contracts with a new version
    findings: tuple[Finding, ...]


def read_files(paths: Sequence[Path], root: Path) -> tuple[list[m.Contract], list[Finding]]:
    """All contracts of the files, with everything that is wrong; for `huikuan check`, nothing is stored."""
    found: list[m.Contract] = []
    findings: list[Finding] = []
    for path in paths:
        loaded = load_contract_bytes(path.read_bytes(), _shown(path, root))
        found += loaded.contracts
        findings += loaded.findings
    findings += duplicate_contracts(found)
    findings += [w for c in found for w in contract_warnings(c)]
    return found, findings


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else path.name


def load_contracts(store: Store, paths: Sequence[Path], root: Path, recorded_at: int) -> ContractsRead:
    """Bring the store's contracts up to the files."""
    with store.read() as connection:
        known = {r[0]: r[1:] for r in fetch(connection, "SELECT path, sha256, numbers, findings FROM contract_files")}
    changed: list[tuple[str, str, list[m.Contract], list[Finding]]] = []
    numbers: dict[str, list[str]] = {}
    findings: list[Finding] = []
    for path in paths:
        name, data = _shown(path, root), path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        if name in known and known[name][0] == digest:
            numbers[name] = orjson.loads(known[name][1])
            findings += [_finding(f) for f in orjson.loads(known[name][2])]
            continue
        loaded = load_contract_bytes(data, name)
        warnings = [w for c in loaded.contracts for w in contract_warnings(c)]
        changed.append((name, digest, list(loaded.contracts), [*loaded.findings, *warnings]))
        numbers[name] = [c.number for c in loaded.contracts]
    doubled = _doubled(numbers)
    findings += [f for _, _, _, own in changed for f in own] + doubled
    refused = {f.place.contract for f in doubled}
    with store.begin() as connection:
        saved, failed = _save(
            connection, [c for _, _, cs, _ in changed for c in cs if c.number not in refused], recorded_at
        )
        findings += failed
        _remember(connection, changed, numbers, set(known), recorded_at)
        findings += _retire(connection, numbers, findings)
    return ContractsRead(len(paths), len(changed), saved, tuple(findings))


def _doubled(numbers: dict[str, list[str]]) -> list[Finding]:
    places: dict[str, list[str]] = {}
    for file, own in numbers.items():
        for number in own:
            places.setdefault(number, []).append(file)
    return [
        Finding(
            "DUPLICATE_CONTRACT",
            Severity.ERROR,
            Place(file=files[-1], contract=n),
            {"contract": n, "places": ", ".join(files)},
        )
        for n, files in places.items()
        if len(files) > 1
    ]


def _remember(
    connection: Connection, changed: Sequence[Any], numbers: dict[str, list[str]], known: set[str], recorded_at: int
) -> None:
    gone = [n for n in known if n not in numbers] + [name for name, *_ in changed]
    for name in gone:
        connection.execute(sa.delete(contract_files).where(contract_files.c.path == name))
    rows = [
        (
            name,
            digest,
            orjson.dumps(numbers[name]).decode(),
            orjson.dumps([_plain(f) for f in findings]).decode(),
            recorded_at,
        )
        for name, digest, _, findings in changed
    ]
    bulk_insert(connection, contract_files, ("path", "sha256", "numbers", "findings", "recorded_at"), rows)


def _plain(finding: Finding) -> list[object]:
    place = finding.place
    where = [place.file, place.line, place.contract, place.term, place.connection, place.path]
    return [finding.code, finding.severity.value, where, {k: str(v) for k, v in finding.params.items()}]


def _finding(plain: list[Any]) -> Finding:
    return Finding(plain[0], Severity(plain[1]), Place(*plain[2]), plain[3])


def _retire(connection: Connection, numbers: dict[str, list[str]], findings: Iterable[Finding]) -> list[Finding]:
    """Contracts that no file holds any more; a refused one is still in its file."""
    findings = list(findings)
    here = {n for own in numbers.values() for n in own} | {f.place.contract for f in findings if f.place.contract}
    unreadable = {f.place.file for f in findings if f.severity is Severity.ERROR and not f.place.contract}
    active = fetch(connection, "SELECT id, number, file FROM contracts WHERE active")
    out = []
    for contract_id, number, file in active:
        if number not in here and file not in unreadable:
            connection.execute(sa.update(contracts).where(contracts.c.id == contract_id).values(active=False))
            out.append(
                Finding("CONTRACT_REMOVED", Severity.WARNING, Place(file=file, contract=number), {"contract": number})
            )
    return out


# --- saving ------------------------------------------------------------------------------------------


def _save(connection: Connection, found: Sequence[m.Contract], recorded_at: int) -> tuple[int, list[Finding]]:
    """Save contracts with new content. Returns how many, and those the columns cannot carry."""
    known = {
        number: (contract_id, digest, rule, active)
        for contract_id, number, active, digest, rule in fetch(
            connection,
            "SELECT c.id, c.number, c.active, v.content_hash, v.rule_version FROM contracts c "
            "LEFT JOIN contract_versions v ON v.id = c.version_id",
        )
    }
    fresh, failed = [], []
    for contract in found:
        old = known.get(contract.number)
        if old and old[1] == contract.content_hash and old[2] == RULE_VERSION and old[3]:
            continue
        try:
            fresh.append((contract, old[0] if old else None, compile_contract(contract).to_bytes()))
        except CompileError as problem:
            place = Place(file=contract.file, line=contract.line, contract=contract.number)
            failed.append(
                Finding(
                    problem.code,
                    Severity.ERROR,
                    place,
                    {"contract": contract.number, "subject": problem.subject, "terms": problem.subject},
                )
            )
    _write(connection, fresh, recorded_at)
    return len(fresh), failed


def _next(connection: Connection, table: sa.Table) -> int:
    return int(connection.execute(sa.select(sa.func.coalesce(sa.func.max(table.c.id), 0))).scalar_one()) + 1


_HEAD = ("id", "number", "title", "customer", "currency", "timezone", "project_manager", "file", "active", "version_id")


def _write(connection: Connection, fresh: Sequence[tuple[m.Contract, int | None, bytes]], recorded_at: int) -> None:
    if not fresh:
        return
    contract_id, version_id = _next(connection, contracts), _next(connection, contract_versions)
    heads, versions, ids = [], [], []
    for contract, known, blob in fresh:
        own = known if known is not None else contract_id
        contract_id += known is None
        manager = next((c.name for c in contract.contacts if c.role == "project_manager"), None)
        head = (
            contract.title,
            contract.customer.name,
            contract.currency,
            contract.timezone,
            manager,
            contract.file,
            True,
            version_id,
        )
        if known is None:
            heads.append((own, contract.number, *head))
        else:
            values = dict(zip(_HEAD[2:], head, strict=True))
            connection.execute(sa.update(contracts).where(contracts.c.id == own).values(**values))
        long = orjson.dumps(long_form(contract)).decode()
        versions.append((version_id, own, contract.content_hash, long, blob, RULE_VERSION, recorded_at))
        ids.append(own)
        version_id += 1
    bulk_insert(connection, contracts, _HEAD, heads)
    _write_versions(connection, versions)
    _write_terms(connection, [(c, i) for (c, _, _), i in zip(fresh, ids, strict=True)])
    _write_bindings(connection, [(c, i) for (c, _, _), i in zip(fresh, ids, strict=True)], recorded_at)
    _write_openings(connection, [(c, i) for (c, _, _), i in zip(fresh, ids, strict=True)], recorded_at)


def _write_versions(connection: Connection, versions: list[tuple[Any, ...]]) -> None:
    """New versions; going back to earlier content takes the earlier version up again."""
    columns = ("id", "contract_id", "content_hash", "long_form", "compiled", "rule_version", "recorded_at")
    if bulk_insert(connection, contract_versions, columns, versions, ignore=True) == len(versions):
        return
    connection.execute(
        sa.text(
            "UPDATE contracts SET version_id = (SELECT v.id FROM contract_versions v WHERE v.contract_id = contracts.id "
            "AND v.content_hash = :hash AND v.rule_version = :rule) WHERE id = :id"
        ),
        [{"hash": v[2], "rule": v[5], "id": v[1]} for v in versions],
    )


def _write_terms(connection: Connection, saved: Sequence[tuple[m.Contract, int]]) -> None:
    """Terms keep their identity over versions; only name and place change."""
    rows = [(i, t.id, t.name, n) for c, i in saved for n, t in enumerate(c.terms)]
    bulk_insert(connection, terms, ("contract_id", "code", "name", "position"), rows, ignore=True)
    change = sa.text(
        "UPDATE terms SET name = :name, position = :place WHERE contract_id = :c AND code = :code AND (name <> :name OR position <> :place)"
    )
    connection.execute(change, [{"c": i, "code": code, "name": name, "place": n} for i, code, name, n in rows])


_BINDING = (
    "contract_id", "event", "kind", "spec", "connection", "project", "vendor_id", "name", "accepted", "threshold_bp",
    "min_grade", "day", "until_day", "amount", "milestone_id", "confirmed_by", "recorded_at",
)  # fmt: skip


def _write_bindings(connection: Connection, saved: Sequence[tuple[m.Contract, int]], recorded_at: int) -> None:
    """Replace the bindings; one that is written as before keeps its milestone and who confirmed it."""
    rows = []
    for contract, contract_id in saved:
        old = {
            (event, kind): (spec, milestone, person)
            for event, kind, spec, milestone, person in fetch(
                connection,
                "SELECT event, kind, spec, milestone_id, confirmed_by FROM bindings WHERE contract_id = :c",
                {"c": contract_id},
            )
        }
        if old:
            connection.execute(sa.delete(bindings).where(bindings.c.contract_id == contract_id))
        for row in _binding_rows(contract):
            spec, milestone, person = old.get((row["event"], row["kind"]), (None, None, None))
            kept = (milestone, person) if spec == row["spec"] else (None, None)
            rows.append((contract_id, *(row.get(c) for c in _BINDING[1:14]), *kept, recorded_at))
    bulk_insert(connection, bindings, _BINDING, rows)


def _binding_rows(contract: m.Contract) -> Iterable[dict[str, Any]]:
    for event, binding in contract.events.items():
        row: dict[str, Any] = {"event": event, "accepted": False, "spec": repr(binding)}
        match binding:
            case m.MilestoneBinding():
                yield row | _located(binding) | {"kind": "milestone", "accepted": binding.state == "accepted"}
            case m.ProgressBinding(at_least=at_least):
                bound = None if at_least is None else int(at_least * 10_000)
                yield row | _located(binding) | {"kind": "progress", "threshold_bp": bound}
            case m.DateBinding(on):
                yield row | {"kind": "date", "day": day_number(on)}
            case m.DocumentBinding(document):
                yield row | {"kind": "document", "name": document}
            case m.SignOffBinding(role):
                yield row | {"kind": "sign_off", "name": role}
    for one in contract.guarantees:
        issued, expires = (None if d is None else day_number(d) for d in (one.issued, one.expires))
        yield {
            "event": one.id, "kind": "guarantee", "accepted": False, "spec": repr(one), "amount": one.amount, "day": issued, "until_day": expires,
        }  # fmt: skip


def _located(binding: m.MilestoneBinding | m.ProgressBinding) -> dict[str, Any]:
    grade = None if binding.min_grade is None else int(binding.min_grade)
    return {
        "connection": binding.connection,
        "project": binding.project,
        "vendor_id": binding.id,
        "name": binding.name,
        "min_grade": grade,
    }


def _write_openings(connection: Connection, saved: Sequence[tuple[m.Contract, int]], recorded_at: int) -> None:
    """What was invoiced and paid before the contract came to us, as facts like any other."""
    term_ids = {}
    if any(c.opening for c, _ in saved):
        term_ids = {(c, code): t for t, c, code in fetch(connection, "SELECT id, contract_id, code FROM terms")}
    billed, paid = [], []
    for contract, contract_id in saved:
        for opening in contract.opening:
            term = term_ids[contract_id, opening.term]
            day = 0 if opening.invoiced_on is None else day_number(opening.invoiced_on)
            key = str(uuid5(NAMESPACE, f"opening\x1f{contract.number}\x1f{opening.term}"))
            billed.append((key, contract_id, term, "opening", day, day, opening.invoiced, recorded_at))
            if opening.paid:
                paid_day = day if opening.paid_on is None else day_number(opening.paid_on)
                paid.append((key, contract_id, term, paid_day, opening.paid, "opening", recorded_at))
    bulk_insert(
        connection,
        invoices,
        ("key", "contract_id", "term_id", "number", "issued_day", "received_day", "gross", "recorded_at"),
        billed,
        ignore=True,
    )
    bulk_insert(
        connection,
        receipts,
        ("key", "contract_id", "term_id", "day", "gross", "method", "recorded_at"),
        paid,
        ignore=True,
    )


def stored_contract(connection: Connection, number: str) -> m.Contract | None:
    """The current version of a contract, as it was read."""
    found = fetch(
        connection,
        "SELECT v.long_form, c.file FROM contracts c JOIN contract_versions v ON v.id = c.version_id WHERE c.number = :n",
        {"n": number},
    )
    if not found:
        return None
    loaded = load_contract_text(found[0][0], found[0][1])
    return loaded.contracts[0] if loaded.contracts else None
