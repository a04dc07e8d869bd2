"""The one door to HTTP: small requests, verified TLS, nothing followed, nothing unbounded.

A token endpoint is handed our secrets, so it is reached over https only, or over http on loopback;
a redirect is never followed (RFC 9700 4.11); an answer is read up to 64 KiB and within 30 s.
httpx2 is imported when a request is made, not before.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlencode, urlsplit

from postbearer.errors import (
    ConnectFailed,
    Disconnected,
    NetworkError,
    PostbearerError,
    RemoteProtocolError,
    TimedOut,
    TlsFailed,
    UsageError,
)
from postbearer.redaction import scrub
from postbearer.secret import Secret

if TYPE_CHECKING:
    import httpx2

TIMEOUT = 30.0  # seconds, from the first packet to the last octet of the answer
BODY_LIMIT = 64 * 1024  # octets
RETRY_AFTER_CAP = 3600.0  # seconds: whatever a server says, an hour later asking again harms nobody

Text = str | Secret

_WRONG_PORT = "Nobody speaks TLS there: check host and port of the address."
_AUTHORITY = (
    "Check the host name and the clock. An authority of your own is named by the variable SSL_CERT_FILE, "
    "for a secret store also by ca-file in its table."
)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer. Its body may hold tokens, so it is left out of the repr."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # names in lower case
    body: bytes = field(default=b"", repr=False)
    sent: tuple[Secret, ...] = field(default=(), repr=False)  # what the request held, for `scrub`

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def json(self) -> object:
        """The body as JSON (RFC 8259), or None when it is anything else; it never raises."""
        try:
            parsed: object = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return parsed

    def retry_after(self, now: float) -> float | None:
        """Seconds to wait (RFC 9110 10.2.3), at most `RETRY_AFTER_CAP`; `now` is Unix time."""
        value = self.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdigit():
            return min(float(value[:9]), RETRY_AFTER_CAP)
        at = _http_date(value)
        return None if at is None else min(max(at - now, 0.0), RETRY_AFTER_CAP)

    def clock_skew(self, now: float) -> float | None:
        """Seconds by which our wall clock `now` is ahead of the server's ``Date``; None without one."""
        at = _http_date(self.headers.get("date", ""))
        return None if at is None else now - at

    @property
    def redirect(self) -> str:
        """Where a 3xx answer points, without its query (which may hold a code); empty if it is none."""
        location = self.headers.get("location", "")
        return location.partition("?")[0][:200] if 300 <= self.status < 400 else ""


