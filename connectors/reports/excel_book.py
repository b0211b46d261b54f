"""A workbook with the house look: cells of each kind, styles made once, columns as wide as their text.

Everything here is a function of its arguments; the creation date is the report's day, so that the same
report gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import xlsxwriter

from connectors.reports.text import (
    URL_MAX,
    clean,
    display_width,
    fits_excel,
    fitted,
    grouped,
    is_currency_code,
    is_formula_like,
    one_line,
    plain_number,
    safe_url,
)
from models.domain.money import minor_digits
from models.domain.ready import NightReport
from models.domain.words import say

INK, ACCENT, HEAD = "#1B2A33", "#0F5C63", "#14424B"
LINE, BAND, PALE = "#D5DEE0", "#EEF4F4", "#5B6B73"
AMBER, AMBER_PALE, GREEN, RED = "#B7791F", "#FFF8E6", "#1E7B4F", "#B3372F"
#: Links a sheet may carry before Excel repairs the file.
URLS_PER_SHEET = 65_530
#: Rows of a sheet, less the headings and totals around a list.
ROWS_MAX = 1_048_576 - 200
A4 = 9
#: Not every program makes rows as high as their wrapped text: points for a line, and Excel's limit for a row.
LINE_HEIGHTS = {"zh-CN": 15, "en": 13.5}
ROW_HEIGHT_MAX = 409
FONTS = {"zh-CN": "Microsoft YaHei", "en": "Calibri"}

Style = dict[str, object]


@dataclass(slots=True)
class Book:
    """An Excel file in the making, in one language."""

    report: NightReport
    language: str
    out: io.BytesIO = field(default_factory=io.BytesIO)
    file: Any = None
    styles: dict[tuple[tuple[str, object], ...], Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        safe = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
        self.file = xlsxwriter.Workbook(self.out, {"in_memory": True, **safe})
        self._describe()

    def say(self, key: str, **params: object) -> str:
        """A sentence of this area in the book's language."""
        return say(f"report.{key}", self.language, **params)

    def style(self, **look: object) -> Any:
        """A cell format; the same look is made once."""
        # Asked for once for each cell: the order of the words may differ, the cell's look does not.
        key = tuple(look.items())
        found = self.styles.get(key)
        if found is None:
            font = {"font_name": FONTS.get(self.language, "Calibri"), "font_size": 10, "font_color": INK}
            found = self.styles[key] = self.file.add_format({**font, "valign": "vcenter", **look})
        return found

    def sheet(self, name: str, tab: str = ACCENT) -> Sheet:
        """A new sheet that prints on A4, landscape, as wide as one page."""
        page = self.file.add_worksheet(self.say(f"sheet.{name}"))
        page.hide_gridlines(2)
        page.set_tab_color(tab)
        page.set_landscape()
        page.set_paper(A4)
        page.fit_to_pages(1, 0)
        page.set_margins(left=0.3, right=0.3, top=0.45, bottom=0.6)
        run = fitted(one_line(self.report.run_id), 100).replace("&", "&&")
        page.set_footer(f"&L{self.say('run')} {run}&C{self.report.as_of.isoformat()}&R{self.say('footer_page')}")
        return Sheet(self, page)

    def content(self) -> bytes:
        """The finished file."""
        self.file.close()
        return self.out.getvalue()

    def _describe(self) -> None:
        day = self.report.as_of
        self.file.set_properties(
            {
                "title": f"{self.say('title')} {day.isoformat()}",
                "subject": self.say("title"),
                "author": "Huikuan",
                "comments": self.say("description"),
                "keywords": f"huikuan, run {fitted(one_line(self.report.run_id), 100)}",
                "created": datetime(day.year, day.month, day.day),  # noqa: DTZ001 - a day, not an instant
            }
        )
        self.file.set_custom_property("huikuan_run_id", fitted(one_line(self.report.run_id), 255), "text")
        self.file.set_custom_property("huikuan_as_of", day.isoformat(), "text")


