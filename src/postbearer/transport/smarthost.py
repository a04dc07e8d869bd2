"""Where mail leaves to, and on which terms: plain data, checked once."""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from postbearer.errors import ConfigError
from postbearer.settings import DEFAULTS, Authentication, Mechanism, TlsMode
from postbearer.transport.pool import PoolLimits
from postbearer.transport.proxy import Proxy
from postbearer.transport.timeouts import Timeouts
from postbearer.transport.tls import ClientCertificate, tls_context
from postbearer.wire import EHLO_NAME, Dispensable

if TYPE_CHECKING:
    from postbearer.providers import Rule

Prefer = Mechanism


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """One mail server, as configured. This name is the one its certificate must hold."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> ServerAddress:
        """Read ``host:port`` or ``[::1]:port``. Raises `ConfigError`."""
        host, colon, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        host = host[1:-1] if bracketed else host
        odd = not host.isprintable() or any(char.isspace() or char in "/@[]" for char in host)
        plain = not odd and (bracketed or ":" not in host)
        if (
            not colon
            or not host
            or not plain
            or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536)
        ):
            raise ConfigError(
                f"{text!r} is not a server.",
                key="servers",
                hint="Write host:port, such as mail.example.org:587.",
            )
        return cls(host, int(port))

    @property
    def loopback(self) -> bool:
        """True for ``localhost`` and for addresses that cannot leave this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower().rstrip(".") == "localhost"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")  # RFC 5321 4.1.2; servers refuse what is none


def default_ehlo_name() -> str:
    """This machine's name if it is a domain of the world's, else an address literal.

    `socket.getfqdn` would ask DNS, which can take seconds; the name is only shown in trace headers.
    """
    name = socket.gethostname()
    return name if len(name) < 254 and _DOMAIN.fullmatch(name) else "[127.0.0.1]"


def _as_it_is(error: ConfigError) -> ConfigError:
    return error


@dataclass(frozen=True, slots=True, kw_only=True)
class Smarthost:
    """The next hop of one account.

    `servers` are tried in their order. `recipients_per_message` splits larger envelopes. `timeout` is
    the overall limit for one `deliver`, in seconds. `rules` are the provider's known replies. `unused` are
    extensions that a server offers and gets wrong.
    Raises `ConfigError` for what could not be used safely.
    """

    servers: tuple[ServerAddress, ...]
    tls: TlsMode = "implicit"
    ca_file: str = ""
    certificate: ClientCertificate | None = None
    proxy: Proxy | None = None
    authentication: Authentication = DEFAULTS.authentication
    username: str = ""
    mechanism: Prefer = DEFAULTS.mechanism
    ehlo_name: str = field(default_factory=default_ehlo_name)
    unused: tuple[Dispensable, ...] = ()
    timeouts: Timeouts = field(default_factory=Timeouts)
    timeout: float | None = None
    limits: PoolLimits = field(default_factory=PoolLimits)
    recipients_per_message: int | None = None
    rules: Sequence[Rule] | None = None  # None: those that hold everywhere
    # Says of a mistake in it where that stands: whoever read it from a file knows.
    placed: Callable[[ConfigError], ConfigError] = field(default=_as_it_is, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.servers:
            raise ConfigError("An account needs at least one server.", key="servers")
        if self.authentication in ("oauth", "password") and not self.username:
            raise ConfigError("There is no user name to log in with.", key="username")
        if self.authentication == "certificate" and self.certificate is None:
            raise ConfigError("There is no certificate to log in with.", key="tls-certificate")
        if not EHLO_NAME.fullmatch(self.ehlo_name):
            raise ConfigError(
                f"{self.ehlo_name!r:.80} is no name to say in EHLO.",
                key="ehlo-name",
                hint="Write the name of this host, or its address in brackets: [192.0.2.1].",
            )
        if self.tls == "none-loopback":
            self._require_loopback()

    def tls_context(self) -> ssl.SSLContext:
        """What its connections are verified by. Raises `ConfigError`, with its place if that is known."""
        try:
            return tls_context(self.ca_file, self.certificate)
        except ConfigError as error:
            raise self.placed(error) from None

    def _require_loopback(self) -> None:
        for server in self.servers:
            if not server.loopback or self.proxy is not None:
                raise ConfigError(
                    f"{server} would be reached without TLS.",
                    key="tls",
                    hint='Use "implicit" or "starttls"; "none-loopback" is for this machine only.',
                )
