"""Accounts: seen, paused and resumed, by the methods that commands use."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from postbearer.api.endpoint import ApiEndpoint, Call
from postbearer.api.problems import HttpProblem
from postbearer.api.tokens import TokenScope
from postbearer.control import AccountStatus, perform


class AccountList(Struct, frozen=True, kw_only=True):
    """All accounts."""

    accounts: tuple[AccountStatus, ...]


async def listed(call: Call) -> AccountList:
    return AccountList(accounts=await perform_for(call, "accounts.list"))


async def shown(call: Call) -> AccountStatus:
    return await _of_one(call, "accounts.show")


async def pause(call: Call) -> AccountStatus:
    return await _of_one(call, "accounts.pause")


async def resume(call: Call) -> AccountStatus:
    return await _of_one(call, "accounts.resume")


async def _of_one(call: Call, method: str) -> AccountStatus:
    done: AccountStatus = await perform_for(call, method, name=call.path["name"][:1000])
    return done


async def account_named(call: Call) -> str:
    """The account in the path, for who may see accounts. Raises `ConfigError` if it is none."""
    return (await shown(call)).name


async def perform_for(call: Call, method: str, **given: Any) -> Any:
    """Do what a command would do, for who sees accounts. Raises what that raises, and `HttpProblem`."""
    if call.by.confined:
        raise HttpProblem(
            "forbidden",
            f"The token {call.by.token.name} is for the client {call.by.client.name}, which sees its "
            "messages, and no accounts.",
            hint="Make one without --client.",
        )
    return await perform(call.services.operations, call.by.principal, method, given)


ENDPOINTS = (
    ApiEndpoint(
        name="accounts",
        method="GET",
        path="/v1/accounts",
        needs=TokenScope.READ,
        summary="All accounts: state, budget left, what will run out.",
        do=listed,
        answers=AccountList,
    ),
    ApiEndpoint(
        name="account",
        method="GET",
        path="/v1/accounts/{name}",
        needs=TokenScope.READ,
        summary="One account.",
        do=shown,
        answers=AccountStatus,
    ),
    ApiEndpoint(
        name="pause",
        method="POST",
        path="/v1/accounts/{name}/pause",
        needs=TokenScope.OPERATE,
        summary="Stop it until it is resumed; its mail waits.",
        do=pause,
        answers=AccountStatus,
    ),
    ApiEndpoint(
        name="resume",
        method="POST",
        path="/v1/accounts/{name}/resume",
        needs=TokenScope.OPERATE,
        summary="Let it send again.",
        do=resume,
        answers=AccountStatus,
    ),
)
