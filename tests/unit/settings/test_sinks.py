"""[sinks.NAME]: checked like a connection, secrets never in the file."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from connectors.sinks.registry import kinds, meaning, sink
from flows.settings import Loaded, SettingsError, load_settings
from models.domain.findings import Finding
from models.domain.words import LANGUAGES

SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()


def load(folder: Path, text: str, environ: dict[str, str] | None = None) -> Loaded:
    (folder / "huikuan.toml").write_text(text, encoding="utf-8")
    return load_settings(folder / "huikuan.toml", environ or {})


def wrong(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[Finding]:
    with pytest.raises(SettingsError) as caught:
        load(folder, text, environ)
    return caught.value.findings


def test_a_sink_of_each_kind_is_read(tmp_path: Path) -> None:
    text = (
        '[sinks.drop]\nkind = "csv_drop"\nfolder = "drop"\n'
        '[sinks.hook]\nkind = "webhook"\nurl = "https://x.example/in"\nsecret = {env = "HOOK"}\n'
        '[sinks.erp]\nkind = "odoo"\nbase_url = "https://x.example"\napi_key = {env = "KEY"}\ntaxes = {"6%" = 4}\n'
    )
    found = load(tmp_path, text, {"HOOK": SECRET, "KEY": "abcdef"}).settings.sinks
    assert {n: s.kind for n, s in found.items()} == {"drop": "csv_drop", "hook": "webhook", "erp": "odoo"}
    assert found["hook"].options["secret"] == SECRET
    assert found["erp"].options["taxes"] == {"6%": 4}
    assert SECRET not in repr(found)


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ('kind = "webhok"', "CONFIG_CHOICE", "webhook"),
        ('folder = "drop"', "MISSING_KEY", "kind"),
        ('kind = "csv_drop"\nfoldr = "x"\nfolder = "x"', "UNKNOWN_KEY", "folder"),
        ('kind = "csv_drop"', "OPTION_MISSING", "folder for the files"),
        ('kind = "csv_drop"\nfolder = 1', "CONFIG_TYPE", "text"),
        ('kind = "webhook"\nurl = "https://x.example"\nsecret = "whsec_AAAA"', "SECRET_IN_FILE", "secret"),
        ('kind = "sql_drop"\nurl = "postgresql://u:p@h/d"', "SECRET_IN_FILE", "url"),
        ('kind = "webhook"\nurl = "https://x.example"\nsecret = {env = "ABSENT"}', "SECRET_ABSENT", "ABSENT"),
        (
            'kind = "odoo"\nbase_url = "https://x.example"\napi_key = {env = "K"}\ntaxes = "6"',
            "CONFIG_TYPE",
            '{"…" = …}',
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, code: str, said: str) -> None:
    found = wrong(tmp_path, f"[sinks.x]\n{text}\n", {"K": "abcdef"})
    assert code in [f.code for f in found]
    assert said in next(f for f in found if f.code == code).text("en")


def test_the_environment_reaches_a_sink(tmp_path: Path) -> None:
    text = '[sinks.drop]\nkind = "csv_drop"\nfolder = "drop"\n'
    assert load(tmp_path, text, {"HUIKUAN_SINKS__DROP__FOLDER": "there"}).settings.sinks["drop"].options == {
        "folder": "there"
    }


@pytest.mark.parametrize("kind", kinds())
def test_every_option_is_explained_in_both_languages(kind: str) -> None:
    for option in sink(kind).options:
        said = [meaning(kind, option).text(language) for language in LANGUAGES]
        assert all(said), f"sink_option.{kind}.{option.name}"
        assert said[0] != said[1]
