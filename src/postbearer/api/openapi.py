"""The OpenAPI 3.1 document, made of the table of endpoints and of the types that check what comes in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import json, structs

from postbearer._version import __version__
from postbearer.api.endpoint import ApiEndpoint
from postbearer.api.face import NATIVE
from postbearer.api.problems import KINDS, TYPES
from postbearer.api.tokens import TokenScope

_ABOUT = """\
Mail in, and the queue and accounts of a postbearer relay. An answer of 202 means that a message is on the
disk (queued), not that it was sent. What cannot be done is answered by a problem document (RFC 9457); its
type is one of those listed here. Points in time are Unix seconds.
"""
_PARAMETER = re.compile(r"\{(\w+)\}")
_EVERYWHERE = ("malformed", "misdirected", "too-slow", "defect")


def document(endpoints: Sequence[ApiEndpoint], base_path: str = "") -> dict[str, Any]:
    """The document of the API that has these endpoints."""
    types = [
        each for endpoint in endpoints for each in (endpoint.takes, endpoint.answers) if each is not None
    ]
    queries = [each.type for one in endpoints if one.asks for each in structs.fields(one.asks)]
    faces = {each.face.name: each.face for each in endpoints}
    types += [face.document for face in faces.values()]
    made, components = json.schema_components([*types, *queries], ref_template="#/components/schemas/{name}")
    _fit_for_generators(components)
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
        "components": {
            "schemas": components,
            "securitySchemes": {name: face.security for name, face in faces.items()},
        },
    }


def _operation(endpoint: ApiEndpoint, bodies: Mapping[int, Any], asked: Sequence[Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if endpoint.answers is not None:
        content = {endpoint.media_type: {"schema": _answer(endpoint, bodies[id(endpoint.answers)])}}
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "tags": [_tag(endpoint)],
        "summary": endpoint.summary,
        "parameters": [*_in_path(endpoint), *_in_query(endpoint, asked), *endpoint.parameters],
        "responses": {
            str(endpoint.status): {"description": "done", "content": content},
            **(
                {"200": {"description": "what would be done", "content": content}} if endpoint.dry_run else {}
            ),
            **_problems(endpoint, bodies[id(endpoint.face.document)]),
        },
        "security": [
            {endpoint.face.name: [endpoint.needs or TokenScope.READ]},
            *([{}] if endpoint.needs is None else []),
        ],
    }
    if endpoint.takes is not None and endpoint.method != "GET":  # there it means nothing (RFC 9110 9.3.1)
        taken: dict[str, Any] = {"application/json": {"schema": bodies[id(endpoint.takes)]}}
        taken |= {kind: {"schema": {"type": "string", "format": "binary"}} for kind in endpoint.also_takes}
        operation["requestBody"] = {"required": endpoint.body_needed, "content": taken}
    return operation


def _answer(endpoint: ApiEndpoint, schema: Any) -> Any:
    """The schema of the answer. That of a stream is about each event in it, and not about the whole."""
    if endpoint.media_type == "application/json":
        return schema
    return {"type": "string", "description": f"each line or `data` is JSON: {schema['$ref']}"}


def _tag(endpoint: ApiEndpoint) -> str:
    """What generated clients file it under: messages, accounts, events; else the service itself."""
    _, first, *rest = endpoint.path.split("/")
    return rest[0] if rest and first == "v1" else "service"


def _fit_for_generators(schema: Any) -> None:
    """Write it so that those who make clients of it do not stumble.

    That nothing is what is not given goes without saying: as a default, an empty list where several types may
    stand became the text ``[]``, and a must of a field. An array that is always empty has no `items`.
    """
    if isinstance(schema, list):
        for each in schema:
            _fit_for_generators(each)
    if not isinstance(schema, dict):
        return
    if not schema.get("default", True):
        del schema["default"]
    if schema.get("type") == "array":
        schema.setdefault("items", {})
    for each in schema.values():
        _fit_for_generators(each)


def _in_path(endpoint: ApiEndpoint) -> list[dict[str, Any]]:
    names = _PARAMETER.findall(endpoint.path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _in_query(endpoint: ApiEndpoint, asked: Sequence[Any]) -> list[dict[str, Any]]:
    fields = structs.fields(endpoint.asks) if endpoint.asks else ()
    return [
        {"name": each.encode_name, "in": "query", "required": each.required, "schema": schema}
        for each, schema in zip(fields, asked, strict=True)
    ]


def _problems(endpoint: ApiEndpoint, document: Any) -> dict[str, Any]:
    """The problems of an endpoint, by status; `document` is the schema of what tells them."""
    names = {*_EVERYWHERE, *endpoint.problems, "unauthorized", "forbidden", "invalid", "unavailable"}
    if endpoint.limit:
        names |= {"too-large", "unsupported-media-type"}
    if _PARAMETER.search(endpoint.path):
        names.add("not-found")
    content = {endpoint.face.media_type: {"schema": document}}
    found: dict[str, Any] = {}
    for name in sorted(names, key=lambda name: KINDS[name]):
        title = KINDS[name][1]
        words = f"`{TYPES}{name}`: {title}" if endpoint.face is NATIVE else title
        for status in sorted(endpoint.face.statuses(name)):
            told = found.setdefault(str(status), {"description": "", "content": content})
            told["description"] = "; ".join(filter(None, (told["description"], words)))
    return found
