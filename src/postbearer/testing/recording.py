"""Mailers that send nothing and remember everything: for the tests of programs that send.

They open no socket, read no secret and wait for nothing; all else is as with the real ones: what must not
be sent is refused, the sender rule is applied, and there is one outcome for each recipient.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import partial
from typing import Any, TypeVar

from postbearer.account import Account
from postbearer.blocking import Mailer
from postbearer.clock import Clock
from postbearer.diagnosis import DiagnosisReport
from postbearer.envelope import Envelope
from postbearer.errors import PostbearerError, UsageError
from postbearer.events import Observer
from postbearer.mailer import AsyncMailer
from postbearer.message import Content
from postbearer.oauth import StaticToken
from postbearer.outcome import Outcome, Receipt
from postbearer.outcome import State as Fate
from postbearer.providers import Phase
from postbearer.reply import Reply
from postbearer.secret import Secret
from postbearer.state import Ledger, StateOption
from postbearer.testing.clock import ManualClock
from postbearer.testing.replies import parse_reply
from postbearer.transport import Transport, dealt_with
from postbearer.verdict import judged

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Recorded:
    """One message as the provider would have got it."""

    envelope: Envelope
    content: bytes

    @property
    def message(self) -> EmailMessage:
        """The content, parsed; its lines end as Python's do."""
        return message_from_bytes(self.content.replace(b"\r\n", b"\n"), policy=default)

    @property
    def recipients(self) -> tuple[str, ...]:
        """The addresses it went to, those of Bcc too."""
        return self.envelope.addresses


class Recorder:
    """What stands where the connection to the provider would be."""

    def __init__(self) -> None:
        self.messages: list[Recorded] = []
        self.refused: dict[str, Reply] = {}
        self.errors: list[PostbearerError] = []

    async def deliver(self, envelope: Envelope, content: Content) -> Receipt:
        """Take the message for all whom nothing was said about."""
        if self.errors:
            raise self.errors.pop(0)
        octets = b"".join(content.blocks())
        taken = tuple(each for each in envelope.recipients if each.address.lower() not in self.refused)
        number = len(self.messages) + 1
        if taken:
            self.messages.append(
                Recorded(
                    Envelope(envelope.reverse_path, taken, ret=envelope.ret, envid=envelope.envid), octets
                )
            )
        outcomes = tuple(self._outcome(each.address, f"recorded-{number}") for each in envelope.recipients)
        return Receipt(outcomes, server="recording", works=dealt_with(outcomes))

    async def forgive(self) -> None:
        """There is no password."""

    async def close(self) -> None:
        """There is nothing to close."""

    def _outcome(self, address: str, queue_id: str) -> Outcome:
        reply = self.refused.get(address.lower())
        if reply is None:
            taken = parse_reply(f"250 2.0.0 OK: queued as {queue_id}")
            return Outcome(address, Fate.DELIVERED, taken, queue_id=queue_id, phase=Phase.EOD)
        return judged(address, reply, Phase.RCPT)


class _Recording:
    """What both mailers offer to a test."""

    _recorder: Recorder

    @property
    def messages(self) -> list[Recorded]:
        """Everything that was sent, oldest first."""
        return self._recorder.messages

    def refuse(self, address: str, reply: str = "550 5.1.1 No such user") -> None:
        """From now on the provider refuses `address` with this reply; a 4xx is a refusal for now."""
        if not re.fullmatch(r"[45][0-9][0-9]( .*)?", reply):
            raise UsageError(f"{reply!r:.80} is no refusal.", hint='Write "550 5.1.1 No such user".')
        self._recorder.refused[address.lower()] = parse_reply(reply)

    def fail(self, error: PostbearerError, times: int = 1) -> None:
        """The next `times` messages cannot be offered to any server: ``send`` meets `error`."""
        self._recorder.errors += [error] * times

    def clear(self) -> None:
        """Forget all that was sent and said."""
        self._recorder.messages.clear()
        self._recorder.refused.clear()
        self._recorder.errors.clear()


class AsyncRecordingMailer(_Recording, AsyncMailer):
    """An `AsyncMailer` for tests. Without an account it is alerts@example.org; `state` is not used."""

    def __init__(
        self,
        account: Account | None = None,
        *,
        state: StateOption | None = None,
        clock: Clock | None = None,
        observer: Observer | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._recorder = recorder or Recorder()
        super().__init__(
            account or _someone(), state="memory", clock=clock or ManualClock(), observer=observer
        )

    async def check(self, *, send_to: str = "") -> DiagnosisReport:
        """Nothing is asked, and nothing found."""
        return DiagnosisReport(self.account.name, ())

    def _open_transport(self) -> Transport:
        return self._recorder

    def _ledger(self) -> Ledger | None:
        return None

    def _require_asyncio(self) -> None:
        """Nothing here waits for an event loop."""


class RecordingMailer(_Recording, Mailer):
    """A `Mailer` for tests; everything happens in the thread that calls it."""

    def __init__(
        self,
        account: Account | None = None,
        *,
        state: StateOption | None = None,
        clock: Clock | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._recorder = Recorder()
        self._kind = partial(AsyncRecordingMailer, recorder=self._recorder)
        super().__init__(account or _someone(), clock=clock, observer=observer)

    def _begin(self, work: Callable[[AsyncMailer], Coroutine[Any, Any, T]]) -> Future[T]:
        done: Future[T] = Future()
        coroutine = work(self._mailer or self._make())
        try:
            while True:
                coroutine.send(None)  # what is recorded waits for nothing but its turn
        except StopIteration as end:
            done.set_result(end.value)
        except PostbearerError as error:
            done.set_exception(error)
        return done


def _someone() -> Account:
    return Account.smtp(
        "alerts@example.org", grant=StaticToken(Secret("recorded")), servers=["mail.example.org:587"]
    )
