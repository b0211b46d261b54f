"""Settings: `huikuan.toml` and the environment, checked.

Every key may come from the environment (HUIKUAN_STORE__URL=…). Secrets come from the environment, a file
or a Prefect secret block, never from the file itself - except for a sandbox on loopback.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from flows.environment import environment
from models.domain.findings import Finding, Place


class SettingsError(Exception):
    """The configuration cannot be used; all that is wrong with it."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("; ".join(f"{f.place}: {f.code}" for f in findings))
        self.findings = findings


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class StoreSettings(_Strict):
    """[store]"""

    url: str = "sqlite:///huikuan.db"


class ContractSettings(_Strict):
    """[contracts]"""

    paths: list[str] = Field(default_factory=lambda: ["contracts/*.yaml"])


class ConnectionSettings(BaseModel):
    """[connections.NAME]: the keys beyond these are the connector's own."""

    model_config = ConfigDict(extra="allow")
    system: str
    projects: list[str] | Literal["all"] = "all"

    @property
    def options(self) -> dict[str, Any]:
        """What the connector is built from."""
        return dict(self.model_extra or {})


class NotifySettings(_Strict):
    """[[notify]]"""

    role: Literal["finance", "project_manager", "customer_payer", "operator"]
    on: list[Literal["ready", "withdrawn", "exception", "digest", "overdue", "source_failed"]]
    url: SecretStr
    name: str | None = None
    language: Literal["zh-CN", "en"] | None = None
    contracts: list[str] | None = None


class ReportSettings(_Strict):
    """[reports]"""

    folder: str = "out"
    language: Literal["zh-CN", "en"] = "zh-CN"


class CompanySettings(_Strict):
    """[company]"""

    name: str = ""
    timezone: str = "Asia/Shanghai"


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


class Settings(BaseSettings):
    """All of huikuan.toml."""

    model_config = SettingsConfigDict(env_prefix="HUIKUAN_", env_nested_delimiter="__", extra="forbid")
    store: StoreSettings = StoreSettings()
    contracts: ContractSettings = ContractSettings()
    connections: dict[str, ConnectionSettings] = Field(default_factory=dict)
    notify: list[NotifySettings] = Field(default_factory=list)
    reports: ReportSettings = ReportSettings()
    company: CompanySettings = CompanySettings()
    run: RunSettings = RunSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment wins over the file."""
        del settings_cls, dotenv_settings, file_secret_settings
        return (env_settings, init_settings)


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and where they are from: relative paths start at `root`."""

    settings: Settings
    root: Path
    file: str

    @property
    def store_url(self) -> str:
        """The store's URL with a relative SQLite path made absolute."""
        url = self.settings.store.url
        path = url.removeprefix("sqlite:///")
        if path != url and not path.startswith("/") and path != ":memory:":
            return f"sqlite:///{(self.root / path).as_posix()}"
        return url

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


def load_settings(path: Path) -> Loaded:
    """Read and check the configuration. Raises SettingsError with everything that is wrong."""
    if not path.exists():
        raise SettingsError([Finding("CONFIG_ABSENT", place=Place(file=path.name), params={"file": path.name})])
    try:
        text = path.read_text(encoding="utf-8-sig")
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        line = re.search(r"line (\d+)", str(problem))
        place = Place(file=path.name, line=int(line[1]) if line else None)
        raise SettingsError([Finding("CONFIG_BROKEN", place=place, params={"why": str(problem)})]) from None
    findings: list[Finding] = []
    resolved = _resolved(raw, path, text, findings)
    settings = None
    try:
        settings = Settings(**resolved)
    except ValidationError as problem:
        findings += [_finding(e, path.name, text) for e in problem.errors()]
    if findings or settings is None:
        raise SettingsError(findings)
    return Loaded(settings, path.resolve().parent, path.name)


# --- secrets -----------------------------------------------------------------------------------------

