"""The sandbox's authorization server: the grants of RFC 6749, RFC 7636 and RFC 8628."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote_plus, urlencode

from postbearer.clock import Clock
from postbearer.testing.faults import Faults, TokenFault
from postbearer.testing.tokens import TokenRegister

_IDENTITY = ("offline_access", "openid", "profile", "email")  # scopes that say nothing about mail
TENANTS = ("", "example.org", "organizations", "common")
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass(frozen=True, slots=True)
class EndpointAnswer:
    """One HTTP answer of the token endpoint."""

    status: int
    body: Mapping[str, object] | bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """An error answer (RFC 6749 5.2)."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status


@dataclass(slots=True)
class Pending:
    """A sign-in somebody has begun: an authorization code, or a device code."""

    client_id: str
    scope: str
    identity: bool = False  # whether an ID token was asked for
    subject: str | None = None  # set when a person approves
    challenge: str = ""  # PKCE, S256
    redirect_uri: str = ""
    user_code: str = ""
    declined: bool = False
    used: bool = False


class AuthorizationServer:
    """Decides about token requests; HTTP itself is in `web`."""

    def __init__(
        self,
        *,
        clients: Mapping[str, str],
        users: Mapping[str, str],
        scopes: tuple[str, ...],
        register: TokenRegister,
        faults: Faults,
        clock: Clock,
    ) -> None:
        self._clients = clients
        self._users = users
        self._scopes = scopes
        self._register = register
        self._clock = clock
        self._pending: dict[str, Pending] = {}
        self._machine = next(iter(clients))
        self.identity_header = secrets.token_urlsafe(16)
        self.faults = faults
        self.counts: Counter[str] = Counter()
        self._grants: dict[str, Callable[[str, Mapping[str, str]], dict[str, object]]] = {
            "client_credentials": self._client_credentials,
            "password": self._password,
            "refresh_token": self._refresh,
            "authorization_code": self._code,
            DEVICE_CODE: self._device,
        }

    @property
    def requests(self) -> int:
        """Token requests so far, also those that were refused."""
        return self.counts.total()

    async def token(self, body: bytes, authorization: str = "", tenant: str = "") -> EndpointAnswer:
        """Answer one POST to the token endpoint, that of `tenant` where the address names one."""
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        grant = form.get("grant_type", "")
        self.counts[grant] += 1
        fault = self.faults.next_token()
        if fault is not None and (answer := await self._strike(fault)) is not None:
            return answer
        try:
            if tenant not in TENANTS:
                raise Refusal("invalid_request", f"AADSTS90002: Tenant {tenant!r} was not found.")
            client_id = self._authenticate(form, authorization)
            decide = self._grants.get(grant)
            if decide is None:
                raise Refusal("unsupported_grant_type", f"The grant {grant!r} is not known here.")
            answer = EndpointAnswer(200, decide(client_id, form))
        except Refusal as refusal:
            return EndpointAnswer(
                refusal.status, {"error": refusal.error, "error_description": refusal.description}
            )
        return EndpointAnswer(0, b"") if fault is not None and fault.kind == "lost-rotation" else answer

    async def revoke(self, form: Mapping[str, str], authorization: str = "") -> EndpointAnswer:
        """End a sign-in (RFC 7009). What strikes token requests strikes here, too."""
        fault = self.faults.next_token()
        if fault is not None and (answer := await self._strike(fault)) is not None:
            return answer
        self._register.revoke(form.get("token", ""), self._authenticate(form, authorization, public=True))
        return EndpointAnswer(200, b"")

    async def _strike(self, fault: TokenFault) -> EndpointAnswer | None:
        if fault.delay:
            await self._clock.sleep(fault.delay)
        return {
            "down": EndpointAnswer(503, b"Service Unavailable", {"content-type": "text/plain"}),
            "throttled": EndpointAnswer(
                429, b"Too Many Requests", {"content-type": "text/plain", "retry-after": fault.retry_after}
            ),
            "not-json": EndpointAnswer(
                200, b"<html>Please sign in to this network</html>", {"content-type": "text/html"}
            ),
            "redirect": EndpointAnswer(302, b"", {"location": "https://login.example.org/elsewhere"}),
            "refused": EndpointAnswer(400, {"error": fault.error, "error_description": fault.description}),
            "huge": EndpointAnswer(200, b'{"access_token":"' + b"A" * 4_000_000 + b'"}'),
        }.get(fault.kind)

    def _authenticate(self, form: Mapping[str, str], authorization: str, *, public: bool = False) -> str:
        """Client authentication by the form or by HTTP Basic, never both (RFC 6749 2.3.1)."""
        client_id, secret = form.get("client_id", ""), form.get("client_secret")
        if authorization.lower().startswith("basic "):
            if secret is not None:
                raise Refusal("invalid_request", "Two ways of client authentication at once.")
            try:
                decoded = base64.b64decode(authorization[6:], validate=True).decode()
            except ValueError:
                raise Refusal("invalid_client", "The Basic credentials are not base64.", 401) from None
            client_id, _, secret = (unquote_plus(part) for part in decoded.partition(":"))
        expected = self._clients.get(client_id)
        if expected is None:
            raise Refusal("unauthorized_client", f"AADSTS700016: Application {client_id!r} was not found.")
        public = public or form.get("grant_type") in ("authorization_code", "refresh_token", DEVICE_CODE)
        if secret is None and not public:
            raise Refusal("invalid_client", "AADSTS7000218: The request has no client secret.", 401)
        if secret is not None and not secrets.compare_digest(secret.encode(), expected.encode()):
            raise Refusal("invalid_client", "AADSTS7000215: Invalid client secret provided.", 401)
        return client_id

    def _scope(self, form: Mapping[str, str]) -> str:
        asked = [each for each in form.get("scope", "").split() if each not in _IDENTITY]
        if unknown := [each for each in asked if each not in self._scopes]:
            raise Refusal("invalid_scope", f"AADSTS70011: The scope {unknown[0]!r} is not valid.")
        return " ".join(asked) or self._scopes[0]

    def _issued(self, client_id: str, subject: str | None, scope: str) -> dict[str, object]:
        return {
            "access_token": self._register.issue(
                client_id, subject, scope, audience=self.faults.audience, role=not self.faults.without_role
            ),
            "token_type": "Bearer",
            "expires_in": int(self._register.lifetime),
            "scope": scope,
        }

    def _client_credentials(self, client_id: str, form: Mapping[str, str]) -> dict[str, object]:
        return self._issued(client_id, None, self._scope(form))

    def _password(self, client_id: str, form: Mapping[str, str]) -> dict[str, object]:
        user, scope = form.get("username", ""), self._scope(form)
        expected = self._users.get(user.lower())
        if expected is None or not secrets.compare_digest(
            form.get("password", "").encode(), expected.encode()
        ):
            raise Refusal("invalid_grant", "AADSTS50126: Invalid username or password.")
        return self._with_refresh(client_id, user, scope)

    def _with_refresh(self, client_id: str, subject: str, scope: str) -> dict[str, object]:
        refresh = self._register.sign_in(client_id, subject, scope)
        return self._issued(client_id, subject, scope) | {"refresh_token": refresh}

    def _refresh(self, client_id: str, form: Mapping[str, str]) -> dict[str, object]:
        redeemed = None
        if not self.faults.revoked:
            redeemed = self._register.redeem(form.get("refresh_token", ""), client_id)
        if redeemed is None:
            raise Refusal("invalid_grant", "AADSTS700082: The refresh token has expired or was revoked.")
        family, successor = redeemed
        return self._issued(client_id, family.subject, family.scope) | {"refresh_token": successor}

    def identity(self, query: Mapping[str, str], headers: Mapping[str, str]) -> dict[str, object]:
        """Answer as a cloud's metadata service: a token for the machine that asks (a managed identity)."""
        self.counts["managed_identity"] += 1
        shown = headers.get("x-identity-header")
        if headers.get("metadata") != "true" and shown != self.identity_header:
            raise Refusal("invalid_request", "Required metadata header not specified.")
        if query.get("client_id", self._machine) != self._machine:
            raise Refusal("invalid_request", "Identity not found.")
        resource = query.get("resource", "")
        granted = next((each for each in self._scopes if each.removesuffix("/.default") == resource), None)
        if granted is None:
            raise Refusal("invalid_resource", f"AADSTS500011: The resource {resource!r} was not found.")
        issued = self._issued(self._machine, None, granted)
        return issued | {"expires_in": str(issued["expires_in"]), "resource": resource}

    # Sign-ins by a person -------------------------------------------------------------------

    def begin(self, form: Mapping[str, str]) -> str:
        """Somebody opened the authorization page; returns what the page must send back to `approve`."""
        if form.get("client_id") not in self._clients:
            raise Refusal("invalid_client", "This client is not registered.")
        if form.get("response_type") != "code" or form.get("code_challenge_method") != "S256":
            raise Refusal("invalid_request", "Only the code flow with PKCE S256 is offered (RFC 9700 2.1.1).")
        code = secrets.token_urlsafe(24)
        self._pending[code] = Pending(
            form["client_id"],
            self._scope(form),
            identity=_asks_who(form),
            challenge=form.get("code_challenge", ""),
            redirect_uri=form.get("redirect_uri", ""),
        )
        return code

    def begin_device(self, form: Mapping[str, str], base: str) -> dict[str, object]:
        """Answer a device authorization request (RFC 8628 3.2)."""
        if form.get("client_id") not in self._clients:
            raise Refusal("invalid_client", "This client is not registered.")
        code = secrets.token_urlsafe(24)
        user_code = "".join(secrets.choice("BCDFGHJKLMNPQRSTVWXZ") for _ in range(8))
        self._pending[code] = Pending(
            form["client_id"], self._scope(form), identity=_asks_who(form), user_code=user_code
        )
        return {
            "device_code": code,
            "user_code": user_code,
            "verification_uri": f"{base}/device",
            "expires_in": 900,
            "interval": 1,
        }

    def find(self, code: str) -> Pending | None:
        """A sign-in by its code, or by the user code a person types."""
        typed = code.strip().upper().replace("-", "")
        return self._pending.get(code) or next(
            (each for each in self._pending.values() if each.user_code and each.user_code == typed), None
        )

    def approve(self, code: str, subject: str, state: str = "") -> str:
        """A person says yes. Returns where the browser goes next, ``""`` for a device sign-in."""
        pending = self.find(code)
        if pending is None or subject.lower() not in self._users:
            raise Refusal("access_denied", "There is no such sign-in, or no such user.")
        pending.subject = subject
        return self._back(pending, {"code": code}, state)

    def decline(self, code: str, state: str = "") -> str:
        """A person says no (RFC 6749 4.1.2.1, RFC 8628 3.5). Returns what `approve` does."""
        pending = self.find(code)
        if pending is None:
            raise Refusal("access_denied", "There is no such sign-in.")
        pending.declined = True
        said = {"error": "access_denied", "error_description": "AADSTS65004: The person declined."}
        return self._back(pending, said, state)

    def _back(self, pending: Pending, fields: Mapping[str, str], state: str) -> str:
        """Where the browser goes, with who sends it there (RFC 9207)."""
        if not pending.redirect_uri:
            return ""
        query = urlencode({**fields, "state": state, "iss": self._register.issuer})
        return f"{pending.redirect_uri}{'&' if '?' in pending.redirect_uri else '?'}{query}"

    def _code(self, client_id: str, form: Mapping[str, str]) -> dict[str, object]:
        pending = self._pending.get(form.get("code", ""))
        if pending is None or pending.used or pending.client_id != client_id or pending.subject is None:
            raise Refusal("invalid_grant", "AADSTS54005: The authorization code is not, or no longer, good.")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != pending.challenge:
            raise Refusal("invalid_grant", "AADSTS501481: The code verifier does not match.")
        if form.get("redirect_uri", "") != pending.redirect_uri:
            raise Refusal("invalid_grant", "The redirect URI is not the one the sign-in began with.")
        return self._redeemed(client_id, pending, pending.subject)

    def _device(self, client_id: str, form: Mapping[str, str]) -> dict[str, object]:
        pending = self._pending.get(form.get("device_code", ""))
        if pending is None or pending.used or pending.client_id != client_id:
            raise Refusal("expired_token", "The device code is not, or no longer, good.")
        if pending.declined:
            raise Refusal("access_denied", "The person declined.")
        if pending.subject is None:
            raise Refusal("authorization_pending", "Nobody has approved yet.")
        return self._redeemed(client_id, pending, pending.subject)

    def _redeemed(self, client_id: str, pending: Pending, subject: str) -> dict[str, object]:
        pending.used = True
        scope = "openid" if self.faults.without_scope else pending.scope
        answer = self._with_refresh(client_id, subject, scope)
        return answer | (
            {"id_token": self._register.identity(client_id, subject)} if pending.identity else {}
        )


def _asks_who(form: Mapping[str, str]) -> bool:
    return "openid" in form.get("scope", "").split()
