"""Plans in Microsoft Project XML: what counts, what is refused, what other writers do."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from connectors.errors import BadPayload, SourceConfig, SourceError
from connectors.msproject import CONNECTOR
from models.domain.observations import Observation, Page, Provenance
from models.ports import PullRequest

NOW = datetime(2026, 11, 23, tzinfo=UTC)
NS = ' xmlns="http://schemas.microsoft.com/project"'


def plan(tasks: str, head: str = "", namespace: str = NS) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Project{namespace}>{head}<Tasks>{tasks}</Tasks></Project>'


def task(uid: int, **fields: object) -> str:
    given = {"Name": f"T{uid}", "OutlineLevel": 1, "Milestone": 1, "PercentComplete": 0} | fields
    inner = "".join(f"<{k}>{v}</{k}>" for k, v in given.items() if v is not None and k != "inner")
    return f"<Task><UID>{uid}</UID>{inner}{fields.get('inner', '')}</Task>"


def pages(path: Path, text: str | bytes, **options: object) -> list[Page]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    source = CONNECTOR.build("c", {"path": [str(path)], **options}, clock=lambda: NOW)

    async def read() -> list[Page]:
        async with source:
            return [p async for p in source.pull(PullRequest((), None, full=False, now=NOW))]

    return asyncio.run(read())


def seen(path: Path, text: str | bytes, **options: object) -> list[Observation]:
    return [o for p in pages(path, text, **options) for o in p.observations]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ZHYQ.xml"


def test_a_finished_milestone_has_its_moment_in_the_configured_zone(file: Path) -> None:
    text = plan(task(7, PercentComplete=100, ActualFinish="2026-11-20T17:00:00", Finish="2026-11-20T17:00:00"))
    (found,) = seen(file, text)
    assert found.milestone_id == "ZHYQ/7"
    assert (found.done, found.percent_bp, found.project_key) == (True, 10_000, "ZHYQ")
    assert found.done_at == datetime(2026, 11, 20, 9, tzinfo=UTC)
    (there,) = seen(file, text, timezone="Europe/Berlin")
    assert there.done_at == datetime(2026, 11, 20, 16, tzinfo=UTC)


def test_rows_that_are_no_tasks_of_this_plan_do_not_count(file: Path) -> None:
    tasks = task(0, OutlineLevel=0) + task(1, IsNull=1) + task(2, ExternalTask=1) + task(3, Milestone=0) + task(4)
    assert [o.milestone_id for o in seen(file, plan(tasks))] == ["ZHYQ/4"]


def test_a_hundred_percent_without_a_finish_is_unproven(file: Path) -> None:
    (found,) = seen(file, plan(task(1, PercentComplete=100)))
    assert (found.done, found.unproven, found.done_at) == (True, True, None)
    assert found.date_provenance is Provenance.FIRST_OBSERVED


def test_percent_decides_over_a_finish_unless_told_otherwise(file: Path) -> None:
    text = plan(task(1, PercentComplete=99, ActualFinish="2026-11-20T17:00:00"))
    assert not seen(file, text)[0].done
    assert seen(file, text, done="actual_finish")[0].done


def test_summary_tasks_by_level_and_paths_as_names(file: Path) -> None:
    tasks = task(1, Name="一期", Summary=1, Milestone=0) + task(2, Name="验收", OutlineLevel=2)
    tasks += task(3, Name="二期", Summary=1, Milestone=0) + task(4, Name="验收", OutlineLevel=2)
    assert [o.name for o in seen(file, plan(tasks), names="path")] == ["一期 / 验收", "二期 / 验收"]
    assert [o.name for o in seen(file, plan(tasks), milestones=["summary:1"])] == ["一期", "二期"]


def test_a_custom_flag_by_its_alias(file: Path) -> None:
    head = "<ExtendedAttributes><ExtendedAttribute><FieldID>188743752</FieldID><FieldName>Flag1</FieldName><Alias>付款节点</Alias></ExtendedAttribute></ExtendedAttributes>"
    mark = "<ExtendedAttribute><FieldID>188743752</FieldID><Value>{}</Value></ExtendedAttribute>"
    tasks = task(1, Milestone=0, inner=mark.format(1)) + task(2, Milestone=0, inner=mark.format(0)) + task(3)
    for name in ("付款节点", "Flag1"):
        assert [o.milestone_id for o in seen(file, plan(tasks, head), milestones=[f"flag:{name}"])] == ["ZHYQ/1"]
    with pytest.raises(SourceConfig) as problem:
        seen(file, plan(tasks, head), milestones=["flag:付款"])
    assert "付款节点" in problem.value.advice


def test_the_planned_date_is_the_finish_or_a_baseline(file: Path) -> None:
    base = "<Baseline><Number>{}</Number><Finish>{}</Finish></Baseline>"
    inner = base.format(0, "2026-10-01T17:00:00") + base.format(3, "2026-10-03")
    text = plan(task(1, Finish="2026-12-01T17:00:00", inner=inner))
    assert seen(file, text)[0].planned_at == datetime(2026, 12, 1, 9, tzinfo=UTC)
    assert seen(file, text, planned="baseline")[0].planned_at == datetime(2026, 10, 1, 9, tzinfo=UTC)
    assert seen(file, text, planned="baseline:3")[0].planned_on == date(2026, 10, 3)


@pytest.mark.parametrize("time", ["00:00:00", "07:00:00", "17:00:00", "23:59:00"])
def test_the_planned_day_is_the_one_that_the_plan_writes(file: Path, time: str) -> None:
    """Midnight in Shanghai is the day before in UTC."""
    (found,) = seen(file, plan(task(1, Finish=f"2026-12-31T{time}")))
    assert found.planned_on == date(2026, 12, 31)


def test_other_writers(file: Path) -> None:
    """No namespace, a prefix, true for 1, NA for no date, decimals in percentages, no milestone flag at all."""
    assert len(seen(file, plan(task(1), namespace=""))) == 1
    prefixed = plan(task(1), namespace=' xmlns:p="http://schemas.microsoft.com/project"')
    prefixed = prefixed.replace("<", "<p:").replace("<p:/", "</p:").replace("<p:?", "<?")
    assert len(seen(file, prefixed)) == 1
    (found,) = seen(file, plan(task(1, Milestone="true", PercentComplete="99.99", ActualFinish="NA")))
    assert (found.done, found.percent_bp) == (False, 9_999)
    bare = plan(task(1, Milestone=None, Duration="PT0H0M0S") + task(2, Milestone=None, Duration="PT8H0M0S"))
    assert [o.milestone_id for o in seen(file, bare, milestones=["zero_duration"])] == ["ZHYQ/1"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"PercentComplete": "101"}, "PERCENT_RANGE"),
        ({"PercentComplete": "NaN"}, "PERCENT_RANGE"),
        ({"PercentComplete": None}, "PROOF_FIELD_MISSING"),
        ({"Name": ""}, "PROOF_FIELD_MISSING"),
        ({"Milestone": "yes"}, "PROOF_FIELD_TYPE"),
        ({"ActualFinish": "20/11/2026"}, "PROOF_FIELD_TYPE"),
        ({"ActualFinish": "0001-01-01T00:00:00"}, "PROOF_FIELD_TYPE"),
    ],
)
def test_a_spoiled_task_is_put_aside_and_not_gone(file: Path, fields: dict[str, object], code: str) -> None:
    told = pages(file, plan(task(1, **fields) + task(2)))
    (bad,) = [r for p in told for r in p.rejected]
    assert (bad.code, bad.milestone_id) == (code, "ZHYQ/1")
    assert [o.milestone_id for p in told for o in p.observations] == ["ZHYQ/2"]


BOMB = '<!DOCTYPE Project [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    "doctype",
    [
        BOMB,
        '<!DOCTYPE Project SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE Project [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE Project [<!ENTITY % p SYSTEM "http://127.0.0.1:1/x"> %p;]>',
        "<!DOCTYPE Project>",
    ],
)
def test_a_doctype_is_refused_before_anything_in_it_counts(file: Path, doctype: str) -> None:
    text = plan(task(1, Name="&b;" if "b " in doctype else "x")).replace("\n<Project", f"\n{doctype}<Project")
    with pytest.raises(BadPayload) as problem:
        seen(file, text)
    assert problem.value.trouble.code == "doctype"
    assert "root:" not in str(problem.value)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"<Project><Tasks>", "xml_broken"),
        (b"", "xml_broken"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "not_project_xml"),
        (b"<APIBusinessObjects/>", "not_project_xml"),
        (b'<?xml version="1.0" encoding="zip"?><Project/>', "encoding_unknown"),
        (b'<?xml version="1.0" encoding="hex"?><Project/>', "encoding_unknown"),
        (b'<?xml version="1.0" encoding="gb2312"?><Project><Title>\xff\xff</Title></Project>', "encoding_wrong"),
        (b"<Project><Title>\xb3\xf5\xd1\xe9</Title></Project>", "xml_broken"),
        ("<Project/>".encode("utf-32"), "encoding_unknown"),
        (b"<Project>" + b"<a>" * 100, "xml_too_deep"),
        (b"<Project><Title>" + b"x" * 1_100_000 + b"</Title></Project>", "xml_text_too_long"),
        (plan(task(1) + task(1)).encode(), "id_in_two_places"),
    ],
)
def test_what_is_no_plan_says_why(file: Path, data: bytes, code: str) -> None:
    with pytest.raises(SourceError) as problem:
        seen(file, data)
    assert problem.value.trouble.code == code
    assert problem.value.advice


@pytest.mark.parametrize(
    ("declared", "codec", "bom"),
    [
        ("UTF-8", "utf-8", b"\xef\xbb\xbf"),
        ("GB2312", "gb18030", b""),
        ("gbk", "gb18030", b""),
        ("Big5", "big5", b""),
        ("utf-16", "utf-8", b""),  # a .NET StringWriter declares what the file is not
        ("gb2312", "utf-8", b"\xef\xbb\xbf"),  # the bytes outrank the declaration
        ("UTF-16", "utf-16", b""),
    ],
)
def test_encodings(file: Path, declared: str, codec: str, bom: bytes) -> None:
    text = plan(task(1, Name="初期")).replace("UTF-8", declared, 1)
    assert [o.name for o in seen(file, bom + text.encode(codec))] == ["初期"]


def test_the_title_names_the_project_and_its_absence_is_told(file: Path) -> None:
    text = plan(task(1), "<Title>智慧园区</Title>")
    assert seen(file, text, project="title")[0].project_key == "智慧园区"
    with pytest.raises(SourceConfig):
        seen(file, plan(task(1)), project="guid")


def test_two_copies_of_a_plan_are_told_instead_of_chosen_between(tmp_path: Path) -> None:
    text = plan(task(1), "<Title>A</Title>")
    (tmp_path / "a.xml").write_text(text)
    (tmp_path / "copy.xml").write_text(text)
    source = CONNECTOR.build("c", {"path": [str(tmp_path / "*.xml")], "project": "title"}, clock=lambda: NOW)
    with pytest.raises(BadPayload) as problem:
        asyncio.run(source.check())
    assert "copy.xml" in str(problem.value)


@pytest.mark.parametrize("milestones", [["summary"], ["summary:x"], ["flag:"], ["milestones"]])
def test_what_counts_is_checked_at_once(milestones: list[str]) -> None:
    with pytest.raises(SourceConfig):
        CONNECTOR.build("c", {"path": ["a.xml"], "milestones": milestones}, clock=lambda: NOW)
