"""huikuan.toml and the environment: what is read, and that everything wrong is said at once, with its place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from connectors.errors import SourceConfig
from connectors.registry import ConnectorInfo, Option
from flows.settings import Loaded, SettingsError, load_settings
from models.domain.findings import Finding
from models.domain.words import LANGUAGES

MYTOOL = ConnectorInfo(
    system="mytool",
    title="My tool",
    options=(
        Option("base_url", required=True, help="where it is"),
        Option("account", help="whose"),
        Option("passkey", secret=True, help="of the account"),
        Option("kinds", default=("milestone",), help="which"),
        Option("per_minute", default=60, help="how fast"),
        Option("timeout", default=30.0, help="how long"),
        Option("progress", default=False, help="whether"),
    ),
    build=lambda *_a, **_k: None,  # type: ignore[arg-type, return-value]
    fake=None,  # type: ignore[arg-type]
)


def known(system: str) -> ConnectorInfo:
    if system != "mytool":
        raise SourceConfig(f"{system} is not known")
    return MYTOOL


def load(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Loaded:
    (folder / "huikuan.toml").write_text(text, encoding="utf-8")
    return load_settings(folder / "huikuan.toml", environ or {}, known)


def wrong(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> list[Finding]:
    with pytest.raises(SettingsError) as caught:
        load(folder, text, environ)
    for finding in caught.value.findings:
        for language in LANGUAGES:
            assert finding.text(language)
    return caught.value.findings


WHOLE = """\
[store]
url = "postgresql+psycopg://huikuan@db/huikuan"
[contracts]
paths = ["contracts/*.yaml", "/elsewhere/*.yaml"]
[company]
name = "杭州星澜"
timezone = "Asia/Shanghai"
[connections.rd]
system = "mytool"
base_url = "https://pm.example.com"
passkey = {env = "PM_PASSKEY"}
kinds = ["phase"]
per_minute = 120
timeout = 10
progress = true
projects = ["A", "B"]
[[notify]]
role = "finance"
on = ["ready", "digest"]
url = {env = "FINANCE_URL"}
[[notify]]
role = "operator"
on = ["source_failed"]
url = "json://127.0.0.1:8080/catch"
[reports]
folder = "out"
language = "en"
[run]
drop_ratio = 30
"""
SECRETS = {"PM_PASSKEY": "s3cret-passkey", "FINANCE_URL": "wecombot://s3cret-key"}


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    settings = load(tmp_path, WHOLE, SECRETS).settings
    rd = settings.connections["rd"]
    assert (rd.system, rd.projects) == ("mytool", ["A", "B"])
    assert rd.options == {
        "base_url": "https://pm.example.com",
        "passkey": "s3cret-passkey",
        "kinds": ["phase"],
        "per_minute": 120,
        "timeout": 10,
        "progress": True,
    }
    assert [n.role for n in settings.notify] == ["finance", "operator"]
    assert (settings.run.drop_ratio, settings.run.stale_days, settings.run.lease_seconds) == (30, 30, 1800)


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    loaded = load(tmp_path, "")
    assert loaded.store_url == f"sqlite:///{(tmp_path / 'huikuan.db').as_posix()}"
    assert loaded.settings.company.timezone == "Asia/Shanghai"
    assert (loaded.settings.connections, loaded.settings.notify) == ({}, [])


def test_no_secret_shows_in_what_is_printed(tmp_path: Path) -> None:
    loaded = load(tmp_path, WHOLE, SECRETS | {"HUIKUAN_STORE__URL": "postgresql+psycopg://u:s3cret-pw@db/x"})
    assert "s3cret" not in f"{loaded!r} {loaded.settings} {loaded.settings.model_dump()}"
    assert loaded.store_url == "postgresql+psycopg://u:s3cret-pw@db/x"


def test_contract_files_are_found_beside_the_file_and_sorted(tmp_path: Path) -> None:
    (tmp_path / "contracts" / "sub").mkdir(parents=True)
    for name in ("b.yaml", "a.yaml", "sub/c.yaml", "note.txt"):
        (tmp_path / "contracts" / name).write_text("")
    text = f'[contracts]\npaths = ["contracts/*.yaml", "contracts/a.yaml", "{(tmp_path / "contracts/sub").as_posix()}/*.yaml"]'
    assert [p.name for p in load(tmp_path, text).contract_files()] == ["a.yaml", "b.yaml", "c.yaml"]


# --- secrets -----------------------------------------------------------------------------------------


def test_a_secret_from_a_file_is_relative_to_the_configuration_and_trimmed(tmp_path: Path) -> None:
    (tmp_path / "passkey").write_text("abc\n", encoding="utf-8")
    text = WHOLE.replace('{env = "PM_PASSKEY"}', '{file = "passkey"}')
    assert load(tmp_path, text, SECRETS).settings.connections["rd"].options["passkey"] == "abc"


@pytest.mark.parametrize("place", ['{env = "NOWHERE"}', '{file = "nowhere"}', '{file = "."}'])
def test_a_secret_that_is_not_where_it_should_be(tmp_path: Path, place: str) -> None:
    (found,) = wrong(tmp_path, WHOLE.replace('{env = "PM_PASSKEY"}', place), SECRETS)
    assert (found.code, found.place.line, found.place.path) == ("SECRET_ABSENT", 11, "connections.rd.passkey")


def test_a_place_that_is_no_name_is_a_finding(tmp_path: Path) -> None:
    (found,) = wrong(tmp_path, WHOLE.replace('{env = "PM_PASSKEY"}', "{env = 5}"), SECRETS)
    assert found.code == "CONFIG_TYPE"


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ('passkey = "written-out"', "connections.rd.passkey"),  # the connector says that this is one
        ('token = "written-out"', "connections.rd.token"),  # whatever the connector says
    ],
)
def test_a_secret_written_out_is_refused_and_not_repeated(tmp_path: Path, line: str, path: str) -> None:
    found = wrong(tmp_path, WHOLE.replace('passkey = {env = "PM_PASSKEY"}', line), SECRETS)
    assert [f.place.path for f in found if f.code == "SECRET_IN_FILE"] == [path]
    assert "written-out" not in " ".join(f"{f} {f.text('en')}" for f in found)


@pytest.mark.parametrize(
    "url",
    [
        "wecombot://KEY",
        "dingtalk://token",
        "mailto://user:password@example.com",
        "mailtos://example.com?user=a&pass=b",
        "jsons://u:p@example.com",
    ],
)
def test_the_url_of_a_notice_that_holds_a_key_is_refused(tmp_path: Path, url: str) -> None:
    (found,) = wrong(tmp_path, WHOLE.replace('{env = "FINANCE_URL"}', f'"{url}"'), SECRETS)
    assert (found.code, found.place.line) == ("SECRET_IN_FILE", 20)
    assert url not in found.text("en")


@pytest.mark.parametrize("url", ["mailto://mail.example.com?from=a@example.com", "json://hooks.example.com/x"])
def test_the_url_of_a_notice_without_a_key_may_stand_there(tmp_path: Path, url: str) -> None:
    loaded = load(tmp_path, WHOLE.replace('{env = "FINANCE_URL"}', f'"{url}"'), SECRETS)
    assert loaded.settings.notify[0].url.get_secret_value() == url


def test_a_password_in_the_store_url_is_refused_but_on_this_machine(tmp_path: Path) -> None:
    far, near = (f"postgresql+psycopg://u:pw@{h}/x" for h in ("db.example.com", "127.0.0.1"))
    (found,) = wrong(tmp_path, f'[store]\nurl = "{far}"')
    assert (found.code, found.place.line, found.place.path) == ("SECRET_IN_FILE", 2, "store.url")
    assert load(tmp_path, f'[store]\nurl = "{near}"').store_url == near
    assert load(tmp_path, '[store]\nurl = {env = "DB"}', {"DB": far}).store_url == far


def test_a_sandbox_on_this_machine_may_have_its_secret_in_the_file(tmp_path: Path) -> None:
    text = '[connections.rd]\nsystem = "mytool"\nbase_url = "http://{}:8000"\npasskey = "sandbox"\n'
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert load(tmp_path, text.format(host)).settings.connections["rd"].options["passkey"] == "sandbox"
    for host in ("127.0.0.1.example.com", "localhost.example.com", "10.0.0.1"):
        assert [f.code for f in wrong(tmp_path, text.format(host))] == ["SECRET_IN_FILE"]


# --- the environment ---------------------------------------------------------------------------------


def test_every_key_may_come_from_the_environment(tmp_path: Path) -> None:
    given = {
        "HUIKUAN_STORE__URL": "sqlite:///other.db",
        "HUIKUAN_CONTRACTS__PATHS": '["x/*.yaml"]',
        "HUIKUAN_COMPANY__TIMEZONE": "Europe/Berlin",
        "HUIKUAN_RUN__CHECKS": "false",
        "HUIKUAN_RUN__LEASE_SECONDS": "60",
        "HUIKUAN_CONNECTIONS__RD__PROJECTS": '["C"]',
        "HUIKUAN_CONNECTIONS__RD__PASSKEY": "from-environment",
        "HUIKUAN_CONNECTIONS__RD__PER_MINUTE": "0",
        "HUIKUAN_CONNECTIONS__RD__TIMEOUT": "2.5",
        "HUIKUAN_CONNECTIONS__RD__PROGRESS": "false",
        "HUIKUAN_CONNECTIONS__RD__KINDS": '["sprint"]',
        "HUIKUAN_NOTIFY__0__URL": "wecombot://other",
    }
    settings = load(tmp_path, WHOLE, given).settings  # the file's own {env = …} are not needed then
    assert settings.store.url.get_secret_value() == "sqlite:///other.db"
    assert settings.contracts.paths == ["x/*.yaml"]
    assert (settings.company.timezone, settings.run.checks, settings.run.lease_seconds) == ("Europe/Berlin", False, 60)
    rd = settings.connections["rd"]
    assert rd.projects == ["C"]
    assert (rd.options["passkey"], rd.options["per_minute"], rd.options["timeout"]) == ("from-environment", 0, 2.5)
    assert (rd.options["progress"], rd.options["kinds"]) == (False, ["sprint"])
    assert settings.notify[0].url.get_secret_value() == "wecombot://other"


def test_a_connection_is_meant_whatever_the_case_of_its_name(tmp_path: Path) -> None:
    text = WHOLE.replace("connections.rd", "connections.Rd-1")
    settings = load(tmp_path, text, SECRETS | {"HUIKUAN_CONNECTIONS__RD-1__PROJECTS": "all"}).settings
    assert settings.connections["Rd-1"].projects == "all"


def test_a_whole_connection_may_come_from_the_environment(tmp_path: Path) -> None:
    given = {"HUIKUAN_CONNECTIONS__RD__SYSTEM": "mytool", "HUIKUAN_CONNECTIONS__RD__BASE_URL": "https://x"}
    assert load(tmp_path, "", given).settings.connections["rd"].options == {"base_url": "https://x"}


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("HUIKUAN_STROE__URL", "x", "UNKNOWN_KEY"),
        ("HUIKUAN_STORE__URLL", "x", "UNKNOWN_KEY"),
        ("HUIKUAN_STORE__URL__X", "x", "ENV_PLACE"),
        ("HUIKUAN_NOTIFY__2__URL", "json://x", "ENV_PLACE"),
        ("HUIKUAN_NOTIFY__X__URL", "json://x", "ENV_PLACE"),
        ("HUIKUAN___URL", "x", "ENV_PLACE"),
        ("HUIKUAN_CONTRACTS__PATHS", '["a"', "ENV_NOT_JSON"),
        ("HUIKUAN_RUN__LEASE_SECONDS", "soon", "CONFIG_TYPE"),
        ("HUIKUAN_RUN__LEASE_SECONDS", "5", "CONFIG_RANGE"),
        ("HUIKUAN_CONNECTIONS__RD__PER_MINUTE", "fast", "CONFIG_TYPE"),
        ("HUIKUAN_CONNECTIONS__RD__KINDS", "phase", "CONFIG_TYPE"),
    ],
)
def test_a_variable_that_cannot_be_is_named(tmp_path: Path, name: str, value: str, code: str) -> None:
    found = wrong(tmp_path, WHOLE, SECRETS | {name: value})
    assert found[0].code == code
    assert (found[0].place.file, found[0].place.path) == ("environment", name)


def test_other_peoples_variables_are_left_alone(tmp_path: Path) -> None:
    """Kubernetes sets some for a service called huikuan; HUIKUAN_LANGUAGE is the command line's."""
    given = {"HUIKUAN_SERVICE_HOST": "10.0.0.1", "HUIKUAN_PORT_80_TCP": "tcp://x", "HUIKUAN_LANGUAGE": "en"}
    assert load(tmp_path, "", given).settings.connections == {}


