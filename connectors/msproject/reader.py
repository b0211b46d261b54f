"""Microsoft Project XML as a stream: one task at a time, whatever the size of the file.

The parser is expat from the standard library: it streams, expands nothing that we do not ask for, and tells us
of a DOCTYPE before anything in it counts. A plan has none, so one is refused: with it go entity bombs and
external entities. Elements are known by their local names: some writers leave the namespace out or use a prefix.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from xml.parsers import expat

from connectors.errors import BadPayload

CHUNK = 1 << 16
TEXT_MAX = 1 << 20  # characters of one field
DEPTH_MAX = 64
_HEAD = ("Title", "Name", "GUID", "LastSaved")
_TASK = (
    "UID", "Name", "Milestone", "Summary", "OutlineLevel", "PercentComplete", "ActualFinish", "Finish", "Active",
    "IsNull", "ExternalTask", "Duration", "HyperlinkAddress",
)  # fmt: skip
_GROUPS = ("Baseline", "ExtendedAttribute")
#: What is read, as a tree of local names; LEAF ends a branch. All else is passed over.
Tree = dict[str, Any]
LEAF: Tree = {}
_WANTED: Tree = {
    "Project": {
        **dict.fromkeys(_HEAD, LEAF),
        "ExtendedAttributes": {"ExtendedAttribute": dict.fromkeys(("FieldID", "FieldName", "Alias"), LEAF)},
        "Tasks": {
            "Task": {
                **dict.fromkeys(_TASK, LEAF),
                "Baseline": dict.fromkeys(("Number", "Finish"), LEAF),
                "ExtendedAttribute": dict.fromkeys(("FieldID", "Value"), LEAF),
            }
        },
    }
}


@dataclass(slots=True)
class Task:
    """One task as it is written."""

    fields: dict[str, str] = field(default_factory=dict)
    baselines: dict[str, str] = field(default_factory=dict)  # number -> finish
    attributes: dict[str, str] = field(default_factory=dict)  # field id -> value


@dataclass(slots=True)
class Plan:
    """What the file says of itself; complete before its first task, since the schema orders it so."""

    head: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, tuple[str, ...]] = field(default_factory=dict)  # field id -> its name and alias


def read_tasks(file: Path, plan: Plan) -> Iterator[Task]:
    """The tasks in their order; `plan` is filled on the way. Raises BadPayload for what is no plan."""
    with file.open("rb") as stream:
        head = stream.read(CHUNK)
        given, decoded = _encoding(head, file.name)
        handler = _Handler(plan, file.name)
        parser = handler.parser(given)
        for data in decoded(head, stream):
            _feed(parser, data, file.name, last=False)
            yield from handler.finished()
        _feed(parser, b"", file.name, last=True)
        yield from handler.finished()


def _feed(parser: expat.XMLParserType, data: bytes, file: str, *, last: bool) -> None:
    try:
        parser.Parse(data, last)
    except expat.ExpatError as problem:
        line, why = problem.lineno, expat.ErrorString(problem.code)
        raise BadPayload("xml_broken", file=file, line=line, why=why) from None


class _Handler:
    """What expat calls. Only wanted leaves keep their text."""

    def __init__(self, plan: Plan, file: str) -> None:
        self.plan, self.file = plan, file
        self.path: list[str] = []  # of what is read
        self.trees: list[Tree] = [_WANTED]
        self.beside = 0  # how deep we are in what is passed over
        self.tasks: list[Task] = []
        self.task = Task()
        self.group: dict[str, str] = {}  # the fields of a baseline, attribute or definition
        self.text: list[str] = []
        self.length = 0
        self._parser: expat.XMLParserType

    def parser(self, encoding: str | None) -> expat.XMLParserType:
        """A parser that calls us."""
        found = expat.ParserCreate(encoding, " ")
        found.buffer_text = True
        found.StartElementHandler, found.EndElementHandler = self._start, self._end
        found.StartDoctypeDeclHandler = self._doctype
        self._parser = found
        return found

    def finished(self) -> Iterator[Task]:
        """The tasks that ended since we were asked last."""
        ended, self.tasks = self.tasks, []
        return iter(ended)

    def _doctype(self, *_declared: object) -> None:
        raise BadPayload("doctype", file=self.file, line=self._parser.CurrentLineNumber)

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        below = None if self.beside else self.trees[-1].get(local)
        if below is None:
            self._pass_over(local)
            return
        self.path.append(local)
        self.trees.append(below)
        if local == "Task":
            self.task = Task()
        elif local in _GROUPS:
            self.group = {}
        elif below is LEAF:
            self.text, self.length = [], 0
            self._parser.CharacterDataHandler = self._take

    def _pass_over(self, local: str) -> None:
        if not self.path and not self.beside:
            raise BadPayload("not_project_xml", file=self.file, found=repr(local[:60]))
        self.beside += 1
        if self.beside > DEPTH_MAX:
            raise BadPayload("xml_too_deep", file=self.file, line=self._parser.CurrentLineNumber)
        self._parser.CharacterDataHandler = None

    def _take(self, data: str) -> None:
        self.length += len(data)
        if self.length > TEXT_MAX:
            raise BadPayload("xml_text_too_long", file=self.file, line=self._parser.CurrentLineNumber)
        self.text.append(data)

    def _end(self, _name: str) -> None:
        if self.beside:
            self.beside -= 1
            return
        path, tree = self.path, self.trees.pop()
        if tree is LEAF:
            self._parser.CharacterDataHandler = None
            self._leaf(path, "".join(self.text).strip())
        elif path[-1] == "Task":
            self.tasks.append(self.task)
        elif path[-1] == "Baseline":
            self.task.baselines.setdefault(self.group.get("Number", "0"), self.group.get("Finish", ""))
        elif path[-1] == "ExtendedAttribute":
            self._attribute(len(path))
        path.pop()

    def _leaf(self, path: list[str], text: str) -> None:
        if len(path) == 2:
            self.plan.head[path[1]] = text
        elif path[2] == "Task" and len(path) == 4:
            self.task.fields[path[3]] = text
        else:
            self.group[path[-1]] = text

    def _attribute(self, depth: int) -> None:
        found = self.group
        if depth == 4:
            self.task.attributes[found.get("FieldID", "")] = found.get("Value", "")
        else:
            names = tuple(n for n in (found.get("FieldName"), found.get("Alias")) if n)
            self.plan.attributes[found.get("FieldID", "")] = names


# --- encodings ---------------------------------------------------------------------------------------

_DECLARED = re.compile(rb"^\s*<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._:-]{1,40})[\"']")
_ASKED_FOR = re.compile(r"(?i)(gb|big5|cp|windows|iso|koi8|shift|sjis|euc|mac|latin)")
_NATIVE = ("utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "utf-16", "utf16")
Decoded = Callable[[bytes, BinaryIO], Iterator[bytes]]


def _encoding(head: bytes, file: str) -> tuple[str | None, Decoded]:
    """What to tell expat (None: it finds out), and the bytes to give it. Raises BadPayload.

    Bytes outrank the declaration: .NET writers declare utf-16 in files saved as UTF-8.
    """
    if head.startswith((b"\xd0\xcf\x11\xe0", b"PK")):
        raise BadPayload("not_project_xml", file=file, found="binary")
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise BadPayload("encoding_unknown", file=file, found="UTF-32")
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8", _as_it_is
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in head[:4]:
        return None, _as_it_is
    declared = _DECLARED.match(head)
    name = declared[1].decode("ascii").lower() if declared else "utf-8"
    if name in _NATIVE:
        return ("iso-8859-1" if name == "iso-8859-1" else "utf-8"), _as_it_is
    try:
        codec = codecs.lookup("gb18030" if name.startswith("gb") else name)
    except LookupError:
        codec = None
    if codec is None or not _ASKED_FOR.match(name):
        raise BadPayload("encoding_unknown", file=file, found=name)
    return "utf-8", lambda first, stream: _recoded(first, stream, codec, file)


def _as_it_is(first: bytes, stream: BinaryIO) -> Iterator[bytes]:
    while first:
        yield first
        first = stream.read(CHUNK)


def _recoded(first: bytes, stream: BinaryIO, codec: codecs.CodecInfo, file: str) -> Iterator[bytes]:
    """The same in UTF-8: expat reads no encoding of several bytes of its own."""
    decoder = codec.incrementaldecoder("strict")
    try:
        for data in _as_it_is(first, stream):
            yield decoder.decode(data).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeDecodeError as problem:
        found = problem.object[problem.start : problem.start + 4].hex(" ")
        raise BadPayload("encoding_wrong", file=file, declared=codec.name, found=found) from None
