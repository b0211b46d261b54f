"""Reading YAML with places: every value knows its file, line and key path; all problems are collected.

Amounts never pass through a binary float: a number is read from its text.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from fractions import Fraction
from functools import lru_cache
from typing import TypeVar

import yaml

from models.domain.findings import Finding, Place, Severity
from models.domain.money import MoneyError, exact_fraction, to_minor

#: Deeper files are refused: the C parser would run out of stack, and no contract is this deep.
DEPTH_MAX = 100
#: The longest period, in days or months; a longer one leaves the calendar.
NUMBER_MAX = 36_500
YEARS = (1990, 2200)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:(?:,\d{3})+|(?:_\d{3})+)(?:\.\d+)?", re.ASCII)
_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,17})", re.ASCII)
_WHOLE = re.compile(r"\d{1,9}", re.ASCII)


class TooDeep(yaml.YAMLError):
    """A file nested deeper than any contract."""

    def __init__(self, line: int | None) -> None:
        super().__init__("nested too deep")
        self.line = line


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's C loader, which counts how deep it is; only nodes are composed, nothing is constructed."""

    depth = 0

    def descend_resolver(self, current_node: yaml.Node | None, current_index: object) -> None:  # noqa: ARG002 - PyYAML's
        """One level down. There are no path resolvers to follow, which is all the parent method does."""
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise TooDeep(current_node.start_mark.line + 1 if current_node else None)

    def ascend_resolver(self) -> None:
        """One level up."""
        self.depth -= 1

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: object) -> str:
        """The tag of a node; plain scalars repeat (names, dates, words), so theirs are remembered."""
        if kind is yaml.ScalarNode and implicit == _PLAIN:
            return _plain_tag(value or "")
        return str(super().resolve(kind, value, implicit))


_PLAIN = (True, False)
_RESOLVER = yaml.resolver.Resolver()


@lru_cache(maxsize=20_000)
def _plain_tag(value: str) -> str:
    return str(_RESOLVER.resolve(yaml.ScalarNode, value, _PLAIN))  # type: ignore[no-untyped-call]


DayT = TypeVar("DayT", date, datetime)


class Unreadable(Exception):
    """A value cannot be used; the finding is in the report."""


def closest(word: str, known: Iterable[str]) -> str:
    """The known words nearest to a mistyped one, for a message; empty if none is near."""
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.85) or difflib.get_close_matches(
        word, known, n=3, cutoff=0.5
    )
    return ", ".join(near)


def ungrouped(text: str) -> str:
    """An amount without its grouping: "1,288,888.88" -> "1288888.88". Other commas stay, to be refused."""
    return text.replace(",", "").replace("_", "") if _GROUPED.fullmatch(text) else text


@dataclass(slots=True)
class Report:
    """The findings of one file, with the contract now being read."""

    file: str
    contract: str | None = None
    findings: list[Finding] = field(default_factory=list)

    def add(
        self, code: str, line: int | None, path: str, *, severity: Severity = Severity.ERROR, **params: object
    ) -> None:
        """Write a finding down."""
        place = Place(file=self.file, line=line, contract=self.contract, path=path or None)
        self.findings.append(Finding(code, severity, place, params))

    @property
    def errors(self) -> int:
        """How many errors so far."""
        return sum(f.severity is Severity.ERROR for f in self.findings)


