"""Lists of invoices and payments out of Excel and CSV: our own ready list handed back, finance's own, banks' CSV.

Gives rows of exact text with their places; what they mean is decided in the steps. A bank's CSV has columns
of its own, so unknown ones are passed over there; in lists that people type they are findings.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from connectors.files.sheets import EXCEL, Cell, Columns, Grid, Row, read_grids, read_rows
from connectors.reports.excel_ready import header_keys
from models.domain.findings import Finding, Place, Severity

#: Headings understood for invoices, beside those of the ready list.
INVOICES = Columns(
    "invoices",
    {
        "record_id": ("记录编号",),
        "contract": ("合同", "合同编号"),
        "term": ("条款", "付款条款", "款项"),
        "currency": ("币种",),
        "invoice_no": ("number", "invoice number", "发票号码", "发票号", "数电票号码"),
        "invoice_date": ("issued", "date", "开票日期"),
        "invoice_received": ("received", "签收日期", "收票日期"),
        "invoiced_amount": ("amount", "金额", "价税合计", "开票金额"),
        "kind": ("type", "票种", "发票类型"),
        "red_of": ("credit of", "原发票号码", "红冲原号"),
        "reason": ("原因", "红冲原因"),
    },
    ("invoice_no", "invoice_date"),
)
PAYMENTS = Columns(
    "payments",
    {
        "date": (
            "日期", "到账日期", "收款日期", "交易日期", "记账日期", "入账日期", "booking date", "value date",
            "buchungstag", "transaction date",
        ),
        "amount": (
            "金额", "收款金额", "到账金额", "收入金额", "贷方发生额", "收入", "贷方金额", "credit", "credit amount",
            "betrag", "paid in",
        ),
        "currency": ("币种", "ccy", "währung", "waehrung"),
        "payer": (
            "付款人", "付款方", "对方户名", "对方名称", "对方账户名称", "交易对手", "counterparty", "name", "debtor",
            "beguenstigter/zahlungspflichtiger", "name zahlungsbeteiligter",
        ),
        "reference": (
            "备注", "摘要", "附言", "用途", "交易附言", "description", "details", "verwendungszweck", "narrative",
            "remittance information",
        ),
        "contract": ("合同", "合同编号"),
        "term": ("条款", "付款条款"),
        "invoice_no": ("发票号码", "发票号", "invoice", "invoice number"),
        "account": ("账号", "本方账号", "收款账号", "iban", "auftragskonto"),
        "method": ("方式", "收款方式", "付款方式", "结算方式"),
        "maturity": ("到期日", "票据到期日", "maturity date"),
        "bank_id": ("交易流水号", "流水号", "transaction id", "bank reference"),
    },
    ("date", "amount"),
)  # fmt: skip
#: What a heading means: a canonical name, or None.
Named = Callable[[str], str | None]
#: The heading is looked for in these many first rows: lists carry titles above it.
HEAD_ROWS = 12


@dataclass(frozen=True, slots=True)
class ListRead:
    """The rows of a list, and what was wrong with it as a whole or with cells."""

    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]


def read_invoice_list(data: bytes, file: str) -> ListRead:
    """Finance's list of invoices, or the ready list with its last columns filled in."""
    grids, findings = read_grids(data, file)
    rows: list[Row] = []
    for sheet, grid in _lists(grids, _invoice_key, INVOICES):
        found, problems = read_rows(_renamed(grid, _invoice_key), INVOICES, file)
        rows += [r for r in found if "invoice_no" in r or "invoice_date" in r]
        findings += _of_rows(problems, rows)
        findings += _formulas(data, file, sheet)
    if not rows and not findings:
        findings.append(Finding("NO_ROWS", place=Place(file=file), params={"columns": _named(INVOICES)}))
    return ListRead(tuple(rows), tuple(findings))


