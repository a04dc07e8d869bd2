"""One call of a webhook: a signed POST, and what its answer means."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from postbearer.clock import Clock
from postbearer.errors import PostbearerError, SecretError
from postbearer.http import HttpResponse, fetch
from postbearer.http_session import HttpSession
from postbearer.secret import Secret
from postbearer.standard_webhooks import LONGEST, SHORTEST, fields, key_of
from postbearer.store import StateChange
from postbearer.timestamps import format_timestamp
from postbearer.tracking import event_of
from postbearer.webhooks import schedule
from postbearer.webhooks.target import WebhookTarget

KNOWN: Final = 30.0  # seconds that secrets which were read are used: not each event asks a vault
GONE: Final = 410
THROTTLED: Final = (429, 502, 503, 504)  # with Retry-After, the receiver wants no event at all for a while
SHOWN: Final = 500  # characters of an answer that a test shows


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryResult:
    """What came back: `status` of the answer, or why there is none. `said` is how its body begins.

    `wait` is how many seconds the receiver wants to be left alone, and `throttled`: with any event.
    """

    status: int = 0
    error: str = ""
    hint: str = ""
    wait: float | None = None
    said: str = ""
    seconds: float = 0.0

    @property
    def arrived(self) -> bool:
        return not self.error

    @property
    def gone(self) -> bool:
        return self.status == GONE

    @property
    def throttled(self) -> bool:
        return self.status in THROTTLED and self.wait is not None


class WebhookSender:
    """Calls one target, over connections that are kept for a moment."""

    def __init__(self, target: WebhookTarget, clock: Clock) -> None:
        self._target = target
        self._clock = clock
        hint = "If that is right, name its network: allow-private of the webhook."
        self._session = HttpSession(target.rules, hint)
        self._read: tuple[float, str, Sequence[Secret]] | None = None

    async def close(self) -> None:
        await self._session.close()

    async def send(self, identifier: str, body: bytes) -> DeliveryResult:
        """POST `body`. Nothing that can happen on the way is raised."""
        began = self._clock.monotonic()
        try:
            answer = await self._post(identifier, body)
        except PostbearerError as error:
            if isinstance(error, SecretError):  # it may be corrected any moment
                self._read = None
            return DeliveryResult(
                error=error.message, hint=error.hint, seconds=self._clock.monotonic() - began
            )
        return DeliveryResult(
            status=answer.status,
            error=_why(answer),
            wait=answer.retry_after(self._clock.now(), schedule.LONGEST),
            said=answer.body[: 4 * SHOWN].decode("utf-8", "replace")[:SHOWN],
            seconds=self._clock.monotonic() - began,
        )

    async def _post(self, identifier: str, body: bytes) -> HttpResponse:
        url, secrets = await self._secrets()
        headers = fields(identifier, self._clock.now(), body, secrets)
        return await fetch(
            "POST",
            url,
            content=body,
            headers=headers,
            timeout=self._target.timeout,
            ca_file=self._target.ca_file,
            session=self._session,
        )

    async def _secrets(self) -> tuple[str, Sequence[Secret]]:
        """The address and the keys; what was read a moment ago still counts."""
        now = self._clock.monotonic()
        if self._read is None or now - self._read[0] > KNOWN:
            url = self._target.url
            address = url if isinstance(url, str) else (await url.read()).reveal()
            secrets = [await each.read() for each in self._target.secrets]
            for source, secret in zip(self._target.secrets, secrets, strict=True):
                _check(secret, source.reference)
            self._read = now, address, secrets
        return self._read[1], self._read[2]


def identifier_of(change: StateChange) -> str:
    """The id of an event, the same however often it is sent; none of this queue or another has it."""
    known = (change.number, change.at, change.message, change.recipient, change.status, change.unknown)
    return f"evt_{hashlib.sha256(repr(known).encode()).hexdigest()[:32]}"


def body_of(change: StateChange) -> bytes:
    """An event as JSON, in the form that Standard Webhooks recommends."""
    event = event_of(change)
    return msgspec.json.encode({"type": event.type, "timestamp": format_timestamp(change.at), "data": event})


def _why(answer: HttpResponse) -> str:
    """Why an answer says that the event was not taken; empty if it was."""
    if answer.ok:
        return ""
    redirect = ", a redirect, which is not followed" if 300 <= answer.status < 400 else ""
    return f"It answered {answer.status}{redirect}."


def _check(secret: Secret, reference: str) -> None:
    """Raise `SecretError` for a secret that no receiver's library would take."""
    key = key_of(secret)
    if key is None or not SHORTEST <= len(key) <= LONGEST:
        raise SecretError(
            f"The secret {reference} is not whsec_ and {SHORTEST} to {LONGEST} octets in base64.",
            hint='Make one: echo "whsec_$(openssl rand -base64 32)"',
            reference=reference,
        )
