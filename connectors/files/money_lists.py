"""Lists of invoices and payments out of Excel and CSV: our own ready list handed back, finance's own, banks' CSV.

Gives rows of exact text with their places; what they mean is decided in the steps. A bank's CSV has columns
of its own, so unknown ones are passed over there; in lists that people type they are findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from connectors.files.sheet_marks import Marks, sheet_marks
from connectors.files.sheets import Cell, Columns, Grid, Row, read_grids, read_rows
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
        "invoice_no": ("number", "invoice number", "发票号码", "发票号", "数电票号码", "数电发票号码"),
        "invoice_date": ("issued", "date", "开票日期"),
        "invoice_received": ("received", "签收日期", "收票日期"),
        "invoiced_amount": ("amount", "金额", "价税合计", "开票金额"),
        "kind": ("type", "票种", "发票类型", "发票票种", "发票种类"),
        "red_of": ("credit of", "原发票号码", "红冲原号", "被红冲蓝字数电票号码", "对应蓝字发票号码"),
        "invoice_status": ("invoice status", "发票状态"),
        "reason": ("原因", "红冲原因"),
    },
    ("invoice_no", "invoice_date"),
)
PAYMENTS = Columns(
    "payments",
    {
        "date": (
            "日期", "到账日期", "收款日期", "交易日期", "交易时间", "记账日期", "入账日期", "booking date", "value date",
            "buchungstag", "transaction date",
        ),
        "amount": (
            "金额", "收款金额", "到账金额", "收入金额", "贷方发生额", "收入", "贷方金额", "credit", "credit amount",
            "betrag", "paid in", "交易金额", "发生额", "haben", "deposits",
        ),
        "debit": (
            "借方发生额", "借方", "支出", "借方金额", "支出金额", "付款金额", "debit amount", "paid out", "soll",
            "withdrawals",
        ),
        "direction": (
            "借贷标志", "借贷方向", "借贷标识", "借贷标记", "借贷", "借/贷", "借／贷", "收支", "收/支", "收／支", "收支类型", "收支方向",
            "收支标志", "收付", "收/付", "收付标志", "收付方向", "资金流向", "往来方向", "soll/haben", "s/h", "sh", "soll/haben-kennzeichen",
            "dr/cr", "cr/dr", "d/c", "c/d", "dc", "crdr", "drcr", "debit/credit", "credit/debit", "credit debit indicator",
            "cdtdbtind",
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
#: Columns of the tax bureau's own export that say nothing here; beside them 金额 is the sum without tax.
NOT_NEEDED = frozenset(
    {
        "序号", "税额", "税率", "购买方名称", "购方名称", "购方识别号", "购买方识别号", "销方名称", "销售方名称", "销方识别号", "销售方识别号",
        "备注", "开票人", "发票来源", "发票代码", "是否正数发票", "发票风险等级", "特定业务类型",
    }
)  # fmt: skip
TAX, NET = frozenset({"税额", "tax", "tax amount"}), frozenset({"金额", "amount"})
#: What the first words of a line of totals are.
TOTALS = frozenset({"合计", "总计", "小计", "total", "totals", "sum", "summe", "grand total", "本页合计"})
#: What a heading means: a canonical name, or None.
Named = Callable[[str], str | None]
#: The heading is looked for in these many first rows: lists carry titles above it.
HEAD_ROWS = 12


@dataclass(frozen=True, slots=True)
class ListRead:
    """The rows of a list, and what was wrong with it as a whole or with cells."""

    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    totals: tuple[Cell, ...] = ()  # what the list itself says its amounts add up to
    debits: bool = False  # has it a column of its own for money that went out?
    directed: bool = False  # has it a column that says which way money went?
    records: tuple[tuple[str, str], ...] = ()  # of our own list handed back: each record id, and when it was noticed


def read_invoice_list(data: bytes, file: str) -> ListRead:
    """Finance's list of invoices, or the ready list with its last columns filled in."""
    grids, findings = read_grids(data, file)
    rows: list[Row] = []
    totals: list[Cell] = []
    records: list[tuple[str, str]] = []
    lists = _lists(grids, _invoice_key, INVOICES)
    for sheet, whole in lists:
        marks, broken = sheet_marks(data, file, sheet)
        findings += broken
        grid = _one_head(whole, marks)
        findings += _net_amount(grid[0], file)
        listed, sums = _without_totals(grid, _invoice_key, "invoiced_amount")
        found, problems = read_rows(_renamed(_gross_only(listed), _invoice_key), INVOICES, file)
        own = [r for r in found if "invoice_no" in r or "invoice_date" in r]
        findings += _of_rows(problems, own)
        findings += _marked(marks, grid, own, _invoice_key, file)
        rows, totals = rows + own, totals + sums
        records += _records(grid)
    if not rows and not findings:
        code = "LIST_NOT_FILLED_IN" if lists else "NO_ROWS"
        findings.append(Finding(code, place=Place(file=file), params={"columns": _named(INVOICES)}))
    return ListRead(tuple(rows), tuple(findings), tuple(totals), records=tuple(records))


