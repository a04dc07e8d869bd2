"""Many messages, a few at a time: one result each, told as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from email.message import Message
from typing import Any

from postbearer.envelope import Envelope
from postbearer.errors import PostbearerError, UsageError
from postbearer.message import Content
from postbearer.outcome import Receipt
from postbearer.providers import Disposition, Rule, Scope
from postbearer.sending.parts import Parts
from postbearer.verdict import judge

ToSend = Message | Parts | tuple[bytes | Content, Envelope]


@dataclass(frozen=True, slots=True)
class SendResult:
    """What became of one of many messages: a `receipt`, or the `error` that `send` would have raised.

    `index` is its place among them, from 0; `done` is how many have ended so far.
    """

    index: int
    done: int
    receipt: Receipt | None = None
    error: PostbearerError | None = None


OnProgress = Callable[[SendResult], object]


class Many:
    """The messages still to be taken, and the results so far."""

    def __init__(
        self, messages: Iterable[ToSend], on_progress: OnProgress | None, rules: Sequence[Rule] | None
    ) -> None:
        if isinstance(messages, str | bytes | Mapping | Message) or not isinstance(messages, Iterable):
            raise UsageError(
                f"Many messages are a list of them, and no {type(messages).__name__}.",
                hint="For one there is send().",
            )
        if on_progress is not None and not callable(on_progress):
            raise UsageError(
                f"on_progress is a function, and no {type(on_progress).__name__}.",
                hint="Give on_progress=print.",
            )
        self._messages = enumerate(messages)
        self._tell = on_progress
        self._rules = rules
        self._results: list[SendResult] = []
        self._stopped: PostbearerError | None = None  # what keeps all that is left from being sent as well

    @property
    def results(self) -> list[SendResult]:
        """In the order of the messages."""
        return sorted(self._results, key=lambda result: result.index)

    def next(self) -> tuple[int, ToSend] | None:
        """The next message and its place, or None at the end."""
        for index, message in self._messages:
            if self._stopped is None:
                return index, message
            self._add(SendResult(index, self._done, error=self._stopped))
        return None

    def sent(self, index: int, receipt: Receipt) -> None:
        self._add(SendResult(index, self._done, receipt))

    def failed(self, index: int, error: PostbearerError) -> None:
        """What a person must cure for the account is not tried once more for each of the rest."""
        verdict = judge(error, rules=self._rules)
        if verdict.disposition is Disposition.HOLD and verdict.scope is Scope.ACCOUNT:
            self._stopped = error
        self._add(SendResult(index, self._done, error=error))

    @property
    def _done(self) -> int:
        return len(self._results) + 1

    def _add(self, result: SendResult) -> None:
        self._results.append(result)
        if self._tell is not None:
            self._tell(result)


async def side_by_side(many: Many, send: Callable[..., Awaitable[Receipt]], most: int) -> list[SendResult]:
    """Send them, `most` at once, as tasks of this event loop."""

    async def work() -> None:
        while (taken := many.next()) is not None:
            index, message = taken
            try:
                given, parts = _arguments(message)
                receipt = await send(*given, **parts)
            except PostbearerError as error:
                many.failed(index, error)
            else:
                many.sent(index, receipt)

    tasks = [asyncio.create_task(work()) for _ in range(most)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return many.results


def parallel(many: Many, begin: Callable[..., Future[Receipt]], most: int) -> list[SendResult]:
    """Send them, `most` at once, each begun from this thread."""
    under_way: dict[Future[Receipt], int] = {}
    try:
        while True:
            while len(under_way) < most and (taken := many.next()) is not None:
                index, message = taken
                try:
                    given, parts = _arguments(message)
                    under_way[begin(*given, **parts)] = index
                except PostbearerError as error:
                    many.failed(index, error)
            if not under_way:
                return many.results
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                index = under_way.pop(future)
                try:
                    receipt = future.result()
                except PostbearerError as error:
                    many.failed(index, error)
                else:
                    many.sent(index, receipt)
    finally:
        for future in under_way:
            future.cancel()


def _arguments(item: object) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """One of many messages, as arguments of ``send``. Raises `UsageError` for what is none."""
    match item:
        case Message():
            return (item,), {}
        case Mapping() if item:
            return (), dict(item)
        case (content, Envelope() as envelope):
            return (content, envelope), {}
    raise UsageError(
        f"{item!r:.80} is no message.",
        hint="Give an EmailMessage, dict(to=…, subject=…, text=…), or (bytes, Envelope).",
    )
