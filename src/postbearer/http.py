"""The one door to HTTP: small requests, verified TLS, nothing followed, nothing unbounded.

A token endpoint is handed our secrets, so it is reached over https only, or over http on loopback;
a redirect is never followed (RFC 9700 4.11); an answer is read up to 64 KiB and within 30 s.
httpx2, asyncio and ssl are imported when a request is made, not before.
"""

from __future__ import annotations

import ipaddress
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlencode, urlsplit

from postbearer.address import ascii_domain
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
from postbearer.http_proxy import environments_proxy
from postbearer.redaction import scrub
from postbearer.secret import Secret

if TYPE_CHECKING:
    import httpx2

    from postbearer.http_session import HttpSession

TIMEOUT = 30.0  # seconds, from the first packet to the last octet of the answer
BODY_LIMIT = 64 * 1024  # octets
IDLE = 2.0  # seconds that a connection is kept for the next request: some servers close it after five
RETRY_AFTER_CAP = 3600.0  # seconds: whatever a server says, an hour later asking again harms nobody

Text = str | Secret

_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
_ENCODINGS = {"gzip", "x-gzip", "deflate"}
_FOLDS = 2  # times that a body may have been compressed
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
            try:
                parsed: object = json.loads(self.body)
            except UnicodeDecodeError:  # words of some are in the charset of their country (RFC 8259 8.1)
                parsed = json.loads(self.body.decode("cp1252", "replace"))
        except (ValueError, RecursionError):
            return None
        return parsed

    def retry_after(self, now: float, most: float = RETRY_AFTER_CAP) -> float | None:
        """Seconds to wait (RFC 9110 10.2.3), at most `most`; `now` is Unix time."""
        value = self.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdigit():
            return min(float(value[:9]), most)
        at = _http_date(value)
        return None if at is None else min(max(at - now, 0.0), most)

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
def check_url(url: str, *, platform: bool = False) -> SplitResult:
    """The parsed `url` that an operator wrote, if secrets may go there; raises `UsageError` otherwise.

    https anywhere, plain http on loopback only. `platform` is for the identity service that a cloud gives its
    machines (``http://169.254.169.254``): it speaks plain http, on an address that leads nowhere else.
    """
    parts, address = _parsed(url)
    host = parts.hostname or ""
    if address is not None and address.is_link_local and not platform:
        raise UsageError(f"{host} is a link-local address.", hint="Only managed-identity may use one.")
    near = address is not None and (address.is_link_local or address.is_private)
    if parts.scheme != "https" and not (
        parts.scheme == "http" and (is_loopback(host) or (platform and near))
    ):
        raise UsageError(
            f"{parts.scheme or 'no'}:// is not safe for {host}.",
            hint="Use https; plain http works on loopback only.",
        )
    return parts


def check_named_url(url: str, *, by: str) -> str:
    """`url`, which a server named whose own address, `by`, an operator wrote.

    On that server's host it may be what the operator might have written; anywhere else only https, and no
    address of this machine or of a private network. Raises `UsageError`.
    """
    from postbearer.http_addresses import is_public  # few are told an address by a server

    parts, address = _parsed(url)
    host = parts.hostname or ""
    if host == urlsplit(by).hostname and not (parts.scheme == "http" and urlsplit(by).scheme == "https"):
        check_url(url)
    elif parts.scheme != "https":
        raise UsageError(f"{parts.scheme or 'no'}:// is not safe for {host}.", hint="Use https.")
    elif is_loopback(host) or (address is not None and not is_public(address)):
        raise UsageError(
            f"{host} is no public address.", hint="Name it in the configuration, if it is right."
        )
    return url


