"""The OpenAPI 3.1 document, made of the table of endpoints and of the types that check what comes in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import json, structs

from postbearer._version import __version__
from postbearer.api.endpoint import ApiEndpoint
from postbearer.api.problems import KINDS, TYPES, ProblemDocument
from postbearer.api.tokens import TokenScope

_ABOUT = """\
Mail in, and the queue and accounts of a postbearer relay. An answer of 202 means that a message is on the
disk (queued), not that it was sent. What cannot be done is answered by a problem document (RFC 9457); its
type is one of those listed here. Points in time are Unix seconds.
"""
_SCHEMES = {
    "token": {"type": "http", "scheme": "bearer", "description": "made by `postbearer api-token create`"}
}
_PARAMETER = re.compile(r"\{(\w+)\}")
_EVERYWHERE = ("malformed", "misdirected", "too-slow", "defect")


def document(endpoints: Sequence[ApiEndpoint], base_path: str = "") -> dict[str, Any]:
    """The document of the API that has these endpoints."""
    types = [
        each for endpoint in endpoints for each in (endpoint.takes, endpoint.answers) if each is not None
    ]
    queries = [each.type for one in endpoints if one.asks for each in structs.fields(one.asks)]
    made, components = json.schema_components(
        [*types, *queries, ProblemDocument], ref_template="#/components/schemas/{name}"
    )
    known = iter(made)
    bodies = {id(each): next(known) for each in types}
    parameters = [next(known) for _ in queries]
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        asked = [parameters.pop(0) for _ in (structs.fields(endpoint.asks) if endpoint.asks else ())]
        operation = _operation(endpoint, bodies, asked)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "postbearer", "version": __version__, "description": _ABOUT},
        "servers": [{"url": base_path or "/"}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SCHEMES},
    }


def _operation(endpoint: ApiEndpoint, bodies: Mapping[int, Any], asked: Sequence[Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if endpoint.answers is not None:
        content = {endpoint.media_type: {"schema": bodies[id(endpoint.answers)]}}
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": [*_in_path(endpoint), *_in_query(endpoint, asked), *endpoint.parameters],
        "responses": {
            str(endpoint.status): {"description": "done", "content": content},
            **_problems(endpoint),
        },
        "security": [
            {"token": [endpoint.needs or TokenScope.READ]},
            *([{}] if endpoint.needs is None else []),
        ],
    }
    if endpoint.takes is not None:
        taken: dict[str, Any] = {"application/json": {"schema": bodies[id(endpoint.takes)]}}
        taken |= {kind: {"schema": {"type": "string", "format": "binary"}} for kind in endpoint.also_takes}
        operation["requestBody"] = {"required": endpoint.body_needed, "content": taken}
    return operation


def _in_path(endpoint: ApiEndpoint) -> list[dict[str, Any]]:
    names = _PARAMETER.findall(endpoint.path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _in_query(endpoint: ApiEndpoint, asked: Sequence[Any]) -> list[dict[str, Any]]:
    fields = structs.fields(endpoint.asks) if endpoint.asks else ()
    return [
        {"name": each.encode_name, "in": "query", "required": each.required, "schema": schema}
        for each, schema in zip(fields, asked, strict=True)
    ]


def _problems(endpoint: ApiEndpoint) -> dict[str, Any]:
    """The problems of an endpoint, by status."""
    names = {*_EVERYWHERE, *endpoint.problems, "unauthorized", "forbidden", "invalid", "unavailable"}
    if endpoint.limit:
        names |= {"too-large", "unsupported-media-type"}
    if _PARAMETER.search(endpoint.path):
        names.add("not-found")
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
    found: dict[str, Any] = {}
    for name in sorted(names, key=lambda name: KINDS[name]):
        status, title = KINDS[name]
        told = found.setdefault(str(status), {"description": "", "content": content})
        told["description"] = "; ".join(filter(None, (told["description"], f"`{TYPES}{name}`: {title}")))
    return found
