"""The ways a notice goes: a webhook, a program. (The third, a letter, is in `letters`.)"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from urllib.parse import urlsplit

from postbearer.alerts.alert import Alert
from postbearer.clock import Clock
from postbearer.errors import NetworkError, PostbearerError, RemoteProtocolError
from postbearer.http import fetch
from postbearer.secret import SecretSource
from postbearer.secrets import quoted, run_program
from postbearer.standard_webhooks import fields

TIMEOUT = 15.0  # seconds a receiver may take
PROGRAM_TIMEOUT = 30.0


class AlertFailed(PostbearerError):
    """A notice did not arrive. After `retry_after` seconds it may; `gone`: never there again."""

    def __init__(
        self, message: str, *, hint: str = "", retry_after: float | None = None, gone: bool = False
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after
        self.gone = gone


class AlertChannel(Protocol):
    """One way. `name` is what to call it in the log, and never shows more of an address than its host."""

    @property
    def name(self) -> str: ...

    async def send(self, notice: Alert) -> None:
        """Raises `PostbearerError` when it did not arrive."""
        ...


class Webhook:
    """POSTs a notice as JSON, signed as Standard Webhooks says: HMAC-SHA256 over id, time and body.

    A receiver answers 2xx within 15 s; 410 says that it does not want any more. Redirects are not followed.
    """

    def __init__(self, url: str | SecretSource, secret: SecretSource | None, clock: Clock) -> None:
        self._url = url
        self._secret = secret
        self._clock = clock

    @property
    def name(self) -> str:
        place = urlsplit(self._url).netloc if isinstance(self._url, str) else self._url.reference
        return f"the webhook {place}"

    async def send(self, notice: Alert) -> None:
        url = self._url if isinstance(self._url, str) else (await self._url.read()).reveal()
        body = notice.payload()
        secrets = [await self._secret.read()] if self._secret is not None else []
        headers = fields(notice.id, self._clock.now(), body, secrets)
        try:
            answer = await fetch("POST", url, content=body, headers=headers, timeout=TIMEOUT)
        except (NetworkError, RemoteProtocolError) as error:
            raise AlertFailed(error.message, hint=error.hint) from None
        if answer.ok:
            return
        raise AlertFailed(
            f"{self.name} answered {answer.status}.",
            retry_after=answer.retry_after(self._clock.now()),
            gone=answer.status == 410,
        )


class Program:
    """Runs a program that reads the notice as JSON. Status 0 says that it was taken."""

    def __init__(self, argv: Sequence[str], timeout: float = PROGRAM_TIMEOUT) -> None:
        self._argv = tuple(argv)
        self._timeout = timeout

    @property
    def name(self) -> str:
        return f"the program {self._argv[0]}"

    async def send(self, notice: Alert) -> None:
        try:
            status, _, complaint = await run_program(
                self._argv, notice.payload() + b"\n", timeout=self._timeout
            )
        except TimeoutError:
            raise AlertFailed(f"{self.name} was not done within {self._timeout:g} s.") from None
        except OSError as error:
            raise AlertFailed(f"{self.name} cannot be run: {error.strerror}.") from None
        if status != 0:
            raise AlertFailed(f"{self.name} failed with status {status}{quoted(complaint)}.")
