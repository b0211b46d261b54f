"""Nights to report about: empty, usual, long, hostile. Built from numbers, never from a clock or chance."""

from __future__ import annotations

from datetime import date, timedelta

from models.domain.findings import Finding, Place, Severity
from models.domain.outlook import AgeingLine, BehaviourLine, ExpectedLine, MoveLine, Outlook, UndatedLine
from models.domain.ready import (
    BlockedLine,
    Blocker,
    ConnectionLine,
    Evidence,
    ExceptionLine,
    ForecastLine,
    NightReport,
    ReadyLine,
    RecordStatus,
    record_id,
)
from models.domain.receivables.forecast import Why
from models.domain.trouble import Trouble

AS_OF = date(2026, 7, 31)
RUN = "2026-07-31T18-00-00Z-7f3a"
CUSTOMERS = (
    "苏州恒拓制造有限公司",
    "杭州市西湖区人民政府数据资源管理局",
    "Nordlicht Energie AG",
    "中国南方电网有限责任公司超高压输电公司",
    "Al Noor Trading & Contracting W.L.L.",
    "株式会社ミナト物流",
)
INSTALMENTS = ("预付款", "初验款", "终验款", "质保金", "Progress payment 3", "Final acceptance")
EVENTS = ("m_initial_acceptance", "doc_initial_report_signed", "m_final_acceptance", "contract_signed")
PEOPLE = ("王芳", "李建国", "Anna Schmidt", None)


def proof(n: int, *, url: str | None = "") -> Evidence:
    """One proof of an event; the link points at the vendor unless told otherwise."""
    shown = f"https://pingcode.example.com/pjm/workitems/ZHYQ-{100 + n}" if url == "" else url
    return Evidence(
        event=EVENTS[n % len(EVENTS)],
        on=AS_OF - timedelta(days=3 + n % 40),
        by=PEOPLE[n % len(PEOPLE)],
        source=("rd", "worktile", "contract", "recorded")[n % 4],
        url=shown,
        provenance=("native", "history", "contract", "recorded")[n % 4],
        grade=(3, 4, None, 2)[n % 4],
    )


