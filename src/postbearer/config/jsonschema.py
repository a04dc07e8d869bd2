"""The JSON Schema of the configuration, for editors that check and complete TOML files."""

from __future__ import annotations

from typing import Any

import msgspec

from postbearer.config.schema import Settings
from postbearer.config.stores import TYPES
from postbearer.oauth import grant_names

_UNITS = {"90 s": ["number", "string"], "25 MB": ["integer", "string"]}


def json_schema() -> dict[str, Any]:
    """The schema (JSON Schema 2020-12) of a whole file."""
    schema = msgspec.json.schema(Settings)
    tables, definitions = _stores()
    schema["$defs"] |= definitions
    schema["$defs"]["AccountSettings"]["properties"]["grant"]["examples"] = [*grant_names()]
    schema["$defs"]["Settings"]["properties"]["secret-stores"]["additionalProperties"] = tables
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of postbearer",
        **_tidy(schema),
    }


def _stores() -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema of a [secret-stores.NAME] table, by its type, and the definitions it refers to."""
    references, definitions = msgspec.json.schema_components(TYPES.values(), ref_template="#/$defs/{name}")
    for kind, settings in TYPES.items():
        definitions[settings.__name__]["properties"]["type"] = {"const": kind}
    other = {"required": ["type"], "properties": {"type": {"type": "string", "not": {"enum": [*TYPES]}}}}
    return {"type": "object", "oneOf": [*references, other]}, definitions


def _tidy(node: Any) -> Any:
    """Say what TOML can hold: no null; durations and sizes also as text."""
    if isinstance(node, list):
        return [_tidy(each) for each in node]
    if not isinstance(node, dict):
        return node
    node = {key: _tidy(value) for key, value in node.items() if not (key == "default" and value is None)}
    if "anyOf" in node:
        node["anyOf"] = [each for each in node["anyOf"] if each != {"type": "null"}]
        if len(node["anyOf"]) == 1:
            only = node.pop("anyOf")[0]
            node = {**only, **node}
    if isinstance(node.get("enum"), list) and None in node["enum"]:
        node["enum"] = [each for each in node["enum"] if each is not None]
    example = (node.get("examples") or [""])[0]
    if isinstance(example, str) and example in _UNITS and "type" in node:
        node["type"] = _UNITS[example]
    return node