def read_payment_list(data: bytes, file: str) -> ListRead:
    """A list of payments, or a bank's CSV; of a bank's own columns the unknown ones are passed over."""
    grids, findings = read_grids(data, file)
    rows: list[Row] = []
    totals: list[Cell] = []
    ways: set[str | None] = set()
    for sheet, whole in _lists(grids, PAYMENTS.named, PAYMENTS):
        marks, broken = sheet_marks(data, file, sheet)
        findings += broken
        grid = _one_head(whole, marks)
        ways |= {PAYMENTS.named(c.text) for c in grid[0] if c is not None}
        listed, sums = _without_totals(grid, PAYMENTS.named, "amount")
        found, problems = read_rows(_renamed(listed, PAYMENTS.named, drop=True), PAYMENTS, file)
        own = [r for r in found if "amount" in r or "date" in r]
        findings += problems
        findings += _marked(marks, grid, own, PAYMENTS.named, file)
        rows, totals = rows + own, totals + sums
    if not rows and not findings:
        findings.append(Finding("NO_ROWS", place=Place(file=file), params={"columns": _named(PAYMENTS)}))
    return ListRead(tuple(rows), tuple(findings), tuple(totals), "debit" in ways, "direction" in ways)


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


def _one_head(grid: Grid, marks: Marks) -> Grid:
    """Headings of several merged rows as one: the lowest words of each column count."""
    top = next((c.row for c in grid[0] if c is not None), 1)
    rows = max((m.last_row for m in marks.merged if m.first_row <= top <= m.last_row), default=top) - top
    if rows == 0:
        return grid
    head = list(grid[0])
    for lower in grid[1 : rows + 1]:
        head += [None] * (len(lower) - len(head))
        for at, cell in enumerate(lower):
            if cell is not None:
                head[at] = cell
    return [head, *grid[rows + 1 :]]


def _gross_only(grid: Grid) -> Grid:
    """Where a list has both, the amount with tax counts."""
    texts = {c.text.strip() for c in grid[0] if c is not None}
    if "价税合计" not in texts:
        return grid
    return [[None if c is not None and c.text.strip().lower() in NET else c for c in grid[0]], *grid[1:]]


def _net_amount(head: Sequence[Cell | None], file: str) -> Iterator[Finding]:
    """金额 beside 税额, and no 价税合计: nobody states what is owed."""
    cells = {c.text.strip().lower(): c for c in head if c is not None}
    amount = next((cells[n] for n in NET if n in cells), None)
    if (
        amount is not None
        and cells.keys() & TAX
        and not any(INVOICES.named(t) == "invoiced_amount" for t in cells.keys() - NET)
    ):
        place = Place(file=file, line=amount.row, path=amount.reference if amount.sheet else None)
        yield Finding("AMOUNT_IS_NET", Severity.ERROR, place, {"column": amount.text})


