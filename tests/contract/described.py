"""A vendor's own description as a referee: every request a connector makes and every answer of its fake is
checked against it while the whole connector runs. What broke the agreement is kept in `broken`.

openapi-core does not look at query parameters that the description does not know, so we do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import graphql
import httpx
from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from openapi_core.templating.paths.exceptions import PathError
from openapi_core.templating.paths.finders import APICallPathFinder
from werkzeug.datastructures import Headers, ImmutableMultiDict

from connectors.kit.conformance import CASES, run_case
from connectors.registry import ConnectorInfo


@dataclass(frozen=True)
class _Request:
    """An httpx request as openapi-core wants it."""

    host_url: str
    path: str
    method: str
    parameters: RequestParameters
    body: bytes | None
    content_type: str


@dataclass(frozen=True)
class _Response:
    status_code: int
    headers: Mapping[str, Any]
    data: bytes | None
    content_type: str


@dataclass
class Described(httpx.AsyncBaseTransport):
    """A transport that asks the description about everything that passes through it to `inner`.

    `ignore_answers`: paths whose described answers are known to be wrong, each with the reason. `skip`: paths
    that the description does not have (a token call), which is counted, not hidden.
    """

    inner: httpx.AsyncBaseTransport
    openapi: OpenAPI
    base: str
    ignore_answers: Mapping[str, str] = field(default_factory=dict)
    skip: Mapping[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    checked: int = 0

    @classmethod
    def of(cls, inner: httpx.AsyncBaseTransport, file: Path, base: str, **options: Any) -> Described:
        """From a description file; `base` is the URL before its paths, in place of the servers it names."""
        spec = json.loads(file.read_text(encoding="utf-8-sig"))
        return cls(inner, OpenAPI.from_dict({**spec, "servers": [{"url": base}]}), base, **options)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Check the request, ask the fake, check its answer."""
        answer = await self.inner.handle_async_request(request)
        if not any(p in request.url.path for p in self.skip):
            self.checked += 1
            self._check(request, answer)
        return answer

    def _check(self, request: httpx.Request, answer: httpx.Response) -> None:
        where = f"{request.method} {request.url.path}"
        asked = _asked(request)
        try:
            self.openapi.validate_request(asked)
            self._unknown_parameters(asked, where)
            if answer.is_success and not any(p in request.url.path for p in self.ignore_answers):
                kind = answer.headers.get("content-type", "application/json").partition(";")[0]
                self.openapi.validate_response(asked, _Response(answer.status_code, Headers(list(answer.headers.items())), answer.content, kind))  # fmt: skip
        except PathError as problem:
            self.broken.append(f"{where}: not in the description ({problem})")
        except OpenAPIError as problem:
            self.broken.append(f"{where}: {_why(problem)} {problem}"[:600])

    def _unknown_parameters(self, asked: _Request, where: str) -> None:
        known = _parameters(self.openapi, asked)
        for name in asked.parameters.query:
            if name not in known:
                self.broken.append(f"{where}: parameter {name} is not in the description")


def _parameters(openapi: OpenAPI, asked: _Request) -> set[str]:
    root = openapi.spec.read_value()
    found = APICallPathFinder(openapi.spec, None).find(asked.method, f"{asked.host_url}{asked.path}")
    listed = [*found.path.read_value().get("parameters", []), *found.operation.read_value().get("parameters", [])]
    return {str(_resolved(root, p)["name"]) for p in listed if _resolved(root, p)["in"] == "query"}


def _resolved(root: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        at: Any = root
        for part in node["$ref"].removeprefix("#/").split("/"):
            at = at[part.replace("~1", "/").replace("~0", "~")]
        node = at
    return node


def _asked(request: httpx.Request) -> _Request:
    url = request.url
    given = RequestParameters(
        query=ImmutableMultiDict(url.params.multi_items()), header=Headers(list(request.headers.items()))
    )
    kind = request.headers.get("content-type", "application/json").partition(";")[0]
    host = f"{url.scheme}://{url.netloc.decode()}"
    return _Request(host, url.path, request.method.lower(), given, request.content or None, kind)


def _why(problem: BaseException) -> str:
    """The innermost reasons: openapi-core's own sentence does not say which field."""
    inner = getattr(problem, "schema_errors", None) or getattr(problem.__cause__, "schema_errors", None) or ()
    return "; ".join(f"{'/'.join(map(str, e.absolute_path))}: {e.message[:160]}" for e in list(inner)[:3]) or str(problem.__cause__ or "")  # fmt: skip


@dataclass
class DescribedGraphQL(httpx.AsyncBaseTransport):
    """The same for GraphQL: each query, with its variables, must be valid in the vendor's schema, and each
    answer's data must be what the schema could have given to that query."""

    inner: httpx.AsyncBaseTransport
    schema: graphql.GraphQLSchema
    broken: list[str] = field(default_factory=list)
    checked: int = 0

    @classmethod
    def of(cls, inner: httpx.AsyncBaseTransport, file: Path) -> DescribedGraphQL:
        """From the vendor's SDL file."""
        return cls(inner, graphql.build_schema(file.read_text(encoding="utf-8"), assume_valid=True))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Check the query, ask the fake, check its answer by answering the same query with it."""
        answer = await self.inner.handle_async_request(request)
        body = json.loads(request.content)
        document = graphql.parse(body["query"])
        errors = graphql.validate(self.schema, document)
        self.checked += 1
        self.broken += [f"query: {e.message}" for e in errors]
        told = json.loads(answer.content) if answer.is_success and answer.content[:1] == b"{" else {}
        if not errors and told.get("data") is not None and not told.get("errors"):
            again = graphql.execute_sync(
                self.schema, document, root_value=told["data"], variable_values=body.get("variables")
            )
            self.broken += [f"answer: {e.message} at {e.path}" for e in again.errors or ()]
        return answer


#: The cases of the conformance suite whose script spoils answers itself.
SPOILED = frozenset(
    {
        "passes_after_truncated_answer", "gives_up_when_truncated", "login_page_with_200", "plain_text_with_200",
        "proof_field_missing", "proof_field_of_another_type", "secrets_stay_inside",
    }
)  # fmt: skip


def suite_broken(info: ConnectorInfo, referee: Callable[[httpx.AsyncBaseTransport], Described]) -> dict[str, list[str]]:
    """The whole conformance suite under the eyes of the description: what was broken, by case; SPOILED ones must be."""
    found = {}
    for case in CASES:
        eyes: list[Described] = []

        def build(name: str, options: Mapping[str, object], eyes: list[Described] = eyes, **given: Any) -> Any:
            eyes.append(referee(given.pop("transport")))
            return info.build(name, options, transport=eyes[-1], **given)

        result = run_case(replace(info, build=build), case)
        broken = [b for eye in eyes for b in eye.broken] + ([] if result.outcome != "failed" else [result.reason])
        if broken and case not in SPOILED:
            found[case] = broken
        if not broken and case in SPOILED:
            found[case] = ["the referee did not notice a spoiled answer"]
    return found