def read_payment_list(data: bytes, file: str) -> ListRead:
    """A list of payments, or a bank's CSV; of a bank's own columns the unknown ones are passed over."""
    grids, findings = read_grids(data, file)
    rows: list[Row] = []
    for sheet, grid in _lists(grids, PAYMENTS.named, PAYMENTS):
        found, problems = read_rows(_renamed(grid, PAYMENTS.named, drop=True), PAYMENTS, file)
        rows += [r for r in found if "amount" in r or "date" in r]
        findings += problems
        findings += _formulas(data, file, sheet)
    if not rows and not findings:
        findings.append(Finding("NO_ROWS", place=Place(file=file), params={"columns": _named(PAYMENTS)}))
    return ListRead(tuple(rows), tuple(findings))


def _named(columns: Columns) -> str:
    return ", ".join(f"{key} / {headings[0]}" for key, headings in columns.headings.items())


_READY = header_keys()


def _invoice_key(heading: str) -> str | None:
    return INVOICES.named(heading) or _READY.get(heading.strip())


def _lists(grids: Mapping[str, Grid], named: Named, columns: Columns) -> list[tuple[str, Grid]]:
    """The sheets that hold such a list, from their headings on; else the first that comes near, to say what it lacks."""
    found = [(sheet, grid[at:]) for sheet, grid in grids.items() if (at := _heading(grid, named)) is not None]
    whole = [(s, g) for s, g in found if set(columns.required) <= {named(c.text) for c in g[0] if c is not None}]
    return whole or found[:1]


def _heading(grid: Grid, named: Named) -> int | None:
    """The row of the headings: the first one with at least two that are known."""
    for at, cells in enumerate(grid[:HEAD_ROWS]):
        if len({named(c.text) for c in cells if c is not None} - {None}) >= 2:
            return at
    return None


def _renamed(grid: Grid, named: Named, *, drop: bool = False) -> Grid:
    """The headings by their canonical names; columns of the ready list that say nothing new are left out."""
    head: list[Cell | None] = []
    for cell in grid[0]:
        name = named(cell.text) if cell is not None else None
        if (
            cell is None
            or (name is None and drop)
            or (name in _READY.values() and name not in INVOICES.headings and not drop)
        ):
            head.append(None)
        else:
            head.append(replace(cell, text=name or cell.text))
    seen: set[str] = set()
    if drop:  # a bank has two dates, two names: the first one known counts
        for at, cell in enumerate(head):
            if cell is not None and cell.text in seen:
                head[at] = None
            elif cell is not None:
                seen.add(cell.text)
    return [head, *grid[1:]]


def _of_rows(problems: Sequence[Finding], rows: Sequence[Row]) -> Iterator[Finding]:
    """Cells that do not matter (totals below the list) give no findings."""
    lines = {next(iter(r.values())).row for r in rows}
    yield from (p for p in problems if p.code != "CELL_INEXACT" or p.place.line in lines)


def _formulas(data: bytes, file: str, sheet: str) -> Iterator[Finding]:
    """A formula pasted among typed values may say something else tomorrow: it is refused."""
    if not file.lower().endswith(EXCEL):
        return
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True)
    try:
        wanted = _typed_columns(book[sheet].iter_rows(max_row=HEAD_ROWS, values_only=True))
        for row in book[sheet].iter_rows():
            for cell in row:
                if getattr(cell, "data_type", "") == "f" and cell.column in wanted:
                    place = Place(file=file, line=cell.row, path=f"{sheet}!{cell.coordinate}")
                    yield Finding("CELL_FORMULA", Severity.ERROR, place, {"found": str(cell.value)[:60]})
    finally:
        book.close()


def _typed_columns(rows: Iterator[Sequence[object]]) -> Mapping[int, str]:
    """Columns whose values are taken over, by number from 1."""
    typed = {"invoice_no", "invoice_date", "invoice_received", "invoiced_amount", "amount", "date", "contract", "term"}
    for row in rows:
        names = {n: _invoice_key(str(v)) or PAYMENTS.named(str(v)) for n, v in enumerate(row, 1) if v is not None}
        if len({v for v in names.values() if v}) >= 2:
            return {n: v for n, v in names.items() if v in typed}
    return {}
