"""What may be asked of a relay, by name, with the parameters each act takes. Nothing else can be reached."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta, Struct, ValidationError, convert

from postbearer.errors import UsageError
from postbearer.operations import Operations
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
class Act:
    """One thing that can be asked."""

    takes: type[Struct]
    do: Callable[[Operations, Any], Awaitable[Any]]
    looks: bool = False  # changes nothing


ACTS: Mapping[str, Act] = {
    "queue.list": Act(Look, lambda operations, given: operations.list(given.query()), looks=True),
    "queue.show": Act(One, lambda operations, given: operations.show(given.message), looks=True),
    "queue.hold": Act(Which, lambda operations, given: operations.hold(given.message, given.address)),
    "queue.release": Act(Which, lambda operations, given: operations.release(given.message, given.address)),
    "queue.retry": Act(Which, lambda operations, given: operations.retry(given.message, given.address)),
    "queue.cancel": Act(Which, lambda operations, given: operations.cancel(given.message, given.address)),
    "queue.stats": Act(Nothing, lambda operations, given: operations.stats(), looks=True),
    "accounts.list": Act(Nothing, lambda operations, given: operations.accounts(), looks=True),
    "accounts.show": Act(Named, lambda operations, given: operations.account(given.name), looks=True),
    "accounts.check": Act(Examined, lambda operations, given: operations.check(given.name, given.send_to)),
    "accounts.pause": Act(Named, lambda operations, given: operations.pause(given.name)),
    "accounts.token": Act(Named, lambda operations, given: operations.token(given.name)),
    "accounts.changed": Act(Named, lambda operations, given: operations.changed(given.name)),
    "accounts.resume": Act(Named, lambda operations, given: operations.resume(given.name)),
    "relay.reload": Act(Nothing, lambda operations, given: operations.reload()),
    "relay.stop": Act(Nothing, lambda operations, given: operations.stop()),
}


async def perform(operations: Operations, name: str, given: Mapping[str, Any]) -> Any:
    """Do one act. Raises `UsageError` for an act or parameters that are none, and what the act raises."""
    act = ACTS.get(name)
    if act is None:
        raise UsageError(f"There is no act {name[:40]!r}.")
    try:
        parameters = convert(dict(given), act.takes)
    except ValidationError as error:
        raise UsageError(f"{name}: {error}.") from None
    return await act.do(operations, parameters)
