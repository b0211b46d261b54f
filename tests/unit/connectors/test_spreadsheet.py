"""Tables as sources: columns, dates, percentages, rows that are put aside with their place."""

from __future__ import annotations

import asyncio
import io
import tracemalloc
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import openpyxl
import orjson
import pytest

from connectors.errors import SourceConfig, SourceError
from connectors.files.field_map import FieldMap
from connectors.spreadsheet import CONNECTOR
from connectors.spreadsheet.connector import Spreadsheet
from models.domain.observations import Page
from models.ports import PullRequest

NOW = datetime(2026, 11, 23, tzinfo=UTC)
MAP = {"id_field": "id", "name_field": "name", "done_field": "state", "done_values": ["done"], "date_field": "on"}


def pages(file: Path, **options: object) -> list[Page]:
    source = CONNECTOR.build("c", {"path": [str(file)], **MAP, **options}, clock=lambda: NOW)

    async def read() -> list[Page]:
        async with source:
            return [p async for p in source.pull(PullRequest((), None, full=False, now=NOW))]

    return asyncio.run(read())


def table(tmp_path: Path, *rows: str, head: str = "id,name,state,on,percent") -> Path:
    file = tmp_path / "plan.csv"
    file.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("written", "at", "on"),
    [
        ("2026-11-20", None, date(2026, 11, 20)),
        ("2026/11/5", None, date(2026, 11, 5)),
        ("2026.1.5", None, date(2026, 1, 5)),
        ("2026年11月5日", None, date(2026, 11, 5)),
        ("20261105", None, date(2026, 11, 5)),
        ("2026-11-20 17:00", datetime(2026, 11, 20, 9, tzinfo=UTC), None),
        ("2026/11/20 9:30:00", datetime(2026, 11, 20, 1, 30, tzinfo=UTC), None),
        ("2026-11-20T17:00:00Z", datetime(2026, 11, 20, 17, tzinfo=UTC), None),
        ("2026-11-20T17:00:00+02:00", datetime(2026, 11, 20, 15, tzinfo=UTC), None),
    ],
)
def test_dates_year_first(tmp_path: Path, written: str, at: datetime | None, on: date | None) -> None:
    (found,) = pages(table(tmp_path, f"1,初验,done,{written},"))[0].observations
    assert (found.done_at, found.done_on) == (at, on)


@pytest.mark.parametrize(
    "written", ["5/6/2026", "2026-13-01", "soon", "2026-11", "2026-11-20 25:00", "2026-11/20", "46000"]
)
def test_a_date_that_may_be_read_in_two_ways_is_put_aside_with_its_row(tmp_path: Path, written: str) -> None:
    (page, *_) = pages(table(tmp_path, "1,a,done,2026-11-20,", f"2,b,done,{written},"))
    assert [o.milestone_id for o in page.observations] == ["1"]
    (bad,) = page.rejected
    assert (bad.code, bad.milestone_id) == ("PROOF_FIELD_TYPE", "2")
    assert bad.params["field"] == "on (plan.csv:3)"


def test_a_format_of_ones_own(tmp_path: Path) -> None:
    file = table(tmp_path, "1,a,done,20.11.2026,")
    assert pages(file, date_format="%d.%m.%Y")[0].observations[0].done_on == date(2026, 11, 20)


@pytest.mark.parametrize(
    ("written", "of", "points"),
    [("50%", 100, 5000), ("33.339", 100, 3333), ("0.5", 1, 5000), ("1", 1, 10_000), ("", 100, None)],
)
def test_percentages(tmp_path: Path, written: str, of: int, points: int | None) -> None:
    file = table(tmp_path, f"1,a,open,,{written}")
    assert pages(file, percent_field="percent", percent_of=of)[0].observations[0].percent_bp == points


@pytest.mark.parametrize(
    ("written", "code"), [("101", "PERCENT_RANGE"), ("-1", "PERCENT_RANGE"), ("half", "PROOF_FIELD_TYPE")]
)
def test_odd_percentages_are_put_aside(tmp_path: Path, written: str, code: str) -> None:
    (page, *_) = pages(table(tmp_path, f"1,a,open,,{written}"), percent_field="percent")
    (bad,) = page.rejected
    assert bad.code == code
    assert "plan.csv:2" in f"{bad.params}"


def test_done_without_its_date_is_unproven(tmp_path: Path) -> None:
    (found,) = pages(table(tmp_path, "1,a,done,,"))[0].observations
    assert (found.done, found.unproven) == (True, True)


