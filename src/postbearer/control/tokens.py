"""What people see of the programs that use the HTTP API, and do to their tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from postbearer.control.acts import Act, AuditRecorder
from postbearer.control.method import Method, Nothing, Text
from postbearer.control.principal import Principal, Right
from postbearer.errors import UsageError
from postbearer.moments import Time


class TokenStatus(Struct, frozen=True, kw_only=True):
    """A token of the HTTP API, without the token.

    `client` is the name in ``[[relay.clients]]`` that it is for. Since the relay began, it was `last_used`
    then, and so many requests by it were refused (`failures`), the last one for `failure`.
    """

    name: str
    scopes: tuple[str, ...]
    client: str
    made: Time
    expires: Time | None
    expired: bool
    last_used: Time | None
    requests: int
    failures: int
    failure: str


class TokenRevoked(Struct, frozen=True, kw_only=True):
    """It is good for nothing any more."""

    name: str


class OneToken(Struct, forbid_unknown_fields=True, frozen=True):
    """A token, by its name."""

    name: Text


class TokenDesk(Protocol):
    """The tokens of a relay that has an HTTP API. Raises `StoreError`."""

    def statuses(self, now: float) -> tuple[TokenStatus, ...]: ...

    def revoke(self, name: str) -> None:
        """Raises `UsageError` if there is none of that name."""
        ...


class Tokens:
    """The same, for people: who did what is told."""

    def __init__(self, desk: TokenDesk | None, recorder: AuditRecorder) -> None:
        self._desk = desk
        self._recorder = recorder

    async def list(self) -> tuple[TokenStatus, ...]:
        """All that are not revoked."""
        return self._running().statuses(self._recorder.now())

    async def revoke(self, name: str, *, by: Principal) -> TokenRevoked:
        """End a token, at once and for good."""
        self._running().revoke(name)
        await self._recorder.done(Act(by=by, action="revoke token", detail=name))
        return TokenRevoked(name=name)

    def _running(self) -> TokenDesk:
        if self._desk is None:
            raise UsageError(
                "No relay runs here that has an HTTP API.",
                hint="Tokens are listed by: postbearer api-token list",
            )
        return self._desk


METHODS: Mapping[str, Method] = {
    "tokens.list": Method(
        *(Nothing, tuple[TokenStatus, ...], Right.LOOK), lambda on, given, by: on.tokens.list()
    ),
    "tokens.revoke": Method(
        *(OneToken, TokenRevoked, Right.ADMIN), lambda on, given, by: on.tokens.revoke(given.name, by=by)
    ),
}
