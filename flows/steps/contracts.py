"""Contract files into the store: read what changed, refuse what is wrong, keep the last good version.

A contract that is refused keeps the version it had; a contract that no file holds any more is set
inactive with a finding. Nothing of a contract is ever deleted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from connectors.store import Store
from connectors.store.bulk import bulk_insert, fetch
from flows.steps.contract_history import refused_edits, write_openings
from flows.steps.evaluation.columns import day_number
from flows.steps.evaluation.compile import RULE_VERSION, CompileError, compile_contract
from models.domain import contracts as m
from models.domain.contract_checks import contract_warnings, duplicate_contracts
from models.domain.findings import Finding, Place, Severity
from models.records.contract_file import load_contract_bytes, load_contract_text, long_form
from models.tables import bindings, contract_files, contract_versions, contracts, terms


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


def load_contracts(
    store: Store, paths: Sequence[Path], root: Path, recorded_at: int, *, full: bool = False
) -> ContractsRead:
    """Bring the store's contracts up to the files; with `full`, of files that did not change too."""
    with store.read() as connection:
        known = {r[0]: r[1:] for r in fetch(connection, "SELECT path, sha256, numbers, findings FROM contract_files")}
        older = _of_older_rules(connection)
    changed: list[_Read] = []
    numbers: dict[str, list[str]] = {}
    findings: list[Finding] = []
    for path in paths:
        name, data = _shown(path, root), path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        own = orjson.loads(known[name][1]) if name in known else []
        if not full and name in known and known[name][0] == digest and older.isdisjoint(own):
            numbers[name] = own
            findings += [_finding(f) for f in orjson.loads(known[name][2])]
            continue
        loaded = load_contract_bytes(data, name)
        warnings = [w for c in loaded.contracts for w in contract_warnings(c)]
        changed.append(_Read(name, digest, list(loaded.contracts), [*loaded.findings, *warnings]))
        numbers[name] = [c.number for c in loaded.contracts]
    doubled = _doubled(numbers)
    findings += [f for read in changed for f in read.findings] + doubled
    refused = {str(f.place.contract) for f in doubled}
    with store.begin() as connection:
        found = [c for read in changed for c in read.contracts if c.number not in refused]
        saved, failed = _save(connection, found, recorded_at)
        findings += failed
        refused |= {str(f.place.contract) for f in failed}
        _remember(connection, changed, numbers, set(known), refused, recorded_at)
        findings += _retire(connection, numbers, findings)
    return ContractsRead(len(paths), len(changed), saved, tuple(findings))


@dataclass(frozen=True, slots=True)
class _Read:
    """A file that was read: what stands in it, and what is wrong with it."""

    name: str
    digest: str
    contracts: list[m.Contract]
    findings: list[Finding]


def _of_older_rules(connection: Connection) -> set[str]:
    """The contracts in force that were compiled by the rules of another version of this program."""
    rows = fetch(
        connection,
        "SELECT c.number FROM contracts c JOIN contract_versions v ON v.id = c.version_id "
        "WHERE c.active AND v.rule_version <> :rule",
        {"rule": RULE_VERSION},
    )
    return {number for (number,) in rows}


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
    connection: Connection,
    changed: Sequence[_Read],
    numbers: dict[str, list[str]],
    known: set[str],
    refused: set[str],
    recorded_at: int,
) -> None:
    """What was read, so that it need not be read again.

    A contract may be refused for what stands elsewhere (another file, the ledgers): a file that holds its number is
    read again every night, changed or not, until it is taken.
    """
    again = {name for name, own in numbers.items() if not refused.isdisjoint(own)}
    gone = [n for n in known if n not in numbers or n in again] + [read.name for read in changed]
    for name in gone:
        connection.execute(sa.delete(contract_files).where(contract_files.c.path == name))
    rows = [
        (
            read.name,
            read.digest,
            orjson.dumps(numbers[read.name]).decode(),
            orjson.dumps([_plain(f) for f in read.findings]).decode(),
            recorded_at,
        )
        for read in changed
        if read.name not in again
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
    if active and not numbers:  # a folder that is not mounted looks like this
        return [Finding("CONTRACT_FILES_GONE", Severity.ERROR, Place(), {"contracts": len(active)})]
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
        number: (contract_id, digest, rule, active, file)
        for contract_id, number, active, file, digest, rule in fetch(
            connection,
            "SELECT c.id, c.number, c.active, c.file, v.content_hash, v.rule_version FROM contracts c "
            "LEFT JOIN contract_versions v ON v.id = c.version_id",
        )
    }
    moved = [
        {"id": known[c.number][0], "file": c.file} for c in found if c.number in known and known[c.number][4] != c.file
    ]
    if moved:
        connection.execute(sa.text("UPDATE contracts SET file = :file WHERE id = :id"), moved)
    edited = {known[c.number][0]: c for c in found if c.number in known and known[c.number][1] != c.content_hash}
    failed = refused_edits(connection, edited)
    refused = {f.place.contract for f in failed}
    fresh = []
    for contract in found:
        old = known.get(contract.number)
        same = old is not None and old[1] == contract.content_hash and old[2] == RULE_VERSION and old[3]
        if same or contract.number in refused:
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
    known_before = {i for _, i, _ in fresh if i is not None}
    write_openings(connection, [(c, i) for (c, _, _), i in zip(fresh, ids, strict=True)], known_before, recorded_at)


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


#: Before the place of a term that the current version no longer has.
LEFT_THE_CONTRACT = 1_000_000


def _write_terms(connection: Connection, saved: Sequence[tuple[m.Contract, int]]) -> None:
    """Terms keep their identity over versions; only name and place change. Those that left come after the others."""
    connection.execute(
        sa.text("UPDATE terms SET position = :gone + id WHERE contract_id = :c"),
        [{"c": i, "gone": LEFT_THE_CONTRACT} for _, i in saved],
    )
    rows = [(i, t.id, t.name, n) for c, i in saved for n, t in enumerate(c.terms)]
    bulk_insert(connection, terms, ("contract_id", "code", "name", "position"), rows, ignore=True)
    change = sa.text("UPDATE terms SET name = :name, position = :place WHERE contract_id = :c AND code = :code")
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
                bound = None if at_least is None else ceil(at_least * 10_000)  # never below what is demanded
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
