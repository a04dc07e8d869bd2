"""Who asks, and whether it may: bearer tokens (RFC 6750), and what is open on this machine."""

from __future__ import annotations

from functools import cache

from postbearer.api.endpoint import ApiCaller, ApiEndpoint
from postbearer.api.face import Face
from postbearer.api.problems import INSUFFICIENT, INVALID, HttpProblem, TokenProblem
from postbearer.api.services import ApiServices
from postbearer.api.tokens import ApiToken, TokenScope
from postbearer.control import Principal, Right
from postbearer.engine import Submitter
from postbearer.submission import API_CLIENT, is_loopback

_RIGHTS = {TokenScope.READ: Right.LOOK, TokenScope.OPERATE: Right.OPERATE, TokenScope.ADMIN: Right.ADMIN}


def authorize(services: ApiServices, endpoint: ApiEndpoint, fields: list[str], peer: str) -> ApiCaller | None:
    """Who asks for `endpoint` from the address `peer`, by what the header `fields` say in which tokens come.

    None where nobody need say who it is. Raises `HttpProblem`.
    """
    if endpoint.needs is None and is_loopback(peer) and not fields:
        return None
    needed = endpoint.needs or TokenScope.READ
    token = _token(services, endpoint.face, fields, peer)
    if needed not in token.allowed:
        names = ", ".join(token.scopes)
        services.tokens.used(token, services.clock.now(), f"It has no scope {needed}.")
        raise TokenProblem(
            f'The token {token.name} may not do this: it needs the scope "{needed}", and has {names}.',
            hint=f"Make another: postbearer api-token create NAME --scope {needed}",
            error=INSUFFICIENT,
            scope=needed,
        )
    submitter = _submitter(services, token, peer)
    services.tokens.used(token, services.clock.now())
    principal = Principal(f"token {token.name}", "API token", _rights(token.allowed))
    return ApiCaller(token, submitter, principal)


@cache
def _rights(allowed: frozenset[TokenScope]) -> frozenset[Right]:
    return frozenset(_RIGHTS[each] for each in allowed if each in _RIGHTS)


def _token(services: ApiServices, face: Face, fields: list[str], peer: str) -> ApiToken:
    how = f"Send it as: {face.usage}. One is made by: postbearer api-token create NAME"
    if len(fields) != 1:
        raise TokenProblem("Several tokens were sent." if fields else "No token was sent.", hint=how)
    text = face.token(fields[0])
    found = services.tokens.find(text) if text is not None else None
    if text is None:
        services.reject_log.login_failed(peer, "")
        raise TokenProblem("The token was not sent as it should be.", hint=how, error=INVALID)
    if found is None:
        services.reject_log.login_failed(peer, "")
        raise TokenProblem("There is no such token, or it was revoked.", hint=how, error=INVALID)
    if found.expired(services.clock.now()):
        services.reject_log.login_failed(peer, found.name)
        services.tokens.used(found, services.clock.now(), "It had expired.")
        raise TokenProblem(f"The token {found.name} has expired.", hint=how, error=INVALID)
    return found


def _submitter(services: ApiServices, token: ApiToken, peer: str) -> Submitter:
    """As whom the token submits: the client that it names, else one of its own name."""
    if not token.client:
        return Submitter(name=f"{API_CLIENT}{token.name}")
    admission = services.access.named(token.client)
    if admission is None:
        services.tokens.used(token, services.clock.now(), f"There is no client {token.client}.")
        raise HttpProblem(
            "forbidden",
            f"The token {token.name} is for the client {token.client}, which is not configured.",
            hint=f'Put [[relay.clients]] with name = "{token.client}" back, or revoke the token.',
        )
    if not admission.covers(peer):
        services.tokens.used(token, services.clock.now(), f"It came from {peer}, which is no network of it.")
        raise HttpProblem(
            "forbidden",
            f"The client {token.client} may not ask from your address.",
            hint="Its networks are those of [[relay.clients]].",
        )
    return admission.client
