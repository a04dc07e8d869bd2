"""What the relay said lately, and what was told to whom: by the methods that the console uses."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from postbearer.api.endpoint import ApiEndpoint, Call
from postbearer.api.overview import of_whole_relay
from postbearer.api.tokens import TokenScope
from postbearer.control import AlertStatus, Level, LogPage


class LogAsked(Struct, rename="kebab", frozen=True, kw_only=True):
    """Which lines; what is not given asks for nothing."""

    after: Annotated[int, Meta(ge=0, le=2**62, description="number to go on behind")] = 0
    account: Annotated[str, Meta(max_length=1000)] = ""
    level: Annotated[Level, Meta(description="of it, and above")] = "info"
    word: Annotated[str, Meta(max_length=1000, description="anywhere in it, without case")] = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200


async def log(call: Call) -> LogPage:
    asked: LogAsked = call.query or LogAsked()
    given = {name: getattr(asked, name) for name in asked.__struct_fields__}
    done: LogPage = await of_whole_relay(call, "relay.log", given)
    return done


async def alerts(call: Call) -> AlertStatus:
    done: AlertStatus = await of_whole_relay(call, "alerts.show", {})
    return done


ENDPOINTS = (
    ApiEndpoint(
        name="log",
        method="GET",
        path="/v1/log",
        needs=TokenScope.READ,
        summary="The last lines of the log, oldest first.",
        do=log,
        asks=LogAsked,
        answers=LogPage,
    ),
    ApiEndpoint(
        name="alerts",
        method="GET",
        path="/v1/alerts",
        needs=TokenScope.READ,
        summary="What needs a person, and what was told to whom.",
        do=alerts,
        answers=AlertStatus,
    ),
)
