"""What an authorization server says about itself (RFC 8414; OpenID Connect Discovery 1.0)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit, urlunsplit

from postbearer.errors import GrantRefused, TokenUnavailable, UsageError
from postbearer.http import HttpResponse, check_url
from postbearer.oauth.endpoint import Endpoint, TokenRequest

BAD_METADATA = "bad_metadata"  # code of the error for metadata that must not be followed

_OAUTH, _OPENID = "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"
_TEMPLATE = "{tenantid}"  # Entra's metadata for many tenants says this in place of one


@dataclass(frozen=True, slots=True)
class Metadata:
    """Where the endpoints are; empty for one that the server does not name."""

    issuer: str
    token_url: str
    authorize_url: str = ""
    device_url: str = ""
    names_issuer: bool = False  # its redirects carry ``iss`` (RFC 9207 3)


async def discover(issuer: str, asking: Endpoint, account: str = "") -> Metadata:
    """The metadata of `issuer`, fetched as `asking` fetches tokens.

    Raises `TokenUnavailable` when it cannot be had now, and `GrantRefused` when there is none or it is of
    another issuer: secrets go to the endpoints it names, so it is believed only for itself (RFC 8414 3.3).
    """
    tried = []
    for url in _addresses(issuer):
        response = await asking.send(TokenRequest(url, method="GET"), account)
        if response.ok:
            return _read(response, issuer, account)
        if response.status >= 500 or response.status == 429:
            raise TokenUnavailable(
                f"{url} answered HTTP {response.status}.", account=account, code=f"http_{response.status}"
            )
        tried.append(f"HTTP {response.status} from {url}")
    raise _unfit(f"The issuer {issuer} has no metadata: {', '.join(tried)}.", account)


async def located(endpoint: Endpoint, account: str = "") -> Endpoint:
    """`endpoint` with the URL that its issuer names, if it has none of its own. Raises as `discover`."""
    if endpoint.url or not endpoint.issuer:
        return endpoint
    return replace(endpoint, url=(await discover(endpoint.issuer, endpoint, account)).token_url)


def _addresses(issuer: str) -> tuple[str, str]:
    """Where the metadata is: between host and path (RFC 8414 3.1), or behind the path (OpenID Connect)."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    return (
        urlunsplit((parts.scheme, parts.netloc, _OAUTH + path, "", "")),
        urlunsplit((parts.scheme, parts.netloc, path + _OPENID, "", "")),
    )


def _read(response: HttpResponse, issuer: str, account: str) -> Metadata:
    fields = response.json()
    if not isinstance(fields, dict):
        raise _unfit(f"The metadata of {issuer} is no JSON object.", account)
    said = fields.get("issuer")
    if not isinstance(said, str) or not _same(said, issuer):
        raise _unfit(f"The metadata of {issuer} is that of another issuer: {str(said)[:200]!r}.", account)
    token_url = _url(fields, "token_endpoint", issuer, account)
    if not token_url:
        raise _unfit(f"The metadata of {issuer} names no token_endpoint.", account)
    return Metadata(
        issuer=issuer,
        token_url=token_url,
        authorize_url=_url(fields, "authorization_endpoint", issuer, account),
        device_url=_url(fields, "device_authorization_endpoint", issuer, account),
        names_issuer=fields.get("authorization_response_iss_parameter_supported") is True,
    )


def _same(said: str, issuer: str) -> bool:
    pattern = re.escape(said).replace(re.escape(_TEMPLATE), "[^/]+")
    return re.fullmatch(pattern, issuer) is not None


def _url(fields: Mapping[str, object], key: str, issuer: str, account: str) -> str:
    url = fields.get(key, "")
    if not isinstance(url, str):
        raise _unfit(f"{key} in the metadata of {issuer} is no address.", account)
    try:
        if url:
            check_url(url)
    except UsageError as error:
        raise _unfit(f"{key} in the metadata of {issuer} cannot be used: {error.message}", account) from None
    return url


def _unfit(text: str, account: str) -> GrantRefused:
    return GrantRefused(
        text,
        account=account,
        code=BAD_METADATA,
        who="host operator",
        hint="Check issuer, or name the endpoints themselves by token-url and its neighbours.",
        configuration=True,
    )