@dataclass(slots=True)
class Sheet:
    """One sheet: writes cells and remembers how wide its columns must be."""

    book: Book
    page: Any
    widths: dict[int, int] = field(default_factory=dict)
    wrapped: dict[int, list[tuple[int, str]]] = field(default_factory=dict)
    urls: int = 0

    def text(self, row: int, column: int, value: str | None, **look: object) -> None:
        """Text that stays text, also after somebody edits the cell; its column becomes wide enough."""
        shown = fitted(clean(value or ""))
        self.measure(column, shown)
        if look.get("text_wrap"):
            self.wrapped.setdefault(row, []).append((column, shown))
        self.loose(row, column, shown, **look)

    def loose(self, row: int, column: int, value: str, **look: object) -> None:
        """Text that may run over the cells beside it."""
        shown = fitted(clean(value))
        if is_formula_like(shown):
            look = {**look, "quote_prefix": True}
        self.page.write_string(row, column, shown, self.book.style(**look))

    def day(self, row: int, column: int, value: date | None, **look: object) -> None:
        """A real date, shown as 2026-07-31; an empty cell for none."""
        style = self.book.style(num_format="yyyy-mm-dd", align="center", **look)
        self.measure(column, "2026-07-31")
        if value is None:
            self.page.write_blank(row, column, None, style)
        else:
            self.page.write_datetime(row, column, value, style)

    def count(self, row: int, column: int, value: int, **look: object) -> None:
        """A whole number."""
        self.measure(column, f"{value:,}")
        self.page.write_number(row, column, value, self.book.style(**{"num_format": "#,##0", **look}))

    def money(self, row: int, column: int, minor: int, currency: str, **look: object) -> None:
        """An amount as a number with its currency; as exact text where Excel would lose digits."""
        self.measure(column, f"{currency} {grouped(minor, currency)}")
        if fits_excel(minor):
            style = self.book.style(num_format=money_format(currency), **look)
            self.page.write_number(row, column, plain_number(minor, currency), style)
            return
        why = self.book.say("not_exact", amount=plain_number(minor, currency))
        self.money_as_text(row, column, minor, currency, why, **look)

    def money_as_text(self, row: int, column: int, minor: int, currency: str, why: str, **look: object) -> None:
        """An amount that Excel must not calculate with, and a note that says why."""
        self.measure(column, grouped(minor, currency))
        style = self.book.style(align="right", **{"font_color": RED, **look})
        self.page.write_string(row, column, grouped(minor, currency), style)
        self.page.write_comment(row, column, why, {"author": "Huikuan", "x_scale": 2})

    def link(self, row: int, column: int, url: str | None, shown: str | None = None, **look: object) -> None:
        """A link that can be clicked if it is a safe web address, else nothing."""
        safe = safe_url(url)
        if safe is None:
            self.text(row, column, "", **look)
        elif len(safe) > URL_MAX or self.urls >= URLS_PER_SHEET or self._refused(row, column, safe, shown, look):
            self.loose(row, column, safe, **look)

    def _refused(self, row: int, column: int, url: str, shown: str | None, look: Style) -> bool:
        self.urls += 1
        self.measure(column, shown or "")
        style = self.book.style(**{"font_color": "#0B5CAD", "underline": 1, **look})
        # Escaping makes a link longer: the library measures what it will write and refuses what Excel would.
        if len(url) * 3 > URL_MAX:
            return True
        return bool(self.page.write_url(row, column, url, style, shown or url) != 0)

    def header(self, row: int, keys: Sequence[str], amber: Sequence[str] = ()) -> None:
        """The heading of a list."""
        for column, key in enumerate(keys):
            self.text(
                row,
                column,
                self.book.say(f"column.{key}"),
                bold=True,
                font_color="#FFFFFF",
                bg_color=AMBER if key in amber else HEAD,
                text_wrap=True,
                align="center",
                valign="vcenter",
                border=1,
                border_color="#FFFFFF",
            )
        self.wrapped.pop(row, None)
        self.page.set_row(row, 30)

    def title(self, heading: str, under: str) -> None:
        """Two lines above a list: what this is, and of which day and run."""
        self.loose(0, 0, heading, font_size=16, bold=True, font_color=ACCENT, valign="vcenter")
        self.loose(1, 0, under, font_color=PALE)
        self.page.set_row(0, 27)
        self.page.set_row(1, 17)

    def fit(self, limits: dict[int, tuple[int, int]]) -> None:
        """Set each column as wide as its text, within (least, most) characters, and rows high enough for it."""
        # Capitals, digits in bold and other fonts than ours need some air.
        needed = {c: w + 2 + w // 8 for c, w in self.widths.items()}
        wide = {c: min(max(needed.get(c, 0), least), most) for c, (least, most) in limits.items()}
        for column, characters in wide.items():
            self.page.set_column(column, column, characters)
        each = LINE_HEIGHTS.get(self.book.language, 15)
        for row, cells in self.wrapped.items():
            lines = max(sum(_lines(part, wide[column]) for part in text.split("\n")) for column, text in cells)
            self.page.set_row(row, min(lines * each + 5, ROW_HEIGHT_MAX))

    def measure(self, column: int, shown: str) -> None:
        """Remember that `column` must show this text."""
        self.widths[column] = max(self.widths.get(column, 0), display_width(shown))


def _lines(text: str, wide: int) -> int:
    return max(1, -(-display_width(text) // wide))


def money_format(currency: str) -> str:
    """Excel's number format with the currency's code and digits: [$CNY] #,##0.00."""
    digits = minor_digits(currency)
    number = "#,##0" + ("." + "0" * digits if digits else "")
    code = f"[${currency}]\\ " if is_currency_code(currency) else ""
    return f"{code}{number};[Red]{code}-{number}"
