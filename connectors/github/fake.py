"""A scripted GitHub for the conformance suite: Link and ETag headers, renamed repositories, whole rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar

import httpx

from connectors.kit.fakes import PROJECTS, START, Item, Row, ScriptedVendor, reply

MONTH = 30 * 86_400
API = "https://api.github.example"
TOKEN = "ghp_93Kd2FakeToken"  # noqa: S105 - invented
OWNER = "acme"
_REPO_LINKS = (
    "archive", "assignees", "blobs", "branches", "collaborators", "comments", "commits", "compare", "contents", "contributors",
    "deployments", "downloads", "events", "forks", "git_commits", "git_refs", "git_tags", "hooks", "issue_comment", "issue_events",
    "issues", "keys", "labels", "languages", "merges", "milestones", "notifications", "pulls", "releases", "stargazers", "statuses",
    "subscribers", "subscription", "tags", "teams", "trees", "clone", "git", "ssh", "svn",
)  # fmt: skip
_USER_LINKS = (
    "avatar", "events", "followers", "following", "gists", "html", "organizations", "received_events", "repos", "starred",
    "subscriptions",
)  # fmt: skip


class GitHubFake(ScriptedVendor):
    """One account: two repositories. A milestone has one issue, closed by whoever finished it, unless a test says more."""

    system = "github"
    conditional = True
    secrets: ClassVar[tuple[str, ...]] = (TOKEN,)
    skips: ClassVar[Mapping[str, str]] = {
        "token_call_hangs": "there is no token call: the key is sent with every request",
        "token_expires_in_mid_pull": "a key has no end and cannot be renewed",
        "many_requests_share_one_new_token": "there is no token call: the key is sent with every request",
    }

    def __init__(self) -> None:
        super().__init__()
        self.names = [key.lower() for key, _ in PROJECTS]
        self.formerly: dict[str, int] = {}  # older names of repositories
        self.counts: dict[str, tuple[int, int]] = {}  # open and closed issues of an item
        self.scopes: str | None = "repo"
        self.archived: set[int] = set()
        self.closed_by_in_lists = False
        self.sent_to = API  # where the old name of a repository points

    def options(self, **changes: object) -> dict[str, object]:
        return {"base_url": API, "token": TOKEN, "per_minute": 0, "timeout": 0.05, **changes}

    def bad_options(self) -> dict[str, object]:
        return self.options(token="ghp_wrong")  # noqa: S106 - invented

    def next_id(self) -> str:
        return str(7000 + len(self.items) + 1)

    def rename_repository(self, number: int, name: str) -> None:
        """The old name points to the repository from now on."""
        self.formerly[self.names[number]] = number
        self.names[number] = name

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return reply(
                {"message": "Bad credentials", "documentation_url": "https://docs.example/rest", "status": "401"}, 401
            )
        match request.url.path.strip("/").split("/"):
            case ["user"]:
                return reply({**_user("robot"), "name": "Robot"}, headers=self._limits())
            case ["user", "repos"]:
                return self._paged(request, [self._repository(n) for n in range(len(self.names))])
            case ["repos", owner, name, *rest] if owner == OWNER:
                return self._in_repository(request, name, rest)
            case ["repositories", number, *rest]:
                return self._inside(request, int(number) - 50, rest)
        return _absent()

    def _in_repository(self, request: httpx.Request, name: str, rest: Sequence[str]) -> httpx.Response:
        if name in self.names:
            return self._inside(request, self.names.index(name), rest)
        if name not in self.formerly:
            return _absent()
        now = "/".join([f"{self.sent_to}/repositories/{50 + self.formerly[name]}", *rest])
        moved = {"message": "Moved Permanently", "url": now, "documentation_url": "https://docs.example/rest"}
        return reply(moved, 301, {"Location": now})

    def _inside(self, request: httpx.Request, number: int, rest: Sequence[str]) -> httpx.Response:
        own = [i for i in self.items.values() if i.project == number and not i.removed]
        match rest:
            case []:
                return reply(
                    {**self._repository(number), "network_count": 0, "subscribers_count": 0}, headers=self._limits()
                )
            case ["milestones"]:
                answer = self._paged(request, [self._row(i) for i in own])
                self.served(int(request.url.params.get("page", 1)) == 1, 'rel="next"' in answer.headers.get("link", ""))
                return answer
            case ["issues"]:
                wanted = [i for i in own if str(_number(i)) == request.url.params.get("milestone") and i.done]
                return self._paged(request, [self._issue(i, alone=self.closed_by_in_lists) for i in wanted])
            case ["issues", issue]:
                found = next((i for i in own if str(_number(i)) == issue), None)
                return _absent() if found is None else reply(self._issue(found, alone=True), headers=self._limits())
        return _absent()

    # --- rows ---

    def _repository(self, number: int) -> Row:
        name, url = self.names[number], f"{API}/repos/{OWNER}/{self.names[number]}"
        counts = dict.fromkeys(
            (
                "forks",
                "forks_count",
                "size",
                "stargazers_count",
                "watchers",
                "watchers_count",
                "open_issues",
                "open_issues_count",
            ),
            0,
        )
        has = dict.fromkeys(
            ("has_downloads", "has_issues", "has_projects", "has_wiki", "has_discussions", "private"), True
        )
        return {
            "id": 50 + number, "node_id": f"R_{number}", "name": name, "full_name": f"{OWNER}/{name}", "owner": _user(OWNER), "url": url,
            "html_url": f"https://github.example/{OWNER}/{name}", **{f"{k}_url": f"{url}/{k}" for k in _REPO_LINKS}, **counts, **has,
            "fork": False, "has_pages": False, "archived": number in self.archived, "disabled": False, "description": None,
            "homepage": None, "language": None, "license": None, "mirror_url": None, "default_branch": "main",
            "pushed_at": _iso(START), "created_at": _iso(START - MONTH), "updated_at": _iso(START),
        }  # fmt: skip

    def _row(self, item: Item) -> Row:
        left, closed = self.counts.get(item.id, (0, 1) if item.done else (1, 0))
        url = f"{API}/repos/{OWNER}/{self.names[item.project]}/milestones/{_number(item)}"
        row: Row = {
            "url": url, "html_url": f"https://github.example/{OWNER}/milestone/{_number(item)}", "labels_url": f"{url}/labels",
            "id": int(item.id), "node_id": f"MI_{item.id}", "number": _number(item), "state": "closed" if item.done else "open",
            "title": item.name, "description": None, "creator": _user("robot"), "open_issues": left, "closed_issues": closed,
            "created_at": _iso(START - MONTH), "updated_at": _iso(item.updated_at),
            "closed_at": _iso(item.done_at) if item.done and item.done_at else None, "due_on": "2026-12-20T08:00:00Z", **item.unknown,
        }  # fmt: skip
        if item.spoiled == "missing":
            del row["state"]
        elif item.spoiled == "retyped":
            row["state"] = {"name": "closed"}
        return row

    def _issue(self, item: Item, *, alone: bool) -> Row:
        """The milestone's one issue; in lists it does not say who closed it."""
        url = f"{API}/repos/{OWNER}/{self.names[item.project]}/issues/{_number(item)}"
        closed = _iso(item.done_at) if item.done and item.done_at else None
        by = {"closed_by": _user(item.history[-1][2])} if alone and item.done else {}
        return {
            "id": int(item.id) * 10, "node_id": f"I_{item.id}", "number": _number(item), "title": f"issue of {item.name}", "url": url,
            **{f"{k}_url": f"{url}/{k}" for k in ("repository", "labels", "comments", "events", "html")}, "user": _user("robot"),
            "assignee": None, "comments": 0, "labels": [], "locked": False, "milestone": self._row(item),
            "state": "open" if closed is None else "closed", "closed_at": closed, "created_at": _iso(START - MONTH),
            "updated_at": closed or _iso(START), **by,
        }  # fmt: skip

    # --- headers ---

    def _limits(self) -> dict[str, str]:
        scopes = {} if self.scopes is None else {"X-OAuth-Scopes": self.scopes}
        return {"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "4987", **scopes}

    def _paged(self, request: httpx.Request, rows: Sequence[Row]) -> httpx.Response:
        page, size = int(request.url.params.get("page", 1)), min(100, int(request.url.params.get("per_page", 30)))
        some, last = rows[(page - 1) * size : page * size], -(-len(rows) // size)
        links = {} if page >= last else {"next": page + 1, "last": last}
        link = ", ".join(f'<{request.url.copy_set_param("page", n)}>; rel="{rel}"' for rel, n in links.items())
        answer = reply(some, headers={**self._limits(), **({"Link": link} if link else {})})
        return self.tagged(request, answer)


def _user(login: str) -> Row:
    links = {f"{k}_url": f"{API}/users/robot/{k}" for k in _USER_LINKS}
    return {
        "login": login,
        "id": 7,
        "node_id": "U_7",
        "gravatar_id": "",
        "url": f"{API}/users/robot",
        **links,
        "type": "User",
        "site_admin": False,
    }


def _absent() -> httpx.Response:
    return reply({"message": "Not Found", "documentation_url": "https://docs.example/rest", "status": "404"}, 404)


def _number(item: Item) -> int:
    """Counted by repository at the real one; here it is enough that it is not the id."""
    return int(item.id) - 7000


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
