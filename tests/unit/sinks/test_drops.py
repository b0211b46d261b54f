"""Files and tables: complete or absent, once for each key, amounts as digits, nothing a spreadsheet would run."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import sqlalchemy as sa

from connectors.errors import SourceConfig, SourceUnavailable
from connectors.sinks.registry import built
from tests.unit.sinks.pushing import NOW, check, push, ready, withdrawn


def _rows(folder: Path) -> list[dict[str, str]]:
    found = []
    for path in sorted(folder.iterdir()):
        with path.open(encoding="utf-8-sig", newline="") as file:
            found += list(csv.DictReader(file))
    return found


def test_one_file_for_each_record_and_kind(tmp_path: Path) -> None:
    folder = {"folder": str(tmp_path)}
    assert not push("csv_drop", folder, ready(tax_id="91330100")).found
    assert push("csv_drop", folder, ready()).found
    push("csv_drop", folder, withdrawn())
    first, second = _rows(tmp_path)
    assert (first["message"], first["gross"], first["net"], first["tax"]) == ("ready", "400.00", "377.36", "22.64")
    assert (first["customer_tax_id"], first["due_on"], first["withdrawn_on"]) == ("91330100", "2026-12-18", "")
    assert (second["message"], second["withdrawn_on"]) == ("withdrawn", "2026-11-20")
    assert first["record_id"] == second["record_id"]


def test_a_file_half_written_by_a_dead_run_is_no_file(tmp_path: Path) -> None:
    target = tmp_path / f"ready-{ready().key}.csv"
    (tmp_path / f".{target.name}.part").write_text("message,rec")
    push("csv_drop", {"folder": str(tmp_path)}, ready())
    assert [p.name for p in tmp_path.iterdir()] == [target.name]


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    push("csv_drop", {"folder": str(tmp_path)}, ready(customer='=HYPERLINK("http://x")', name="@SUM(A1)\r\nx"))
    (row,) = _rows(tmp_path)
    assert (row["customer"][0], row["name"][0]) == ("'", "'")
    assert "\n" not in row["name"]


def test_an_absent_folder_is_said_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(SourceConfig, match="drop"):
        check("csv_drop", {"folder": str(tmp_path / "drop")})
    with pytest.raises(SourceUnavailable):
        push("csv_drop", {"folder": str(tmp_path / "drop")}, ready())
    assert list(tmp_path.iterdir()) == []


def _table(path: Path) -> list[tuple]:
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)
    with engine.connect() as connection:
        query = "SELECT message, gross, gross_minor, typeof(gross), withdrawn_on FROM huikuan_ready ORDER BY message"
        return [tuple(r) for r in connection.execute(sa.text(query))]


def test_one_row_for_each_record_and_kind(tmp_path: Path) -> None:
    url = {"url": f"sqlite:///{tmp_path / 'bi.db'}"}
    assert not push("sql_drop", url, ready()).found
    assert push("sql_drop", url, ready()).found
    push("sql_drop", url, withdrawn())
    assert _table(tmp_path / "bi.db") == [
        ("ready", "400.00", 40_000, "text", None),
        ("withdrawn", "400.00", 40_000, "text", "2026-11-20"),
    ]


def test_a_large_amount_keeps_its_digits(tmp_path: Path) -> None:
    push("sql_drop", {"url": f"sqlite:///{tmp_path / 'bi.db'}"}, ready(gross=123_456_789_012_345_678))
    assert _table(tmp_path / "bi.db")[0][1:3] == ("1234567890123456.78", 123_456_789_012_345_678)


def test_relative_places_begin_at_the_configuration(tmp_path: Path) -> None:
    import asyncio

    async def run() -> None:
        given = {"url": "sqlite:///bi.db"}
        async with built("bi", "sql_drop", given, tmp_path, lambda: NOW) as sink:
            await sink.push(ready())

    asyncio.run(run())
    assert (tmp_path / "bi.db").exists()


@pytest.mark.parametrize("table", ["ready; drop table x", "Ready", ""])
def test_a_table_is_a_plain_name(table: str) -> None:
    with pytest.raises(SourceConfig):
        check("sql_drop", {"url": "sqlite://", "table": table})


@pytest.mark.parametrize("url", ["nonsense", "oracle+nowhere://u:geheim@h/d"])
def test_a_wrong_address_is_said_without_its_password(url: str) -> None:
    with pytest.raises(SourceConfig) as caught:
        check("sql_drop", {"url": url})
    assert "geheim" not in str(caught.value)


def test_a_table_of_other_columns_is_said_without_data(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'bi.db'}", poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE huikuan_ready (record_id TEXT)"))
    with pytest.raises(SourceUnavailable, match="OperationalError") as caught:
        push("sql_drop", {"url": f"sqlite:///{tmp_path / 'bi.db'}"}, ready())
    assert "Customer" not in str(caught.value)
