"""Where mail leaves to, and on which terms: plain data, checked once."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from postbearer.errors import ConfigError
from postbearer.settings import DEFAULTS, Mechanism, TlsMode
from postbearer.transport.capture import Capture
from postbearer.transport.pool import PoolLimits
from postbearer.transport.proxy import Proxy
from postbearer.transport.settings import TransportSettings
from postbearer.transport.timeouts import Timeouts
from postbearer.transport.tls import tls_context
from postbearer.wire import EHLO_NAME, Dispensable

if TYPE_CHECKING:
    from postbearer.clock import Clock
    from postbearer.events import Observer
    from postbearer.state import ConnectionShare
    from postbearer.transport.login import Source
    from postbearer.transport.smtp import SmtpTransport

Prefer = Mechanism


_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")  # RFC 5321 4.1.2; servers refuse what is none


def default_ehlo_name() -> str:
    """This machine's name if it is a domain of the world's, else an address literal.

    `socket.getfqdn` would ask DNS, which can take seconds; the name is only shown in trace headers.
    """
    name = socket.gethostname()
    return name if len(name) < 254 and _DOMAIN.fullmatch(name) else "[127.0.0.1]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Smarthost(TransportSettings):
    """The next hop of one account, by SMTP.

    `servers` are tried in their order. `recipients_per_message` splits larger envelopes. `timeout` is
    the overall limit for one `deliver`, in seconds. `unused` are extensions that a server offers and gets
    wrong.
    Raises `ConfigError` for what could not be used safely.
    """

    tls: TlsMode = "implicit"
    ca_file: str = ""
    proxy: Proxy | None = None
    mechanism: Prefer = DEFAULTS.mechanism
    ehlo_name: str = field(default_factory=default_ehlo_name)
    unused: tuple[Dispensable, ...] = ()
    timeouts: Timeouts = field(default_factory=Timeouts)
    timeout: float | None = None
    limits: PoolLimits = field(default_factory=PoolLimits)
    recipients_per_message: int | None = None

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

    @property
    def eight_bit(self) -> bool:
        """See `TransportSettings.eight_bit`; a server may still offer no 8BITMIME."""
        return "8bitmime" not in self.unused

    def open(
        self,
        source: Source | None,
        *,
        account: str,
        clock: Clock,
        observer: Observer,
        capture: Callable[[], Capture] | None = None,
        share: ConnectionShare | None = None,
    ) -> SmtpTransport:
        """See `TransportSettings.open`."""
        from postbearer.transport.smtp import SmtpTransport  # which needs this module

        return SmtpTransport(
            self, source, account=account, clock=clock, observer=observer, capture=capture, share=share
        )

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
