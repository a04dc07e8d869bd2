"""Who asks, and whether it may: bearer tokens (RFC 6750), and what is open on this machine."""

from __future__ import annotations

from postbearer.api.endpoint import ApiCaller, ApiEndpoint
from postbearer.api.problems import HttpProblem
from postbearer.api.services import ApiServices
from postbearer.api.tokens import ApiToken, TokenScope
from postbearer.control import Principal, Right
from postbearer.engine import Submitter
from postbearer.submission import is_loopback

_RIGHTS = {TokenScope.READ: Right.LOOK, TokenScope.OPERATE: Right.OPERATE, TokenScope.ADMIN: Right.ADMIN}
_HOW = "Send it as: Authorization: Bearer TOKEN. One is made by: postbearer api-token create NAME"


def authorize(services: ApiServices, endpoint: ApiEndpoint, fields: list[str], peer: str) -> ApiCaller | None:
    """Who asks for `endpoint` from the address `peer`, by what its Authorization `fields` say.

    None where nobody need say who it is. Raises `HttpProblem`.
    """
    if endpoint.needs is None and is_loopback(peer) and not fields:
        return None
    needed = endpoint.needs or TokenScope.READ
    token = _token(services, fields, peer)
    if needed not in token.allowed:
        names = ", ".join(token.scopes)
        raise HttpProblem(
            "forbidden",
            f'The token {token.name} may not do this: it needs the scope "{needed}", and has {names}.',
            hint=f"Make another: postbearer api-token create NAME --scope {needed}",
            headers={"www-authenticate": f'Bearer error="insufficient_scope", scope="{needed}"'},
        )
    rights = frozenset(_RIGHTS[each] for each in token.allowed if each in _RIGHTS)
    principal = Principal(f"token {token.name}", "API token", rights)
    return ApiCaller(token, _submitter(services, token, peer), principal)


def _token(services: ApiServices, fields: list[str], peer: str) -> ApiToken:
    if len(fields) != 1:
        what = "Several tokens were sent." if fields else "No token was sent."
        raise HttpProblem("unauthorized", what, hint=_HOW, headers={"www-authenticate": "Bearer"})
    scheme, _, text = fields[0].partition(" ")
    found = services.tokens.find(text.strip()) if scheme.lower() == "bearer" else None
    if found is None:
        services.reject_log.login_failed(peer, "")
        raise _invalid("There is no such token, or it was revoked.")
    if found.expired(services.clock.now()):
        services.reject_log.login_failed(peer, found.name)
        raise _invalid(f"The token {found.name} has expired.")
    return found


def _invalid(text: str) -> HttpProblem:
    return HttpProblem(
        "unauthorized", text, hint=_HOW, headers={"www-authenticate": 'Bearer error="invalid_token"'}
    )


def _submitter(services: ApiServices, token: ApiToken, peer: str) -> Submitter:
    """As whom the token submits: the client that it names, else one of its own name."""
    if not token.client:
        return Submitter(name=f"token:{token.name}")
    admission = services.access.named(token.client)
    if admission is None:
        raise HttpProblem(
            "forbidden",
            f"The token {token.name} is for the client {token.client}, which is not configured.",
            hint=f'Put [[relay.clients]] with name = "{token.client}" back, or revoke the token.',
        )
    if not admission.covers(peer):
        raise HttpProblem(
            "forbidden",
            f"The client {token.client} may not ask from your address.",
            hint="Its networks are those of [[relay.clients]].",
        )
    return admission.client
