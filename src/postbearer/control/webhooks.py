"""What people see of webhooks, and do to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Protocol

from msgspec import Meta, Struct

from postbearer.control.acts import Act, AuditRecorder
from postbearer.control.method import Method, Nothing, Text
from postbearer.control.principal import Principal, Right
from postbearer.errors import UsageError
from postbearer.moments import Time

Word = Literal["working", "failing", "disabled"]


class WebhookStatus(Struct, frozen=True, kw_only=True):
    """How a webhook is. `place` is the host of its address, or where that is kept.

    `waiting` events are not sent yet, the first of them `age` seconds old. One `arrived` last then; `since`
    then nothing does, or it is disabled, for the reason in `error`. So many were `dropped`.
    """

    name: str
    place: str
    state: Word
    events: tuple[str, ...]
    accounts: tuple[str, ...]
    clients: tuple[str, ...]
    waiting: int
    age: float | None
    arrived: Time | None
    since: Time | None
    error: str
    tried_again: Time | None
    dropped: int


class WebhookTested(Struct, frozen=True, kw_only=True):
    """What came back when an event was sent that tells of nothing. `said` is how the answer begins."""

    name: str
    id: str
    arrived: bool
    status: int | None
    error: str
    hint: str
    seconds: float
    said: str


class WebhookReplayed(Struct, frozen=True, kw_only=True):
    """So many events are looked at once more, from the number `first` on, and sent if they are wanted."""

    name: str
    events: int
    first: int


class OneWebhook(Struct, forbid_unknown_fields=True, frozen=True):
    """A webhook."""

    name: Text


class Replay(Struct, forbid_unknown_fields=True, frozen=True):
    """From the event `first` on, or from what happened `since`; only of one message, if it is named."""

    name: Text
    first: Annotated[int, Meta(ge=0)] = 0
    since: float | None = None
    message: Text = ""


class WebhookCalls(Protocol):
    """The webhooks of a running relay. Raises `UsageError` for one that there is not, and `StoreError`."""

    async def list(self) -> tuple[WebhookStatus, ...]: ...

    async def test(self, name: str) -> WebhookTested: ...

    async def replay(self, name: str, first: int, since: float | None, message: str) -> WebhookReplayed: ...

    async def enable(self, name: str) -> WebhookStatus: ...


class Webhooks:
    """The same, for people: who did what is told."""

    def __init__(self, calls: WebhookCalls | None, recorder: AuditRecorder) -> None:
        self._calls = calls
        self._recorder = recorder

    async def list(self) -> tuple[WebhookStatus, ...]:
        """All of them."""
        return await self._running().list()

    async def test(self, name: str, *, by: Principal) -> WebhookTested:
        """Send an event that tells of nothing, now, also to one that is disabled."""
        tested = await self._running().test(name)
        await self._recorder.done(Act(by=by, action="test webhook", detail=name))
        return tested

    async def replay(self, asked: Replay, *, by: Principal) -> WebhookReplayed:
        """Send what was sent already once more, under the same ids."""
        done = await self._running().replay(asked.name, asked.first, asked.since, asked.message)
        act = Act(
            by=by, action="replay webhook", message=asked.message, detail=f"{asked.name} from {done.first}"
        )
        await self._recorder.done(act)
        return done

    async def enable(self, name: str, *, by: Principal) -> WebhookStatus:
        """Call one again that was disabled; all that waits for it is sent now."""
        done = await self._running().enable(name)
        await self._recorder.done(Act(by=by, action="enable webhook", detail=name))
        return done

    def _running(self) -> WebhookCalls:
        if self._calls is None:
            raise UsageError("No relay runs here that could call.", hint="Start one by: postbearer serve")
        return self._calls


METHODS: Mapping[str, Method] = {
    "webhooks.list": Method(
        *(Nothing, tuple[WebhookStatus, ...], Right.LOOK), lambda on, given, by: on.webhooks.list()
    ),
    "webhooks.test": Method(
        *(OneWebhook, WebhookTested, Right.OPERATE), lambda on, given, by: on.webhooks.test(given.name, by=by)
    ),
    "webhooks.replay": Method(
        *(Replay, WebhookReplayed, Right.OPERATE), lambda on, given, by: on.webhooks.replay(given, by=by)
    ),
    "webhooks.enable": Method(
        *(OneWebhook, WebhookStatus, Right.OPERATE),
        lambda on, given, by: on.webhooks.enable(given.name, by=by),
    ),
}