def _parsed(url: str) -> tuple[SplitResult, ipaddress.IPv4Address | ipaddress.IPv6Address | None]:
    """The parts of `url`, and its host where that is an address. Raises `UsageError`."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise UsageError("The URL cannot be read.", hint="Write https://host/path.") from None
    if host and not host.isascii():
        raise UsageError("The host is not written in ASCII.", hint=f"Write {_in_ascii(host)}.")
    if not host or not url.isascii() or any(char <= " " or char in '\\"<>\x7f' for char in url):
        raise UsageError("The URL has no host or holds odd characters.", hint="Write https://host/path.")
    if parts.username is not None or parts.password is not None:
        raise UsageError(
            f"The URL for {host} carries a user name or password.",
            hint="Give credentials by their own keys; what stands before an @ is never the host.",
        )
    address = _address(host)
    if address is None and _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        # A resolver takes 2852039166, 0x7f.1 and 127.1 for addresses; who reads them does not.
        raise UsageError(
            f"{host} is no name and no address as people write it.", hint="Write the address out."
        )
    return parts, address


def _in_ascii(host: str) -> str:
    """How a name in another script is written in a URL (RFC 5891)."""
    try:
        return ascii_domain(host)
    except UsageError:
        return "its form that begins with xn--"


def is_loopback(host: str) -> bool:
    """Whether `host`, as written in a URL, is this machine: ``localhost``, 127.0.0.0/8, ::1."""
    if host.lower().rstrip(".") == "localhost" or host.lower().rstrip(".").endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and address.is_loopback


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
    platform: bool = False,
    session: HttpSession | None = None,
) -> HttpResponse:
    """Make one request and return the answer, whatever its status; redirects are returned, not followed.

    `timeout` is in seconds for the whole exchange. `ca_file` is trusted beside the system's authorities.
    ``HTTPS_PROXY`` and ``NO_PROXY`` are honoured, except on loopback. `session` says which addresses may be
    called, and keeps the connection; of a longer answer it then is the first 64 KiB, as sent.
    Raises `UsageError` for a URL that secrets must not go to and for a header that cannot be sent, a
    `NetworkError` when the way fails, `RemoteProtocolError` when the answer is no HTTP or over 64 KiB.
    """
    parts = check_url(url, platform=platform)
    direct = is_loopback(parts.hostname or "") or platform
    call = _Call(
        method,
        url,
        form,
        content,
        headers or {},
        timeout,
        ca_file,
        None if direct else proxy,
        not direct,
        session,
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
    session: HttpSession | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    async def run(self) -> HttpResponse | PostbearerError:
        import asyncio
        import logging

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
            proxy = self.proxy or (environments_proxy(self.url) if self.trust_env else None)
        except UsageError as error:
            return ConnectFailed(error.message, host=self.host, stage="connect", hint=error.hint)
        try:
            async with asyncio.timeout(self.timeout):
                return await self._exchange(proxy)
        except TimeoutError:
            return self._late()
        except httpx2.TimeoutException:
            return self._late()
        except httpx2.HTTPError as error:
            return self._explain(error)
        except (OSError, ValueError, ImportError, httpx2.InvalidURL) as error:
            return self._unusable(error)
        except ConnectFailed as error:
            return error
        except _TooMuch:
            return RemoteProtocolError(f"{self.host} answered with more than 64 KiB.")

    async def _exchange(self, proxy: str | None) -> HttpResponse:
        if self.session is None:
            # One client a request: a token is fetched about once an hour, and a pool would be bound
            # to the event loop of whoever asked first.
            async with self._client(proxy) as client:
                return await self._ask(client, self.url)
        client = self.session.client(partial(self._client, proxy))
        if proxy is None:
            return await self._ask_checked(client, self.session)
        self.session.check(urlsplit(self.url))
        return await self._ask(client, self.url)

    def _client(self, proxy: str | None) -> httpx2.AsyncClient:
        import ssl

        import httpx2

        # Over http, on loopback, a context that trusts nobody will do; loading the authorities takes a while.
        tls = urlsplit(self.url).scheme == "https"
        context = httpx2.create_ssl_context() if tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if tls and self.ca_file:
            context.load_verify_locations(self.ca_file)
        return httpx2.AsyncClient(
            verify=context,
            proxy=proxy,
            trust_env=False,  # it would choke on any word about proxies, and read .netrc
            timeout=self.timeout,
            limits=httpx2.Limits(max_connections=100, keepalive_expiry=IDLE),
            follow_redirects=False,
        )

    async def _ask_checked(self, client: httpx2.AsyncClient, session: HttpSession) -> HttpResponse:
        """Ask at an address that may be called, under the name in the URL."""
        import httpx2

        parts = urlsplit(self.url)
        *others, last = await session.places(parts)
        timeout = httpx2.Timeout(self.timeout, connect=self.timeout / (len(others) + 1))
        for place in others:
            try:
                return await self._ask(client, place, parts, timeout)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue  # the name has more than one address
        return await self._ask(client, last, parts, timeout)

    async def _ask(
        self,
        client: httpx2.AsyncClient,
        place: str,
        named: SplitResult | None = None,
        timeout: httpx2.Timeout | None = None,
    ) -> HttpResponse:
        body, headers = self._encoded()
        extensions: dict[str, object] = {}
        if named is not None:  # the certificate is for the name, and so is the request
            headers["host"], extensions["sni_hostname"] = named.netloc, named.hostname
        async with client.stream(
            self.method,
            place,
            content=body,
            headers=headers,
            extensions=extensions,
            timeout=timeout or self.timeout,
        ) as response:
            received = await self._read(response)
            return HttpResponse(response.status_code, dict(response.headers.items()), received, self._secrets)

    @property
    def _secrets(self) -> tuple[Secret, ...]:
        """Everything secret that is sent."""
        given = (*(self.form or {}).values(), *self.headers.values(), self.content)
        return tuple(value for value in given if isinstance(value, Secret))

    def _encoded(self) -> tuple[bytes, dict[str, str]]:
        # Some gateways compress all the same; what unfolds is counted too.
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
                if self.session is not None:
                    return bytes(received[:BODY_LIMIT])
                raise _TooMuch
        body = bytes(received)
        if self.session is not None:
            return body
        for encoding in reversed(response.headers.get("content-encoding", "").lower().split(",")[:_FOLDS]):
            body = _unfolded(body) if encoding.strip() in _ENCODINGS else body
        return body

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
        named = environments_proxy(self.url) if self.trust_env and not self.proxy else None
        login, _, proxy = urlsplit(named or self.proxy or "").netloc.rpartition("@")
        proxy = proxy if named else ""
        why = scrub(why, [*self._secrets, *(Secret(unquote(part)) for part in login.split(":")[1:])])
        return ConnectFailed(
            f"{self.host} cannot be reached{f' through the proxy {proxy}' if proxy else ''}: {why}.",
            host=self.host,
            stage="connect",
            hint="Check HTTPS_PROXY and NO_PROXY in the environment, and whether it runs." if proxy else "",
        )


def _unfolded(body: bytes) -> bytes:
    """What was compressed (RFC 9110 8.4.1), up to `BODY_LIMIT`; `body` itself if it is no such thing."""
    for window in (
        zlib.MAX_WBITS | 32,
        -zlib.MAX_WBITS,
    ):  # gzip or zlib; the bare form that some call deflate
        unfolding = zlib.decompressobj(window)
        try:
            unfolded = unfolding.decompress(body, BODY_LIMIT + 1)
        except zlib.error:
            continue
        if len(unfolded) > BODY_LIMIT:
            raise _TooMuch
        return unfolded
    return body


def plain(value: Text) -> str:
    """`value` in the open, for the moment in which it leaves."""
    return value.reveal() if isinstance(value, Secret) else value


def _fits_header(value: str) -> bool:
    """Whether `value` can be a field value (RFC 9110 5.5): visible ASCII, blanks inside only."""
    return value == value.strip() and all(" " <= char <= "~" for char in value)


def _tls_trouble(error: BaseException | None) -> str | None:
    import ssl

    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message or "the certificate does not hold"
        if isinstance(error, ssl.SSLError):
            return (error.reason or "no common ground").replace("_", " ").lower()
        error = error.__cause__ or error.__context__
    return None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _http_date(value: str) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
