"""Whether the relay is alive, and whether it can keep what it accepts: for probes."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from postbearer.api.endpoint import ApiEndpoint, Call
from postbearer.api.problems import HttpProblem, retry_after


class Health(Struct, frozen=True):
    """The relay answers."""

    status: Literal["ok"] = "ok"


async def alive(call: Call) -> Health:
    return Health()


async def ready(call: Call) -> Health:
    """Only this: whether a message can be made durable. Accounts in trouble are no reason to take none."""
    if call.services.stopping.is_set():
        raise HttpProblem("unavailable", "The relay is about to end.", headers=retry_after("unavailable"))
    if not await call.services.intake.has_room(0):
        raise HttpProblem(
            "unavailable",
            "The queue takes nothing: its disk is full, or cannot be written.",
            hint="The log says which.",
            headers=retry_after("unavailable"),
        )
    return Health()


ENDPOINTS = (
    ApiEndpoint(
        name="alive",
        method="GET",
        path="/healthz",
        needs=None,
        summary="Whether the relay is alive.",
        do=alive,
        answers=Health,
        health=True,
    ),
    ApiEndpoint(
        name="ready",
        method="GET",
        path="/readyz",
        needs=None,
        summary="Whether the relay can keep what it accepts.",
        do=ready,
        answers=Health,
        health=True,
        problems=("unavailable",),
    ),
)