@dataclass(frozen=True, slots=True)
class Value:
    """One YAML node with its key path."""

    node: yaml.Node
    path: str
    report: Report

    @property
    def line(self) -> int:
        """The line in the file, from 1."""
        return int(self.node.start_mark.line) + 1

    def place(self) -> Place:
        """Where this value stands."""
        return Place(file=self.report.file, line=self.line, contract=self.report.contract, path=self.path or None)

    def wrong(self, code: str, **params: object) -> Unreadable:
        """Write a finding at this place; raise what it returns."""
        self.report.findings.append(Finding(code, Severity.ERROR, self.place(), params))
        return Unreadable(code)

    def shown(self) -> str:
        """The value as a person would recognise it in a message."""
        if isinstance(self.node, yaml.ScalarNode):
            return repr(self.node.value)[:80]
        return "a list" if isinstance(self.node, yaml.SequenceNode) else "a mapping"

    # --- shapes ---

    @property
    def is_mapping(self) -> bool:
        """A mapping?"""
        return isinstance(self.node, yaml.MappingNode)

    @property
    def is_list(self) -> bool:
        """A list?"""
        return isinstance(self.node, yaml.SequenceNode)

    @property
    def is_null(self) -> bool:
        """Empty or null?"""
        return isinstance(self.node, yaml.ScalarNode) and self.node.tag.endswith(":null")

    @property
    def is_number(self) -> bool:
        """A bare number?"""
        return isinstance(self.node, yaml.ScalarNode) and self.node.tag.rpartition(":")[2] in ("int", "float")

    def items(self) -> Iterator[tuple[str, Value]]:
        """The entries of a mapping; a key given twice is a finding."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.wrong("WRONG_TYPE", found=self.shown(), expected="a mapping")
        seen: set[str] = set()
        for key, value in self.node.value:
            name = str(key.value)
            here = Value(value, f"{self.path}.{name}" if self.path else name, self.report)
            if name in seen:
                self.report.add("DUPLICATE_KEY", int(key.start_mark.line) + 1, here.path, key=name)
                continue
            seen.add(name)
            yield name, here

    def fields(self, known: Iterable[str], required: Iterable[str] = ()) -> dict[str, Value]:
        """The entries of a mapping with known keys; unknown and missing ones are findings."""
        found = {}
        known = tuple(known)
        for name, value in self.items():
            if name in known:
                found[name] = value
            else:
                self.report.add(
                    "UNKNOWN_KEY", value.line, value.path, key=name, closest=closest(name, known) or ", ".join(known)
                )
        for name in required:
            if name not in found or found[name].is_null:
                self.report.add("MISSING_KEY", self.line, self.path, key=name)
                found.pop(name, None)
        return found

    def list(self) -> list[Value]:
        """The entries of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.wrong("WRONG_TYPE", found=self.shown(), expected="a list")
        return [Value(n, f"{self.path}[{i}]", self.report) for i, n in enumerate(self.node.value)]

    # --- scalars ---

    def text(self) -> str:
        """A non-empty scalar as text."""
        if not isinstance(self.node, yaml.ScalarNode) or self.is_null or not self.node.value.strip():
            raise self.wrong("WRONG_TYPE", found=self.shown(), expected="a text")
        text = str(self.node.value).strip()
        if any(c < " " and c not in "\n\t" for c in text):
            raise self.wrong("CONTROL_CHARACTER", found=self.shown())
        return text

    def choice(self, known: Iterable[str]) -> str:
        """One of the known words."""
        word, known = self.text(), tuple(known)
        if word not in known:
            raise self.wrong("UNKNOWN_VALUE", found=word, expected=closest(word, known) or ", ".join(known))
        return word

    def flag(self) -> bool:
        """true or false."""
        word = self.text().lower()
        if word not in ("true", "false", "yes", "no"):
            raise self.wrong("WRONG_TYPE", found=self.shown(), expected="true or false")
        return word in ("true", "yes")

    def true(self) -> None:
        """true; a key that only says "this one" cannot be false."""
        if not self.flag():
            raise self.wrong("WRONG_TYPE", found=self.shown(), expected="true")

    def whole(self, least: int = 0) -> int:
        """A whole number of at least `least`."""
        return self.bounded(self.text(), least)

    def bounded(self, text: str, least: int = 0) -> int:
        """The whole number a part of this value spells out."""
        if not _WHOLE.fullmatch(text):
            raise self.wrong("WRONG_TYPE", found=self.shown(), expected="a whole number")
        if not least <= int(text) <= NUMBER_MAX:
            raise self.wrong("NUMBER_RANGE", found=text, least=least, most=NUMBER_MAX)
        return int(text)

    def amount(self, digits: int) -> int:
        """An exact amount in minor units, never negative."""
        try:
            minor = to_minor(ungrouped(self.text()), digits)
        except MoneyError as problem:
            raise self.wrong(problem.code, found=self.shown(), digits=digits) from None
        if minor < 0:
            raise self.wrong("AMOUNT_NEGATIVE", found=self.shown())
        return minor

    def fraction(self) -> Fraction:
        """An exact number; with % a hundredth of it."""
        try:
            return exact_fraction(self.text())
        except MoneyError:
            raise self.wrong("NUMBER_UNREADABLE", found=self.shown()) from None

    def percent(self) -> Fraction:
        """A percentage ("30", "30%", 30) as a fraction of one, 0 to 1."""
        text = self.text()
        value = self.fraction() if text.endswith(("%", "％")) else self.fraction() / 100
        if not 0 <= value <= 1:
            raise self.wrong("PERCENT_RANGE", found=text)
        return value

    def day(self) -> date:
        """A date written YYYY-MM-DD."""
        text = self.text()
        try:
            found = date.fromisoformat(text) if _DAY.fullmatch(text) else None
        except ValueError:
            found = None  # 2026-02-30 has the form of a date
        if found is None:
            raise self.wrong("DATE_UNREADABLE", found=self.shown())
        return self._in_range(found)

    def _in_range(self, day: DayT) -> DayT:
        """The day itself, if a contract of our time can mean it: a year 0226 is a slip of the pen."""
        if not YEARS[0] <= day.year <= YEARS[1]:
            raise self.wrong("DATE_RANGE", found=self.shown(), first=YEARS[0], last=YEARS[1])
        return day

    def moment(self) -> date | datetime:
        """A date, or an instant that says its offset from UTC."""
        text = self.text()
        if len(text) <= 10:
            return self.day()
        try:
            instant = datetime.fromisoformat(text)
        except ValueError:
            raise self.wrong("DATE_UNREADABLE", found=self.shown()) from None
        if instant.tzinfo is None:
            raise self.wrong("INSTANT_WITHOUT_OFFSET", found=text)
        return self._in_range(instant)

    def plain(self) -> object:
        """The value as JSON would hold it, broken numbers as text; for parts that are kept but not read."""
        if isinstance(self.node, yaml.MappingNode):
            return {k: v.plain() for k, v in self.items()}
        if isinstance(self.node, yaml.SequenceNode):
            return [v.plain() for v in self.list()]
        kind = self.node.tag.rpartition(":")[2]
        if kind == "null":
            return None
        if kind == "bool":
            return self.node.value.lower() in ("true", "yes", "on")
        text = str(self.node.value)
        return int(text) if kind == "int" and _INTEGER.fullmatch(text) else text


