"""Settings: `huikuan.toml` and the environment, checked.

Every key may come from the environment (HUIKUAN_STORE__URL=…). Secrets come from the environment, a file
or a Prefect secret block, never from the file itself - except for a sandbox on loopback.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from connectors.errors import SourceConfig
from connectors.registry import ConnectorInfo, Option, connector, systems
from connectors.sinks.registry import kinds, meaning, sink
from flows.environment import environment
from flows.settings_file import PREFIX, RawConfig, Trail, read_config
from models.domain.findings import Finding
from models.domain.money import minor_digits, to_minor
from models.domain.receivables.dunning import Ladders, Step, Tone, ladder_problems
from models.domain.receivables.forecast import Threshold

#: Characters that a secret of webhooks has at least.
SECRET_MIN = 16


class SettingsError(Exception):
    """The configuration cannot be used; all that is wrong with it."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("; ".join(f"{f.place}: {f.code}" for f in findings))
        self.findings = findings


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class StoreSettings(_Strict):
    """[store]"""

    url: SecretStr = SecretStr("sqlite:///huikuan.db")  # may hold a password


class ContractSettings(_Strict):
    """[contracts]"""

    paths: list[str] = Field(default_factory=lambda: ["contracts/*.yaml"])


class ConnectionSettings(BaseModel):
    """[connections.NAME]: the keys beyond these are the connector's own."""

    model_config = ConfigDict(extra="allow")
    system: str
    projects: Annotated[list[str], Field(min_length=1)] | Literal["all"] = "all"
    hook_secret: SecretStr | None = Field(
        default=None, description="what the vendor's webhooks are signed with; more than one, a line each, may be valid"
    )
    write_back: list[Literal["ready", "invoiced", "paid"]] = Field(
        default_factory=list, description="write a comment on the milestones of a term when it comes so far"
    )

    @field_validator("hook_secret")
    @classmethod
    def _long_enough(cls, secret: SecretStr | None) -> SecretStr | None:
        """A secret that can be guessed proves nothing."""
        if secret is not None and any(len(s) < SECRET_MIN for s in secret.get_secret_value().split()):
            raise PydanticCustomError("short_secret", "≥ {least}", {"least": SECRET_MIN})
        return secret

    @property
    def options(self) -> dict[str, Any]:
        """What the connector is built from; secrets in the open, so keep it out of sight."""
        given = self.model_extra or {}
        return {k: v.get_secret_value() if isinstance(v, SecretStr) else v for k, v in given.items()}


class SinkSettings(BaseModel):
    """[sinks.NAME]: the keys beyond this are the sink's own."""

    model_config = ConfigDict(extra="allow")
    kind: str

    @property
    def options(self) -> dict[str, Any]:
        """What the sink is built from; secrets in the open, so keep it out of sight."""
        given = self.model_extra or {}
        return {k: v.get_secret_value() if isinstance(v, SecretStr) else v for k, v in given.items()}


class NotifySettings(_Strict):
    """[[notify]]"""

    role: Literal["finance", "project_manager", "customer_payer", "operator"]
    on: list[Literal["ready", "withdrawn", "exception", "digest", "overdue", "source_failed", "forecast"]]
    url: SecretStr
    name: str | None = None
    language: Literal["zh-CN", "en"] | None = None
    contracts: list[str] | None = None


class ReportSettings(_Strict):
    """[reports]"""

    folder: str = "out"
    language: Literal["zh-CN", "en"] = "zh-CN"
    base_link: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description="address under which people see the evidence; {contract}, {term}, {record} are filled in",
    )


class CompanySettings(_Strict):
    """[company]"""

    name: str = ""
    timezone: str = "Asia/Shanghai"


class StepSettings(_Strict):
    """One step of a ladder."""

    level: int = Field(ge=1)
    from_day: int = Field(ge=-365, le=3650, description="days after the due date; before it where negative")
    tone: Literal["friendly", "formal"] | None = None


class LadderSettings(_Strict):
    """[ladders.CLASS]: the reminders of the customers of a class; `default` is for the others."""

    steps: Annotated[list[StepSettings], Field(min_length=1)]

    def ladder(self) -> tuple[Step, ...]:
        """As the rules read it."""
        steps = [Step(s.level, s.from_day, Tone(s.tone) if s.tone else None) for s in self.steps]
        return tuple(sorted(steps, key=lambda s: s.level))


