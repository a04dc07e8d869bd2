"""Webhooks: seen, tried, and sent to once more, by the methods that commands use."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from postbearer.api.endpoint import ApiEndpoint, Call
from postbearer.api.problems import HttpProblem
from postbearer.api.tokens import TokenScope
from postbearer.control import METHODS, Time, WebhookReplayed, WebhookStatus, WebhookTested, perform


class WebhookList(Struct, frozen=True, kw_only=True):
    """All webhooks."""

    webhooks: tuple[WebhookStatus, ...]


class ReplayRequest(Struct, rename="kebab", forbid_unknown_fields=True, frozen=True, kw_only=True):
    """From which event on, or from what happened since when; only of one message, if it is named."""

    after: Annotated[int, Meta(ge=0, description="number of the event to go on behind")] = 0
    since: Time | None = None
    message: Annotated[str, Meta(max_length=1000, description="id of a message")] = ""


async def listed(call: Call) -> WebhookList:
    return WebhookList(webhooks=await _perform(call, "webhooks.list"))


async def test(call: Call) -> WebhookTested:
    done: WebhookTested = await _of_one(call, "webhooks.test")
    return done


async def enable(call: Call) -> WebhookStatus:
    done: WebhookStatus = await _of_one(call, "webhooks.enable")
    return done


async def replay(call: Call) -> WebhookReplayed:
    asked: ReplayRequest = call.body
    more = {"first": asked.after + 1, "since": asked.since, "message": asked.message}
    done: WebhookReplayed = await _of_one(call, "webhooks.replay", **more)
    return done


async def _of_one(call: Call, method: str, **more: Any) -> Any:
    name = call.path["name"][:1000]
    found: tuple[WebhookStatus, ...] = await _perform(call, "webhooks.list")
    if all(each.name != name for each in found):
        raise HttpProblem("not-found", f"There is no webhook {name!r:.80}.")
    return await _perform(call, method, name=name, **more)


async def _perform(call: Call, method: str, **given: Any) -> Any:
    if call.by.confined:
        raise HttpProblem(
            "forbidden",
            f"The token {call.by.token.name} is for the client {call.by.client.name}, which sees its "
            "messages, and no webhooks.",
            hint="Make one without --client.",
        )
    return await perform(call.services.operations, call.by.principal, method, given)


def _act(name: str, summary: str, do: Any, takes: type[Struct] | None = None) -> ApiEndpoint:
    return ApiEndpoint(
        name=f"{name}-webhook",
        method="POST",
        path=f"/v1/webhooks/{{name}}/{name}",
        needs=TokenScope.OPERATE,
        summary=summary,
        do=do,
        takes=takes,
        answers=METHODS[f"webhooks.{name}"].answers,
    )


ENDPOINTS = (
    ApiEndpoint(
        name="webhooks",
        method="GET",
        path="/v1/webhooks",
        needs=TokenScope.READ,
        summary="All webhooks: whether they are told, since when not, and what waits for them.",
        do=listed,
        answers=WebhookList,
    ),
    _act("test", "Send an event that tells of nothing, and see what comes back.", test),
    _act("replay", "Send what was sent already once more.", replay, ReplayRequest),
    _act("enable", "Call one again that was disabled.", enable),
)
