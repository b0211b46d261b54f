"""A vendor's own description as a referee: every request a connector makes and every answer of its fake is
checked against it while the whole connector runs. What broke the agreement is kept in `broken`.

    from connectors.kit.described import Described, suite_broken

    def test_the_suite_is_as_described():
        spec = Path(__file__).with_name("openapi.yaml")
        assert suite_broken(CONNECTOR, lambda fake: Described.of(fake, spec, "https://acme.example")) == {}

It needs openapi-core (GraphQL: graphql-core), which Huikuan itself does not: install it beside your tests.
openapi-core does not look at query parameters that the description does not know, so we do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import yaml

from connectors.kit.conformance import CASES, run_case
from connectors.registry import ConnectorInfo

if TYPE_CHECKING:
    import graphql
    from openapi_core import OpenAPI
    from openapi_core.datatypes import RequestParameters


def _library(module: str, package: str) -> Any:
    """A module of a library that only this needs. Raises ImportError that says what to install."""
    try:
        return import_module(module)
    except ModuleNotFoundError as problem:
        raise ImportError(f"a vendor's description is checked by {package}: pip install {package}") from problem


@dataclass
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
        """From a description file, JSON or YAML; `base` is the URL before its paths, in place of the servers it names."""
        text = file.read_text(encoding="utf-8-sig")
        spec = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
        openapi = _library("openapi_core", "openapi-core").OpenAPI
        return cls(inner, openapi.from_dict({**spec, "servers": [{"url": base}]}), base, **options)

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
        paths, errors = _openapi("templating.paths.exceptions"), _openapi("exceptions")
        try:
            self.openapi.validate_request(asked)
            self._unknown_parameters(asked, where)
            if answer.is_success and not any(p in request.url.path for p in self.ignore_answers):
                kind = answer.headers.get("content-type", "application/json").partition(";")[0]
                self.openapi.validate_response(
                    asked, _Response(answer.status_code, _headers(answer), answer.content, kind)
                )
        except paths.PathError as problem:
            self.broken.append(f"{where}: not in the description ({problem})")
        except errors.OpenAPIError as problem:
            self.broken.append(f"{where}: {_why(problem)} {problem}"[:600])

    def _unknown_parameters(self, asked: _Request, where: str) -> None:
        known = _parameters(self.openapi, asked)
        for name in asked.parameters.query:
            if name not in known:
                self.broken.append(f"{where}: parameter {name} is not in the description")


def _parameters(openapi: OpenAPI, asked: _Request) -> set[str]:
    root = openapi.spec.read_value()
    found = (
        _openapi("templating.paths.finders")
        .APICallPathFinder(openapi.spec, None)
        .find(asked.method, f"{asked.host_url}{asked.path}")
    )
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
    query = _library("werkzeug.datastructures", "openapi-core").ImmutableMultiDict(url.params.multi_items())
    given = _openapi("datatypes").RequestParameters(query=query, header=_headers(request))
    kind = request.headers.get("content-type", "application/json").partition(";")[0]
    host = f"{url.scheme}://{url.netloc.decode()}"
    return _Request(host, url.path, request.method.lower(), given, request.content or None, kind)


def _headers(message: httpx.Request | httpx.Response) -> Any:
    return _library("werkzeug.datastructures", "openapi-core").Headers(list(message.headers.items()))


def _openapi(module: str) -> Any:
    return _library(f"openapi_core.{module}", "openapi-core")


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
        graphql = _library("graphql", "graphql-core")
        return cls(inner, graphql.build_schema(file.read_text(encoding="utf-8"), assume_valid=True))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Check the query, ask the fake, check its answer by answering the same query with it."""
        graphql = _library("graphql", "graphql-core")
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


def suite_broken(
    info: ConnectorInfo, referee: Callable[[httpx.AsyncBaseTransport], Described], *, lenient: Collection[str] = ()
) -> dict[str, list[str]]:
    """The whole conformance suite under the eyes of the description: what was broken, by case.

    SPOILED ones must be, or the referee sleeps; `lenient` names those of them that a description lets pass
    because it does not require the field.
    """
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
        if not broken and case in SPOILED and case not in lenient:
            found[case] = ["the referee did not notice a spoiled answer"]
    return found
