"""The drivers of a SASL exchange (RFC 4422 3), and the values that come out of one.

A mechanism is a pair of plain generators. The client half yields what to send, or `RefusedChallenge` when the
server has said no and still wants an answer. The server half yields challenges and returns a
`ClaimedIdentity`.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

from postbearer.errors import RemoteProtocolError
from postbearer.redaction import LONGEST, Redactor
from postbearer.reply import printable
from postbearer.secret import Secret

LARGEST_CHALLENGE = 64 * 1024
SHOWN = 1000
_ENDED = object()


@dataclass(frozen=True, slots=True)
class Challenge:
    """Why a token was refused, as the server's error challenge tells (RFC 7628 3.2.2).

    `text` is the whole challenge, escaped and shortened; the other fields are empty when it is not JSON.
    `configuration` is an untrusted hint: never send a credential to an issuer learned from it.
    """

    text: str
    status: str = ""
    scope: str = ""
    configuration: str = ""

    @classmethod
    def parse(cls, data: bytes, *, redactor: Redactor | None = None) -> Challenge:
        """Read `data`, which may be anything; `redactor` knows what it may echo."""

        def shown(value: object) -> str:
            text = printable(str(value)[:LONGEST].encode("utf-8", "backslashreplace"))
            text = redactor.text(text) if redactor is not None else text
            return text if len(text) <= SHOWN else text[:SHOWN] + "…"

        fields: dict[str, Any] = {}
        if len(data) <= LARGEST_CHALLENGE:
            fields = _object(data)
        return cls(
            text=shown(data[:LARGEST_CHALLENGE].decode("utf-8", "backslashreplace")),
            status=shown(fields.get("status", "")),
            scope=shown(fields.get("scope", "")),
            configuration=shown(fields.get("openid-configuration", "")),
        )


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class RefusedChallenge:
    """A client half's word that `challenge` means no; `answer` is what the mechanism owes all the same."""

    challenge: bytes = field(repr=False)
    answer: bytes


@dataclass(frozen=True, slots=True)
class ClaimedIdentity:
    """Who a client says it is, and what it offers as proof. Nothing here has been verified."""

    mechanism: str
    username: str = ""
    token: Secret | None = None
    password: Secret | None = None
    authzid: str = ""
    host: str = ""
    port: int = 0


ClientHalf = Generator[bytes | RefusedChallenge | None, bytes, None]
ServerHalf = Generator[bytes, bytes, ClaimedIdentity]


class ClientExchange:
    """One try to authenticate.

    `initial` is the initial response: None if the mechanism has none, ``b""`` if it is empty (RFC 4954 4
    tells these apart). `respond` is called for every challenge after it was sent, never for the empty
    prompt that precedes it in the two-step form.
    """

    def __init__(self, mechanism: str, half: ClientHalf, *, secret: Secret | None = None) -> None:
        self.mechanism = mechanism
        self.failure: Challenge | None = None
        self._half = half
        self.cancelled = False
        first = next(half)
        self.initial: bytes | None = None if isinstance(first, RefusedChallenge) else first
        line = b64encode(self.initial or b"")  # as it is said: names and all
        self.redactor = Redactor([secret, line] if secret else ())  # for whatever the server says meanwhile

    def __repr__(self) -> str:
        return f"ClientExchange({self.mechanism!r}, failure={self.failure!r})"

    def respond(self, challenge: bytes) -> bytes | None:
        """The answer to a decoded `challenge`; None cancels the exchange (``*``, RFC 4954 4).

        Raises `RemoteProtocolError` when the server goes on after a cancellation.
        """
        if self.cancelled:
            raise RemoteProtocolError(
                f"The server goes on with {self.mechanism} though the exchange was cancelled.",
                hint="If it repeats, ask the server's operator.",
            )
        step = self._send(challenge)
        if isinstance(step, RefusedChallenge):
            self.failure = Challenge.parse(step.challenge, redactor=self.redactor)
            return step.answer
        if isinstance(step, bytes):
            return step
        self.cancelled = True
        return None

    def _send(self, challenge: bytes) -> object:
        try:
            return self._half.send(challenge)
        except StopIteration:
            return _ENDED


class ServerExchange:
    """The server's side of one try."""

    def __init__(self, mechanism: str, half: ServerHalf) -> None:
        self.mechanism = mechanism
        self._half = half
        self._first = True

    def __repr__(self) -> str:
        return f"ServerExchange({self.mechanism!r})"

    def step(self, response: bytes | None) -> bytes | ClaimedIdentity:
        """Take the client's response; return the challenge to send, or the claim to verify.

        The first call takes the initial response, None if there was none. Later, None is the client's
        cancellation. Raises `RemoteProtocolError`, to be answered by 501, for that and for a response
        that the mechanism does not allow; never call it again after that or after a `ClaimedIdentity`.
        """
        try:
            if self._first:
                self._first = False
                prompt = next(self._half)
                if response is None:
                    return prompt
            if response is None:
                raise RemoteProtocolError(f"The client cancelled {self.mechanism}.")
            return self._half.send(response)
        except StopIteration as end:
            claim: ClaimedIdentity = end.value
            return claim


def malformed(mechanism: str, why: str) -> RemoteProtocolError:
    """The error for a response that breaks `mechanism`; `why` never holds any of the response."""
    return RemoteProtocolError(f"Malformed {mechanism} response: {why}.")
