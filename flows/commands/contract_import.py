"""`huikuan import contracts`: a spreadsheet becomes a contract file; `--template` writes an empty one to fill in."""

from __future__ import annotations

from pathlib import Path

from flows.commands.shared import Stop, command, need_sheet, out, print_findings, settings
from models.domain.words import say


@command
def import_contracts(config: Path, file: Path, *, template: bool, language: str) -> int:
    """Write the template, or take a filled-in one over."""
    if template:
        return _write_template(file, language)
    from flows.steps.contract_import import import_contracts as run

    loaded = settings(config)
    if not file.is_file():
        raise Stop(say("cli.no_such_file", language, file=file))
    need_sheet(file, language)
    outcome = run(file, _folder(loaded.root, loaded.settings.contracts.paths), loaded.contract_files())
    print_findings(outcome.findings, language)
    key = "contracts_refused" if outcome.refused else "contracts_imported" if outcome.changed else "contracts_unchanged"
    out.print(say(f"cli.{key}", language, n=outcome.contracts, target=outcome.target))
    return 2 if outcome.refused else 0


def _write_template(file: Path, language: str) -> int:
    from connectors.files.excel_contracts import write_template

    if file.exists():
        raise Stop(say("cli.file_exists", language, file=file))
    write_template(str(file), language)
    out.print(say("cli.template_written", language, file=file))
    return 0


def _folder(root: Path, patterns: list[str]) -> Path:
    """The folder of the first pattern of contract files, up to its first wildcard."""
    parts = Path(patterns[0] if patterns else "contracts/*.yaml").parent.parts
    plain = parts[: next((i for i, p in enumerate(parts) if any(c in p for c in "*?[")), len(parts))]
    return root.joinpath(*plain)