def test_values_are_compared_without_case_width_and_spaces(tmp_path: Path) -> None:
    file = table(tmp_path, "1,a,ＤＯＮＥ ,2026-11-20,", "2,b,undone,2026-11-20,")
    assert [o.done for o in pages(file)[0].observations] == [True, False]


def test_rows_that_share_an_id_are_all_put_aside(tmp_path: Path) -> None:
    (page, *_) = pages(table(tmp_path, "1,a,done,2026-11-20,", "1,b,open,,", "2,c,open,,"))
    assert [o.milestone_id for o in page.observations] == ["2"]
    assert [r.code for r in page.rejected] == ["KEY_NOT_UNIQUE"] * 2
    assert "plan.csv:3" in str(page.rejected[1].params["found"])


def test_only_rows_of_a_kind(tmp_path: Path) -> None:
    file = table(tmp_path, "1,a,open,", "2,b,done,2026-11-20")
    assert [o.milestone_id for p in pages(file, only=["state=done", "state=closed"]) for o in p.observations] == ["2"]


def test_excel_keeps_dates_numbers_and_percentages(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "进度"
    sheet.append(["id", "name", "state", "on", "percent"])
    sheet.append([12, "初验", "done", datetime(2026, 11, 20), 0.3])
    sheet.append([None, "no id", "open", None, None])
    sheet["E2"].number_format = "0%"
    file = tmp_path / "plan.xlsx"
    book.save(file)
    told = pages(file, percent_field="percent")
    (found,) = told[0].observations
    assert (found.milestone_id, found.done_on, found.percent_bp) == ("12", date(2026, 11, 20), 3000)
    (bad,) = told[0].rejected
    assert bad.params["field"] == "id (plan.xlsx 进度:3)"
    assert told[1].snapshot_of == ()  # the row without an id may be any of them
    with pytest.raises(SourceConfig) as problem:
        pages(file, sheet="进渡")
    assert "进度" in problem.value.advice


@pytest.mark.parametrize("codec", ["utf-8-sig", "gb18030", "utf-16"])
def test_encodings(tmp_path: Path, codec: str) -> None:
    file = tmp_path / "plan.csv"
    file.write_bytes("id\tname\tstate\ton\n1\t初验\topen\t\n".encode(codec))
    assert pages(file)[0].observations[0].name == "初验"


@pytest.mark.parametrize(
    ("head", "code"),
    [("id,name,stat,on", "column_absent"), ("id,name,state,on,state", "column_twice"), ("", "table_empty")],
)
def test_headings(tmp_path: Path, head: str, code: str) -> None:
    with pytest.raises(SourceError) as problem:
        pages(table(tmp_path, head=head))
    assert problem.value.trouble.code == code


def test_an_archive_that_unpacks_to_something_huge_is_not_unpacked(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/a.xml", "w") as entry:
        for _ in range(1100):
            entry.write(bytes(1_000_000))
    file = tmp_path / "plan.xlsx"
    file.write_bytes(packed.getvalue())
    with pytest.raises(SourceError) as problem:
        pages(file)
    assert problem.value.trouble.code == "file_too_large"


def workbook(tmp_path: Path, *rows: list[object]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    file = tmp_path / "plan.xlsx"
    book.save(file)
    return file


HEADS: list[object] = ["id", "name", "state", "on", "project"]
DAY = date(2026, 11, 20)


def test_a_row_that_should_name_its_project_and_does_not_is_put_aside(tmp_path: Path) -> None:
    """A merged cell leaves all rows but its first blank: they are of no project called like the file."""
    file = workbook(tmp_path, HEADS, ["1", "a", "done", DAY, "ZHYQ"], ["2", "b", "done", DAY, None])
    book = openpyxl.load_workbook(file)
    book.active.merge_cells("E2:E3")
    book.save(file)
    told = pages(file, project_field="project")
    assert [(o.milestone_id, o.project_key) for o in told[0].observations] == [("1", "ZHYQ")]
    assert [(r.milestone_id, r.code, r.params["field"]) for r in told[0].rejected] == [
        ("2", "PROOF_FIELD_MISSING", "project (plan.xlsx Sheet:3)")
    ]
    assert told[1].snapshot_of == ("ZHYQ",)


def test_a_blank_project_is_the_one_that_the_configuration_names_for_such_rows(tmp_path: Path) -> None:
    file = workbook(tmp_path, HEADS, ["1", "a", "done", DAY, None])
    (found,) = pages(file, project_field="project", project_name="REST")[0].observations
    assert found.project_key == "REST"


@pytest.mark.parametrize(
    ("row", "code", "key"),
    [
        (["1", "a", "#N/A", DAY], "CELL_IN_ERROR", "1"),
        (["1", "a", "done", "#REF!"], "CELL_IN_ERROR", "1"),
        (["#NAME?", "a", "done", DAY], "CELL_IN_ERROR", None),
        (["1", "a", '=IF(1=1,"done","open")', DAY], "FORMULA_UNSAVED", "1"),
        (["1", "a", "done", "=DATE(2026,11,20)"], "FORMULA_UNSAVED", "1"),
        (['="1"', "a", "done", DAY], "FORMULA_UNSAVED", None),
    ],
)
def test_a_cell_without_its_value_is_never_read_as_not_done(
    tmp_path: Path, row: list[object], code: str, key: str | None
) -> None:
    file = workbook(tmp_path, HEADS, [*row, "=not.mapped()"], ["2", "b", "open", None, "#N/A"])
    (page, *_) = pages(file)
    assert [(r.milestone_id, r.code) for r in page.rejected] == [(key, code)]
    assert "plan.xlsx Sheet:2" in str(page.rejected[0].params["field"])
    assert [o.milestone_id for o in page.observations] == ["2"]


def test_errors_decide_nothing_in_csv_either_and_not_whether_a_row_counts(tmp_path: Path) -> None:
    (page, *_) = pages(table(tmp_path, "1,a,#N/A,,", "2,b,open,,#DIV/0!"), only=["state=done"])
    assert [(r.milestone_id, r.code) for r in page.rejected] == [("1", "CELL_IN_ERROR")]


def test_rows_of_formulas_that_are_not_ours_are_no_rows(tmp_path: Path) -> None:
    (page, *_) = pages(workbook(tmp_path, HEADS, ["1", "a", "open", None, None], [None, None, None, None, "=A3"]))
    assert ([o.milestone_id for o in page.observations], page.rejected) == (["1"], ())


def test_a_row_with_more_cells_than_headings_is_put_aside_whole(tmp_path: Path) -> None:
    told = pages(table(tmp_path, "1,a,x,done,2026-11-20,50", "2,b,done,2026-11-20,,,", "3,c,open"))
    assert [(r.milestone_id, r.code, r.params["row"]) for r in told[0].rejected] == [
        (None, "ROW_TOO_WIDE", "plan.csv:2")
    ]
    assert [o.milestone_id for o in told[0].observations] == ["2", "3"]
    assert told[1].snapshot_of == ()  # the row may be any of the known ones


def test_what_is_put_aside_is_kept_whole(tmp_path: Path) -> None:
    (page, *_) = pages(table(tmp_path, "1,a,done,soon,50"))
    assert orjson.loads(page.rejected[0].raw)["percent"] == "50"  # though no field is mapped to it


@pytest.mark.parametrize("rows", [99_999, 100_000])
def test_a_table_ends_at_its_limit_and_a_longer_one_is_an_error(tmp_path: Path, rows: int) -> None:
    file = table(tmp_path, *(f"{n},a,open,," for n in range(rows)))
    if rows < 100_000:
        assert sum(len(p.observations) for p in pages(file)) == rows
    else:
        with pytest.raises(SourceError) as problem:
            pages(file)
        assert problem.value.trouble.code == "table_too_long"


def test_a_long_table_takes_little_memory(tmp_path: Path) -> None:
    wide = ",".join(f"c{n}" for n in range(15))
    rest = ",".join("一些说明文字" for _ in range(15))
    file = table(
        tmp_path,
        *(f"{n},里程碑,done,2026-11-20,50,{rest}" for n in range(10_000)),
        head=f"id,name,state,on,percent,{wide}",
    )
    fields = FieldMap("id", "name", done_field="state", done_values=("done",))
    source = Spreadsheet("c", [str(file)], "", 0, fields)
    tracemalloc.start()
    try:
        assert sum(1 for item in source.read(file) if not isinstance(item, str)) == 10_000
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "wrong",
    [
        {"done_field": "", "date_field": ""},
        {"done_values": []},
        {"only": ["state"]},
        {"timezone": "Mars"},
        {"percent_of": 7},
    ],
)
def test_a_mapping_that_proves_nothing_is_refused_at_once(wrong: dict[str, object]) -> None:
    with pytest.raises(SourceConfig) as problem:
        CONNECTOR.build("c", {"path": ["a.csv"], **MAP, **wrong}, clock=lambda: NOW)
    assert problem.value.advice