def _without_totals(grid: Grid, named: Named, column: str) -> tuple[Grid, list[Cell]]:
    """The list without lines of totals, and what these say of one column."""
    at = next((n for n, c in enumerate(grid[0]) if c is not None and named(c.text) == column), None)
    keys = [n for n, c in enumerate(grid[0]) if c is not None and named(c.text) in ("date", "invoice_no")]
    kept: list[Sequence[Cell | None]] = [grid[0]]
    sums: list[Cell] = []
    for cells in grid[1:]:
        if _is_total(cells) and not any(_is_key(cells[k]) for k in keys if k < len(cells)):
            sums += [c for c in cells[at : at + 1] if c is not None] if at is not None else []
        else:
            kept.append(cells)
    return kept, sums


def _is_key(cell: Cell | None) -> bool:
    """Does it hold what only a row of the list has: a day, a number?"""
    return cell is not None and any(c.isdigit() for c in cell.text)


def _is_total(cells: Sequence[Cell | None]) -> bool:
    first = next((c for c in cells if c is not None), None)
    return first is not None and first.text.strip().rstrip(":：").strip().lower() in TOTALS


def _renamed(grid: Grid, named: Named, *, drop: bool = False) -> Grid:
    """The headings by their canonical names; columns of the ready list that say nothing new are left out."""
    head: list[Cell | None] = []
    for cell in grid[0]:
        name = named(cell.text) if cell is not None else None
        known = name in _READY.values() and name not in INVOICES.headings and not drop
        if cell is None or (name is None and drop) or known or (name is None and cell.text.strip() in NOT_NEEDED):
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


def _records(grid: Grid) -> Iterator[tuple[str, str]]:
    """What our own list held, also in rows nobody filled in."""
    at = {_READY.get(c.text.strip()): n for n, c in enumerate(grid[0]) if c is not None}
    if not {"record_id", "noticed_on"} <= at.keys():
        return
    for cells in grid[1:]:
        record, noticed = (cells[at[k]] if at[k] < len(cells) else None for k in ("record_id", "noticed_on"))
        if record is not None and noticed is not None:
            yield record.text, noticed.text


def _of_rows(problems: Sequence[Finding], rows: Sequence[Row]) -> Iterator[Finding]:
    """Cells that do not matter (totals below the list) give no findings."""
    lines = {next(iter(r.values())).row for r in rows}
    yield from (p for p in problems if p.code != "CELL_INEXACT" or p.place.line in lines)


#: What a row of the ready list says without being read: its formulas are our own business.
_OWN = frozenset(_READY.values()) - INVOICES.headings.keys()


def _marked(marks: Marks, grid: Grid, rows: Sequence[Row], named: Named, file: str) -> Iterator[Finding]:
    """Formulas (they may say something else tomorrow), hidden rows and merged cells among what is taken over."""
    sheet = next((c.sheet for c in grid[0] if c is not None), "")
    lines = {next(iter(r.values())).row for r in rows}
    wanted = {c.column: n for c in grid[0] if c is not None and (n := named(c.text)) and n not in _OWN}
    for (row, column), formula in marks.formulas.items():
        if column in wanted and row in _around(lines, marks, grid):
            place = Place(file=file, line=row, path=Cell("", sheet, row, column).reference)
            yield Finding("CELL_FORMULA", Severity.ERROR, place, {"found": formula[:60]})
    for row in sorted(marks.hidden & lines):
        yield Finding("ROW_HIDDEN", Severity.ERROR, Place(file=file, line=row, path=f"{sheet}!{row}"), {})
    for merged in marks.merged:
        touched = lines & set(range(merged.first_row, merged.last_row + 1))
        if touched and any(c in wanted for c in range(merged.first_column, merged.last_column + 1)):
            for row in sorted(touched):
                yield Finding(
                    "ROW_MERGED",
                    Severity.ERROR,
                    Place(file=file, line=row, path=f"{sheet}!{row}"),
                    {"found": merged.name},
                )


def _around(lines: set[int], marks: Marks, grid: Grid) -> set[int]:
    """The rows of the list, with those that hold nothing but formulas nobody has computed yet."""
    filled = {c.row for cells in grid for c in cells if c is not None}
    return lines | ({row for row, _ in marks.formulas} - filled)
