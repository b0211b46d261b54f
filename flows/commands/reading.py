"""`ready`, `explain`, `evaluate`: they read and print, and change nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.text import Text
from rich.tree import Tree

from connectors.calendars import calendar_specs
from flows import wiring
from flows.commands.shared import (
    Stop,
    command,
    day_of,
    named,
    no_such_term,
    out,
    print_findings,
    print_json,
    settings,
    table,
)
from flows.steps.evaluation.columns import NEVER, day_number
from flows.steps.report import board
from models.domain.money import amount_text, minor_digits
from models.domain.ready import ReadyLine, RecordStatus
from models.domain.words import catalogue, say


@command
def ready(config: Path, *, as_of: str | None, everything: bool, as_json: bool, language: str) -> int:
    """The list: living records; `everything` adds the withdrawn ones."""
    loaded = settings(config)
    day = NEVER if as_of is None else day_number(day_of(as_of, wiring.today(loaded)))
    with wiring.the_store(loaded).read() as connection:
        lines = board(connection, day)
    shown = (
        sorted((*lines.ready, *lines.withdrawn), key=lambda r: (r.contract, r.term, r.occurrence))
        if everything
        else list(lines.ready)
    )
    if as_json:
        print_json([r.as_json() for r in shown])
        return 0
    if not shown:
        out.print(say("cli.nothing_ready", language))
        return 0
    _show_list(shown, language)
    return 0


def _show_list(shown: Sequence[ReadyLine], language: str) -> None:
    """As a table; with due dates only where one is known before the invoice."""
    columns = ["contract", "term", "customer", "gross", "ready_on", "due_on", "status"]
    if not any(r.due_on for r in shown):
        columns.remove("due_on")
    heads = [(say(f"cli.column.{k}", language), "right" if k == "gross" else "left") for k in columns]
    rows = []
    for r in shown:
        cells = {
            "contract": r.contract,
            "term": f"{r.term} {r.name}",
            "customer": r.customer,
            "gross": f"{r.currency} {amount_text(r.gross, minor_digits(r.currency))}",
            "ready_on": r.ready_on,
            "due_on": r.due_on,
            "status": say(f"status.{r.status}", language),
        }
        rows.append([cells[c] for c in columns])
    waiting = sum(r.status is RecordStatus.READY for r in shown)
    table(say("cli.title.ready", language, n=waiting), heads, rows)


@command
def explain(which: str, config: Path, *, as_of: str | None, as_json: bool, language: str) -> int:
    """Why a term is ready, or not: its condition as a tree."""
    from flows.steps.explain import explain as explain_terms

    loaded = settings(config)
    day = day_number(day_of(as_of, wiring.today(loaded)))
    with wiring.the_store(loaded).begin() as connection:
        number, term = named(connection, which)
        found = explain_terms(connection, number, term or None, day, calendar_specs)
        if not found:
            raise no_such_term(connection, which, language)
    if as_json:
        print_json([asdict(f) for f in found])
        return 0
    for one in found:
        status = say(f"status.{one.values['status']}", language)
        root = Tree(Text(f"{one.contract}/{one.term} {one.name}: {status}  {one.values['gross']}", style="bold"))
        for line in _money_lines(one.values, language):
            root.add(Text(line, style="dim"))
        _branch(root, one.tree, language)
        out.print(root)
    return 0


def _money_lines(values: dict[str, Any], language: str) -> Iterator[str]:
    """What came already, and the due date where people agreed on another one."""
    if "paid" in values:
        yield say("cli.paid_of_it", language, paid=values["paid"], open=values["outstanding"])
    if "agreed_due_on" in values:
        days = {"agreed": values["agreed_due_on"], "n": values["agreed_overdue_days"]}
        yield say("cli.agreed_due", language, due=values["due_on"], **days)


def _branch(parent: Tree, node: dict[str, Any], language: str) -> None:
    mark = "✔" if node["met"] else "✘"
    line = Text(f"{mark} ", style="green" if node["met"] else "red")
    line.append(f"{say('cli.node.' + node['kind'], language)} {node['label']}".strip(), style="default")
    if node["met"]:
        line.append(f"  {node.get('date', '')}", style="green")
    elif node.get("expected"):
        line.append(f"  {say('cli.expected', language, day=node['expected'])}", style="yellow")
    for text in _proof(node, language):
        line.append(f"  {text}", style="dim")
    if node.get("url"):
        line.append(f"  {node['url']}", style="dim")
    branch = parent.add(line)
    for part in node.get("parts", []):
        _branch(branch, part, language)


def _proof(node: dict[str, Any], language: str) -> Iterator[str]:
    """Who, where, how good the proof is; or how the milestone stands that is waited for."""
    known = catalogue(language)
    if node.get("by"):
        yield node["by"]
    source, provenance = node.get("source"), node.get("provenance")
    if source:
        yield known.get(f"report.{'provenance' if node['met'] else 'blocker'}.{source}", source)
    if provenance and source not in ("contract", provenance):
        yield known.get(f"report.provenance.{provenance}", provenance)
    if node.get("grade"):
        yield known[f"report.grade.{int(node['grade'])}"]
    if node.get("waits"):
        yield say(f"cli.waits.{node['waits']}", language, milestone=node.get("milestone"), state=node.get("state"))


@command
def evaluate(file: Path, *, as_json: bool, language: str) -> int:
    """Evaluate a case file without any database, and compare with what it expects."""
    from flows.steps.evaluation.cases import run_cases
    from models.records.case_file import load_cases

    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Stop(say("finding.ENCODING_BROKEN", language, byte="?")) from None
    cases = load_cases(text, file.name)
    if any(f.code == "UNKNOWN_KEY" and f.place.path == "contract" for f in cases.findings):
        raise Stop(say("cli.contract_file", language, file=file.name), say("cli.contract_file_todo", language))
    names = {c.contract.calendar for c in cases.cases} - set(cases.calendars)
    run = run_cases(cases, calendar_specs(names))
    if as_json:
        print_json(run.entries)
    else:
        _show_cases(run, language)
        print_findings(cases.findings, language)
    if cases.findings and not cases.cases:
        return 2
    return 1 if run.differences or cases.findings else 0


def _show_cases(run: Any, language: str) -> None:
    if run.differences:
        heads = [(say(f"cli.column.{k}", language), "left") for k in ("case", "as_of", "key", "expected", "found")]
        table(
            say("cli.title.differences", language),
            heads,
            [(d.case, d.as_of, d.key, d.expected, d.found) for d in run.differences],
        )
    out.print(
        say(
            "cli.evaluated", language, entries=len(run.entries), compared=run.compared, differences=len(run.differences)
        )
    )
