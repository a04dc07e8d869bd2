"""What can be asked by HTTP, as one table: who may, what is taken, what is answered.

Routing, authorization, the limits of bodies and the OpenAPI document are all made of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from postbearer.api.face import NATIVE, Face
from postbearer.api.tokens import ApiToken, TokenScope
from postbearer.control import Principal
from postbearer.engine import Submitter

if TYPE_CHECKING:
    from starlette.requests import Request

    from postbearer.api.services import ApiServices

JSON_BODY = 64 * 1024  # octets, of what only says what to do
WHOLE_MESSAGE = -1  # as large as a message may be


@dataclass(frozen=True, slots=True)
class ApiCaller:
    """Who asks: its token, what it may do, and as whom it submits.

    `confined`: it sees and touches nothing but what it submitted itself.
    """

    token: ApiToken
    client: Submitter
    principal: Principal

    @property
    def confined(self) -> bool:
        return bool(self.token.client)


@dataclass(slots=True)
class Call:
    """One request, as an endpoint sees it. `body` and `query` are of the types that it `takes` and `asks`."""

    request: Request
    services: ApiServices
    id: str
    caller: ApiCaller | None = None  # None: an endpoint that is open, asked from this machine
    body: Any = None
    query: Any = None
    headers: dict[str, str] = field(default_factory=dict)  # of the answer

    @property
    def by(self) -> ApiCaller:
        assert self.caller is not None, "endpoints that need a scope have a caller"
        return self.caller

    @property
    def peer(self) -> str:
        """The address of the client; empty for a Unix socket."""
        return self.request.client.host if self.request.client else ""

    @property
    def path(self) -> Mapping[str, str]:
        """The parameters in the path."""
        found: Mapping[str, str] = self.request.path_params
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiEndpoint:
    """One thing that can be asked."""

    name: str  # in the OpenAPI document
    method: str
    path: str
    needs: TokenScope | None  # None: open on this machine, and for probes; from elsewhere READ
    summary: str
    do: Callable[[Call], Awaitable[Any]]
    face: Face = NATIVE
    answers: Any = None  # a type that msgspec knows; None: not JSON, or nothing
    status: int = 200
    dry_run: bool = False  # it can be asked to do nothing, and then answers the same by 200
    takes: Any = None  # the type of the JSON body
    body_needed: bool = True
    reads_itself: bool = False  # `do` reads the body, which is of the type that it `takes`
    asks: type[Struct] | None = None  # of the query
    also_takes: tuple[str, ...] = ()  # media types that `do` reads itself
    most: int = JSON_BODY  # octets of the body, or `WHOLE_MESSAGE`
    health: bool = False  # answered on `health-listen`, too
    media_type: str = "application/json"  # of the answer
    problems: tuple[str, ...] = ()  # that it answers, beside those that every endpoint does
    parameters: tuple[Mapping[str, Any], ...] = ()  # header fields that it reads, as OpenAPI describes them

    @property
    def limit(self) -> int:
        """Octets of a body, or `WHOLE_MESSAGE`; 0: there is none."""
        return self.most if self.takes is not None or self.also_takes else 0