@lru_cache(maxsize=256)  # thousands of accounts have a few endpoints
def check_url(url: str, *, link_local: bool = False) -> SplitResult:
    """The parsed `url`, if secrets may go there; raises `UsageError` otherwise.

    https anywhere, plain http on loopback only. `link_local` is for the metadata service of a cloud
    (``http://169.254.169.254``), which nothing else may reach.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise UsageError("The URL cannot be read.", hint="Write https://host/path.") from None
    if not host or not url.isascii() or any(char <= " " or char in '\\"<>\x7f' for char in url):
        raise UsageError("The URL has no host or holds odd characters.", hint="Write https://host/path.")
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            f"The URL for {host} carries a user name or password.",
            hint="Give credentials by their own keys; what stands before an @ is never the host.",
        )
    if _is_link_local(host):
        if not link_local:
            raise UsageError(f"{host} is a link-local address.", hint="Only managed-identity may use one.")
    elif parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise UsageError(
            f"{parts.scheme or 'no'}:// is not safe for {host}.",
            hint="Use https; plain http works on loopback only.",
        )
    return parts


def is_loopback(host: str) -> bool:
    """Whether `host`, as written in a URL, is this machine: ``localhost``, 127.0.0.0/8, ::1."""
    if host.lower() == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


async def post_form(
    url: str,
    form: Mapping[str, Text],
    *,
    headers: Mapping[str, Text] | None = None,
    timeout: float = TIMEOUT,
    ca_file: str = "",
    proxy: str | None = None,
) -> HttpResponse:
    """POST `form` as ``application/x-www-form-urlencoded``; otherwise as `fetch`."""
    return await fetch("POST", url, form=form, headers=headers, timeout=timeout, ca_file=ca_file, proxy=proxy)


async def fetch(
    method: str,
    url: str,
    *,
    form: Mapping[str, Text] | None = None,
    content: bytes | Secret = b"",
    headers: Mapping[str, Text] | None = None,
    timeout: float = TIMEOUT,
    ca_file: str = "",
    proxy: str | None = None,
    link_local: bool = False,
) -> HttpResponse:
    """Make one request and return the answer, whatever its status; redirects are returned, not followed.

    `timeout` is in seconds for the whole exchange. `ca_file` is trusted beside the system's authorities.
    ``HTTPS_PROXY`` and ``NO_PROXY`` are honoured, except on loopback. Raises `UsageError` for a URL that
    secrets must not go to and for a header that cannot be sent, a `NetworkError` when the way fails,
    `RemoteProtocolError` when the answer is not HTTP or larger than 64 KiB.
    """
    parts = check_url(url, link_local=link_local)
    direct = is_loopback(parts.hostname or "") or link_local
    call = _Call(
        method, url, form, content, headers or {}, timeout, ca_file, None if direct else proxy, not direct
    )
    # The error is made where the secrets are in the open, and raised here where they are not:
    # tracebacks with local variables show this frame only.
    outcome = await call.run()
    if isinstance(outcome, PostbearerError):
        raise outcome
    return outcome


class _TooMuch(Exception):
    """The body goes beyond `BODY_LIMIT`."""


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    url: str
    form: Mapping[str, Text] | None = field(repr=False)
    content: bytes | Secret = field(repr=False)
    headers: Mapping[str, Text] = field(repr=False)
    timeout: float
    ca_file: str
    proxy: str | None = field(repr=False)
    trust_env: bool

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    async def run(self) -> HttpResponse | PostbearerError:
        import httpx2

        # Told here, in words of ours: the HTTP library would show the value.
        unfit = [name for name, value in self.headers.items() if not _fits_header(plain(value))]
        if unfit:
            return UsageError(
                f"What should go to {self.host} in the header {unfit[0]} holds characters it cannot have.",
                hint="Correct the secret it is made of: perhaps a line end is part of it.",
            )
        # At DEBUG it logs the headers of answers, which may hold a code or an echo of a secret.
        chatter = logging.getLogger("httpcore2")
        if chatter.level == logging.NOTSET:
            chatter.setLevel(logging.INFO)
        try:
            async with asyncio.timeout(self.timeout):
                return await self._exchange()
        except TimeoutError:
            return self._late()
        except httpx2.TimeoutException:
            return self._late()
        except httpx2.HTTPError as error:
            return self._explain(error)
        except (OSError, ValueError, ImportError, httpx2.InvalidURL) as error:
            return self._unusable(error)
        except _TooMuch:
            return RemoteProtocolError(f"{self.host} answered with more than 64 KiB.")

    async def _exchange(self) -> HttpResponse:
        import httpx2

        body, headers = self._encoded()
        # Over http, on loopback, a context that trusts nobody will do; loading the authorities takes a while.
        tls = urlsplit(self.url).scheme == "https"
        context = httpx2.create_ssl_context() if tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if tls and self.ca_file:
            context.load_verify_locations(self.ca_file)
        async with (
            # One client a request: a token is fetched about once an hour, and a pool would be bound
            # to the event loop of whoever asked first.
            httpx2.AsyncClient(
                verify=context,
                proxy=self.proxy,
                trust_env=self.trust_env,
                timeout=self.timeout,
                follow_redirects=False,
            ) as client,
            client.stream(self.method, self.url, content=body, headers=headers) as response,
        ):
            received = await self._read(response)
            return HttpResponse(response.status_code, dict(response.headers.items()), received, self._secrets)

    @property
    def _secrets(self) -> tuple[Secret, ...]:
        """Everything secret that is sent."""
        given = (*(self.form or {}).values(), *self.headers.values(), self.content)
        return tuple(value for value in given if isinstance(value, Secret))

    def _encoded(self) -> tuple[bytes, dict[str, str]]:
        # No compression: 64 KiB of it could unfold into anything.
        headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "postbearer"}
        headers.update({name.lower(): plain(value) for name, value in self.headers.items()})
        if self.form is None:
            content = self.content
            return content.reveal().encode() if isinstance(content, Secret) else content, headers
        headers["content-type"] = "application/x-www-form-urlencoded"
        return urlencode({name: plain(value) for name, value in self.form.items()}).encode(), headers

    async def _read(self, response: httpx2.Response) -> bytes:
        received = bytearray()
        async for chunk in response.aiter_raw():
            received += chunk
            if len(received) > BODY_LIMIT:
                raise _TooMuch
        return bytes(received)

    def _late(self) -> NetworkError:
        return TimedOut(
            f"{self.host} did not answer within {self.timeout:g} s.", host=self.host, stage="http"
        )

    def _unusable(self, error: BaseException) -> NetworkError:
        what = type(error).__name__ if isinstance(error, ValueError) else str(error)
        return ConnectFailed(
            f"No request to {self.host} could be made ({what}).",
            host=self.host,
            stage="http",
            hint="Check the ca-file, and SSL_CERT_FILE, HTTPS_PROXY and NO_PROXY in the environment.",
        )

    def _explain(self, error: httpx2.HTTPError) -> PostbearerError:
        import httpx2

        if (trouble := _tls_trouble(error)) is not None:
            return TlsFailed(
                f"TLS with {self.host} failed: {trouble}.",
                host=self.host,
                stage="tls",
                hint=_WRONG_PORT if trouble == "wrong version number" else _AUTHORITY,
                configuration=True,
            )
        if isinstance(error, httpx2.ConnectError | httpx2.ProxyError):
            return self._out_of_reach(str(error))
        if isinstance(error, httpx2.NetworkError):
            return Disconnected(f"{self.host} closed the connection.", host=self.host, stage="http")
        said = scrub(str(error), self._secrets)[:200]  # what is no HTTP may repeat the request
        return RemoteProtocolError(f"{self.host} did not answer in HTTP: {said}")

    def _out_of_reach(self, why: str) -> ConnectFailed:
        proxy = _environments_proxy(self.url) if self.trust_env and not self.proxy else ""
        return ConnectFailed(
            f"{self.host} cannot be reached{f' through the proxy {proxy}' if proxy else ''}: {why}.",
            host=self.host,
            stage="connect",
            hint="Check HTTPS_PROXY and NO_PROXY in the environment, and whether it runs." if proxy else "",
        )


def plain(value: Text) -> str:
    """`value` in the open, for the moment in which it leaves."""
    return value.reveal() if isinstance(value, Secret) else value


def _environments_proxy(url: str) -> str:
    """Host and port of the proxy that the environment names for `url`, without its login; empty for none."""
    from urllib.request import getproxies, proxy_bypass

    parts, proxies = urlsplit(url), getproxies()
    named = proxies.get(parts.scheme) or proxies.get("all", "")
    if not named or proxy_bypass(parts.hostname or ""):
        return ""
    return urlsplit(named if "://" in named else f"//{named}").netloc.rpartition("@")[2]


def _fits_header(value: str) -> bool:
    """Whether `value` can be a field value (RFC 9110 5.5): visible ASCII, blanks inside only."""
    return value == value.strip() and all(" " <= char <= "~" for char in value)


def _tls_trouble(error: BaseException | None) -> str | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message or "the certificate does not hold"
        if isinstance(error, ssl.SSLError):
            return (error.reason or "no common ground").replace("_", " ").lower()
        error = error.__cause__ or error.__context__
    return None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _is_link_local(host: str) -> bool:
    address = _address(host)
    mapped = getattr(address, "ipv4_mapped", None)
    return address is not None and (mapped or address).is_link_local


def _http_date(value: str) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
