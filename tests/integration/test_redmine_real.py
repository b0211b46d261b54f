"""The connector and the whole night against a real Redmine."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from connectors.errors import SourceConfig, SourceRefused, SourceUnavailable
from connectors.redmine.connector import CONNECTOR, Redmine
from flows import wiring
from flows.night import run_night
from flows.settings import load_settings
from flows.steps.report import board
from models.domain.comment_texts import About, comment_text, mark
from models.domain.observations import Observation, Provenance
from models.ports import PullRequest, Spot

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
    url, key = seeded["url"], seeded["key"]
    _, cursor = _pull(url, key, "c-1")
    nothing, cursor = _pull(url, key, "c-1", cursor)
    assert nothing == {}
    seeded["seeder"].reopen(seeded["issues"]["M2 上线"][0])
    seen, cursor = _pull(url, key, "c-1", cursor)
    assert set(seen) == {"M2 上线"}
    assert (
        seen["M2 上线"].percent_bp == 8333
    )  # two closed and half of one, whose closed_on stays: it is open all the same
    assert _pull(url, key, "c-1", cursor)[0] == {}


def test_a_closed_version_with_a_reopened_issue_stays_closed_and_loses_its_percentage(seeded) -> None:
    seeder, issue, version = seeded["seeder"], seeded["issues"]["M1 需求"][0], seeded["versions"]["M1 需求"]
    _, cursor = _pull(seeded["url"], seeded["key"], "c-1")
    seeder.close_version(version, "open")  # Redmine refuses to reopen an issue inside a closed version
    seeder.reopen(issue)
    seeder.close_version(version)
    seen, _ = _pull(seeded["url"], seeded["key"], "c-1", cursor)
    found = seen["M1 需求"]
    assert (found.done, found.percent_bp, found.done_by) == (True, 8333, None)
    assert found.date_provenance is Provenance.FIRST_OBSERVED
    strict, _ = _pull(seeded["url"], seeded["key"], "c-1", version_done="all_issues_closed")
    assert not strict["M1 需求"].done
    seeder.close_version(version, "open")
    seeder.close(issue)
    seeder.close_version(version)


def test_a_deleted_and_a_moved_issue_change_their_versions_without_a_trace_of_their_own(seeded) -> None:
    seeder = seeded["seeder"]
    project = seeder.project("c-2", "Deletions")
    left, right = seeder.version(project, "left"), seeder.version(project, "right")
    issues = [seeder.issue(project, left, f"#{n}") for n in range(4)]
    seeder.close(issues[0])
    _, cursor = _pull(seeded["url"], seeded["key"], "c-2")
    seeder.client.delete(f"/issues/{issues[3]}.json").raise_for_status()
    seen, cursor = _pull(seeded["url"], seeded["key"], "c-2", cursor)
    assert {n: o.percent_bp for n, o in seen.items()} == {"left": 3333}
    seeder.put(f"/issues/{issues[1]}.json", issue={"fixed_version_id": right})
    seen, cursor = _pull(seeded["url"], seeded["key"], "c-2", cursor)
    assert {n: o.percent_bp for n, o in seen.items()} == {"left": 5000, "right": 0}
    assert _pull(seeded["url"], seeded["key"], "c-2", cursor)[0] == {}


def test_a_large_version_is_read_again_only_when_it_changed(seeded) -> None:
    seeder = seeded["seeder"]
    project = seeder.project("c-3", "Large")
    version = seeder.version(project, "large")
    issues = [seeder.issue(project, version, f"#{n}") for n in range(103)]
    seen, cursor = _pull(seeded["url"], seeded["key"], "c-3")
    assert seen["large"].percent_bp == 0
    assert _pull(seeded["url"], seeded["key"], "c-3", cursor)[0] == {}
    seeder.client.delete(f"/issues/{issues[5]}.json").raise_for_status()
    seeder.close(issues[7])
    seen, cursor = _pull(seeded["url"], seeded["key"], "c-3", cursor)
    assert seen["large"].percent_bp == 10_000 // 102


def test_a_version_shared_with_another_project_is_told_once_by_its_owner(seeded) -> None:
    seeder = seeded["seeder"]
    parent = seeder.project("c-4", "Parent")
    version = seeder.post(
        f"/projects/{parent}/versions.json", version={"name": "shared", "status": "open", "sharing": "system"}
    )["version"]["id"]
    other = seeder.project("c-5", "Other")
    seeder.close(seeder.issue(parent, version, "here"))
    seeder.issue(other, version, "there")
    mine, _ = _pull(seeded["url"], seeded["key"], "c-4")
    assert (mine["shared"].percent_bp, mine["shared"].project_key) == (5000, "c-4")
    assert _pull(seeded["url"], seeded["key"], "c-5")[0] == {}
    seeder.client.delete(f"/projects/{parent}.json").raise_for_status()


def test_issues_of_a_tracker_are_milestones_with_who_and_when(seeded) -> None:
    seeder = seeded["seeder"]
    tracker = seeder.get("/trackers.json")["trackers"][0]["name"]
    project = seeder.project("c-6", "Tracked")
    version = seeder.version(project, "v")
    first, second = seeder.issue(project, version, "初验"), seeder.issue(project, version, "终验")
    options = {"milestones": [f"issue:{tracker}"]}
    seeder.close(first)
    seen, cursor = _pull(seeded["url"], seeded["key"], "c-6", **options)
    assert (seen["初验"].done, seen["初验"].done_by, int(seen["初验"].grade)) == (True, "Redmine Admin", 3)
    assert seen["初验"].done_at == seen["初验"].history[-1].at
    assert not seen["终验"].done
    seeder.reopen(first)
    seeder.client.delete(f"/issues/{second}.json").raise_for_status()
    seen, _ = _pull(seeded["url"], seeded["key"], "c-6", cursor, **options)
    assert set(seen) == {"初验"}
    assert [h.done for h in seen["初验"].history] == [True, False]
    assert (seen["初验"].done, seen["初验"].done_at) == (False, None)


def test_a_tracker_that_is_not_there_is_named(seeded) -> None:
    with pytest.raises(SourceConfig) as problem:
        _pull(seeded["url"], seeded["key"], "c-1", milestones=["issue:Bugg"])
    assert "Bug" in problem.value.advice


def test_a_wrong_key_is_refused_without_telling_it(seeded) -> None:
    with pytest.raises(SourceRefused) as problem:
        _pull(seeded["url"], "f" * 40, "c-1")
    assert "401" in str(problem.value)
    assert "f" * 40 not in str(problem.value)


def test_a_hanging_server_is_given_up_in_time(seeded) -> None:
    os.kill(seeded["pid"], signal.SIGSTOP)
    try:
        source = _source(seeded["url"], seeded["key"], timeout=0.5)
        source.http.policy = type(source.http.policy)(timeout=0.5, attempts=2, patience=3)
        with pytest.raises(SourceUnavailable, match="no answer within"):
            asyncio.run(_check(source))
    finally:
        os.kill(seeded["pid"], signal.SIGCONT)


async def _check(source: Redmine):
    async with source:
        return await source.check()


def test_check_says_who_we_are(seeded) -> None:
    found = asyncio.run(_check(_source(seeded["url"], seeded["key"])))
    assert found.account == "admin"
    assert found.projects >= 1


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


def test_notes_are_written_back_once(seeded) -> None:
    """A version takes none, so the note goes to the issue that was closed last in it; textile does nothing with it."""
    about = About("3f0d2a9e-0000-5000-8000-000000000001", "C-1", "T1", "*b* {{macro_list}} #1 !http://e/x.png! <b>")
    text = comment_text(about, "ready", "zh-CN", "https://h.example/{contract}")
    found = mark(about.record_id, "ready")
    seeder, version = seeded["seeder"], seeded["versions"]["M2 上线"]
    seeder.close(seeded["issues"]["M2 上线"][0])

    async def run() -> tuple[str | None, bool, bool]:
        async with _source(seeded["url"], seeded["key"]) as source:
            commenter = CONNECTOR.commenter(source)
            place = await commenter.place(Spot(f"version:{version}", "1", "c-1", "version"))
            before = await commenter.written(place, found)
            await commenter.write(place, text)
            return place, before, await commenter.written(place, found)

    place, before, after = asyncio.run(run())
    assert (int(place) in seeded["issues"]["M2 上线"], before, after) == (True, False, True)
    notes = [j["notes"] for j in seeder.get(f"/issues/{place}.json?include=journals")["issue"]["journals"]]
    assert [n.replace("\r\n", "\n") for n in notes if found in n] == [text]
    page = seeder.client.get(f"/issues/{place}").text
    assert "<strong>b</strong>" not in page
    assert "http://e/x.png" not in page
    assert _pull(seeded["url"], seeded["key"], "c-1")[0]["M2 上线"].percent_bp == 10_000  # a note changes nothing