_SECRETS = frozenset({"client_secret", "api_key", "token", "password", "secret"})


def _resolved(raw: dict[str, Any], path: Path, text: str, findings: list[Finding]) -> dict[str, Any]:
    """Secrets put in: {env = …}, {file = …}, {secret_block = …}. A secret written out is refused."""

    def visit(value: Any, trail: tuple[str, ...], *, local: bool) -> Any:
        if isinstance(value, dict):
            if len(value) == 1 and next(iter(value)) in ("env", "file", "secret_block"):
                return _secret(*next(iter(value.items())), trail, path, text, findings)
            inner = local or _loopback(value.get("base_url"))
            return {k: visit(v, (*trail, k), local=inner) for k, v in value.items()}
        if isinstance(value, list):
            return [visit(v, (*trail, str(i)), local=local) for i, v in enumerate(value)]
        if trail and trail[-1] in _SECRETS and not local:
            findings.append(Finding("SECRET_IN_FILE", place=_place(path.name, text, trail), params={"key": trail[-1]}))
        return value

    resolved: dict[str, Any] = visit(raw, (), local=False)
    return resolved


def _loopback(url: object) -> bool:
    return isinstance(url, str) and urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")


def _secret(kind: str, name: str, trail: tuple[str, ...], path: Path, text: str, findings: list[Finding]) -> str:
    found: str | None = None
    if kind == "env":
        found = environment().get(name)
    elif kind == "file":
        place = path.parent / name
        found = place.read_text(encoding="utf-8").strip() if place.is_file() else None
    else:
        found = _from_block(name)
    if not found:
        findings.append(
            Finding(
                "SECRET_ABSENT",
                place=_place(path.name, text, trail),
                params={"key": ".".join(trail), "kind": kind, "name": name},
            )
        )
        return "absent"
    return found


def _from_block(name: str) -> str | None:
    from prefect.blocks.system import Secret  # only where a block is named

    try:
        return str(Secret.load(name).get())  # type: ignore[union-attr]
    except ValueError:
        return None


# --- messages ----------------------------------------------------------------------------------------


def _place(file: str, text: str, trail: tuple[str, ...]) -> Place:
    """The line that most likely holds a key: the last of its names, after the table it stands in."""
    lines = text.splitlines()
    start = 0
    table = ".".join(t for t in trail[:-1] if not t.isdigit())
    for number, line in enumerate(lines):
        if table and line.strip().strip("[]").strip() == table:
            start = number
    names = [t for t in trail if not t.isdigit()]
    for number in range(start, len(lines)):
        if names and re.match(rf"\s*\[?\[?{re.escape(names[-1])}\b", lines[number]):
            return Place(file=file, line=number + 1, path=".".join(trail))
    return Place(file=file, path=".".join(trail))


def _finding(error: Any, file: str, text: str) -> Finding:
    trail = tuple(str(p) for p in error["loc"])
    place = _place(file, text, trail)
    if error["type"] == "extra_forbidden":
        known = _known_keys(trail[:-1])
        near = ", ".join(difflib.get_close_matches(trail[-1], known, cutoff=0.4)) or ", ".join(known)
        return Finding("UNKNOWN_KEY", place=place, params={"key": trail[-1], "closest": near})
    if error["type"] == "missing":
        return Finding("MISSING_KEY", place=place, params={"key": trail[-1]})
    return Finding("CONFIG_VALUE", place=place, params={"key": ".".join(trail), "why": error["msg"]})


def _known_keys(trail: tuple[str, ...]) -> list[str]:
    models: dict[str, type[BaseModel]] = {
        "store": StoreSettings, "contracts": ContractSettings, "notify": NotifySettings, "reports": ReportSettings,
        "company": CompanySettings, "run": RunSettings, "connections": ConnectionSettings,
    }  # fmt: skip
    model = models.get(trail[0]) if trail else Settings
    return list(model.model_fields) if model else []
