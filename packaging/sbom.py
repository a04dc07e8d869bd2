"""Which distributions are in a folder of packages, as a CycloneDX 1.6 bill of materials."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any


def bill_of_materials(site: Path, epoch: int) -> dict[str, Any]:
    """The document; nothing in it depends on the machine or the hour."""
    found = sorted(distributions(path=[str(site)]), key=lambda each: each.name.lower())
    components = {each.name: component(each) for each in found}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, UTC).isoformat().replace("+00:00", "Z"),
            "component": {**components.pop("postbearer"), "type": "application"},
        },
        "components": list(components.values()),
    }


def component(found: Distribution) -> dict[str, Any]:
    name = re.sub(r"[-_.]+", "-", found.name).lower()  # as package URLs have it
    reference = f"pkg:pypi/{name}@{found.version}"
    about: dict[str, Any] = {"type": "library", "name": name, "version": found.version}
    about |= {"purl": reference, "bom-ref": reference}
    if told := licence(found):
        about["licenses"] = told
    return about


def licence(found: Distribution) -> list[dict[str, Any]]:
    """As its metadata says: an SPDX expression (PEP 639), or whatever older metadata calls it."""
    metadata = found.metadata
    if expression := metadata.get("License-Expression"):
        return [{"expression": expression}]
    named = (metadata.get("License") or "").strip().splitlines()[:1]
    classifiers = metadata.get_all("Classifier") or []
    named = named or [each.rpartition(" :: ")[2] for each in classifiers if each.startswith("License ::")]
    return [{"license": {"name": each}} for each in named]
