"""Contracts from a spreadsheet: the template's sheets (or one flat CSV) become the same contracts as YAML.

The rows are turned into the nodes that the YAML reader works on, each with its cell as place, so that one
reader checks both and a finding names the cell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import yaml

from connectors.files.sheets import EXCEL, Cell, Columns, Grid, Row, read_grids, read_rows
from models.domain import contracts as m
from models.domain.findings import Finding, Place, Severity
from models.records.contract_file import Loaded, long_form, read_contract
from models.records.reading import Loader, Report, Value

_CONTRACT = {
    "contract": ("合同编号", "合同"), "title": ("合同名称",), "customer": ("客户",), "customer_tax_id": ("客户税号",), "customer_size": ("客户规模",),
    "supplier": ("供应商",), "supplier_size": ("供应商规模",), "currency": ("币种",), "timezone": ("时区",), "calendar": ("日历",),
    "price_basis": ("价格口径",), "price": ("合同价",), "tax_rate": ("税率",), "approval": ("需审批",), "notify_customer": ("通知客户",),
    "project_manager": ("项目经理",), "project_manager_email": ("项目经理邮箱",), "customer_payer": ("客户付款人",), "customer_payer_email": ("客户付款人邮箱",),
}  # fmt: skip
_TERM = {
    "contract": ("合同编号", "合同"),
    "term": ("条款",),
    "name": ("条款名称",),
    "amount": ("金额", "金额或比例"),
    "when": ("付款条件",),
    "due": ("付款期限",),
    "approval": ("需审批",),
}
_LINE = {"contract": ("合同编号", "合同"), "line": ("明细",), "amount": ("金额",), "tax_rate": ("税率",)}
_EVENT = {
    "contract": ("合同编号", "合同"), "event": ("事件",), "date": ("日期",), "connection": ("连接",), "project": ("项目",), "milestone": ("里程碑",),
    "milestone_id": ("里程碑编号",), "state": ("状态",), "progress": ("进度达到",), "document": ("文件",), "sign_off": ("签字角色",), "min_grade": ("最低证据等级",),
}  # fmt: skip
_FRAME = ("customer", "supplier", "currency", "timezone", "calendar", "price_basis")
SHEETS = {
    "contracts": Columns("contracts", _CONTRACT, ("contract", *_FRAME)),
    "terms": Columns("terms", _TERM, ("contract", "term", "amount", "when")),
    "lines": Columns("lines", _LINE, ("contract", "line", "amount", "tax_rate")),
    "events": Columns("events", _EVENT, ("contract", "event")),
}
SHEET_TITLES = {"contracts": "合同", "terms": "付款条款", "lines": "价格明细", "events": "事件"}
_FLAT = Columns(
    "CSV",
    {**{k: v for k, v in _CONTRACT.items() if k != "approval"}, **_TERM},
    ("contract", *_FRAME, "price", "tax_rate", "term", "amount", "when"),
)

Tree = Cell | str | Mapping[str, "Tree"] | Sequence["Tree"]


@dataclass(slots=True)
class _Found:
    """The rows of one contract, sheet by sheet."""

    head: dict[str, Cell]
    terms: list[Row] = field(default_factory=list)
    lines: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)


def read_contract_sheets(data: bytes, file: str) -> Loaded:
    """Read the contracts of an Excel file made from the template, or of a flat CSV. All problems at once."""
    grids, findings = read_grids(data, file)
    if findings:
        return Loaded((), tuple(findings))
    found = _from_excel(grids, file, findings) if file.lower().endswith(EXCEL) else _from_csv(grids[""], file, findings)
    contracts = []
    for one in found:
        contract, own = _read_one(one, file)
        findings += own
        contracts += [contract] if contract else []
    return Loaded(tuple(contracts), tuple(findings))


def contracts_yaml(contracts: Iterable[m.Contract]) -> str:
    """Contracts as one YAML text in the long form, for the folder of contract files."""
    bodies = [long_form(c) for c in contracts]
    return yaml.safe_dump(bodies, allow_unicode=True, sort_keys=False, width=120, default_flow_style=None)


# --- rows by contract ------------------------------------------------------------------------------------


def _from_excel(grids: Mapping[str, Grid], file: str, findings: list[Finding]) -> list[_Found]:
    tables: dict[str, list[Row]] = {}
    for name, columns in SHEETS.items():
        title = next((t for t in grids if t.strip().lower() in (name, SHEET_TITLES[name])), None)
        if title is not None:
            tables[name], own = read_rows(grids[title], columns, file)
            findings += own
        elif name in ("contracts", "terms"):
            findings.append(
                _at(None, file, "SHEET_MISSING", sheet=f"{name} / {SHEET_TITLES[name]}", expected=", ".join(SHEETS))
            )
    if findings:
        return []
    found: dict[str, _Found] = {}
    for row in tables["contracts"]:
        _add_head(found, row, file, findings)
    for name in ("terms", "lines", "events"):
        for row in tables.get(name, ()):
            number = row.get("contract")
            if number is None or number.text not in found:
                findings.append(
                    _at(
                        number or next(iter(row.values())),
                        file,
                        "ROW_WITHOUT_CONTRACT",
                        contract=number.text if number else "-",
                    )
                )
            else:
                getattr(found[number.text], name).append(row)
    return list(found.values())


def _add_head(found: dict[str, _Found], row: Row, file: str, findings: list[Finding]) -> None:
    number = row.get("contract")
    if number is None:
        findings.append(_at(next(iter(row.values())), file, "CELL_MISSING", column="contract / 合同编号"))
    elif number.text in found:
        places = f"{found[number.text].head['contract'].reference}, {number.reference}"
        findings.append(_at(number, file, "DUPLICATE_CONTRACT", contract=number.text, places=places))
    else:
        found[number.text] = _Found(dict(row))


def _from_csv(grid: Grid, file: str, findings: list[Finding]) -> list[_Found]:
    rows, own = read_rows(grid, _FLAT, file)
    findings += own
    found: dict[str, _Found] = {}
    for row in rows:
        number = row.get("contract")
        if number is None:
            findings.append(_at(next(iter(row.values())), file, "CELL_MISSING", column="contract / 合同编号"))
            continue
        one = found.setdefault(number.text, _Found({}))
        for name, cell in row.items():
            if name in _TERM and name != "contract":
                continue
            first = one.head.setdefault(name, cell)
            if first.text != cell.text:
                findings.append(
                    _at(
                        cell,
                        file,
                        "CELL_CONFLICT",
                        contract=number.text,
                        column=name,
                        found=cell.text,
                        expected=first.text,
                    )
                )
        one.terms.append(row)
    return list(found.values())


def _at(cell: Cell | None, file: str, code: str, **params: object) -> Finding:
    place = Place(file=file, line=cell.row if cell else None, path=cell.reference if cell else None)
    return Finding(code, Severity.ERROR, place, params)


# --- one contract as the tree the reader knows ------------------------------------------------------------


def _tree(one: _Found) -> dict[str, Tree]:
    head = one.head
    tree: dict[str, Tree] = {
        k: head[k]
        for k in ("contract", "title", "currency", "timezone", "calendar", "price_basis", "notify_customer")
        if k in head
    }
    tree |= {k: _words(head[k], _APPROVAL) for k in ("approval",) if k in head}
    for side in ("customer", "supplier"):
        if side in head:
            tree[side] = _filled(head, {"name": side, "tax_id": f"{side}_tax_id", "size": f"{side}_size"})
    lines: list[Tree] = [_filled(r, {"id": "line", "amount": "amount", "tax_rate": "tax_rate"}) for r in one.lines]
    if not lines and "price" in head:
        lines = [{"id": "PRICE", **_filled(head, {"amount": "price", "tax_rate": "tax_rate"})}]
    tree["lines"] = lines
    tree["terms"] = [_term(r) for r in one.terms]
    roles = [r for r in ("project_manager", "customer_payer") if r in head]
    contacts: list[Tree] = [{"role": r, **_filled(head, {"name": r, "email": f"{r}_email"})} for r in roles]
    events: dict[str, Tree] = {r["event"].text: _event(r) for r in one.events if "event" in r}
    return tree | ({"contacts": contacts} if contacts else {}) | ({"events": events} if events else {})


def _filled(row: Row, names: Mapping[str, str]) -> dict[str, Tree]:
    return {key: row[column] for key, column in names.items() if column in row}


_APPROVAL = {"是": "required", "yes": "required", "true": "required", "否": "none", "no": "none", "false": "none"}
_REMAINING = {
    "余款": "remaining",
    "尾款": "remaining",
    "剩余": "remaining",
    "rest": "remaining",
    "balance": "remaining",
}


def _words(cell: Cell, known: Mapping[str, str]) -> Cell:
    return replace(cell, text=known.get(cell.text.lower(), cell.text))


def _term(row: Row) -> Tree:
    term = _filled(row, {"id": "term", "name": "name", "due": "due"})
    if "amount" in row:
        term["amount"] = _words(row["amount"], _REMAINING)
    if "when" in row:
        term["when"] = _when(row["when"])
    if "approval" in row:
        term["approval"] = _words(row["approval"], _APPROVAL)
    return term


_AFTER = re.compile(
    r"(?P<n>\d+)\s*(?P<unit>days?|months?|(?:working|business) days?)\s+after\s+(?P<name>.+)", re.IGNORECASE
)
_LATER = re.compile(r"(?P<name>.+?)后\s*(?P<n>\d+)\s*(?P<unit>天|日|个月|个工作日)")
_UNITS = {"天": "days", "日": "days", "个月": "months", "个工作日": "business_days"}


def _when(cell: Cell) -> Tree:
    """A condition in a cell: a name, `a + b` (all), `a | b` (any), `12 months after a`, or the YAML form in braces."""
    if cell.text.startswith("{"):
        return cell
    for key, pattern in (("all", r"\s*\+\s*|\s+(?:and|且)\s+"), ("any", r"\s*\|\s*|\s+(?:or|或)\s+")):
        parts = [p for p in re.split(pattern, cell.text) if p]
        if len(parts) > 1:
            return {key: [_when(replace(cell, text=p)) for p in parts]}
    match = _AFTER.fullmatch(cell.text) or _LATER.fullmatch(cell.text)
    if match is None:
        return cell
    unit = match["unit"].lower()
    name = _UNITS.get(unit) or ("business_days" if " " in unit else "months" if unit.startswith("month") else "days")
    return {"elapsed": {"after": replace(cell, text=match["name"].strip()), name: replace(cell, text=match["n"])}}


def _event(row: Row) -> Tree:
    there = _filled(row, {"connection": "connection", "project": "project", "id": "milestone_id", "name": "milestone"})
    binding: dict[str, Tree] = _filled(row, {"date": "date", "document": "document", "sign_off": "sign_off"})
    if "progress" in row:
        binding["progress"] = there | {"at_least": row["progress"]}
    elif there:
        binding["milestone"] = there | _filled(row, {"state": "state"})
    return binding | _filled(row, {"min_grade": "min_grade"}) if binding else row["event"]


# --- the tree as nodes with places -------------------------------------------------------------------------


def _read_one(one: _Found, file: str) -> tuple[m.Contract | None, list[Finding]]:
    report, places = Report(file), dict[str, Cell]()
    try:
        node = _node(_tree(one), "", next(iter(one.head.values())), places)
    except yaml.YAMLError as problem:
        cell = next(iter(one.head.values()))
        why = str(getattr(problem, "problem", None) or problem)
        return None, [_at(places.get("!", cell), file, "YAML_BROKEN", column="?", why=why)]
    contract = read_contract(Value(node, "", report), report)
    return contract, [_placed(f, places) for f in report.findings]


def _placed(finding: Finding, places: Mapping[str, Cell]) -> Finding:
    path = finding.place.path or ""
    while path and path not in places:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    cell = places.get(path)
    return (
        finding if cell is None else replace(finding, place=replace(finding.place, line=cell.row, path=cell.reference))
    )


def _node(tree: Tree, path: str, near: Cell, places: dict[str, Cell]) -> yaml.Node:
    """The YAML node of a part; `near` places what has no cell of its own."""
    if isinstance(tree, Mapping):
        near = _first(tree) or near
        places.setdefault(path, near)
        pairs = [(_scalar(k, near), _node(v, f"{path}.{k}" if path else k, near, places)) for k, v in tree.items()]
        return yaml.MappingNode("tag:yaml.org,2002:map", pairs, _mark(near), _mark(near))
    if isinstance(tree, str):
        return _scalar(tree, near)
    if isinstance(tree, Cell):
        places[path] = tree
        return _composed(tree, places) if tree.text.startswith("{") else _scalar(tree.text, tree)
    items = [_node(v, f"{path}[{i}]", near, places) for i, v in enumerate(tree)]
    return yaml.SequenceNode("tag:yaml.org,2002:seq", items, _mark(near), _mark(near))


def _first(tree: Mapping[str, Tree]) -> Cell | None:
    return next((v for v in tree.values() if isinstance(v, Cell)), None)


def _mark(cell: Cell) -> yaml.Mark:
    return yaml.Mark("", 0, cell.row - 1, cell.column - 1, None, 0)


def _scalar(text: str, cell: Cell) -> yaml.Node:
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, _mark(cell), _mark(cell))


def _composed(cell: Cell, places: dict[str, Cell]) -> yaml.Node:
    """The YAML inside a cell. Raises YAMLError, with the cell noted under "!"."""
    places["!"] = cell
    if "*" in cell.text or "&" in cell.text:
        raise yaml.YAMLError("anchors and aliases are not accepted")
    node = yaml.compose(cell.text, Loader=Loader)
    del places["!"]
    assert node is not None  # the text begins with a brace
    _remark(node, _mark(cell))
    return node


def _remark(node: yaml.Node, mark: yaml.Mark) -> None:
    node.start_mark = mark
    parts: Sequence[yaml.Node] = ()
    if isinstance(node, yaml.MappingNode):
        parts = [n for pair in node.value for n in pair]
    elif isinstance(node, yaml.SequenceNode):
        parts = node.value
    for part in parts:
        _remark(part, mark)


# --- the template --------------------------------------------------------------------------------------------

_EXAMPLES: Mapping[str, Sequence[Mapping[str, str]]] = {
    "contracts": [
        {"contract": "HT-2026-018", "title": "智慧园区平台", "customer": "苏州恒拓制造有限公司", "customer_size": "large", "supplier": "杭州星澜软件有限公司",
         "supplier_size": "sme", "currency": "CNY", "timezone": "Asia/Shanghai", "calendar": "CN", "price_basis": "tax_inclusive", "price": "1288888.88",
         "tax_rate": "6%", "project_manager": "林工", "project_manager_email": "lin@example.com"},
    ],
    "terms": [
        {"contract": "HT-2026-018", "term": "T1", "name": "预付款", "amount": "30%", "when": "contract_signed", "due": "收到发票后10个工作日"},
        {"contract": "HT-2026-018", "term": "T2", "name": "终验款", "amount": "65%", "when": "m_final + doc_final", "due": "收到发票后15个工作日"},
        {"contract": "HT-2026-018", "term": "T3", "name": "质保金", "amount": "remaining", "when": "12 months after doc_final", "due": "30 days after ready"},
    ],
    "lines": [],
    "events": [
        {"contract": "HT-2026-018", "event": "contract_signed", "date": "2026-02-09"},
        {"contract": "HT-2026-018", "event": "m_final", "connection": "rd", "project": "ZHYQ", "milestone": "终验"},
        {"contract": "HT-2026-018", "event": "doc_final", "document": "终验报告"},
    ],
}  # fmt: skip
_CHOICES: Mapping[str, Sequence[str]] = {
    "price_basis": list(m.PriceBasis), "customer_size": ["micro", "small", "medium", "sme", "large", "public"],
    "supplier_size": ["micro", "small", "medium", "sme", "large", "public"], "state": ["done", "accepted"],
    "min_grade": ["number", "state", "history", "review"], "approval": ["required", "none"], "notify_customer": ["true", "false"],
}  # fmt: skip


def write_template(path: str, language: str = "zh-CN") -> None:
    """Write the Excel template: four sheets with headings in `language`, choices, and a small example."""
    import xlsxwriter

    with xlsxwriter.Workbook(path) as book:
        text = book.add_format(
            {"num_format": "@"}
        )  # text: a spreadsheet must not turn 6% or 2026-02-09 into something else
        heading = book.add_format({"bold": True, "bg_color": "#E8EEF4", "bottom": 1})
        needed = book.add_format({"bold": True, "bg_color": "#FBE9D0", "bottom": 1})
        for name, columns in SHEETS.items():
            sheet = book.add_worksheet(SHEET_TITLES[name] if language == "zh-CN" else name)
            sheet.freeze_panes(1, 1)
            sheet.set_column(0, len(columns.headings) - 1, 20, text)
            for at, (column, known) in enumerate(columns.headings.items()):
                must = column in columns.required
                label = (known[0] if language == "zh-CN" else column) + ("*" if must else "")
                sheet.write_string(0, at, label, needed if must else heading)
                _choices(sheet.data_validation, at, column)
            for row, example in enumerate(_EXAMPLES[name], start=1):
                for at, column in enumerate(columns.headings):
                    sheet.write_string(row, at, example.get(column, ""), text)


def _choices(validate: Callable[..., object], at: int, column: str) -> None:
    if column in _CHOICES:
        validate(
            1, at, 1000, at, {"validate": "list", "source": [str(c) for c in _CHOICES[column]], "ignore_blank": True}
        )