def line(n: int, **changes: object) -> ReadyLine:
    """A ready record with amounts that depend on n."""
    net = 386_666_66 + n * 1_234_567
    tax = net * 6 // 100
    contract, term = f"HT-2026-{n // 3 + 11:03d}", f"T{n % 3 + 1}"
    fields: dict[str, object] = {
        "record_id": str(record_id(contract, term, 1)),
        "contract": contract,
        "term": term,
        "name": INSTALMENTS[n % len(INSTALMENTS)],
        "customer": CUSTOMERS[n // 3 % len(CUSTOMERS)],
        "currency": "CNY",
        "gross": net + tax,
        "net": net,
        "tax": tax,
        "ready_on": AS_OF - timedelta(days=n % 20),
        "noticed_on": AS_OF - timedelta(days=max(n % 20 - 1, 0)),
        "status": RecordStatus.READY,
        "evidence": tuple(proof(n + k) for k in range(n % 3 + 1)),
        "due_on": AS_OF + timedelta(days=30 + n) if n % 4 else None,
        "project_manager": ("李建国", "Anna Schmidt", "王芳")[n % 3],
        **changes,
    }
    return ReadyLine(**fields)  # type: ignore[arg-type]


def waiting(n: int) -> BlockedLine:
    """A term that waits for one to three things."""
    kinds = ("event", "progress", "guarantee", "term", "approval", "time")
    blockers = tuple(
        Blocker(
            event=EVENTS[(n + k) % len(EVENTS)],
            kind=kinds[(n + k) % len(kinds)],
            planned_on=AS_OF + timedelta(days=15 * k - 10 + n) if (n + k) % 5 else None,
            source="rd" if k % 2 == 0 else None,
            url=f"https://pingcode.example.com/pjm/workitems/ZHYQ-{300 + n}" if k % 2 == 0 else None,
            contact=("李建国 li@example.com", None, "Anna Schmidt a.schmidt@example.com")[(n + k) % 3],
        )
        for k in range(n % 3 + 1)
    )
    return BlockedLine(
        contract=f"HT-2026-{n // 2 + 11:03d}",
        term=f"T{n % 2 + 3}",
        name=INSTALMENTS[(n + 2) % len(INSTALMENTS)],
        customer=CUSTOMERS[n // 2 % len(CUSTOMERS)],
        currency="CNY" if n % 4 else "USD",
        gross=1_288_888_88 + n * 7_654_321,
        expected_on=AS_OF + timedelta(days=20 + 9 * n) if n % 5 else None,
        blockers=blockers,
        project_manager="李建国",
    )


def outlook() -> Outlook:
    """Expected money of seven months in two currencies, a slip, and customers with and without a history."""
    months = tuple(
        ExpectedLine(f"{2026 + (m > 12)}-{(m - 1) % 12 + 1:02d}", currency, base * (m % 5 + 1), m % 5 + 1, base if m == 8 else 0)
        for currency, base in (("CNY", 42_350_000), ("USD", 3_120_050))
        for m in range(8, 15)
    )  # fmt: skip
    slip = Why("plan", "初验", "acceptance", 21)
    return Outlook(
        months,
        (ExpectedLine("2026-W33", "CNY", 42_350_000, 1, 0),),
        (UndatedLine("HT-2026-011", "T4", "质保金", CUSTOMERS[0], "CNY", 6_444_445, "no_plan"),),
        (
            MoveLine("HT-2026-011", "T2", CUSTOMERS[0], "CNY", 51_555_555, "2026-08", "2026-09", slip),
            MoveLine("HT-2026-012", "T1", CUSTOMERS[2], "USD", 100, None, "", Why("new_contract")),
        ),
        AS_OF - timedelta(days=1),
        (),
        (BehaviourLine(CUSTOMERS[0], 4, 12, 21, 26), BehaviourLine(CUSTOMERS[2], 2, None, None, None)),
        (
            AgeingLine(CUSTOMERS[0], "CNY", "not_due", 0, 100_00, 1),
            AgeingLine(CUSTOMERS[0], "CNY", "31-60", 31, 2_000_00, 1),
        ),
    )


def empty(language: str = "zh-CN") -> NightReport:
    """A night on which nothing is ready and nothing was read."""
    return NightReport(RUN, AS_OF, language, (), (), (), (), (), (), ())


def usual(language: str = "zh-CN", count: int = 12) -> NightReport:
    """A night with `count` records in four currencies, some held, and something of everything else."""
    ready = [line(n) for n in range(count - 4)]
    ready += [
        line(count - 4, currency="JPY", gross=5_400_000, net=4_909_091, tax=490_909, customer=CUSTOMERS[5]),
        line(count - 3, currency="KWD", gross=12_345_678, net=12_345_678, tax=0, customer=CUSTOMERS[4]),
        line(count - 2, currency="USD", gross=98_000_00, net=98_000_00, tax=0, customer=CUSTOMERS[2]),
        line(count - 1, status=RecordStatus.HELD, note="客户合同变更中，等补充协议签字"),
    ]
    return NightReport(
        run_id=RUN,
        as_of=AS_OF,
        language=language,
        ready=tuple(ready),
        withdrawn=(line(900, status=RecordStatus.WITHDRAWN, withdrawn_on=date(2026, 7, 30)),),
        blocked=tuple(waiting(n) for n in range(max(count * 3 // 4, 6))),
        exceptions=(
            ExceptionLine(
                "HT-2026-003", "T2", "REOPENED_AFTER_INVOICE", date(2026, 7, 29), "m_initial_acceptance 初验"
            ),
            ExceptionLine("HT-2025-118", None, "CAP_EXCEEDED", date(2026, 7, 2), "CNY 12,000.00", date(2026, 7, 20)),
        ),
        findings=(
            Finding("PERCENT_RANGE", Severity.ERROR, Place(connection="rd", contract="HT-2026-014", term="T2")),
            Finding(
                "PAY_TERM_TOO_LONG",
                Severity.WARNING,
                Place(file="contracts/ht-2026-011.yaml", line=41, contract="HT-2026-011", term="T3"),
                {"subject": "T3", "days": 90, "limit": 60},
            ),
        ),
        forecast=tuple(
            ForecastLine(f"{2026 + (m > 12)}-{(m - 1) % 12 + 1:02d}", currency, base * (m % 5 + 1), m % 5 + 1)
            for currency, base in (("CNY", 42_350_000), ("USD", 3_120_050))
            for m in range(8, 15)
        ),
        connections=(
            ConnectionLine("rd", "pingcode", "done", 1_284, 37, 1),
            ConnectionLine("delivery", "worktile", "done", 412, 5, 0),
            ConnectionLine(
                "legacy", "redmine", "failed", 0, 0, 0, Trouble("GET /issues.json: 503 after 4 tries; check the server")
            ),
        ),
        new_records=frozenset(x.record_id for x in ready[:3]),
        data_docs="data_docs/index.html",
        outlook=outlook(),
    )


FORMULA = '=HYPERLINK("http://evil.example","click")'
SCRIPT = '<script>alert("x")</script>'


def hostile(language: str = "zh-CN") -> NightReport:
    """A night on which every text was typed by somebody who wants to break the report."""
    nasty = [
        FORMULA,
        "+1+cmd|' /C calc'!A0",
        "-2+3",
        "@SUM(1+1)",
        "\t=1+1",
        "\r=1+1",
        " =1+1",
        "＝1+1",
        SCRIPT,
        "nul\x00 bell\x07 esc\x1b[31m \ud800 \u202efdp.exe",
        '"; DROP TABLE x; --, "quoted", ü 😀',
        "&amp; </td></tr></table> {{ 7 * 7 }} {% raw %}",
        "long " + "很长" * 20_000,
    ]
    links = [
        "javascript:alert(1)",
        "https://user:secret@example.com/",
        "file:///etc/passwd",
        "https://ok.example/a?b=1&c=2#d",
    ]
    links += [
        "data:text/html,x",
        "HTTPS://ok.example/" + "a" * 3000,
        "http:///nohost",
        "https://ok.example/\nx",
        "",
        "https://[bad",
    ]
    ready = tuple(
        line(
            n,
            contract=text if n != 12 else "HT-LONG",
            name=text,
            customer=text,
            project_manager=text,
            note=text,
            evidence=(
                proof(n, url=links[n % len(links)]),
                Evidence(text, AS_OF, text, text, links[n % len(links)], text),
            ),
        )
        for n, text in enumerate(nasty)
    )
    huge = 2**63 - 1
    ready += (
        line(40, contract="HT-HUGE", currency="USD", gross=huge, net=huge, tax=0),
        line(41, contract="HT-NEG", currency="EUR", gross=-1_060_00, net=-1_000_00, tax=-60_00),
        line(42, contract="HT-CODE", currency='"*"', evidence=tuple(proof(k) for k in range(40))),
    )
    blocker = Blocker(SCRIPT, SCRIPT, AS_OF, FORMULA, "javascript:alert(2)", SCRIPT)
    return NightReport(
        run_id=f"{SCRIPT}&R&P",
        as_of=AS_OF,
        language=language,
        ready=ready,
        withdrawn=(),
        blocked=(BlockedLine(SCRIPT, FORMULA, SCRIPT, FORMULA, "CNY", 1, None, (blocker,), SCRIPT),),
        exceptions=(ExceptionLine(SCRIPT, None, SCRIPT, AS_OF, FORMULA),),
        findings=(Finding(SCRIPT, Severity.ERROR, Place(file=SCRIPT, path=FORMULA), {"x": SCRIPT}),),
        forecast=(
            ForecastLine(SCRIPT, SCRIPT, 1, 1),
            ForecastLine("2026-09", "CNY", huge, 1),
            ForecastLine("2026-09", "JPY", 5, 1),
        ),
        connections=(ConnectionLine(SCRIPT, FORMULA, SCRIPT, 1, 1, 1, Trouble(SCRIPT)),),
        new_records=frozenset(),
        data_docs="javascript:alert(3)",
        outlook=Outlook(
            months=(ExpectedLine(SCRIPT, SCRIPT, 1, 1, 1), ExpectedLine("2026-09", "CNY", huge, 1, huge)),
            weeks=(ExpectedLine(FORMULA, SCRIPT, 1, 1, 0),),
            undated=(UndatedLine(SCRIPT, FORMULA, FORMULA, SCRIPT, "CNY", huge, SCRIPT),),
            moves=(MoveLine(SCRIPT, FORMULA, FORMULA, "CNY", huge, SCRIPT, "", Why("plan", SCRIPT, "", -3)),),
            compared_with=AS_OF,
            behaviour=(BehaviourLine(SCRIPT, 3, -1, 2, 3), BehaviourLine(FORMULA, 3, 1, 2, 3)),
            ageing=(AgeingLine(FORMULA, "CNY", SCRIPT, 1, huge, 1), AgeingLine(SCRIPT, "CNY", "1-30", 1, 5, 1)),
        ),
    )
