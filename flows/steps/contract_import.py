"""Import contracts from a spreadsheet: they become a contract file beside the others, all or nothing.

The file is the truth from then on: people read it, correct it and keep it under version control. Importing
the same spreadsheet again writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from connectors.files.excel_contracts import contracts_yaml, read_contract_sheets
from models.domain import contracts as m
from models.domain.contract_checks import contract_warnings, duplicate_contracts
from models.domain.findings import Finding, Severity
from models.records.contract_file import load_contract_bytes


@dataclass(frozen=True, slots=True)
class ContractsImported:
    """What a spreadsheet gave; with errors nothing was written."""

    target: Path
    contracts: int
    changed: bool
    findings: tuple[Finding, ...]

    @property
    def refused(self) -> bool:
        """Was the file refused?"""
        return any(f.severity is Severity.ERROR for f in self.findings)


def import_contracts(source: Path, folder: Path, others: Sequence[Path]) -> ContractsImported:
    """Write the contracts of `source` as YAML into `folder`; `others` are the contract files there already."""
    target = folder / f"{source.stem}.yaml"
    loaded = read_contract_sheets(source.read_bytes(), source.name)
    own = [replace(c, file=source.name) for c in loaded.contracts]
    findings = [*loaded.findings, *_doubled(own, [p for p in others if p.resolve() != target.resolve()])]
    findings += [w for c in own for w in contract_warnings(c)]
    if any(f.severity is Severity.ERROR for f in findings) or not own:
        return ContractsImported(target, 0, changed=False, findings=tuple(findings))
    text = contracts_yaml(own).encode()
    changed = not target.exists() or target.read_bytes() != text
    if changed:
        _replace(target, text)
    return ContractsImported(target, len(own), changed, tuple(findings))


def _doubled(own: Sequence[m.Contract], others: Sequence[Path]) -> list[Finding]:
    numbers = {c.number for c in own}
    there = [c for path in others for c in load_contract_bytes(path.read_bytes(), path.name).contracts]
    return duplicate_contracts([*(c for c in there if c.number in numbers), *own])


def _replace(target: Path, text: bytes) -> None:
    """Write beside and rename: a crash leaves the old file or the new one, never half of one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(target.name + ".new")
    beside.write_bytes(text)
    beside.replace(target)
