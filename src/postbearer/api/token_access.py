"""The tokens of all who use this API: seen, and revoked."""

from __future__ import annotations

from msgspec import Struct

from postbearer.api.endpoint import ApiEndpoint, Call
from postbearer.api.overview import of_whole_relay
from postbearer.api.problems import HttpProblem
from postbearer.api.tokens import TokenScope
from postbearer.control import TokenRevoked, TokenStatus
from postbearer.errors import UsageError


class TokenList(Struct, frozen=True, kw_only=True):
    """All that are not revoked, in the order in which they were made."""

    tokens: tuple[TokenStatus, ...]


async def listed(call: Call) -> TokenList:
    return TokenList(tokens=await of_whole_relay(call, "tokens.list", {}))


async def revoke(call: Call) -> TokenRevoked:
    name = call.path["name"][:1000]
    try:
        done: TokenRevoked = await of_whole_relay(call, "tokens.revoke", {"name": name})
    except UsageError as error:
        raise HttpProblem("not-found", error.message, hint=error.hint) from None
    return done


ENDPOINTS = (
    ApiEndpoint(
        name="tokens",
        method="GET",
        path="/v1/tokens",
        needs=TokenScope.READ,
        summary="Tokens of this API, without the tokens: when each was used, and what was refused.",
        do=listed,
        answers=TokenList,
    ),
    ApiEndpoint(
        name="revoke-token",
        method="POST",
        path="/v1/tokens/{name}/revoke",
        needs=TokenScope.ADMIN,
        summary="End a token, at once and for good.",
        do=revoke,
        answers=TokenRevoked,
    ),
)