class ForecastSettings(_Strict):
    """[forecast]"""

    alert_share: int = Field(
        default=10, ge=1, le=100, description="percent of a month's expected cash from which a move of it is told"
    )
    alert_amount: dict[str, str] = Field(
        default_factory=dict, description="by currency: the sum from which a move is told, instead of the share"
    )

    @field_validator("alert_amount")
    @classmethod
    def _amounts(cls, given: dict[str, str]) -> dict[str, str]:
        for currency, amount in given.items():
            to_minor(amount, minor_digits(currency))
        return given

    @property
    def threshold(self) -> Threshold:
        """From where on a move is told."""
        sums = {c: to_minor(a, minor_digits(c)) for c, a in self.alert_amount.items()}
        return Threshold(self.alert_share, sums)


class RunSettings(_Strict):
    """[run]"""

    lease_seconds: int = Field(default=1800, ge=30)
    drop_ratio: int = Field(
        default=50, ge=1, le=100, description="percent of rows that may be missing against the last run"
    )
    stale_days: int = Field(
        default=30, ge=1, description="how much older than the last pull the newest change may be before it is told"
    )
    checks: bool = True
    dask: str = Field(
        default="", description="address of a Dask scheduler (tcp://…:8786) that judges contracts; needs PostgreSQL"
    )


