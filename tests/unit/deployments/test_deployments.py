"""The deployment files: one schedule, one version, no root, nothing that is not there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

from flows.settings import CompanySettings

ROOT = Path(__file__).parents[3]
FILES = ROOT / "deployments"
PINNED = (FILES / "requirements" / "run.txt").read_text(encoding="utf-8")


def read(name: str) -> Any:
    return yaml.safe_load((FILES / name).read_text(encoding="utf-8"))


def pinned(package: str) -> str:
    found = re.search(rf"(?m)^{package}==([\w.]+)", PINNED)
    assert found is not None
    return found[1]


def test_every_schedule_is_the_same_moment() -> None:
    zone = CompanySettings().timezone
    (schedule,) = read("prefect.yaml")["deployments"][0]["schedules"]
    cron = read("kubernetes/cronjob.yaml")["spec"]
    timer = (FILES / "systemd" / "huikuan.timer").read_text(encoding="utf-8")
    assert (schedule["cron"], schedule["timezone"]) == (cron["schedule"], cron["timeZone"]) == ("30 2 * * *", zone)
    assert f"OnCalendar=*-*-* 02:30:00 {zone}" in timer


def test_one_night_at_a_time() -> None:
    assert read("prefect.yaml")["deployments"][0]["concurrency_limit"] == 1
    assert read("kubernetes/cronjob.yaml")["spec"]["concurrencyPolicy"] == "Forbid"


def test_versions_are_those_that_are_pinned() -> None:
    assert read("prefect.yaml")["prefect-version"] == pinned("prefect")
    assert pinned("prefect") in read("compose.yaml")["services"]["prefect"]["image"]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    pod = read("kubernetes/cronjob.yaml")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert [c["image"] for c in pod["containers"]] == [f"huikuan:{version}"]
    assert pod["securityContext"]["runAsNonRoot"] is True


def test_the_image_takes_what_is_there_pinned_and_not_as_root() -> None:
    lines = (FILES / "Dockerfile").read_text(encoding="utf-8").splitlines()
    for line in lines:
        if line.startswith("COPY "):
            assert all((ROOT / source).exists() for source in line.split()[1:-1]), line
    assert any("--require-hashes" in x for x in lines)
    assert "USER huikuan" in lines
    assert lines.index("USER huikuan") < next(i for i, x in enumerate(lines) if x.startswith("ENTRYPOINT"))


def test_no_password_and_no_package_index_stands_in_a_file() -> None:
    for path in FILES.rglob("*.*ml"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"://\w+:(?!\$\{)[^@/\s]+@", text), path.name
        assert "index-url" not in text
    services = read("compose.yaml")["services"]
    ports = [p for s in services.values() for p in s.get("ports", ())]
    assert all(p.startswith("127.0.0.1:") for p in ports)