def documents(text: str, report: Report) -> list[Value]:
    """The documents of a YAML text; broken YAML is a finding with its line and column."""
    if not text.strip():
        report.add("EMPTY_FILE", None, "")
        return []
    try:
        nodes = [n for n in yaml.compose_all(text, Loader=Loader) if n is not None and not n.tag.endswith(":null")]
    except TooDeep as problem:
        report.add("NESTED_TOO_DEEP", problem.line, "", most=DEPTH_MAX)
        return []
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None) or getattr(problem, "context_mark", None)
        why = getattr(problem, "problem", None) or str(problem)
        line = mark.line + 1 if mark else None
        report.add("YAML_BROKEN", line, "", column=mark.column + 1 if mark else "?", why=str(why))
        return []
    except ValueError as problem:  # a lone surrogate: not a text
        report.add("YAML_BROKEN", None, "", column="?", why=type(problem).__name__)
        return []
    if _has_anchor_bomb(text):
        report.add("YAML_ALIASES", None, "")
        return []
    if not nodes:
        report.add("EMPTY_FILE", None, "")
    return [Value(n, "", report) for n in nodes]


def _has_anchor_bomb(text: str) -> bool:
    """Aliases can blow a small file up; contracts need none."""
    return any(isinstance(t, yaml.AliasToken) for t in yaml.scan(text, Loader=Loader)) if "*" in text else False