class Settings(BaseSettings):
    """All of huikuan.toml."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid")
    store: StoreSettings = StoreSettings()
    contracts: ContractSettings = ContractSettings()
    connections: dict[str, ConnectionSettings] = Field(default_factory=dict)
    sinks: dict[str, SinkSettings] = Field(default_factory=dict)
    notify: list[NotifySettings] = Field(default_factory=list)
    reports: ReportSettings = ReportSettings()
    ladders: dict[str, LadderSettings] = Field(default_factory=dict)
    company: CompanySettings = CompanySettings()
    run: RunSettings = RunSettings()
    forecast: ForecastSettings = ForecastSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """One source: `settings_file` has laid the environment over the file, and knows what came from where."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and where they are from: relative paths start at `root`."""

    settings: Settings
    root: Path
    file: str

    @property
    def store_url(self) -> str:
        """The store's URL with a relative SQLite path made absolute."""
        url = self.settings.store.url.get_secret_value()
        path = url.removeprefix("sqlite:///")
        if path != url and not path.startswith("/") and path != ":memory:":
            return f"sqlite:///{(self.root / path).as_posix()}"
        return url

    @property
    def ladders(self) -> Ladders:
        """The reminder ladders by class of customer."""
        return {name: one.ladder() for name, one in self.settings.ladders.items()}

    @property
    def out(self) -> Path:
        """The folder of the reports."""
        return self.root / self.settings.reports.folder

    def contract_files(self) -> list[Path]:
        """The contract files, sorted."""
        found = {p for pattern in self.settings.contracts.paths for p in self._glob(pattern) if p.is_file()}
        return sorted(found)

    def _glob(self, pattern: str) -> list[Path]:
        path = Path(pattern)
        return (
            list(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
            if path.is_absolute()
            else list(self.root.glob(pattern))
        )


def load_settings(
    path: Path,
    environ: Mapping[str, str] | None = None,
    known: Callable[[str], ConnectorInfo] = connector,
) -> Loaded:
    """Read and check the configuration. Raises SettingsError with everything that is wrong.

    `environ` is the environment unless given; `known` tells what a connector can be told, by its system.
    """
    given = environment() if environ is None else environ
    config = read_config(path, given, lambda table, key: _is_secret(table, key, known))
    if not config.tree and config.findings:
        raise SettingsError(config.findings)
    _check_options(config, known)
    settings = None
    try:
        settings = Settings(**config.tree)
    except ValidationError as problem:
        _say_what_is_wrong(config, problem)
    if settings is not None:
        _check_zone(config, settings.company.timezone)
        _check_ladders(config, settings.ladders)
    if config.findings or settings is None:
        raise SettingsError(config.findings)
    return Loaded(settings, path.resolve().parent, path.name)


def _check_zone(config: RawConfig, zone: str) -> None:
    zones = available_timezones()
    if zone not in zones:
        near = difflib.get_close_matches(zone, sorted(zones), cutoff=0.5) or ["Asia/Shanghai"]
        config.complain("CONFIG_CHOICE", ("company", "timezone"), found=zone, expected=", ".join(near))


def _check_ladders(config: RawConfig, ladders: Mapping[str, LadderSettings]) -> None:
    for name, one in ladders.items():
        for first, second in ladder_problems(one.ladder()):
            config.complain("LADDER_OVERLAPS", ("ladders", name, "steps"), one=first, other=second)


# --- what a connector can be told --------------------------------------------------------------------


def _options(table: Mapping[str, Any], known: Callable[[str], ConnectorInfo]) -> dict[str, Option] | None:
    """The options of a connection's system; None where that is not known."""
    try:
        return {o.name: o for o in known(str(table.get("system"))).options}
    except SourceConfig:
        return None


def _sink_options(table: Mapping[str, Any]) -> dict[str, Option] | None:
    """The options of a sink's kind; None where that is not known."""
    try:
        return {o.name: o for o in sink(str(table.get("kind"))).options}
    except SourceConfig:
        return None


def _is_secret(table: Mapping[str, Any], key: str, known: Callable[[str], ConnectorInfo]) -> bool:
    options = (_sink_options(table) if "kind" in table else None) or _options(table, known) or {}
    return key in options and options[key].secret


def _check_options(config: RawConfig, known: Callable[[str], ConnectorInfo]) -> None:
    for name, table in _tables(config, "connections", "system"):
        _check_connection(config, ("connections", name), table, known)
    for name, table in _tables(config, "sinks", "kind"):
        _check_sink(config, ("sinks", name), table)


def _tables(config: RawConfig, head: str, key: str) -> list[tuple[str, dict[str, Any]]]:
    """The named tables of [head.NAME] that say what they are."""
    found = config.tree.get(head)
    given = found.items() if isinstance(found, dict) else ()
    return [(name, table) for name, table in given if isinstance(table, dict) and key in table]


def _check_sink(config: RawConfig, trail: Trail, table: dict[str, Any]) -> None:
    options = _sink_options(table)
    if options is None:
        config.complain("CONFIG_CHOICE", (*trail, "kind"), found=str(table["kind"]), expected=", ".join(kinds()))
        return
    _check_keys(config, trail, table, options, SinkSettings)
    for option in options.values():
        if option.required and not table.get(option.name):
            config.complain("OPTION_MISSING", (*trail, option.name), help=meaning(str(table["kind"]), option))


def _check_keys(
    config: RawConfig, trail: Trail, table: dict[str, Any], options: Mapping[str, Option], model: type[BaseModel]
) -> None:
    for key in table.keys() - model.model_fields.keys():
        if key not in options:
            _unknown(config, (*trail, key), [*options, *model.model_fields])
        else:
            table[key] = _typed(config, (*trail, key), table[key], options[key].default)


def _check_connection(
    config: RawConfig, trail: Trail, table: dict[str, Any], known: Callable[[str], ConnectorInfo]
) -> None:
    options = _options(table, known)
    if options is None:
        config.complain("CONFIG_CHOICE", (*trail, "system"), found=str(table["system"]), expected=", ".join(systems()))
        return
    if table.get("write_back") and known(str(table["system"])).commenter is None:
        config.complain("WRITE_BACK_NOWHERE", (*trail, "write_back"), system=str(table["system"]))
    _check_keys(config, trail, table, options, ConnectionSettings)
    for option in options.values():
        if option.required and not table.get(option.name):
            config.complain("OPTION_MISSING", (*trail, option.name), help=option.help)


def _typed(config: RawConfig, trail: Trail, value: Any, default: object) -> Any:
    """A value of its default's type. A variable of the environment is a text and is read as that type."""
    wanted = type(default)
    if isinstance(default, tuple):
        fits = isinstance(value, list) and all(isinstance(v, str) for v in value)
    elif isinstance(default, dict):
        fits = isinstance(value, dict) and all(isinstance(v, str | int) for v in value.values())
    elif wanted in (bool, int, float):
        value = _number(value, wanted) if trail in config.from_environment else value
        fits = isinstance(value, bool) if wanted is bool else _is_number(value, wanted)
    else:
        fits = isinstance(value, str | SecretStr) or (default is None and not isinstance(value, dict))
    if not fits:
        config.complain("CONFIG_TYPE", trail, found=repr(value)[:60], expected=_NAMES.get(wanted, "text"))
    return value


_NAMES = {bool: "true / false", int: "integer", float: "number", tuple: '["…"]', dict: '{"…" = …}'}


def _is_number(value: object, wanted: type) -> bool:
    return isinstance(value, int if wanted is int else int | float) and not isinstance(value, bool)


def _number(text: object, wanted: type) -> object:
    if wanted is bool:
        return {"true": True, "1": True, "false": False, "0": False}.get(str(text).lower(), text)
    try:
        return wanted(text)
    except ValueError:
        return text


# --- messages ----------------------------------------------------------------------------------------

_EXPECTED = {
    "int": "integer", "bool": "true / false", "string": "text", "list": '["…"]', "model": "table", "dict": "table",
}  # fmt: skip
_PROJECTS = '"all" / ["…"]'


def _say_what_is_wrong(config: RawConfig, problem: ValidationError) -> None:
    said: set[Trail] = set()
    for error in problem.errors(include_url=False, include_context=True):
        trail = tuple(str(p) for p in error["loc"])
        if trail[0] == "connections":
            trail = trail[:3]  # deeper ones name the branches of a union
        if trail not in said:
            said.add(trail)
            _say(config, trail, error)


def _say(config: RawConfig, trail: Trail, error: Any) -> None:
    kind, found = error["type"], "***" if "url" in trail[-1] or "secret" in trail[-1] else repr(error.get("input"))[:60]
    if kind == "extra_forbidden":
        _unknown(config, trail, _known_keys(trail[:-1]))
    elif kind == "missing":
        config.complain("MISSING_KEY", trail[:-1], key=trail[-1])
    elif trail[0] == "connections" and trail[-1] == "projects":
        config.complain("CONFIG_TYPE", trail, found=found, expected=_PROJECTS)
    elif kind == "string_pattern_mismatch":
        config.complain("CONFIG_TYPE", trail, found=found, expected="https://…")
    elif kind == "short_secret":
        config.complain("SECRET_SHORT", trail, least=error["ctx"]["least"])
    elif kind == "literal_error":
        config.complain("CONFIG_CHOICE", trail, found=found, expected=error["ctx"]["expected"])
    elif kind in ("greater_than_equal", "less_than_equal"):
        limits = error["ctx"]
        config.complain(
            "CONFIG_RANGE", trail, found=found, limit=f"≥ {limits['ge']}" if "ge" in limits else f"≤ {limits['le']}"
        )
    elif kind.partition("_")[0] in _EXPECTED:
        config.complain("CONFIG_TYPE", trail, found=found, expected=_EXPECTED[kind.partition("_")[0]])
    else:
        config.complain("CONFIG_VALUE", trail, why=error["msg"])


def _unknown(config: RawConfig, trail: Trail, known: list[str]) -> None:
    near = difflib.get_close_matches(trail[-1], known, cutoff=0.4) or known
    config.findings.append(
        Finding("UNKNOWN_KEY", place=config.place(trail), params={"key": trail[-1], "closest": ", ".join(near)})
    )


def _known_keys(trail: Trail) -> list[str]:
    models: dict[str, type[BaseModel]] = {
        "store": StoreSettings, "contracts": ContractSettings, "notify": NotifySettings, "reports": ReportSettings,
        "company": CompanySettings, "run": RunSettings, "forecast": ForecastSettings, "connections": ConnectionSettings, "sinks": SinkSettings,
        "ladders": LadderSettings,
    }  # fmt: skip
    model = models.get(trail[0]) if trail else Settings
    if trail[:1] == ("ladders",) and "steps" in trail:
        model = StepSettings
    return list(model.model_fields) if model else []
