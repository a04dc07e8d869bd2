"""What an authorization server says about itself (RFC 8414; OpenID Connect Discovery 1.0)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urlsplit, urlunsplit

from postbearer.errors import CredentialError, GrantRefused, TokenUnavailable, UsageError
from postbearer.http import HttpResponse, check_named_url
from postbearer.oauth.endpoint import Endpoint, TokenRequest
from postbearer.redaction import scrub

BAD_METADATA = "bad_metadata"  # code of the error for metadata that must not be followed

_OAUTH, _OPENID = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"
_ENDPOINTS = (
    *("token_endpoint", "authorization_endpoint", "revocation_endpoint"),  # RFC 8414 2
    "device_authorization_endpoint",  # RFC 8628 4
)
_TEMPLATE = "{tenantid}"  # Entra's metadata for many tenants says this in place of one


@dataclass(frozen=True, slots=True)
class Metadata:
    """Where the endpoints are; empty for one that the server does not name."""

    issuer: str
    token_url: str
    authorize_url: str = ""
    device_url: str = ""
    revocation_url: str = ""
    names_issuer: bool = False  # its redirects carry ``iss`` (RFC 9207 3)


async def discover(issuer: str, asking: Endpoint, account: str = "", *, now: float) -> Metadata:
    """The metadata of `issuer`, fetched as `asking` fetches tokens; `now` is Unix time, for Retry-After.

    Both places are asked where the first one has something else: many servers answer every path with a page.
    Raises `TokenUnavailable` when it cannot be had now, and `GrantRefused` when there is none or it is of
    another issuer: secrets go to the endpoints it names, so it is believed only for itself (RFC 8414 3.3).
    """
    tried: list[str] = []
    errors: list[CredentialError] = []
    for url in _addresses(issuer):
        response = await asking.send(TokenRequest(url, method="GET"), account)
        if response.ok:
            metadata = _read(response, issuer, account)
            if isinstance(metadata, Metadata):
                return metadata
            errors.append(metadata)
        elif response.status >= 500 or response.status == 429:
            later = TokenUnavailable(
                f"{url} answered HTTP {response.status}.",
                account=account,
                code=f"http_{response.status}",
                retry_after=response.retry_after(now),
            )
            errors.insert(0, later)  # as long as one may still answer, nobody needs to look
        tried.append(f"HTTP {response.status} from {url}")
    raise (
        errors[0] if errors else _unfit(f"The issuer {issuer} has no metadata: {', '.join(tried)}.", account)
    )


async def located(endpoint: Endpoint, account: str = "", *, now: float) -> Endpoint:
    """`endpoint` with the URL that its issuer names, if it has none of its own. Raises as `discover`."""
    if endpoint.url or not endpoint.issuer:
        return endpoint
    return replace(endpoint, url=(await discover(endpoint.issuer, endpoint, account, now=now)).token_url)


def _addresses(issuer: str) -> tuple[str, str]:
    """Where the metadata is: between host and path (RFC 8414 3.1), or behind the path (OpenID Connect)."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    return (
        urlunsplit((parts.scheme, parts.netloc, _OAUTH + path, "", "")),
        urlunsplit((parts.scheme, parts.netloc, path + _OPENID, "", "")),
    )


def _read(response: HttpResponse, issuer: str, account: str) -> Metadata | GrantRefused:
    fields = response.json()
    if not isinstance(fields, dict):
        return _unfit(f"The metadata of {issuer} is no JSON object.", account)
    said = fields.get("issuer")
    if not isinstance(said, str) or not _same(said, issuer):
        other = scrub(str(said), ())[:200]
        return _unfit(f"The metadata of {issuer} is that of another issuer: {other!r}.", account)
    urls: dict[str, str] = {}
    for key in _ENDPOINTS:
        url = fields.get(key, "")
        if not isinstance(url, str):
            return _unfit(f"{key} in the metadata of {issuer} is no address.", account)
        try:
            urls[key] = check_named_url(url, by=issuer) if url else ""
        except UsageError as error:
            return _unfit(f"{key} in the metadata of {issuer} cannot be used: {error.message}", account)
    if not urls["token_endpoint"]:
        return _unfit(f"The metadata of {issuer} names no token_endpoint.", account)
    return Metadata(
        issuer=issuer,
        token_url=urls["token_endpoint"],
        authorize_url=urls["authorization_endpoint"],
        device_url=urls["device_authorization_endpoint"],
        revocation_url=urls["revocation_endpoint"],
        names_issuer=fields.get("authorization_response_iss_parameter_supported") is True,
    )


def _same(said: str, issuer: str) -> bool:
    """Whether metadata of `said` is that of `issuer`: the same text, but for one tenant in the path."""
    before, template, behind = said.partition(_TEMPLATE)
    if not template:
        return said == issuer
    named = issuer[len(before) : len(issuer) - len(behind)]
    return (
        urlsplit(before).path != ""  # never in the place of the host
        and issuer == before + named + behind
        and named != ""
        and "/" not in named
    )


def _unfit(text: str, account: str) -> GrantRefused:
    return GrantRefused(
        text,
        account=account,
        code=BAD_METADATA,
        who="host operator",
        hint="Check issuer, or name the endpoints themselves by token-url and its neighbours.",
        configuration=True,
    )
