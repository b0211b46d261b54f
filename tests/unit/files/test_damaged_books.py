"""Workbooks that are broken, locked or described wrongly: refused in words, never half read."""

from __future__ import annotations

import asyncio
import io
import random
import re
import zipfile
from datetime import date
from pathlib import Path

import openpyxl
import pytest

from connectors.errors import SourceConfig, SourceError
from connectors.files.excel_contracts import read_contract_sheets
from connectors.files.money_lists import read_invoice_list
from connectors.files.sheets import ROWS_MAX, read_grids
from connectors.spreadsheet import CONNECTOR
from models.ports import PullRequest
from tests.unit.connectors.test_spreadsheet import MAP, NOW, pages

ROWS = 40
SHEET = "xl/worksheets/sheet1.xml"


def book(*heads: str) -> bytes:
    made = openpyxl.Workbook()
    made.active.append(list(heads))
    for n in range(ROWS):
        made.active.append([f"{n:08}", f"里程碑{n}", "done", date(2026, 11, 1 + n % 20)])
    kept = io.BytesIO()
    made.save(kept)
    return kept.getvalue()


def rewritten(data: bytes, found: bytes, instead: bytes, part: str = SHEET) -> bytes:
    kept = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(kept, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, re.sub(found, instead, old.read(name)) if name == part else old.read(name))
    return kept.getvalue()


def spoiled(data: bytes, seed: int) -> bytes:
    chance, own = random.Random(seed), bytearray(data)
    for _ in range(chance.randint(1, 6)):
        own[chance.randrange(len(own))] = chance.randrange(256)
    return bytes(own)


def locked(data: bytes) -> bytes:
    """With the flag of a password on every part."""
    own = bytearray(data)
    for head, flag in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        for at in (m.start() for m in re.finditer(re.escape(head), data)):
            own[at + flag] |= 1
    return bytes(own)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damage_anywhere_is_a_refusal(tmp_path: Path) -> None:
    file, whole = tmp_path / "plan.xlsx", book("id", "name", "state", "on")
    refused = 0
    for seed in range(60):
        file.write_bytes(spoiled(whole, seed))
        try:
            pages(file)
        except SourceError:  # and nothing else
            refused += 1
    assert refused > 40


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damage_to_a_list_that_is_imported_is_a_finding() -> None:
    whole = book("invoice_no", "term", "reason", "invoice_date")
    assert read_invoice_list(whole, "a.xlsx").findings == ()
    for seed in range(60):
        for read in (read_invoice_list, read_contract_sheets):
            read(spoiled(whole, seed), "a.xlsx")


def test_a_locked_workbook_is_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "plan.xlsx"
    file.write_bytes(locked(book("id", "name", "state", "on")))
    with pytest.raises(SourceError) as problem:
        pages(file)
    assert problem.value.trouble.code == "table_unreadable"
    assert [f.code for f in read_invoice_list(file.read_bytes(), "a.xlsx").findings] == ["SHEET_UNREADABLE"]


def test_marks_that_cannot_be_read_are_a_finding() -> None:
    data = rewritten(book("invoice_no", "term", "reason", "invoice_date"), rb'<row r="3"', b'<row hidden="1"')
    assert [f.code for f in read_invoice_list(data, "a.xlsx").findings] == ["SHEET_UNREADABLE"]


@pytest.mark.parametrize("noted", ["A1", "A1:D1", "A1:D5", "A1:C41", "A1:XFD1048576"])
def test_the_size_that_a_file_notes_of_itself_is_not_believed(tmp_path: Path, noted: str) -> None:
    file = tmp_path / "plan.xlsx"
    file.write_bytes(
        rewritten(book("id", "name", "state", "on"), rb'<dimension ref="[^"]*"', f'<dimension ref="{noted}"'.encode())
    )
    (told, *_) = pages(file)
    assert len(told.observations) == ROWS
    assert told.observations[-1].done_on is not None
    grids, findings = read_grids(file.read_bytes(), file.name)
    assert (len(grids["Sheet"]), findings) == (ROWS + 1, [])


@pytest.mark.parametrize("number", [ROWS_MAX + 1, 9_999_999_999])
def test_a_row_beyond_the_limit_is_an_error_not_left_out(tmp_path: Path, number: int) -> None:
    file = tmp_path / "plan.xlsx"
    last = f'<row r="{ROWS + 1}"'.encode()
    far = rewritten(book("id", "name", "state", "on"), last, f'<row r="{number}"'.encode())
    file.write_bytes(rewritten(far, rf'r="([A-D]){ROWS + 1}"'.encode(), rf'r="\g<1>{number}"'.encode()))
    with pytest.raises(SourceError) as problem:
        pages(file)
    assert problem.value.trouble.code == ("table_too_long" if number == ROWS_MAX + 1 else "table_unreadable")
    assert [f.code for f in read_grids(file.read_bytes(), file.name)[1]] == ["SHEET_UNREADABLE"]


@pytest.mark.parametrize("what", ["check", "pull"])
def test_a_file_that_may_not_be_read_says_so_wherever_it_is_met(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "plan.csv"
    file.write_text("id,name,state,on\n")

    def forbidden(self: Path, *args: object, **kwargs: object) -> object:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", forbidden)
    monkeypatch.setattr(Path, "read_bytes", forbidden)
    source = CONNECTOR.build("c", {"path": [str(file)], **MAP}, clock=lambda: NOW)

    async def ask() -> None:
        async with source:
            if what == "check":
                await source.check()
            else:
                _ = [p async for p in source.pull(PullRequest((), None, full=False, now=NOW))]

    with pytest.raises(SourceConfig) as problem:
        asyncio.run(ask())
    assert problem.value.trouble.code == "file_forbidden"
