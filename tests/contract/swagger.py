"""Swagger 2.0 descriptions of Microsoft as OpenAPI 3.0, which the referee reads.

Where they are not what the servers do, and Microsoft says so elsewhere: a list comes as {count, value}; `object` stands for
any value; parts of a path marked `x-ms-required: false` may be left out.
"""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

Node = dict[str, Any]
_METHODS = ("get", "post", "put", "patch", "delete")


def openapi_of(file: Path) -> Node:
    """The description of a file."""
    old = json.loads(file.read_text(encoding="utf-8-sig"))
    paths: Node = {}
    for path, item in old["paths"].items():
        for method in _METHODS:
            if method in item:
                _add(paths, path, method, item[method], old)
    schemas = {name: _schema(node) for name, node in old["definitions"].items()}
    return {
        "openapi": "3.0.3",
        "info": old["info"],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"accessToken": {"type": "http", "scheme": "basic"}}},
        "security": [{"accessToken": []}],
    }


def _add(paths: Node, path: str, method: str, operation: Node, old: Node) -> None:
    given = [_parameter(p, old) for p in operation.get("parameters", [])]
    spare = [p["name"] for p in given if p["in"] == "path" and p.get("x-ms-required") is False]
    body = next((p for p in given if p["in"] == "body"), None)
    for count in range(len(spare) + 1):
        for left_out in combinations(spare, count):
            shorter = path
            for name in left_out:
                shorter = shorter.replace(f"/{{{name}}}", "")
            kept = [_placed(p) for p in given if p["in"] != "body" and p["name"] not in left_out]
            new: Node = {"parameters": kept, "responses": _responses(operation)}
            if body:
                new["requestBody"] = {"required": True, "content": {"application/json": {"schema": _schema(body["schema"])}}}  # fmt: skip
            paths.setdefault(shorter, {}).setdefault(method, new)


def _parameter(node: Node, old: Node) -> Node:
    found: Node = old["parameters"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
    return found


def _placed(node: Node) -> Node:
    kept = {k: node[k] for k in ("type", "format", "enum", "items") if k in node}
    return {"name": node["name"], "in": node["in"], "required": bool(node.get("required")), "schema": kept}


def _responses(operation: Node) -> Node:
    schema = _schema(operation["responses"]["200"].get("schema", {}))
    if schema.get("type") == "array":
        rows = {**schema, "items": {"nullable": True, "allOf": [schema["items"]]}}
        schema = {"type": "object", "required": ["count", "value"], "properties": {"count": {"type": "integer"}, "value": rows}}  # fmt: skip
    return {"200": {"description": "OK", "content": {"application/json": {"schema": schema}}}}


def _schema(node: Any) -> Any:
    """References to where they are now; an object without a shape is anything."""
    if isinstance(node, list):
        return [_schema(n) for n in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return {"$ref": node["$ref"].replace("#/definitions/", "#/components/schemas/")}
    found = {k: _schema(v) for k, v in node.items() if not k.startswith("x-ms-")}
    shapeless = found.get("type") == "object" and not {"properties", "allOf", "additionalProperties"} & set(found)
    return {} if shapeless else found
