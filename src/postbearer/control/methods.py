"""What may be asked of a relay, by name, with the parameters each act takes. Nothing else can be reached."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta, Struct, ValidationError, convert

from postbearer.control.operations import Operations
from postbearer.errors import UsageError
from postbearer.store import Query, Status

EXPORT, IMPORT = "queue.export", "queue.import"  # streams: whoever serves them does so itself
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
    do: Callable[[Operations, Any], Awaitable[Any]]
    looks: bool = False  # changes nothing


METHODS: Mapping[str, Method] = {
    "queue.list": Method(Look, lambda operations, given: operations.list(given.query()), looks=True),
    "queue.show": Method(One, lambda operations, given: operations.show(given.message), looks=True),
    "queue.hold": Method(Which, lambda operations, given: operations.hold(given.message, given.address)),
    "queue.release": Method(
        Which, lambda operations, given: operations.release(given.message, given.address)
    ),
    "queue.retry": Method(Which, lambda operations, given: operations.retry(given.message, given.address)),
    "queue.cancel": Method(Which, lambda operations, given: operations.cancel(given.message, given.address)),
    "queue.stats": Method(Nothing, lambda operations, given: operations.stats(), looks=True),
    "accounts.list": Method(Nothing, lambda operations, given: operations.accounts(), looks=True),
    "accounts.show": Method(Named, lambda operations, given: operations.account(given.name), looks=True),
    "accounts.check": Method(Examined, lambda operations, given: operations.check(given.name, given.send_to)),
    "accounts.pause": Method(Named, lambda operations, given: operations.pause(given.name)),
    "accounts.token": Method(Named, lambda operations, given: operations.token(given.name)),
    "accounts.changed": Method(Named, lambda operations, given: operations.changed(given.name)),
    "accounts.resume": Method(Named, lambda operations, given: operations.resume(given.name)),
    "relay.reload": Method(Nothing, lambda operations, given: operations.reload()),
    "relay.stop": Method(Nothing, lambda operations, given: operations.stop()),
}


async def perform(operations: Operations, name: str, given: Mapping[str, Any]) -> Any:
    """Do one act. Raises `UsageError` for an act or parameters that are none, and what the act raises."""
    act = METHODS.get(name)
    if act is None:
        raise UsageError(f"There is no act {name[:40]!r}.")
    try:
        parameters = convert(dict(given), act.takes)
    except ValidationError as error:
        raise UsageError(f"{name}: {error}.") from None
    return await act.do(operations, parameters)