# --- what is wrong -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "code", "line", "says"),
    [
        ("[store]", "[stroe]", "UNKNOWN_KEY", 1, "store"),
        ('paths = ["c', 'pathes = ["c', "UNKNOWN_KEY", 4, "paths"),
        ("per_minute = 120", "per_minut = 120", "UNKNOWN_KEY", 13, "per_minute"),
        ('projects = ["A", "B"]', 'project = ["A"]', "UNKNOWN_KEY", 16, "projects"),
        ('system = "mytool"', 'system = "mytol"', "CONFIG_CHOICE", 9, "pingcode"),
        ('system = "mytool"', "", "MISSING_KEY", 8, "system"),
        ('base_url = "https://pm.example.com"', "", "OPTION_MISSING", 8, "where it is"),
        ("per_minute = 120", 'per_minute = "fast"', "CONFIG_TYPE", 13, "integer"),
        ("timeout = 10", "timeout = true", "CONFIG_TYPE", 14, "number"),
        ("progress = true", "progress = 1", "CONFIG_TYPE", 15, "true / false"),
        ('kinds = ["phase"]', 'kinds = "phase"', "CONFIG_TYPE", 12, '["…"]'),
        ('projects = ["A", "B"]', "projects = []", "CONFIG_TYPE", 16, '"all"'),
        ('projects = ["A", "B"]', 'projects = "none"', "CONFIG_TYPE", 16, '"all"'),
        ('role = "operator"', 'role = "boss"', "CONFIG_CHOICE", 22, "project_manager"),
        ('role = "operator"', "", "MISSING_KEY", 21, "role"),
        ('on = ["source_failed"]', 'on = ["source"]', "CONFIG_CHOICE", 23, "source_failed"),
        ("drop_ratio = 30", "drop_ratio = 0", "CONFIG_RANGE", 29, "≥ 1"),
        ("drop_ratio = 30", "drop_ratio = 101", "CONFIG_RANGE", 29, "≤ 100"),
        ("drop_ratio = 30", "drop_ratio = 30.5", "CONFIG_TYPE", 29, "integer"),
        ('timezone = "Asia/Shanghai"', 'timezone = "Asia/Shangai"', "CONFIG_CHOICE", 7, "Asia/Shanghai"),
        ('language = "en"', 'language = "fr"', "CONFIG_CHOICE", 27, "zh-CN"),
        ('[reports]\nfolder = "out"\nlanguage = "en"', 'reports = "out"', "UNKNOWN_KEY", 25, "contracts"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, old: str, new: str, code: str, line: int, says: str
) -> None:
    assert old in WHOLE
    found = wrong(tmp_path, WHOLE.replace(old, new, 1), SECRETS)
    assert (found[0].code, found[0].place.file, found[0].place.line) == (code, "huikuan.toml", line)
    assert says in found[0].text("en")


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = (
        WHOLE.replace("[store]", "[stroe]")
        .replace("drop_ratio = 30", "drop_ratio = 300")
        .replace("timeout = 10", "tmeout = 1")
    )
    codes = {f.code for f in wrong(tmp_path, text)}
    assert codes == {"SECRET_ABSENT", "UNKNOWN_KEY", "CONFIG_RANGE"}
    assert len(wrong(tmp_path, text)) == 5


def test_no_file_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path / "huikuan.toml", {}, known)
    assert [f.code for f in caught.value.findings] == ["CONFIG_ABSENT"]
    (found,) = wrong(tmp_path, "[store]\nurl = \n")
    assert (found.code, found.place.line) == ("CONFIG_BROKEN", 2)
    (tmp_path / "huikuan.toml").write_bytes(b"[store]\nurl = '\xff'")
    with pytest.raises(SettingsError) as caught:
        load_settings(tmp_path / "huikuan.toml", {}, known)
    assert [f.code for f in caught.value.findings] == ["CONFIG_BROKEN"]


@pytest.mark.parametrize(
    "text", ["store = 5", "connections = 5", "notify = 5", "connections = {rd = 5}", "notify = [5]"]
)
def test_a_wrong_shape_is_a_finding_not_a_crash(tmp_path: Path, text: str) -> None:
    assert [f.code for f in wrong(tmp_path, text)] == ["CONFIG_TYPE"]


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "huikuan.toml").write_text("\ufeff" + WHOLE, encoding="utf-8")
    assert load_settings(tmp_path / "huikuan.toml", SECRETS, known).settings.run.drop_ratio == 30
