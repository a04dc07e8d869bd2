"""What may be asked of a relay, by name: parameters, answer and needed right. Nothing else can be reached."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta, Struct, ValidationError, convert

from postbearer.control.answers import (
    AccountStatus,
    Change,
    DiagnosisResult,
    LetGo,
    MessageDetail,
    Page,
    QueueStatistics,
    RelayReloaded,
    RelayStopping,
    Woken,
)
from postbearer.control.principal import Principal, Right
from postbearer.errors import NotPermitted, UsageError
from postbearer.oauth import TokenResponse
from postbearer.store import Query, Status

if TYPE_CHECKING:
    from postbearer.control.operations import Operations

EXPORT, IMPORT = "queue.export", "queue.import"
MOST = 1000  # messages one answer may list

_Text = Annotated[str, Meta(max_length=1000)]


class Nothing(Struct, forbid_unknown_fields=True, frozen=True):
    """No parameters."""


class Which(Struct, forbid_unknown_fields=True, frozen=True):
    """A message, or one recipient of it."""

    message: _Text
    address: _Text = ""


class One(Struct, forbid_unknown_fields=True, frozen=True):
    """A message."""

    message: _Text


class Examined(Struct, forbid_unknown_fields=True, frozen=True):
    """An account, or with an empty name the configuration alone; and where a message may be sent."""

    name: _Text = ""
    send_to: _Text = ""


class Named(Struct, forbid_unknown_fields=True, frozen=True):
    """An account."""

    name: _Text


class Look(Struct, forbid_unknown_fields=True, frozen=True):
    """The fields of `Query`."""

    id: _Text = ""
    id_prefix: _Text = ""
    account: _Text = ""
    client: _Text = ""
    statuses: tuple[Status, ...] = ()
    address: _Text = ""
    message_id: _Text = ""
    older_than: float | None = None
    newer_than: float | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST)] = 100
    after: _Text = ""

    def query(self) -> Query:
        return Query(**{name: getattr(self, name) for name in self.__struct_fields__})


@dataclass(frozen=True, slots=True)
class Method:
    """One thing that can be asked."""

    takes: type[Struct]
    answers: Any  # a type that `msgspec` knows
    needs: Right
    do: Callable[[Operations, Any, Principal], Awaitable[Any]]


METHODS: Mapping[str, Method] = {
    "queue.list": Method(Look, Page, Right.LOOK, lambda on, given, by: on.messages.list(given.query())),
    "queue.show": Method(
        One, MessageDetail, Right.LOOK, lambda on, given, by: on.messages.show(given.message)
    ),
    "queue.hold": Method(
        *(Which, Change, Right.OPERATE),
        lambda on, given, by: on.messages.hold(given.message, given.address, by=by),
    ),
    "queue.release": Method(
        *(Which, LetGo, Right.OPERATE),
        lambda on, given, by: on.messages.release(given.message, given.address, by=by),
    ),
    "queue.retry": Method(
        *(Which, LetGo, Right.OPERATE),
        lambda on, given, by: on.messages.retry(given.message, given.address, by=by),
    ),
    "queue.cancel": Method(
        *(Which, Change, Right.OPERATE),
        lambda on, given, by: on.messages.cancel(given.message, given.address, by=by),
    ),
    "queue.stats": Method(Nothing, QueueStatistics, Right.LOOK, lambda on, given, by: on.messages.stats()),
    "accounts.list": Method(
        *(Nothing, tuple[AccountStatus, ...], Right.LOOK), lambda on, given, by: on.accounts.list()
    ),
    "accounts.show": Method(
        Named, AccountStatus, Right.LOOK, lambda on, given, by: on.accounts.show(given.name)
    ),
    "accounts.check": Method(
        *(Examined, DiagnosisResult, Right.OPERATE),
        lambda on, given, by: on.check(given.name, given.send_to, by=by),
    ),
    "accounts.pause": Method(
        Named, AccountStatus, Right.OPERATE, lambda on, given, by: on.accounts.pause(given.name, by=by)
    ),
    "accounts.resume": Method(
        Named, AccountStatus, Right.OPERATE, lambda on, given, by: on.accounts.resume(given.name, by=by)
    ),
    "accounts.changed": Method(
        Named, Woken, Right.OPERATE, lambda on, given, by: on.accounts.changed(given.name, by=by)
    ),
    "accounts.token": Method(
        Named, TokenResponse, Right.ADMIN, lambda on, given, by: on.accounts.token(given.name)
    ),
    "relay.reload": Method(Nothing, RelayReloaded, Right.ADMIN, lambda on, given, by: on.reload(by=by)),
    "relay.stop": Method(Nothing, RelayStopping, Right.ADMIN, lambda on, given, by: on.stop(by=by)),
}
STREAMS: Mapping[str, Right] = {EXPORT: Right.ADMIN, IMPORT: Right.ADMIN}  # served by whoever has the stream


def permit(by: Principal, name: str) -> None:
    """Raise `UsageError` for a method that is none, and `NotPermitted` when `by` may not call it."""
    needed = METHODS[name].needs if name in METHODS else STREAMS.get(name)
    if needed is None:
        raise UsageError(f"There is no act {name[:40]!r}.")
    if not by.may(needed):
        raise NotPermitted(
            f'{by.name} may not do this: {name} needs the right "{needed}".',
            hint="Operators may look; the relay's own user and root may do everything.",
        )


async def perform(operations: Operations, by: Principal, name: str, given: Mapping[str, Any]) -> Any:
    """Call a method for `by`; its answer is of the type that the table names.

    Raises `UsageError` for a method or parameters that are none, `NotPermitted`, and what the method raises.
    """
    permit(by, name)
    method = METHODS[name]
    try:
        parameters = convert(dict(given), method.takes)
    except ValidationError as error:
        raise UsageError(f"{name}: {error}.") from None
    return await method.do(operations, parameters, by)
