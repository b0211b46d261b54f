"""The page, parsed: what a browser would build of it."""

from __future__ import annotations

import base64
import hashlib
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from connectors.reports.chart import MONTHS_MAX, ageing_svg, behaviour_svg, drawable, forecast_svg
from connectors.reports.page import READY_MAX, Page, Pictures, html_bytes
from connectors.reports.text import safe_relative, safe_url
from models.domain.outlook import AgeingLine, BehaviourLine, ExpectedLine
from models.domain.ready import NightReport
from tests.unit.reports import nights

VOID = {"meta", "br", "link", "img", "input"}


class Parsed(HTMLParser):
    """Elements with their attributes, text, and whether every element was closed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [a for t, a in self.elements if t == tag]


def html(report: NightReport, language: str) -> str:
    siblings = (("zh-CN", "ready-to-invoice.html"), ("en", "ready-to-invoice.en.html"))
    page = Page(language, siblings, "ready-to-invoice.xlsx", "ready-to-invoice.csv", "ready-to-invoice.json")
    return html_bytes(report, page, Pictures.of(report)).decode("utf-8")


@pytest.mark.parametrize("language", ["zh-CN", "en"])
@pytest.mark.parametrize("night", [nights.empty, nights.usual, nights.hostile])
def test_every_page_is_whole_and_accessible(night: object, language: str) -> None:
    """Language, captions, scopes, labels for regions, no element left open."""
    parsed = Parsed(html(night(language), language))  # type: ignore[operator]
    assert parsed.open == []
    assert parsed.of("html") == [{"lang": language}]
    assert len(parsed.of("caption")) == len(parsed.of("table"))
    assert all(a.get("scope") in ("col", "row") for a in parsed.of("th"))
    ids = {a["id"] for _, a in parsed.elements if "id" in a}
    assert {a["aria-labelledby"] for _, a in parsed.elements if "aria-labelledby" in a} <= ids
    assert [a["lang"] for a in parsed.of("a") if a.get("hreflang")] == ["zh-CN", "en"]


@pytest.mark.parametrize("night", [nights.usual, nights.hostile])
def test_nothing_runs_and_nothing_is_requested(night: object) -> None:
    """No script, handler, style attribute or resource; links only to the web and to the files beside."""
    text = html(night("en"), "en")  # type: ignore[operator]
    parsed = Parsed(text)
    tags = {t for t, _ in parsed.elements}
    assert not tags & {
        "script",
        "img",
        "iframe",
        "object",
        "embed",
        "link",
        "form",
        "base",
        "image",
        "use",
        "foreignobject",
    }
    for _, attributes in parsed.elements:
        assert not [k for k in attributes if k.startswith("on") or k in ("style", "src", "srcset")]
    for target in [a.get("href") or "" for a in parsed.of("a")]:
        assert safe_url(target) or safe_relative(target) or target == "#ready"
    policy = next(a["content"] for a in parsed.of("meta") if a.get("http-equiv"))
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def test_hostile_text_is_shown_as_text() -> None:
    parsed = Parsed(html(nights.hostile("en"), "en"))
    shown = "".join(parsed.texts)
    assert nights.SCRIPT in shown
    assert "{{ 7 * 7 }}" in shown
    assert "\x1b" not in shown
    assert "javascript:" not in shown


def test_the_page_and_the_ledger_have_the_same_numbers() -> None:
    shown = " ".join("".join(Parsed(html(nights.usual("en"), "en")).texts).split())
    for amount in ("CNY 3,645,352.74", "JPY 5,400,000", "KWD 12,345.678", "206,340.70", "CNY 409,866.65"):
        assert amount in shown
    assert "11 ready to invoice, 3 of them new" in shown
    assert "1 of 3 connections could not be read" in shown


def test_an_empty_page_says_so() -> None:
    assert "没有可以开票的付款条件" in html(nights.empty(), "zh-CN")
    assert "Nothing is ready to invoice as of 2026-07-31." in html(nights.empty("en"), "en")


def test_a_long_list_is_cut_and_says_where_the_rest_is() -> None:
    report = replace(nights.empty("en"), ready=tuple(nights.line(n) for n in range(READY_MAX + 5)))
    assert "5 more rows did not fit here; they are all in ready-to-invoice.json." in html(report, "en")


def test_the_chart_is_one_drawing_with_the_labels_of_the_table() -> None:
    svg = forecast_svg(nights.usual().outlook.months)
    assert svg is not None
    texts = [e.text for e in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert {"CNY", "USD", "2026-08", "2027-02", "2,117,500.00", "156,002.50"} <= set(texts)
    assert "style=" not in svg


def test_only_months_and_codes_are_drawn() -> None:
    """The picture goes into the page as it is: nothing else from outside may get into it."""
    lines = (
        ExpectedLine("2026-09", "CNY", 100, 1, 0),
        ExpectedLine("<b>", "CNY", 1, 1, 0),
        ExpectedLine("2026-13", "CNY", 1, 1, 0),
        ExpectedLine("2026-09", "<b>", 1, 1, 0),
    )
    assert drawable(lines) == lines[:1]
    assert forecast_svg(lines[1:]) is None
    late = ExpectedLine(f"{2026 + MONTHS_MAX}-09", "CNY", 1, 1, 0)
    assert drawable((lines[0], late)) == lines[:1]


def test_a_customer_cannot_get_into_the_picture_but_as_text() -> None:
    svg = behaviour_svg(
        [BehaviourLine(nights.SCRIPT, 3, -1, 2, 4), BehaviourLine("苏州恒拓制造有限公司" * 9, 3, 0, 0, 0)]
    )
    assert svg is not None
    texts = [e.text or "" for e in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert any(t.startswith("<script>") for t in texts)
    assert any(t.endswith("…") for t in texts)
    assert "<script" not in svg
    assert "customer-0" not in svg
    assert behaviour_svg([BehaviourLine("A", 2, None, None, None)]) is None


def test_only_buckets_and_codes_are_drawn_and_customers_added_up() -> None:
    good = AgeingLine("A", "CNY", "31-60", 31, 100_00, 1)
    lines = [good, AgeingLine("B", "CNY", "31-60", 31, 50_00, 1), AgeingLine("A", "CNY", "not_due", 0, 7_00, 1)]
    lines += [AgeingLine("A", "CNY", nights.SCRIPT, 1, 1, 1), AgeingLine("A", nights.SCRIPT, "1-30", 1, 1, 1)]
    svg = ageing_svg(lines)
    assert svg is not None
    texts = {e.text for e in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}
    assert {"0", "31-60", "150.00", "7.00"} <= texts
    assert "script" not in svg


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://x.example/a?b=1&c=2#d", True),
        ("http://10.0.0.1:8080/issues/3", True),
        ("javascript:alert(1)", False),
        ("JaVaScRiPt:alert(1)", False),
        ("java\nscript:alert(1)", False),
        ("https://user:pw@x.example/", False),
        ("https://x.example/ y", False),
        ('https://x.example/"onclick=', False),
        ("//x.example", False),
        ("file:///etc/passwd", False),
        ("https:///x", False),
        ("https://[bad", False),
        ("", False),
        (None, False),
    ],
)
def test_only_plain_web_addresses_become_links(url: str | None, safe: bool) -> None:
    assert (safe_url(url) is not None) is safe
