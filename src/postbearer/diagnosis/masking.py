"""The last gate in front of everything a diagnosis says: no secret that it has seen goes through.

Every part masks its own secrets already; this one is for what nobody thought of, such as a server
that repeats a client secret in a claim or in a certificate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, cast

from postbearer.diagnosis.commands import Command
from postbearer.diagnosis.finding import Failure, Finding, Step
from postbearer.redaction import Redactor
from postbearer.secret import Secret

# Of words of our own less is hidden than of foreign ones: in short, a secret's words may stand in them.
_SHORTEST = 8  # characters of a secret
_PIECE = 20  # characters of one in a row


class Mask:
    """Hides what it was told about, in any part of a finding."""

    def __init__(self) -> None:
        self._secrets: list[Secret] = []
        self._redactor = Redactor()

    def add(self, secret: Secret) -> None:
        """Hide `secret` from now on."""
        if len(secret.reveal().strip()) >= _SHORTEST:
            self._secrets.append(secret)
            self._redactor = Redactor(self._secrets, piece=_PIECE)

    def text(self, text: str) -> str:
        """`text` without any secret."""
        return self._redactor.text(text)

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
