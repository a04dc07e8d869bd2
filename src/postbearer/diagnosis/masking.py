"""The last gate in front of everything a diagnosis says: no secret that it has seen goes through.

Every part masks its own secrets already; this one is for what nobody thought of, such as a server
that repeats a client secret in a claim or in a certificate.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, cast
from urllib.parse import quote, quote_plus

from postbearer.diagnosis.commands import Command
from postbearer.diagnosis.finding import Failure, Finding, Step
from postbearer.secret import MASK, Secret

_SHORTEST = 8  # characters: less stands in anything, also where it is no secret


class Mask:
    """Hides what it was told about, in any part of a finding."""

    def __init__(self) -> None:
        self._forms: set[str] = set()

    def add(self, secret: Secret) -> None:
        """Hide `secret` from now on."""
        value = secret.reveal()
        if len(value.strip()) >= _SHORTEST:
            encoded = b64encode(value.encode("utf-8", "surrogateescape")).decode()
            self._forms |= {value, value.strip(), quote(value, safe=""), quote_plus(value), encoded}

    def text(self, text: str) -> str:
        """`text` without any secret."""
        for form in sorted(self._forms, key=len, reverse=True):
            text = text.replace(form, MASK)
        return text

    def finding(self, finding: Finding) -> Finding:
        """`finding` without any secret."""
        values = {each.name: self._any(getattr(finding, each.name)) for each in fields(finding)}
        return replace(finding, **values)

    def _any(self, value: Any) -> Any:
        match value:
            case Step() | Failure():
                return value
            case str():
                return self.text(value)
            case Command():
                return replace(
                    value, **{each.name: self._any(getattr(value, each.name)) for each in fields(value)}
                )
            case tuple() | list():
                return type(value)(map(self._any, value))
            case Mapping():
                return {key: self._any(each) for key, each in cast(Mapping[str, Any], value).items()}
            case _:
                return value
