"""The connector and the whole night against a real Redmine."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from connectors.errors import SourceRefused, SourceUnavailable
from connectors.redmine.connector import CONNECTOR, Redmine
from flows import wiring
from flows.night import run_night
from flows.settings import load_settings
from flows.steps.report import board
from models.domain.observations import Observation, Provenance
from models.ports import PullRequest

pytestmark = [pytest.mark.server, pytest.mark.slow]


class Seeder:
    """Fills a Redmine over its API, as people would."""

    def __init__(self, url: str, key: str) -> None:
        self.client = httpx.Client(base_url=url, headers={"X-Redmine-API-Key": key}, timeout=30, trust_env=False)
        self.status = {s["name"]: s["id"] for s in self.get("/issue_statuses.json")["issue_statuses"]}
        self.tracker = self.get("/trackers.json")["trackers"][0]["id"]

    def get(self, path: str):
        return self.client.get(path).raise_for_status().json()

    def post(self, path: str, **body):
        return self.client.post(path, json=body).raise_for_status().json()

    def put(self, path: str, **body) -> None:
        self.client.put(path, json=body).raise_for_status()

    def project(self, identifier: str, name: str) -> int:
        modules = ["issue_tracking"]
        return self.post(
            "/projects.json",
            project={
                "name": name,
                "identifier": identifier,
                "tracker_ids": [self.tracker],
                "enabled_module_names": modules,
            },
        )["project"]["id"]

    def version(self, project: int, name: str) -> int:
        return self.post(
            f"/projects/{project}/versions.json", version={"name": name, "status": "open", "due_date": "2026-12-31"}
        )["version"]["id"]

    def issue(self, project: int, version: int, subject: str) -> int:
        return self.post(
            "/issues.json",
            issue={"project_id": project, "tracker_id": self.tracker, "fixed_version_id": version, "subject": subject},
        )["issue"]["id"]

    def close(self, issue: int) -> None:
        self.put(f"/issues/{issue}.json", issue={"status_id": self.status["Closed"], "done_ratio": 100})

    def reopen(self, issue: int) -> None:
        self.put(
            f"/issues/{issue}.json",
            issue={"status_id": self.status["In Progress"], "done_ratio": 50, "notes": "rejected"},
        )

    def close_version(self, version: int, status: str = "closed") -> None:
        self.put(f"/versions/{version}.json", version={"status": status})


def _source(url: str, key: str, **options) -> Redmine:
    return CONNECTOR.build("rm", {"base_url": url, "api_key": key, **options}, clock=lambda: datetime.now(UTC))


def _pull(
    url: str, key: str, project: str, cursor: str | None = None, **options
) -> tuple[dict[str, Observation], str | None]:
    async def run():
        seen, last = {}, None
        async with _source(url, key, **options) as source:
            async for page in source.pull(PullRequest((project,), cursor, False, datetime.now(UTC))):
                seen |= {o.name: o for o in page.observations}
                last = page.cursor or last
        return seen, last

    return asyncio.run(run())


@pytest.fixture(scope="module")
def seeded(redmine) -> dict:
    url, key, pid = redmine
    seeder = Seeder(url, key)
    project = seeder.project("c-1", "智慧园区 & O'Brien (C-1)")
    versions = {n: seeder.version(project, n) for n in ("M1 需求", "M2 上线", "M3 验收")}
    issues = {n: [seeder.issue(project, v, f"{n} #{i} <b>") for i in range(3)] for n, v in versions.items()}
    for issue in issues["M1 需求"] + issues["M2 上线"]:
        seeder.close(issue)
    seeder.close(issues["M3 验收"][0])
    seeder.close_version(versions["M1 需求"])
    return {"url": url, "key": key, "pid": pid, "seeder": seeder, "versions": versions, "issues": issues}


def test_versions_are_milestones_with_computed_progress(seeded) -> None:
    seen, cursor = _pull(seeded["url"], seeded["key"], "c-1")
    assert cursor is not None
    first, second, third = (seen[n] for n in ("M1 需求", "M2 上线", "M3 验收"))
    assert (first.done, first.percent_bp, first.date_provenance, first.done_by) == (
        True,
        10_000,
        Provenance.CHILDREN,
        "Redmine Admin",
    )
    assert (second.done, second.percent_bp) == (False, 10_000)  # all issues closed, the version is not
    assert (third.done, third.percent_bp) == (False, 3333)
    assert abs(first.done_at - datetime.now(UTC)) < timedelta(minutes=10)


def test_all_issues_closed_counts_where_it_is_configured(seeded) -> None:
    seen, _ = _pull(seeded["url"], seeded["key"], "c-1", version_done="all_issues_closed")
    assert {n for n, o in seen.items() if o.done} == {"M1 需求", "M2 上线"}


def test_an_incremental_pull_brings_only_what_moved(seeded) -> None:
    time.sleep(1.1)  # Redmine's clock has whole seconds
    future = str(int((datetime.now(UTC) + timedelta(minutes=11)).timestamp()))
    nothing, _ = _pull(seeded["url"], seeded["key"], "c-1", future)
    assert nothing == {}
    seeded["seeder"].reopen(seeded["issues"]["M2 上线"][0])
    seen, _ = _pull(seeded["url"], seeded["key"], "c-1", str(int(datetime.now(UTC).timestamp())))
    assert seen["M2 上线"].percent_bp < 10_000  # reopened: its closed_on stays, it is open all the same


def test_a_wrong_key_is_refused_without_telling_it(seeded) -> None:
    with pytest.raises(SourceRefused) as problem:
        _pull(seeded["url"], "f" * 40, "c-1")
    assert "401" in str(problem.value)
    assert "f" * 40 not in str(problem.value)


def test_a_hanging_server_is_given_up_in_time(seeded) -> None:
    os.kill(seeded["pid"], signal.SIGSTOP)
    try:
        source = _source(seeded["url"], seeded["key"], timeout=0.5)
        source._http.policy = type(source._http.policy)(timeout=0.5, attempts=2, patience=3)
        with pytest.raises(SourceUnavailable, match="no answer within"):
            asyncio.run(_check(source))
    finally:
        os.kill(seeded["pid"], signal.SIGCONT)


async def _check(source: Redmine):
    async with source:
        return await source.check()


def test_check_says_who_we_are(seeded) -> None:
    found = asyncio.run(_check(_source(seeded["url"], seeded["key"])))
    assert (found.account, found.projects) == ("admin", 1)


def test_the_whole_night_on_a_real_redmine(seeded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a data engineer does: configure, sync, read the list; a version deleted later takes its record back."""
    monkeypatch.setenv("REDMINE_KEY", seeded["key"])
    (tmp_path / "contracts").mkdir()
    (tmp_path / "huikuan.toml").write_text(
        f'[store]\nurl = "sqlite:///h.db"\n[connections.rm]\nsystem = "redmine"\nbase_url = "{seeded["url"]}"\n'
        'api_key = {env = "REDMINE_KEY"}\nprojects = ["c-1"]\n'
    )
    (tmp_path / "contracts" / "c.yaml").write_text(
        "contract: C-1\ncustomer: A\nsupplier: B\ncurrency: CNY\ntimezone: Asia/Shanghai\ncalendar: CN\nprice_basis: tax_inclusive\n"
        'lines: [{id: L, amount: "100.00", tax_rate: 6%}]\n'
        "events:\n  first: {milestone: {connection: rm, project: c-1, name: M1 需求}}\n"
        f"  last: {{milestone: {{connection: rm, project: c-1, id: '{seeded['versions']['M3 验收']}'}}}}\n"
        "terms:\n  - {id: T1, amount: 50%, when: first}\n  - {id: T2, amount: remaining, when: last}\n",
        encoding="utf-8",
    )
    loaded = load_settings(tmp_path / "huikuan.toml")
    store = wiring.the_store(loaded, create=True)

    def night():
        return asyncio.run(run_night(wiring.the_night(loaded, store, full=True)))

    first = night()
    assert (first.state, first.posted.records) == ("done", 1)
    seeder = seeded["seeder"]
    for issue in seeded["issues"]["M3 验收"]:
        seeder.close(issue)
    seeder.close_version(seeded["versions"]["M3 验收"])
    assert night().posted.records == 1
    seeder.put(f"/versions/{seeded['versions']['M3 验收']}.json", version={"status": "open"})
    assert night().posted.withdrawn == 1
    with store.read() as connection:
        lines = board(connection)
    assert [(r.term, r.status.value) for r in (*lines.ready, *lines.withdrawn)] == [
        ("T1", "ready"),
        ("T2", "withdrawn"),
    ]
    store.dispose()
