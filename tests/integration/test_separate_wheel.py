"""A connector of another package: the code of docs/adding-a-connector.md, built into a wheel and installed by itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from connectors.kit.conformance import CASES
from connectors.kit.scaffold import scaffold
from connectors.registry import BUILT_IN

ROOT = Path(__file__).parents[2]
OWN = "tests/test_own.py"
BLOCK = re.compile(r"```python\n# (\S+)\n(.*?)```", re.DOTALL)


def code(page: str) -> dict[str, str]:
    """The files that a page shows, by their path."""
    return dict(BLOCK.findall((ROOT / "docs" / page).read_text(encoding="utf-8")))


def run(*arguments: str, cwd: Path, path: tuple[Path, ...] = (), **more: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HUIKUAN_", "PREFECT_", "PIP_", "LC_", "LANG"))}
    env |= {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, *path))), "HUIKUAN_LANGUAGE": "en", "COLUMNS": "200", **more}
    return subprocess.run([sys.executable, *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=110)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of the page's connector installed into it, and nothing else."""
    work = tmp_path_factory.mktemp("wheel")
    root = scaffold("acme", work)[0].parent
    for path, text in code("adding-a-connector.md").items():
        assert (root / path).exists() or path == OWN, f"{path} is none of the scaffold's files"
        (root / path).write_text(text, encoding="utf-8")
    pip = ("-m", "pip", "--disable-pip-version-check", "--quiet")
    flags = ("--no-deps", "--no-index")
    built = run(*pip, "wheel", *flags, "--no-build-isolation", "--wheel-dir", "dist", ".", cwd=root)
    assert built.returncode == 0, built.stderr
    [wheel] = (root / "dist").glob("huikuan_acme-*.whl")
    target = work / "site"
    done = run(*pip, "install", *flags, "--target", str(target), str(wheel), cwd=work)
    assert done.returncode == 0, done.stderr
    assert {p.name for p in target.iterdir()} == {"huikuan_acme", "huikuan_acme-0.1.0.dist-info"}
    return target


@pytest.mark.timeout(300)
def test_the_entry_point_of_a_separate_wheel_is_found_and_its_suite_passes(installed: Path, tmp_path: Path) -> None:
    tested = run("-m", "flows.cli", "connectors", "test", "acme", "--json", cwd=tmp_path, path=(installed,))
    results = json.loads(tested.stdout)
    assert [r for r in results if r["outcome"] == "failed"] == []
    assert [r["case"] for r in results] == list(CASES)
    skipped = [r for r in results if r["outcome"] == "skipped"]
    assert len(skipped) == 6  # a key has no token, the fake no ETags
    assert all(r["reason"] for r in skipped)
    assert tested.returncode == 0


def test_it_is_listed_beside_the_built_in_ones_and_only_where_it_is_installed(installed: Path, tmp_path: Path) -> None:
    def listed(*path: Path) -> dict[str, list[str]]:
        shown = json.loads(run("-m", "flows.cli", "connectors", "list", "--json", cwd=tmp_path, path=path).stdout)
        return {c["system"]: [o["name"] for o in c["options"]] for c in shown}

    with_it = listed(installed)
    assert set(BUILT_IN) < set(with_it)
    assert with_it["acme"] == ["base_url", "api_key", "per_minute"]
    assert "acme" not in listed()


def test_a_connection_of_it_is_checked(installed: Path, tmp_path: Path, httpserver: HTTPServer) -> None:
    """The configuration takes its keys, and `huikuan check` asks it."""
    key = {"X-Api-Key": "k-93"}
    httpserver.expect_request("/api/me", headers=key).respond_with_json({"login": "reader"})
    board = {"id": "7", "key": "OPS", "name": "Operations"}
    httpserver.expect_request("/api/boards", headers=key).respond_with_json({"rows": [board], "total": 1})
    nothing = {"rows": [], "total": 0}
    httpserver.expect_request("/api/boards/7/milestones", headers=key).respond_with_json(nothing)
    (tmp_path / "huikuan.toml").write_text(
        '[store]\nurl = "sqlite:///x.db"\n[contracts]\npaths = []\n'
        f'[connections.boards]\nsystem = "acme"\nbase_url = "{httpserver.url_for("")}"\napi_key = {{env = "ACME_KEY"}}\n',
        encoding="utf-8",
    )
    done = run("-m", "flows.cli", "check", "--json", cwd=tmp_path, path=(installed,), ACME_KEY="k-93")
    [line] = json.loads(done.stdout)["connections"]
    assert (line["state"], line["account"], line["projects"]) == ("ok", "reader", 1), done.stderr
    assert "k-93" not in done.stdout + done.stderr


def test_tests_of_their_own_see_what_a_fake_gives_and_hold_it_against_a_description(
    installed: Path, tmp_path: Path
) -> None:
    """The page's own tests, with a description of Acme Boards; and one that is wrong is noticed."""
    (tmp_path / "test_own.py").write_text(code("adding-a-connector.md")[OWN], encoding="utf-8")
    for state, outcome in (("string", "2 passed"), ("integer", "1 failed, 1 passed")):
        (tmp_path / "openapi.json").write_text(json.dumps(described(state)), encoding="utf-8")
        done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_own.py", cwd=tmp_path, path=(installed,))
        assert outcome in done.stdout, done.stdout + done.stderr


def described(state: str) -> dict[str, Any]:
    """Acme Boards' own description; `state` is the type of a milestone's state."""

    def answer(schema: dict[str, Any], *query: str, path: tuple[str, ...] = ()) -> dict[str, Any]:
        named = [{"name": n, "in": "query", "schema": {"type": "integer"}} for n in query]
        named += [{"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in path]
        content = {"application/json": {"schema": schema}}
        return {"get": {"parameters": named, "responses": {"200": {"description": "-", "content": content}}}}

    def listed(required: dict[str, str]) -> dict[str, Any]:
        row = {
            "type": "object",
            "required": list(required),
            "properties": {k: {"type": t} for k, t in required.items()},
        }
        properties = {"rows": {"type": "array", "items": row}, "total": {"type": "integer"}}
        return {"type": "object", "required": list(properties), "properties": properties}

    text, pages = "string", ("offset", "limit")
    paths = {
        "/api/me": answer({"type": "object", "required": ["login"], "properties": {"login": {"type": text}}}),
        "/api/boards": answer(listed({"id": text, "key": text, "name": text}), *pages),
        "/api/boards/{board}/milestones": answer(
            listed({"id": text, "title": text, "state": state}), *pages, path=("board",)
        ),
    }
    return {"openapi": "3.0.3", "info": {"title": "Acme Boards", "version": "1"}, "paths": paths}


def test_the_page_keeps_its_word_about_its_length_and_is_the_same_in_both_languages() -> None:
    english, chinese = code("adding-a-connector.md"), code("adding-a-connector.zh-CN.md")
    assert english == chinese
    assert list(english) == ["huikuan_acme/__init__.py", "huikuan_acme/fake.py", OWN]
    lines = [x for x in english["huikuan_acme/__init__.py"].splitlines() if x.strip()]
    assert len(lines) <= 65
