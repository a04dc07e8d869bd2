"""All that may be asked of a relay, by name. Nothing else can be reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import ValidationError, convert

from postbearer.control import (
    account_editor,
    accounts,
    alerts,
    jobs,
    log,
    messages,
    operations,
    overview,
    resending,
    tokens,
    webhooks,
)
from postbearer.control.method import Method
from postbearer.control.principal import Principal, Right
from postbearer.errors import NotPermitted, UsageError

if TYPE_CHECKING:
    from postbearer.control.operations import Operations

EXPORT, IMPORT = "queue.export", "queue.import"
METHODS: Mapping[str, Method] = {
    **messages.METHODS,
    **resending.METHODS,
    **jobs.METHODS,
    **accounts.METHODS,
    **account_editor.METHODS,
    **webhooks.METHODS,
    **tokens.METHODS,
    **alerts.METHODS,
    **log.METHODS,
    **overview.METHODS,
    **operations.METHODS,
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


async def perform(on: Operations, by: Principal, name: str, given: Mapping[str, Any]) -> Any:
    """Call a method for `by`; its answer is of the type that the table names.

    Raises `UsageError` for a method or parameters that are none, `NotPermitted`, and what the method raises.
    """
    permit(by, name)
    method = METHODS[name]
    try:
        parameters = convert(dict(given), method.takes)
    except ValidationError as error:
        raise UsageError(f"{name}: {error}.") from None
    return await method.do(on, parameters, by)
